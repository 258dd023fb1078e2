"""Patterns of paths, as `.gitignore` writes them, in `[scan]` of the policy.

A pattern without a slash is the name of a file or folder at any depth; with one it starts at the
repository's root.  `*` and `?` stop at a slash, `**` does not, and a slash at the end asks for a
folder.  What is below a folder that matches, matches.  Nothing is ever taken back by `!`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate

from fftdeploy.formats.document import text_problem
from fftdeploy.formats.keys import key
from fftdeploy.formats.kinds import many, text


@dataclass(frozen=True, slots=True)
class Glob:
    """One pattern, segment by segment; None stands for `**`."""

    segments: tuple[re.Pattern[str] | None, ...]
    folders_only: bool

    def matches(self, parts: Sequence[str]) -> bool:
        """Tell whether the path of these components, or a folder above it, matches.

        All the places that the pattern may have come to are kept at once: the time is that of
        the two lengths multiplied, whatever the pattern.
        """
        places = self._with_skipped({0})
        for depth, part in enumerate(parts, 1):
            places = self._with_skipped({new for at in places for new in self._step(at, part)})
            if len(self.segments) in places:
                return not self.folders_only or depth < len(parts)
        return False

    def _step(self, place: int, part: str) -> tuple[int, ...]:
        if place == len(self.segments):
            return ()
        segment = self.segments[place]
        if segment is None:
            return (place,)
        return (place + 1,) if segment.match(part) else ()

    def _with_skipped(self, places: set[int]) -> set[int]:
        """Add the places that a `**` which stands for nothing leads to."""
        for place, segment in enumerate(self.segments):
            if segment is None and place in places:
                places.add(place + 1)
        return places


def pattern_problem(pattern: str) -> str:
    """Say why `pattern` is not one; "" if it is."""
    if problem := text_problem(pattern):
        return problem
    if pattern.startswith("!"):
        return "can't take back what another pattern leaves out"
    if "\\" in pattern:
        return "has a backslash: put a special character in [brackets]"
    segments = pattern.removeprefix("/").removesuffix("/").split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        return "has an empty, `.` or `..` segment"
    return ""


def compile_glob(pattern: str) -> Glob:
    """Make a pattern that has no problem ready to match."""
    body = pattern.removesuffix("/")
    names = body.removeprefix("/").split("/")
    if "/" not in body:
        names.insert(0, "**")
    if names[-1] == "**":  # at the end it stands for something
        names.append("*")
    compiled = (None if name == "**" else re.compile(translate(name)) for name in names)
    return Glob(tuple(compiled), pattern.endswith("/"))


_PATTERN = text(
    pattern_problem,
    "value",
    hint='write "docs/**" or "*.ipynb"',
    wanted='a string such as "docs/**"',
    maxLength=500,
    pattern=r"^(?!!)/?(?:(?!\.{1,2}(?:/|$))[^/\\\x00-\x1f\x7f]+(?:/|$))+$",
)
_A_PATTERN = "A path from the repository's root, as .gitignore writes it: docs/**, *.ipynb."


@dataclass(frozen=True, slots=True)
class Scan:
    """What `fftdeploy scan` looks at."""

    ignore: tuple[str, ...] = key(
        "Files that `fftdeploy scan` leaves out.",
        many(_PATTERN, _A_PATTERN, "an array of patterns"),
        (),
    )
