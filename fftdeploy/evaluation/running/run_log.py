"""The log of a run: every answer as it came, one line each, so that nothing is paid for twice.

There is no other state: a run that was stopped, however it was, goes on from its log, and the
logs of earlier runs are the cache.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Self

from fftdeploy.errors import ConflictError
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.results import MISSING
from fftdeploy.evaluation.running import log_lines
from fftdeploy.evaluation.running.log_lines import BatchNote, Header, Record
from fftdeploy.evaluation.running.run import Run
from fftdeploy.files import disk, journal
from fftdeploy.files.folders import FOLDER, RUNS, keep_out_of_git
from fftdeploy.files.journal import Journal
from fftdeploy.formats import strict_json
from fftdeploy.times import CLOCK_SKEW

MAX_AGE = timedelta(days=7)
"""How long an answer may be used again instead of being asked for."""

_TAIL = 256
"""Bytes in which the last line of a finished log has room."""


class AnswerCache:
    """The answers in some logs; an answer of an earlier one in `paths` goes first.

    In memory an answer is three numbers: a piece of its id, and where its line is.  What an outage
    has made, and what is older than `max_age` or from the future, is no answer.

    Raises:
        ConfigError: A line of a log is damaged, and is not the last one.
    """

    def __init__(
        self, paths: Sequence[Path], root: Path, now: datetime, max_age: timedelta
    ) -> None:
        self._oldest, self._newest = now - max_age, now + CLOCK_SKEW
        with ExitStack() as opened:
            files = [opened.enter_context(journal.open_reader(path, root=root)) for path in paths]
            self._logs = list(map(_IndexedLog, paths, files))
            self.close = opened.pop_all().close

    def __len__(self) -> int:
        """Return the number of lines, the unusable among them."""
        return sum(len(log.keys) for log in self._logs)

    def find(self, request_id: str) -> Record | None:
        """Return the answer to a request, None where none can be used."""
        for log in self._logs:
            for record in log.find(request_id):
                if record.output.mark != MISSING and self._oldest <= record.at <= self._newest:
                    return record
        return None


class _IndexedLog:
    """One log, its keys sorted."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        keys, places, numbers = array("Q"), array("Q"), array("Q")
        place = 0
        for number, line in enumerate(file, 1):
            if (key := log_lines.key(line, path, number)) is not None:
                keys.append(key)
                places.append(place)
                numbers.append(number)
            place += len(line)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self.keys, self._places, self._numbers = (
            array("Q", map(column.__getitem__, order)) for column in (keys, places, numbers)
        )

    def find(self, request_id: str) -> list[Record]:
        """Return the answers to a request, the newest first."""
        key = int(request_id[: log_lines.KEY_DIGITS], 16)
        found = []
        for index in range(bisect_left(self.keys, key), bisect_right(self.keys, key)):
            self._file.seek(self._places[index])
            line = self._file.readline()
            record = log_lines.read_record(line, self._path, self._numbers[index])
            if record.id == request_id:
                found.append(record)
        return found[::-1]


class RunLog:
    """The log of one run, opened by `open_log`; a context manager.

    `resumed` says that it goes on from an earlier process; `unlike` is one line about an
    unfinished run of the task that is another one, "" where there is none; `cache` has the answers
    of the other runs; `run` is the same for all logs of runs that are one.  With `stays_open` the
    run is over only when its answers are judged, too: `end` says so.
    """

    stays_open = False

    def __init__(
        self, log: Journal, cache: AnswerCache, run: str, *, resumed: bool, unlike: str
    ) -> None:
        self.path = log.path
        self.run = run
        self.cache = cache
        self.resumed = resumed
        self.unlike = unlike
        self._journal = log
        self._end = b""

    def records(self) -> Iterator[Record]:
        """Yield the answers that are in this log already.

        Raises:
            ConfigError: A line is not whole, with its number.
        """
        return log_lines.read_records(self._journal.lines(), self.path)

    def add(self, record: Record) -> None:
        """Keep one answer; DiskError where the disk refuses, which costs no other answer."""
        self._journal.append(log_lines.record_line(record))

    def batches(self) -> dict[str, BatchNote]:
        """Return how far each batch of this run is, by its name."""
        notes = log_lines.read_batches(self._journal.lines(), self.path)
        return {note.batch: note for note in notes}

    def note_batch(self, note: BatchNote) -> None:
        """Keep how far a batch is, on the disk before anything follows from it."""
        self._journal.append(log_lines.batch_line(note))
        self._journal.sync()

    def under_way(self) -> list[str]:
        """Return the IDs of the batches whose answers are not in this log yet."""
        return [note.id or note.batch for note in self.batches().values() if not note.status]

    def require_no_batch(self, again: str) -> None:
        """Refuse to ask for answers that a batch is on its way to; `again` comes back to that.

        Raises:
            ConflictError: One is.
        """
        if under_way := self.under_way():
            raise ConflictError(
                f"the same evaluation is running already, as batch {', '.join(under_way)}",
                hint=f"come back to it with: {again}",
                where=disk.shown(self.path),
                code="running",
            )

    def finish(self, count: int, at: datetime) -> None:
        """Say that all `count` answers are there."""
        self._end = log_lines.end_line(count, at)
        if not self.stays_open:
            self.end()

    def end(self) -> None:
        """Write that the run is over."""
        self._journal.append(self._end)
        self._journal.sync()

    def close(self) -> None:
        """Wait until every line is on the disk, and close."""
        self.cache.close()
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_log(
    root: Path,
    run: Run,
    *,
    now: Callable[[], datetime],
    token: str,
    fresh: bool = False,
    max_age: timedelta = MAX_AGE,
) -> RunLog:
    """Find the unfinished log of `run` below `root` and go on with it, or begin one.

    Args:
        root: The folder that `.fftdeploy` is in.
        run: Which run it is, by its `parts`.
        now: The clock, in UTC.
        token: 6 hex digits that no other run of this second has.
        fresh: Take no answer from the logs of other runs.
        max_age: Take none that is older; an unfinished log that is, is left alone.

    The log is ours until it is closed: a second process would pay for the same answers again, and
    mix its own with them.  A kill ends that at once.

    Raises:
        ConfigError: A log is damaged, or something else is in the way of one.
        ConflictError: Another process is at this run.
        DiskError: The disk refused.
    """
    keep_out_of_git(root)
    moment = now()
    parts = {**run.parts, "fresh": str(fresh).lower()}
    name = f"{run.task}-{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{token}.jsonl"
    arms = {key: asdict(arm.bundle) for key, arm in run.arms.items()}
    sha = strict_json.sha_of(parts)[:32]
    header = Header(root / RUNS / name, sha, run.task, moment, parts, arms)
    with journal.locked(root / FOLDER, root=root):  # two that begin at once must see each other
        logs = [log for log in headers(root, run.task) if log.made_at >= moment - max_age]
        logs = [log for log in logs if log.parts.get("purpose", "") == run.purpose]
        log, ours = _going_on(logs, header.run, root, is_once=run.purpose != "")
        if log is None:
            log = _hold(header.path, root)
            log.append(log_lines.header_line(header))
    rest = [other for other in logs if other is not ours]
    whole = [other for other in rest if is_finished(other.path, root)]
    stopped = [other for other in rest if other not in whole]
    # The newest whole run first: what others have changes while they run.
    others = [] if fresh else [other.path for other in (*whole, *stopped)]
    try:
        cache = AnswerCache(others, root, moment, max_age)
    except BaseException:
        log.close()
        raise
    unlike = ""
    if stopped and ours is None:
        theirs = stopped[0].parts
        keys = sorted(theirs.keys() | parts.keys())
        changed = ", ".join(key for key in keys if parts.get(key) != theirs.get(key))
        unlike = f"{stopped[0].path.name} is unfinished and another run: its {changed} differ"
    return RunLog(log, cache, header.run, resumed=ours is not None, unlike=unlike)


def known_answers(
    root: Path, run: Run, *, now: datetime, max_age: timedelta = MAX_AGE
) -> Counter[str]:
    """Count the answers to `run` that are kept and may be taken, by arm, and begin nothing.

    Raises:
        ConfigError: A log is damaged.
    """
    kept = [log.path for log in headers(root, run.task) if log.made_at >= now - max_age]
    with closing(AnswerCache(kept, root, now, max_age)) as cache:
        return Counter(
            ask.arm
            for ask in (run.pending() if len(cache) else ())
            if (found := cache.find(ask.id)) and run.can_use(ask.arm, found.output)
        )


def _going_on(
    logs: Iterable[Header], run: str, root: Path, *, is_once: bool
) -> tuple[Journal, Header] | tuple[None, None]:
    """Hold the log of this run that is not finished, or of one that is made once, if there is."""

    def is_open(log: Header) -> bool:
        return is_once or not is_finished(log.path, root)

    ours = next((log for log in logs if log.run == run and is_open(log)), None)
    if ours is None:
        return None, None
    log = _hold(ours.path, root)
    if not is_open(ours):  # it ended in this moment
        log.close()
        return None, None
    log.drop_torn()
    return log, ours


def _hold(path: Path, root: Path) -> Journal:
    log = journal.open_journal(path, root=root)
    if log.hold():
        return log
    holder = log.holder()
    log.close()
    raise ConflictError(
        f"the same evaluation is running already: {holder}",
        hint="wait until it has ended: then its answers are there, and none is paid for twice",
        where=disk.shown(path),
        code="running",
    )


def headers(root: Path, task: str = "") -> list[Header]:
    """Return the headers of the logs below `root`, of one task or of all, newest first."""
    names = journal.listing(root / RUNS, root=root)
    paths = [root / RUNS / name for name in names if name.endswith(".jsonl")]
    found = [header for path in paths if (header := read_header(path, root)) is not None]
    found = [header for header in found if task in {"", header.task}]
    return sorted(found, key=lambda header: (header.made_at, header.path.name), reverse=True)


def read_header(path: Path, root: Path) -> Header | None:
    """Read the first line of a log; None where a kill left no whole one."""
    with journal.open_reader(path, root=root) as file:
        line = file.readline()
    return log_lines.read_header(line, path) if line.endswith(b"\n") else None


def is_finished(path: Path, root: Path) -> bool:
    """Whether the log's last line says that nothing is missing."""
    with journal.open_reader(path, root=root) as file:
        file.seek(max(0, file.seek(0, 2) - _TAIL))
        tail = file.read()
    last = tail[:-1].rpartition(b"\n")[2]
    return tail.endswith(b"\n") and last.startswith(log_lines.END_PREFIX)


def read_records(
    path: Path, root: Path, examples: Collection[str] | None = None
) -> Iterator[Record]:
    """Yield the answers of a log, finished or not, to `examples`; ConfigError for a damaged one."""
    with journal.open_reader(path, root=root) as file:
        yield from log_lines.read_records(file, path, examples)


def outputs(path: Path, root: Path) -> dict[str, dict[str, dict[int, ModelOutput]]]:
    """Return what was answered, by the example's id, arm and repeat: of several, what counts."""
    found: dict[str, dict[str, dict[int, ModelOutput]]] = {}
    for record in read_records(path, root):
        repeats = found.setdefault(record.example, {}).setdefault(record.arm, {})
        if record.output.mark != MISSING or record.repeat not in repeats:
            repeats[record.repeat] = record.output
    return found
