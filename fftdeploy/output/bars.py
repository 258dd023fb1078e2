"""Draws shares and intervals in characters; a stream without them has others in their place."""

from collections.abc import Iterable

_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_FULL, _LINE, _OUTSIDE, _ZERO, _LIMIT, _POINT = "█─·┼┊●"
_BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 20
"""Columns of a whole, and of an interval."""


def bar(share: float, width: int = WIDTH) -> str:
    """Return a bar for a share from 0 to 1, `width` columns being 1."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    return _FULL * (eighths // 8) + _EIGHTHS[eighths % 8]


def spark(shares: Iterable[float]) -> str:
    """Return a block for each share from 0 to 1; only a whole one is the highest."""
    return "".join(_BLOCKS[int(7 * each)] for each in shares)


def interval(lower: float, point: float, upper: float, marks: Iterable[tuple[str, float]]) -> str:
    """Return an interval from `lower` to `upper`, with `marks` in it and beside it.

    A mark is `limit` or `zero`, and its value.
    """
    known = dict(marks)
    least, most = min(lower, *known.values()), max(upper, *known.values())
    step = (most - least) / (WIDTH - 1) or 1.0

    def at(value: float) -> int:
        return round((value - least) / step)

    drawn = [_OUTSIDE] * WIDTH
    drawn[at(lower) : at(upper) + 1] = _LINE * (at(upper) - at(lower) + 1)
    for kind, value in known.items():
        drawn[at(value)] = _LIMIT if kind == "limit" else _ZERO
    drawn[at(point)] = _POINT
    return "".join(drawn)
