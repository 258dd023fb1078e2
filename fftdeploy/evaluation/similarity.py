"""Measures how alike two texts are, from 0 to 1, in bounded time.

Words are runs of letters and digits whatever the case; in Chinese and Japanese, which put no
spaces between them, each character is one.
"""

import re
from collections import Counter
from collections.abc import Callable
from itertools import islice

MAX_WORDS = 10_000
"""Longer texts are not compared: the time grows with the product of both lengths."""

MAX_FUZZY_CHARS = 100_000

_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
    r"|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)


class TooLongError(ValueError):
    """A text is too long to be compared."""


def words(text: str) -> list[str]:
    """Return the words of `text`.

    Raises:
        TooLongError: It has more than `MAX_WORDS`.
    """
    found = first_words(text, MAX_WORDS + 1)
    if len(found) > MAX_WORDS:
        raise TooLongError(f"more than {MAX_WORDS:,} words are not compared")
    return found


def first_words(text: str, most: int = MAX_WORDS) -> list[str]:
    """Return at most so many words from the beginning of `text`."""
    return [found[0] for found in islice(_WORD.finditer(text.casefold()), most)]


def rouge_l(reference: str, text: str) -> float:
    """Return ROUGE-L's F1: twice the longest common subsequence over the words of both.

    Source: Lin 2004, with beta = 1.  Texts without a word are alike if they are equal.
    """
    return _f1(reference, text, _common_subsequence)


def token_f1(reference: str, text: str) -> float:
    """Return the F1 of the words that both have, repeats counted, in whatever order."""
    return _f1(reference, text, lambda ours, theirs: (Counter(ours) & Counter(theirs)).total())


def _f1(reference: str, text: str, common: Callable[[list[str], list[str]], int]) -> float:
    ours, theirs = words(reference), words(text)
    if not ours or not theirs:
        return float(reference.strip() == text.strip())
    return 2 * common(ours, theirs) / (len(ours) + len(theirs))


def _common_subsequence(ours: list[str], theirs: list[str]) -> int:
    """Return the length of the longest; one big number has a bit for each of our words.

    Source: Hyyro 2004, "Bit-parallel LCS-length computation revisited".
    """
    places: dict[str, int] = {}
    shared = set(theirs)
    for index, word in enumerate(ours):
        if word in shared:
            places[word] = places.get(word, 0) | 1 << index
    every = (1 << len(ours)) - 1
    row = every
    for word in theirs:
        if hits := row & places.get(word, 0):
            row = ((row + hits) | (row - hits)) & every
    return len(ours) - row.bit_count()
