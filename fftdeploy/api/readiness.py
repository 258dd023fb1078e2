"""Says what an answer of a host proves about a model, in words of its own and with a next step.

Only a proof makes a model ready and only a proof makes it not-ready; whatever else the network, a
proxy or the server says is `unverified`, and never a missing model.  `verdicts` puts all that was
answered about one model together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from fftdeploy.api import hosts
from fftdeploy.api.answers import Answer, plain
from fftdeploy.api.hosts import PROVE_MISSING
from fftdeploy.api.providers import FILE_NAME, OPENAI_KEY
from fftdeploy.errors import AuthError, FftdeployError, NotReadyError, UnverifiedError
from fftdeploy.model_ids import retirement

if TYPE_CHECKING:
    import datetime as dt
    from datetime import date

State = Literal["ready", "not-ready", "unverified"]

LIST_HINT = "`fftdeploy models` lists what this key can see"
AGAIN = "ask again later; nothing is known about the model"
NO_API = "address"
GONE = frozenset({"missing", "retired"})
"""Codes of verdicts that rest on a 404 `model_not_found` of a host that is believed."""
OTHER_MODEL = "other-model"
WAIT_HINT = "ask again later; `fftdeploy promote TARGET --model ID --wait 10m` waits for it"

_WHO = {hosts.OPENAI: "OpenAI", "azure": "Azure"}
_FAULTS = {
    "client": "no-answer",
    "clock": "clock",
    "dropped": "no-answer",
    "redirect": "redirect",
    "timeout": "timeout",
    "tls": "tls",
    "unreachable": "unreachable",
}
_KEY_HINTS = {
    OPENAI_KEY: f"check {OPENAI_KEY}, OPENAI_ORG_ID and OPENAI_PROJECT_ID",
    "": f"none was sent: name its variable with `api_key_env` in {FILE_NAME}",
}
"""By the variable that has the key, "" where there is none."""


class Shutdown(NamedTuple):
    """The day from which a model does not answer, and who says so."""

    date: date
    source: str
    """`model`, `table of DAY (fine-tunes)`, `base model` or `table of DAY (BASE)`.

    Where the model's own date is in another field than OpenAI's: `model, FIELD`.
    """

    @property
    def is_own(self) -> bool:
        """Whether the model's own record says so: only that proves anything."""
        return self.source.startswith("model")

    def days_left(self, today: dt.date) -> int:
        """Return the days from `today` (UTC) until it, negative once past."""
        return (self.date - today).days


@dataclass(frozen=True, slots=True)
class Readiness:
    """What is proved about a model, and what the proof rests on.

    What one answer proves has its first fields only, until a date and a second answer are seen.
    """

    state: State
    code: str
    """Stable, finer than `state`: `ready`, `missing`, `retired`, `loading`, `forbidden`, ..."""
    message: str = ""
    hint: str = ""
    is_auth: bool = False
    """Whether the key is at fault: no other model will fare better with it."""
    model: str = ""
    basis: tuple[str, ...] = ()
    """`retrieved`, `listed`, `probed`: what the API was asked and confirmed."""
    shutdown: Shutdown | None = None
    dead: bool = False
    """Proved gone for good, as the contract defines it: lifts policies, rules out candidates."""
    warnings: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    """What the host says of a deprecation, each with its source; that proves nothing."""
    request_id: str = ""
    where: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether this model may be made live."""
        return self.state == "ready"

    def runway_days(self, today: date) -> int | None:
        """Return the days from `today` (UTC) to the shutdown, negative once past; None: unknown."""
        return self.shutdown.days_left(today) if self.shutdown else None

    def error(self, subject: str = "", where: str = "", request_id: str = "") -> FftdeployError:
        """Return the failure of a command that needed `subject`, else the model, to be proved."""
        kind: type[FftdeployError] = UnverifiedError
        if self.is_auth:
            kind = AuthError
        elif self.state == "not-ready":
            kind = NotReadyError
        request_id = request_id or self.request_id
        request = f" (request {request_id})" if request_id else ""
        message, where = f"{subject or self.model}: {self.message}", where or self.where
        if self.code == NO_API:  # it is about the address, and no one's fault but that
            message, where = self.message, ""
        return kind(f"{message}{request}", hint=self.hint, where=where, code=self.code)


def explain(answer: Answer) -> Readiness:
    """Say what an answer that proves nothing means, and what to do about it."""
    if answer.refuses_key or answer.status == 403:
        return _refused(answer)
    if answer.status == 429 or answer.is_billing or answer.is_loading:
        return _limited(answer)
    if answer.status >= 500 or answer.status in {408, 409}:
        said = f": {plain(answer.code, 60)}" if answer.code else ""
        message = f"the API could not answer (HTTP {answer.status}{said})"
        return Readiness("unverified", "no-answer", message, _later(answer))
    if answer.problem:
        return _no_answer(answer)
    if answer.status == 200:
        return not_proved("the API's answer is not the object that was asked for")
    said = answer.code or answer.message
    words = f": {plain(said)}" if said else ""
    message = f"the API refused the question (HTTP {answer.status}{words})"
    return Readiness("unverified", "refused", message, "nothing is known about the model")


def _limited(answer: Answer) -> Readiness:
    if answer.is_billing:
        said = answer.code or answer.type or answer.status
        message = f"the account is out of credit or over its limit ({said})"
        hint = "asking again does not help; see the organisation's billing and limits"
        return Readiness("unverified", "billing", message, hint, is_auth=True)
    if answer.is_loading:
        message = f"it is still being loaded by the API ({answer.status})"
        return Readiness("unverified", "loading", message, WAIT_HINT)
    return Readiness("unverified", "rate-limited", "too many requests (429)", _later(answer))


def _no_answer(answer: Answer) -> Readiness:
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
    return Readiness("unverified", code, f"{prefix}{answer.problem}{status}", hint)


def _refused(answer: Answer) -> Readiness:
    # Our own words only: a 401 quotes part of the key.
    if answer.problem:
        return not_proved(f"something on the way refused the request (HTTP {answer.status})")
    said = answer.message.lower()  # how OpenAI words that it blocked the model is not published
    is_block = answer.code == "model_blocked" or "blocked from deployment" in said
    if is_block and answer.kind in PROVE_MISSING:
        message = "OpenAI's safety checks blocked it from deployment"
        hint = "its job's moderation_checks events say why: https://platform.openai.com/finetune"
        return Readiness("not-ready", "blocked", message, hint)
    if answer.lacks_scope:
        message = "the key lacks the permission to ask about it"
        is_other = answer.scopes and "model." not in answer.scopes
        scopes = answer.scopes if is_other else "api.model.read and model.request"  # always both
        hint = f"give the key the scopes {scopes}"
        return Readiness("unverified", "key-scope", message, hint, is_auth=True)
    if answer.refuses_key:
        message = f"the API refused the key ({answer.status})"
        hint = _KEY_HINTS.get(answer.key_source, f"check {answer.key_source}")
        return Readiness("unverified", "key-refused", message, hint, is_auth=True)
    message = "the key's project may not use it, or the model is in another project (403)"
    hint = "allow the model in the project's limits, or use a key of the model's own project"
    return Readiness("unverified", "forbidden", message, hint, is_auth=True)


def _later(answer: Answer) -> str:
    if answer.retry_after_s is None:
        return AGAIN
    return f"retry after {min(answer.retry_after_s, 10**9):.0f} s, says the API"


def not_proved(message: str) -> Readiness:
    """Return the verdict on a 200 that is not what was asked for."""
    hint = "look at the address and at any proxy on the way to it"
    return Readiness("unverified", "not-an-answer", message, hint)


def missing(model: str, answer: Answer, *, can_be_fresh: bool) -> Readiness:
    """Judge a 404 that the API itself sent; fresh ones are worth asking again."""
    if "has been deprecated" in answer.message:
        message = f"{_WHO.get(answer.kind, 'the host')} has retired it and no longer serves it"
        return Readiness("not-ready", "retired", message, replace_hint(model, answer.kind))
    if can_be_fresh:
        return Readiness(
            "unverified",
            "loading",
            "the API knows it, but it does not answer yet (404): it may still be loading",
            WAIT_HINT,
        )
    message = "this key cannot use it: deleted, retired, or another project"
    return Readiness("not-ready", "missing", message, LIST_HINT)


def replace_hint(model: str, kind: hosts.Kind | None) -> str:
    """Return the next step after a retirement; the table's, where OpenAI is the host."""
    replacement = retirement.replacement_for(model)
    if not replacement or kind != hosts.OPENAI:
        return LIST_HINT
    return f"OpenAI's {retirement.table().dated} names {replacement} as its replacement"
