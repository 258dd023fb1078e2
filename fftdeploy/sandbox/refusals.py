"""The API's refusals, word for word where its words are known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEPRECATIONS = "https://platform.openai.com/docs/deprecations"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer before the faults: `body` is a JSON value."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """Ends the handling of one request with `reply`; never leaves the sandbox."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def refusal(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    kind: str = "invalid_request_error",
) -> RefusedError:
    """Return the error that answers with OpenAI's error object."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return RefusedError(Reply(status, {"error": error}))


def missing_key() -> RefusedError:
    """Refuse a request without an `Authorization` header."""
    return refusal(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    )


def wrong_key(key: str) -> RefusedError:
    """Refuse `key`, echoing its ends as the real API does."""
    ends = f"{key[:4]}{'*' * (len(key) - 8)}{key[-4:]}" if len(key) > 12 else f"{key[:3]}****"
    return refusal(
        401,
        f"Incorrect API key provided: {ends}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )


def missing_model(model: str) -> RefusedError:
    """Refuse a model that is deleted, was never there, or belongs to somebody else."""
    return refusal(
        404,
        f"The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
    )


def retired_model(model: str) -> RefusedError:
    """Refuse a model that was shut down."""
    return refusal(
        404,
        f"The model `{model}` has been deprecated, learn more here: {DEPRECATIONS}",
        code="model_not_found",
    )


def other_project(model: str, project: str) -> RefusedError:
    """Refuse a model that exists in another project of the organisation."""
    return refusal(
        403,
        f"Project `{project}` does not have access to model `{model}`",
        code="model_not_found",
    )


def loading_model(model: str) -> RefusedError:
    """Ask for patience with a model that is not in memory yet."""
    return refusal(
        429,
        f"The model is still being loaded. Please try again later. (model: {model})",
        kind="server_error",
    )


def blocked_model(model: str) -> RefusedError:
    """Refuse a model that failed the safety evaluation after its training."""
    return refusal(
        403,
        f"The model `{model}` is blocked from deployment: it failed the safety evaluations.",
        code="model_blocked",
    )


def not_chat_model(path: str) -> RefusedError:
    """Refuse a model that makes embeddings."""
    endpoint = path.removeprefix("/").split("?")[0]
    return refusal(
        404,
        f"This is not a chat model and thus not supported in the {endpoint} endpoint. "
        "Did you mean to use v1/completions?",
        param="model",
    )


def unsupported_parameter(name: str, instead: str) -> RefusedError:
    """Refuse a limit that this model does not know, naming the one it does."""
    return refusal(
        400,
        f"Unsupported parameter: '{name}' is not supported with this model. "
        f"Use '{instead}' instead.",
        code="unsupported_parameter",
        param=name,
    )


def unknown_parameter(name: str) -> RefusedError:
    """Refuse a key that the endpoint does not have."""
    return refusal(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)


def missing_parameter(name: str) -> RefusedError:
    """Refuse a body without a required key."""
    return refusal(
        400,
        f"Missing required parameter: '{name}'.",
        code="missing_required_parameter",
        param=name,
    )


def invalid_type(name: str, expected: str) -> RefusedError:
    """Refuse a value of the wrong type."""
    return refusal(
        400, f"Invalid type for '{name}': expected {expected}.", code="invalid_type", param=name
    )


def too_small(name: str, least: int, got: int) -> RefusedError:
    """Refuse a number below its minimum."""
    return refusal(
        400,
        f"Invalid '{name}': integer below minimum value. Expected a value >= {least}, "
        f"but got {got} instead.",
        code="integer_below_min_value",
        param=name,
    )


def unknown_url(method: str, path: str) -> RefusedError:
    """Refuse an address that the API does not have."""
    return refusal(404, f"Invalid URL ({method} {path})")


def wrong_method(method: str, path: str) -> RefusedError:
    """Refuse a method that the address does not have."""
    return refusal(405, f"Not allowed to {method} on {path}.")


def unreadable_body() -> RefusedError:
    """Refuse a body that is not a JSON object."""
    return refusal(400, "We could not parse the JSON body of your request: expected an object.")
