"""Runs the shell steps of a workflow's job or of a composite action as GitHub's runner does.

`uses:` steps are left out: the checkout is the folder that a test has made.  Python, pip, `gh`
and, where a test wants it, `fftdeploy` are played by `double.py`, which writes down who called
it, with what, and which secrets it could see.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import forked
import yaml
from checkout import ROOT

ACTION = (ROOT / "action.yml").read_text(encoding="utf-8")
SHIPPED = {
    "action.yml": ACTION,
    **{path.name: path.read_text("utf-8") for path in sorted(ROOT.glob("docs/workflows/*.yml"))},
}
PULL_REQUEST = SHIPPED["pull-request.yml"]

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_DOUBLE = Path(__file__).with_name("double.py")
_FFTDEPLOY = f'#!/bin/sh\nexec {sys.executable} -P -m fftdeploy "$@"\n'


@dataclass
class Ran:
    """What became of one step."""

    name: str
    code: int
    out: str


@dataclass
class Runner:
    """One job of one run; `contexts` holds what expressions such as `github.sha` are worth."""

    folder: Path
    checkout: Path
    contexts: dict[str, str]
    environ: dict[str, str] = field(default_factory=dict)
    is_real: bool = False
    """Whether the fftdeploy of this checkout answers, or its double."""

    def __post_init__(self) -> None:
        self.temp, self.bin = self.folder / "temp", self.folder / "bin"
        self.summary = self.folder / "summary.md"
        for made in (self.temp, self.bin, self.folder / "venv"):
            made.mkdir(parents=True)
        self.summary.touch()
        names = [self.bin / "python3", self.bin / "gh", self.folder / "venv/pip"]
        if self.is_real:
            _executable(self.folder / "venv/fftdeploy", _FFTDEPLOY)
            self.environ["PYTHONPATH"] = forked.path()
        else:
            names.append(self.folder / "venv/fftdeploy")
        for name in names:
            _executable(name, f"#!{sys.executable} -IS\n{_DOUBLE.read_text(encoding='utf-8')}")

    def run(self, steps: list[dict[str, Any]]) -> list[Ran]:
        """Run the steps in order; after a failure only those that ask for it."""
        ran: list[Ran] = []
        for step in steps:
            failed = any(each.code for each in ran)
            if "run" not in step or not self._is_due(str(step.get("if", "")), failed=failed):
                continue
            ran.append(self._run(step, len(ran)))
        return ran

    def _is_due(self, condition: str, *, failed: bool) -> bool:
        expression = condition.removeprefix("${{").removesuffix("}}").strip()
        is_asked = not failed or "cancelled()" in expression
        return is_asked and self.value(expression or "true") == "true"

    def _run(self, step: dict[str, Any], number: int) -> Ran:
        script, output = self.folder / f"step{number}.sh", self.folder / f"output{number}"
        script.write_text(step["run"])
        output.touch()
        flags = ["--noprofile", "--norc", "-eo", "pipefail"] if step.get("shell") else ["-e"]
        done = subprocess.run(
            ["bash", *flags, script],
            cwd=self.checkout,
            env=self._environ() | self._step_environ(step) | {"GITHUB_OUTPUT": str(output)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for name, value in _outputs(output.read_text()).items():
            self.contexts[f"steps.{step.get('id')}.outputs.{name}"] = value
        return Ran(step["name"], done.returncode, done.stdout + done.stderr)

    def _environ(self) -> dict[str, str]:
        secret = ("OPENAI_API_KEY", "GH_TOKEN")
        kept = {name: value for name, value in os.environ.items() if name not in secret}
        return {
            **kept,
            **self.environ,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "ana",
            "GITHUB_SHA": self.contexts["github.sha"],
            "GITHUB_REPOSITORY": self.contexts["github.repository"],
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temp),
            "DOUBLE": str(self.folder),
        }

    def _step_environ(self, step: dict[str, Any]) -> dict[str, str]:
        return {name: self.filled(str(value)) for name, value in step.get("env", {}).items()}

    def filled(self, text: str) -> str:
        """Return `text` with its expressions replaced by what they are worth."""
        return _EXPRESSION.sub(lambda found: self.value(found[1].strip()), text)

    def value(self, expression: str) -> str:
        """Return what an expression is worth; only what the workflows here use is known."""
        if "||" in expression:
            values = [self.value(part.strip()) for part in expression.split("||")]
            return next((value for value in values if value), "")
        if "&&" in expression:
            values = [self.value(part.strip()) for part in expression.split("&&")]
            return next((value for value in values if value != "true"), "true")
        if operator := next((each for each in ("==", "!=") if each in expression), ""):
            left, right = (self.value(part.strip()) for part in expression.split(operator))
            return str((left == right) is (operator == "==")).lower()
        if expression[0] == "'":
            return expression.strip("'")
        if expression in {"true", "!cancelled()"}:
            return "true"
        absent = {expression: ""} if expression.startswith("steps.") else {}
        return (absent | self.contexts)[expression]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Who was called, in order: `name`, `argv`, `cwd`, the secrets seen and the body sent."""
        log = self.folder / "calls.jsonl"
        return [json.loads(row) for row in log.read_text().splitlines()] if log.exists() else []

    def typed(self, name: str) -> list[str]:
        """Return the arguments of every call of one program, as one would type them."""
        return [shlex.join(call["argv"]) for call in self.calls if call["name"] == name]


def steps_of(text: str, job: str = "") -> list[dict[str, Any]]:
    """Return the steps of a composite action, or of one job of a workflow."""
    document = yaml.safe_load(text)
    found: list[dict[str, Any]] = (document["jobs"][job] if job else document["runs"])["steps"]
    return found


def with_inputs(text: str, contexts: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return `contexts` with the inputs of an action: what is given, else the default."""
    filled = dict(contexts)
    for name, declared in yaml.safe_load(text)["inputs"].items():
        default = declared["default"].replace("${{ github.token }}", contexts["github.token"])
        filled[f"inputs.{name}"] = given.get(name, default)
    return filled


def _outputs(text: str) -> dict[str, str]:
    """Read a GITHUB_OUTPUT file: `name=value`, or `name<<mark`, lines of the value, `mark`."""
    found, rows = {}, iter(text.splitlines())
    for row in rows:
        name, _, mark = row.partition("<<")
        if mark:
            found[name] = "\n".join(iter(rows.__next__, mark))
        else:
            name, _, found[name] = row.partition("=")
    return found


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
