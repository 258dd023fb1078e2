"""Names that mean one model: a base and its dated snapshot, and the aliases that a list gives.

A host that answers any name with what is loaded has answered about another model, however good the
answer is.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

from fftdeploy.model_ids.retirement import parse_fine_tune

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_SNAPSHOT = re.compile(r"-(20[0-9]{2})-([0-9]{2})-([0-9]{2})|-([01][0-9])([0-3][0-9])")
_FAMILY = re.compile("[a-z]+")
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


def family(model: str) -> str:
    """Return whose kind a model is, by its name: `gpt`, `llama`; that of a fine-tune's base."""
    tuned = parse_fine_tune(model)
    name = (tuned.base if tuned else model).rpartition("/")[2].lower()
    found = _FAMILY.match(name)
    return found[0] if found else name


def own_names(entries: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Map each name in a list, as the host gave it, to all names that mean its model and no other.

    What two entries claim, as an ID, an alias or a `root`, tells neither model from the other: it
    is nobody's own, and maps to no name.
    """
    claims = {(_text(entry, "id"), frozenset(_claimed(entry))) for entry in entries}
    times = Counter(name for _, names in claims for name in names)
    found = dict.fromkeys(times, frozenset[str]())
    for _, names in claims:
        own = frozenset(name for name in names if times[name] == 1)
        found.update(dict.fromkeys(own, own))
    return found


def _claimed(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield all names of an entry; where it has a parent its root is that one's, the base's."""
    texts = _text(entry, "id"), "" if entry.get("parent") else _text(entry, "root")
    yield from filter(None, texts)
    yield from names_of(entry)


def names_of(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that an entry of a list gives to its model beside its ID."""
    aliases = entry.get("aliases")
    listed = aliases if isinstance(aliases, list) else []
    yield from (alias for alias in listed if isinstance(alias, str) and alias)


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""
