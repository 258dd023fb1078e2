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
HISTORIES, CHUNKS, STEPS = 60, 1, 4
"""`docs/faults.md` has the figures of 200 histories, in two chunks."""


class Bundle(NamedTuple):
    model: str
    profile: str | None = None


class Release(NamedTuple):
    n: int
    bundle: Bundle
    to: int | None = None
    canary: int | None = None


class Hold(NamedTuple):
    model: str
    release: int | None = None


class State(NamedTuple):
    """What the file says: what is live, releases newest first, active holds as a multiset."""

    live: Bundle
    releases: tuple[Release, ...]
    holds: tuple[Hold, ...]
    canary: tuple[Bundle, int] | None = None


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
        live, releases = self.state[:2]
        past = self.lived(releases)
        if past and past[0].bundle == live:
            return releases
        same = next((release.n for release in past if release.bundle == live), None)
        return (Release(self.next(releases), live, same), *releases)

    def lived(self, releases: Sequence[Release]) -> list[Release]:
        """The releases that were live: a canary was not."""
        return [release for release in releases if release.canary is None]

    def next(self, releases: Sequence[Release]) -> int:
        return releases[0].n + 1 if releases else 1

    def is_held(self, bundle: Bundle) -> bool:
        kept = {release.n: release.bundle for release in self.state.releases}
        return any(
            hold.model == bundle.model and (hold.release is None or kept[hold.release] == bundle)
            for hold in self.state.holds
        )

    def set(self, live: Bundle, releases: tuple[Release, ...], *holds: Hold) -> int:
        """Make something live, and no canary any more."""
        self.state = State(live, releases, (*holds, *self.state.holds))
        return 0

    def is_other(self, bundle: Bundle) -> bool:
        """Whether a canary runs that is another than `bundle`."""
        return self.state.canary is not None and self.state.canary[0] != bundle

    def promote(self, step: Step) -> int:
        bundle, releases = Bundle(step.model, step.profile), self.recorded()
        if bundle == self.state.live and releases == self.state.releases:
            return 0
        if self.is_other(bundle) or self.is_held(bundle):
            return 6
        if bundle.model in self.dead:
            return 4
        if bundle != self.state.live:
            releases = (Release(self.next(releases), bundle), *releases)
        return self.set(bundle, releases)

    def canary(self, step: Step) -> int:
        bundle, releases = Bundle(step.model, step.profile), self.recorded()
        if bundle == self.state.live:
            return 2
        if self.state.canary == (bundle, step.n):
            return 0
        if self.is_other(bundle) or self.is_held(bundle):
            return 6
        if bundle.model in self.dead:
            return 4
        releases = (Release(self.next(releases), bundle, canary=step.n), *releases)
        self.state = self.state._replace(releases=releases, canary=(bundle, step.n))
        return 0

    def adopt(self, step: Step) -> int:
        if self.recorded() == self.state.releases:
            return 0
        if self.is_held(self.state.live):
            return 6
        if self.state.live.model in self.dead:
            return 4
        self.state = self.state._replace(releases=self.recorded())
        return 0

    def candidates(self) -> list[Release]:
        past = self.recorded()
        born = self.origin(self.lived(past)[0].n, past)
        there = self.lived(self.state.releases)
        return [release for release in there if self.origin(release.n, past) < born]

    def take_off(self, bundle: Bundle) -> int:
        rows = [release.n for release in self.state.releases if release.canary is not None]
        narrow = rows[0] if bundle.model == self.state.live.model else None
        held = [] if self.is_held(bundle) else [Hold(bundle.model, narrow)]
        return self.set(self.state.live, self.state.releases, *held)

    def rollback(self, step: Step) -> int:
        if self.state.canary is not None:
            return self.take_off(self.state.canary[0])
        for release in self.candidates():
            fine = release.bundle != self.state.live and not self.is_held(release.bundle)
            if fine and release.bundle.model not in self.dead:
                return self.go_back(release)
        return 4

    def rollback_to(self, step: Step) -> int:
        past = self.lived(self.state.releases)
        chosen = next((each for each in past if each.n == step.n), None)
        if chosen is None:
            return 2
        if chosen.bundle == self.state.live:
            return 0
        if self.is_held(chosen.bundle):
            return 6
        return 4 if chosen.bundle.model in self.dead else self.go_back(chosen)

    def go_back(self, chosen: Release) -> int:
        past, live = self.recorded(), self.state.live
        newest = self.lived(past)[0].n
        forward = self.origin(chosen.n, past) > self.origin(newest, past)
        narrow = newest if chosen.bundle.model == live.model else None
        held = [] if forward or self.is_held(live) else [Hold(live.model, narrow)]
        releases = (Release(self.next(past), chosen.bundle, chosen.n), *past)
        return self.set(chosen.bundle, releases, *held)

    def hold(self, step: Step) -> int:
        hold = Hold(step.model)
        if hold not in self.state.holds:
            self.state = self.state._replace(holds=(hold, *self.state.holds))
        return 0

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
        return self.lived(self.state.releases)


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


class TriedRules(Rules):
    """The control: a canary's row is a way back, as if it had been live."""

    def lived(self, releases: Sequence[Release]) -> list[Release]:
        return [*releases]


CONTROLS = (ForwardRules, ShallowRules, BroadRules, LenientRules, TriedRules)
COMMANDS = ("promote",) * 5 + ("canary",) * 4 + ("rollback",) * 9 + (
    *("rollback_to",) * 2, *("unhold_only",) * 6, "hold", "unhold", "adopt", "edit", "die",
)  # fmt: skip
Trace = tuple[State, list[tuple[Step, int, State]]]


def state() -> State:
    """Read the file with nothing of ours."""
    target = tomllib.loads(FILE.read_text())["triage"]["production"]
    releases = [
        Release(
            row["n"], Bundle(row["model"], row.get("profile")), row.get("to"), row.get("canary")
        )
        for row in target.get("releases", [])
    ]
    holds = [
        Hold(row["model"], row.get("release"))
        for row in target.get("holds", [])
        if "lifted" not in row
    ]
    live, said = Bundle(target["model"], target.get("profile")), target.get("canary")
    tried = (Bundle(said["model"], said.get("profile")), said["weight"]) if said else None
    return State(live, tuple(releases), tuple(holds), tried)


def argv(step: Step) -> list[str]:
    prompt = ["--profile", step.profile] if step.profile else ["--no-profile"]
    words = {
        "promote": ["promote", NAME, "--model", step.model, *prompt],
        "canary": ["promote", NAME, "--model", step.model, *prompt, "--canary", f"{step.n}"],
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
