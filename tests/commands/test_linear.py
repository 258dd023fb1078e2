"""J16: what a command does is linear in the rows of the file, counted and not timed.

A count is of calls made and of lines run in this package.  The step from 2n to 4n rows holds
twice as many rows as the step from n to 2n, and a command that is linear does twice as much in
it, whatever it does once.
"""

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from command_line import Command
from scenes import FT, POLICY_FILE, V8, V9, hold, row, table, write, write_profile

import fftdeploy
from fftdeploy.releases.records import Target
from fftdeploy.sandbox import STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("repo")

SMALL = 20  # a multiple of four: some halve it twice
COUNTED = (str(Path(fftdeploy.__file__).parent), __file__, "<string>")  # that is dataclasses'
PRODUCTION = "triage/production"
MOST = 2.05
OFFLINE = (
    ("status", "--offline", "--json", "--fail-on", "hand-edit,no-rollback"),
    ("check", "--offline"),
    ("history",),
)


def steps(work: Callable[[], object]) -> int:
    """Count the lines and calls of `work` in this thread."""
    count = 0

    def trace(frame: FrameType, _event: str, _value: Any) -> Any:
        nonlocal count
        count += 1
        return trace if frame.f_code.co_filename.startswith(COUNTED) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def growth(made: Callable[[int], object], work: Callable[[], object]) -> float:
    """Return how much more is done in the step to 4n rows than in that to 2n: 2 is linear."""
    made(SMALL)
    work()  # what is imported and built once is there
    counts = []
    for size in (SMALL, 2 * SMALL, 4 * SMALL):
        made(size)
        counts.append(steps(work))
    return (counts[2] - counts[1]) / (counts[1] - counts[0])


def model(number: int) -> str:
    return f"{FT}v{number:05}:Id{number:05}"


def rows(size: int, name: Callable[[int], str] = model) -> list[str]:
    """Write `size` releases, newest first, made a minute apart."""
    return [row(n, name(n), at=made_at(n)) for n in range(size, 0, -1)]


def made_at(n: int) -> datetime:
    return STORY_NOW - timedelta(days=2) + timedelta(minutes=n)


def file(size: int, releases: list[str], *holds: str, live: str = "", profile: str = "") -> None:
    """Write a target with a past, and one beside it to compare it with."""
    past = table(PRODUCTION, live or model(size), releases, holds, profile)
    write(past, table("triage/staging", V8, [row(1, V8)]))


def many_models(size: int) -> None:
    file(size, rows(size))


def one_model(size: int) -> None:
    file(size, rows(size, lambda _: V9), live=V9)


def ways_back(size: int) -> None:
    back = [row(n, model(n), at=made_at(n), via="rollback", to=n - 2) for n in range(size, 2, -1)]
    file(size, [*back, *rows(2)])


def many_holds(size: int) -> None:
    file(size, rows(size), *(hold(model(n)) for n in range(size - 1, 0, -1)))


def ended_holds(size: int) -> None:
    file(size, rows(size), *(hold(model(1), until=STORY_NOW) for _ in range(size)))


def held_releases(size: int) -> None:
    holds = (hold(V9, release=n) for n in range(size, 0, -1))
    file(size, rows(size, lambda _: V9), *holds, live=V9)


def many_profiles(size: int) -> None:
    for n in range(1, size + 1):
        write_profile(f"p{n}")
    releases = [row(n, model(n), f"p{n}", at=made_at(n)) for n in range(size, 0, -1)]
    file(size, releases, profile=f"p{size}")


def out_of_order(size: int) -> None:
    file(size, [row(n, model(n), at=made_at(-n)) for n in range(size, 0, -1)])


def many_targets(size: int) -> None:
    targets = [
        table(f"t{n:05}/{environment}", V9, [row(2, V9), row(1, model(n))])
        for n in range(size // 2)
        for environment in ("staging", "production")
    ]
    tasks = "".join(f'[tasks.t{n:05}]\nowner = "o{n}"\n' for n in range(size // 2))
    write(*targets, policy=f'version = 1\norder = ["staging", "production"]\n{tasks}')


def many_environments(size: int) -> None:
    names = [f"e{n:05}" for n in range(size)]
    rules = "".join(f'[environments.{name}]\nsoak = "1h"\n' for name in names)
    order = ", ".join(f'"{name}"' for name in names)
    targets = [table(f"triage/{name}", V9, [row(2, V9), row(1, V8)]) for name in names]
    write(*targets, policy=f"version = 1\norder = [{order}]\n{rules}")


PASTS = (
    many_models,
    one_model,
    ways_back,
    many_holds,
    ended_holds,
    held_releases,
    many_profiles,
    out_of_order,
)


@pytest.mark.parametrize("argv", OFFLINE, ids=lambda argv: argv[0])
@pytest.mark.parametrize("made", [*PASTS, many_targets, many_environments])
def test_J16_a_command_is_linear(
    command: Command, made: Callable[[int], None], argv: tuple[str, ...]
) -> None:
    assert growth(made, lambda: command(*argv)) < MOST


OTHERS: dict[str, tuple[Any, ...]] = {
    "diff": (many_models, "diff", "staging", "production"),
    "diff-holds": (many_holds, "diff", "staging", "production"),
    "diff-targets": (many_targets, "diff", "staging", "production"),
    "diff-environments": (many_environments, "diff", "triage"),
    "history-at": (many_targets, "history", "--at", "2026-10-20"),
    "scan": (many_models, "scan", "--json"),
    "resolve": (many_holds, "resolve", PRODUCTION, "--json"),
    "adopt": (many_models, "adopt", "triage/staging", "--dry-run"),
    "hold": (many_holds, "hold", PRODUCTION, V9, "--why", "no", "--dry-run"),
    "unhold": (held_releases, "unhold", PRODUCTION, V9, "--why", "fine", "--dry-run"),
    "globs": (many_targets, "status", "--offline", "*/production"),
    "markdown": (many_models, "history", "--format", "markdown"),
    "github": (out_of_order, "check", "--offline", "--format", "github"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_J16_so_is_every_other_one(command: Command, name: str) -> None:
    made, *argv = OTHERS[name]
    assert growth(made, lambda: command(*argv)) < MOST


def based(made: Callable[[int], None]) -> Callable[[int], None]:
    """Commit half of a file as `old`, and write the whole of it."""

    def write_both(size: int) -> None:
        POLICY_FILE.unlink(missing_ok=True)
        made(size // 2)
        for argv in ("add -A", "commit -qm old --allow-empty", "branch -f old"):
            subprocess.run(["git", *argv.split()], check=True)
        made(size)

    return write_both


@pytest.mark.parametrize("argv", ["check --offline --base old", "diff old"])
@pytest.mark.parametrize("made", [many_models, ways_back, held_releases, many_targets])
def test_J16_and_what_compares_with_git(
    command: Command, made: Callable[[int], None], argv: str
) -> None:
    assert growth(based(made), lambda: command(*argv.split())) < MOST


@pytest.mark.parametrize(
    "argv", ["status", "check", "check --probe", "rollback production --dry-run"]
)
def test_J16_and_what_asks(sandbox: Sandbox, command: Command, argv: str) -> None:
    """Every model but the oldest is unknown to the API, so that all of them are asked about."""

    def made(size: int) -> None:
        past = rows(size)[:-1]
        write(table(PRODUCTION, model(size), [*past, row(1, V8)]))

    assert growth(made, lambda: command(*argv.split())) < MOST


def test_J16_a_promotion_is_linear(sandbox: Sandbox, command: Command) -> None:
    argv = ("promote", PRODUCTION, "--from", "staging", "--dry-run")
    assert growth(many_models, lambda: command(*argv)) < MOST


PLANTED = {
    "holds": (
        "hold_on",
        lambda target, bundle, now: next(
            (h for h in target.holds if h.is_active(now) and h.model == bundle.model), None
        ),
    ),
    "origins": ("origin", lambda target, release: min(r.n for r in (*target.releases, release))),
}


@pytest.mark.parametrize("name", PLANTED)
def test_J16_control_what_looks_at_every_row_again_is_seen(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Target, *PLANTED[name])

    assert growth(many_holds, lambda: command(*OFFLINE[0])) > MOST + 0.05
