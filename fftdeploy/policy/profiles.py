"""`profiles/NAME.toml`: the prompt and parameters that belong to a model."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from fftdeploy.errors import ConfigError
from fftdeploy.formats import document
from fftdeploy.formats.document import Document

FOLDER = "profiles"
Endpoint = Literal["chat", "responses"]
_KEYS = (
    "system",
    "temperature",
    "max_completion_tokens",
    "response_format",
    "endpoint",
    "reasoning_effort",
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile as read; `content` is what is sent, only as written."""

    name: str
    content: Mapping[str, Any]
    sha: str
    """First 32 hex digits of the SHA-256 of the canonical content."""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that the profile is for."""
        return cast("Endpoint", self.content.get("endpoint", "chat"))


def parse(raw: bytes, name: str, source: str) -> Profile:
    """Read a profile.

    Raises:
        ConfigError: Anything that is not understood, with line and column.
    """
    doc = document.parse(raw, source)
    doc.closed(doc.data, (), _KEYS)
    for key in ("system", "reasoning_effort", "endpoint"):
        if key in doc.data:
            doc.string(doc.data, (), key)
    if doc.data.get("endpoint", "chat") not in {"chat", "responses"}:
        raise doc.error(("endpoint",), '\'endpoint\' is "chat" or "responses"')
    _check_numbers(doc)
    if "response_format" in doc.data:
        value = doc.table(doc.data["response_format"], ("response_format",))
        _refuse_untold(doc, value, ("response_format",))
    return Profile(name, doc.data, content_sha(doc.data))


def sha_of(raw: bytes) -> str | None:
    """Return the hash of a profile's bytes; None where they are no profile."""
    try:
        return parse(raw, "", "").sha
    except ConfigError:
        return None


def content_sha(content: Mapping[str, Any]) -> str:
    """Hash what a profile says, whatever its layout and comments.

    The canonical form is JSON with sorted keys, no spaces and UTF-8 as it is.
    """
    canonical = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _check_numbers(doc: Document) -> None:
    temperature = doc.data.get("temperature", 0)
    if type(temperature) not in {int, float}:
        raise doc.wrong_type(("temperature",), temperature, "a number")
    if not 0 <= temperature <= 2:
        raise doc.error(("temperature",), "'temperature' must be from 0 to 2")
    tokens = doc.data.get("max_completion_tokens", 1)
    if type(tokens) is not int:
        raise doc.wrong_type(("max_completion_tokens",), tokens, "an integer")
    if not 1 <= tokens < 2**31:
        raise doc.error(("max_completion_tokens",), "'max_completion_tokens' must be 1 or more")


def _refuse_untold(doc: Document, value: Any, path: document.Path) -> None:
    """Refuse what JSON can't carry to the API: dates, and numbers that are not finite."""
    if isinstance(value, dict):
        for key, below in value.items():
            _refuse_untold(doc, below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            _refuse_untold(doc, below, (*path, index))
    elif not isinstance(value, str) and not _is_finite(value):
        raise doc.error(path, f"{document.toml_type(value)} of this value can't be sent as JSON")


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # an integer that is more than any float
        return False
