"""Turns a profile into the arguments of a request, by endpoint.

Standard library only: applications pay for this import.
"""

from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

LIMIT = "max_completion_tokens"
"""The token limit, as profiles and chat completions call it."""
_INSTRUCTIONS = frozenset({"system", "developer"})
"""Roles of the messages that a profile's `system` stands for."""

_CHAT = ("temperature", LIMIT, "response_format", "reasoning_effort", "top_p", "seed")
"""The last two are a judge's: no profile has them."""


def arguments(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is sent beside model and messages; what the profile does not say is not.

    For chat completions the prompt is not among them: it is a message.
    """
    if profile.get("endpoint") == "responses":
        return _responses(profile)
    return {key: profile[key] for key in _CHAT if key in profile}


def _responses(profile: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if "system" in profile:
        said["instructions"] = profile["system"]
    if "temperature" in profile:
        said["temperature"] = profile["temperature"]
    if LIMIT in profile:
        said["max_output_tokens"] = profile[LIMIT]
    if "response_format" in profile:
        said["text"] = {"format": flat(profile["response_format"], "json_schema")}
    if "reasoning_effort" in profile:
        said["reasoning"] = {"effort": profile["reasoning_effort"]}
    return said


def turns(
    profile: Mapping[str, Any], messages: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Put the profile's prompt, if it has one, in the place of all instructions of a chat.

    Where it is an argument of its own, instructions are only left out.  The profile's worked
    examples follow the instructions, as turns of the same conversation.
    """
    given = [*messages]
    own = [*takewhile(is_instruction, given)]
    rest = given[len(own) :]
    if "system" in profile:
        is_argument = profile.get("endpoint") == "responses"
        own = [] if is_argument else [{"role": "system", "content": profile["system"]}]
        rest = [turn for turn in rest if not is_instruction(turn)]
    worked = [
        {"role": role, "content": shot[role]}
        for shot in profile.get("shots", ())
        for role in ("user", "assistant")
    ]
    return [*own, *worked, *rest]


def is_instruction(turn: Any) -> bool:
    """Tell whether a message says how to answer: a table, or what the SDK has answered.

    An application may send that again.
    """
    role = turn.get("role") if isinstance(turn, Mapping) else getattr(turn, "role", None)
    return role in _INSTRUCTIONS


def flat(table: Mapping[str, Any], inner: str) -> dict[str, Any]:
    """Lift the members of `table[inner]` up beside its others, as the Responses endpoint has it."""
    own = {key: value for key, value in table.items() if key != inner}
    below = table.get(inner)
    return {**own, **below} if isinstance(below, Mapping) else dict(table)
