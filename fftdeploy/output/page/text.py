"""How text and numbers are written on the report's page; the one way untrusted text gets there."""

import html
from collections.abc import Collection

from fftdeploy.output.clean import clean

MOST_CHARACTERS = 2_000
"""Of one text on the page; what is cut is counted."""
_UNPRINTABLE = str.maketrans(dict.fromkeys("\ufffe\uffff", "�"))


class Say:
    """Turns untrusted text into HTML that shows it and does nothing."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = secrets

    def __call__(self, text: object) -> str:
        """Return `text` as HTML, for content and for attributes in quotes."""
        return html.escape(self.plain(str(text)))

    def plain(self, text: str) -> str:
        """Return `text` fit to be seen and not escaped yet."""
        return clean(text, self._secrets).translate(_UNPRINTABLE)

    def cut(self, text: str) -> tuple[str, int]:
        """Return the beginning of `text`, fit to be seen, and how many characters are left out."""
        plain = self.plain(text)
        return plain[:MOST_CHARACTERS], max(0, len(plain) - MOST_CHARACTERS)


def percent(share: float) -> str:
    """Return a share as `91.2%`."""
    return f"{100 * share:.1f}%"


def table(caption: str, head: str, body: str, *, kind: str = "") -> str:
    """Return a table that scrolls by itself where the screen is too narrow; all trusted HTML."""
    return (
        f'<div class="scroll"><table class="{kind}"><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def heads(*names: str) -> str:
    """Return header cells of columns: the first is of words, the others are of numbers."""
    first, *others = names
    cells = [f'<th scope="col" class="word">{first}</th>']
    return "".join([*cells, *(f'<th scope="col">{name}</th>' for name in others)])


def cells(name: str, *values: str, kind: str = "") -> str:
    """Return one row: a header cell, and a cell for each of the values."""
    shown = "".join(f"<td>{value}</td>" for value in values)
    return f'<tr class="{kind}"><th scope="row">{name}</th>{shown}</tr>'
