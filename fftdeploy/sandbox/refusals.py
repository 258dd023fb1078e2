"""The API's refusals, word for word where its words are known."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer before the faults: `body` is a JSON value."""

    status: int
    body: Any


class RefusedError(Exception):
    """Ends the handling of one request with `reply`; never leaves the sandbox."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Refusal:
    """OpenAI's error object, with places in it for words of the request."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    kind: str = "invalid_request_error"

    def __call__(self, *words: object) -> RefusedError:
        """Return the error that answers with it."""
        param = self.param and self.param.format(*words)
        error = {
            "message": self.message.format(*words),
            "type": self.kind,
            "param": param,
            "code": self.code,
        }
        return RefusedError(Reply(self.status, {"error": error}))


missing_key = Refusal(
    401,
    "You didn't provide an API key. You need to provide your API key in an Authorization "
    "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
)
missing_model = Refusal(
    404,
    "The model `{}` does not exist or you do not have access to it.",
    "model_not_found",
)
retired_model = Refusal(
    404,
    "The model `{}` has been deprecated, learn more here: "
    "https://platform.openai.com/docs/deprecations",
    "model_not_found",
)
missing_job = Refusal(404, "Could not find fine tune: {}", "fine_tune_not_found", "fine_tune_id")
other_project = Refusal(403, "Project `{1}` does not have access to model `{0}`", "model_not_found")
loading_model = Refusal(
    429,
    "The model is still being loaded. Please try again later. (model: {})",
    kind="server_error",
)
blocked_model = Refusal(
    403,
    "The model `{}` is blocked from deployment: it failed the safety evaluations.",
    "model_blocked",
)
not_chat_model = Refusal(
    404,
    "This is not a chat model and thus not supported in the {} endpoint. "
    "Did you mean to use v1/completions?",
    param="model",
)
unsupported_parameter = Refusal(
    400,
    "Unsupported parameter: '{0}' is not supported with this model. Use '{1}' instead.",
    "unsupported_parameter",
    "{0}",
)
unknown_parameter = Refusal(400, "Unknown parameter: '{0}'.", "unknown_parameter", "{0}")
missing_parameter = Refusal(
    400, "Missing required parameter: '{0}'.", "missing_required_parameter", "{0}"
)
invalid_type = Refusal(400, "Invalid type for '{0}': expected {1}.", "invalid_type", "{0}")
too_small = Refusal(
    400,
    "Invalid '{0}': integer below minimum value. Expected a value >= {1}, but got {2} instead.",
    "integer_below_min_value",
    "{0}",
)
unknown_url = Refusal(404, "Invalid URL ({} {})")
wrong_method = Refusal(405, "Not allowed to {} on {}.")
unreadable_body = Refusal(
    400, "We could not parse the JSON body of your request: expected an object."
)


def wrong_key(key: str) -> RefusedError:
    """Refuse `key`, echoing its ends as the real API does."""
    ends = f"{key[:4]}{'*' * (len(key) - 8)}{key[-4:]}" if len(key) > 12 else f"{key[:3]}****"
    message = (
        f"Incorrect API key provided: {ends}. You can find your API key at "
        "https://platform.openai.com/account/api-keys."
    )
    return refusal(401, message, code="invalid_api_key")


def refusal(
    status: int, message: str, *, code: str | None = None, param: str | None = None
) -> RefusedError:
    """Refuse with a message that is whole."""
    return Refusal(status, "{}", code, param)(message)
