"""Finds the model IDs of a deployments file that are written down elsewhere.

A few byte strings, one for each way in which known IDs begin, are looked for at the speed of
`bytes.find`; what stands there is then taken whole and looked up.  An ID inside of a longer one is
another model's: a checkpoint's, or the base of a fine-tune.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import Literal

from fftdeploy.releases.deployments import Deployments, Target

ESCAPE = b"fftdeploy: ignore"
"""A line that has this is left out."""
TUNED = b"ft:"
_ID = rb"[A-Za-z0-9._:#/+-]"
_LONGEST = 256  # of an ID, in bytes
_BEFORE_TUNED = rb"[A-Za-z0-9._#+-]"
"""Other tools write `openai:ft:...` and `/models/ft:...`, and mean this model."""
_TUNED_ID = re.compile(
    rb"ft:[A-Za-z0-9][A-Za-z0-9._-]*:[A-Za-z0-9_-]+(?::[A-Za-z0-9._-]*)?:[A-Za-z0-9]+"
    rb"(?::ckpt-step-[0-9]+)?"
)
"""`ft:BASE:ORG:[SUFFIX]:ID[:ckpt-step-N]`; strict, for text has `ft:` for other reasons too."""
_STEM = 3  # letters that IDs share to be looked for together

Fate = Literal["live", "a canary", "on hold", "released", "no longer on hold"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A model ID that is written down: at a line, from 1."""

    line: int
    model: str


@dataclass(frozen=True, slots=True)
class Use:
    """What one target has, or had, to do with a model."""

    target: Target
    fate: Fate


def uses(deployments: Deployments, now: datetime) -> dict[str, tuple[Use, ...]]:
    """Return what each model of the file is used for at `now`, where it is live first.

    A target is named once for a model, with the gravest that is true of it.
    """
    found: dict[str, dict[str, Use]] = defaultdict(dict)
    for fate, models in _fates(deployments, now):
        for model, target in models:
            found[model].setdefault(str(target), Use(target, fate))
    return {model: tuple(by_target.values()) for model, by_target in found.items()}


def _fates(
    deployments: Deployments, now: datetime
) -> Iterator[tuple[Fate, list[tuple[str, Target]]]]:
    targets = deployments.targets.values()
    held = [(hold, target) for target in targets for hold in target.holds]
    yield "live", [(target.model, target) for target in targets]
    yield "a canary", [(target.canary.model, target) for target in targets if target.canary]
    yield "on hold", [(hold.model, target) for hold, target in held if hold.is_active(now)]
    released = [(r.bundle.model, target) for target in targets for r in target.releases]
    yield "released", released
    yield "no longer on hold", [(hold.model, target) for hold, target in held]


class Search:
    """A search for `models`, and for every other fine-tune's ID."""

    def __init__(self, models: Iterable[str]) -> None:
        self._known = {model.encode(): model for model in models}
        self._patterns = list(_patterns(self._known.values()))

    def hits(self, data: bytes) -> Iterator[Hit]:
        """Yield the IDs in `data` in the order of their lines, each once a line.

        The time is linear in the length of `data`, whatever it holds.
        """
        return _by_line(data, merge(*(self._found(pattern, data) for pattern in self._patterns)))

    def _found(self, pattern: re.Pattern[bytes], data: bytes) -> Iterator[tuple[int, str]]:
        for match in pattern.finditer(data):
            if model := self._model(match[0]):
                yield match.start(), model

    def _model(self, word: bytes) -> str:
        """Return the ID that `word` is, but for the end of a sentence; "" if it is none."""
        for token in (word, word.rstrip(b".:")):
            if token in self._known:
                return self._known[token]
        is_tuned = len(token) <= _LONGEST and _TUNED_ID.fullmatch(token)
        return token.decode() if is_tuned else ""


def _by_line(data: bytes, found: Iterable[tuple[int, str]]) -> Iterator[Hit]:
    number, end = 0, -1  # of the line that was looked at last
    is_ignored, seen = False, set[str]()
    for place, model in found:
        if place >= end:
            number += data.count(b"\n", max(end, 0), place) + (end < 0)
            start = data.rfind(b"\n", max(end, 0), place) + 1
            end = data.find(b"\n", place)
            end = len(data) if end < 0 else end
            is_ignored, seen = data.find(ESCAPE, start, end) >= 0, set()
        if not is_ignored and model not in seen:
            seen.add(model)
            yield Hit(number, model)


def _patterns(known: Iterable[str]) -> Iterator[re.Pattern[bytes]]:
    """Yield what looks for IDs by what they begin with: a handful, for each costs a pass."""
    groups: dict[str, list[str]] = {TUNED.decode(): [TUNED.decode()]}
    for model in known:
        groups.setdefault(model[:_STEM], []).append(model)
    for common in map(os.path.commonprefix, groups.values()):
        # It begins with plain letters, which `re` looks for fast; what is before is asked after.
        stem = re.escape(common.encode())
        before = _BEFORE_TUNED if common.encode() == TUNED else _ID
        yield re.compile(stem + rb"(?<!" + before + stem + rb")" + _ID + rb"*+")
