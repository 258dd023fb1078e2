"""Unified diffs of large files that differ in a few lines."""

import io
from collections.abc import Iterator
from difflib import SequenceMatcher

_CONTEXT = 3


def unified(old: str, new: str, name: str) -> str:
    """Return the diff that `git apply` takes from `old` to `new`; "" where they are equal.

    Only the lines between the first and the last difference are compared, so the cost of a
    promotion's diff does not grow with the file around it.
    """
    before, after = _lines(old), _lines(new)
    if before == after:
        return ""
    head = _common(zip(before, after, strict=False))
    tail = _common(zip(reversed(before[head:]), reversed(after[head:]), strict=False))
    start = max(0, head - _CONTEXT)
    end_before = min(len(before), len(before) - tail + _CONTEXT)
    end_after = min(len(after), len(after) - tail + _CONTEXT)
    a, b = before[start:end_before], after[start:end_after]
    lines = [f"--- a/{name}\n", f"+++ b/{name}\n"]
    for group in SequenceMatcher(None, a, b, autojunk=False).get_grouped_opcodes(_CONTEXT):
        lines.extend(_hunk(group, a, b, start))
    return "".join(lines)


def _lines(text: str) -> list[str]:
    """Split at line feeds only, as git and `patch` do."""
    return list(io.StringIO(text, newline="\n"))


def _common(pairs: Iterator[tuple[str, str]]) -> int:
    count = 0
    for left, right in pairs:
        if left != right:
            break
        count += 1
    return count


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
