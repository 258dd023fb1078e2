"""What leaves the process: all of a document or a code that says not, and one line on a signal."""

import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import FileIO
from pathlib import Path

import forked
import pytest
from command_line import PROGRAM
from scenes import V8, V9, past, write

TARGET = "triage/production"
PAGE = 4096
UNBUFFERED, BUFFERED = {"PYTHONUNBUFFERED": "1"}, {"PYTHONUNBUFFERED": ""}
WAYS = [
    # a command that prints more than a pipe of one page takes, its environment, what writes do
    pytest.param(argv, environ, blocks, id=f"{' '.join(argv)}-{environ}-{blocks}")
    for argv, environ, blocks in (
        (("history", "--json"), UNBUFFERED, True),
        (("history", "--json"), UNBUFFERED, False),
        (("history", "--json"), BUFFERED, False),
        (("history",), UNBUFFERED, False),
        (("history", "--format", "github"), UNBUFFERED, False),
    )
]


@pytest.fixture(autouse=True)
def releases(repo: Path) -> None:
    write(past(TARGET, *[V8, V9] * 40))


@contextmanager
def started(
    argv: tuple[str, ...], environ: Mapping[str, str], *, blocks: bool
) -> Iterator[tuple[subprocess.Popen[bytes], FileIO]]:
    """Start the console script on a pipe of one page, which nobody has read from yet."""
    end, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PAGE)
    os.set_blocking(writer, blocks)
    with FileIO(end) as reader:
        process = subprocess.Popen(
            [PROGRAM, *argv], stdout=writer, stderr=subprocess.PIPE, env={**os.environ, **environ}
        )
        os.close(writer)
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            yield process, reader
        finally:
            watchdog.cancel()
            process.kill()
            process.communicate()


def is_full(reader: FileIO) -> bool:
    """Wait until the process has filled the pipe: it has more to write than fits."""
    waiting = bytearray(4)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        fcntl.ioctl(reader, termios.FIONREAD, waiting)
        if int.from_bytes(waiting, sys.byteorder) == PAGE:
            return True
        time.sleep(0.005)
    return False


@cache
def whole(argv: tuple[str, ...]) -> bytes:
    """Return all that a command prints."""
    environ = {**os.environ, "PYTHONPATH": forked.path()}
    done = subprocess.run([PROGRAM, *argv], capture_output=True, env=environ, check=True)
    assert len(done.stdout) > PAGE
    return done.stdout


@pytest.mark.parametrize(("argv", "environ", "blocks"), WAYS)
def test_J9_a_slow_reader_gets_all_of_it(
    argv: tuple[str, ...], environ: dict[str, str], blocks: bool
) -> None:
    with started(argv, environ, blocks=blocks) as (process, reader):
        assert is_full(reader)
        process.send_signal(signal.SIGSTOP)  # ends the write that is under way, short
        process.send_signal(signal.SIGCONT)
        got = reader.readall()
        code = process.wait(30)

    assert (code, got == whole(argv)) == (0, True), len(got)


@pytest.mark.parametrize(("argv", "environ", "blocks"), WAYS)
def test_J9_a_reader_that_leaves_in_mid_document(
    argv: tuple[str, ...], environ: dict[str, str], blocks: bool
) -> None:
    with started(argv, environ, blocks=blocks) as (process, reader):
        assert is_full(reader)
        assert len(reader.read(10)) == 10
        reader.close()
        _, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        (("history", "--json"), UNBUFFERED),
        (("history",), BUFFERED),
        (("resolve", TARGET), UNBUFFERED),
        (("--help",), UNBUFFERED),
        (("--version",), BUFFERED),
    ],
)
def test_J9_a_file_that_takes_a_part(
    tmp_path: Path, argv: tuple[str, ...], environ: dict[str, str]
) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"-" * (1024 - 3))  # three bytes fit: the limit counts KiB

    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 1; exec "$@" >>"$FILE"', "-", PROGRAM, *argv],
        capture_output=True,
        # The limit holds for what Python compiles, too, and a part of that is found ever after.
        env={**os.environ, **environ, "FILE": str(file), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )

    assert (done.returncode, file.stat().st_size) == (11, 1024)
    assert done.stderr.splitlines()[0] == b"error: File too large writing to stdout"


def test_J9_control_python_alone_ends_well_with_a_part() -> None:
    code = "import sys; sys.stdout.write('x' * 100_000); sys.stdout.flush()"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=writer)
    os.close(writer)

    with FileIO(reader) as end:
        assert process.wait(30) == 0
        assert len(end.readall()) < 100_000


@contextmanager
def importing(
    argv: list[str], moment: int, stdout: int
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Start a process that says what it imports, and stop reading after so many modules."""
    process = subprocess.Popen(
        argv,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        # Whoever runs the tests in the background ignores it, and what is ignored stays so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no lock in it
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    assert process.stderr is not None
    names: list[str] = []
    while len(names) < moment and (text := process.stderr.readline()):
        names += [text.rpartition("|")[2].strip()] if text.startswith("import time:") else []
    try:
        yield process, names
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def said(process: "subprocess.Popen[str]") -> list[str]:
    """Return the lines on stderr that are not about imports, once the process has ended."""
    assert process.stderr is not None
    lines = process.stderr.read().splitlines()
    process.wait(30)
    return [text for text in lines if not text.startswith("import time:")]


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """A pipe that takes nothing more: a command that prints to it never ends by itself."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while select.select((), (writer,), (), 0)[1]:
        os.write(writer, b"x" * PAGE)
    os.set_blocking(writer, True)
    yield writer
    os.close(writer)
    os.close(reader)


def test_J22_a_signal_during_the_imports_is_one_line(full_pipe: int) -> None:
    argv = [str(PROGRAM), "status", "--offline"]
    done = subprocess.run(
        argv, capture_output=True, text=True, env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        check=True,
    )  # fmt: skip
    names = [text.rpartition("|")[2].strip() for text in done.stderr.splitlines() if "|" in text]
    # Before this module Python itself starts, which nobody else can look after.
    first = names.index("fftdeploy.cli.signals") + 2
    moments = [first + at * (len(names) - first) // 8 for at in range(9)]
    ends: Counter[int] = Counter()

    for at, moment in enumerate(moments):
        number = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[at % 3]
        with importing(argv, moment, full_pipe) as (process, seen):
            process.send_signal(number)
            lines = said(process)
        assert lines == [f"error: stopped by {number.name}; nothing was changed"], seen[-1]
        assert process.returncode == 128 + number
        ends[process.returncode] += 1

    print(f"J22: {len(moments)} moments, {dict(ends)}, 0 tracebacks")


def test_J22_F8_json_is_one_document_even_then() -> None:
    argv = [str(PROGRAM), "status", "--offline", "--json"]
    with importing(argv, 60, subprocess.PIPE) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert said(process) == ["error: stopped by SIGTERM; nothing was changed"]
        assert process.stdout is not None
        document = process.stdout.read()

    assert '"schema": "fftdeploy.status/1"' in document
    assert '"exit_code": 143' in document


@pytest.mark.parametrize("argv", [("history",), ("history", "--json")], ids=" ".join)
def test_J22_J9_a_signal_ends_a_command_that_nobody_reads(argv: tuple[str, ...]) -> None:
    with started(argv, BUFFERED, blocks=True) as (process, reader):
        assert is_full(reader)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (143, b"error: stopped by SIGTERM; nothing was changed\n")


def test_J22_control_python_alone_prints_a_traceback() -> None:
    code = "import asyncio, http.server, email.mime.text, concurrent.futures, sqlite3, unittest"
    with importing([sys.executable, "-c", code], 100, subprocess.PIPE) as (process, _):
        process.send_signal(signal.SIGINT)
        assert any(text.startswith("Traceback") for text in said(process))
