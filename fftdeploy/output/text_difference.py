"""Finds the words in which two texts differ; the texts are not escaped here."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import groupby
from typing import NamedTuple

from fftdeploy.releases.text_diff import common_ends

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_COMMON = 20
"""A word found more often is no place to start a match from: matching would be quadratic."""


class Piece(NamedTuple):
    """Part of a text, and whether the other text lacks it."""

    text: str
    is_different: bool


def compare(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Split both texts into pieces that they share and pieces that they don't, in order.

    The pieces of each, put together, are the text.
    """
    if one == other:
        whole = [Piece(one, is_different=False)] if one else []
        return whole, whole
    ones, others = _WORDS.findall(one), _WORDS.findall(other)
    shared_one, shared_other = _shared(ones, others)
    return list(_pieces(ones, shared_one)), list(_pieces(others, shared_other))


def _shared(ones: list[str], others: list[str]) -> tuple[list[bool], list[bool]]:
    """Say of each word whether the other text has it too, in the same order."""
    in_one, in_other = [False] * len(ones), [False] * len(others)
    head, tail = common_ends(ones, others)
    middle_one, middle_other = ones[head : len(ones) - tail], others[head : len(others) - tail]
    often = Counter(middle_other)
    matcher = SequenceMatcher(lambda word: often[word] > _COMMON, middle_one, middle_other)
    blocks = [
        (start + head, other + head, size) for start, other, size in matcher.get_matching_blocks()
    ]
    for start, other, size in (
        (0, 0, head),
        *blocks,
        (len(ones) - tail, len(others) - tail, tail),
    ):
        in_one[start : start + size] = in_other[other : other + size] = [True] * size
    return in_one, in_other


def _pieces(words: list[str], shared: Iterable[bool]) -> Iterator[Piece]:
    flags = list(shared)
    for place in range(1, len(words) - 1):  # a blank between two marked words is marked too
        if words[place].isspace() and not flags[place - 1] and not flags[place + 1]:
            flags[place] = False
    for is_shared, run in groupby(zip(flags, words, strict=True), key=lambda pair: pair[0]):
        yield Piece("".join(word for _, word in run), not is_shared)
