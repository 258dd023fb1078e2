"""The words in which two texts differ.  Pure; the texts are not escaped here."""

import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import groupby
from typing import NamedTuple

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_MOST_WORDS = 1200
"""Past this many in one text, words are compared by their place only: matching is quadratic."""


class Piece(NamedTuple):
    """Part of a text, and whether the other text lacks it."""

    text: str
    is_different: bool


def compare(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Split both texts into pieces that they share and pieces that they don't, in order.

    The pieces of each, put together, are the text.
    """
    if one == other:
        return _whole(one, is_different=False), _whole(other, is_different=False)
    ones, others = _WORDS.findall(one), _WORDS.findall(other)
    shared_one, shared_other = _shared(ones, others)
    return list(_pieces(ones, shared_one)), list(_pieces(others, shared_other))


def _whole(text: str, *, is_different: bool) -> list[Piece]:
    return [Piece(text, is_different)] if text else []


def _shared(ones: list[str], others: list[str]) -> tuple[list[bool], list[bool]]:
    """Say of each word whether the other text has it too, in the same order."""
    in_one, in_other = [False] * len(ones), [False] * len(others)
    if max(len(ones), len(others)) > _MOST_WORDS:
        for place, (word, opposite) in enumerate(zip(ones, others, strict=False)):
            in_one[place] = in_other[place] = word == opposite
        return in_one, in_other
    matcher = SequenceMatcher(None, ones, others, autojunk=len(ones) + len(others) > 400)
    for start, opposite_start, size in matcher.get_matching_blocks():
        for step in range(size):
            in_one[start + step] = in_other[opposite_start + step] = True
    return in_one, in_other


def _pieces(words: list[str], shared: Iterable[bool]) -> Iterator[Piece]:
    flags = list(shared)
    for place in range(1, len(words) - 1):  # a blank between two marked words is marked too
        if words[place].isspace() and not flags[place - 1] and not flags[place + 1]:
            flags[place] = False
    for is_shared, run in groupby(zip(flags, words, strict=True), key=lambda pair: pair[0]):
        yield Piece("".join(word for _, word in run), not is_shared)
