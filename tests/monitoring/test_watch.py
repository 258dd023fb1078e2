"""Looks at a target, with answers that are drawn: a suspicion is confirmed, and trouble is none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from drift_years import World, year

from fftdeploy.errors import UnverifiedError
from fftdeploy.monitoring import drift, state_file, watch
from fftdeploy.monitoring.drift import Counts
from fftdeploy.monitoring.passes import Pass, PassKind, WatchedSet
from fftdeploy.monitoring.watch import Looked, WatchedExamples
from fftdeploy.releases.deployments import Bundle

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
TARGET = "triage/production"
IDS = tuple(f"ex-{n}" for n in range(40))
EXAMPLES = tuple(f"e-{n}" for n in range(40))


class Host:
    """Answers as a world does; `lost` of its answers never come."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[PassKind] = []
        self.lost = 0
        self.floor = 0.0
        self.must_pass: set[str] = set()
        self.models = ("m-2026",)
        self.fails = "w"
        self.fingerprint, self.tokens, self.latency_ms = "fp_1", 30, 400
        self.kept = range(40)
        """Places of the examples that are still there."""
        self.bundle, self.graders = Bundle("m"), "g"
        self.given: Pass
        """The newest pass that is no confirmation."""

    def ask(self, kind: PassKind, repeats: int) -> Pass:
        self.asked.append(kind)
        answers = self.world.answers(repeats)
        passed = [answers[at] for at in self.kept]
        marks = "".join("." * each + self.fails * (repeats - each) for each in passed)
        marks = "m" * self.lost + marks[self.lost :]
        tokens = (self.tokens * repeats,) * len(passed)
        prints, took = (self.fingerprint,), self.latency_ms
        made = Pass(self.now, kind, repeats, marks, tokens, self.models, prints, took, "run.jsonl")
        self.given = made if kind != "confirmation" else self.given
        return made

    def look(self, root: Path, day: int, *, keep: bool = True, calibrate: bool = False) -> Looked:
        self.now = AT + timedelta(days=day)
        of = WatchedSet(
            self.bundle,
            "http://host",
            self.graders,
            tuple(EXAMPLES[at] for at in self.kept),
            tuple(IDS[at] for at in self.kept),
        )
        watched = WatchedExamples(of, self.must_pass, self.floor, self.ask)
        with state_file.opened(root, TARGET) as state:
            seen = watch.look(state, watched, self.now, anew=calibrate)
            if keep:
                state.add("look", seen.look)
            return seen


@pytest.fixture
def host() -> Host:
    world = World(Random(3), 40)
    world.chances = [1.0] * 38 + [0.5, 0.0]
    return Host(world)


def codes(seen: Looked) -> list[str]:
    return [one.code for one in seen.look.noticed]


def test_of_years_few_have_a_false_alarm_and_what_breaks_is_found() -> None:
    random = Random(11)
    years = [year(random, 40) for _ in range(20)]
    months = [year(random, 40, days=30, broken=0.1) for _ in range(20)]

    assert sum(each.found >= 0 for each in years) <= 2
    assert sum(each.naive >= 0 for each in years) >= 8  # the control: a rule that compares rates
    assert all(0 <= each.found < 30 for each in months)


def test_a_look_judges_as_the_years_do(tmp_path: Path) -> None:
    host, cusum, state, day = Host(World(Random(13), 40)), 0.0, "fine", 0
    host.world.chances[:12] = [0.5] * 12
    host.look(tmp_path, 0)
    confirmed, calibrated = 0, host.given
    while state == "fine":
        day += 1
        host.asked.clear()
        if day == 20:
            host.world.chances[:12] = [0.25] * 12
        seen = host.look(tmp_path, day).look
        today = zip(calibrated.counts(), host.given.counts(), strict=True)
        counts = [Counts(a, 10, *b) for (a, _), b in today]
        cusum = drift.added_up(cusum, counts)
        suspicious = drift.is_suspicious(drift.p_fewer(counts), cusum)
        assert host.asked == ["daily", "confirmation"][: 1 + suspicious]
        cusum = 0.0 if suspicious else cusum
        assert seen.is_confirmed is suspicious
        assert seen.cusum == pytest.approx(cusum)
        state, confirmed = seen.state, confirmed + suspicious
    assert (state, 20 <= day < 30, confirmed) == ("drift", True, 1)


def test_trouble_at_a_confirmation_leaves_a_suspicion_that_the_next_look_settles(
    tmp_path: Path, host: Host
) -> None:
    host.look(tmp_path, 0)
    host.world.chances[:4] = [0.0] * 4
    ask = host.ask

    def silent(kind: PassKind, repeats: int) -> Pass:
        if kind == "confirmation":
            raise UnverifiedError("no answer")
        return ask(kind, repeats)

    host.ask = silent  # type: ignore[method-assign]  # the host of this test
    first = host.look(tmp_path, 1)
    second = host.look(tmp_path, 1)
    assert (first.look.state, second.look.state) == ("suspected", "suspected")
    assert first.trouble is not None
    host.world.chances[:4] = [1.0] * 4
    host.ask = ask  # type: ignore[method-assign]  # the host of this test
    host.asked.clear()
    settled = host.look(tmp_path, 2)

    assert (settled.look.state, settled.look.is_confirmed) == ("fine", True)
    assert host.asked == ["daily", "confirmation"]


def test_a_pass_that_was_kept_is_not_asked_again_after_a_kill(tmp_path: Path, host: Host) -> None:
    host.look(tmp_path, 0)
    host.world.chances[:4] = [0.0] * 4
    host.asked.clear()
    host.look(tmp_path, 1, keep=False)  # killed between the passes and what they come to
    found = host.look(tmp_path, 1)

    assert host.asked == ["daily", "confirmation"]
    assert found.look.state == "drift"
    assert {one.id for one in found.look.moved} == set(IDS[:4])


def test_lost_answers_are_no_fails_and_too_many_are_no_pass(tmp_path: Path, host: Host) -> None:
    host.lost = 41
    started = host.look(tmp_path, 0)
    assert (started.look.state, host.asked) == ("not-calibrated", ["calibration"])
    host.lost = 0
    host.look(tmp_path, 0)
    host.lost = 4
    some = host.look(tmp_path, 1)
    host.lost = 5
    many = host.look(tmp_path, 2)

    assert (some.look.state, some.look.answered, some.look.p) == ("fine", 36, 1.0)
    assert (many.look.state, many.look.passed) == ("unverified", None)
    assert "too few" in str(many.trouble)


def test_what_is_wrong_beside_drift(tmp_path: Path, host: Host) -> None:
    host.must_pass, host.floor = {"ex-0", "ex-39"}, 0.98
    host.look(tmp_path, 0)
    host.world.chances[0] = 0.0
    host.fails = "u"  # what fails has not even the right shape
    once, twice = host.look(tmp_path, 1), host.look(tmp_path, 2)
    host.world.chances[0] = 1.0
    host.models = ("m-2027",)
    other = host.look(tmp_path, 3)

    assert (codes(once), once.look.failed) == ([], ("ex-0",))  # ex-39 never passed
    assert codes(twice) == ["must-pass", "valid"]
    assert "response-model" in codes(other)
    assert {one.severity for one in other.look.noticed} == {"error"}


def test_J41_what_passes_nothing_is_no_calibration_and_not_fine(tmp_path: Path, host: Host) -> None:
    """With it every later day was as good as that one, and a model that was restored "better"."""
    chances, host.world.chances = host.world.chances, [0.0] * 40

    found = [host.look(tmp_path, day) for day in (0, 0, 1)]
    host.world.chances = chances
    restored = host.look(tmp_path, 1)

    for seen in found:
        assert (seen.look.state, codes(seen)) == ("not-calibrated", ["nothing-passes"])
        assert seen.look.noticed[0].severity == "error"
    assert (restored.look.state, codes(restored)) == ("fine", [])
    assert host.asked == ["calibration"] * 4


def test_a_calibration_below_the_floor_is_told_on_each_day_that_is(
    tmp_path: Path, host: Host
) -> None:
    host.floor, host.must_pass, host.fails = 0.99, {"ex-0", "ex-39"}, "u"

    days = [host.look(tmp_path, day) for day in (0, 1)]
    host.fails = "w"
    mended = host.look(tmp_path, 2)

    assert [seen.look.state for seen in days] == ["fine", "fine"]
    assert [codes(seen) for seen in days] == [["valid", "must-pass"], ["valid"]]
    severities = [one.severity for one in days[0].look.noticed]
    assert severities == ["error", "notice"]
    assert "1 must-pass example failed when calibrated: ex-39" in days[0].look.noticed[1].message
    assert codes(mended) == []


def test_what_makes_no_answer_worse_is_a_note(tmp_path: Path, host: Host) -> None:
    host.look(tmp_path, 0)
    host.fingerprint, host.tokens, host.latency_ms = "fp_2", 37, 800
    little = host.look(tmp_path, 1)
    host.tokens, host.latency_ms = 38, 801
    more = host.look(tmp_path, 2)

    assert (codes(little), little.look.state) == (["fingerprint"], "fine")
    assert (codes(more), more.look.state) == (["fingerprint", "slower", "length"], "fine")
    assert {one.severity for one in more.look.noticed} == {"notice"}


def test_better_is_told_and_is_no_alarm(tmp_path: Path, host: Host) -> None:
    host.world.chances[:5] = [0.0] * 5
    host.look(tmp_path, 0)
    host.world.chances[:5] = [1.0] * 5
    better = host.look(tmp_path, 1)

    assert (better.look.state, codes(better)) == ("fine", ["better"])
    assert better.look.cusum == 0.0


@pytest.mark.parametrize("change", ["one example", "most examples", "graders"])
def test_no_change_of_what_is_asked_ends_a_drift(tmp_path: Path, host: Host, change: str) -> None:
    host.look(tmp_path, 0)
    sound, host.world.chances[:4] = host.world.chances[:4], [0.0] * 4
    found = host.look(tmp_path, 1).look
    host.world.chances[:4] = sound  # what is left to ask is answered well
    if change == "graders":
        host.graders = "g2"
    else:
        host.kept = range(1 if change == "one example" else 21, 40)
    host.asked.clear()
    stays = [host.look(tmp_path, day).look for day in (2, 3)]

    assert [look.state for look in (found, *stays)] == ["drift"] * 3
    assert {look.moved for look in stays} == {found.moved}
    assert host.asked == (["daily"] * 2 if change == "one example" else [])
    assert "only --calibrate" in stays[-1].noticed[0].message
    anew = host.look(tmp_path, 4, calibrate=True)
    assert (anew.look.state, codes(anew)) == ("fine", ["calibrated-anew"])
    assert codes(host.look(tmp_path, 5)) == []


def test_without_drift_what_is_the_same_is_held_against_what_it_was(
    tmp_path: Path, host: Host
) -> None:
    assert codes(host.look(tmp_path, 0)) == []  # the first calibration is none anew
    host.kept = range(1, 40)
    host.world.chances[1:5] = [0.0] * 4
    fewer = host.look(tmp_path, 1)
    assert (fewer.look.state, fewer.look.answered) == ("drift", 39)
    assert codes(fewer) == ["drift", "examples-changed"]
    assert fewer.look.noticed[0].message.startswith("drift: 34 of 39 examples pass, and 3")
    host.bundle = Bundle("m2")
    other = host.look(tmp_path, 1)
    assert (other.look.state, other.look.noticed[0].message) == (
        "fine",
        "calibrated anew: another model or prompt is live",
    )
