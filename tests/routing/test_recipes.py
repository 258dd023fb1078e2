"""What the documentation gives to other languages, shells and containers is run as it stands."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT, block
from command_line import PROGRAM, Command, git
from scenes import POLICY, V8, V9, past, row, table, write, write_profile

import fftdeploy
from fftdeploy.policy import profiles
from fftdeploy.routing.split import LONGEST_KEY, first_weight, in_canary
from fftdeploy.sandbox import Sandbox

TARGET = "triage/production"
KEYS = [
    *(f"user-{number}" for number in range(500)),
    *("", "Zo\u00eb", "x" * 22, "x" * 23, "x" * 24, "x" * 255, "x" * 256, "x" * (LONGEST_KEY + 1)),
]
GO_IS_SLOW = "Go is for the slow job, .ci/run --slow"
SLOW = pytest.mark.skipif(
    "SLOW" not in os.environ, reason="installing an image is for the slow job, .ci/run --slow"
)
JAVASCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
import { firstWeight, route } from "./route.mjs";
for (const key of JSON.parse(readFileSync("keys.json", "utf8")))
  console.log(firstWeight(TARGET, key), route(TARGET, key, "exported.json").model);
console.log(0, route(TARGET, undefined, "exported.json").model);
writeFileSync("exported.json", "{}");
await new Promise((done) => setTimeout(done, 600));
console.log(route(TARGET, undefined, "exported.json").model);
try { route("triage/none", "", "exported.json"); } catch (error) { console.log(error.message); }
"""
GO = """
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"recipe/fftdeploy"
)

func main() {
	var keys []string
	raw, _ := os.ReadFile("keys.json")
	json.Unmarshal(raw, &keys)
	routes := fftdeploy.Routes{Path: "exported.json"}
	for _, key := range keys {
		asked, _ := routes.Route(TARGET, key)
		fmt.Println(fftdeploy.FirstWeight(TARGET, key), asked.Model)
	}
	asked, _ := routes.Route(TARGET)
	fmt.Println(0, asked.Model)
	os.WriteFile("exported.json", []byte("{}"), 0o600)
	time.Sleep(600 * time.Millisecond)
	asked, _ = routes.Route(TARGET)
	if routes.Problem != nil {
		fmt.Println(asked.Model)
	}
	_, err := routes.Route("triage/none", "")
	fmt.Println(err)
}
"""


def exported(command: Command) -> None:
    """Export a target whose canary answers every second key, and the keys."""
    canary = f'canary = {{ model = "{V9}", weight = 50, since = 2026-11-21T08:30:00Z }}\n'
    text = past(TARGET, V8).replace("releases = [", f"{canary}releases = [", 1)
    write(text)
    Path("keys.json").write_text(json.dumps(KEYS))
    done = command("export", "json", "-o", "exported.json")
    assert done.code == 0, done.err


@pytest.mark.parametrize("language", ["js", "go"])
def test_a_reader_in_another_language_splits_as_we_do(
    repo: Path, command: Command, language: str
) -> None:
    if not (program := shutil.which({"js": "node", "go": "go"}[language])):
        pytest.skip({"js": "there is no node", "go": GO_IS_SLOW}[language])
    exported(command)
    if language == "js":
        code = block("other-languages.md", "js", "// route.mjs")
        assert len([line for line in code.splitlines() if line and line[:2] != "//"]) <= 30
        Path("route.mjs").write_text(code)
        Path("ask.mjs").write_text(JAVASCRIPT.replace("TARGET", f'"{TARGET}"'))
        words = ["ask.mjs"]
    else:
        Path("fftdeploy").mkdir()
        Path("go.mod").write_text("module recipe\n\ngo 1.19\n")
        Path("fftdeploy/route.go").write_text(block("other-languages.md", "go", "// Package"))
        Path("main.go").write_text(GO.replace("TARGET", f'"{TARGET}"'))
        words = ["run", "."]
    done = subprocess.run(
        [program, *words],
        env=os.environ | {"GOCACHE": str(repo.parent / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines() == [
        *(f"{first_weight(TARGET, k)} {V9 if in_canary(TARGET, k, 50) else V8}" for k in KEYS),
        f"0 {V8}",
        V8,  # the last good answer: the file has broken
        "there is no target triage/none",
    ]


def test_a_shell_asks_with_the_prompt_that_was_judged(
    repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (shutil.which("jq") and shutil.which("curl")):
        pytest.skip("there is no jq or no curl")
    monkeypatch.setenv("PATH", f"{PROGRAM.parent}:{os.environ['PATH']}")
    Path("profiles").mkdir()
    text = 'system = "Be short."\ntemperature = 0.5\n'
    text += 'shots = [{ user = "Where is it?", assistant = "On its way." }]\n'
    Path("profiles/short.toml").write_text(text)
    judged = profiles.content_sha(tomllib.loads(text))
    write(table(TARGET, V8, [row(1, V8, "short", profile_sha=judged)], profile="short"))
    assert command("export", "json", "-o", "fftdeploy.json").code == 0

    def run(text: str) -> str:
        command = ["sh", "-eu", "-c", text]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    said = run(block("containers.md", "sh", "MODEL="))
    answer = run(block("containers.md", "sh", "ask()"))

    assert said == f"release 1 asks {V8}\n"
    live = fftdeploy.route(TARGET)
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Where is my parcel?"}]
    assert sandbox.requests[-1].body == {**live.arguments, "messages": live.messages(messages)}
    assert "trace parcel" in answer

    sandbox.remove(V8)
    failed = ["sh", "-c", block("containers.md", "sh", "ask()")]
    gone = subprocess.run(failed, capture_output=True, text=True, check=False)
    assert (gone.returncode, gone.stdout) == (22, "")
    assert "model_not_found" in gone.stderr


def script(root: Path, is_installed: bool) -> str:
    """Return the Dockerfile as a script that does the same to the folder `root`."""
    text = block("containers.md", "dockerfile", "FROM")
    text = re.sub(r"(?<![\w/.])/(?=(opt|src|etc|app)/)", f"{root}/", text)
    lines = ["set -eu"]
    for line in text.splitlines():
        step, rest = line.split(" ", 1)
        if step == "COPY":
            *sources, folder = rest.split()
            lines.append(f"mkdir -p {folder}")
            lines.extend(f"cp -R {one}$([ ! -d {one} ] || echo /.) {folder}" for one in sources)
        elif step == "CMD":
            lines.append(f"exec {shlex.join(json.loads(rest))}")
        elif step == "ENV":
            lines.append(f"export {rest}")
        elif step == "RUN" and not (is_installed and "/opt/fftdeploy" in rest):
            lines.append(rest)
    return "\n".join(lines)


@pytest.mark.parametrize("is_installed", [True, pytest.param(False, marks=SLOW)])
def test_what_the_dockerfile_says_makes_a_service_that_knows_its_model(
    repo: Path, monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    monkeypatch.setenv("PATH", f"{PROGRAM.parent}:{os.environ['PATH']}")
    write_profile("short")
    write(table(TARGET, V8, [row(1, V8, "short")], profile="short"), policy=POLICY)
    Path("serve.py").write_text(
        "import os, fftdeploy, shutil\n"
        "print(os.getpid(), os.environ['FFTDEPLOY_MODEL'], shutil.which('fftdeploy'))\n"
    )
    if is_installed:
        Path("fftdeploy").mkdir()
    else:
        git("clone", "--quiet", "--depth=1", f"file://{ROOT}", "fftdeploy")
    root = repo.parent / "image"

    with subprocess.Popen(
        ["sh", "-c", script(root, is_installed)], stdout=subprocess.PIPE, text=True
    ) as process:
        out, _ = process.communicate()

    *_, last = out.splitlines()
    program = PROGRAM if is_installed else root / "opt/fftdeploy/bin/fftdeploy"
    assert last == f"{process.pid} {V8} {program}"
