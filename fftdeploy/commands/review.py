"""Review: opens the queue of answers that a person judges, and counts what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fftdeploy.commands.context import Context, actor_name, one_of
from fftdeploy.commands.options.looking import ReviewOptions
from fftdeploy.commands.watching.logs import moved_since
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.review import in_place
from fftdeploy.evaluation.review.differing import MAX_KEPT
from fftdeploy.evaluation.review.fidelity import Fidelity
from fftdeploy.evaluation.review.queue import DECISIONS, Reviewer, ReviewQueue
from fftdeploy.evaluation.review.requests import Requests
from fftdeploy.names import plural
from fftdeploy.output.results import OMITTED

PICK = "100"
"""How many inputs of a file are asked about, where nothing else is said."""


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
    added: int | None = field(default=None, metadata=OMITTED)
    """Examples that were added, or would be, which nobody has reviewed."""
    read: int | None = field(default=None, metadata=OMITTED)
    """Requests in the file that they come from."""
    left_out: Mapping[str, int] | None = field(default=None, metadata=OMITTED)
    """How many of these were not taken, by reason."""
    fidelity: Fidelity | None = field(default=None, metadata=OMITTED)
    """How often graders here say again what the file recorded."""


def check(options: ReviewOptions) -> None:
    """Raise UsageError for options that exclude each other, or say nothing alone."""
    adds = options.unreviewed and options.requests is not None
    sources = {"--run": options.run, "--from": options.requests}
    one_of(sources if adds else {**sources, "--unreviewed": options.unreviewed})
    if options.requests is not None:
        _picked(options)
        return
    if options.to is not None:
        raise UsageError("--to goes with --from", hint="failures are reviewed where they are")
    if options.dry_run or options.pick != PICK or options.moved:
        flag = "--dry-run" if options.dry_run else "--moved" if options.moved else "--pick"
        raise UsageError(f"{flag} goes with --from", hint="add --from FILE")


def _picked(options: ReviewOptions) -> int | None:
    """Return how many inputs are picked, None for all."""
    if options.pick == "all":
        return None
    if not options.pick.isdecimal() or not 1 <= int(options.pick) <= MAX_KEPT:
        raise UsageError(
            f"--pick {options.pick!a} is not a number from 1 to {MAX_KEPT:,}, or `all`",
            hint=f"leave it out for the {PICK} that differ most",
        )
    return int(options.pick)


def open_queue(context: Context, options: ReviewOptions) -> ReviewQueue:
    """Return the answers that wait for a person.

    Raises:
        UsageError: There is no such task, gate or run.
        ConfigError: One of the files is missing or damaged, located.
        InconclusiveError: With `moved`, the file has too few requests of what is live.
        DiskError: The disk refused.
    """
    bar = context.quality_bar(context.workspace, options.task)
    reviewer = Reviewer(actor_name(context, options.by), context.now)
    queue: ReviewQueue
    if options.requests is not None:
        path, moved = options.requests, options.moved
        ranked = moved_since(context.workspace, options.task, path) if moved else None
        queue = Requests(bar, reviewer, path, options.to, _picked(options), ranked)
    elif options.unreviewed:
        queue = in_place.unreviewed(bar, reviewer)
    else:
        queue = in_place.failures(bar, reviewer, options.run)
    for text in queue.notes:
        context.console.note(text)
    return queue


def bring_in(context: Context, options: ReviewOptions) -> Reviewed:
    """Add what a file has as examples that nobody has reviewed; with `dry_run`, only say so.

    Raises:
        ConflictError: The examples are locked; and what `open_queue` raises.
    """
    queue = open_queue(context, options)
    assert isinstance(queue, Requests)  # noqa: S101  `check` has seen to it
    added = queue.add_unreviewed(is_rehearsal=options.dry_run)
    if added and not options.dry_run:
        context.changed = f"{plural(added, 'example')} added to {queue.where}"
    return replace(tally(context, queue), added=added, left_out=+queue.left_out, left=0)


def tally(context: Context, queue: ReviewQueue) -> Reviewed:
    """Say what was decided by now, which every end of the command then says."""
    context.changed = queue.changed or context.changed
    accepted, edited, rejected, skipped = (queue.counts[name] for name in DECISIONS)
    decided = accepted, edited, rejected, skipped, queue.left
    result = Reviewed(queue.bar.task, queue.where, *decided)
    if isinstance(queue, Requests):
        left_out = dict(queue.left_out)
        result = replace(result, read=queue.read, left_out=left_out, fidelity=queue.fidelity)
    context.known = result
    return result
