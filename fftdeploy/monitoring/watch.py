"""Looks at one target: chooses its examples, calibrates, asks, suspects, confirms, and judges.

It knows nobody to ask: whoever looks brings `ask`, and a trouble with asking is never an answer.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fftdeploy.errors import (
    AuthError,
    FftdeployError,
    NotReadyError,
    PolicyError,
    UnverifiedError,
)
from fftdeploy.evaluation.examples.examples import Example, ExampleSet
from fftdeploy.formats import strict_json
from fftdeploy.monitoring import drift
from fftdeploy.monitoring.drift import Counts
from fftdeploy.monitoring.passes import Calibration, Pass, PassKind, WatchedSet, compared
from fftdeploy.monitoring.state_file import KeptState, StateFile
from fftdeploy.monitoring.watched import ANEW, Look, MovedExample, Noticed, WatchState
from fftdeploy.names import plural
from fftdeploy.releases.deployments import Bundle

MOST = 100
"""Watched examples at most: with so many, 3 % that are broken are found within days."""
FEW = 40
"""With fewer, a small change is found late."""
TROUBLE = (UnverifiedError, AuthError, NotReadyError, PolicyError)
"""What may keep a look from settling anything, and is told as what it is."""
LEAST_ANSWERED = 0.9
"""Share of answers with fewer of which a pass says nothing."""
CHANGED = "examples-changed"
"""The code of what is said where not all of a calibration is compared."""
NOTHING = "nothing-passes"
"""The code of what is said where there is nothing to calibrate with."""
_OTHER_EXAMPLES = "most of the examples have changed"
_BETTER = drift.RARE / 10
"""A p below this is told as better: it is looked for each day, and nothing confirms it."""
_SLOWER, _SLOWER_MS, _LONGER = 2.0, 200, 1.25
"""How many times the latency, and how much more, or the length of the answers, is worth a note."""
_MOVED, _HAS_MOVED = 10, 0.05
"""Most examples that are named, and the p of one alone below which it is."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look came to."""

    look: Look
    trouble: FftdeployError | None = None
    """What kept it from settling anything."""


@dataclass(frozen=True, slots=True)
class WatchedExamples:
    """The watched examples of a target, what is asked of them, and how they are asked."""

    of: WatchedSet
    must_pass: Collection[str]
    """IDs of those that have to pass."""
    valid_floor: float
    """Least share of answers of the right shape."""
    ask: Callable[[PassKind, int], Pass]
    """Asks each of them so often; raises one of `TROUBLE` where too few answer."""


def choose(examples: ExampleSet, must_pass: Collection[str]) -> ExampleSet:
    """Return at most `MOST` reviewed examples: those with a tag of `must_pass`, then by hash."""
    ids = examples.ids

    def rank(index: int) -> tuple[bool, str]:
        is_asked_for = not set(must_pass).isdisjoint(examples.tags(index))
        return not is_asked_for, hashlib.sha256(ids[index].encode()).hexdigest()

    chosen: list[int] = []
    for index in sorted(range(len(ids)), key=rank):
        if len(chosen) < MOST and examples.read(index).reviewed_by:
            chosen.append(index)
    return examples.only(sorted(chosen))


def find(examples: ExampleSet, ids: Sequence[str], shas: Sequence[str]) -> ExampleSet:
    """Return those with these IDs that are still there and say the same."""
    places = {name: index for index, name in enumerate(examples.ids)}
    there = [(places[name], sha) for name, sha in zip(ids, shas, strict=True) if name in places]
    return examples.only([at for at, sha in there if example_sha(examples.read(at)) == sha])


def example_sha(example: Example) -> str:
    """Return 32 hex digits over what is asked and agreed in an example."""
    said = [example.id, example.input_key, example.reference, list(example.others)]
    return strict_json.sha_of(said)[:32]


def look(
    state: StateFile, watched: WatchedExamples, now: datetime, *, anew: bool = False
) -> Looked:
    """Look at a target, and keep each pass as it is made; `anew` calibrates whatever is known.

    What a look was stopped at goes on from there: a pass of today that settled nothing is used.
    """
    calibration, of = state.kept.calibration, watched.of
    other = _what_differs(calibration.of, of) if calibration else ""
    if calibration and not (anew or other):
        seen = _Judging(state, watched, calibration, now).seen()
    elif not anew and (kept := still_drift(state.kept, of.bundle, now, other)):
        seen = Looked(kept)
    else:
        seen = _calibrated(state, watched, now, "--calibrate" if anew and calibration else other)
    return replace(seen, look=replace(seen.look, of=of.sha))


def _what_differs(then: WatchedSet, now: WatchedSet) -> str:
    """Say why answers of now can't be held against those of then; "" where they can."""
    if then.bundle != now.bundle:
        return "another model or prompt is live"
    if then.address != now.address:
        return "it answers at another address"
    if then.graders != now.graders:
        return "the graders have changed"
    same = then.places(now)
    return "" if len(same) == len(now.ids) and then.has_most(len(same)) else _OTHER_EXAMPLES


def still_drift(kept: KeptState, bundle: Bundle, now: datetime, why: str) -> Look | None:
    """Return the look that a confirmed drift stays by where nothing can be compared, for `why`.

    It is None where no drift of what is live, `bundle`, was confirmed.
    """
    last = kept.last
    if last is None or last.state != "drift":
        return None
    if kept.calibration is None or kept.calibration.of.bundle != bundle:
        return None
    noticed = Noticed("drift", "error", _stays(last.at, why))
    return Look(now, "drift", last.model, (noticed,), moved=last.moved)


def _stays(at: datetime, why: str) -> str:
    return f"drift, as on {at:%Y-%m-%d}: {why} since; only --calibrate or another release ends it"


def _calibrated(state: StateFile, watched: WatchedExamples, now: datetime, why: str) -> Looked:
    """Ask for a calibration, and say `why` there is another one."""
    model = watched.of.bundle.model
    try:
        answers = _asked(state, watched, now, "calibration", drift.THEN)
    except TROUBLE as trouble:
        return Looked(Look(now, "not-calibrated", model), trouble=trouble)
    if not answers.passed:
        state.add("pass", answers)  # so that the next look asks anew, and does not go on with it
        said = f"none of {plural(len(watched.of.ids), 'watched example')} passes"
        nothing = Noticed(NOTHING, "error", f"{said}: there is nothing to hold later answers to")
        return Looked(Look(now, "not-calibrated", model, (nothing,), runs=(answers.run,)))
    state.add("calibration", Calibration(watched.of, answers))
    noticed = [*_beneath(watched, answers)]
    noticed += [Noticed(ANEW, "notice", f"calibrated anew: {why}")] if why else []
    return Looked(Look(now, "fine", model, tuple(noticed), runs=(answers.run,)))


def _beneath(watched: WatchedExamples, answers: Pass) -> Iterator[Noticed]:
    """Yield where a calibration itself is not what the gate asks for: no later day is worse."""
    if _is_low(watched, answers):
        yield _few_valid(watched, answers, "ten times over")
    counts = zip(watched.of.ids, answers.counts(), strict=True)
    must = [
        (name, passed, answered) for name, (passed, answered) in counts if name in watched.must_pass
    ]
    if failed := [name for name, passed, answered in must if 2 * passed <= answered]:
        what = f"{plural(len(failed), 'must-pass example')} failed when calibrated: {failed[0]}"
        yield Noticed("must-pass", "notice", what)


def _is_low(watched: WatchedExamples, answers: Pass) -> bool:
    return answers.valid < watched.valid_floor * answers.answered


def _few_valid(watched: WatchedExamples, answers: Pass, how_often: str) -> Noticed:
    share = f"{answers.valid} of {plural(answers.answered, 'answer')}"
    floor = f"the floor is {watched.valid_floor:.0%}"
    return Noticed("valid", "error", f"{share} have the right shape, {floor}, {how_often}")


def _asked(
    state: StateFile, watched: WatchedExamples, now: datetime, kind: PassKind, repeats: int
) -> Pass:
    """Return the newest pass of today that nothing was settled by, or ask for one."""
    for known in reversed(state.kept.unused if kind != "calibration" else ()):
        if (known.kind, known.of) == (kind, watched.of.sha) and known.at.date() == now.date():
            return known
    made = replace(watched.ask(kind, repeats), of=watched.of.sha)
    if made.answered < LEAST_ANSWERED * len(made.marks):
        raise UnverifiedError(
            f"{made.answered} of {plural(len(made.marks), 'request')} were answered: too few",
            hint="run it again later: it goes on from there",
            code="too-few-answers",
        )
    if kind != "calibration":
        state.add("pass", made)
    return made


class _Judging:
    """One look at a target that is calibrated."""

    def __init__(
        self, state: StateFile, watched: WatchedExamples, calibration: Calibration, now: datetime
    ) -> None:
        self.state, self.watched, self.now = state, watched, now
        places = calibration.of.places(watched.of)
        self.then = calibration.answers.only(places)
        self.lacks = len(calibration.of.ids) - len(places)
        """The examples of the calibration that have changed since."""
        self.last = state.kept.last
        looks = state.kept.looks[state.kept.since :]
        self.was_suspected = bool(looks) and looks[-1].state == "suspected"

    def seen(self) -> Looked:
        model = self.watched.of.bundle.model
        try:
            today = _asked(self.state, self.watched, self.now, "daily", 1)
        except TROUBLE as trouble:
            state: WatchState = "suspected" if self.was_suspected else "unverified"
            return Looked(Look(self.now, state, model), trouble=trouble)
        counts = compared(self.then, today)
        look = Look(
            self.now,
            "fine",
            model,
            (*self._noticed(today, counts), *self._notes(today, counts)),
            today.passed,
            today.answered,
            today.valid,
            drift.p_fewer(counts),
            drift.added_up(self.last.cusum if self.last else 0.0, counts),
            failed=tuple(self._failed(counts)),
            runs=(today.run,),
        )
        look, doubt = self._settled(look)
        if look.state == "drift":
            look = replace(look, noticed=(self._drift(look), *look.noticed))
        return Looked(look, doubt)

    def _settled(self, look: Look) -> tuple[Look, FftdeployError | None]:
        """Confirm a suspicion, or rule it out; what is confirmed holds while days confirm it."""
        p = look.p or 0.0
        was_drift = self.last is not None and self.last.state == "drift"
        if self.last and was_drift and (p < drift.RARE or self.lacks):
            return replace(look, state="drift", cusum=0.0, moved=self.last.moved), None
        if not (was_drift or self.was_suspected or drift.is_suspicious(p, look.cusum)):
            return look, None
        try:
            again = _asked(self.state, self.watched, self.now, "confirmation", drift.NOW)
        except TROUBLE as trouble:
            return replace(look, state="suspected"), trouble
        counts = compared(self.then, again)
        p = drift.p_fewer(counts)
        confirmed = replace(look, p=p, cusum=0.0, is_confirmed=True, runs=(*look.runs, again.run))
        if p >= drift.RARE:
            return confirmed, None
        return replace(confirmed, state="drift", moved=tuple(self._moved(counts))), None

    def _moved(self, counts: Iterable[Counts]) -> list[MovedExample]:
        named = zip(self.watched.of.ids, counts, strict=True)
        fell = sorted((drift.p_fewer([one]), name, one) for name, one in named)
        return [MovedExample(name, *one) for p, name, one in fell[:_MOVED] if p < _HAS_MOVED]

    def _failed(self, counts: Iterable[Counts]) -> Iterator[str]:
        """Yield the must-pass examples that failed, and never did when calibrated."""
        for name, one in zip(self.watched.of.ids, counts, strict=True):
            is_new = one.passed_then == one.answered_then and one.passed < one.answered
            if name in self.watched.must_pass and is_new:
                yield name

    def _drift(self, look: Look) -> Noticed:
        moved = ", ".join(
            f"{one.id} {one.passed_then}/{one.asked_then} then, {one.passed}/{one.asked} now"
            for one in look.moved[:3]
        )
        if self.last and look.p is not None and look.p >= drift.RARE:
            return Noticed("drift", "error", _stays(self.last.at, "examples have changed"))
        p = f"p = {look.p:.2g}" if look.p and look.p >= 1e-6 else "p < 0.000001"
        usual = f"{self.then.passed / self.then.repeats:.1f}".removesuffix(".0")
        message = (
            f"drift: {look.passed} of {look.answered} examples pass, "
            f"and {usual} did on {self.then.at:%Y-%m-%d} ({p})"
        )
        return Noticed("drift", "error", f"{message}: {moved}" if moved else message)

    def _noticed(self, today: Pass, counts: list[Counts]) -> Iterator[Noticed]:
        """Find what is wrong whatever the statistics say."""
        before = self.last.failed if self.last else ()
        if again := [name for name in self._failed(counts) if name in before]:
            failed = plural(len(again), "must-pass example")
            yield Noticed("must-pass", "error", f"{failed} failed twice in a row: {again[0]}")
        floor, last = self.watched.valid_floor, self.last
        was_low = last and last.answered and (last.valid or 0) < floor * last.answered
        was_low = was_low or _is_low(self.watched, self.then)
        if was_low and _is_low(self.watched, today):
            yield _few_valid(self.watched, today, "twice in a row")
        if self.then.models and (new := set(today.models) - {*self.then.models}):
            message = f"answered as {min(new)}, and as {self.then.models[0]} when calibrated"
            yield Noticed("response-model", "error", message)

    def _notes(self, today: Pass, counts: list[Counts]) -> Iterator[Noticed]:
        """Say what differs and is no drift: nothing of it makes an answer worse."""
        then = self.then
        if self.lacks:
            held = f"{len(self.watched.of.ids)} of {len(self.watched.of.ids) + self.lacks}"
            message = f"held against {held} examples of the calibration: the others have changed"
            yield Noticed(CHANGED, "notice", message)
        if drift.p_more(counts) < _BETTER:
            passed = f"{today.passed} of {today.answered} pass"
            yield Noticed("better", "notice", f"better than when calibrated: {passed}")
        if then.fingerprints and (new := set(today.fingerprints) - {*then.fingerprints}):
            message = f"a fingerprint that it had not when calibrated: {min(new)}"
            yield Noticed("fingerprint", "notice", message)
        took, usual = today.latency_ms or 0, then.latency_ms or today.latency_ms or 0
        if took > max(_SLOWER * usual, usual + _SLOWER_MS):
            yield Noticed("slower", "notice", f"slower: {took} ms, {usual} ms when calibrated")
        before, after = sum(then.tokens_out) / then.repeats, sum(today.tokens_out)
        if before and not 1 / _LONGER <= after / before <= _LONGER:
            message = f"answers take {after} tokens, {before:.0f} when calibrated"
            yield Noticed("length", "notice", message)
