"""Tells how far an evaluation is: a line that moves on a terminal, some that stay off it."""

from contextlib import AbstractContextManager
from dataclasses import replace

from fftdeploy.commands.context import Context
from fftdeploy.evaluation.running.run_answers import Progress, Waiting
from fftdeploy.output.words import progress_words, waiting_words

_REFRESH_S = 0.1
_SILENCE_S = 600.0
"""How long nothing is said off a terminal while a batch is waited for."""


class Narrator:
    """Tells of one run: off a terminal a line every 10 %, of a batch every 10 minutes."""

    has_asked = False
    """Whether somebody was told what it takes, and asked."""

    def __init__(self, context: Context) -> None:
        self._console = context.console
        self._moves = context.console.shows_progress
        """Whether there is a line that moves; what stderr is does not change."""
        self._monotonic = context.clock.monotonic
        self._tenth = 0
        self._shown_at = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Take one step of the run."""
        if self._console.shows_progress and progress.cached == progress.total:
            self._console.note("all answers were known: nobody was asked")
        elif self._is_news(progress.done, progress.cached, progress.total):
            self._show(progress)

    def _is_news(self, done: int, cached: int, total: int) -> bool:
        if self._moves:
            return self._is_due(_REFRESH_S) or done == total
        tenth = 10 * done // total
        if done == cached < total or tenth <= self._tenth:
            return False  # nothing was asked yet, or it was told
        self._tenth = tenth
        return True

    def _show(self, progress: Progress) -> None:
        show = self._console.progress if self._moves else self._console.note
        show(progress_words(progress))

    def count(self, progress: Progress) -> None:
        """Take one answer that has lain there: how fast it is read says nothing."""
        if self._moves and self._is_due(_REFRESH_S):
            self._console.progress(f"{progress.done:,}/{progress.total:,} answers read")

    def wait(self, waiting: Waiting) -> None:
        """Tell how far the batches are that are waited for."""
        if self._moves:
            self._console.progress(waiting_words(waiting))
        elif self._is_due(_SILENCE_S):
            self._console.note(waiting_words(waiting))

    def tell(self, what: str) -> None:
        """Tell what is done beside asking."""
        self._console.leave_progress()
        self._console.note(what)

    def announce(self, what: str) -> None:
        """Tell what it takes, once."""
        if not self.has_asked:
            self.tell(what)

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """Show, while it is entered, that one waits."""
        return self._console.waiting(what)

    def _is_due(self, seconds: float) -> bool:
        if self._monotonic() - self._shown_at < seconds:
            return False
        self._shown_at = self._monotonic()
        return True


class JointNarrator(Narrator):
    """Tells of several runs at a time: how far all are in one line, all else with a name."""

    def __init__(self, context: Context, total: int) -> None:
        """Take how many answers all of them want."""
        super().__init__(context)
        self._total = total
        self._runs: dict[Narrator, Progress] = {}
        self._waits: dict[Narrator, Waiting] = {}
        self.done = self._cached = 0
        self._started = self._monotonic()

    def tell(self, what: str) -> None:
        """Tell it in the place of the line, which comes again with the next step."""
        self._console.note(what)

    def part(self, name: str) -> "Narrator":
        """Return whoever tells of one run, which is called `name`."""
        return _Part(self, name)

    def add(self, part: Narrator, progress: Progress) -> None:
        """Take one step of the run of a part."""
        before = self._runs.get(part)
        self._runs[part] = progress
        self.done += progress.done - (before.done if before else 0)
        self._cached += progress.cached - (before.cached if before else 0)
        if self._is_news(self.done, self._cached, self._total):
            self._show(self._sum())

    def _sum(self) -> Progress:
        runs = self._runs.values()
        elapsed = self._monotonic() - self._started
        rate = (self.done - self._cached) / elapsed if elapsed > 0 else 0.0
        usds = [each.usd for each in runs if each.usd is not None]
        return Progress(
            done=self.done,
            total=self._total,
            cached=self._cached,
            rate=rate,
            eta_s=(self._total - self.done) / rate if rate else None,
            tokens_in=sum(each.tokens_in for each in runs),
            tokens_out=sum(each.tokens_out for each in runs),
            usd=sum(usds) if len(usds) == len(runs) else None,
        )

    def add_wait(self, part: Narrator, waiting: Waiting) -> None:
        """Take how far the batches of a part are."""
        self._waits[part] = waiting
        waits = self._waits.values()
        self.wait(
            replace(
                waiting,
                batches=sum(each.batches for each in waits),
                answered=sum(each.answered for each in waits),
                requests=sum(each.requests for each in waits),
            )
        )


class _Part(Narrator):
    """Tells of one run of several."""

    def __init__(self, whole: JointNarrator, name: str) -> None:
        self._whole, self._name = whole, name

    def __call__(self, progress: Progress) -> None:
        self._whole.add(self, progress)

    def count(self, progress: Progress) -> None:
        self._whole.count(progress)

    def wait(self, waiting: Waiting) -> None:
        self._whole.add_wait(self, waiting)

    def tell(self, what: str) -> None:
        self._whole.tell(f"{self._name}: {what}")

    def waiting(self, what: str) -> AbstractContextManager[None]:
        return self._whole.waiting(what)
