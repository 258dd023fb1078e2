"""Names that mean one model: a base and its dated snapshot, and the aliases that a list gives.

Pure.  A host that answers any name with what is loaded has answered about another model, however
good the answer is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fftdeploy.models.retirement import parse_fine_tune

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_SNAPSHOT = re.compile(r"-20[0-9]{2}-[0-9]{2}-[0-9]{2}|-[01][0-9][0-3][0-9]")


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
    if not (answered.startswith(base) and answered.endswith(rest)):
        return False
    return bool(_SNAPSHOT.fullmatch(answered[len(base) : len(answered) - len(rest)]))


def aliases_of(model: str, entries: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Return the other names that a list gives to `model`, which may itself be one of them.

    A `root` that is listed as a model of its own is another model: the base of an adapter.
    """
    found = set()
    for name, entry in entries.items():
        names = {name, *names_of(entry), *_root(entry, entries)}
        if model in names:
            found |= names
    return frozenset(found - {model})


def names_of(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that an entry of a list gives to its model beside its ID."""
    aliases = entry.get("aliases")
    listed = aliases if isinstance(aliases, list) else []
    yield from (alias for alias in listed if isinstance(alias, str) and alias)


def _root(entry: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    root = entry.get("root")
    if isinstance(root, str) and root and root not in entries:
        yield root
