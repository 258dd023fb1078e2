"""Judges what one answer proves about a model, in words of its own and with a next step.

`readiness` puts the answers about one model together.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fftdeploy.api import hosts
from fftdeploy.api.answers import Answer, plain
from fftdeploy.api.end_dates import parse_date
from fftdeploy.api.hosts import PROVE_MISSING
from fftdeploy.api.providers import FILE_NAME as PROVIDERS_FILE
from fftdeploy.api.providers import OPENAI_KEY
from fftdeploy.api.settings import ADDRESS
from fftdeploy.errors import AuthError, FftdeployError, NotReadyError, UnverifiedError
from fftdeploy.model_ids import retirement
from fftdeploy.model_ids.model_names import is_answer_of
from fftdeploy.names import OPENAI

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fftdeploy.api.settings import Settings

State = Literal["ready", "not-ready", "unverified"]

LIST_HINT = "`fftdeploy models` lists what this key can see"
AGAIN = "ask again later; nothing is known about the model"
NO_PROBE_HINT = "only a probe would prove it: leave out --no-probe, or `fftdeploy check --probe`"
NO_API = "address"
NO_LIST = "no-list"
GONE = frozenset({"missing", "retired"})
"""Codes of verdicts that rest on a 404 `model_not_found` of a host that is believed."""
OTHER_MODEL = "other-model"
WAIT_HINT = "ask again later; `fftdeploy promote TARGET --model ID --wait 10m` waits for it"

_SHAPES = {"chat": ("chat.completion", "choices"), "responses": ("response", "output")}
_WHO = {hosts.OPENAI: "OpenAI", "azure": "Azure"}
_LIMIT_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens", "output limit")


def hint_at(provider: str, hint: str) -> str:
    """Return a hint as it is to be typed about a provider."""
    if provider == OPENAI:
        return hint
    return hint.replace("`fftdeploy models`", f"`fftdeploy models --provider {provider}`")


class AnswerProof(NamedTuple):
    """What one answer proves, before dates and a second answer are looked at."""

    state: State
    code: str
    message: str
    hint: str = ""
    is_auth: bool = False

    def error(self, subject: str, where: str, request_id: str = "") -> FftdeployError:
        """Return the failure of a command that needed `subject` to be proved."""
        kind: type[FftdeployError] = UnverifiedError
        if self.is_auth:
            kind = AuthError
        elif self.state == "not-ready":
            kind = NotReadyError
        request = f" (request {request_id})" if request_id else ""
        message = f"{subject}: {self.message}"
        if self.code == NO_API:  # it is about the address, and no one's fault but that
            message, where = self.message, ""
        return kind(f"{message}{request}", hint=self.hint, where=where, code=self.code)


def leaves_open(retrieved: Answer) -> bool:
    """Whether a retrieve leaves it to the list and the probe whether there is such a model.

    So it is where a key may not read models or a host has no such endpoint, and, whatever it
    says, with a host that is not believed about missing models.
    """
    if retrieved.kind not in PROVE_MISSING:
        return retrieved.status != 0
    return retrieved.lacks_scope or retrieved.is_elsewhere


def object_problem(model: str, body: Mapping[str, Any]) -> AnswerProof | None:
    """Say why a 200 is no proof about `model`; None where it is."""
    name, created, stated = body.get("id"), body.get("created"), body.get("shutdown_date")
    owner = body.get("owned_by")
    checks = (
        (body.get("object") != "model", "is not about a model"),
        (not isinstance(name, str), "has no model ID"),
        (name != model, f"is about another model, {plain(str(name), 100)!r}"),
        (not _is_time(created), "has a `created` that is no time"),
        (not isinstance(owner, (str, type(None))), "has an `owned_by` that is no name"),
        (
            stated is not None and parse_date(stated) is None,
            f"has the `shutdown_date` {plain(str(stated), 40)!r}, which is not a date",
        ),
    )
    problem = next((words for failed, words in checks if failed), "")
    return not_proved(f"the API's answer {problem}") if problem else None


def _is_time(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float, type(None)))


def not_proved(message: str) -> AnswerProof:
    """Return the verdict on a 200 that is not what was asked for."""
    hint = "look at the address and at any proxy on the way to it"
    return AnswerProof("unverified", "not-an-answer", message, hint)


def judge_probe(
    model: str,
    endpoint: str,
    answer: Answer,
    *,
    can_be_fresh: bool,
    known_as: Collection[str] = (),
    provider: str = OPENAI,
) -> AnswerProof:
    """Judge the answer to the fixed message.

    `can_be_fresh`: a retrieve has just proved the model, or it was made a moment ago.  `known_as`
    are other names that it may answer by.
    """
    if answer.status == 200 and not answer.problem:
        return _probe_proof(model, endpoint, answer.body, known_as, provider)
    if wrong := _wrong_endpoint(answer, endpoint):
        return wrong
    if answer.is_unknown_model:
        return missing(model, answer, can_be_fresh=can_be_fresh)
    return explain(answer)


def _probe_proof(
    model: str, endpoint: str, body: Any, known_as: Collection[str], provider: str
) -> AnswerProof:
    kind, member = _SHAPES[endpoint]
    if not isinstance(body, dict) or body.get("object") != kind:
        return not_proved(f"the answer to the probe is not a {kind}")
    parts = body.get(member)
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
        return not_proved(f"the answer to the probe has no {member}")
    if _says_it_failed(body, parts):
        return not_proved("the answer to the probe carries an error")
    answered = body.get("model")
    said = answered if isinstance(answered, str) else ""
    wrong = other_model(model, said, known_as, provider)
    return wrong or AnswerProof("ready", "ready", "")


def _says_it_failed(body: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an answer of 200 tells of a failure, as gateways do for the host behind them."""
    return (
        bool(body.get("error"))
        or body.get("status") in {"failed", "cancelled"}
        or any(not p or p.get("error") or p.get("finish_reason") == "error" for p in parts)
    )


def other_model(
    model: str, answered: str, known_as: Collection[str], provider: str = OPENAI
) -> AnswerProof | None:
    """Return the verdict on an answer that calls itself `answered`; None where that is `model`."""
    if is_answer_of(model, answered, known_as):
        return None
    if not answered:
        return not_proved("an answer does not say which model it is of")
    shown = plain(answered, 100)
    allowed = f"answers_as = {{ {json.dumps(model)} = [{json.dumps(shown)}] }}"
    return AnswerProof(
        "unverified",
        OTHER_MODEL,
        f"it was answered by another model, {shown!r}",
        f"if that is the same one, say so below [{provider}] in {PROVIDERS_FILE}: {allowed}",
    )


def not_served(answer: Answer) -> AnswerProof:
    """Return the verdict on a model that a list lacks, and whose probe is refused by its name."""
    said = f": {plain(answer.message)}" if answer.message else ""
    message = f"the host neither lists nor serves it (HTTP {answer.status}{said})"
    return AnswerProof("not-ready", "not-served", message, LIST_HINT)


def no_api(settings: Settings, answer: Answer) -> AnswerProof:
    """Return the verdict where all that was asked is answered like a wrong address."""
    source, address = settings.base_url_source, settings.base_url
    hint = "look at any proxy or login page on the way to it"
    if source != hosts.DEFAULT:
        meant = hosts.better_address(address)
        hint = f"look at {source}"
        if meant:
            hint = f"export {source}={meant}" if source == ADDRESS else f"write {meant} in {source}"
    words = plain(answer.message.partition(" (")[0], 60)
    said = repr(words) if words else f"HTTP {answer.status}"
    message = f"{address} is no OpenAI-compatible API ({said})"
    if not address.endswith("/v1"):
        message += ": the address usually ends in /v1"
    return AnswerProof("unverified", NO_API, message, hint)


def explain_unprobed(answer: Answer, settings: Settings) -> AnswerProof:
    """Say what it means that a list or a record is not to be had, before anything was probed.

    A probe may be answered where there is neither, unless it is plain that the address is wrong.
    """
    if not answer.is_elsewhere:
        return explain(answer)
    if hosts.better_address(settings.base_url):
        return no_api(settings, answer)
    message = f"the host has no list of models (HTTP {answer.status}), and nothing was probed"
    return AnswerProof("unverified", NO_LIST, message, NO_PROBE_HINT)


def limit_refused(answer: Answer) -> bool:
    """Whether a refusal is about the token limit's name or size, and not about the model."""
    if answer.status not in {400, 422}:
        return False
    return any(name in answer.param or name in answer.message for name in _LIMIT_NAMES)


def _wrong_endpoint(answer: Answer, endpoint: str) -> AnswerProof | None:
    said = answer.message.lower()
    if answer.status not in {400, 403, 404} or not answer.has_error:
        return None
    if endpoint == "chat" and "only supported in v1/responses" in said:
        return AnswerProof(
            "not-ready",
            "not-chat",
            "it answers only the Responses endpoint, not chat completions",
            'use a profile with endpoint = "responses"',
        )
    if "not a chat model" in said or "not allowed to sample" in said:
        return AnswerProof(
            "not-ready",
            "not-chat",
            "it is not a chat or Responses model; others are out of scope",
            LIST_HINT,
        )
    return None


def missing(model: str, answer: Answer, *, can_be_fresh: bool) -> AnswerProof:
    """Judge a 404 that the API itself sent; fresh ones are worth asking again."""
    if "has been deprecated" in answer.message:
        message = f"{_WHO.get(answer.kind, 'the host')} has retired it and no longer serves it"
        return AnswerProof("not-ready", "retired", message, replace_hint(model, answer.kind))
    if can_be_fresh:
        return AnswerProof(
            "unverified",
            "loading",
            "the API knows it, but it does not answer yet (404): it may still be loading",
            WAIT_HINT,
        )
    message = "this key cannot use it: deleted, retired, or another project"
    return AnswerProof("not-ready", "missing", message, LIST_HINT)


def replace_hint(model: str, kind: hosts.Kind | None) -> str:
    """Return the next step after a retirement; the table's, where OpenAI is the host."""
    replacement = retirement.replacement_for(model)
    if not replacement or kind != hosts.OPENAI:
        return LIST_HINT
    return f"OpenAI's {retirement.table().dated} names {replacement} as its replacement"


def explain(answer: Answer) -> AnswerProof:
    """Say what an answer that proves nothing means, and what to do about it."""
    if answer.refuses_key or answer.status == 403:
        return _refused(answer)
    if answer.status == 429 or answer.is_billing or answer.is_loading:
        return _limited(answer)
    if answer.status >= 500 or answer.status in {408, 409}:
        said = f": {plain(answer.code, 60)}" if answer.code else ""
        message = f"the API could not answer (HTTP {answer.status}{said})"
        return AnswerProof("unverified", "no-answer", message, _later(answer))
    if answer.problem:
        return _no_answer(answer)
    if answer.status == 200:
        return not_proved("the API's answer is not the object that was asked for")
    said = answer.code or answer.message
    words = f": {plain(said)}" if said else ""
    message = f"the API refused the question (HTTP {answer.status}{words})"
    return AnswerProof("unverified", "refused", message, "nothing is known about the model")


def _limited(answer: Answer) -> AnswerProof:
    if answer.is_billing:
        said = answer.code or answer.type or answer.status
        message = f"the account is out of credit or over its limit ({said})"
        hint = "asking again does not help; see the organisation's billing and limits"
        return AnswerProof("unverified", "billing", message, hint, is_auth=True)
    if answer.is_loading:
        message = f"it is still being loaded by the API ({answer.status})"
        return AnswerProof("unverified", "loading", message, WAIT_HINT)
    return AnswerProof("unverified", "rate-limited", "too many requests (429)", _later(answer))


def _no_answer(answer: Answer) -> AnswerProof:
    code = _FAULTS.get(answer.fault, "not-an-answer")
    status = f" (HTTP {answer.status})" if answer.status not in {0, 200} else ""
    hint = AGAIN
    if answer.fault == "redirect":
        hint = f"a redirect is never followed; {answer.address_source} must be the final address"
    elif code == "not-an-answer":
        hint = "look at the address and at any proxy or login page on the way to it"
    elif code == "clock":
        hint = "set the clock of this machine, or find out what answers at that address"
    elif answer.problem.endswith("connection refused"):
        hint = "look at the address: nothing listens there now"
    elif answer.problem.endswith("does not speak TLS"):
        hint = "look at the address: it says https://, and the host speaks http://"
    elif code == "tls":
        hint = "where a company proxy signs traffic, set SSL_CERT_FILE to its certificate"
    prefix = "" if code in {"clock", "unreachable", "timeout", "tls"} else "no usable answer: "
    return AnswerProof("unverified", code, f"{prefix}{answer.problem}{status}", hint)


_FAULTS = {
    "client": "no-answer",
    "clock": "clock",
    "dropped": "no-answer",
    "redirect": "redirect",
    "timeout": "timeout",
    "tls": "tls",
    "unreachable": "unreachable",
}


def _is_safety_block(answer: Answer) -> bool:
    """Whether OpenAI says that the model, and not the request or who asks, was blocked.

    How it words that is not published.
    """
    if answer.kind not in PROVE_MISSING:
        return False
    said = answer.message.lower()
    return answer.code == "model_blocked" or "blocked from deployment" in said


def _refused(answer: Answer) -> AnswerProof:
    # Our own words only: a 401 quotes part of the key.
    if answer.problem:
        return not_proved(f"something on the way refused the request (HTTP {answer.status})")
    if _is_safety_block(answer):
        message = "OpenAI's safety checks blocked it from deployment"
        hint = "its job's moderation_checks events say why: https://platform.openai.com/finetune"
        return AnswerProof("not-ready", "blocked", message, hint)
    if answer.lacks_scope:
        message = "the key lacks the permission to ask about it"
        hint = f"give the key the scopes {_wanted_scopes(answer)}"
        return AnswerProof("unverified", "key-scope", message, hint, is_auth=True)
    if answer.refuses_key:
        message = f"the API refused the key ({answer.status})"
        hint = _KEY_HINTS.get(answer.key_source, f"check {answer.key_source}")
        return AnswerProof("unverified", "key-refused", message, hint, is_auth=True)
    message = "the key's project may not use it, or the model is in another project (403)"
    hint = "allow the model in the project's limits, or use a key of the model's own project"
    return AnswerProof("unverified", "forbidden", message, hint, is_auth=True)


_KEY_HINTS = {
    OPENAI_KEY: f"check {OPENAI_KEY}, OPENAI_ORG_ID and OPENAI_PROJECT_ID",
    "": f"none was sent: name its variable with `api_key_env` in {PROVIDERS_FILE}",
}
"""By the variable that has the key, "" where there is none."""


def _wanted_scopes(answer: Answer) -> str:
    """Return the scopes that it names, and of those for models always both that are needed."""
    is_other = answer.scopes and "model." not in answer.scopes
    return answer.scopes if is_other else "api.model.read and model.request"


def _later(answer: Answer) -> str:
    if answer.retry_after_s is None:
        return AGAIN
    return f"retry after {min(answer.retry_after_s, 10**9):.0f} s, says the API"
