"""The files of records: one JSON object, on several lines, whose hash is its canonical form's."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from fftdeploy.formats import strict_json

_SHORT = 120
"""Characters that an object, or a list of some, may have and stand on one line."""


def file_of(document: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return the ID of a JSON object, which is its `content_sha`, and the bytes of its file."""
    text = f"{_laid_out(document)}\n"
    return sha256(text.replace("\n", "").encode()).hexdigest()[:32], text.encode()


def _laid_out(value: Any) -> str:
    """Return the canonical form on several lines: their ends change nothing but the looks."""
    if isinstance(value, Mapping):
        parts = [f"{strict_json.dumps(key)}:{_laid_out(value[key])}" for key in sorted(value)]
        opening, closing = "{", "}"
    elif isinstance(value, list) and any(isinstance(below, Mapping) for below in value):
        parts = [_laid_out(below) for below in value]
        opening, closing = "[", "]"
    else:
        return strict_json.dumps(value)
    if sum(map(len, parts)) <= _SHORT:
        return opening + ",".join(parts) + closing
    return f"{opening}\n" + ",\n".join(parts) + f"\n{closing}"
