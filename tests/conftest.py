"""Every test starts from the same environment, and none may leave this machine."""

import gc
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import forked
import hints
import pytest
import typer
from command_line import Command, Result
from evaluating import Haste
from proposals import Change, Template, template

from fftdeploy.api.asking import Clock
from fftdeploy.api.client.connection import Connection
from fftdeploy.cli import completion
from fftdeploy.cli.app import app, run
from fftdeploy.commands import context
from fftdeploy.evaluation.running import online
from fftdeploy.evaluation.running.throttle import Throttle
from fftdeploy.sandbox import STORY_NOW, Sandbox

# As the console script has it: thousands of commands run in one process here.
gc.freeze()
gc.set_threshold(50_000)
_MEMORY, _ROOM = Path("/dev/shm"), 4 * 1024**3  # noqa: S108  pytest makes a folder of its own
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
    # Thousands of files are flushed: on a disk that others use, that is half a minute.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
LISTED: set[str] = set()
"""The hints and next lines that other processes of this run typed."""
_PREFIXES = ("OPENAI_", "FFTDEPLOY_", "GITHUB_", "GITLAB_", "GIT_")
_NAMES = {"CI", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "PYTHONIOENCODING"}
# Images for containers set these two: users keep output back, and bytecode.
_NAMES |= {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_PREFIXES) or name in _NAMES or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `git init` makes: hundreds of tests begin with a copy of it."""
    folder = tmp_path_factory.mktemp("empty")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    argv = ["git", "init", "--quiet", "--template=", "--initial-branch=main"]
    subprocess.run(argv, cwd=folder, env=environ, check=True)
    return folder


@pytest.fixture
def repo(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty git repository with an identity, which is the working directory."""
    home, folder = tmp_path / "home", tmp_path / "repo"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ana\n\temail = ana@acme.example\n[init]\n\tdefaultBranch = main\n"
    )
    monkeypatch.setenv("HOME", str(home))
    shutil.copytree(empty, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(params=["sdk", "plain"])
def over(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have each `Connection` of a test go over one of the two clients, and name it."""
    defaults: Any = Connection.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "is_plain", request.param == "plain")
    return str(request.param)


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A running sandbox, its clock and ours at the story's moment; a module's `WORLD` is in it."""
    world = getattr(request.module, "WORLD", None)
    with Sandbox(world, now=lambda: STORY_NOW) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", server.key)
        monkeypatch.setenv("FFTDEPLOY_NOW", STORY_NOW.isoformat())
        yield server


@pytest.fixture(autouse=True, scope="session")
def commands_built_once() -> Iterator[None]:
    """Keep what Typer builds of the command line: hundreds of runs share one process here."""
    build = typer.main.get_command
    built: dict[tuple[int, bool], Any] = {}

    def get_command(asked: typer.Typer) -> Any:
        if asked is not app:
            return build(asked)
        key = len(app.registered_commands), completion.VARIABLE in os.environ
        if key not in built:
            built[key] = build(app)
        return built[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", get_command)
        yield


@pytest.fixture(autouse=True, scope="session")
def hints_collected() -> Iterator[None]:
    """Have every hint and next line of a command of this process collected."""
    with pytest.MonkeyPatch.context() as patch:
        hints.collect(patch)
        yield


@pytest.fixture(autouse=True)
def hints_typed(hints_collected: None) -> Iterator[None]:
    """Fail a test that provokes a hint or next line which can't be typed as it stands."""
    yield
    hints.type_collected()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        # A worker can send no half of a surrogate pair, and a hint may quote one.
        output["hints"] = sorted(ascii(hint) for hint in hints.listed())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    LISTED.update(getattr(node, "workeroutput", {}).get("hints", ()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lines = sorted(LISTED | {*map(ascii, hints.listed())})
    terminalreporter.write_line(f"{len(lines)} hints and next lines were typed (-vv lists them)")
    if terminalreporter.verbosity > 1:
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time pass only while somebody waits, and then at once."""
    slept: list[float] = []
    clock = Clock(lambda: STORY_NOW, lambda: sum(slept), slept.append)
    monkeypatch.setattr(context, "system_clock", lambda: clock)


@pytest.fixture
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run wait for nothing between its requests, not even after an outage."""
    time = Haste()
    hasty = partial(Throttle, clock=time.clock, sleep=time.sleep)
    monkeypatch.setattr(online, "Throttle", hasty)
    defaults: Any = online.Execution.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "sleep", time.sleep)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """Run one command line in this process and return how it ended."""

    def run_command(*argv: object) -> Result:
        capfd.readouterr()
        code = run([str(word) for word in argv])
        return Result(code, *capfd.readouterr())

    return run_command


@pytest.fixture
def forked_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the console scripts of a test begin with everything imported; see `forked`."""
    monkeypatch.setenv("PYTHONPATH", forked.path())


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """The repository that `change` copies; nobody writes to it."""
    with template(tmp_path_factory.mktemp("template")) as found:
        yield found


@pytest.fixture
def change(
    made: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> Change:
    """A pull request in the making, in the working directory; there is no API to ask."""
    folder = tmp_path / "repo"
    shutil.copytree(made.folder, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(made.folder.parent / "home"))
    monkeypatch.setenv("FFTDEPLOY_NOW", STORY_NOW.isoformat())
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    return Change(made, folder, command)
