"""`profiles/NAME.toml`: the prompt and parameters that belong to a model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from fftdeploy.errors import ConfigError
from fftdeploy.formats import document
from fftdeploy.formats.document import Document, toml_type
from fftdeploy.formats.keys import Key, Kind, key, read_keys, table
from fftdeploy.formats.kinds import STRING, choice, everything_in, is_json, many, number, whole

FOLDER = "profiles"
Endpoint = Literal["chat", "responses"]


@dataclass(frozen=True, slots=True)
class Shot:
    """A worked example: a question as a user asks it, and the answer to it."""

    user: str = key("What a user says.", STRING)
    assistant: str = key("The answer to that, word for word.", STRING)


def _read_format(doc: Document, path: document.Path, value: Any) -> Any:
    for place, below in everything_in(doc.table(value, path), path):
        if not is_json(below):
            raise doc.error(place, f"{toml_type(below)} of this value can't be sent as JSON")
    return value


KEYS = {
    "system": Key("The prompt.", STRING),
    "temperature": Key("How much answers vary.", number(minimum=0, maximum=2)),
    "max_completion_tokens": Key(
        "Most tokens of an answer.", whole(1, 2**31 - 1, said="1 or more")
    ),
    "response_format": Key(
        "The shape that the answer must have, as the API takes it.",
        Kind(_read_format, {"type": "object", "additionalProperties": True}),
    ),
    "endpoint": Key("Which endpoint is asked.", choice(get_args(Endpoint)), default="chat"),
    "shots": Key(
        "Worked examples `{ user, assistant }`, sent between the prompt and what is asked. An "
        "example of a gate that is one of them takes no part in judging such a prompt.",
        many(
            table(Shot, "a table { user, assistant }"),
            "A worked example.",
            "an array of { user, assistant }",
        ),
    ),
    "reasoning_effort": Key("How much a model thinks, as the API takes it.", STRING),
}
"""The keys of a profile; its content is what is sent, as it is written."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile as read; `content` is what is sent, only as written."""

    name: str
    content: Mapping[str, Any]
    sha: str
    """First 32 hex digits of the SHA-256 of the canonical content."""

    @property
    def endpoint(self) -> Endpoint:
        """Where its requests go: chat completions unless it says `responses`."""
        return cast("Endpoint", self.content.get("endpoint", "chat"))

    @property
    def shots(self) -> tuple[Mapping[str, str], ...]:
        """Its worked examples, each `user` and `assistant`."""
        return tuple(self.content.get("shots", ()))

    @property
    def text(self) -> str:
        """All words that a model is shown with it, the names and notes of a schema among them."""
        every = (word for path, at in everything_in(self.content, ()) for word in (*path[-1:], at))
        return "\n".join(word for word in every if isinstance(word, str))


def parse(raw: bytes, name: str, source: str) -> Profile:
    """Read a profile; ConfigError, located, where anything is not understood."""
    doc = document.parse(raw, source)
    read_keys(doc, (), doc.data, KEYS)
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
