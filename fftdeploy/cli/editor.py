"""A text in the editor of the person at the terminal."""

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_NAME = "reference.txt"


class EditorError(Exception):
    """The editor gave nothing that can be used; the text says why, in one line."""


def edit(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` as the person has changed it.

    The file is theirs alone, in a folder of its own that goes with whatever the editor leaves
    there.  A line end that the editor has put at the end is taken off again.

    Raises:
        EditError: No editor is named, it did not start or failed, or the text is empty,
            unchanged, or not UTF-8.
    """
    program = _program(environ)
    with tempfile.TemporaryDirectory(prefix="fftdeploy-") as folder:
        path = Path(folder, _NAME)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="utf-8", newline="") as stream:
            stream.write(text if text.endswith("\n") or not text else f"{text}\n")
        _run([*program, str(path)])
        try:
            edited = path.read_bytes().decode()
        except UnicodeDecodeError:
            raise EditorError("the text is not UTF-8") from None
        except OSError as error:
            raise EditorError(f"the text is gone: {error.strerror}") from None
    if not text.endswith("\n"):
        edited = edited.removesuffix("\n").removesuffix("\r")
    if not edited.strip():
        raise EditorError("the text is empty")
    if edited == text:
        raise EditorError("the text is unchanged")
    return edited


def _program(environ: Mapping[str, str]) -> list[str]:
    for variable in ("VISUAL", "EDITOR"):
        if named := environ.get(variable, "").strip():
            try:
                return shlex.split(named)
            except ValueError:
                raise EditorError(f"{variable} is no command line: {named!a}") from None
    raise EditorError("no editor is named: set VISUAL or EDITOR")


def _run(argv: Sequence[str]) -> None:
    """Run the editor on our terminal; Ctrl-C is the editor's while it runs."""
    try:
        process = subprocess.Popen(argv)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "") or "not a command"
        raise EditorError(f"{argv[0]!a} did not start: {reason}") from None
    with process, _interrupts_ignored():
        try:
            code = process.wait()
        except BaseException:  # we are told to stop: nobody would read what is typed now
            process.terminate()
            raise
    if code:
        raise EditorError(f"{argv[0]!a} ended with {code}")


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
