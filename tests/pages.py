"""The generated parts of the documentation; run as a script, it writes them again."""

import contextlib
import io
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fftdeploy import errors
from fftdeploy.cli.app import run
from fftdeploy.sandbox import STORY_NOW, Sandbox

ROOT = Path(__file__).parent.parent
COMMANDS = (
    *("init", "demo", "sandbox", "models", "status", "check", "promote", "rollback"),
    *("history", "adopt", "hold", "unhold", "resolve", "schema"),
)
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_PORT = re.compile(r"127\.0\.0\.1:\d+")


def cli_page() -> str:
    """Return `docs/reference/cli.md`: the help of every command, as the terminal shows it."""
    parts = ["# Commands\n", "Written by `python tests/pages.py` from `--help`.\n"]
    for name in ["", *COMMANDS]:
        words = [*name.split(), "--help"]
        title = f"## `fftdeploy {name}`" if name else "## `fftdeploy`"
        parts.append(f"{title}\n\n```text\n{_help(words)}```\n")
    return "\n".join(parts)


def exit_codes_page() -> str:
    """Return `docs/reference/exit-codes.md`."""
    rows = "\n".join(
        f"| {o.exit_code} | `{o.name}` | {o.meaning} | {o.action} | {o.retry} |"
        for o in errors.OUTCOMES
    )
    return f"""# Exit codes

Written by `python tests/pages.py` from `fftdeploy/errors.py`.

| exit | outcome | meaning | CI should | `retry` in the JSON |
|---|---|---|---|---|
{rows}
| 129, 130, 141, 143 | | stopped by a signal or a closed pipe; says what state things are in | | |

The first failing step wins, cheap ones first: 2, 3, 6, 10, then 4 or 9, 8, 11. `check` and
`status --fail-on` look at everything and exit 3 before 12 before 10 before 9 before 0.
"""


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


def tour(readme: str) -> str:
    """Return the README with the output of every `console` block as it is now.

    The commands run in one new git repository, against a sandbox whose clock is the story's.
    """
    with story() as (folder, environ):
        return _BLOCK.sub(lambda found: _run_block(found[1], folder, environ), readme)


@contextlib.contextmanager
def story() -> Iterator[tuple[Path, dict[str, str]]]:
    """Give a new git repository and an environment that points at a sandbox."""
    with tempfile.TemporaryDirectory() as place, Sandbox(now=lambda: STORY_NOW) as server:
        home, folder = Path(place, "home"), Path(place, "support")
        home.mkdir()
        folder.mkdir()
        Path(home, ".gitconfig").write_text(
            "[user]\n\tname = Ana\n\temail = ana@acme.example\n[init]\n\tdefaultBranch = main\n",
            encoding="utf-8",
        )
        environ = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": server.key,
            "FFTDEPLOY_NOW": STORY_NOW.isoformat(),
            "GIT_AUTHOR_DATE": STORY_NOW.isoformat(),
            "GIT_COMMITTER_DATE": STORY_NOW.isoformat(),
            "TERM": "dumb",
            "COLUMNS": "100",
        }
        subprocess.run(["git", "init", "--quiet"], cwd=folder, env=environ, check=True)
        yield folder, environ


def _run_block(block: str, folder: Path, environ: dict[str, str]) -> str:
    shown = [
        f"{line}\n{_run_line(line.removeprefix('$ '), folder, environ)}"
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    return "```console\n" + "".join(shown) + "```"


def _run_line(line: str, folder: Path, environ: dict[str, str]) -> str:
    screen, terminal = pty.openpty()
    with subprocess.Popen(
        shlex.split(line),
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown = _read_all(screen)
    code = f"(exit {process.returncode})\n" if process.returncode else ""
    return _PORT.sub("127.0.0.1:8089", shown) + code


def _read_all(screen: int) -> str:
    """Return what was written to a terminal until its last writer closed it."""
    parts = []
    # At the end Linux says EIO where others say nothing.
    with os.fdopen(screen, "rb", buffering=0) as stream, contextlib.suppress(OSError):
        while part := stream.read(65536):
            parts.append(part)
    return b"".join(parts).decode().replace("\r\n", "\n")


PAGES = {"docs/reference/cli.md": cli_page, "docs/reference/exit-codes.md": exit_codes_page}

if __name__ == "__main__":
    for path, page in PAGES.items():
        Path(ROOT, path).write_text(page(), encoding="utf-8")
    readme = Path(ROOT, "README.md")
    readme.write_text(tour(readme.read_text(encoding="utf-8")), encoding="utf-8")
