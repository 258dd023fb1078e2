"""Random histories of one target against a small model of the contract, written without `plan`.

Every step is a whole command line against a real file and a server on a socket; a model that
has one rule wrong is the control.
"""

import random
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line import Command
from scenes import FILE, V6, V7, V8, V9, row, sha, table, write, write_profile

from fftdeploy.sandbox import Sandbox

NAME = "triage/production"
MODELS = (V6, V7, V8, V9)
PROMPTS = (None, "a", "b")
HISTORIES, CHUNKS, STEPS = 200, 2, 4


class Bundle(NamedTuple):
    model: str
    profile: str | None = None


class Release(NamedTuple):
    n: int
    bundle: Bundle
    to: int | None = None


class Hold(NamedTuple):
    model: str
    release: int | None = None


class State(NamedTuple):
    """What the file says: what is live, releases newest first, active holds as a multiset."""

    live: Bundle
    releases: tuple[Release, ...]
    holds: tuple[Hold, ...]


class Step(NamedTuple):
    command: str
    model: str
    profile: str | None
    n: int


class Rules:
    """What a change is to do; each method returns an exit code and the new state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.dead: set[str] = set()

    def origin(self, n: int, releases: Sequence[Release]) -> int:
        to = next((release.to for release in releases if release.n == n), None)
        return n if to is None else self.origin(to, releases)

    def recorded(self) -> tuple[Release, ...]:
        """The releases with a hand edit on top; an old bundle's return shares its origin."""
        live, releases, _ = self.state
        if releases and releases[0].bundle == live:
            return releases
        same = next((release.n for release in releases if release.bundle == live), None)
        return (Release(self.next(releases), live, same), *releases)

    def next(self, releases: Sequence[Release]) -> int:
        return releases[0].n + 1 if releases else 1

    def is_held(self, bundle: Bundle) -> bool:
        kept = {release.n: release.bundle for release in self.state.releases}
        return any(
            hold.model == bundle.model and (hold.release is None or kept[hold.release] == bundle)
            for hold in self.state.holds
        )

    def set(self, live: Bundle, releases: tuple[Release, ...], *holds: Hold) -> int:
        self.state = State(live, releases, (*holds, *self.state.holds))
        return 0

    def promote(self, step: Step) -> int:
        bundle, releases = Bundle(step.model, step.profile), self.recorded()
        if bundle == self.state.live == (self.state.releases or [Release(0, Bundle(""))])[0].bundle:
            return 0
        if self.is_held(bundle):
            return 6
        if bundle.model in self.dead:
            return 4
        if bundle != self.state.live:
            releases = (Release(self.next(releases), bundle), *releases)
        return self.set(bundle, releases)

    def adopt(self, step: Step) -> int:
        if self.recorded() == self.state.releases:
            return 0
        if self.is_held(self.state.live):
            return 6
        if self.state.live.model in self.dead:
            return 4
        return self.set(self.state.live, self.recorded())

    def candidates(self) -> list[Release]:
        past = self.recorded()
        born = self.origin(past[0].n, past)
        return [release for release in self.state.releases if self.origin(release.n, past) < born]

    def rollback(self, step: Step) -> int:
        for release in self.candidates():
            fine = release.bundle != self.state.live and not self.is_held(release.bundle)
            if fine and release.bundle.model not in self.dead:
                return self.go_back(release)
        return 4

    def rollback_to(self, step: Step) -> int:
        chosen = next((each for each in self.state.releases if each.n == step.n), None)
        if chosen is None:
            return 2
        if chosen.bundle == self.state.live:
            return 0
        if self.is_held(chosen.bundle):
            return 6
        return 4 if chosen.bundle.model in self.dead else self.go_back(chosen)

    def go_back(self, chosen: Release) -> int:
        past, live = self.recorded(), self.state.live
        forward = self.origin(chosen.n, past) > self.origin(past[0].n, past)
        narrow = past[0].n if chosen.bundle.model == live.model else None
        held = [] if forward or self.is_held(live) else [Hold(live.model, narrow)]
        releases = (Release(self.next(past), chosen.bundle, chosen.n), *past)
        return self.set(chosen.bundle, releases, *held)

    def hold(self, step: Step) -> int:
        hold = Hold(step.model)
        return 0 if hold in self.state.holds else self.set(*self.state[:2], hold)

    def unhold(self, step: Step) -> int:
        left = tuple(hold for hold in self.state.holds if hold.model != step.model)
        code = 2 if left == self.state.holds else 0
        self.state = self.state._replace(holds=left)
        return code

    def unhold_only(self, step: Step) -> int:
        if len(self.state.holds) != 1:
            return 2
        self.state = self.state._replace(holds=())
        return 0

    def edit(self, step: Step) -> int:
        self.state = self.state._replace(live=Bundle(step.model, step.profile))
        return 0

    def die(self, step: Step) -> int:
        self.dead.add(step.model)
        return 0


class ForwardRules(Rules):
    """The control: a rollback that takes the newest other release, as an undo list would."""

    def candidates(self) -> list[Release]:
        return [*self.state.releases]


class ShallowRules(Rules):
    """The control: a rollback's origin is itself, so that the second one comes back."""

    def origin(self, n: int, releases: Sequence[Release]) -> int:
        return n


class BroadRules(Rules):
    """The control: every hold is on the model, whatever the prompt."""

    def is_held(self, bundle: Bundle) -> bool:
        return any(hold.model == bundle.model for hold in self.state.holds)


class LenientRules(Rules):
    """The control: a rollback that holds nothing."""

    def is_held(self, bundle: Bundle) -> bool:
        return True if bundle == self.state.live else super().is_held(bundle)


CONTROLS = (ForwardRules, ShallowRules, BroadRules, LenientRules)
COMMANDS = ("promote",) * 5 + ("rollback",) * 9 + (
    *("rollback_to",) * 2, *("unhold_only",) * 6, "hold", "unhold", "adopt", "edit", "die",
)  # fmt: skip
Trace = tuple[State, list[tuple[Step, int, State]]]


def state() -> State:
    """Read the file with nothing of ours."""
    target = tomllib.loads(FILE.read_text())["triage"]["production"]
    releases = [
        Release(row["n"], Bundle(row["model"], row.get("profile")), row.get("to"))
        for row in target.get("releases", [])
    ]
    holds = [
        Hold(row["model"], row.get("release"))
        for row in target.get("holds", [])
        if "lifted" not in row
    ]
    return State(Bundle(target["model"], target.get("profile")), tuple(releases), tuple(holds))


def argv(step: Step) -> list[str]:
    prompt = ["--profile", step.profile] if step.profile else ["--no-profile"]
    words = {
        "promote": ["promote", NAME, "--model", step.model, *prompt],
        "rollback": ["rollback", NAME],
        "rollback_to": ["rollback", NAME, "--to", str(step.n)],
        "hold": ["hold", NAME, step.model],
        "unhold": ["unhold", NAME, step.model],
        "unhold_only": ["unhold", NAME],
        "adopt": ["adopt", NAME],
    }
    return [*words[step.command], "--why", "x", "--yes", "--quiet"]


def edit(step: Step) -> None:
    lines = f'model = "{step.model}"\n' + (f'profile = "{step.profile}"\n' if step.profile else "")
    old = re.compile(r'^model = ".*"\n(profile = ".*"\n)?', re.MULTILINE)
    FILE.write_text(old.sub(lines, FILE.read_text(), count=1))


def begin(dice: random.Random) -> None:
    """Write a target with up to 5 releases; without any it is a bare line."""
    length = dice.choice((0, 2, 3, 4, 5))
    past = [(dice.choice(MODELS), dice.choice(PROMPTS)) for _ in range(length)]
    rows = [row(n, model, profile or "") for n, (model, profile) in enumerate(past, 1)]
    model, profile = past[-1] if past else (V6, None)
    write(table(NAME, model, reversed(rows), profile=profile or ""))


def live_through(dice: random.Random, sandbox: Sandbox, command: Command) -> Trace:
    for model in MODELS:
        sandbox.restore(model)
    begin(dice)
    first, seen = state(), []
    for _ in range(STEPS):
        step = Step(
            dice.choice(COMMANDS), dice.choice(MODELS), dice.choice(PROMPTS), dice.randint(1, 6)
        )
        code = 0
        if step.command == "die":
            sandbox.remove(step.model)
        elif step.command == "edit":
            edit(step)
        else:
            code = command(*argv(step)).code
        seen.append((step, code, state()))
    return first, seen


def disagreement(kind: type[Rules], trace: Trace) -> str:
    """Name the first step at which the rules and the tool disagree; "" if they never do."""
    first, seen = trace
    rules = kind(first)
    for step, code, found in seen:
        expected = getattr(rules, step.command)(step)
        if (expected, rules.state) != (code, found):
            return f"{step}: {code} and {found}, not {expected} and {rules.state}"
    return ""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_B29_random_histories(
    sandbox: Sandbox, command: Command, repo: Path, chunk: int, record_property: Any
) -> None:
    for name in ("a", "b"):
        assert write_profile(name) == sha(name)
    traces = [
        live_through(random.Random(seed), sandbox, command)
        for seed in range(chunk, HISTORIES, CHUNKS)
    ]
    wrong = [text for trace in traces if (text := disagreement(Rules, trace))]
    figure = f"{len(traces)} histories, {len(traces) * STEPS} steps, {len(wrong)} wrong"
    for control in CONTROLS:
        fooled = sum(bool(disagreement(control, trace)) for trace in traces)
        figure += f"; {control.__name__}: {fooled} wrong"
        assert fooled
    print(figure)
    record_property("figure", figure)
    codes = {code for _, seen in traces for _, code, _ in seen}
    assert (wrong, codes) == ([], {0, 2, 4, 6})
