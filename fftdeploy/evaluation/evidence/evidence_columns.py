"""Writes results as the columns of an evidence file, and reads them back.

A column has one entry an example, or one an answer: answer `repeat` of example `i` is entry
`i * repeats + repeat`.  What is the same is written once: a number that all entries are, the
beginning of all IDs, and a column that an earlier model has too.
"""

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from os.path import commonprefix
from typing import Any

from fftdeploy.evaluation.results import BATCHED, LETTERS, NOT_MEASURED, TOKENS, Column, Results

_BITS = 4
"""Fields in a hex digit."""

_SHORTEST_RUN = 3
_NUMBERED = re.compile(r"(.*?)([0-9]{1,15})", re.DOTALL)
_DIGITS = "0123456789"
_PLACES = f"{_DIGITS}abcdefghijklmnopqrstuvwxyz"


def columns(results: Results) -> dict[str, Any]:
    """Return the JSON of `results`, by the keys that it has in evidence."""
    prefix = commonprefix(results.ids).rstrip(_DIGITS)  # noqa: RUF071  these are no paths
    return {
        "repeats": results.repeats,
        "fields": list(results.fields),
        "ids": {
            "all": prefix,
            "each": _joined(list(_runs([name.removeprefix(prefix) for name in results.ids]))),
        },
        "groups": _places(_numbers(results.groups, {"": 0})),
        "must_pass": [place for place, is_one in enumerate(results.must_pass) if is_one],
        "slices": [_slice(results, place) for place in range(len(results.slice_keys))],
        "answers": list(_answers(results)),
    }


def read_columns(document: Mapping[str, Any]) -> Results:
    """Return the results that `columns` has written.

    What it accepts beyond that is another spelling of results; the caller compares.

    Raises:
        TypeError, ValueError, LookupError, OverflowError: It is none.
    """
    n, repeats = document["examples"]["n"], _count(document["repeats"])
    texts = [document["fields"], *(part["values"] for part in document["slices"])]
    texts.append([part["key"] for part in document["slices"]])
    if not all(isinstance(text, str) for text in chain(*texts)):
        raise TypeError("a name that is no text")
    size = n * repeats
    if not all(len(arm["marks"]) == size for arm in document["answers"]):
        raise ValueError("another number of answers than of examples")
    slices = [
        map(part["values"].__getitem__, _unplaced(part["of"], n)) for part in document["slices"]
    ]
    results = Results(
        repeats,
        tuple(part["key"] for part in document["slices"]),
        tuple(document["fields"]),
        _ids(document["ids"], n),
        [str(number or "") for number in _unplaced(document["groups"], n)],
        list(zip(*slices, strict=True)) if slices else [()] * n,
        bytearray(n),
    )
    for place in document["must_pass"]:
        results.must_pass[_count(place)] = 1
    for arm in document["answers"]:
        results.arms[arm["arm"]] = _column(arm, size, results)
    return results


def _runs(ids: Sequence[str]) -> Iterator[Any]:
    """Yield IDs; those that are numbered one after the other as `[text, first number, count]`."""
    start = 0
    while start < len(ids):
        end = start + 1
        found = _NUMBERED.fullmatch(ids[start])
        if found:
            text, first = found.groups()
            while end < len(ids) and ids[end] == _numbered(text, first, end - start):
                end += 1
        if found and end - start >= _SHORTEST_RUN:
            yield [*found.groups(), end - start]
        else:
            yield from ids[start:end]
        start = end


def _numbered(text: str, first: str, after: int) -> str:
    return f"{text}{int(first) + after:0{len(first)}}"


def _joined(entries: list[Any]) -> Any:
    """Return IDs as one text with spaces between, where none of them has one itself."""
    is_plain = all(isinstance(entry, str) and " " not in entry for entry in entries)
    return " ".join(entries) if is_plain and len(entries) > 1 else entries


def _ids(written: Mapping[str, Any], n: int) -> list[str]:
    ids: list[str] = []
    each = written["each"]
    for entry in each.split(" ") if isinstance(each, str) else each:
        text, first, count = (entry, "", 1) if isinstance(entry, str) else entry
        if _count(count) > n - len(ids):
            raise ValueError("more IDs than examples")
        named = (_numbered(text, first, after) if first else text for after in range(count))
        ids += (written["all"] + name for name in named)
    if len(ids) != n:
        raise ValueError("fewer IDs than examples")
    return ids


def _slice(results: Results, place: int) -> dict[str, Any]:
    values: dict[str, int] = {}
    of = _numbers([row[place] for row in results.slices], values)
    return {"key": results.slice_keys[place], "values": list(values), "of": _places(of)}


def _numbers(names: Sequence[str], numbers: dict[str, int]) -> list[int]:
    """Return a number for each name; `numbers` gets those of new names, as they come."""
    return [numbers.setdefault(name, len(numbers)) for name in names]


def _places(numbers: list[int]) -> Any:
    """Return small numbers as a digit each, as long as there are digits for all of them."""
    packed = _packed(numbers)
    if isinstance(packed, list) and packed and max(packed) < len(_PLACES):
        return "".join(_PLACES[number] for number in packed)
    return packed


def _unplaced(written: Any, n: int) -> list[int]:
    if isinstance(written, str):
        written = [_PLACES.index(digit) for digit in written]
    return _unpacked(written, n)


def _answers(results: Results) -> Iterator[dict[str, Any]]:
    """Yield the answers of each arm; a column that an earlier arm has too is that arm's name."""
    before: dict[str, dict[str, Any]] = {}
    for arm, column in results.arms.items():
        measured = [None if value == NOT_MEASURED else value for value in column.latency_ms]
        numbers = {"latency_ms": measured} | {name: list(getattr(column, name)) for name in TOKENS}
        # A few hex digits an answer, bit `f` for field `f`; none where no field failed.
        failed = (f"{bits:0{_digits(len(results.fields))}x}" for bits in column.failed)
        packed = {name: _packed(values) for name, values in numbers.items()}
        yield {
            "arm": arm,
            "marks": "".join(LETTERS[code] for code in column.marks),
            "failed": "".join(failed) if any(column.failed) else "",
            **{name: _shared(name, values, before) for name, values in packed.items()},
        }
        before[arm] = packed


def _shared(name: str, values: Any, before: Mapping[str, Mapping[str, Any]]) -> Any:
    if isinstance(values, list):
        return next((arm for arm, earlier in before.items() if earlier[name] == values), values)
    return values


def _column(arm: Mapping[str, Any], size: int, before: Results) -> Column:
    """Read the answers of one arm; `before` has those of the arms above it."""
    codes = {letter: code for code, letter in enumerate(LETTERS)}

    def numbers(name: str) -> "array[int]":
        written = arm[name]
        if isinstance(written, str):
            return array("q", getattr(before.arms[written], name))
        if name == "latency_ms":
            measured = _unpacked(written, size, or_null=True)
            return array("q", (NOT_MEASURED if value is None else value for value in measured))
        return array("q", _unpacked(written, size))

    return Column(
        bytearray(codes[letter] for letter in arm["marks"]),
        _bits(arm["failed"], size, len(before.fields)),
        *map(numbers, ("latency_ms", *TOKENS)),
    )


def _bits(written: str, size: int, fields: int) -> "array[int]":
    if not written:
        return array("Q", bytes(8 * size))
    digits = _digits(fields)
    if len(written) != size * digits:
        raise ValueError("another number of failed fields than of answers")
    found = array(
        "Q", (int(written[at : at + digits], 16) for at in range(0, len(written), digits))
    )
    if max(found) >> fields:
        raise ValueError("a field that there is not")
    return found


def _digits(fields: int) -> int:
    return -(-fields // _BITS)


def _packed(values: list[Any]) -> Any:
    """Return a column of numbers, as one number where all of them are the same."""
    return values[0] if values and values.count(values[0]) == len(values) else values


def _unpacked(written: Any, size: int, *, or_null: bool = False) -> list[Any]:
    """Return a column of numbers, of which `or_null` says that they are latencies."""
    values = written if isinstance(written, list) else [written] * size
    if len(values) != size:
        raise ValueError("a column of another length")
    for value in values:
        if not (or_null and value in {None, BATCHED}):
            _count(value)
    return values


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a number out of its range")
    return value
