"""The writer, killed and refused by the kernel at every system call it makes."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import fftdeploy
from fftdeploy import files

SOURCES = Path(fftdeploy.__file__).parents[1]
HEAD = f"""
import json, os, signal, sys
sys.path.insert(0, {str(SOURCES)!r})
from pathlib import Path
from fftdeploy.files import disk
from fftdeploy import files
from fftdeploy.errors import FftdeployError
file, new = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
"""
WRITER = (
    HEAD
    + """
class Stopped(BaseException):
    pass

def stop(number, frame):
    raise Stopped(number)

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, stop)
state, error, code = files.Replaced(), None, 0
snapshot = files.read(file, root=file.parent)
try:
    os.write(2, b"MARK-BEGIN")
    files.replace(snapshot, new, state=state)
    os.write(2, b"MARK-END")
except FftdeployError as failure:
    error, code = failure, failure.outcome.exit_code
except Stopped as stopped:
    code = 128 + stopped.args[0]
said = {"done": state.done, "error": "", "message": "", "changed": ""}
if error:
    said |= {"error": type(error).__name__, "message": error.message, "changed": error.changed}
print(json.dumps(said), flush=True)
os._exit(code)
"""
)
CREATOR = (
    HEAD
    + """
os.write(2, b"MARK-BEGIN")
files.create(file, new, root=file.parent.parent)
os.write(2, b"MARK-END")
"""
)
IN_PLACE = (
    HEAD
    + """
os.write(2, b"MARK-BEGIN")
with file.open("wb", buffering=0) as place:
    place.write(new[: len(new) // 2])
    place.write(new[len(new) // 2 :])
os.write(2, b"MARK-END")
"""
)
OLD = b'version = 1\n\n[triage.production]\nmodel = "ft:old"\n'
EDITS = {
    "small": OLD.replace(b"ft:old", b"ft:new"),
    "large": OLD + b"".join(b"# a row of the history %06d\n" % n for n in range(20_000)),
}


class Point(NamedTuple):
    """The `nth` call of `name` since the process began."""

    name: str
    nth: int


@cache
def _why_not() -> str:
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "strace may not trace here"


@pytest.fixture
def bench(tmp_path: Path) -> "Bench":
    if reason := _why_not():
        pytest.skip(reason)
    return Bench(tmp_path)


class Bench:
    """A folder with one deployments.toml and a writer process that is traced."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "repo" / files.NAME
        self.file.parent.mkdir()
        self.log = folder / "log"
        self.new = folder / "new"

    def run(
        self, script: str, trace: str, inject: str = "", *, old: bytes | None = OLD, new: bytes
    ) -> "subprocess.CompletedProcess[bytes]":
        self.new.write_bytes(new)
        self.file.unlink(missing_ok=True)
        if old is not None:
            self.file.write_bytes(old)
        fault = ["-e", f"inject={inject}"] if inject else []
        return subprocess.run(
            [
                *("strace", "-f", "-qq", "-o", str(self.log)),
                *("-e", f"trace={trace}", *fault),
                *(sys.executable, "-S", "-B", "-E", "-c", script, str(self.file), str(self.new)),
            ],
            capture_output=True,
            check=False,
            timeout=30,
        )

    def points(self, script: str, *, old: bytes | None = OLD, new: bytes) -> list[Point]:
        """Every system call between the two marks."""
        self.run(script, "all", old=old, new=new)
        counts: dict[str, int] = {}
        points: list[Point] = []
        inside = False
        for line in self.log.read_text(errors="replace").splitlines():
            called = re.match(r"\d+ +(\w+)\(", line)
            if called is None:
                continue
            counts[called[1]] = counts.get(called[1], 0) + 1
            if '"MARK-END"' in line:
                break
            if inside:
                points.append(Point(called[1], counts[called[1]]))
            inside = inside or '"MARK-BEGIN"' in line
        return points

    def killed(self, script: str, point: Point, *, old: bytes | None = OLD, new: bytes) -> None:
        """Kill the writer just before `point`; prove that it got there and not to the end."""
        name, nth = point
        result = self.run(script, name, f"{name}:signal=SIGKILL:when={nth}", old=old, new=new)
        assert (result.returncode, result.stderr) == (-9, b"MARK-BEGIN"), point

    def listing(self) -> list[str]:
        return sorted(entry.name for entry in self.file.parent.iterdir())


@pytest.mark.parametrize("edit", EDITS)
def test_A1_killed_at_every_system_call(bench: Bench, edit: str) -> None:
    new = EDITS[edit]
    points = bench.points(WRITER, new=new)
    torn, helpless = [], []

    for point in points:
        bench.killed(WRITER, point, new=new)
        if bench.file.read_bytes() not in {OLD, new}:
            torn.append(point)
        files.replace(files.read(bench.file, root=bench.file.parent), new)
        if (bench.file.read_bytes(), bench.listing()) != (new, [files.NAME]):
            helpless.append(point)

    print(f"{len(points)} points, {len(torn)} torn, {len(helpless)} needing help")
    assert len(points) >= 24
    assert (torn, helpless) == ([], [])


def test_A1_control_a_writer_in_place_is_torn(bench: Bench) -> None:
    new = EDITS["small"]
    torn = 0

    for point in bench.points(IN_PLACE, new=new):
        bench.killed(IN_PLACE, point, new=new)
        torn += bench.file.read_bytes() not in {OLD, new}

    assert torn > 0


def test_A1_a_new_file_is_whole_or_absent(bench: Bench) -> None:
    new = EDITS["small"]
    points = bench.points(CREATOR, old=None, new=new)

    for point in points:
        bench.killed(CREATOR, point, old=None, new=new)
        assert not bench.file.exists() or bench.file.read_bytes() == new
        files.create(bench.file, new, root=bench.file.parent)
        assert (bench.file.read_bytes(), bench.listing()) == (new, [files.NAME])

    print(f"{len(points)} points, 0 torn, 0 needing help")


def test_A2_killed_in_the_middle_of_the_write(tmp_path: Path) -> None:
    file, new = tmp_path / files.NAME, tmp_path / "new"
    new.write_bytes(EDITS["large"])
    file.write_bytes(OLD)
    script = (
        HEAD
        + """
write = os.write
states = []
for part in range(24):
    if not (child := os.fork()):
        def half(fd, data):
            write(fd, data[: len(data) * part // 24])
            os.kill(os.getpid(), signal.SIGKILL)
        os.write = half
        files.replace(files.read(file, root=file.parent), new)
    status = os.waitpid(child, 0)[1]
    states.append((status, file.read_bytes() == Path(sys.argv[3]).read_bytes()))
print(json.dumps(states))
"""
    )
    old = tmp_path / "old"
    old.write_bytes(OLD)

    result = subprocess.run(
        [sys.executable, "-S", "-c", script, str(file), str(new), str(old)],
        capture_output=True,
        check=True,
    )

    assert json.loads(result.stdout) == [[9, True]] * 24
    files.replace(files.read(file, root=tmp_path), b"version = 1\n")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [files.NAME, "new", "old"]


def _is_wrong(said: dict[str, object], content: bytes, new: bytes) -> bool:
    """Judge what a run claims about the file against what the file holds."""
    if said["error"]:
        return bool(said["changed"]) != (content == new) or content not in {OLD, new}
    return content != new


def test_A13_refused_at_every_kind_of_system_call(bench: Bench) -> None:
    new = EDITS["small"]
    points = {point.name: point for point in reversed(bench.points(WRITER, new=new))}
    points |= {"fsync of the folder": Point("fsync", points["fsync"].nth + 1)}
    tried, wrong, after_the_rename, controls = 0, [], 0, 0

    for name, nth in points.values():
        for reason in ("EIO", "ENOSPC", "EINTR", "EACCES"):
            result = bench.run(WRITER, name, f"{name}:error={reason}:when={nth}", new=new)
            said, content = json.loads(result.stdout), bench.file.read_bytes()
            tried += 1
            as_usual = reason != "EINTR" or (result.returncode, content) == (0, new)  # A12
            if _is_wrong(said, content, new) or not as_usual:
                wrong.append((name, reason, said))
            if said["changed"]:
                after_the_rename += 1
                controls += _is_wrong(said | {"changed": ""}, content, new)
            # Only the fault on the removal itself may leave the temporary behind.
            assert name == "unlinkat" or bench.listing() == [files.NAME], (name, reason)
            files.replace(files.read(bench.file, root=bench.file.parent), new)
            assert (bench.file.read_bytes(), bench.listing()) == (new, [files.NAME])

    print(f"{tried} injections, {len(wrong)} wrong claims, {after_the_rename} after the rename")
    assert tried >= 24
    assert wrong == []
    assert controls == after_the_rename > 0


@pytest.mark.parametrize(
    ("inject", "error", "message", "changed"),
    [
        pytest.param(
            "write:error=ENOSPC:when=2",
            "DiskError",
            "no space left on device writing FILE; deployments.toml unchanged",
            "",
            id="A7-no-space",
        ),
        pytest.param(
            "write:error=EDQUOT:when=2",
            "DiskError",
            "disk quota exceeded writing FILE; deployments.toml unchanged",
            "",
            id="A7-quota",
        ),
        pytest.param(
            "fsync:error=EIO:when=1",
            "DiskError",
            "input/output error writing FILE; deployments.toml unchanged",
            "",
            id="A8-fsync-is-not-asked-twice",
        ),
        pytest.param(
            "renameat:error=EPERM",
            "DiskError",
            "operation not permitted writing FILE; deployments.toml unchanged",
            "",
            id="A10-rename",
        ),
        pytest.param(
            "fsync:error=EIO:when=2",
            "DiskError",
            "input/output error after replacing FILE",
            "deployments.toml WAS changed; it may not survive a power cut",
            id="A11-folder",
        ),
        pytest.param(
            "flock:error=ENOLCK",
            "ConflictError",
            "this file system has no working locks (no locks available): FOLDER",
            "",
            id="A30-ENOLCK",
        ),
        pytest.param(
            "flock:error=EOPNOTSUPP",
            "ConflictError",
            "this file system has no working locks (operation not supported): FOLDER",
            "",
            id="A30-ENOTSUP",
        ),
        pytest.param(
            "flock:error=EBADF",
            "ConflictError",
            "this file system has no working locks (bad file descriptor): FOLDER",
            "",
            id="A30-EBADF",
        ),
    ],
)
def test_refused(bench: Bench, inject: str, error: str, message: str, changed: str) -> None:
    name = inject.partition(":")[0]

    result = bench.run(WRITER, name, inject, new=EDITS["small"])

    folder = str(bench.file.parent)
    message = message.replace("FILE", str(bench.file)).replace("FOLDER", folder)
    assert json.loads(result.stdout) == {
        "done": bool(changed),
        "error": error,
        "message": message,
        "changed": changed,
    }
    assert bench.file.read_bytes() == (EDITS["small"] if changed else OLD)
    assert bench.listing() == [files.NAME]
    if inject == "fsync:error=EIO:when=1":
        assert bench.log.read_text().count("fsync(") == 1


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize(("call", "done"), [("fchmod", False), ("renameat", True)])
def test_A14_stopped_by_a_signal(
    bench: Bench, signal: str, code: int, call: str, done: bool
) -> None:
    result = bench.run(WRITER, call, f"{call}:signal={signal}:when=1", new=EDITS["small"])

    assert (result.returncode, json.loads(result.stdout)["done"]) == (code, done)
    assert bench.file.read_bytes() == (EDITS["small"] if done else OLD)
    assert bench.listing() == [files.NAME]
