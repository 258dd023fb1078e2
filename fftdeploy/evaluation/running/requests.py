"""Turns examples into requests to either endpoint, each with an id made of what is sent.

Parameters go out only as the profile sets them; what it does not say is left to the API.  A token
limit has the name that the host knows: some ignore any other, and would generate for minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fftdeploy.evaluation.arms import Arm
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.formats import strict_json
from fftdeploy.policy.parameters import LIMIT, arguments, flat, turns
from fftdeploy.policy.profiles import Endpoint

_ID_VERSION = 1


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a run: which answer it is for, and what is sent for it."""

    id: str
    """64 hex digits: equal for equal requests to the same address, whichever run they are of."""
    arm: str
    place: int
    """Of its answer among those of the arm: those to one example follow each other."""
    endpoint: Endpoint
    body: Mapping[str, Any]


def ask(arm: Arm, example: Example, place: int, repeat: int) -> Ask:
    """Make the request for answer `repeat` of `arm` to an example, which goes to `place`."""
    endpoint, content = endpoint_of(arm), body(arm, example)
    facts = {
        "v": _ID_VERSION,
        "address": arm.address,
        "endpoint": endpoint,
        "body": content,
        "repeat": repeat,
        **({"identity": arm.identity} if arm.identity else {}),
    }
    return Ask(strict_json.sha_of(facts), arm.name, place, endpoint, content)


def endpoint_of(arm: Arm) -> Endpoint:
    """Return the endpoint that the arm's profile is for."""
    return arm.profile.endpoint if arm.profile else "chat"


def body(arm: Arm, example: Example) -> dict[str, Any]:
    """Return what is sent; `system` of the profile stands for the example's own instructions."""
    profile: Mapping[str, Any] = arm.profile.content if arm.profile else {}
    make = _chat if endpoint_of(arm) == "chat" else _responses
    content = make(turns(profile, example.messages), example.tools)
    content = {"model": arm.bundle.model, **content, **arguments(profile)}
    if LIMIT in content:
        content[arm.limit_field] = content.pop(LIMIT)
    if example.tools and example.parallel_tool_calls is not None:
        content["parallel_tool_calls"] = example.parallel_tool_calls
    return content


def profile_params(arm: Arm) -> frozenset[str]:
    """Name the parameters of a request that are the profile's, as a 400 names them."""
    written = frozenset(arm.profile.content) if arm.profile else frozenset()
    if endpoint_of(arm) == "chat":
        return written | {arm.limit_field} if LIMIT in written else written
    names = {LIMIT: "max_output_tokens", "response_format": "text"}
    return written | {names.get(key, key.partition("_")[0]) for key in written}


def _chat(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
) -> dict[str, Any]:
    return {"messages": messages, "tools": tools} if tools else {"messages": messages}


def _responses(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
) -> dict[str, Any]:
    content: dict[str, Any] = {"input": [item for turn in messages for item in _items(turn)]}
    if tools:
        # This endpoint is strict unless told otherwise, the other one is not.
        content["tools"] = [{"strict": False, **flat(tool, "function")} for tool in tools]
    return content


def _items(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the input items that one message of a chat is for the Responses endpoint."""
    role, content = turn.get("role"), turn.get("content")
    if role == "tool":
        call = turn.get("tool_call_id")
        return [{"type": "function_call_output", "call_id": call, "output": content}]
    items: list[dict[str, Any]] = []
    if content:
        items.append({"role": role, "content": _parts(content, role == "assistant")})
    for call in turn.get("tool_calls") or ():
        function = call["function"]
        items.append(
            {
                "type": "function_call",
                "call_id": call.get("id"),
                "name": function["name"],
                "arguments": function["arguments"],
            }
        )
    return items


def _parts(content: Any, is_output: bool) -> Any:
    if not isinstance(content, list):
        return content
    return [_part(part, is_output) for part in content]


def _part(part: Mapping[str, Any], is_output: bool) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "text":
        return {"type": "output_text" if is_output else "input_text", "text": part.get("text")}
    if kind == "image_url":
        image = part.get("image_url")
        table = image if isinstance(image, Mapping) else {"url": image}
        rest = {key: value for key, value in table.items() if key != "url"}
        return {"type": "input_image", "image_url": table.get("url"), **rest}
    return dict(part)
