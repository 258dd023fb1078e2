"""Reading, finding and replacing files: links, modes, mounts, colleagues and power cuts."""

import errno
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

import fftdeploy
from fftdeploy import files, names
from fftdeploy.errors import ConfigError, ConflictError, DiskError, FftdeployError
from fftdeploy.files import disk
from fftdeploy.files.disk import lock_owner

OLD = b'version = 1\n\n[triage.production]\nmodel = "ft:old"\n'
NEW = OLD.replace(b"ft:old", b"ft:new")
HEAD = f"""
import fcntl, json, os, sys, time
sys.path.insert(0, {str(Path(fftdeploy.__file__).parents[1])!r})
from pathlib import Path
from fftdeploy.files import disk
from fftdeploy import files
from fftdeploy.errors import ConflictError, DiskError
file = Path(sys.argv[1])
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and owners need root")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "repo" / files.NAME
    file.parent.mkdir()
    file.write_bytes(OLD)
    return file


@pytest.fixture
def spawn() -> "Iterator[Callable[..., subprocess.Popen[bytes]]]":
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str, *arguments: object, wrap: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        words = [*wrap, sys.executable, "-S", "-c", HEAD + script, *map(str, arguments)]
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()


def read(file: Path) -> files.Snapshot:
    return files.read(file, root=file.parent)


def listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def said(error: FftdeployError, folder: Path) -> tuple[str, str]:
    return type(error).__name__, error.message.replace(str(folder), "DIR")


# --- finding and reading ---------------------------------------------------------------------


def test_B14_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        files.read(tmp_path / files.NAME, root=tmp_path)

    assert said(error.value, tmp_path) == ("ConfigError", "no such file: DIR/deployments.toml")
    assert (error.value.code, listing(tmp_path)) == ("missing", [])


def test_B16_at_most_8_mib(file: Path) -> None:
    full = b"#" * names.MAX_FILE_BYTES
    file.write_bytes(full)
    assert read(file).data == full
    file.write_bytes(full + b"#")

    with pytest.raises(ConfigError, match=r"is larger than 8 MiB$"):
        read(file)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(path.parent, os.O_RDONLY)  # an address is at most 107 bytes long
        try:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(os.mkfifo, id="A27-fifo"),
        pytest.param(os.mkdir, id="A27-directory"),
        pytest.param(
            _socket,
            id="A27-socket",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="binds through /proc"),
        ),
        pytest.param(
            lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5)),
            id="A27-device",
            marks=root_only,
        ),
    ],
)
def test_irregular_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / files.NAME)

    with pytest.raises(ConfigError) as error:
        files.read(tmp_path / files.NAME, root=tmp_path)

    what = "a folder" if (tmp_path / files.NAME).is_dir() else "not a regular file"
    assert said(error.value, tmp_path) == ("ConfigError", f"DIR/deployments.toml is {what}")


def test_A20_a_link_within_the_repository_stays_a_link(file: Path) -> None:
    (file.parent / "config").mkdir()
    real = file.rename(file.parent / "config" / "live.toml")
    file.symlink_to("config/live.toml")

    files.replace(read(file), NEW)

    assert (str(file.readlink()), real.read_bytes()) == ("config/live.toml", NEW)
    assert (listing(file.parent), listing(real.parent)) == (["config", files.NAME], ["live.toml"])


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        pytest.param("../secret", "is outside of DIR/repo", id="A21-leaves"),
        pytest.param("/proc/self/environ", "is outside of DIR/repo", id="H15-environ"),
        pytest.param("nowhere", "is a link to a file that does not exist", id="A21-dangling"),
        pytest.param(files.NAME, "is a link to itself", id="A21-loop"),
    ],
)
def test_a_link_to_nowhere_good(file: Path, target: str, problem: str) -> None:
    secret = file.parent.parent / "secret"
    secret.write_text("canary")
    file.unlink()
    file.symlink_to(target)

    with pytest.raises(ConfigError) as error:
        read(file)

    assert said(error.value, file.parent.parent) == (
        "ConfigError",
        f"DIR/repo/deployments.toml {problem}",
    )
    assert (secret.read_text(), listing(file.parent)) == ("canary", [files.NAME])


@pytest.mark.parametrize(
    "name",
    ["x" * 255, "with blank", "-rf", b"line\nbreak\xff".decode(errors="surrogateescape")],
    ids=["A29-long", "A29-blank", "A29-dash", "A29-odd"],
)
def test_odd_names(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(OLD)

    files.replace(files.read(file, root=tmp_path), NEW)
    assert (file.read_bytes(), listing(tmp_path)) == (NEW, [name])
    file.unlink()
    with pytest.raises(ConfigError) as error:
        files.read(file, root=tmp_path)
    assert error.value.message.isprintable()


# --- what a replacement keeps ----------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o660, 0o664, 0o755])
def test_A23_mode(file: Path, mode: int, umask: int) -> None:
    file.chmod(mode)
    file.parent.chmod(0o2775)
    before = os.umask(umask)
    try:
        state = files.replace(read(file), NEW)
    finally:
        os.umask(before)

    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert (state.done, state.warnings, file.read_bytes()) == (True, [], NEW)


def test_A22_hard_link(file: Path) -> None:
    other = file.parent / "other"
    os.link(file, other)

    state = files.replace(read(file), NEW)

    assert state.warnings == ["the file has 2 names; the others keep the old content"]
    assert (file.read_bytes(), other.read_bytes()) == (NEW, OLD)


@root_only
def test_A24_owner(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(file, 1000, 1001)

    state = files.replace(read(file), NEW)

    status = file.stat()
    assert (status.st_uid, status.st_gid, state.warnings) == (1000, 1001, [])

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refuse)
    assert files.replace(read(file), OLD).warnings == [
        "the owner 1000:1001 could not be kept: operation not permitted"
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="Python has no such calls elsewhere")
def test_A25_extended_attributes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        os.setxattr(file, "user.t", b"1")
    except OSError:
        pytest.skip("this file system has no user attributes")

    state = files.replace(read(file), NEW)

    assert (os.getxattr(file, "user.t"), state.warnings) == (b"1", [])

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "setxattr", refuse)
    assert files.replace(read(file), OLD).warnings == ["not all extended attributes could be kept"]
    assert file.read_bytes() == OLD


@pytest.mark.parametrize("at_most", [1, 7])
def test_A6_short_writes(file: Path, monkeypatch: pytest.MonkeyPatch, at_most: int) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:at_most]))

    files.replace(read(file), NEW)

    assert file.read_bytes() == NEW


@pytest.mark.parametrize("squatter", ["file", "link", "fifo"])
def test_A26_the_temporary_name_is_taken(file: Path, squatter: str) -> None:
    bashrc, place = file.parent.parent / ".bashrc", file.parent / disk.TEMPORARY
    bashrc.write_text("export PATH\n")
    match squatter:
        case "file":
            place.write_bytes(b"left by a killed run")
        case "link":
            place.symlink_to(bashrc)
        case _:
            os.mkfifo(place)

    files.replace(read(file), NEW)

    assert (file.read_bytes(), listing(file.parent)) == (NEW, [files.NAME])
    assert (bashrc.read_text(), bashrc.stat().st_mode & 0o777) == ("export PATH\n", 0o644)


def test_A26_the_temporary_name_is_a_folder(file: Path) -> None:
    (file.parent / disk.TEMPORARY).mkdir()

    with pytest.raises(ConfigError, match=r"^a folder named .fftdeploy-new is in the way$"):
        files.replace(read(file), NEW)

    assert (file.read_bytes(), listing(file.parent)) == (OLD, [disk.TEMPORARY, files.NAME])


def test_A34_tmpdir_does_not_matter(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nonexistent")

    assert files.replace(read(file), NEW).done


# --- what stops one ---------------------------------------------------------------------------


def _delete(file: Path) -> None:
    file.unlink()


def _save_beside(file: Path) -> None:
    (file.parent / "swap").write_bytes(b"theirs")
    (file.parent / "swap").rename(file)


def _save_in_place(file: Path) -> None:
    file.write_bytes(b"theirs")


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("during", ["plan", "confirm"])
@pytest.mark.parametrize(
    ("act", "then"),
    [
        pytest.param(_save_beside, b"theirs", id="C3-beside"),
        pytest.param(_save_in_place, b"theirs", id="C3-in-place"),
        pytest.param(_delete, None, id="A28-deleted"),
        pytest.param(_fifo, None, id="A28-fifo"),
    ],
)
def test_changed_underneath(
    file: Path, act: Callable[[Path], None], then: bytes | None, during: str
) -> None:
    snapshot = read(file)
    if during == "plan":
        act(file)

    with pytest.raises(ConflictError, match="changed underneath; nothing was written over it"):
        files.replace(snapshot, NEW, confirm=lambda: act(file) if during == "confirm" else None)

    assert then is None or file.read_bytes() == then
    assert disk.TEMPORARY not in listing(file.parent)


def test_a_folder_swapped_underneath(file: Path) -> None:
    snapshot = files.read(file, root=file.parent.parent)
    file.parent.rename(file.parent.parent / "moved")
    (file.parent.parent / "evil").mkdir()
    file.parent.symlink_to("evil")

    with pytest.raises(ConflictError):
        files.replace(snapshot, NEW)

    assert listing(file.parent.parent / "evil") == []


def test_an_equal_file_in_its_place_is_no_conflict(file: Path) -> None:
    snapshot = read(file)
    file.unlink()
    file.write_bytes(OLD)

    assert files.replace(snapshot, NEW).done


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), MemoryError(), ConflictError("no"), SystemExit(1)], ids=repr
)
def test_A32_an_exception_before_the_rename_leaves_nothing(
    file: Path, error: BaseException
) -> None:
    state = files.Replaced()

    def confirm() -> None:
        raise error

    with pytest.raises(type(error)):
        files.replace(read(file), NEW, confirm=confirm, state=state)

    assert (state.done, file.read_bytes(), listing(file.parent)) == (False, OLD, [files.NAME])


def test_A14_an_exception_just_after_the_rename_is_known(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, rename = files.Replaced(), os.rename

    def stopped(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        files.replace(read(file), NEW, state=state)

    assert (state.done, file.read_bytes(), listing(file.parent)) == (True, NEW, [files.NAME])


def test_A16_read_only_file(file: Path) -> None:
    file.chmod(0o444)

    with pytest.raises(DiskError) as error:
        files.check_writable(read(file))

    assert said(error.value, file.parent) == (
        "DiskError",
        "DIR/deployments.toml is read-only (mode 0444); nothing was changed",
    )


def _as_nobody() -> list[str]:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    package = Path(files.__file__)
    if subprocess.run([*nobody, "test", "-r", package], check=False).returncode:
        pytest.skip("another user cannot read this checkout")
    return nobody


PREFLIGHT = """
try:
    files.check_writable(files.read(file, root=file.parent))
    print("writable")
except DiskError as error:
    print(error)
"""


@root_only
@pytest.mark.parametrize("who", ["nobody", "root without capabilities"])
def test_A15_folder_not_writable(
    file: Path, spawn: Callable[..., "subprocess.Popen[bytes]"], who: str
) -> None:
    nobody = _as_nobody()
    wrap = nobody if who == "nobody" else ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    uid = 65534 if who == "nobody" else 0
    file.chmod(0o666)
    file.parent.chmod(0o555)
    for above in file.parent.parents:
        if above.stat().st_mode & 0o077 == 0 and above != Path("/"):
            above.chmod(0o755)

    out, err = spawn(PREFLIGHT, file, wrap=wrap).communicate(timeout=20)

    message = f"the folder {file.parent} is not writable by uid {uid}; nothing was changed\n"
    assert (out.decode(), err) == (message, b"")


PROBLEM = """
print(disk.folder_problem(file.parent, ("a", "b")) or "none")
"""


@root_only
@pytest.mark.parametrize("locked", ["", "a", "a/b"])
def test_A15_a_folder_where_nothing_could_be_made_is_found_early(
    file: Path, spawn: Callable[..., "subprocess.Popen[bytes]"], locked: str
) -> None:
    _as_nobody()
    wrap = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    folder = file.parent / locked
    folder.mkdir(parents=True, exist_ok=True)

    said = []
    for mode in (0o755, 0o555):
        folder.chmod(mode)
        out, err = spawn(PROBLEM, file, wrap=wrap).communicate(timeout=20)
        said.append((out.decode(), err))
    folder.chmod(0o755)

    assert said == [("none\n", b""), ("the folder is not writable by uid 0\n", b"")]


@cache
def _can_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


REPLACE = """
try:
    snapshot = files.read(file, root=file.parent)
    files.replace(snapshot, snapshot.data + b"#" * int(sys.argv[2]))
    print("replaced")
except DiskError as error:
    print(error)
print(sorted(os.listdir(file.parent)), file.stat().st_size)
"""


@pytest.mark.parametrize(
    ("mount", "script", "expected"),
    [
        pytest.param(
            'mount -t tmpfs -o size=8k none "$D" && cp "$S" "$D/deployments.toml"',
            REPLACE,
            "no space left on device writing FILE; deployments.toml unchanged\n"
            f"['deployments.toml'] {len(OLD)}\n",
            id="A7-full-disk",
        ),
        pytest.param(
            'mount -t tmpfs none "$D" && cp "$S" "$D/deployments.toml" && mount -o remount,ro "$D"',
            PREFLIGHT,
            "FILE is on a read-only file system; nothing was changed\n",
            id="A17-read-only-file-system",
        ),
        pytest.param(
            'cd "$D" && cp "$S" deployments.toml && mount --bind deployments.toml deployments.toml',
            REPLACE,
            "FILE is a mount point and cannot be replaced; it is unchanged\n"
            f"['deployments.toml'] {len(OLD)}\n",
            id="A19-bind-mount",
        ),
    ],
)
def test_mounts(
    file: Path,
    spawn: Callable[..., "subprocess.Popen[bytes]"],
    mount: str,
    script: str,
    expected: str,
) -> None:
    if not _can_mount():
        pytest.skip("mounting needs root and unshare")
    folder = file.parent.parent / "mounted"
    folder.mkdir()
    place = folder / files.NAME
    shell = f'D="{folder}"; S="{file}"; {mount} && exec "$@"'

    out, err = spawn(
        script, place, 100_000, wrap=["unshare", "-m", "sh", "-ec", shell, "sh"]
    ).communicate(timeout=20)

    assert (out.decode(), err) == (expected.replace("FILE", str(place)), b"")


@root_only
def test_A18_immutable_file(file: Path) -> None:
    if shutil.which("chattr") is None:
        pytest.skip("chattr is not installed")
    if subprocess.run(["chattr", "+i", file], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        with pytest.raises(DiskError, match=r"^operation not permitted writing .* unchanged$"):
            files.replace(read(file), NEW)
        with pytest.raises(DiskError, match=r"is not writable by uid 0; nothing was changed$"):
            files.check_writable(read(file))
    finally:
        subprocess.run(["chattr", "-i", file], check=True)

    assert (file.read_bytes(), listing(file.parent)) == (OLD, [files.NAME])


# --- colleagues --------------------------------------------------------------------------------

HOLD = """
folder = os.open(file.parent, os.O_RDONLY)
fcntl.flock(folder, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who holds a lock")
def test_C4_C5_lock_owner_stopped_and_then_killed(
    file: Path, spawn: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    holder = spawn(HOLD, file)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    holder.send_signal(signal.SIGSTOP)

    with pytest.raises(ConflictError) as error:
        files.replace(read(file), NEW, lock_wait_s=0.1)

    assert (error.value.code, file.read_bytes()) == ("locked", OLD)
    message = error.value.message
    assert message.startswith(f"{file.parent} is locked by ")
    if f"pid {holder.pid} on {os.uname().nodename}, running since 20" not in message:
        pytest.fail(message)
    assert sys.executable in message
    holder.kill()
    holder.wait()
    assert files.replace(read(file), NEW, lock_wait_s=5).done


@pytest.mark.parametrize(
    ("locks", "expected"),
    [
        ("", "another process"),
        ("\x00\xff garbage\n1: FLOCK\n", "another process"),
        ("1: FLOCK ADVISORY WRITE evil 08:01:7 0 EOF\n", "another process"),
        ("1: FLOCK ADVISORY WRITE 4711 08:01:7 0 EOF\n", "pid 4711 on HOST"),
        ("1: -> FLOCK ADVISORY WRITE 4711 08:01:7 0 EOF\n", "another process"),
    ],
    ids=lambda text: f"C6-{text[:30]!a}",
)
def test_rubbish_about_the_holder_only_shortens_the_message(
    tmp_path: Path, locks: str, expected: str
) -> None:
    (tmp_path / "locks").write_text(locks, encoding="latin-1")
    folder = os.stat_result((0o40755, 7, os.makedev(8, 1), 2, 0, 0, 0, 0, 0, 0))

    words = lock_owner(folder, tmp_path)

    assert words == expected.replace("HOST", os.uname().nodename)


def test_C6_the_holders_command_is_printable_and_short(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("1: FLOCK ADVISORY WRITE 4711 08:01:7 0 EOF\n")
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711" / "stat").write_text("4711 (a) b) rubbish")
    (tmp_path / "4711" / "cmdline").write_bytes(b"evil\0\x1b[31m\0" + b"x" * 500)
    folder = os.stat_result((0o40755, 7, os.makedev(8, 1), 2, 0, 0, 0, 0, 0, 0))

    words = lock_owner(folder, tmp_path)

    assert words == f"pid 4711 on {os.uname().nodename}, evil ?[31m {'x' * 109}"


WRITE_25 = """
me, locked = int(sys.argv[2]), sys.argv[3] == "locked"
def edit(data):
    lines = data.split(b"\\n")
    lines[me] = b"%d" % (int(lines[me]) + 1)
    return b"\\n".join(lines)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    while True:
        snapshot = files.read(file, root=file.parent)
        if not locked:
            beside = file.with_name(f"new-{me}")
            beside.write_bytes(edit(snapshot.data))
            beside.rename(file)
            break
        try:
            files.replace(snapshot, edit(snapshot.data), lock_wait_s=60)
            break
        except ConflictError as error:
            assert error.code == "conflict", error
"""


def _race(file: Path, how: str) -> int:
    """Let 8 processes count to 25, each on a line of its own; return how many counts are lost."""
    file.write_bytes(b"\n".join([b"0"] * 8))
    words = [sys.executable, "-S", "-c", HEAD + WRITE_25, str(file)]
    racers = [
        subprocess.Popen([*words, str(me), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for me in range(8)
    ]
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.readline()
    codes = []
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate(timeout=60)
        codes.append(racer.returncode)
    assert codes == [0] * 8
    return 200 - sum(map(int, file.read_bytes().split()))


def test_C1_C2_eight_writers_lose_nothing(file: Path) -> None:
    lost = _race(file, "locked")

    print(f"200 writes, {lost} lost")
    assert (lost, listing(file.parent)) == (0, [files.NAME])


def test_C2_control_without_the_lock_writes_are_lost(file: Path) -> None:
    assert any(_race(file, "unlocked") > 0 for _ in range(10))


def test_C8_readers_see_old_or_new(file: Path) -> None:
    done = threading.Event()
    seen: list[bytes] = []
    wrong: list[bytes] = []

    def look() -> None:
        while not done.is_set() or not seen:
            data = files.read(file, root=file.parent).data
            seen.append(data) if data in {OLD, NEW} else wrong.append(data)

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for turn in range(100):
            files.replace(read(file), OLD if turn % 2 else NEW)
    finally:
        done.set()
        for reader in readers:
            reader.join()

    print(f"{len(seen) + len(wrong)} reads, {len(wrong)} torn")
    assert wrong == []
    assert len(seen) > 0


# --- new files ---------------------------------------------------------------------------------


def test_create_makes_folders_and_never_overwrites(tmp_path: Path) -> None:
    place = tmp_path / ".fftdeploy" / "evidence" / "triage" / "3f9c.json"

    assert files.create(place, b"{}", root=tmp_path, mode=0o600)
    assert not files.create(place, b"other", root=tmp_path)

    assert (place.read_bytes(), stat.S_IMODE(place.stat().st_mode)) == (b"{}", 0o600)
    assert listing(place.parent) == ["3f9c.json"]


def test_create_does_not_write_through_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "new.toml").symlink_to(tmp_path / "elsewhere")

    assert not files.create(tmp_path / "new.toml", b"x", root=tmp_path)

    assert listing(tmp_path) == ["new.toml"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../x", "DIR/repo/../x is outside of DIR/repo"),
        ("/x", "/x is outside of DIR/repo"),
        (".", "DIR/repo is outside of DIR/repo"),
        (".git/hooks/pre-commit", "DIR/repo/.git/hooks/pre-commit is inside of git's own folder"),
        ("a/.GIT/config", "DIR/repo/a/.GIT/config is inside of git's own folder"),
        ("link/x", "DIR/repo/link/x: a link or a file is where a folder has to be"),
        (
            "deployments.toml/x",
            "DIR/repo/deployments.toml/x: a link or a file is where a folder has to be",
        ),
    ],
    ids=lambda text: f"H7-{text}" if len(text) < 25 else "",
)
def test_H7_create_stays_inside(file: Path, path: str, problem: str) -> None:
    outside = file.parent.parent / "outside"
    outside.mkdir()
    (file.parent / "link").symlink_to(outside)

    with pytest.raises(ConfigError) as error:
        files.create(file.parent / path, b"x", root=file.parent)

    assert said(error.value, file.parent.parent) == ("ConfigError", problem)
    assert (listing(outside), listing(file.parent)) == ([], [files.NAME, "link"])


def test_H7_a_folder_swapped_for_a_link_meanwhile(tmp_path: Path) -> None:
    inside, outside, folder = tmp_path / "repo", tmp_path / "outside", tmp_path / "repo" / "runs"
    folder.mkdir(parents=True)
    outside.mkdir()
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            shutil.rmtree(inside / "aside", ignore_errors=True)
            for step in (
                lambda: folder.rename(inside / "aside"),
                lambda: folder.symlink_to(outside),
                folder.unlink,
                lambda: (inside / "aside").rename(folder),
            ):
                with suppress(OSError):  # the other thread may have made the folder meanwhile
                    step()

    swapper = threading.Thread(target=swap)
    swapper.start()
    made = 0
    try:
        for turn in range(500):
            with suppress(ConfigError, DiskError):
                made += files.create(folder / "a" / str(turn), b"x", root=inside)
    finally:
        done.set()
        swapper.join()

    print(f"500 tried, {made} made, {len(listing(outside))} escaped")
    assert listing(outside) == []


def test_create_where_hard_links_do_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)

    assert files.create(tmp_path / "new.toml", b"x", root=tmp_path)
    assert (listing(tmp_path), (tmp_path / "new.toml").read_bytes()) == (["new.toml"], b"x")


def test_create_says_that_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DiskError) as error:
        files.create(tmp_path / "new.toml", b"x", root=tmp_path)

    assert said(error.value, tmp_path) == (
        "DiskError",
        "input/output error writing DIR/new.toml; it was not made",
    )
    assert listing(tmp_path) == []


# --- power cuts --------------------------------------------------------------------------------

POWER = (
    HEAD
    + """
import shutil, subprocess
variant, nudged = sys.argv[2], sys.argv[3] == "True"
image, mounted = file.parent / "disk.img", file.parent / "mounted"
unrelated, place = mounted / "unrelated", mounted / files.NAME
real = {name: getattr(os, name) for name in ("open", "write", "fchmod", "fsync", "rename")}
old = file.read_bytes()
new = old + b"# a row of the history\\n" * 500

def mount(what):
    command = ["mount", "-o", "loop,noauto_da_alloc", what, mounted]
    if subprocess.run(command, capture_output=True).returncode:
        sys.exit("cannot mount a loop device")

def cut():
    # What the disk has now.  The pages that the kernel has yet to write to it are lost, unless
    # another program has just made it write its journal.
    if nudged:
        fd = real["open"](unrelated, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        real["write"](fd, b"x")
        real["fsync"](fd)
        os.close(fd)
    images.append(file.parent / f"{len(images)}.img")
    shutil.copyfile(image, images[-1])

def watched(name):
    def call(*args, **kwargs):
        cut()
        calls.append(name)
        if name == "fsync" and (variant == "no fsync" or "rename" in calls and variant):
            return None
        return real[name](*args, **kwargs)
    return call

subprocess.run(["truncate", "-s", "6M", image], check=True)
subprocess.run(["mkfs.ext4", "-q", "-b", "1024", image], check=True)
mounted.mkdir()
mount(image)
place.write_bytes(old)
os.sync()
images, calls = [], []
snapshot = files.read(place, root=mounted)
for name in ("write", "fchmod", "fsync", "rename"):
    setattr(os, name, watched(name))
files.replace(snapshot, new)
for name in real:
    setattr(os, name, real[name])
cut()
subprocess.run(["umount", mounted], check=True)
found = []
for one in images:
    mount(one)
    data = place.read_bytes() if place.exists() else b""
    found.append("old" if data == old else "new" if data == new else "torn")
    if found[-1] != "torn":
        files.replace(files.read(place, root=mounted), new)
        assert sorted(os.listdir(mounted)) == [files.NAME, "lost+found", "unrelated"][
            : 2 + unrelated.exists()
        ]
    subprocess.run(["umount", mounted], check=True)
    one.unlink()
print(json.dumps({"images": len(found), "torn": found.count("torn"), "after": found[-1]}))
"""
)


@root_only
@pytest.mark.parametrize(
    ("variant", "nudged", "torn", "after"),
    [
        pytest.param("", False, False, "new", id="A3-A4"),
        pytest.param("", True, False, "new", id="A3-nudged"),
        pytest.param("no fsync", True, True, "torn", id="A3-control-no-fsync"),
        pytest.param("no fsync of the folder", False, False, "old", id="A4-control"),
    ],
)
def test_power_cut(
    file: Path,
    spawn: Callable[..., "subprocess.Popen[bytes]"],
    variant: str,
    nudged: bool,
    torn: bool,
    after: str,
) -> None:
    if not _can_mount() or shutil.which("mkfs.ext4") is None:
        pytest.skip("a disk to cut the power of needs mounts and mkfs.ext4")

    out, err = spawn(POWER, file, variant, nudged, wrap=["unshare", "-m"]).communicate(timeout=60)

    if b"cannot mount" in err:
        pytest.skip("loop devices do not work here")
    result = json.loads(out or err)
    print(f"{variant or 'fftdeploy'}: {result}")
    assert (result["torn"] > 0, result["after"], result["images"] >= 6) == (torn, after, True)
