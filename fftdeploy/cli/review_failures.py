"""The failures of a run: a review replaces their agreed answers, or confirms them."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from inspect import isawaitable
from pathlib import Path

from fftdeploy.cli.review_in_place import InPlace
from fftdeploy.cli.reviewing import Item
from fftdeploy.cli.session import Session
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.evaluation.arms import LIVE
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.graders.grade import Grade
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.results import MISSING
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.log_lines import Header


class Failures(InPlace):
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
        answers = run_log.outputs(self.run.path, self.root)

        def doubt(example: Example) -> tuple[str, str] | None:
            if self._is_reviewed(example):
                return None
            return self._failure(example, answers.get(example.id, {}).get(self.arm, {}))

        return self.placed(doubt)

    def _is_reviewed(self, example: Example) -> bool:
        """Whether somebody has looked at the example since the run began."""
        if not example.reviewed_at:
            return False
        return datetime.fromisoformat(example.reviewed_at) >= self.run.made_at

    def _failure(
        self, example: Example, outputs: Mapping[int, ModelOutput]
    ) -> tuple[str, str] | None:
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

    def _grade(self, example: Example, output: ModelOutput) -> Grade:
        if output.mark:
            return Grade(passed=False, score=0.0, reason=output.mark)
        grade = self.bar.grading.grade(output.text, example)
        return asyncio.run(_awaited(grade)) if isawaitable(grade) else grade


async def _awaited(grade: Awaitable[Grade]) -> Grade:
    return await grade


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
