"""Tells how far an evaluation is: a line that moves on a terminal, some that stay off it."""

from typing import TYPE_CHECKING

from fftdeploy.commands.context import Context
from fftdeploy.evaluation.running.run_answers import Progress
from fftdeploy.output.words import progress_words, waiting_words

if TYPE_CHECKING:
    from fftdeploy.evaluation.running.batches.batch_execution import Waiting

_REFRESH_S = 0.1
_SILENCE_S = 600.0
"""How long nothing is said off a terminal while a batch is waited for."""


class Narrator:
    """Tells of one run: off a terminal a line every 10 %, of a batch every 10 minutes."""

    def __init__(self, context: Context) -> None:
        self._console = context.console
        self._monotonic = context.clock.monotonic
        self._tenth = 0
        self._shown_at = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Take one step of the run."""
        if self._console.shows_progress:
            if self._is_due(_REFRESH_S) or progress.done == progress.total:
                self._console.progress(progress_words(progress))
            return
        tenth = 10 * progress.done // progress.total
        if progress.done == progress.cached < progress.total:
            return  # nothing was asked yet
        if tenth > self._tenth:
            self._tenth = tenth
            self._console.note(progress_words(progress))

    def count(self, progress: Progress) -> None:
        """Take one answer that has lain there: how fast it is read says nothing."""
        if self._console.shows_progress and self._is_due(_REFRESH_S):
            self._console.progress(f"{progress.done:,}/{progress.total:,} answers read")

    def wait(self, waiting: "Waiting") -> None:
        """Tell how far the batches are that are waited for."""
        if self._console.shows_progress:
            self._console.progress(waiting_words(waiting))
        elif self._is_due(_SILENCE_S):
            self._console.note(waiting_words(waiting))

    def tell(self, what: str) -> None:
        """Tell what is done beside asking."""
        self._console.leave_progress()
        self._console.note(what)

    def _is_due(self, seconds: float) -> bool:
        if self._monotonic() - self._shown_at < seconds:
            return False
        self._shown_at = self._monotonic()
        return True
