"""A file that examples come from: what it is shows in its content, and it is read row by row."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from fftdeploy import files
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples import production, raw_lines
from fftdeploy.evaluation.examples.production import ProductionRequest, RequestShapeError
from fftdeploy.evaluation.examples.raw_lines import BOM, HeldFile, RawLine
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
_KNOWN = (
    "read are requests and answers as JSON lines, logs of LiteLLM, spans of OpenTelemetry as "
    "JSON, promptfoo's tests, and exports of OpenAI's Evals"
)
_HEAD = 64 * 1024


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
        self.criteria: list[Any] = []
        """Graders of OpenAI's Evals, as the file has them so far."""
        self._odd: dict[str, str] = {}
        """What is wrong with rows that were left out, and where the first such row is."""

    @property
    def read(self) -> int:
        """How many rows there were."""
        return self.formats.total()

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
        for value, place in self._values():
            try:
                for request in self._rows(value, place):
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
            (where, problem), *rest = faults
            shapes = '{"messages": [...]}, {"item": {...}} or {"request": {...}}'
            raised = ConfigError(problem, hint=f"a line is {shapes}\n{_KNOWN}", where=where)
            raised.details = tuple(f"{at}: {text}" for at, text in rest)
            raise raised

    def _leave_out(self, problem: Exception, place: str) -> None:
        """Count a row of a known shape that can't be read, by what is wrong with it."""
        first = self._odd.setdefault(str(problem), place)
        self.left_out[f"{problem}, first at {first}"] += 1

    def _rows(self, value: Any, place: str) -> Iterator[ProductionRequest]:
        if isinstance(value, RawLine):
            value = _read(value)
        if type(value) is _Listed:
            for number, each in enumerate(value, 1):
                yield from self._rows(each, f"{place} ({number})")
            return
        if (form := _form_of(value)) is not None:
            yield from self._parts(form, value, place)
            return
        self.formats[PLAIN] += 1
        try:
            yield production.request(value, place)
        except RequestShapeError as error:
            if not production.is_one(value):
                raise
            self._leave_out(error, place)

    def _parts(
        self, form: ImportFormat, value: Mapping[str, Any], place: str
    ) -> Iterator[ProductionRequest]:
        if form.name == openai_evals.NAME:
            self.criteria += openai_evals.criteria(value)
        for number, part in enumerate(form.parts(value), 1):
            self.formats[form.name] += 1
            try:
                request = form.request(part, place if number == 1 else f"{place} ({number})")
                yield replace(request, is_converted=True)
            except RequestShapeError as error:
                self.left_out[str(error)] += 1
                continue
            if isinstance(part, promptfoo_tests.PromptfooTest):
                self.left_out.update(promptfoo_tests.unread(part))

    def _values(self) -> Iterator[tuple[Any, str]]:
        """Yield each line, or the value that is the whole file, and its place."""
        if self.path == STDIN:
            held = HeldFile(self.path, self.shown, self.path, 0, MAX_LINE)
            whole = self._whole(held)
        else:
            root = Path(self.path.anchor)
            with files.opened(self.path, root=root, hint=f"name a file of {PLAIN}") as (file, *_):
                held = HeldFile(self.path, self.shown, root, file, MAX_LINE)
                whole = self._whole(held)
        if whole is not None:
            yield whole, f"{self.shown}:1"
            return
        try:
            for line in held.lines():
                yield line, f"{self.shown}:{line.number}"
        except ConfigError as error:
            if error.code == "examples":  # something else than JSON
                error.hint = f"{error.hint}\n{_KNOWN}"
            raise

    def _whole(self, held: HeldFile) -> Any:
        """Return the value that is the whole file; None where each line is one, or it is large."""
        head = held.head(_HEAD).removeprefix(BOM)
        is_json = head.lstrip().startswith((b"{", b"["))
        if not is_json and promptfoo_tests.YAML_KEY.search(head):
            data = held.head(promptfoo_tests.MAX_YAML + 1)
            is_short = len(data) <= promptfoo_tests.MAX_YAML
            return promptfoo_tests.read_yaml(data, self.shown) if is_short else None
        first = next((line for line in head.splitlines() if line.strip()), b"").strip()
        if not is_json or (first.startswith(b"{") and first.endswith(b"}")):
            return None
        data = held.head(MAX_DOCUMENT + 1)
        if len(data) > MAX_DOCUMENT:
            return None
        try:
            value = strict_json.read(data.removeprefix(BOM).decode())
        except (UnicodeDecodeError, StrictError):
            return None  # its first line says what is wrong
        return _Listed(value) if isinstance(value, list) else value


class _Listed(list[Any]):
    """The values of a file that is one array of them."""


def _form_of(value: Any) -> ImportFormat | None:
    known = _FORMATS if isinstance(value, dict) else ()
    return next((form for form in known if form.is_one(value)), None)


def _read(line: RawLine) -> Any:
    if line.is_too_long:
        raise RequestShapeError("a line of more than 8 MiB")
    try:
        value = strict_json.read(line.raw.decode())
    except UnicodeDecodeError:
        raise RequestShapeError("a line that is not UTF-8") from None
    if len(line.raw) > raw_lines.MAX_LINE and _form_of(value) is None:
        raise RequestShapeError("a line of more than 1 MiB")
    return value
