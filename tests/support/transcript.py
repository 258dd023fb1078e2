"""Wrong inputs and the answers to them, in one file; run as a script, it writes the answers again.

Each case is typed in a repository of its own, which is this one's example with a second task.  What
is said is stderr's, whole, and the exit code.
"""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
from checkout import ROOT

from fftdeploy.cli.app import run
from fftdeploy.sandbox import STORY_NOW, Sandbox

FILE = ROOT / "tests" / "cli" / "wrong_inputs.txt"
EXAMPLE = ("deployments.toml", "fftdeploy.toml", "evals", "profiles")
_OTHER_TASK = """
[tone.staging]
model = "gpt-6-luna"
"""
_REQUEST = re.compile(r"req_[0-9a-f]+")
_PORT = re.compile(r"127\.0\.0\.1:\d{5}\b")


class Group(NamedTuple):
    """Cases of one kind, and all that the file has of them below their heading."""

    heading: str
    text: str

    @property
    def cases(self) -> Iterator[list[str]]:
        """The lines of the shell of each case; the last one is the wrong one."""
        for case in re.split(r"\n\n(?=\$ )", self.text):
            yield [
                line.replace("\n> ", "\n")
                for line in re.findall(r"^\$ (.*(?:\n> .*)*)", case, re.MULTILINE)
            ]


def read() -> Iterator[Group]:
    """Yield what the file has."""
    for part in FILE.read_text().split("\n# ")[1:]:
        heading, _, text = part.partition("\n")
        yield Group(heading, text.strip("\n"))


def repository(folder: Path) -> None:
    """Write what each case begins with, the working directory's identity for git apart."""
    folder.mkdir(parents=True)
    for name in EXAMPLE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    with (folder / "deployments.toml").open("a") as file:
        file.write(_OTHER_TASK)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)


def answered(group: Group, folder: Path) -> str:
    """Type the cases of a group in copies of a repository, and return the new text."""
    begun = folder / "begun"
    if not begun.exists():
        repository(begun)
    return "\n\n".join(_case(lines, begun, folder / "repo") for lines in group.cases)


def _case(lines: list[str], begun: Path, place: Path) -> str:
    shutil.copytree(begun, place, symlinks=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place)
            for line in lines[:-1]:
                _prepare(line, patch)
            code, said = _typed(lines[-1])
    finally:
        shutil.rmtree(place)
    said = _REQUEST.sub("REQUEST", _PORT.sub("127.0.0.1:PORT", said))
    said = said.replace(str(place.parent), "FOLDER")
    shown = ["$ " + line.replace("\n", "\n> ") for line in lines]
    return "\n".join([*shown, f"{said}[{code}]"])


def _prepare(line: str, patch: pytest.MonkeyPatch) -> None:
    match shlex.split(line):
        case ["cd", folder]:
            patch.chdir(folder)
        case ["export", setting]:
            name, _, value = setting.partition("=")
            shown = subprocess.run(["sh", "-c", f'printf %s "{value}"'], check=True, stdout=-1)
            patch.setenv(name, shown.stdout.decode())
        case ["unset", name]:
            patch.delenv(name)
        case _:
            subprocess.run(["sh", "-c", line], check=True)


def _typed(line: str) -> tuple[int, str]:
    """Run a line of ours in this process; return its exit code and stderr."""
    program, *words = shlex.split(line)
    assert program == "fftdeploy", line
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as err:
        code = run(words)
    return code, err.getvalue()


def write() -> None:
    """Write the answers of today into the file; each of them is to be read."""
    opening = FILE.read_text().partition("\n# ")[0].strip("\n")
    with Sandbox(now=lambda: STORY_NOW) as server, tempfile.TemporaryDirectory() as folder:
        home = {"HOME": folder, "FFTDEPLOY_NOW": STORY_NOW.isoformat(), "TERM": "dumb"}
        os.environ.update(home, OPENAI_BASE_URL=server.url, OPENAI_API_KEY=server.key)
        parts = [f"# {one.heading}\n\n{answered(one, Path(folder))}\n" for one in read()]
    FILE.write_text("\n".join([f"{opening}\n", *parts]))


if __name__ == "__main__":
    write()
