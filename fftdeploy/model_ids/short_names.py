"""Short names: what a model is called on a screen, and which known models a typed word means.

What a screen shows can be typed: both are from the same forms of an ID.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fftdeploy.model_ids.retirement import parse_fine_tune, row_for, table

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS = frozenset({"live", "base"})
"""What commands take for something else where a model is typed."""


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


def is_full_id(model: str) -> bool:
    """Whether a word is an ID in form, known or not: a fine-tune's, a path, a base of the table."""
    return bool(parse_fine_tune(model)) or "/" in model or _is_base(model)


def _forms(model: str) -> tuple[str, ...]:
    """Return what an ID may be called, shortest first, itself last.

    A number is a release, a base's name that base, and `live` what is live: no other model is
    called so.
    """
    shorter = _parts_of_fine_tune(model) or _parts_of_path(model)
    return (*(form for form in shorter if form and not _is_taken(form)), model)


def _is_taken(form: str) -> bool:
    return form.isdecimal() or form in _WORDS or _is_base(form)


def _parts_of_fine_tune(model: str) -> tuple[str, ...]:
    tuned = parse_fine_tune(model)
    if not tuned:
        return ()
    checkpoint = "" if tuned.step is None else f":ckpt-step-{tuned.step}"
    last = f"{tuned.id}{checkpoint}"
    if not tuned.suffix:
        return (last,)
    return f"{tuned.suffix}{checkpoint}", f"{tuned.suffix}:{last}"


def _parts_of_path(model: str) -> tuple[str, ...]:
    """Return the last part of `accounts/ORG/models/NAME`, then its last two, and so on."""
    path, sharp, deployment = model.partition("#")
    parts = path.split("/")
    end = sharp + deployment.rpartition("/")[2]
    forms = ("/".join(parts[start:]) + end for start in range(len(parts) - 1, 0, -1))
    return tuple(forms)


def _is_base(name: str) -> bool:
    return name in table().names or row_for(name) is not None
