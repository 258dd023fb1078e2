"""Review: opens the queue of answers that a person judges, and counts what was decided."""

from dataclasses import dataclass, field
from pathlib import Path

from fftdeploy.commands.context import Context, actor_name, one_of
from fftdeploy.commands.door import Options
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.review import in_place
from fftdeploy.evaluation.review.queue import DECISIONS, ReviewQueue
from fftdeploy.evaluation.review.requests import Requests
from fftdeploy.evaluation.review.source import Reviewer, ReviewSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOptions(Options):
    """What may be said to `review`; at most one of the run, `unreviewed` and the requests."""

    task: str = field(kw_only=False)
    run: str | None = None
    """Review the failures of this run; None for the newest."""
    unreviewed: bool = False
    """Review the examples that nobody has reviewed yet."""
    requests: Path | None = None
    """Review this JSONL of production requests."""
    to: Path | None = None
    """The examples file that they become part of; None for the first."""
    by: str | None = None
    """Who reviews; None for whom the environment names."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """How many answers were decided, and how many wait for the next review."""

    task: str
    file: str
    accepted: int
    edited: int
    rejected: int
    skipped: int
    left: int


def check(options: ReviewOptions) -> None:
    """Raise UsageError for options that exclude each other."""
    sources = {"--run": options.run, "--unreviewed": options.unreviewed, "--from": options.requests}
    one_of(sources)
    if options.to is not None and options.requests is None:
        raise UsageError("--to goes with --from", hint="failures are reviewed where they are")


def open_queue(context: Context, options: ReviewOptions) -> ReviewQueue:
    """Return the answers that wait for a person.

    Raises:
        UsageError: There is no such task, gate or run.
        ConfigError: One of the files is missing or damaged, located.
        DiskError: The disk refused.
    """
    bar = context.quality_bar(context.workspace, options.task)
    reviewer = Reviewer(actor_name(context, options.by), context.now)
    source: ReviewSource
    if options.requests is not None:
        source = Requests(bar, reviewer, options.requests, options.to)
    elif options.unreviewed:
        source = in_place.unreviewed(bar, reviewer)
    else:
        source = in_place.failures(bar, reviewer, options.run)
    queue = ReviewQueue(source)
    for text in source.notes:
        context.console.note(text)
    return queue


def tally(context: Context, queue: ReviewQueue) -> Reviewed:
    """Say what was decided by now, which every end of the command then says."""
    context.changed = queue.changed
    counts = {decision: queue.counts[decision] for decision in DECISIONS}
    source = queue.source
    context.known = result = Reviewed(source.bar.task, source.where, **counts, left=queue.left)
    return result
