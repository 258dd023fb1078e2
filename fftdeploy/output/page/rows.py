"""Chooses and orders the examples that the report's page shows, and says what became of each."""

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.gate.paired import passes
from fftdeploy.evaluation.gate.wording import MARKS
from fftdeploy.evaluation.results import PASS, ExampleText, Results
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.names import plural
from fftdeploy.output.page.template import Say, Seen
from fftdeploy.output.text_difference import Piece, compare

MOST_ROWS = 2_000
_MOST_BYTES = 6_400_000
"""Of all texts together; the rows after it are shown without theirs."""
_MOST_OPEN = 20
_FILTERS = ("Outcome", "Tag", "Failed field")
"""What rows can be filtered by, beside the slices: a row has a list of values for each."""
_BROKE, _STILL, _FIXED, _FAILED, _PASSED = _OUTCOMES = "broke", "still", "fixed", "failed", "passed"
"""What became of an example, the gravest first; `still` is must-pass, failed by both."""

_LACKED = "Marked: words that the agreed answer does not have."
_OFTEN = "The candidate passes these {} often than live. Marked: words in which they differ."
_PAIRED = {
    _BROKE: ("Broke", _OFTEN.format("less")),
    _STILL: (
        "Must pass, and still does not",
        "The candidate must pass these; live fails them too.",
    ),
    _FIXED: ("Fixed", _OFTEN.format("more")),
    _FAILED: ("Failed by both", _LACKED),
    _PASSED: ("Passed by both", _LACKED),
}
_ALONE = {
    _STILL: ("Must pass, and does not", _LACKED),
    _FAILED: ("Failed", _LACKED),
    _PASSED: ("Passed", _LACKED),
}


class _Said(NamedTuple):
    """One text of a row: under its title in pieces, with what is said of it or instead of it."""

    heading: str
    pieces: Sequence[Piece]
    remark: str = ""
    how: str = ""
    kind: str = ""


class Rows:
    """The examples that are shown, and what became of each.

    Args:
        results: How they were graded.
        verdict: What the gate has said of them.
        say: What makes their texts fit to be seen.
        shows_texts: Whether what was asked and answered is shown.
    """

    def __init__(self, results: Results, verdict: Verdict, say: Say, *, shows_texts: bool) -> None:
        self.shows_texts = shows_texts
        self._results, self._say = results, say
        self._is_paired = LIVE in results.arms
        self._outcomes = list(_outcomes(results, verdict))
        found = sorted(
            range(len(results)), key=lambda index: _OUTCOMES.index(self._outcomes[index])
        )
        if len(found) > MOST_ROWS:
            found = [index for index in found if self._outcomes[index] != _PASSED][:MOST_ROWS]
        self._shown = found
        self._place = {results.ids[index]: index for index in found}
        self._texts: dict[str, ExampleText] = {}
        self._bytes = 0

    def keep(self, text: ExampleText) -> None:
        """Remember the texts of an example if it is shown."""
        if text.id in self._place:
            self._texts[text.id] = text

    def link(self, example_id: str) -> dict[str, str]:
        """Return an ID with the place of its row, "" where it has none."""
        place = self._place.get(example_id)
        return {"id": example_id, "place": "" if place is None else str(place)}

    def section(self) -> dict[str, Any]:
        """Return the section of examples: what broke first, the rest folded."""
        had_texts = self.shows_texts
        groups = list(self._groups())
        rest = len(self._results) - len(self._shown)
        passed = min(rest, self._outcomes.count(_PASSED))
        facts = {f"e{row['place']}": row["facts"] for group in groups for row in group["rows"]}
        names = [*_FILTERS, *map(self._say.plain, self._results.slice_keys)]
        return {
            "is_paired": self._is_paired,
            "outcomes": groups,
            "filters": {"names": names, "rows": facts},
            "is_full": had_texts and not self.shows_texts,
            "left_out": {"passed": passed, "others": rest - passed} if rest else None,
        }

    def _groups(self) -> Iterator[dict[str, Any]]:
        for outcome, (title, meaning) in (_PAIRED if self._is_paired else _ALONE).items():
            found = [index for index in self._shown if self._outcomes[index] == outcome]
            if not found:
                continue
            is_open = outcome != _PASSED and not (outcome == _FAILED and self._is_paired)
            rows = [
                self._row(index, title, is_open=is_open and number < _MOST_OPEN)
                for number, index in enumerate(found)
            ]
            yield {
                "outcome": outcome,
                "title": title,
                "n": len(found),
                "is_open": is_open,
                "meaning": meaning if self.shows_texts else "",
                "rows": rows,
            }

    def _row(self, index: int, title: str, *, is_open: bool) -> dict[str, Any]:
        results, plain = self._results, self._say.plain
        text = self._texts.get(results.ids[index])
        tags, meta = (text.tags, text.meta) if text else ((), {})
        slices = dict(zip(results.slice_keys, results.slices[index], strict=True))
        arms = [arm for arm in (LIVE, CANDIDATE) if arm in results.arms]
        said = list(self._said(index, text)) if text and self.shows_texts else []
        failed = [results.fields[number] for number in self._failed(CANDIDATE, index)]
        named = [f"{key}: {value}" for key, value in slices.items() if value]
        others = [f"{key}: {value}" for key, value in meta.items() if key not in slices]
        facts = [[title], dict.fromkeys(tags), failed, *([value] for value in slices.values())]
        return {
            "place": str(index),
            "id": results.ids[index],
            "why": "; ".join(f"{arm} {self._how(arm, index)}" for arm in arms),
            "must_pass": results.must_pass[index],
            "chips": [*tags, *named],
            "is_open": is_open,
            "said": {"texts": said} if said else None,
            "meta": " · ".join(others),
            "facts": [[plain(value) for value in values if value] for values in facts],
        }

    def _failed(self, arm: str, index: int) -> list[int]:
        samples = self._results.samples(arm, index)
        return sorted({number for sample in samples for number in sample.failed})

    def _how(self, arm: str, index: int) -> str:
        """Say how an arm did: `passed`, `wrong: category`, `passed 1 of 3, wrong: category`."""
        results = self._results
        samples = list(results.samples(arm, index))
        passed = sum(sample.mark == PASS for sample in samples)
        names = ", ".join(results.fields[number] for number in self._failed(arm, index))
        failed = dict.fromkeys(MARKS[sample.mark] for sample in samples if sample.mark != PASS)
        reasons = ", ".join(failed) + (f": {names}" if names else "")
        if results.repeats == 1 or not passed:
            return reasons or "passed"
        share = f"passed {passed} of {len(samples)}"
        return f"{share}, {reasons}" if reasons else share

    def _said(self, index: int, text: ExampleText) -> Iterator[_Said]:
        """Yield what was asked, agreed on and answered, the arms from live to the others."""
        yield self._whole("Input", text.input)
        yield self._whole("Agreed answer", text.reference)
        for other in text.others:
            yield self._whole("Or", other)
        arms = sorted(self._results.arms, key=lambda arm: {LIVE: 0, CANDIDATE: 1}.get(arm, 2))
        answers = {arm: self._answer(arm, index, text) for arm in arms}
        live, candidate = answers.get(LIVE), answers.get(CANDIDATE)
        is_pair = live and candidate and self._outcomes[index] in {_BROKE, _FIXED}
        rivals = {LIVE: candidate, CANDIDATE: live}
        for arm, answer in answers.items():
            against = rivals.get(arm) if is_pair else text.reference
            is_first = bool(is_pair) and arm == LIVE
            kind = "good" if self._has_passed(arm, index) else "bad"
            kind += "" if arm in rivals else " wide"
            said = self._whole(arm.capitalize(), answer, against, is_first=is_first)
            yield said._replace(how=self._how(arm, index), kind=kind)

    def _answer(self, arm: str, index: int, text: ExampleText) -> str | None:
        """Return the answer that shows best how the arm did; None where the log has none."""
        outputs = text.outputs.get(arm, ())
        wanted = self._has_passed(arm, index)
        for sample, output in zip(self._results.samples(arm, index), outputs, strict=False):
            if (sample.mark == PASS) == wanted:
                return output
        return outputs[0] if outputs else None

    def _has_passed(self, arm: str, index: int) -> bool:
        """Say whether `arm` passes the example in more than half of its repeats."""
        marks = [sample.mark for sample in self._results.samples(arm, index)]
        return 2 * marks.count(PASS) > len(marks)

    def _whole(
        self, heading: str, text: str | None, against: str | None = None, *, is_first: bool = False
    ) -> _Said:
        """Return a text with the words marked that `against`, if there is one, does not have.

        `is_first` is said of one of two texts that are marked against each other: the same words
        are then shared on both sides.
        """
        if text is None:
            return _Said(heading, [], "not in the log of the run")
        shown, rest = self._say.cut(text)
        pieces = [Piece(shown, is_different=False)]
        if text and against is not None:
            other = self._say.cut(against)[0]
            pieces = compare(shown, other)[0] if is_first else compare(other, shown)[1]
        more = f" and {plural(rest, 'more character')}" if rest else "" if shown else "empty"
        self._bytes += sum(len(html.escape(part)) + 13 * is_new for part, is_new in pieces)
        self.shows_texts = self.shows_texts and self._bytes <= _MOST_BYTES
        seen = [Piece(Seen(part), is_different=is_new) for part, is_new in pieces]
        return _Said(heading, seen, more)


def _outcomes(results: Results, verdict: Verdict) -> Iterable[str]:
    named = ((_FIXED, verdict.fixed), (_STILL, verdict.must_pass_failed), (_BROKE, verdict.broke))
    known = {example_id: outcome for outcome, ids in named for example_id in ids}
    passed = passes(results.arms[CANDIDATE], results.repeats)
    for example_id, times in zip(results.ids, passed, strict=True):
        yield known.get(example_id) or (_PASSED if 2 * times > results.repeats else _FAILED)
