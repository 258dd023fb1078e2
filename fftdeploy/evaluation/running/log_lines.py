"""Writes and reads the lines of a run's log: a header, one answer each, and an end.

An answer's line begins with its id, so that a search need not read the rest.  No line but the
last may be broken: that one is what a kill leaves, and it has no line break.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.outputs import ModelOutput, output_from
from fftdeploy.evaluation.results import BATCHED, MARKS, NOT_MEASURED, tokens_of
from fftdeploy.files import disk
from fftdeploy.formats import json_shapes, strict_json

ID_PREFIX = b'{"id":"'
END_PREFIX = b'{"done":'
BATCH_PREFIX = b'{"batch":'
KEY_DIGITS = 16
"""So many digits of an id tell nearly all answers apart."""

_WHICH = ("id", "arm", "index", "repeat", "example")
"""What says which answer a record is, in a line's order."""

_EXAMPLE = re.compile(rb'"repeat":[0-9]+,"example":("(?:[^"\\]|\\.)*")')
"""The example in an answer's line; no text in it can look so, which has its quotes escaped."""

_VERSION = 1
_ID_DIGITS = 64
_MOST = 1 << 40


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: which run this is."""

    path: Path
    run: str
    """32 hex digits over `parts`."""
    task: str
    made_at: datetime
    parts: Mapping[str, str]
    arms: Mapping[str, Mapping[str, Any]]
    """The model and prompt that each name stands for."""


@dataclass(frozen=True, slots=True)
class Record:
    """An answer as a log keeps it: whole, with what it is an answer to."""

    id: str
    arm: str
    index: int
    """Of the example in its set."""
    repeat: int
    example: str
    at: datetime
    output: ModelOutput
    latency_ms: int = NOT_MEASURED
    cached: bool = False
    """Taken from the log of an earlier run."""


@dataclass(frozen=True, slots=True)
class BatchNote:
    """How far a batch of the run is; of several with one name the last counts.

    It asks for the answers of an arm from place `first` to before `end`, as far as they had not
    come; the place of an answer is `index * repeats + repeat`.
    """

    batch: str
    """Our own name for it, which its metadata has too."""
    at: datetime
    """When it was about to be made."""
    arm: str
    first: int
    end: int
    requests: int
    file: str = ""
    """ID of the file with its requests; "" where another log has made the batch."""
    id: str = ""
    """The host's; "" until that has answered."""
    status: str = ""
    """How it ended, once its answers are in the log."""

    def covers(self, arm: str, place: int) -> bool:
        """Whether it may ask for that answer."""
        return self.arm == arm and self.first <= place < self.end


def batch_line(note: BatchNote) -> bytes:
    """Write how far a batch is."""
    return strict_json.line(json_shapes.written(note))


def read_batches(lines: Iterable[bytes], path: Path) -> Iterator[BatchNote]:
    """Yield what a log says about batches; ConfigError for a damaged line."""
    for number, line in enumerate(lines, 1):
        if line.startswith(BATCH_PREFIX) and line.endswith(b"\n"):
            value = _loaded(line, path, number)
            try:
                yield json_shapes.read(BatchNote, value)
            except (KeyError, TypeError, ValueError):
                raise _damaged(path, number) from None


def header_line(header: Header) -> bytes:
    """Return the first line of a log."""
    said = json_shapes.written(header)
    del said["path"]
    return strict_json.line({"v": _VERSION, **said})


def record_line(record: Record) -> bytes:
    """Write an answer."""
    facts = {name: getattr(record, name) for name in _WHICH} | {"at": _shown(record.at)}
    if record.latency_ms != NOT_MEASURED:
        facts["latency_ms"] = record.latency_ms
    if record.cached:
        facts["cached"] = True
    return strict_json.line(facts | record.output.as_json())


def end_line(count: int, at: datetime) -> bytes:
    """Write the line that says that nothing is missing."""
    return strict_json.line({"done": count, "at": _shown(at)})


def read_header(line: bytes, path: Path) -> Header:
    """Read a header; ConfigError where it is none of this version."""
    value = _loaded(line, path, 1)
    try:
        if value["v"] != _VERSION:
            raise _damaged(path, 1)
        made_at = _moment(value["made_at"])
        parts, arms = dict(value["parts"]), dict(value["arms"])
        return Header(path, str(value["run"]), str(value["task"]), made_at, parts, arms)
    except (KeyError, TypeError, ValueError):
        raise _damaged(path, 1) from None


def read_records(
    lines: Iterable[bytes], path: Path, examples: Collection[str] | None = None
) -> Iterator[Record]:
    """Yield the answers of a log, from its first line on; with `examples` those to them alone.

    Raises:
        ConfigError: A line is not whole and is not the last one, with its number.
    """
    wanted = None if examples is None else {strict_json.dumps(each).encode() for each in examples}
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            return
        if number == 1 or line.startswith((END_PREFIX, BATCH_PREFIX)):
            continue
        example = None if wanted is None else _EXAMPLE.search(line)
        if example is None or wanted is None or example[1] in wanted:
            yield read_record(line, path, number)


def key(line: bytes, path: Path, number: int) -> int | None:
    """Return the number that the answer of line `number` is found by; None where it has none.

    Raises:
        ConfigError: The line is neither whole nor the last one.
    """
    if not line.endswith(b"\n") or number == 1 or line.startswith((END_PREFIX, BATCH_PREFIX)):
        return None
    start = len(ID_PREFIX)
    end = start + _ID_DIGITS
    if not (line.startswith(ID_PREFIX) and line[end : end + 2] == b'",' and line[-2:] == b"}\n"):
        raise _damaged(path, number)
    try:
        return int(line[start : start + KEY_DIGITS], 16)
    except ValueError:
        raise _damaged(path, number) from None


def read_record(line: bytes, path: Path, number: int) -> Record:
    """Read line `number`; ConfigError where it is no answer."""
    value = _loaded(line, path, number)
    try:
        record = Record(
            **{name: value[name] for name in _WHICH},
            at=_moment(value["at"]),
            output=output_from(value),
            latency_ms=value.get("latency_ms", NOT_MEASURED),
            cached=value.get("cached", False) is True,
        )
    except (KeyError, TypeError, ValueError):
        raise _damaged(path, number) from None
    if not _is_sound(record):
        raise _damaged(path, number)
    return record


def _is_sound(record: Record) -> bool:
    output = record.output
    texts = (record.id, record.arm, record.example, output.text, output.problem, output.model)
    counts = (*tokens_of(output), record.index, record.repeat, record.latency_ms)
    return (
        all(isinstance(text, str) for text in texts)
        and len(record.id) == _ID_DIGITS
        and all(type(count) is int and count < _MOST for count in counts)
        and min(counts[:-1]) >= 0
        and record.latency_ms >= BATCHED
        and output.mark in MARKS
    )


def _loaded(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        value = strict_json.loads(line.decode())
    except (UnicodeDecodeError, strict_json.StrictError):
        raise _damaged(path, number) from None
    if not isinstance(value, dict):
        raise _damaged(path, number)
    return value


def _damaged(path: Path, number: int) -> ConfigError:
    where = f"{disk.shown(path)}:{number}"
    return ConfigError(
        "a line of the log of a run is damaged",
        hint="move the file away: what only it has is asked for again",
        where=where,
        code="log-damaged",
    )


def _shown(moment: datetime) -> str:
    return _whole_second(moment.replace(microsecond=0))


# A second has many answers.
_whole_second = lru_cache(maxsize=16)(json_shapes.time_text)
_moment = lru_cache(maxsize=64)(partial(json_shapes.read, datetime))
