"""The page's template: HTML with holes, and the only way in which anything gets into them.

`{{name}}` writes a value, `{{name|format}}` what a function makes of it; `{{#name}}...{{/}}` what
is between them for each of a list, or once with a value that is there, `{{^name}}...{{/}}` where
there is none.  A name is looked for in the innermost of the values around it first; `{{.}}` is that
value.  `{{&name}}` writes JSON for the page's script.  A line break and the blanks after it are no
part of the page, style and script aside.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import is_dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, NamedTuple

from fftdeploy.output.clean import clean

MOST_CHARACTERS = 2_000
"""Of one text on the page; what is cut is counted."""
_UNPRINTABLE = str.maketrans(dict.fromkeys("\ufffe\uffff", "�"))
_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&"})
"""In JSON: with none of these, nothing in it can end the element that it is in."""
_KEPT = re.compile(r"(<style>.*?</style>|<script>.*?</script>)", re.DOTALL)
_HOLE = re.compile(r"\{\{([#^/&]?)([\w.]*)(?:\|(\w+))?\}\}")


def load(name: str, formats: Mapping[str, Callable[[Any], object]]) -> "Template":
    """Return a template of the package; the policy of its pages names what may run.

    The head of the report, and its style, are those of each template that wants them.
    """
    report = _text("report.html")
    text = _text(name).replace("@HEAD@", report.partition("<title>")[0])
    text = text.replace("@STYLE@", _elements("style", report)[0])
    policy = ["default-src 'none'"]
    for tag in ("style", "script"):
        hashes = [hashlib.sha256(found.encode()).digest() for found in _elements(tag, text)]
        named = " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes)
        policy += [f"{tag}-src {named}"] if named else []
    policy += ["base-uri 'none'", "form-action 'none'"]
    return Template(text, formats, {"policy": "; ".join(policy)})


def _text(name: str) -> str:
    return resources.files("fftdeploy").joinpath("templates", name).read_text("utf-8")


def _elements(tag: str, text: str) -> list[str]:
    return re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)


class Seen(str):
    """Text that is fit to be seen already, and not escaped yet."""

    __slots__ = ()


class Say:
    """Turns untrusted text into HTML that shows it and does nothing."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = secrets

    def __call__(self, text: object) -> str:
        """Return `text` as HTML, for content and for attributes in quotes."""
        return html.escape(text if isinstance(text, Seen) else self.plain(str(text)))

    def plain(self, text: str) -> Seen:
        """Return `text` fit to be seen and not escaped yet."""
        return Seen(clean(text, self._secrets).translate(_UNPRINTABLE))

    def cut(self, text: str) -> tuple[str, int]:
        """Return the beginning of `text`, fit to be seen, and how many characters are left out."""
        plain = self.plain(text)
        return plain[:MOST_CHARACTERS], max(0, len(plain) - MOST_CHARACTERS)


class _Hole(NamedTuple):
    sigil: str
    path: list[str]
    form: str
    inside: "list[str | _Hole]"


class Template:
    """A text with holes, read once and filled often."""

    def __init__(
        self,
        text: str,
        formats: Mapping[str, Callable[[Any], object]],
        always: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Take the text, the formats of its holes, and values that are the same each time."""
        parts = _KEPT.split(text)
        parts[::2] = (re.sub(r"\n\s*", "", part) for part in parts[::2])
        self._nodes = _nodes(iter(_HOLE.split("".join(parts))))
        self._formats, self._always = formats, always

    def filled(self, values: Mapping[str, Any], say: Say) -> str:
        """Return the text with `values` in its holes; KeyError for a name that is not there."""
        return "".join(self._filled(self._nodes, (self._always, values), say))

    def _filled(
        self, nodes: "list[str | _Hole]", scopes: tuple[Any, ...], say: Say
    ) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, str):
                yield node
                continue
            value = _value(node.path, scopes)
            if node.sigil == "#":
                is_many = isinstance(value, list | tuple) and not hasattr(value, "_fields")
                for each in value if is_many else [value] if value else ():
                    yield from self._filled(node.inside, (*scopes, each), say)
            elif node.sigil == "^":
                yield from () if value else self._filled(node.inside, scopes, say)
            elif node.sigil == "&":
                yield json.dumps(value, separators=(",", ":")).translate(_ESCAPES)
            elif node.form:
                yield say(self._formats[node.form](value))
            else:
                yield say(f"{value:,}" if type(value) is int else value)


def _nodes(parts: Iterator[str]) -> "list[str | _Hole]":
    """Read up to the end of a section, or of all: text, sigil, name, format, text ..."""
    found: list[str | _Hole] = []
    for text in parts:
        found.append(text)
        sigil, name, form = (next(parts, end) for end in ("/", "", ""))
        if sigil == "/":
            break
        inside = _nodes(parts) if sigil in {"#", "^"} else []
        found.append(_Hole(sigil, name.split("."), form, inside))
    return found


def _value(path: list[str], scopes: tuple[Any, ...]) -> Any:
    first = path[0]
    if not first:
        return scopes[-1]
    found: Any = next((scope for scope in reversed(scopes) if _has(scope, first)), {})
    for name in path:
        found = found[name] if isinstance(found, Mapping) else getattr(found, name)
    return found


def _has(scope: Any, name: str) -> bool:
    if isinstance(scope, Mapping):
        return name in scope
    return name in getattr(scope, "_fields", ()) or (is_dataclass(scope) and hasattr(scope, name))
