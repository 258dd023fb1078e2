"""What models are called: names that mean one model, and short names on a screen.

A base and its dated snapshot are one model, and so are the aliases that a list gives.
A host that answers any name with what is loaded has answered about another model, however good the
answer is.  What a screen shows can be typed: both are from the same forms of an ID.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

from fftdeploy.model_ids.retirement import parse_fine_tune, row_for, table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_SNAPSHOT = re.compile(r"-(20[0-9]{2})-([0-9]{2})-([0-9]{2})|-([01][0-9])([0-3][0-9])")
_FAMILY = re.compile("[a-z]+")
_DATED_BASES = re.compile(r"(ft:)?(gpt-|chatgpt-|o[0-9]|babbage|davinci)")
"""Names whose dated snapshots are the same model: OpenAI's bases."""
_BEGUN = "ft:BASE:ORG:SUFFIX".count(":")
"""Colons of an ID that lacks its last part, which could be that of one without a suffix."""
_WORDS = frozenset({"live", "base"})
"""What commands take for something else where a model is typed."""


def is_answer_of(asked: str, answered: str, known_as: Collection[str] = ()) -> bool:
    """Whether what calls itself `answered` is the model `asked`.

    `known_as` are its other names.  A base's dated snapshot is the base, in a fine-tune's ID too:
    `gpt-4.1-mini` answers as `gpt-4.1-mini-2025-04-14`.
    """
    if answered == asked or answered in known_as:
        return True
    tuned = parse_fine_tune(asked)
    base = f"ft:{tuned.base}" if tuned else asked
    rest = asked.removeprefix(base)
    if not (_DATED_BASES.match(base) and answered.startswith(base) and answered.endswith(rest)):
        return False
    # A day: `-2025-04-14`, or `-0613` of a year that is not said.
    found = _SNAPSHOT.fullmatch(answered[len(base) : len(answered) - len(rest)])
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


def short_name(model: str) -> str:
    """Return the shortest form of a model's ID: `triage-v9` of `ft:BASE:ORG:triage-v9:CdEf9`."""
    return _forms(model)[0]


def shown_names(models: Iterable[str]) -> dict[str, str]:
    """Map each model to what one screen calls it: its shortest form that no other there has.

    The full ID is what two models share in no case.
    """
    forms = {model: _forms(model) for model in models}
    times = Counter(form for each in forms.values() for form in each)
    return {
        model: next((form for form in each if times[form] == 1), model)
        for model, each in forms.items()
    }


def fitting(word: str, known: Iterable[str]) -> list[str]:
    """Return which models of `known` a typed word means, sorted.

    It is the one whose whole ID it is, else all that have it as a form, never as a beginning.
    """
    models = set(known)
    return [word] if word in models else sorted(model for model in models if word in _forms(model))


def is_whole_id(word: str, known: Collection[str]) -> bool:
    """Whether a word is an ID as it is: one of `known`, or one in form that begins none of them."""
    is_begun = word.count(":") == _BEGUN and any(each.startswith(f"{word}:") for each in known)
    return word in known or (is_full_id(word) and not is_begun)


def is_full_id(model: str) -> bool:
    """Whether a word is an ID in form, known or not: a fine-tune's, a path, a base of the table."""
    return bool(parse_fine_tune(model)) or "/" in model or _is_base(model)


def _forms(model: str) -> tuple[str, ...]:
    """Return what an ID may be called, shortest first, itself last.

    A number is a release, a base's name that base, and `live` what is live: no other model is
    called so.
    """
    if tuned := parse_fine_tune(model):
        checkpoint = "" if tuned.step is None else f":ckpt-step-{tuned.step}"
        shorter = [f"{tuned.id}{checkpoint}"]
        if tuned.suffix:
            shorter = [f"{tuned.suffix}{checkpoint}", f"{tuned.suffix}:{shorter[0]}"]
    else:  # the last part of `accounts/ORG/models/NAME`, then its last two, and so on
        path, sharp, deployment = model.partition("#")
        parts, end = path.split("/"), sharp + deployment.rpartition("/")[2]
        shorter = ["/".join(parts[at:]) + end for at in range(len(parts) - 1, 0, -1)]
    taken = {form for form in shorter if form.isdecimal() or form in _WORDS or _is_base(form)}
    return (*(form for form in shorter if form and form not in taken), model)


def _is_base(name: str) -> bool:
    return name in table().names or row_for(name) is not None
