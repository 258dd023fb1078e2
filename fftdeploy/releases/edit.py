"""One target of `deployments.toml`, rewritten in place: text in, text out.

The target's own lines are cut out, `tomlkit` renders what is new in them, and it is spliced in
where the old value or the new line belongs; every other byte is carried over unread.  What
comes out is proved before it is returned: `tomllib` must read it as exactly the document that
was meant.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from fftdeploy.errors import ConfigError
from fftdeploy.formats import positions, toml_reader
from fftdeploy.formats.document import Document
from fftdeploy.formats.keys import written
from fftdeploy.formats.positions import Statement
from fftdeploy.names import OPENAI
from fftdeploy.releases.deployments import Canary, Hold, Release, Target
from fftdeploy.releases.rendering import pairs
from fftdeploy.releases.rendering import value as rendered

MAX_CANDIDATES = 64
_INDENT = "  "
_LINES = ("model", "profile", "provider", "canary")
"""The keys whose value is on one line."""
_HEADER_LINE = re.compile(r"^[ \t]*+\[[^\[\n][^\n]*+\n?", re.MULTILINE)
_OPENING = re.compile(r"\[[ \t\r]*+(?:#[^\n]*+)?\n")
_FOLLOWS = re.compile(r"(?:[ \t]*+(?:#[^\n]*+)?\r?\n)*+[ \t]*+(?:\[|#[^\n]*+\Z|\Z)")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\"'\\]+")
_QUOTES = re.compile(r"\"\"\"|\'\'\'|\"|\'")

Splice = tuple[int, int, str]
"""Replace what stands between two offsets.  New lines come whole, line ending included."""


class EditError(RuntimeError):
    """A bug: the edited text would not say what was meant, so it was given to nobody."""


@dataclass(frozen=True, slots=True)
class _Fragment:
    """The lines of one target, from its header to the end of its last statement."""

    text: str
    """The whole file's text; offsets below are into it."""
    start: int
    statements: Mapping[str, Statement]
    table: Mapping[str, Any]
    """What `tomllib` read there."""

    def below(self, statement: Statement) -> int:
        """Return the offset of the line below `statement`."""
        return positions.end_of_line(self.text, statement.end)

    @property
    def end(self) -> int:
        return self.below(list(self.statements.values())[-1])


def layout_error(document: Document, target: Target) -> ConfigError | None:
    """Build the error for a target in a layout that can't be edited safely, if it is."""
    return None if next(_fragments(document, target), None) else _layout_error(document, target)


def rewrite(document: Document, before: Target | None, after: Target) -> str:
    """Return the text of `document` with one target changed.

    Args:
        document: The file as it was read; its text has no byte-order mark.
        before: The target as `document` has it; None to append a new one.
        after: The target as it should be: releases and holds may gain rows on top, and a hold
            may be lifted, but no row may change or go.

    Raises:
        ConfigError: The target is written in a layout that can't be edited safely.
        EditError: The result would be another document than the one meant.
    """
    if before == after:
        return document.text
    intended = _intended(document.data, before, after)
    if before is None:
        splices = [_new_table(document.text, after)]
    else:
        splices = _changes(_cut(document, before), before, after)
    text = _spliced(document.text, splices)
    if _reads_as(text, intended):
        return text
    if before is None:
        cannot_be = after.task in document.data  # `triage = {...}` can't be added to
    else:
        cannot_be = not _is_statement(_cut(document, before))
    if cannot_be:
        raise _layout_error(document, after)
    raise EditError(f"the edit of {after} would not read as intended: nothing was changed")


# --- where the target is written ---------------------------------------------------------------


def _cut(document: Document, target: Target) -> _Fragment:
    """Return the one place that may be the target's, or the one of several that is.

    A single place need not be looked into: inside a string it would fail the proof of the result,
    and reading half the file to know sooner would cost as much as that.
    """
    found = list(_fragments(document, target))
    fragment = next((each for each in found if len(found) == 1 or _is_statement(each)), None)
    if fragment is None:
        raise _layout_error(document, target)
    return fragment


def _is_statement(fragment: _Fragment) -> bool:
    """Whether the text above it parses: it ends between statements, not in a string or array."""
    return _parsed(fragment.text[: fragment.start]) is not None


def _layout_error(document: Document, target: Target) -> ConfigError:
    path = (target.task, target.environment)
    problem = f"{target}: this layout can't be edited safely"
    hint = f"write it as one table, [{'.'.join(path)}], with model = ... and releases = [...] below"
    return document.error(path, problem, hint, "layout")


def _fragments(document: Document, target: Target) -> Iterator[_Fragment]:
    """Yield the places whose lines, read on their own, say all of `target`."""
    table = document.data[target.task][target.environment]
    alone = {target.task: {target.environment: table}}
    starts = _headers(document.text).get((target.task, target.environment), [])
    for start in starts[:MAX_CANDIDATES]:
        found = _fragment(document.text, start, table)
        if (
            found
            and _FOLLOWS.match(document.text, found.end)
            and _reads_as(document.text[start : found.end], alone)
        ):
            yield found


@lru_cache(maxsize=1)  # `check` looks for every target of one text
def _headers(text: str) -> Mapping[tuple[str, str], list[int]]:
    """Find the lines that `tomllib` reads on their own as the header of a target."""
    found: dict[tuple[str, str], list[int]] = {}
    for line in _HEADER_LINE.finditer(text):
        for task, environments in (_parsed(line[0]) or {}).items():
            for environment, table in environments.items():
                if table == {}:
                    found.setdefault((task, environment), []).append(line.start())
    return found


def _fragment(text: str, start: int, table: Mapping[str, Any]) -> _Fragment | None:
    statements: dict[str, Statement] = {}
    for statement in positions.statements(text, positions.end_of_line(text, start)):
        if statement.brackets:
            break
        if len(statement.path) != 1:
            return None
        statements[statement.path[0]] = statement
    return _Fragment(text, start, statements, table) if statements else None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return toml_reader.loads(text)
    except ValueError:
        return None


# --- what the edit must come to ----------------------------------------------------------------


def _intended(data: Mapping[str, Any], before: Target | None, after: Target) -> dict[str, Any]:
    """Return `data` with the change from `before` to `after` made in it."""
    task = dict(data.get(after.task, {}))
    if (before is None) == (after.environment in task):
        raise EditError(f"{after} is not as it was when the change was planned")
    table = dict(task.get(after.environment, {}))
    lines = _lines(after, table)
    table = {key: value for key, value in table.items() if key not in _LINES} | lines
    releases = [_row(row) for row in _new_releases(before, after)]
    if releases:
        table["releases"] = releases + table.get("releases", [])
    new, kept = _new_holds(before, after)
    if new or kept:
        rows = [
            {**row, **lifting} for row, lifting in zip(table.get("holds", []), kept, strict=True)
        ]
        table["holds"] = [_row(hold) for hold in new] + rows
    return {**data, after.task: {**task, after.environment: table}}


def _lines(target: Target, found: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the lines of a target must say; most say no provider."""
    implied = target.provider == OPENAI and (found or {}).get("provider") != OPENAI
    said = {
        "model": target.model,
        "profile": target.profile,
        "provider": None if implied else target.provider,
        "canary": _row(target.canary) if target.canary else None,
    }
    return {key: value for key, value in said.items() if value is not None}


def _new_releases(before: Target | None, after: Target) -> Sequence[Release]:
    old = before.releases if before else ()
    count = len(after.releases) - len(old)
    if count < 0 or after.releases[count:] != old:
        raise EditError(f"a release of {after} would be changed or lost")
    return after.releases[:count]


def _new_holds(before: Target | None, after: Target) -> tuple[Sequence[Hold], list[dict[str, Any]]]:
    """Return the holds put on top, and for each one below what lifts it now."""
    old = before.holds if before else ()
    count = len(after.holds) - len(old)
    if count < 0:
        raise EditError(f"a hold of {after} would be lost")
    kept = []
    for was, now in zip(old, after.holds[count:], strict=True):
        if was != now and (was.lifted is not None or was != now.unlifted):
            raise EditError(f"a hold on {was.model} would be changed")
        kept.append({key: value for key, value in _row(now).items() if key not in _row(was)})
    return after.holds[:count], kept


def _row(record: Release | Hold | Canary) -> dict[str, Any]:
    """Return what the row of a release or a hold, or the line of a canary, says."""
    return {
        key: value.astimezone(UTC).replace(microsecond=0) if isinstance(value, datetime) else value
        for key, value in written(record).items()
    }


def _reads_as(text: str, intended: Mapping[str, Any]) -> bool:
    read = _parsed(text)
    return read is not None and _same(read, intended)


def _same(one: Any, other: Any) -> bool:
    """Compare as TOML does: 1, 1.0 and true are three different values."""
    if type(one) is not type(other):
        return False
    if type(one) is dict:
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if type(one) is list:
        return len(one) == len(other) and all(map(_same, one, other))
    if type(one) is str or type(one) is int:
        return bool(one == other)
    return repr(one) == repr(other)  # nan is nan here, and a time keeps its offset


# --- how it is written -------------------------------------------------------------------------


def _changes(fragment: _Fragment, before: Target, after: Target) -> list[Splice]:
    new, kept = _new_holds(before, after)
    return [
        *(
            splice
            for key in _LINES
            for splice in _set(fragment, key, _lines(after, fragment.table).get(key))
        ),
        *_prepend(fragment, "releases", _rows(_new_releases(before, after))),
        *_prepend(fragment, "holds", _rows(new)),
        *_extend(fragment, "holds", kept),
    ]


def _set(fragment: _Fragment, key: str, value: Any) -> list[Splice]:
    """Write, change or remove the line of a value, as far as that is needed."""
    if value == fragment.table.get(key):
        return []
    if key not in fragment.statements:
        return [_insert(fragment, key, f"{key} = {rendered(value)}")]
    text, found = fragment.text, fragment.statements[key]
    if value is None:
        return [(found.start - len(_before(text, found.start)), fragment.below(found), "")]
    old = text[found.value : found.end]
    new = _quoted(value, old) if isinstance(value, str) else rendered(value)
    return [(found.value, found.end, new)]


def _prepend(fragment: _Fragment, key: str, rows: list[str]) -> list[Splice]:
    """Put `rows` on top of an array; one on a single line is laid out over several."""
    if not rows:
        return []
    if key not in fragment.statements:
        return [_insert(fragment, key, f"{key} = [", *(_INDENT + row for row in rows), "]")]
    text, found = fragment.text, fragment.statements[key]
    array = positions.array(text, found.value)
    eol = _line_ending(text, array.start)
    margin = _before(text, found.start)
    indent = margin + _INDENT
    if opening := _OPENING.match(text, array.start):
        if array.elements and not _before(text, array.elements[0][0]).strip(" \t"):
            indent = _before(text, array.elements[0][0])
        return [(opening.end(), opening.end(), "".join(f"{indent}{row}{eol}" for row in rows))]
    if "\n" in text[array.start : array.close]:  # only its first row moves, to a line of its own
        end, tail = array.elements[0][0], indent
    else:
        end, tail = array.close, margin
        rows = [*rows, *(f"{text[start:stop]}," for start, stop in array.elements)]
    lines = "".join(f"{eol}{indent}{row}" for row in rows)
    return [(array.start + 1, end, f"{lines}{eol}{tail}")]


def _extend(fragment: _Fragment, key: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Splice]:
    """Put values, if there are any for it, at the end of each row of an array."""
    if not any(rows):
        return
    array = positions.array(fragment.text, fragment.statements[key].value)
    for (start, _), values in zip(array.elements, rows, strict=True):
        if values:
            end = positions.inline_table(fragment.text, start)[-1].end
            yield (end, end, f", {pairs(values)}")


def _insert(fragment: _Fragment, key: str, *lines: str) -> Splice:
    """Write the lines of a key that the target does not have yet."""
    above = _above(fragment, key)
    margin = _before(fragment.text, above.start)
    eol = _line_ending(fragment.text, above.end)
    at = fragment.below(above)
    return (at, at, "".join(f"{margin}{line}{eol}" for line in lines))


def _above(fragment: _Fragment, key: str) -> Statement:
    """Return the statement whose line the lines of a new `key` go below."""
    statements = fragment.statements
    order = list(statements)
    if key in _LINES:  # the last of those before it that there are; `model` always is
        before = _LINES[: _LINES.index(key)]
        return next(statements[name] for name in reversed(before) if name in statements)
    if key == "releases" and "holds" in order[1:]:
        return statements[order[order.index("holds") - 1]]
    return statements[order[-1]]


def _new_table(text: str, target: Target) -> Splice:
    """Write a new target at the end of the file."""
    lines = [f"[{target.task}.{target.environment}]"]
    lines += [f"{key} = {rendered(value)}" for key, value in _lines(target).items()]
    for key, rows in (("releases", _rows(target.releases)), ("holds", _rows(target.holds))):
        if rows:
            lines += [f"{key} = [", *(_INDENT + row for row in rows), "]"]
    if not text.endswith(("\n\n", "\n\r\n")):
        lines.insert(0, "")
    eol = _line_ending(text, len(text))
    return (len(text), len(text), "".join(line + eol for line in lines))


def _spliced(text: str, splices: Sequence[Splice]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end, new in sorted(splices, key=lambda splice: splice[:2]):
        pieces.append(text[done:start])
        if start == len(text) and not "".join(pieces).endswith("\n"):
            pieces.append(_line_ending(text, start))  # the last line had none
        pieces.append(new)
        done = end
    return "".join([*pieces, text[done:]])


def _before(text: str, offset: int) -> str:
    """Return what stands before `offset` on its line."""
    return text[text.rfind("\n", 0, offset) + 1 : offset]


def _line_ending(text: str, offset: int) -> str:
    """Return the ending of the line at `offset`, or of the one above the last one."""
    end = text.find("\n", offset)
    if end < 0:
        end = text.rfind("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def _rows(records: Sequence[Release | Hold]) -> list[str]:
    return [f"{rendered(_row(record))}," for record in records]


def _quoted(value: str, old: str) -> str:
    """Write `value` in the quotes of `old`, where that needs no escapes."""
    quotes = _QUOTES.match(old)
    if quotes and _PLAIN.fullmatch(value):
        return f"{quotes[0]}{value}{quotes[0]}"
    return rendered(value)
