"""Tells why an answer is not as agreed by looking at it: a code fence, text around, another shape.

Nothing is asked and nothing is guessed: each reason is a property of the text.
"""

import re
from typing import Any

from fftdeploy.evaluation.gate.wording import REASONS
from fftdeploy.evaluation.outputs import tool_calls
from fftdeploy.evaluation.results import PASS
from fftdeploy.formats.strict_json import MISSING, read_or

_LONGEST_VALUE = 60
"""Characters; longer texts are hardly ever the same twice."""
_FENCE = re.compile(r"```[\w-]*\s*\n?(.*?)```", re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_BLANKS = re.compile(r"[\W_]+")


def reason(mark: str, said: str | None, reference: str, agreed: Any) -> str:
    """Say why an answer failed; "" where a value says it, or nothing more is known."""
    if mark in {"", PASS} or (mark == "wrong" and said is None):
        return ""
    if said is None or mark not in {"wrong", "unparsable", "invalid"}:
        return REASONS[mark]
    if not isinstance(agreed, dict | list):
        return _otherwise(said.strip(), reference.strip(), mark)
    answer = parsed(said)
    if isinstance(answer, str):
        return _no_json(said) if tool_calls(agreed) is None else "text instead of a tool call"
    return _other_shape(answer, agreed) if mark == "invalid" else ""


def _other_shape(answer: Any, agreed: Any) -> str:
    if isinstance(agreed, dict) and isinstance(answer, dict):
        if lacks := [key for key in agreed if key not in answer]:
            return f"lacks {', '.join(lacks)}"
        if more := [key for key in answer if key not in agreed]:
            return f"has {', '.join(more)}, too"
    return "JSON of another shape"


def _no_json(said: str) -> str:
    if (fenced := _FENCE.search(said)) and _is_json(fenced[1]):
        return "in a code fence"
    start = min((place for place in map(said.find, "{[") if place >= 0), default=-1)
    if start < 0:
        return "no JSON in it"
    end = max(map(said.rfind, "}]")) + 1
    if _is_json(said[start:end]):
        return "text around the JSON"
    is_open = any(said.count(opening) > said.count(closing) for opening, closing in ("{}", "[]"))
    return "JSON without its end" if is_open else "broken JSON"


def _is_json(text: str) -> bool:
    return read_or(text.strip(), MISSING) is not MISSING


def _otherwise(said: str, agreed: str, mark: str) -> str:
    """Say how a text differs from the agreed one; "" where it is another short one."""
    ours, theirs = said.casefold(), agreed.casefold()
    kinds = (
        ("only the case differs", ours == theirs),
        ("only blanks or punctuation differ", _BLANKS.sub("", ours) == _BLANKS.sub("", theirs)),
        ("in a code fence", "```" in said and theirs in ours),
        ("text around the agreed answer", agreed and theirs in ours),
        ("no number in it", mark == "unparsable" and not _NUMBER.search(said)),
        ("text around a number", mark == "unparsable"),
        ("not one of the labels", mark == "invalid" and not is_long(agreed)),
        (REASONS[mark], mark == "invalid"),
        ("over twice as long as agreed", len(said) > max(2 * len(agreed), _LONGEST_VALUE)),
        ("less than half as long as agreed", 2 * len(said) < len(agreed) > _LONGEST_VALUE),
        ("another text", is_long(said, agreed)),
    )
    return next((kind for kind, is_so in kinds if is_so), "")


def parsed(text: str) -> Any:
    """Return the JSON object or array that `text` is, or the text."""
    return read_or(text, text) if text.lstrip().startswith(("{", "[")) else text


def is_long(*values: str) -> bool:
    """Whether one of `values` is a text rather than a value."""
    return any(len(value) > _LONGEST_VALUE for value in values)
