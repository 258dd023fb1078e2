"""The generated parts of the documentation; run as a script, it writes them again."""

import contextlib
import io
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import forked
from checkout import ROOT

import fftdeploy
from fftdeploy import errors
from fftdeploy.api.providers import Provider
from fftdeploy.cli.app import run
from fftdeploy.evaluation.evidence.evidence import Baseline, Evidence, ExamplesFacts, with_id
from fftdeploy.evaluation.evidence.evidence_folder import recompute
from fftdeploy.evaluation.results import Results, Sample
from fftdeploy.formats import document, keys
from fftdeploy.policy import profiles
from fftdeploy.policy.gate_rules import GATE, Budgets, Floors, GateRules
from fftdeploy.policy.globs import Scan
from fftdeploy.policy.policy import Attestation, Policy, Rules, Task
from fftdeploy.policy.prices import ModelPrice
from fftdeploy.releases.deployments import Bundle, Canary, Hold, Release, Target
from fftdeploy.sandbox import STORY_NOW, Sandbox

COMMANDS = (
    *("init", "demo", "sandbox", "models", "status", "check", "promote", "rollback"),
    "monitor",
    "mcp",
    "migrate",
    *("history", "diff", "adopt", "hold", "unhold", "eval", "size", "verify", "report", "review"),
    *("calibrate", "resolve", "run", "export", "scan", "schema"),
)
EXAMPLE = ("deployments.toml", "fftdeploy.toml", "evals", "profiles")
"""What at the top of this repository is an example of a repository."""

_BLOCK = re.compile(r"```console(| \S+)\n(.*?)```", re.DOTALL)
_PASTED = re.compile(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
_PASTE_END = "the block has ended"
_PORT = re.compile(r"127\.0\.0\.1:\d+")
_VOLATILE = (
    (re.compile(r"^[0-9a-f]{12}$", re.MULTILINE), "ID"),
    (re.compile(r"(?<=evidence )(\s*)[0-9a-f]{12}\b"), r"\1ID"),
    (re.compile(r"(?<=evidence/triage/)[0-9a-f]{32}\b"), "ID"),
    (re.compile(r'(?<=evidence = ")[0-9a-f]{32}\b'), "ID"),
    (re.compile(r"(?<=fftdeploy report )[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\([0-9a-f]{12}\)"), "(COMMIT)"),
    (re.compile(r"(?<=committed as )[0-9a-f]{7,}"), "COMMIT"),
    (re.compile(r"\b[0-9a-f]{12}(?= (pass|fail|inconclusive)\b)"), "ID"),
    (re.compile(r"(?<=fftdeploy-)\w+(?=/)"), "PLACE"),
    (re.compile(r"\b(?:[\d,]+ → )?[\d,]+ ms\b"), "N ms"),
    (re.compile(r"(?<=at once\))\n? +(?=tokens)"), "  "),  # which line has room depends on them
    (re.compile(r"\b(?:under )?1 s\b"), "1 s"),
    (re.compile(r"\b\d+/s\b"), "N/s"),
    (re.compile(r"^[0-9a-f]{12}(?=  )", re.MULTILINE), "ID"),
    (re.compile(r"\breq_0*[0-9a-f]+\b"), "REQUEST"),
)
"""What two runs of the same command print differently: latencies, and so the hashes over them."""


def cli_page() -> str:
    """Return `docs/reference/cli.md`: the help of every command, as the terminal shows it."""
    parts = ["# Commands\n", "Written by `python tests/support/pages.py` from `--help`.\n"]
    for name in ["", *COMMANDS]:
        words = [*name.split(), "--help"]
        title = f"## `fftdeploy {name}`" if name else "## `fftdeploy`"
        parts.append(f"{title}\n\n```text\n{_help(words)}```\n")
    return "\n".join(parts)


_STOPPED = "stopped by a signal, a closed pipe or a person's no; says what state things are in"


def exit_codes_page() -> str:
    """Return `docs/reference/exit-codes.md`."""
    rows = "\n".join(
        f"| {o.exit_code} | `{o.name}` | {o.meaning} | {o.action} | {o.retry} |"
        for o in errors.OUTCOMES
    )
    return f"""# Exit codes

Written by `python tests/support/pages.py` from `fftdeploy/errors.py`.

| exit | outcome | meaning | CI should | `retry` in the JSON |
|---|---|---|---|---|
{rows}
| 129, 130, 141, 143 | | {_STOPPED} | | |

The first failing step wins, cheap ones first: 2, 3, 6, 10, then 4 or 9, 5 or 7, 8, 11. `check` and
`status --fail-on` look at everything and exit 3 before 12 before 10 before 9 before 0.
"""


TABLES: dict[str, Any] = {
    "file": Policy,
    "environment": Rules,
    "task": Task,
    "attestation": Attestation,
    "scan": Scan,
    "gate": GateRules,
    "floors": Floors,
    "budgets": Budgets,
    "price": ModelPrice,
    "target": Target,
    "canary": Canary,
    "release": Release,
    "hold": Hold,
    "profile": profiles.KEYS,
    "provider": Provider,
}
"""What the reference pages have a table of keys of."""


def reference_page(page: str) -> str:
    """Return a reference page with its tables of keys as they are declared."""

    def table(found: re.Match[str]) -> str:
        return "\n".join([found[1], *keys.page(TABLES[found[2]]), "<!-- end -->"])

    return re.sub(r"(<!-- keys: (\w+) -->)\n.*?<!-- end -->", table, page, flags=re.DOTALL)


def _help(words: list[str]) -> str:
    out = io.StringIO()
    before = {name: os.environ.get(name) for name in ("COLUMNS", "TERM")}
    os.environ.update(COLUMNS="100", TERM="dumb")
    try:
        with contextlib.redirect_stdout(out):
            run(words)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


_EXAMPLE_GATE = b"""
[gate]
examples = ["evals/triage.jsonl"]
must_pass = ["edge-case"]
graders = [{ type = "string_check", operation = "eq" }]
"""


def evidence_example() -> tuple[str, str]:
    """Return the ID of a small piece of evidence, and its file."""
    gate = document.parse(_EXAMPLE_GATE, "fftdeploy.toml")
    rules = GATE.read(gate, ("gate",), gate.data["gate"])
    results = Results(repeats=1, slice_keys=(), fields=())
    for example_id, must_pass in (("t-001", True), ("t-002", False), ("t-003", False)):
        results.add_example(example_id, "", (), must_pass=must_pass)
    marks = {"candidate": ("pass", "pass", "wrong"), "live": ("wrong", "pass", "pass")}
    for arm, answers in marks.items():
        column = results.add_arm(arm)
        for place, mark in enumerate(answers):
            latency = 410 + 20 * place + len(mark)
            column.put(place, Sample(mark, (), latency, 29, 0, 31))
    tuned = "ft:gpt-4.1-mini-2025-04-14:acme:triage-"
    lines = b"".join(Path(ROOT, "evals/triage.jsonl").read_bytes().splitlines(keepends=True)[:3])
    bare = Evidence(
        task="triage",
        target="triage/production",
        made_at=STORY_NOW,
        tool=f"fftdeploy {fftdeploy.__version__}",
        address="https://api.openai.com/v1",
        kind="openai",
        answered_by={},
        arms={"candidate": Bundle(f"{tuned}v9:CdEf9"), "live": Bundle(f"{tuned}v8:BbCc8")},
        baseline=Baseline("fresh"),
        examples=ExamplesFacts(
            sha256(lines).hexdigest()[:32],
            (("evals/triage.jsonl", sha256(lines).hexdigest()),),
            *(3, 3, 0),
        ),
        graders=tuple(grader.content for grader in rules.graders),
        gate=rules.content,
        prices=None,
        cache={
            "reuse": True,
            "max_age_s": 604800,
            "answers": {"candidate": 0, "live": 0},
            "oldest": "2026-11-21T08:29:41Z",
        },
        run="triage-20261121T083000Z-5b050a.jsonl",
        candidates=1,
        attempt=1,
        used=1,
        results=results,
        verdict={},
        concurrency=16,
    )
    evidence_id, raw = with_id(replace(bare, verdict=recompute(bare).as_json()))
    return evidence_id, raw.decode()


def evidence_page(page: str) -> str:
    """Return `docs/evidence.md` with its example and the example's ID as they are now."""
    evidence_id, shown = evidence_example()
    page = re.sub(r"(?<=```json\n).*?(?=```)", lambda _: shown, page, count=1, flags=re.DOTALL)
    return re.sub(r"(?<=evidence/triage/)[0-9a-f]{32}(?=\.json)", evidence_id, page)


def tour(page: str, folder: str = ".") -> str:
    """Return a page with the output of every `console` block as it is now.

    The commands run one after the other in a new git repository beside a copy of `EXAMPLE`,
    or in a `folder` seen from there, against a sandbox whose clock is the story's; a block may
    name a later moment after `console`.  An output that differs in nothing but `_VOLATILE` stays
    as it was.
    """
    with story() as shell:
        shell.folder = (shell.folder / folder).resolve()
        return _BLOCK.sub(lambda found: shell.block(found[0], found[1], found[2]), page)


def pasted(page: str) -> str:
    """Return a page with the output of every `sh` block in the `text` block below it.

    The blocks are pasted into one shell, one after the other, in a new folder.
    """
    with fresh_shell() as shell:

        def block(found: re.Match[str]) -> str:
            shown = shell.paste(found[1])
            if found[2] is None or steady(found[2]) == steady(shown):
                return found[0]
            return f"```sh\n{found[1]}```\n\n```text\n{shown}```"

        return _PASTED.sub(block, page)


_CELLS = """
import contextlib, io, json, os, sys

names = {"__name__": "__main__"}
try:
    for cell in json.load(sys.stdin):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec("".join(cell["source"]), names)
        print(json.dumps(printed.getvalue()), flush=True)
except BaseException as error:
    sys.excepthook(type(error), error, error.__traceback__)
    os._exit(1)
"""


def notebook(path: str) -> str:
    """Return a notebook with what its cells print, one after the other, in a fresh process."""
    shown = json.loads(Path(ROOT, path).read_text(encoding="utf-8"))
    cells = [cell for cell in shown["cells"] if cell["cell_type"] == "code"]
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", _CELLS],
            cwd=Path(ROOT, path).parent,
            env=_person(Path(home)),
            input=json.dumps(cells).encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
    for count, (cell, line) in enumerate(zip(cells, done.stdout.splitlines(), strict=True), 1):
        before = "".join(text for output in cell["outputs"] for text in output["text"])
        if steady(before) != steady(json.loads(line)):
            text = json.loads(line).splitlines(keepends=True)
            cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": text}]
        cell["execution_count"] = count
    return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"


def steady(output: str) -> str:
    """Return `output` without what is volatile in it."""
    for pattern, instead in _VOLATILE:
        output = pattern.sub(instead, output)
    return output


@dataclass
class Shell:
    """Runs the lines of `console` blocks; `cd` lasts."""

    folder: Path
    environ: dict[str, str]
    sandbox: Sandbox

    def block(self, before: str, moment: str, lines: str) -> str:
        """Return a block as it is now: `before` where that says the same."""
        if moment:
            self.environ["FFTDEPLOY_NOW"] = moment.strip()
            self.sandbox.set_now(datetime.fromisoformat(moment.strip()))
        shown = [
            f"{line}\n{self.run(line.removeprefix('$ '))}"
            for line in lines.splitlines()
            if line.startswith("$ ")
        ]
        after = f"```console{moment}\n{''.join(shown)}```"
        return before if steady(after) == steady(before) else after

    def run(self, line: str) -> str:
        """Return what a terminal shows of one command, and its exit code where that is not 0."""
        name, *arguments = shlex.split(line)
        if name == "cd":
            self.folder = (self.folder / arguments[0]).resolve()
            return ""
        screen, terminal = pty.openpty()
        with subprocess.Popen(
            [name, *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
        ) as process:
            os.close(terminal)
            shown = _read_all(screen)
        code = f"(exit {process.returncode})\n" if process.returncode else ""
        return _PORT.sub("127.0.0.1:8089", shown) + code


@contextlib.contextmanager
def story() -> Iterator[Shell]:
    """Give a shell in a new git repository, whose environment points at a sandbox."""
    with tempfile.TemporaryDirectory() as place, Sandbox(now=lambda: STORY_NOW) as server:
        home, folder = Path(place, "home"), Path(place, "support")
        home.mkdir()
        folder.mkdir()
        for name in EXAMPLE:
            copy = shutil.copytree if Path(ROOT, name).is_dir() else shutil.copyfile
            copy(Path(ROOT, name), Path(place, name))
        environ = _person(home) | {
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": server.key,
            "FFTDEPLOY_NOW": STORY_NOW.isoformat(),
            "COLUMNS": "100",
        }
        subprocess.run(["git", "init", "--quiet"], cwd=folder, env=environ, check=True)
        yield Shell(folder, environ, server)


class PasteShell:
    """A shell that blocks are pasted into, before a terminal of 80 columns."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.screen, terminal = pty.openpty()
        self.bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,  # what a block leaves running ends with it
        )
        os.close(terminal)

    def paste(self, lines: str) -> str:
        """Return what a terminal shows of the lines of one block."""
        assert self.bash.stdin is not None
        self.bash.stdin.write(f"{lines}echo '{_PASTE_END}'\n".encode())
        self.bash.stdin.flush()
        shown = ""
        while not shown.endswith(f"{_PASTE_END}\r\n"):
            shown += os.read(self.screen, 65536).decode()
        shown = shown.removesuffix(f"{_PASTE_END}\r\n").replace("\r\n", "\n")
        return _PORT.sub("127.0.0.1:8089", shown)

    def close(self) -> None:
        """End the shell, and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.bash.pid, signal.SIGTERM)
        self.bash.communicate()
        os.close(self.screen)


@contextlib.contextmanager
def fresh_shell() -> Iterator[PasteShell]:
    """Give a shell in a new folder, with the console script on its path and a git identity."""
    with tempfile.TemporaryDirectory() as place:
        environ = _person(Path(place)) | {"COLUMNS": "80"}
        shell = PasteShell(Path(place), environ)
        try:
            yield shell
        finally:
            shell.close()


def _person(home: Path) -> dict[str, str]:
    """Return the environment of somebody who has git and the console script."""
    Path(home, ".gitconfig").write_text(
        "[user]\n\tname = Ana\n\temail = ana@acme.example\n[init]\n\tdefaultBranch = main\n",
        encoding="utf-8",
    )
    return {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_AUTHOR_DATE": STORY_NOW.isoformat(),
        "GIT_COMMITTER_DATE": STORY_NOW.isoformat(),
        "LANG": "C.UTF-8",
        "PYTHONPATH": forked.path(),
        "TERM": "dumb",
    }


def _read_all(screen: int) -> str:
    """Return what was written to a terminal until its last writer closed it."""
    parts = []
    # At the end Linux says EIO where others say nothing.
    with os.fdopen(screen, "rb", buffering=0) as stream, contextlib.suppress(OSError):
        while part := stream.read(65536):
            parts.append(part)
    return b"".join(parts).decode().replace("\r\n", "\n")


PASTED = ("docs/tour.md",)
"""The pages of `pasted`."""
TOURS = {"README.md": "..", "docs/pull-requests.md": ".", "docs/refresh.md": "."}
"""The pages of `tour`, and where each begins: in an empty repository, or beside `EXAMPLE`."""
NOTEBOOKS = ("docs/notebooks/promotion.ipynb",)
REFERENCES = ("docs/reference/policy.md", "docs/reference/deployments.md", "docs/providers.md")
PAGES = {"docs/reference/cli.md": cli_page, "docs/reference/exit-codes.md": exit_codes_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        Path(ROOT, name).write_text(page(), encoding="utf-8")
    for name in REFERENCES:
        path = Path(ROOT, name)
        path.write_text(reference_page(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name, folder in TOURS.items():
        path = Path(ROOT, name)
        path.write_text(tour(path.read_text(encoding="utf-8"), folder), encoding="utf-8")
    for name in PASTED:
        path = Path(ROOT, name)
        path.write_text(pasted(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name in NOTEBOOKS:
        Path(ROOT, name).write_text(notebook(name), encoding="utf-8")
    evidence = Path(ROOT, "docs/evidence.md")
    evidence.write_text(evidence_page(evidence.read_text(encoding="utf-8")), encoding="utf-8")
