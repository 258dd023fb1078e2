"""Run git: detached from the terminal, offline, in an environment of our choice, to an end."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fftdeploy.errors import DiskError, UnansweredError, UsageError

TIMEOUT_S = 5.0
QUIET = ("--no-pager",)
LITERAL = "--literal-pathspecs"
INERT = (
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.untrackedCache=false"),
)
_KEPT = (
    *("HOME", "LANG", "LANGUAGE", "TMPDIR", "XDG_CONFIG_HOME", "EMAIL"),
    *("GIT_CEILING_DIRECTORIES", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM"),
)


def run(
    folder: Path,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    timeout_s: float,
    *,
    detached: bool = True,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """Run git to its end, or to ours.

    A detached child has a session of its own, so that it and what it has started can be ended
    together; a commit stays in the terminal's, where signing may have to ask.

    Raises:
        UsageError: There is no git.
        UnansweredError: It took longer than `timeout_s`.
    """
    command = (executable(environ), "-C", str(folder), *arguments)
    return ended(command, environ, timeout_s, detached=detached, stdin=stdin)


def ended(
    command: Sequence[str],
    environ: Mapping[str, str],
    timeout_s: float,
    *,
    detached: bool = True,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, or to ours, as `run` does git.

    Raises:
        UsageError: It cannot be run.
        UnansweredError: It took longer than `timeout_s`.
    """
    name = os.path.basename(command[0])  # noqa: PTH119  as in `executable`
    try:
        child = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=detached,
        )
    except OSError as error:
        raise UsageError(f"{name} cannot be run: {error.strerror}") from error
    with child:
        try:
            out, err = child.communicate(stdin or None, timeout=timeout_s)
        except BaseException as error:
            _end(child, detached)
            if isinstance(error, subprocess.TimeoutExpired):
                raise UnansweredError(f"{name} did not answer in {timeout_s:g} s") from error
            raise
    return subprocess.CompletedProcess(command, child.returncode, out, err)


def ask(
    folder: Path,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    timeout_s: float = TIMEOUT_S,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """Put a question to git, which starts nothing that the repository's configuration names."""
    command = (*QUIET, *INERT, *arguments)
    return run(folder, command, question_environ(environ), timeout_s, stdin=stdin)


def must(folder: Path, arguments: Sequence[str], environ: Mapping[str, str], limit: float) -> None:
    """Run git where it has to succeed, within `limit` seconds.

    Raises:
        DiskError: It did not.
    """
    try:
        answer = run(folder, (*QUIET, LITERAL, *arguments), environ, limit, detached=False)
    except UsageError as error:
        raise DiskError(error.message, hint=error.hint) from error
    if answer.returncode:
        words = last_line(answer.stderr) or last_line(answer.stdout) or "no reason given"
        raise DiskError(f"git {arguments[0]} failed: {words}")


def executable(environ: Mapping[str, str], name: str = "git") -> str:
    """Find a program on the absolute part of PATH: an empty entry would run the checkout's."""
    for folder in absolute_path(environ).split(os.pathsep):
        candidate = os.path.join(folder, name)  # noqa: PTH118  PATH is text
        if folder and os.path.isfile(candidate) and os.access(candidate, os.X_OK):  # noqa: PTH113  as above
            return candidate
    raise UsageError(f"there is no {name} on PATH", hint=f"install {name}")


def absolute_path(environ: Mapping[str, str]) -> str:
    """Return the folders of PATH that do not depend on the working directory."""
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if os.path.isabs(folder))  # noqa: PTH117  PATH is text


def question_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for questions: nothing that redirects git, or sends it anywhere."""
    kept = {
        name: value for name, value in environ.items() if name in _KEPT or name.startswith("LC_")
    }
    fixed = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    # In a partial clone a mere question would fetch what is missing.
    offline = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
    original = {"GIT_NO_REPLACE_OBJECTS": "1"}  # what a commit has, nothing put in its place
    return kept | fixed | offline | original | {"PATH": absolute_path(environ)}


def last_line(output: bytes) -> str:
    """Return the last line that says something, fit for a message."""
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    text = lines[-1].strip() if lines else ""
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def _end(child: subprocess.Popen[bytes], detached: bool) -> None:
    if detached:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        return
    child.terminate()  # git removes its lock files on this one
    try:
        child.wait(2.0)
    except subprocess.TimeoutExpired:
        child.kill()
