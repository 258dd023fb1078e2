"""Renders values and tables that we write as TOML, by `tomlkit`."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import tomlkit

_WIDTH = 100


def value(said: Any) -> str:
    """Return a value on one line; times in UTC end with Z, and tables are inline."""
    if isinstance(said, datetime):
        return said.isoformat().replace("+00:00", "Z")
    if isinstance(said, Mapping):
        return f"{{ {pairs(said)} }}"
    if isinstance(said, list | tuple):
        return f"[{', '.join(map(value, said))}]"
    return str(tomlkit.item(said).as_string())


def paragraph(text: str) -> str:
    """Return a text as a value over several lines, the first of them below its quotes."""
    quotes = '"""'
    return f"{quotes}\n{tomlkit.string(text, multiline=True).as_string().removeprefix(quotes)}"


def pairs(said: Mapping[str, Any]) -> str:
    """Return keys with their values as they stand in an inline table."""
    return ", ".join(_pair(key, below) for key, below in said.items())


def table(header: str, said: Mapping[str, Any]) -> str:
    """Return a table below its header, a line a key; what is too long for one takes several.

    `header` has its brackets: `[a.b]`, or `[[a.b]]` for one more of an array.
    """
    below = f"[{header.strip('[]')}.{{}}]"
    wide = {
        key: rows
        for key, rows in said.items()
        if isinstance(rows, Mapping) and len(_pair(key, rows)) > _WIDTH
    }
    lines = [header, *(_lines(key, rows) for key, rows in said.items() if key not in wide)]
    text = "\n".join(lines) + "\n"
    return text + "".join(f"\n{table(below.format(key), rows)}" for key, rows in wide.items())


def _lines(key: str, said: Any) -> str:
    line = _pair(key, said)
    if len(line) <= _WIDTH or not isinstance(said, list | tuple):
        return line
    return "\n".join([f"{_key(key)} = [", *_rows(said), "]"])


def _rows(said: list[Any] | tuple[Any, ...]) -> Iterator[str]:
    """Yield lines with as many values as go on each."""
    line = " "
    for each in map(value, said):
        if len(line) > 1 and len(f"{line} {each},") > _WIDTH:
            yield line
            line = " "
        line += f" {each},"
    yield line


def _pair(key: str, said: Any) -> str:
    return f"{_key(key)} = {value(said)}"


def _key(key: str) -> str:
    return str(tomlkit.key(key).as_string())
