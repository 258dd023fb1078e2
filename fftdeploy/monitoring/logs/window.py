"""What is kept of the requests of a window: counts, and digests with a random key; no text of any.

Each request has cells: a value for each measure.  Of a rate that is `yes` or `no`; of a size the
number of its bucket, each 5 % wider than the one before; of a mix a digest of the value.
"""

import hashlib
from dataclasses import dataclass, field
from math import expm1, log1p
from pathlib import Path
from typing import NamedTuple

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.production import ProductionRequest, Served
from fftdeploy.evaluation.graders.form import AnswerForm
from fftdeploy.files import disk, journal
from fftdeploy.files.folders import MONITOR, keep_out_of_git
from fftdeploy.formats import json_shapes, strict_json
from fftdeploy.monitoring.watched import path_of

RATES = ("valid", "refused", "truncated")
SIZES = ("length", "latency_ms", "tokens_in", "tokens_out")
MODEL = "model"
FAILED = "failed"
"""The rate of the calls that ended with an error: of how it was served, and of no answer."""
FIELD = "field "
"""Before the name of a field, or of the answer itself, whose values are a closed set."""

MAX_VALUES = 64
"""A set of more values than these is no closed one; what is over them is counted as one."""

MAX_INPUTS = 5000
"""Inputs that are known again, at most: a sample by their digests, the same in every window."""

OTHER = "other"
_YES, _NO = "yes", "no"
_REFUSED = frozenset({"refused", "filtered"})
_UNUSABLE = _REFUSED | {"truncated"}
_BUCKET = 0.05
_MAX_TEXTS, _MAX_CHARS = 4096, 2000
_SHOWN = 60

Cells = dict[str, str]


@dataclass(slots=True)
class LogWindow:
    """The counts of a window."""

    key: str
    """Hex digits: the key of the digests."""
    requests: int = 0
    first_at: float | None = None
    """Seconds since 1970; None where no request says when it was."""
    last_at: float | None = None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """How often each cell of a measure is there."""
    limit: int = 1 << 64
    """Inputs are kept whose digest is below."""
    inputs: dict[str, Cells] = field(default_factory=dict)
    """The cells of the first answer to each, without what differs from one time to the next."""

    @property
    def valid(self) -> float | None:
        """The share of the answers that have the right form; None of none."""
        counts = self.counts.get("valid", {})
        return counts.get(_YES, 0) / sum(counts.values()) if counts else None


class LiveRelease(NamedTuple):
    """What is live in a target, and which requests are answers of it."""

    target: str
    number: str
    """"" where no release is recorded."""
    model: str
    others: frozenset[str]
    """Models of the other releases."""

    def why_not(self, served: Served) -> str:
        """Say why a request is not of what is live; "" if it is, or if the log does not say."""
        if served.target and served.target != self.target:
            return "of another target"
        if served.release:
            number = self.number or "not recorded"
            return "" if served.release == self.number else f"of another release: live is {number}"
        is_other = {served.model, served.model.rpartition("/")[2]} & self.others
        return "answered by the model of another release" if is_other else ""


class RequestCounter:
    """Counts requests into a window, in bounded memory."""

    def __init__(self, form: AnswerForm, window: LogWindow, then: LogWindow | None = None) -> None:
        """Count into `window`; where there is a window before, only its inputs are kept."""
        self.window = window
        self.shown: dict[str, str] = {}
        """What the digests of values stand for."""
        self._form, self._then, self._key = form, then, bytes.fromhex(window.key)
        self._read: dict[str, tuple[bool, Cells]] = {}

    def add(self, request: ProductionRequest) -> None:
        """Count one request."""
        window, at = self.window, request.served.at
        cells = self.cells(request)
        window.requests += 1
        if at is not None:
            window.first_at = min(at, at if window.first_at is None else window.first_at)
            window.last_at = max(at, at if window.last_at is None else window.last_at)
        for measure, cell in {**cells, FAILED: _NO}.items():
            self._count(measure, cell)
        self._remember(self.input_of(request), cells)

    def add_failed(self) -> None:
        """Count a call that nobody has answered."""
        self._count(FAILED, _YES)

    def _count(self, measure: str, cell: str) -> None:
        counts = self.window.counts.setdefault(measure, {})
        counts[cell] = counts.get(cell, 0) + 1

    def cells(self, request: ProductionRequest) -> Cells:
        """Return the value of each measure for a request, as far as the log says it."""
        mark, served = request.mark, request.served
        cells = {
            "refused": _YES if mark in _REFUSED else _NO,
            "truncated": _YES if mark == "truncated" else _NO,
        }
        if mark not in _UNUSABLE:
            is_valid, values = self._answer(request)
            cells |= {"valid": _YES if is_valid else _NO, "length": bucket(len(request.output))}
            cells |= values
        for name in SIZES[1:]:
            if (size := getattr(served, name)) is not None:
                cells[name] = bucket(size)
        if served.model:
            cells[MODEL] = self._value(MODEL, served.model)
        return cells

    def input_of(self, request: ProductionRequest) -> str:
        """Return the digest of what was asked."""
        content = request.content
        asked = [content.get("messages"), content.get("item"), content.get("tools")]
        return self._digest(strict_json.dumps(asked))

    def _answer(self, request: ProductionRequest) -> tuple[bool, Cells]:
        """Return what is said of an answer; the same short one is looked at once."""
        text, schema = request.output, request.content.get("response_schema")
        if schema is None and (known := self._read.get(text)):
            return known
        named = ((FIELD + name, value) for name, value in self._form.values(text))
        found = self._form.is_valid(text, schema), {n: self._value(n, v) for n, v in named}
        if schema is None and len(text) <= _MAX_CHARS:
            if len(self._read) >= _MAX_TEXTS:
                self._read.clear()
            self._read[text] = found
        return found

    def _value(self, measure: str, value: str) -> str:
        """Return the digest of a value, or what stands for all those that are too many."""
        digest = self._digest(value)
        counts = self.window.counts.get(measure, {})
        is_known = digest in counts or (self._then and digest in self._then.counts.get(measure, {}))
        if not is_known and len(counts) >= MAX_VALUES:
            return OTHER
        self.shown[digest] = value[:_SHOWN]
        return digest

    def _digest(self, text: str) -> str:
        return hashlib.blake2b(text.encode(), digest_size=8, key=self._key).hexdigest()

    def _remember(self, digest: str, cells: Cells) -> None:
        """Keep the answer to an input that is of the sample, the first of several."""
        window = self.window
        if self._then is not None:
            if digest in self._then.inputs:
                window.inputs.setdefault(digest, cells)
            return
        if int(digest, 16) >= window.limit or digest in window.inputs:
            return
        window.inputs[digest] = {k: cell for k, cell in cells.items() if is_answers(k)}
        if len(window.inputs) > MAX_INPUTS:
            window.limit //= 2
            kept = window.inputs.items()
            window.inputs = {key: each for key, each in kept if int(key, 16) < window.limit}


def is_answers(measure: str) -> bool:
    """Whether a measure is of the answer, and not of how it was served."""
    return measure in RATES or measure == "length" or measure.startswith(FIELD)


def bucket(size: float) -> str:
    """Return the number of the bucket of a size of 0 or more."""
    return str(round(log1p(size) / _BUCKET))


def size_of(number: float) -> float:
    """Return the middle of a bucket."""
    return expm1(number * _BUCKET)


@dataclass(frozen=True, slots=True)
class LogBaseline:
    """A window, and what it is a window of: nothing else is held against it."""

    release: str
    model: str
    graders: str
    """Hash of the task's graders: others would tell other things of an answer."""
    window: LogWindow


def read_baseline(root: Path, target: str) -> LogBaseline | None:
    """Return what was kept last; None where nothing was.

    Raises:
        ConfigError: The line is damaged, or something else is in the way of the file.
        DiskError: The disk refused.
    """
    path = _path(root, target)
    if path.name not in journal.listing(path.parent, root=root):
        return None
    with journal.open_reader(path, root=root) as file:
        whole = [line for line in file if line.endswith(b"\n")]
    if not whole:
        return None
    try:
        found: LogBaseline = json_shapes.read(LogBaseline, strict_json.loads(whole[-1].decode()))
    except (TypeError, ValueError):
        where = disk.shown(path)
        hint = f"remove {where}: the next log begins a new baseline"
        raise ConfigError("the baseline of the logs is damaged", hint=hint, where=where) from None
    return found


def keep_baseline(root: Path, target: str, baseline: LogBaseline) -> None:
    """Append what is normal from now on; DiskError where the disk refuses."""
    keep_out_of_git(root)
    with journal.open_journal(_path(root, target), root=root) as log:
        log.drop_torn()
        log.append(strict_json.line(json_shapes.written(baseline)))


def _path(root: Path, target: str) -> Path:
    return root / MONITOR / "logs" / path_of(root, target).name
