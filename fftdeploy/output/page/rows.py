"""Which examples the report's page shows, in which order, and how one of them looks."""

import html
from collections import Counter
from collections.abc import Iterable, Sequence

from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.gate.paired import passes
from fftdeploy.evaluation.gate.wording import MARKS
from fftdeploy.evaluation.results import PASS, Results, Sample
from fftdeploy.evaluation.texts import ExampleText
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.names import plural
from fftdeploy.output.page.text import Say
from fftdeploy.output.text_difference import Piece, compare

MOST_ROWS = 2_000
BROKE, STILL, FIXED, FAILED, PASSED = OUTCOMES = ("broke", "still", "fixed", "failed", "passed")
"""What became of an example, the gravest first; `still` is must-pass, failed by both."""


class Rows:
    """The examples that are shown, and what became of each."""

    def __init__(self, results: Results, verdict: Verdict) -> None:
        self.results = results
        self.is_paired = LIVE in results.arms
        self.outcomes = _outcomes(results, verdict)
        found = sorted(range(len(results)), key=lambda index: OUTCOMES.index(self.outcomes[index]))
        if len(found) > MOST_ROWS:
            found = [index for index in found if self.outcomes[index] != PASSED][:MOST_ROWS]
        self.shown = found
        self._place = {results.ids[index]: index for index in found}
        self.texts: dict[str, ExampleText] = {}

    def keep(self, text: ExampleText) -> None:
        """Remember the texts of an example if it is shown."""
        if text.id in self._place:
            self.texts[text.id] = text

    def link(self, example_id: str, say: Say) -> str:
        """Return an ID as a link to its row, or as it is where it has none."""
        place = self._place.get(example_id)
        shown = say(example_id)
        return f"<code>{shown}</code>" if place is None else f'<a href="#e{place}">{shown}</a>'

    def left_out(self) -> str:
        """Say which examples are not shown, "" if all are; trusted."""
        rest = len(self.results) - len(self.shown)
        if not rest:
            return ""
        passed = min(rest, self.outcomes.count(PASSED))
        others = rest - passed
        also = f" and {plural(others, 'other')} past the first {MOST_ROWS:,}" if others else ""
        return f"Not shown here: {plural(passed, 'example')} that passed{also}."


def _outcomes(results: Results, verdict: Verdict) -> list[str]:
    broke, fixed, still = map(set, (verdict.broke, verdict.fixed, verdict.must_pass_failed))
    passed = passes(results.arms[CANDIDATE], results.repeats)
    found = []
    for index, example_id in enumerate(results.ids):
        if example_id in broke:
            found.append(BROKE)
        elif example_id in still:
            found.append(STILL)
        elif example_id in fixed:
            found.append(FIXED)
        else:
            found.append(PASSED if 2 * passed[index] > results.repeats else FAILED)
    return found


def has_passed(results: Results, arm: str, index: int) -> bool:
    """Say whether `arm` passes example `index` in more than half of its repeats."""
    passed = sum(sample.mark == PASS for sample in results.samples(arm, index))
    return 2 * passed > results.repeats


class RowFacts:
    """What rows can be filtered by: each value has a token, which is all that a script sees."""

    def __init__(self) -> None:
        self.tags: Counter[str] = Counter()
        self.fields: Counter[int] = Counter()
        self.slices: Counter[tuple[int, str]] = Counter()
        self._tokens: dict[tuple[object, ...], str] = {}

    def token(self, *value: object) -> str:
        """Return the token of a value, always the same."""
        return self._tokens.setdefault(value, f"v{len(self._tokens)}")

    def of(self, rows: Rows, index: int) -> list[str]:
        """Count the facts of one row and return their tokens."""
        results = rows.results
        text = rows.texts.get(results.ids[index])
        tags = dict.fromkeys(text.tags) if text else {}
        failed = _failed(results, CANDIDATE, index)
        slices = [pair for pair in enumerate(results.slices[index]) if pair[1]]
        self.tags.update(list(tags))
        self.fields.update(failed)
        self.slices.update(slices)
        return [
            rows.outcomes[index],
            *(self.token("tag", tag) for tag in tags),
            *(self.token("field", number) for number in failed),
            *(self.token("slice", *pair) for pair in slices),
        ]


def _failed(results: Results, arm: str, index: int) -> list[int]:
    samples = results.samples(arm, index)
    return sorted({number for sample in samples for number in sample.failed})


class RowWriter:
    """Writes rows as HTML; what was asked and answered only where `shows_texts`."""

    def __init__(self, rows: Rows, facts: RowFacts, say: Say, *, shows_texts: bool) -> None:
        self._rows, self._facts, self._say = rows, facts, say
        self.shows_texts = shows_texts

    def write(self, index: int, *, is_open: bool) -> str:
        """Return the row of one example."""
        results = self._rows.results
        facts = " ".join(self._facts.of(self._rows, index))
        text = self._rows.texts.get(results.ids[index])
        opening = f'id="e{index}" class="row {self._rows.outcomes[index]}" data-facts="{facts}"'
        line = self._line(index, text)
        if text is None or not self.shows_texts:
            return f"<div {opening}>{line}</div>"
        state = " open" if is_open else ""
        body = self._body(index, text)
        return f"<details {opening}{state}><summary>{line}</summary>{body}</details>"

    def _line(self, index: int, text: ExampleText | None) -> str:
        results, say = self._rows.results, self._say
        chips = ['<span class="chip must">must pass</span>'] if results.must_pass[index] else []
        chips += [f'<span class="chip">{say(tag)}</span>' for tag in (text.tags if text else ())]
        named = zip(results.slice_keys, results.slices[index], strict=True)
        chips += [
            f'<span class="chip">{say(key)}: {say(value)}</span>' for key, value in named if value
        ]
        arms = [arm for arm in (LIVE, CANDIDATE) if arm in results.arms]
        why = "; ".join(f"{arm} {self._how(arm, index)}" for arm in arms)
        shown_id = f'<span class="id">{say(results.ids[index])}</span>'
        return f'{shown_id} <span class="why">{why}</span> {" ".join(chips)}'

    def _how(self, arm: str, index: int) -> str:
        """Say how an arm did: `passed`, `wrong: category`, `passed 1 of 3, wrong: category`."""
        results = self._rows.results
        samples = list(results.samples(arm, index))
        passed = sum(sample.mark == PASS for sample in samples)
        names = ", ".join(self._say(results.fields[n]) for n in _failed(results, arm, index))
        failed = dict.fromkeys(MARKS[s.mark] for s in samples if s.mark != PASS)
        reasons = ", ".join(failed) + (f": {names}" if names else "")
        if results.repeats == 1 or not passed:
            return reasons or "passed"
        share = f"passed {passed} of {len(samples)}"
        return f"{share}, {reasons}" if reasons else share

    def _body(self, index: int, text: ExampleText) -> str:
        results = self._rows.results
        said = {arm: self._answer(arm, index, text) for arm in results.arms}
        cells = [
            ("Input", "", self._whole(text.input)),
            ("Agreed answer", "", self._whole(text.reference)),
            *(("Or", "", self._whole(other)) for other in text.others),
        ]
        marked = self._marked(index, text, said)
        for arm in sorted(results.arms, key=_arm_order):
            kind = "good" if has_passed(results, arm, index) else "bad"
            kind += "" if arm in {LIVE, CANDIDATE} else " wide"
            title = f"{self._say(arm).capitalize()} <small>{self._how(arm, index)}</small>"
            cells.append((title, kind, marked[arm]))
        shown = "".join(
            f'<div class="{kind}"><dt>{title}</dt><dd>{words}</dd></div>'
            for title, kind, words in cells
        )
        meta = {key: text.meta[key] for key in text.meta if key not in results.slice_keys}
        other = [f"{self._say(key)}: {self._say(value)}" for key, value in meta.items()]
        line = f'<p class="meta">{" &middot; ".join(other)}</p>' if other else ""
        return f'<dl class="texts">{shown}</dl>{line}'

    def _answer(self, arm: str, index: int, text: ExampleText) -> str | None:
        """Return the answer that shows best how the arm did; None where the log has none."""
        outputs = text.outputs.get(arm, ())
        samples: Sequence[Sample] = list(self._rows.results.samples(arm, index))
        wanted = has_passed(self._rows.results, arm, index)
        for sample, output in zip(samples, outputs, strict=False):
            if (sample.mark == PASS) == wanted:
                return output
        return outputs[0] if outputs else None

    def _marked(self, index: int, text: ExampleText, said: dict[str, str | None]) -> dict[str, str]:
        """Mark words: those in which live and candidate differ, or differ from what was agreed."""
        live, candidate = said.get(LIVE), said.get(CANDIDATE)
        if live and candidate and self._rows.outcomes[index] in {BROKE, FIXED}:
            pair = self._compared(live, candidate)
            return {
                **{arm: self._whole(answer) for arm, answer in said.items()},
                LIVE: pair[0],
                CANDIDATE: pair[1],
            }
        return {
            arm: self._compared(text.reference, answer)[1] if answer else self._whole(answer)
            for arm, answer in said.items()
        }

    def _compared(self, one: str, other: str) -> tuple[str, str]:
        (first, first_rest), (second, second_rest) = self._say.cut(one), self._say.cut(other)
        ones, others = compare(first, second)
        return _pieces(ones, first_rest), _pieces(others, second_rest)

    def _whole(self, text: str | None) -> str:
        if text is None:
            return '<i class="none">not in the log of the run</i>'
        shown, rest = self._say.cut(text)
        return _pieces([Piece(shown, is_different=False)], rest)


def _pieces(pieces: Iterable[Piece], rest: int) -> str:
    shown = "".join(
        f"<mark>{html.escape(text)}</mark>" if is_different else html.escape(text)
        for text, is_different in pieces
    )
    if rest:
        shown += f' <i class="none">and {plural(rest, "more character")}</i>'
    return shown or '<i class="none">empty</i>'


def _arm_order(arm: str) -> int:
    return {LIVE: 0, CANDIDATE: 1}.get(arm, 2)
