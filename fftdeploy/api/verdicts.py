"""Judges all that was answered about one model as ready, not-ready or unverified."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fftdeploy.api import hosts
from fftdeploy.api.answers import Answer, plain
from fftdeploy.api.end_dates import deprecations, find_shutdown, parse_date, retirement_day
from fftdeploy.api.hosts import PROVE_MISSING, Kind, has_openais_dates
from fftdeploy.api.providers import FILE_NAME as PROVIDERS_FILE
from fftdeploy.api.readiness import (
    AGAIN,
    LIST_HINT,
    NO_API,
    OTHER_MODEL,
    Readiness,
    Shutdown,
    explain,
    missing,
    not_proved,
    replace_hint,
)
from fftdeploy.api.settings import ADDRESS
from fftdeploy.model_ids import retirement
from fftdeploy.model_ids.model_names import is_answer_of
from fftdeploy.names import OPENAI, plural

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from fftdeploy.api.listing import Listing
    from fftdeploy.api.settings import Settings

NO_LIST = "no-list"
_NO_PROBE_HINT = "only a probe would prove it: leave out --no-probe, or `fftdeploy check --probe`"
_OPENAIS = "shutdown_date"
_WARN_DAYS = 30
"""A shutdown nearer than this is a warning of its own."""
_READY = Readiness("ready", "ready")
_SHAPES = {"chat": ("chat.completion", "choices"), "responses": ("response", "output")}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Everything that was asked about one model; None where it was not asked."""

    model: str
    retrieved: Answer | None = None
    listing: Listing | None = None
    """The list of models, which may lack this one."""
    listed: Mapping[str, Any] | None = None
    """The model's entry in the list; it stands for a retrieve."""
    probed: Answer | None = None
    limit_field: str = ""
    """The name under which the probe sent its token limit; "" for none."""
    endpoint: str = "chat"
    base: Mapping[str, Any] | None = None
    """What the host says of a fine-tune's base, for its shutdown date alone."""
    kin_seen: bool = False
    """Whether the list of this key has another fine-tune of the target or of the organisation."""
    fresh: bool = False
    """Whether the model was made less than an hour ago, so that a 404 may be about to end."""

    @property
    def asked(self) -> tuple[Answer, ...]:
        """The answers that there are to questions about this model, or all of them."""
        listing = self.listing.answer if self.listing else None
        answers = (self.retrieved, listing, self.probed)
        return tuple(answer for answer in answers if answer is not None)

    @property
    def kind(self) -> Kind | None:
        """The kind of the host that has answered; None where none has."""
        return next((answer.kind for answer in self.asked if answer.status), None)

    @property
    def is_believed(self) -> bool:
        """Whether the host is of a kind that is believed about what does not exist."""
        return self.kind in PROVE_MISSING

    @property
    def asked_pause_s(self) -> float:
        """How long the API asked to wait before the next question."""
        answers = (self.probed, self.retrieved)
        return max((answer.retry_after_s or 0.0 for answer in answers if answer), default=0.0)


def judge(facts: ModelFacts, today: date, settings: Settings) -> Readiness:
    """Decide what the facts prove on `today` (UTC); `settings` say whom they are from."""
    own = _own_object(facts)
    problem = object_problem(facts.model, own) if own is not None and facts.is_believed else None
    verdict = problem or (_READY if own is not None else _unseen_verdict(facts, settings))
    kind, provider = facts.kind or settings.kind, settings.provider.name
    by_table = has_openais_dates(kind, provider)
    shutdown = find_shutdown(facts.model, own, by_table, facts.base)
    passed = shutdown is not None and shutdown.date <= today
    if verdict.is_ready and passed and shutdown and shutdown.is_own:
        verdict = Readiness(
            "not-ready",
            "shutdown",
            f"it was shut down on {shutdown.date}, says the API",
            replace_hint(facts.model, kind),
        )
    elif verdict.is_ready and facts.probed is not None:
        verdict = _probe_verdict(facts, settings, can_be_fresh=True)
    elif verdict.is_ready and passed and shutdown:
        verdict = Readiness(
            "unverified",
            "shutdown-unproved",
            f"its shutdown date {shutdown.date} ({shutdown.source}) has passed, and without a "
            "probe nothing proves that it still answers",
            _NO_PROBE_HINT,
        )
    basis = []
    if own is not None and problem is None:
        basis.append("listed" if facts.listed is not None else "retrieved")
    if facts.probed is not None and verdict.is_ready:
        basis.append("probed")
    hint, ids = verdict.hint, [a.request_id for a in (facts.probed, facts.retrieved) if a]
    if provider != OPENAI:
        hint = hint.replace("`fftdeploy models`", f"`fftdeploy models --provider {provider}`")
    return replace(
        verdict,
        model=facts.model,
        hint=hint,
        basis=tuple(basis),
        shutdown=shutdown,
        dead=_is_dead(facts, verdict, passed),
        warnings=_warnings(shutdown, today) if verdict.is_ready else (),
        notices=_notices(facts, own),
        request_id="" if verdict.is_ready else next(filter(None, ids), ""),
        where=settings.base_url,
    )


def _own_object(facts: ModelFacts) -> Mapping[str, Any] | None:
    """Return what the host says of the model; nothing, where that is of no use to judge it."""
    own, answer = facts.listed, facts.retrieved
    if own is None and answer is not None and answer.status == 200:
        own = answer.body if isinstance(answer.body, dict) else None
    if own is None or facts.is_believed:
        return own
    return own if own.get("id") == facts.model else None


def _unseen_verdict(facts: ModelFacts, settings: Settings) -> Readiness:
    """Judge a model that neither a retrieve nor a list describes."""
    answer = facts.retrieved
    if answer is not None and answer.is_unknown_model:
        return missing(facts.model, answer, can_be_fresh=facts.fresh)
    if answer is not None and not answer.leaves_open:
        return explain(answer)
    if facts.probed is not None:
        return _probe_verdict(facts, settings, can_be_fresh=facts.fresh)
    if not facts.asked:
        return Readiness("unverified", "not-asked", "it was not asked about", AGAIN)
    if facts.listing is None or not facts.listing.is_list:
        return explain_unprobed(facts.asked[-1], settings)
    message = "the host does not list it, which proves nothing without a probe"
    return Readiness("unverified", "unlisted", message, _NO_PROBE_HINT)


def _probe_verdict(facts: ModelFacts, settings: Settings, *, can_be_fresh: bool) -> Readiness:
    """Judge the probe, in the light of what the list says."""
    probed, model = facts.probed, facts.model
    assert probed is not None  # noqa: S101  the callers have looked
    verdict = judge_probe(
        model,
        facts.endpoint,
        probed,
        can_be_fresh=can_be_fresh,
        known_as=names_of(model, settings, facts.listing),
        provider=settings.provider.name,
    )
    if verdict.code != "refused":
        return verdict
    is_asked = facts.listing is not None and not probed.is_about(model)
    if is_asked and all(answer.is_elsewhere for answer in facts.asked):
        return _no_api(settings, probed)
    is_refused = probed.denies(model) and not probed.refuses_limit
    is_unlisted = facts.listing is not None and facts.listing.lacks(model)
    if is_refused and is_unlisted and not facts.is_believed:
        said = f": {plain(probed.message)}" if probed.message else ""
        message = f"the host neither lists nor serves it (HTTP {probed.status}{said})"
        return Readiness("not-ready", "not-served", message, LIST_HINT)
    return verdict


def names_of(model: str, settings: Settings, listing: Listing | None) -> frozenset[str]:
    """Return the names by which a model may answer, as far as the user and the host have said."""
    allowed = settings.provider.answers_as.get(model, frozenset())
    return allowed | listing.known_as(model) if listing else allowed


def wants_base(facts: ModelFacts) -> bool:
    """Whether the shutdown date of the base would say something that is not known already."""
    own = _own_object(facts)
    if own is None or own.get(_OPENAIS) is not None or retirement_day(own):
        return False
    is_tabled = facts.kind == OPENAI and retirement.has_fine_tune_row(facts.model)
    return facts.is_believed and bool(retirement.base_of(facts.model)) and not is_tabled


def _is_dead(facts: ModelFacts, verdict: Readiness, passed: bool) -> bool:
    if verdict.code == "shutdown":
        return facts.is_believed
    answers = (facts.retrieved, facts.probed)
    unknown = any(answer is not None and answer.is_unknown_model for answer in answers)
    return unknown and verdict.state == "not-ready" and (passed or facts.kin_seen)


def _warnings(shutdown: Shutdown | None, today: date) -> tuple[str, ...]:
    if shutdown is None or (days := shutdown.days_left(today)) > _WARN_DAYS:
        return ()
    if days <= 0:
        said = f"its shutdown date {shutdown.date} ({shutdown.source}) has passed; it answers still"
        return (said,)
    return (f"it shuts down on {shutdown.date}, in {plural(days, 'day')} ({shutdown.source})",)


def _notices(facts: ModelFacts, own: Mapping[str, Any] | None) -> tuple[str, ...]:
    said = [*deprecations(own or {}, {})]
    for answer in facts.asked:
        said += deprecations({}, answer.deprecation)
    return tuple(dict.fromkeys(said))


def object_problem(model: str, body: Mapping[str, Any]) -> Readiness | None:
    """Say why a 200 is no proof about `model`; None where it is."""
    name, created, stated = body.get("id"), body.get("created"), body.get("shutdown_date")
    owner = body.get("owned_by")
    checks = (
        (body.get("object") != "model", "is not about a model"),
        (not isinstance(name, str), "has no model ID"),
        (name != model, f"is about another model, {plain(str(name), 100)!r}"),
        (
            isinstance(created, bool) or not isinstance(created, (int, float, type(None))),
            "has a `created` that is no time",
        ),
        (not isinstance(owner, (str, type(None))), "has an `owned_by` that is no name"),
        (
            stated is not None and parse_date(stated) is None,
            f"has the `shutdown_date` {plain(str(stated), 40)!r}, which is not a date",
        ),
    )
    problem = next((words for failed, words in checks if failed), "")
    return not_proved(f"the API's answer {problem}") if problem else None


def judge_probe(
    model: str,
    endpoint: str,
    answer: Answer,
    *,
    can_be_fresh: bool,
    known_as: Collection[str] = (),
    provider: str = OPENAI,
) -> Readiness:
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
) -> Readiness:
    kind, member = _SHAPES[endpoint]
    if not isinstance(body, dict) or body.get("object") != kind:
        return not_proved(f"the answer to the probe is not a {kind}")
    parts = body.get(member)
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
        return not_proved(f"the answer to the probe has no {member}")
    # So gateways tell of a failure of the host behind them.
    is_failed = bool(body.get("error")) or body.get("status") in {"failed", "cancelled"}
    if is_failed or any(
        not p or p.get("error") or p.get("finish_reason") == "error" for p in parts
    ):
        return not_proved("the answer to the probe carries an error")
    answered = body.get("model")
    said = answered if isinstance(answered, str) else ""
    wrong = other_model(model, said, known_as, provider)
    return wrong or _READY


def other_model(
    model: str, answered: str, known_as: Collection[str], provider: str
) -> Readiness | None:
    """Return the verdict on an answer that calls itself `answered`; None where that is `model`."""
    if is_answer_of(model, answered, known_as):
        return None
    if not answered:
        return not_proved("an answer does not say which model it is of")
    shown = plain(answered, 100)
    allowed = f"answers_as = {{ {json.dumps(model)} = [{json.dumps(shown)}] }}"
    return Readiness(
        "unverified",
        OTHER_MODEL,
        f"it was answered by another model, {shown!r}",
        f"if that is the same one, say so below [{provider}] in {PROVIDERS_FILE}: {allowed}",
    )


def _no_api(settings: Settings, answer: Answer) -> Readiness:
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
    return Readiness("unverified", NO_API, message, hint)


def explain_unprobed(answer: Answer, settings: Settings) -> Readiness:
    """Say what it means that a list or a record is not to be had, before anything was probed.

    A probe may be answered where there is neither, unless it is plain that the address is wrong.
    """
    if not answer.is_elsewhere:
        return explain(answer)
    if hosts.better_address(settings.base_url):
        return _no_api(settings, answer)
    message = f"the host has no list of models (HTTP {answer.status}), and nothing was probed"
    return Readiness("unverified", NO_LIST, message, _NO_PROBE_HINT)


def _wrong_endpoint(answer: Answer, endpoint: str) -> Readiness | None:
    said = answer.message.lower()
    if answer.status not in {400, 403, 404} or not answer.has_error:
        return None
    if endpoint == "chat" and "only supported in v1/responses" in said:
        return Readiness(
            "not-ready",
            "not-chat",
            "it answers only the Responses endpoint, not chat completions",
            'use a profile with endpoint = "responses"',
        )
    if "not a chat model" in said or "not allowed to sample" in said:
        return Readiness(
            "not-ready",
            "not-chat",
            "it is not a chat or Responses model; others are out of scope",
            LIST_HINT,
        )
    return None
