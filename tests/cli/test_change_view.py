"""A change as a terminal shows it: a few lines, short names, and the step that comes next."""

from collections.abc import Callable

import pytest
from scenes import POLICY, RETIRED, V6, V7, V8, V9, V10, hold, past, row, table, write
from terminal import screen

from fftdeploy.sandbox import Sandbox

NAME = "triage/production"


@pytest.fixture(autouse=True)
def environ(sandbox: Sandbox, repo: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")


def shown(line: str, columns: int = 80, encoding: str = "utf-8") -> list[str]:
    """Return what is shown below the line that says which API is asked."""
    code, text = screen(line.split(), columns, encoding=encoding)
    assert code == 0, text
    return [row for row in text.splitlines() if not row.startswith("API: ")]


def rolled_back() -> None:
    write(past(NAME, V6, V7, RETIRED, V9, V8, holds=[hold(V9)]), policy=POLICY)


def edited() -> None:
    write(table(NAME, V9, [row(2, V8), row(1, V7)]))


SCREENS: dict[str, tuple[Callable[[], object], str, str]] = {
    "rollback": (
        rolled_back,
        f"rollback {NAME} --yes",
        """\
triage/production  triage-v8 → triage-v7  release 6, back to release 2
  passed over      #4 on hold, #3 not ready
  ✓ ready          shuts down 2027-01-14 (54 days)
  holds            triage-v8
changed deployments.toml (3 lines)
next: git add deployments.toml && git commit""",
    ),
    "adopt": (
        edited,
        f"adopt {NAME} --why INC-88 --yes",
        """\
triage/production  triage-v9  release 3, records what is live
  ✓ ready          shuts down 2027-01-14 (54 days)
  why              INC-88
changed deployments.toml (1 line)   next: git add deployments.toml && git commit""",
    ),
    "hold": (
        edited,
        f"hold {NAME} {V10} --until 2026-12-24 --why INC-88 --yes",
        """\
note: no target has ft:gpt-4.1-mini-2025-04-14:acme:triage-v10:DeFg0 yet
triage/production  hold on triage-v10  until 2026-12-24 00:00Z
  why              INC-88
changed deployments.toml (3 lines)
next: git add deployments.toml && git commit""",
    ),
    "hand edit": (
        edited,
        f"promote {NAME} --model {V10} --yes",
        """\
triage/production  triage-v9 → triage-v10  release 4
  note: what is live was not recorded: release 3 records it
  ✓ ready          shuts down 2027-01-14 (54 days)
changed deployments.toml (3 lines)
next: git add deployments.toml && git commit""",
    ),
}


@pytest.mark.parametrize("name", SCREENS)
def test_each_change_says_what_it_makes_in_a_few_lines(name: str) -> None:
    scene, line, expected = SCREENS[name]
    scene()

    assert "\n".join(shown(line)) == expected


def test_a_narrow_terminal_and_one_without_our_marks() -> None:
    write(past("triage/staging", V8, V9), past(NAME, V7))

    rows = shown(f"promote {NAME} --from staging --yes", 40, "ascii")

    *fitted, following = rows
    assert (rows[0], rows[-2]) == (
        "triage/production  triage-v7 ->",
        "changed deployments.toml (2 lines)",
    )
    assert max(map(len, fitted)) <= 40
    assert following == "next: git add deployments.toml && git commit"
    assert "".join(rows).isascii()
