"""Names that mean one model: a base and its dated snapshot, and the aliases that a list gives.

Pure.  A host that answers any name with what is loaded has answered about another model, however
good the answer is.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from fftdeploy.models.retirement import parse_fine_tune

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_SNAPSHOT = re.compile(r"-(20[0-9]{2})-([0-9]{2})-([0-9]{2})|-([01][0-9])([0-3][0-9])")
_DATED_BASES = re.compile(r"(ft:)?(gpt-|chatgpt-|o[0-9]|babbage|davinci)")
"""Names whose dated snapshots are the same model: OpenAI's bases."""


def is_answer_of(asked: str, answered: str, known_as: Collection[str] = ()) -> bool:
    """Whether what calls itself `answered` is the model `asked`.

    `known_as` are its other names.  A base's dated snapshot is the base, in a fine-tune's ID too:
    `gpt-4.1-mini` answers as `gpt-4.1-mini-2025-04-14`.
    """
    if answered == asked or answered in known_as:
        return True
    base = asked
    if tuned := parse_fine_tune(asked):
        base = f"ft:{tuned.base}"
    rest = asked.removeprefix(base)
    if not (_DATED_BASES.match(base) and answered.startswith(base) and answered.endswith(rest)):
        return False
    return _is_snapshot(answered[len(base) : len(answered) - len(rest)])


def _is_snapshot(suffix: str) -> bool:
    """Whether a suffix is a day: `-2025-04-14`, or `-0613` of a year that is not said."""
    found = _SNAPSHOT.fullmatch(suffix)
    if not found:
        return False
    year, month, day = found[1] or "2024", found[2] or found[4], found[3] or found[5]
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def aliases_of(model: str, entries: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Return the other names that a list gives to `model`, which may itself be one of them.

    An alias or a `root` that is listed as a model of its own is another model, and so is the root
    of an entry that has a parent: the base of an adapter.
    """
    own = {name for name, entry in entries.items() if name not in names_of(entry)}
    found = set()
    for name, entry in entries.items():
        others = {*names_of(entry), *_root(entry)}
        names = {name, *(others - own)}
        if model in names:
            found |= names
    return frozenset(found - {model})


def names_of(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that an entry of a list gives to its model beside its ID."""
    aliases = entry.get("aliases")
    listed = aliases if isinstance(aliases, list) else []
    yield from (alias for alias in listed if isinstance(alias, str) and alias)


def _root(entry: Mapping[str, Any]) -> Iterator[str]:
    root = entry.get("root")
    if isinstance(root, str) and root and not entry.get("parent"):
        yield root
