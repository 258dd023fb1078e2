"""The failures of a run: a review replaces their agreed answers, or confirms them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from inspect import isawaitable
from pathlib import Path

from fftdeploy import files
from fftdeploy.cli.example_files import MAX_BYTES, ExampleFiles
from fftdeploy.cli.quality import QualityBar
from fftdeploy.cli.reviewing import Item
from fftdeploy.cli.session import Session
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.evaluation.arms import LIVE
from fftdeploy.evaluation.examples import reviewed
from fftdeploy.evaluation.examples.example_lines import Example, LineError, parse_line
from fftdeploy.evaluation.examples.reviewed import Review
from fftdeploy.evaluation.grading.grade import Grade
from fftdeploy.evaluation.outputs import Output
from fftdeploy.evaluation.results import MISSING
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.log_lines import Header


@dataclass(slots=True)
class _Failed(Item):
    """An example that an answer of the run has failed."""

    path: Path = Path()
    number: int = 0
    """Of its line."""
    row: bytes = b""
    """Its line as it is now."""


class Failures(ExampleFiles):
    """Answers of a run that did not pass, each to an example that is there already."""

    help: Sequence[str] = (
        "a  accept: the model is right; its output becomes the agreed answer",
        "e  edit: what you write becomes the agreed answer",
        "r  reject: the agreed answer stands, and you have reviewed it",
        "t  tags: added to the example",
    )

    def __init__(self, session: Session, bar: QualityBar, name: str | None, by: str) -> None:
        """Find the run, by default the newest of the task.

        Raises:
            UsageError: There is no such run on this machine.
            ConfigError: Its log is damaged.
        """
        super().__init__(session, bar, by)
        self.run = _run(bar, name)
        self.arm = next((arm for arm in self.run.arms if arm != LIVE), LIVE)
        self.where = ", ".join(shown for _, shown in self.paths)

    def pending(self) -> Sequence[Item]:
        """Return the examples that the run failed and that nobody has reviewed since."""
        examples = self.bar.examples
        answers = run_log.outputs(self.run.path, self.root)
        held = {name: (path, self._rows(path)) for path, name in self.paths}
        examples.require_unchanged()  # the lines are those that were checked
        twice = self._twice(held) if examples.duplicates else frozenset()
        items: list[Item] = []
        for example in examples:
            failure = self._failure(example, answers.get(example.id, {}).get(self.arm, {}))
            if failure is None or self._is_reviewed(example):
                continue
            if example.input_key in twice:  # its other lines would contradict it
                note = f"note: {example.id} is left out: keep one of the lines with its input"
                self.session.output.note(note)
                continue
            name, _, number = example.place.rpartition(":")
            path, rows = held[name]
            place = int(number)
            items.append(_Failed(example, *failure, path=path, number=place, row=rows[place - 1]))
        return items

    def problem(self, item: Item, reference: str) -> str:
        """Say why `reference` can't be the agreed answer; "" if it can."""
        failed = _failed(item)
        review = Review(reference=reference)
        try:
            example = self._parsed(self._revised(failed.row, review), failed)
        except LineError as error:
            return error.message
        return self.bar.grading.reference_problem(example)

    def keep(self, item: Item, reference: str) -> None:
        """Replace the agreed answer; raises ConflictError and DiskError."""
        self._write(_failed(item), Review(reference, tuple(item.tags), self.by, self.stamp()[0]))

    def reject(self, item: Item) -> None:
        """Confirm the agreed answer; raises ConflictError and DiskError."""
        self._write(_failed(item), Review(None, tuple(item.tags), self.by, self.stamp()[0]))

    def tag(self, item: Item) -> bool:
        """Add the tags to the example; raises ConflictError and DiskError."""
        self._write(_failed(item), Review(tags=tuple(item.tags)))
        return True

    def _write(self, item: _Failed, review: Review) -> None:
        old, new = item.row, self._revised(item.row, review)
        self.change(
            item.path,
            lambda data: reviewed.replaced(data, item.number, old, new),
            lost=f"{item.example.id} was changed in",
        )
        item.row = new

    def _revised(self, row: bytes, review: Review) -> bytes:
        return reviewed.revised(row, review, item_reference=(self.item or {}).get("reference"))

    def _parsed(self, row: bytes, item: _Failed) -> Example:
        return parse_line(row.decode(), item.example.id, item.example.place, self.item)

    def _rows(self, path: Path) -> list[bytes]:
        return list(reviewed.lines(files.read(path, root=self.root, max_bytes=MAX_BYTES).data))

    def _twice(self, held: Mapping[str, tuple[Path, list[bytes]]]) -> frozenset[str]:
        """Return the inputs that more than one line has."""
        rows = (row for _, every in held.values() for row in every if row.strip())
        keys = Counter(parse_line(row.decode(), "", "", self.item).input_key for row in rows)
        return frozenset(key for key, count in keys.items() if count > 1)

    def _is_reviewed(self, example: Example) -> bool:
        """Whether somebody has looked at the example since the run began."""
        if not example.reviewed_at:
            return False
        return datetime.fromisoformat(example.reviewed_at) >= self.run.made_at

    def _failure(self, example: Example, outputs: Mapping[int, Output]) -> tuple[str, str] | None:
        """Return the first answer that does not pass, and why; None where all do."""
        for repeat, output in sorted(outputs.items()):
            if output.mark == MISSING:  # nothing was answered: no judgement of the model
                continue
            grade = self._grade(example, output)
            if not grade.passed:
                fields = ", ".join(self.bar.grading.fields[index] for index in grade.failed)
                which = f"answer {repeat + 1} of {len(outputs)}" if len(outputs) > 1 else ""
                detail = grade.detail if not fields else ""
                said = [grade.reason or "wrong", fields, detail, which]
                return output.text, "; ".join(part for part in said if part)
        return None

    def _grade(self, example: Example, output: Output) -> Grade:
        if output.mark:
            return Grade(passed=False, score=0.0, reason=output.mark)
        grade = self.bar.grading.grade(output.text, example)
        return asyncio.run(_awaited(grade)) if isawaitable(grade) else grade


async def _awaited(grade: Awaitable[Grade]) -> Grade:
    return await grade


def _failed(item: Item) -> _Failed:
    assert isinstance(item, _Failed)  # noqa: S101  they come from `pending`
    return item


def _run(bar: QualityBar, name: str | None) -> Header:
    """Find a run by its evidence, by the name of its log or by a part of that."""
    runs = run_log.headers(bar.workspace.folder, bar.task)
    if not runs:
        raise UsageError(
            f"there is no run of {bar.task} on this machine",
            hint=f"fftdeploy eval {bar.task}/ENVIRONMENT makes one; or review --from FILE",
            code="no-run",
        )
    if name is None:
        return runs[0]
    wanted = {Path(name).name, f"{name}.jsonl", _log_of(bar, name)}
    found = [run for run in runs if run.path.name in wanted]
    found = found or [run for run in runs if len(name) >= _LEAST and name in run.path.name]
    if len(found) == 1:
        return found[0]
    what = "several runs are" if found else "no run on this machine is"
    raise UsageError(
        f"{what} called {name!a}", hint=f"the newest is {runs[0].path.stem}", code="unknown-run"
    )


_LEAST = 4
"""Fewest characters of a run's name that stand for it."""


def _log_of(bar: QualityBar, name: str) -> str:
    try:
        return bar.folder.find(name).evidence.run
    except FftdeployError:
        return ""
