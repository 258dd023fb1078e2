"""An interval against the limits that it is held to, as inline SVG without any style of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

_LABELS, _TOP, _BAR, _BOTTOM, _NUMBERS, _HEIGHT = (14, 32), 38, 60, 82, 102, 108
"""Heights in pixels: two rows of labels, the band with the bar in it, the numbers under it."""
_ROOM = 0.25
"""Beyond the outermost value, as a share of the whole: labels are written there."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that the interval is read against."""

    at: float
    label: str
    """Trusted text."""
    is_limit: bool = False
    """What lies left of it is not good enough."""


class _Scale:
    """Values as percentages of the width: the labels keep their size on a narrow screen."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values), max(values)
        room = (high - low) * _ROOM or 1.0
        self._low, self._span = low - room, high - low + 2 * room

    def __call__(self, value: float) -> str:
        return f"{100 * (value - self._low) / self._span:.2f}%"


def interval(lower: float, point: float, upper: float, marks: Sequence[Mark], *, text: str) -> str:
    """Draw `lower` to `upper` with `point` on it; `text`, trusted, says the same in words."""
    x = _Scale([lower, point, upper, *(mark.at for mark in marks)])
    parts = [f'<svg class="interval" width="100%" height="{_HEIGHT}" role="img">']
    parts.append(f"<title>{text}</title>")
    parts += (
        f'<rect class="zone" y="{_TOP}" width="{x(mark.at)}" height="{_BOTTOM - _TOP}"/>'
        for mark in marks
        if mark.is_limit
    )
    parts.append(f'<line class="axis" x1="0" x2="100%" y1="{_BAR}" y2="{_BAR}"/>')
    for row, mark in enumerate(marks):
        parts += _mark(mark, x(mark.at), _LABELS[row % len(_LABELS)])
    parts.append(f'<line class="bar" x1="{x(lower)}" x2="{x(upper)}" y1="{_BAR}" y2="{_BAR}"/>')
    for value, anchor in ((lower, "end"), (upper, "start")):
        at = x(value)
        parts.append(f'<line class="end" x1="{at}" x2="{at}" y1="{_BAR - 8}" y2="{_BAR + 8}"/>')
        parts.append(f'<text x="{at}" y="{_NUMBERS}" text-anchor="{anchor}">{signed(value)}</text>')
    parts.append(f'<circle class="point" cx="{x(point)}" cy="{_BAR}" r="7"/></svg>')
    return "".join(parts)


def signed(number: float, digits: int = 1) -> str:
    """Return `number` with its sign as HTML; a true minus keeps columns aligned."""
    shown = f"{number:+.{digits}f}"
    return shown[1:] if not float(shown) else shown.replace("-", "&minus;")


def _mark(mark: Mark, at: str, label_at: int) -> list[str]:
    kind = "limit" if mark.is_limit else "zero"
    return [
        f'<line class="{kind}" x1="{at}" x2="{at}" y1="{label_at + 4}" y2="{_BOTTOM}"/>',
        f'<text class="{kind}" x="{at}" y="{label_at}" text-anchor="middle">{mark.label}</text>',
    ]
