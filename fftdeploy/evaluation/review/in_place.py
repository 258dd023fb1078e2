"""Examples that a review rewrites where they are: those that nobody has reviewed, or a run failed.

Both are the examples of a task about which there is a doubt; they differ in what that is.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fftdeploy import files
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.evaluation.arms import LIVE
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.examples import reviewed
from fftdeploy.evaluation.examples.example_lines import Example, LineError, parse_line
from fftdeploy.evaluation.examples.reviewed import ReviewDecision
from fftdeploy.evaluation.graders.grade import Grade
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.results import MISSING
from fftdeploy.evaluation.review.queue import MAX_BYTES, Reviewer, ReviewItem, ReviewQueue
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.log_lines import Header

_LEAST = 4
"""Fewest characters of a run's name that stand for it."""

Doubt = Callable[[Example], tuple[str, str] | None]
"""The output of an example that is in question, and why; None where none is."""


@dataclass(slots=True)
class _Line:
    """Where an example is, and what its line says now."""

    path: Path
    number: int
    row: bytes


class InPlace(ReviewQueue):
    """Answers to examples that are there already."""

    def __init__(
        self,
        bar: QualityBar,
        reviewer: Reviewer,
        doubt: Doubt,
        help_: Sequence[str],
        *,
        called: str = "output",
        rejects: bool = True,
    ) -> None:
        """Take the examples about which there is a doubt; raises what their files raise."""
        super().__init__(bar, reviewer)
        self.help, self.rejects = help_, rejects
        self.where = ", ".join(shown for _, shown in self.paths)
        self.items = list(self._doubted(doubt, called))

    def _doubted(self, doubt: Doubt, called: str) -> Iterator[ReviewItem]:
        # The tags and slices of the gate need not be there: they may be what is to be added.
        examples = self.bar.checked_examples
        held = {}
        for path, name in self.paths:
            data = files.read(path, root=self.root, max_bytes=MAX_BYTES).data
            held[name] = path, [*reviewed.lines(data)]
        examples.require_unchanged()  # the lines are those that were checked
        inputs = Counter[str]()
        for _, every in held.values() if examples.duplicates else ():
            rows = (row.decode() for row in every if row.strip())
            inputs.update(parse_line(row, "", "", self.item).input_key for row in rows)
        for example in examples:
            found = doubt(example)
            if found is None:
                continue
            if inputs[example.input_key] > 1:  # its other lines would contradict it
                note = f"note: {example.id} is left out: keep one of the lines with its input"
                self.notes.append(note)
                continue
            name, _, number = example.place.rpartition(":")
            path, lines = held[name]
            line = _Line(path, int(number), lines[int(number) - 1])
            yield ReviewItem(example, *found, home=line, called=called)

    def _problem(self, item: ReviewItem, reference: str) -> str:
        row = self._revised(item.home.row, ReviewDecision(reference=reference))
        try:
            example = parse_line(row.decode(), item.example.id, item.example.place, self.item)
        except LineError as error:
            return error.message
        return self.bar.grading.reference_problem(example)

    def _keep(self, item: ReviewItem, reference: str) -> None:
        self._decide(item, None if reference == item.example.reference else reference)

    def _reject(self, item: ReviewItem) -> None:
        """Confirm what was agreed on before."""
        self._decide(item, None)

    def _tag(self, item: ReviewItem) -> bool:
        self._write(item, ReviewDecision(tags=tuple(item.tags)))
        return True

    def _decide(self, item: ReviewItem, reference: str | None) -> None:
        at, _ = self.reviewer.stamp()
        self._write(item, ReviewDecision(reference, tuple(item.tags), self.reviewer.name, at))

    def _write(self, item: ReviewItem, review: ReviewDecision) -> None:
        line: _Line = item.home
        old, new = line.row, self._revised(line.row, review)
        self.change(
            line.path,
            lambda data: reviewed.replaced(data, line.number, old, new),
            lost=f"{item.example.id} was changed in",
        )
        line.row = new

    def _revised(self, row: bytes, review: ReviewDecision) -> bytes:
        return reviewed.revised(row, review, item_reference=(self.item or {}).get("reference"))


def unreviewed(bar: QualityBar, reviewer: Reviewer) -> InPlace:
    """Return the examples whose answers nobody has put a name to."""

    def doubt(example: Example) -> tuple[str, str] | None:
        return None if example.reviewed_by else (example.reference, "nobody has reviewed it")

    said = (
        "a  accept: the answer is right, and you have reviewed it",
        "e  edit: what you write becomes the agreed answer",
        "t  tags: added to the example",
    )
    return InPlace(bar, reviewer, doubt, said, called="answer", rejects=False)


def failures(bar: QualityBar, reviewer: Reviewer, name: str | None) -> InPlace:
    """Return the examples that a run failed and that nobody has reviewed since.

    The run has the `name` of its evidence, of its log or of a part of that; None is the newest.

    Raises:
        UsageError: There is no such run on this machine.
        ConfigError: Its log is damaged.
    """
    run = _run(bar, name)
    arm = next((arm for arm in run.arms if arm != LIVE), LIVE)
    answers = run_log.outputs(run.path, bar.workspace.folder)

    def doubt(example: Example) -> tuple[str, str] | None:
        at = example.reviewed_at
        if at and datetime.fromisoformat(at) >= run.made_at:
            return None
        return _failure(bar, example, answers.get(example.id, {}).get(arm, {}))

    said = (
        "a  accept: the model is right; its output becomes the agreed answer",
        "e  edit: what you write becomes the agreed answer",
        "r  reject: the agreed answer stands, and you have reviewed it",
        "t  tags: added to the example",
    )
    return InPlace(bar, reviewer, doubt, said)


def _failure(
    bar: QualityBar, example: Example, outputs: Mapping[int, ModelOutput]
) -> tuple[str, str] | None:
    """Return the first answer that does not pass, and why; None where all do."""
    for repeat, output in sorted(outputs.items()):
        if output.mark == MISSING:  # nothing was answered: no judgement of the model
            continue
        grade = Grade(passed=False, score=0.0, reason=output.mark)
        if not output.mark:
            grade = bar.grading.grade(output.text, example)
        if not grade.passed:
            fields = ", ".join(bar.grading.fields[index] for index in grade.failed)
            which = f"answer {repeat + 1} of {len(outputs)}" if len(outputs) > 1 else ""
            said = [grade.reason or "wrong", fields or grade.detail, which]
            return output.text, "; ".join(filter(None, said))
    return None


def _run(bar: QualityBar, name: str | None) -> Header:
    """Find a run by its evidence, by the name of its log or by a part of that."""
    runs = run_log.headers(bar.workspace.folder, bar.task)
    if not runs:
        raise UsageError(
            f"there is no run of {bar.task} on this machine",
            hint=f"fftdeploy review {bar.task} --unreviewed\n"
            f"fftdeploy review {bar.task} --from FILE\n"
            f"fftdeploy eval {bar.task}/ENVIRONMENT",
            code="no-run",
        )
    if name is None:
        return runs[0]
    wanted = {Path(name).name, f"{name}.jsonl"}
    with suppress(FftdeployError):  # it names no evidence
        wanted.add(bar.folder.find(name).evidence.run)
    found = [run for run in runs if run.path.name in wanted]
    found = found or [run for run in runs if len(name) >= _LEAST and name in run.path.name]
    if len(found) == 1:
        return found[0]
    what = "several runs are" if found else "no run on this machine is"
    raise UsageError(
        f"{what} called {name!a}", hint=f"the newest is {runs[0].path.stem}", code="unknown-run"
    )
