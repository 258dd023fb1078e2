"""Holds what came back from one request, before anyone decides what it proves.

`client` fills it in, `readiness` judges it.  Text in an `Answer` is the server's and untrusted:
`plain` makes it fit for a line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fftdeploy.api.hosts import COMPATIBLE, PROVE_MISSING, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

DEPRECATION_HEADERS = ("deprecation", "sunset", "x-model-deprecation-timestamp")
"""RFC 9745, RFC 8594, and Mistral's own."""

_BILLING = frozenset(
    {
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "insufficient_quota",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
    }
)


_ABSENT_CODES = frozenset(
    {"dedicated_endpoint_not_running", "model_not_available", "model_not_found"}
)
"""How hosts other than OpenAI call a model that they do not serve."""

_ABSENT = re.compile(
    r"\b(does not|doesn't|not) exist|\bno (such|model|longer)\b|\b(unknown|invalid) model\b"
    r"|\bnot (a |an )?(found|valid|available|accessible|served|supported|recogni[sz]ed|known)\b"
    r"|\bpinned to\b|\bnotfound|\b(can't|cannot|couldn't|could not) find\b"
    r"|\b(decommissioned|deleted|discontinued|removed|retired)\b",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"\b(loading|being loaded|starting|overloaded|busy|temporarily|currently|yet|try again)\b",
    re.IGNORECASE,
)
"""Words of a host that means to serve the model in a while, whatever else it says."""

_LIMIT_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens", "output limit")
_LOADING = re.compile(r"\b(loading|being loaded)\b", re.IGNORECASE)
_SCOPES = re.compile(r"missing scopes:? *([a-z_.]+(?:, *[a-z_.]+)*[a-z_])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's result: an HTTP answer, or the reason why there is none.

    `status` is 0 where no HTTP answer arrived.  `problem` is "" exactly when `body` is the parsed
    JSON of a well-formed answer; `fault` is the stable name of the problem.  `code`, `type`,
    `param` and `message` are from the body's `error`, "" where it says nothing.
    """

    status: int = 0
    body: Any = None
    fault: str = ""
    problem: str = ""
    code: str = ""
    type: str = ""
    param: str = ""
    message: str = ""
    has_error: bool = False
    """Whether the body has an OpenAI error object, and so comes from the API and not a proxy."""
    kind: Kind = COMPATIBLE
    """Which kind of host has answered: what its refusals prove."""
    key_source: str = "OPENAI_API_KEY"
    """The variable with the key that was sent; "" where none was."""
    address_source: str = "OPENAI_BASE_URL"
    """Where to change the address that was asked."""
    deprecation: Mapping[str, str] = field(default_factory=dict)
    """The headers that speak of an end to come, by their names."""
    content_type: str = ""
    request_id: str = ""
    date: datetime | None = None
    """The server's clock, aware and in UTC."""
    retry_after_s: float | None = None
    remaining_requests: int | None = None
    """How many more the rate limit allows until its reset; None where the server does not say."""
    remaining_tokens: int | None = None
    reset_requests_s: float | None = None
    reset_tokens_s: float | None = None
    latency_s: float | None = None
    """From when the request's body went out to when the answer was in; None if not measured."""

    @property
    def entries(self) -> list[Any] | None:
        """What is in the list that it is; None where it is none."""
        data = self.body.get("data") if isinstance(self.body, dict) else None
        is_list = self.status == 200 and not self.problem and isinstance(data, list)
        return data if is_list else None

    @property
    def is_billing(self) -> bool:
        """Whether it is about money: no amount of asking again helps."""
        if self.status == 402:
            return not self.problem
        return self.status == 429 and bool({self.code, self.type} & _BILLING)

    @property
    def is_loading(self) -> bool:
        """Whether it is about a model that is on its way into memory: OpenAI's 429, others' 503."""
        if self.status == 503:
            return bool(_LOADING.search(self.message))
        return self.status == 429 and not self.is_billing and "being loaded" in self.message

    @property
    def is_unknown_model(self) -> bool:
        """Whether it is proof that the key cannot use the model: a 404 `model_not_found`."""
        return self.is_not_found("model_not_found")

    def is_not_found(self, *codes: str) -> bool:
        """Whether it is a 404 with one of `codes`, from a host whose word counts for that."""
        return self.status == 404 and self.code in codes and self.kind in PROVE_MISSING

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is what an address answers at which there is no such API."""
        return self.status in {404, 405, 501} and not self.is_unknown_model

    @property
    def leaves_open(self) -> bool:
        """Whether a retrieve leaves it to the list and the probe whether there is such a model.

        So it is where a key may not read models or a host has no such endpoint, and, whatever it
        says, with a host that is not believed about missing models.
        """
        if self.kind not in PROVE_MISSING:
            return self.status != 0
        return self.lacks_scope or self.is_elsewhere

    @property
    def refuses_limit(self) -> bool:
        """Whether it is about the token limit's name or size, and not about the model."""
        is_about = any(name in self.param or name in self.message for name in _LIMIT_NAMES)
        return self.status in {400, 422} and is_about

    def is_about(self, model: str) -> bool:
        """Whether it names `model`, whatever it says of it."""
        name = rf"(?<![\w.:/-]){re.escape(model)}(?![\w:/-]|\.\w)"
        is_told = self.param == "model" or self.code in _ABSENT_CODES
        return is_told or bool(re.search(name, self.message))

    def denies(self, model: str) -> bool:
        """Whether it says that there is no such `model` here, by name and in words of absence.

        A refusal that names it may be about anything else: that it is busy, loading, or dear.
        """
        if self.status not in {400, 404, 422} or not self.is_about(model):
            return False
        is_absent = self.code in _ABSENT_CODES or _ABSENT.search(self.message)
        is_none = re.search(rf"\bno [`'\"]?{re.escape(model)}", self.message)
        return bool(is_absent or is_none) and not _PASSING.search(self.message)

    @property
    def is_transient(self) -> bool:
        """Whether the same request may be answered in a moment."""
        if self.is_billing or self.is_loading or self.is_elsewhere:
            return False
        if self.status in {408, 409, 429} or self.status >= 500:
            return True
        return self.fault in {"unreachable", "dropped"}

    @property
    def is_broken(self) -> bool:
        """Whether it did not come, or not whole or sound, though the model may have answered."""
        return self.fault in {"dropped", "timeout"} or bool(self.status == 200 and self.problem)

    @property
    def may_differ(self) -> bool:
        """Whether the same request may be answered later: the API has not refused what it asks."""
        return self.is_transient or self.is_loading or self.status in {0, 200, 429}

    @property
    def refuses_key(self) -> bool:
        """Whether it says that the key is wrong: LiteLLM with no database says so with a 400."""
        return self.status == 401 or (self.status == 400 and self.type == "no_db_connection")

    @property
    def lacks_scope(self) -> bool:
        """Whether the key may not do this kind of request, whatever the model."""
        return self.status in {401, 403} and "missing scopes" in self.message.lower()

    @property
    def scopes(self) -> str:
        """The scopes that it says the key lacks; "" where it names none."""
        found = _SCOPES.search(self.message)
        return found[1] if found else ""


def plain(text: str, limit: int = 200) -> str:
    r"""Return untrusted text as one printable line of at most `limit` characters.

    Whatever does not print (controls, line breaks, bidi marks, surrogates) becomes its escape.
    """
    head = text[:limit]
    if head.isprintable():
        return text if len(text) <= limit else f"{head}..."
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in head
    )
    return shown if len(text) <= limit else f"{shown}..."


def error_fields(body: Any) -> dict[str, Any]:
    """Return the `Answer` fields that the body's `error` fills; empty without one.

    OpenAI's is an object.  Others send a string, one called `detail` or `message`, or a list of
    what is wrong where.
    """
    if not isinstance(body, dict):
        return {}
    error = body.get("error", body.get("detail", body.get("message")))
    if isinstance(error, list):
        error = "; ".join(filter(None, map(_detail, error)))
    if isinstance(error, str):
        return {"message": plain(error, 500)}
    if not isinstance(error, dict) or "error" not in body:
        return {}
    return {
        "has_error": True,
        **{name: _text(error, name) for name in ("code", "type", "param", "message")},
    }


def _detail(entry: Any) -> str:
    """Return one line of a validation error: `{"loc": ["body", "max_tokens"], "msg": "..."}`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("loc"), list):
        return ""
    return f"{'.'.join(map(str, entry['loc']))}: {entry.get('msg')}"


def _text(error: Mapping[str, Any], name: str) -> str:
    value = error.get(name)
    if name == "code" and not isinstance(value, str):  # a status said twice, and no word for it
        return ""
    return plain(str(value), 500) if isinstance(value, (str, int)) else ""
