"""A file that examples come from: what it is shows in its content, and it is read row by row."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from fftdeploy import files
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples import production, raw_lines
from fftdeploy.evaluation.examples.production import ProductionRequest, RequestShapeError
from fftdeploy.evaluation.examples.raw_lines import HeldFile, RawLine
from fftdeploy.evaluation.review import (
    litellm_logs,
    openai_evals,
    promptfoo_tests,
    telemetry_spans,
)
from fftdeploy.formats import strict_json
from fftdeploy.formats.strict_json import StrictError, SurrogateError

STDIN = Path("-")
"""Stands for what is piped in; it can be read once."""

MAX_LINE = 8 * 1024 * 1024
"""Bytes of a line: an export of spans has many of them in one."""

MAX_DOCUMENT = 16 * 1024 * 1024
"""Bytes of a file that is one value over several lines, and read whole."""

MAX_FAULTS = 20
PLAIN = "requests and answers"
_WANTED = f"name a file of {PLAIN}"
_KNOWN = (
    "read are requests and answers as JSON lines, logs of LiteLLM, spans of OpenTelemetry as "
    "JSON, promptfoo's tests, and exports of OpenAI's Evals"
)
_HEAD = 64 * 1024
_BOM = b"\xef\xbb\xbf"


class ImportFormat(NamedTuple):
    """How a format is known, and how its rows are read."""

    name: str
    is_one: Callable[[Mapping[str, Any]], bool]
    parts: Callable[[Mapping[str, Any]], Iterator[Any]]
    request: Callable[[Any, str], ProductionRequest]


_FORMATS = tuple(
    ImportFormat(each.NAME, each.is_one, each.parts, each.request)
    for each in (litellm_logs, telemetry_spans, openai_evals, promptfoo_tests)
)


class ImportFile:
    """What was asked and answered, by a file of one of the known formats; mixed as they come."""

    def __init__(self, path: Path, shown: str) -> None:
        self.path, self.shown = path, shown
        self.formats: Counter[str] = Counter()
        """How many rows are of which format."""
        self.left_out: Counter[str] = Counter()
        """How many rows were not taken, by reason."""
        self.read = 0
        """How many rows there were."""
        self.criteria: list[Any] = []
        """Graders of OpenAI's Evals, as the file has them so far."""
        self._odd: dict[str, str] = {}
        """What is wrong with rows that were left out, and where the first such row is."""

    def rows(self) -> Iterator[ProductionRequest]:
        """Yield the requests of the file, in bounded memory; what can't be one is counted.

        Raises:
            ConfigError: Located at the first line that is of no known format, once the file is
                through; further ones, up to 20, are its details.  Or no row can be read, or it is
                something else.
            DiskError: The disk refused.
        """
        faults: list[tuple[str, str]] = []
        self._odd.clear()
        some = False
        for load, place in self._values():
            try:
                for request in self._rows(load(), place):
                    some = True
                    yield request
            except SurrogateError as error:
                self._leave_out(error, place)
            except (RequestShapeError, StrictError) as error:
                faults.append((place, str(error)))
                if len(faults) == MAX_FAULTS:
                    break
        if not (faults or some):
            faults = [(place, problem) for problem, place in self._odd.items()][:MAX_FAULTS]
        if faults:
            raise _error(faults)

    def _leave_out(self, problem: Exception, place: str) -> None:
        """Count a row of a known shape that can't be read, by what is wrong with it."""
        first = self._odd.setdefault(str(problem), place)
        self.left_out[f"{problem}, first at {first}"] += 1

    def _rows(self, value: Any, place: str) -> Iterator[ProductionRequest]:
        if type(value) is _Listed:
            for number, each in enumerate(value, 1):
                yield from self._rows(each, f"{place} ({number})")
            return
        found = next((form for form in _FORMATS if _is(form, value)), None)
        if found is None:
            self._count(PLAIN)
            try:
                yield production.request(value, place)
            except RequestShapeError as error:
                if not production.is_one(value):
                    raise
                self._leave_out(error, place)
        else:
            yield from self._parts(found, value, place)

    def _parts(
        self, form: ImportFormat, value: Mapping[str, Any], place: str
    ) -> Iterator[ProductionRequest]:
        if form.name == openai_evals.NAME:
            self.criteria += openai_evals.criteria(value)
        for number, part in enumerate(form.parts(value), 1):
            self._count(form.name)
            try:
                request = form.request(part, place if number == 1 else f"{place} ({number})")
                yield replace(request, is_converted=True)
            except RequestShapeError as error:
                self.left_out[str(error)] += 1
                continue
            if isinstance(part, promptfoo_tests.PromptfooTest):
                self.left_out.update(promptfoo_tests.unread(part))

    def _count(self, name: str) -> None:
        self.read += 1
        self.formats[name] += 1

    def _values(self) -> Iterator[tuple[Callable[[], Any], str]]:
        """Yield what loads each value, and its place: of a line, or of the whole file."""
        with self._held() as held:
            whole = self._whole(held)
            if whole is not None:
                yield (lambda: whole), f"{self.shown}:1"
                return
        try:
            for line in held.lines():
                yield _loader(line), f"{self.shown}:{line.number}"
        except ConfigError as error:
            if error.code == "examples":  # something else than JSON
                error.hint = f"{error.hint}\n{_KNOWN}"
            raise

    @contextmanager
    def _held(self) -> Iterator[HeldFile]:
        """Open the file, or what is piped in."""
        if self.path == STDIN:
            yield HeldFile(self.path, self.shown, self.path, 0, MAX_LINE)
            return
        root = Path(self.path.anchor)
        with files.opened(self.path, root=root, hint=_WANTED) as (file, _, _):
            yield HeldFile(self.path, self.shown, root, file, MAX_LINE)

    def _whole(self, held: HeldFile) -> Any:
        """Return the value that is the whole file; None where each line is one, or it is large."""
        head = held.head(_HEAD).removeprefix(_BOM)
        is_yaml = not head.lstrip().startswith((b"{", b"[")) and promptfoo_tests.YAML_KEY.search(
            head
        )
        if not is_yaml and not _goes_on(head):
            return None
        data = held.head(MAX_DOCUMENT + 1)
        if is_yaml:
            is_short = len(data) <= promptfoo_tests.MAX_YAML
            return promptfoo_tests.read_yaml(data, self.shown) if is_short else None
        if len(data) > MAX_DOCUMENT:
            return None
        try:
            value = strict_json.read(data.removeprefix(_BOM).decode())
        except (UnicodeDecodeError, StrictError):
            return None  # its first line says what is wrong
        return _Listed(value) if isinstance(value, list) else value


class _Listed(list[Any]):
    """The values of a file that is one array of them."""


def _is(form: ImportFormat, value: Any) -> bool:
    return isinstance(value, dict) and form.is_one(value)


def _goes_on(head: bytes) -> bool:
    """Whether the first value of a file does not end with its first line."""
    first = next((line for line in head.splitlines() if line.strip()), b"").strip()
    return first.startswith(b"[") or (first.startswith(b"{") and not first.endswith(b"}"))


def _loader(line: RawLine) -> Callable[[], Any]:
    def load() -> Any:
        if line.is_too_long:
            raise RequestShapeError("a line of more than 8 MiB")
        try:
            value = strict_json.read(line.raw.decode())
        except UnicodeDecodeError:
            raise RequestShapeError("a line that is not UTF-8") from None
        is_known = any(_is(form, value) for form in _FORMATS)
        if len(line.raw) > raw_lines.MAX_LINE and not is_known:
            raise RequestShapeError("a line of more than 1 MiB")
        return value

    return load


def _error(faults: Sequence[tuple[str, str]]) -> ConfigError:
    (where, problem), *rest = faults
    error = ConfigError(
        problem,
        hint='a line is {"messages": [...]}, {"item": {...}} or {"request": {...}}\n' + _KNOWN,
        where=where,
    )
    error.details = tuple(f"{place}: {text}" for place, text in rest)
    return error
