"""Unified diffs of large files that differ in a few lines, and prompts by the word."""

import io
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

_CONTEXT = 3
_WORDS_AROUND = 6
_MOST_TOKENS = 1000
"""More than this in the part that differs is not compared: that takes the square of the time."""
_TOKENS = (re.compile(r"\S+\s*|\s+"), re.compile(r"[^\n]*\n|[^\n]+"))


def unified(old: str, new: str, name: str) -> str:
    """Return the diff that `git apply` takes from `old` to `new`; "" where they are equal.

    Only the lines between the first and the last difference are compared, so the cost of a
    promotion's diff does not grow with the file around it.
    """
    before, after = _lines(old), _lines(new)
    if before == after:
        return ""
    head, tail = common_ends(before, after)
    start = max(0, head - _CONTEXT)
    end_before = min(len(before), len(before) - tail + _CONTEXT)
    end_after = min(len(after), len(after) - tail + _CONTEXT)
    a, b = before[start:end_before], after[start:end_after]
    lines = [f"--- a/{name}\n", f"+++ b/{name}\n"]
    for group in SequenceMatcher(None, a, b, autojunk=False).get_grouped_opcodes(_CONTEXT):
        lines.extend(_hunk(group, a, b, start))
    return "".join(lines)


def by_word(old: str, new: str) -> str | None:
    """Return what differs between two texts in `-` and `+` lines, with some words around it.

    Long texts are compared line by line; None where they differ too much even for that.
    """
    for pattern in _TOKENS:
        before, after = pattern.findall(old), pattern.findall(new)
        head, tail = common_ends(before, after)
        changed = max(len(before), len(after)) - head - tail
        if changed <= _MOST_TOKENS:
            start, end = max(0, head - _WORDS_AROUND), max(0, tail - _WORDS_AROUND)
            a, b = before[start : len(before) - end], after[start : len(after) - end]
            return "".join(_places(a, b, start, len(before)))
    return None


def _places(a: Sequence[str], b: Sequence[str], start: int, total: int) -> Iterator[str]:
    """Yield the places that differ; `a` is what begins at `start`, of `total` words."""
    for group in SequenceMatcher(None, a, b).get_grouped_opcodes(_WORDS_AROUND):
        first, last = group[0], group[-1]
        opening = "... " if start + first[1] else ""
        closing = " ..." if start + last[2] < total else ""
        yield f"@@ {start + first[1] + 1} @@\n"
        for mark, words in (("-", a[first[1] : last[2]]), ("+", b[first[3] : last[4]])):
            text = "".join(words).removesuffix("\n")
            shown = f"{opening}{text.rstrip(' ') if closing else text}{closing}"
            if words:
                yield "".join(f"{mark}{line}\n" for line in shown.split("\n"))


def _lines(text: str) -> list[str]:
    """Split at line feeds only, as git and `patch` do."""
    return list(io.StringIO(text, newline="\n"))


def common_ends(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Count what two sequences have in common at their two ends."""
    shorter = min(len(before), len(after))
    head = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    rest = shorter - head
    return head, next((at for at in range(rest) if before[-1 - at] != after[-1 - at]), rest)


def _hunk(
    group: list[tuple[str, int, int, int, int]], a: list[str], b: list[str], start: int
) -> Iterator[str]:
    first, last = group[0], group[-1]
    yield (
        f"@@ -{_range(start + first[1], last[2] - first[1])} "
        f"+{_range(start + first[3], last[4] - first[3])} @@\n"
    )
    for tag, a_start, a_end, b_start, b_end in group:
        if tag == "equal":
            yield from _marked(" ", a[a_start:a_end])
            continue
        yield from _marked("-", a[a_start:a_end])
        yield from _marked("+", b[b_start:b_end])


def _marked(mark: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line.endswith("\n"):
            yield mark + line
        else:
            yield f"{mark}{line}\n\\ No newline at end of file\n"


def _range(start: int, length: int) -> str:
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
