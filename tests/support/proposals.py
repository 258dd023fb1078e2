"""Pull requests to judge: a repository with a live model, and evidence of every kind about it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT
from command_line import Command, git
from scenes import (
    FILE,
    POLICY_FILE,
    SOON,
    V6,
    V7,
    V8,
    V9,
    V10,
    hold,
    past,
    row,
    table,
    write,
    write_profile,
)

from fftdeploy.cli.app import run
from fftdeploy.sandbox import STORY_NOW, Sandbox

EXAMPLES = Path("evals/triage.jsonl")
TARGET = "triage/production"
POLICY = """\
version = 1
order = ["staging", "production"]
allow_overrides = false

[environments.production]
from = ["staging"]
protected = true
soak = "24h"
min_runway = "10d"

[tasks.triage.gate]
examples = ["evals/triage.jsonl"]
slices = ["topic"]
max_age = "30d"

[[tasks.triage.gate.graders]]
type = "json_fields"
fields = { urgency = "exact", category = "exact", next_step = "casefold" }

[tasks.refunds]
owner = "support-ml"
"""
UNSETTLED = POLICY.replace('slices = ["topic"]', 'slices = ["language"]')
"""By this one, 67 examples can't tell v9 from v8."""


def commit(message: str) -> None:
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", message)


def files() -> bytes:
    """Write what `main` has: v8 live after v6 and v7, v9 on hold; staging has had v9 and v10."""
    EXAMPLES.parent.mkdir(exist_ok=True)
    EXAMPLES.write_text((ROOT / EXAMPLES).read_text())
    Path(".fftdeploy").mkdir(exist_ok=True)
    Path(".fftdeploy/.gitignore").write_text("runs/\n")
    write_profile("short")
    return write(
        past("triage/staging", V7, V9, V10),
        past(TARGET, V6, V7, V8, holds=[hold(SOON)]),
        table("refunds/staging", "gpt-6-luna", [row(1, "gpt-6-luna", evidence="ab" * 16)]),
        policy=POLICY,
    )


@dataclass(frozen=True)
class Template:
    """A repository to copy, and the IDs of evidence made for it, by what it says."""

    folder: Path
    evidence: dict[str, str]


@contextmanager
def template(place: Path) -> Iterator[Template]:
    """Build the repository once, in `place`, with real evaluations against a sandbox."""
    home, folder, kept = place / "home", place / "repo", {}
    home.mkdir()
    folder.mkdir()
    identity = "[user]\n\tname = Ana\n\temail = ana@acme.example\n[init]\n\tdefaultBranch = main\n"
    (home / ".gitconfig").write_text(identity)
    with pytest.MonkeyPatch.context() as patch, Sandbox(now=lambda: STORY_NOW) as server:
        patch.setenv("HOME", str(home))
        patch.setenv("OPENAI_BASE_URL", server.url)
        patch.setenv("OPENAI_API_KEY", server.key)
        patch.setenv("FFTDEPLOY_NOW", STORY_NOW.isoformat())
        patch.chdir(folder)
        git("init", "--quiet", "--template=")
        files()
        commit("first")
        kept["pass"] = _evaluate(V10)
        kept["fail"] = _evaluate(V9)
        POLICY_FILE.write_text(POLICY.replace('slices = ["topic"]', "margin = 0.5"))
        kept["loose"] = _evaluate(V9)
        POLICY_FILE.write_text(UNSETTLED)
        kept["unsettled"] = _evaluate(V9)
        git("checkout", "--quiet", "--", ".")
        FILE.write_text(FILE.read_text().replace(f'model = "{V8}"\n', f'model = "{V7}"\n'))
        FILE.write_text(FILE.read_text().replace(f"  {row(3, V8)},\n", ""))
        kept["against"] = _evaluate(V9)
        git("checkout", "--quiet", "--", ".")
        _keep_apart(folder)
        git("switch", "--quiet", "--create", "change")
        yield Template(folder, kept)


def _evaluate(model: str) -> str:
    before = {path.stem for path in Path(".fftdeploy/evidence/triage").glob("*.json")}
    assert run(["eval", TARGET, f"{model}@", "--quiet"]) in {0, 5, 7}
    after = {path.stem for path in Path(".fftdeploy/evidence/triage").glob("*.json")}
    return next(iter(after - before), "")


def _keep_apart(folder: Path) -> None:
    """Move evidence and logs out of the repository: a pull request brings what it brings."""
    apart = folder.parent / "made"
    shutil.copytree(folder / ".fftdeploy", apart)
    shutil.rmtree(folder / ".fftdeploy" / "evidence")
    shutil.rmtree(folder / ".fftdeploy" / "runs")


def bring(made: Path, evidence: str) -> Path:
    """Put evidence that was made elsewhere into the working directory."""
    name = f"evidence/triage/{evidence}.json"
    path = Path(".fftdeploy") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(made / name, path))


class Change:
    """A working copy of the repository, and what a pull request does to it."""

    def __init__(self, made: Template, folder: Path, command: Command) -> None:
        self.made, self.folder, self.command = made, folder, command

    def edit(self, old: str, new: str, file: Path = FILE) -> "Change":
        text = file.read_text()
        assert old in text, (old, text)
        file.write_text(text.replace(old, new, 1))
        return self

    def drop(self, pattern: str) -> "Change":
        """Take what `pattern` finds out of the deployments file."""
        text = FILE.read_text()
        assert re.search(pattern, text), (pattern, text)
        FILE.write_text(re.sub(pattern, "", text))
        return self

    def release(self, model: str = V10, *, live: bool = True, **more: Any) -> "Change":
        """Put a release on top of production, and its model into the line."""
        given = {"n": 4, "via": "staging", "why": "x", "at": STORY_NOW, **more}
        number = given.pop("n")
        new = row(number, model, **given)
        text = FILE.read_text()
        head, mark, tail = text.partition("[triage.production]\n")
        if live:
            tail = tail.replace(f'model = "{V8}"', f'model = "{model}"', 1)
        tail = tail.replace("releases = [\n", f"releases = [\n  {new},\n", 1)
        FILE.write_text(head + mark + tail)
        return self

    def promote(self, model: str, evidence: str, **more: Any) -> "Change":
        """Promote by hand, with evidence that was made elsewhere."""
        bring(self.made.folder.parent / "made", evidence)
        return self.release(model, evidence=evidence, **more)

    def good(self, **more: Any) -> "Change":
        return self.promote(V10, self.made.evidence["pass"], **more)

    def base(self, act: Callable[["Change"], object]) -> "Change":
        """Change what `main` has, before the pull request parts from it."""
        git("switch", "--quiet", "main")
        act(self)
        commit("main")
        git("switch", "--quiet", "change")
        git("merge", "--quiet", "--ff-only", "main")
        return self

    def restore(self) -> "Change":
        """Take back what was not committed."""
        git("checkout", "--quiet", "--", ".")
        return self

    def empty(self) -> "Change":
        """Empty all evidence."""
        for path in Path(".fftdeploy/evidence").rglob("*.json"):
            path.write_text("")
        return self

    def judged(self, *flags: str) -> tuple[int, list[str]]:
        done = self.command("check", "--base", "main", "--offline", "--json", *flags)
        document = json.loads(done.out)
        found = [f["code"] for f in document.get("findings", []) if f["severity"] == "error"]
        return done.code, found or [document.get("error", {}).get("code", "")]
