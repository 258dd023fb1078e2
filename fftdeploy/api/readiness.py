"""Judges API facts as ready, not-ready or unverified, each with its own words and next step.

Only a proof makes a model ready and only a proof makes it not-ready; whatever else the network, a
proxy or the server says is `unverified`, and never a missing model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from fftdeploy.api.end_dates import deprecations, retirement_day
from fftdeploy.api.hosts import OPENAI, PROVE_MISSING, Kind, has_openais_dates
from fftdeploy.api.verdicts import (
    AGAIN,
    NO_PROBE_HINT,
    AnswerProof,
    State,
    explain,
    explain_unprobed,
    hint_at,
    judge_probe,
    leaves_open,
    limit_refused,
    missing,
    no_api,
    not_served,
    object_problem,
    replace_hint,
)
from fftdeploy.model_ids import retirement
from fftdeploy.names import plural

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from datetime import date

    from fftdeploy.api.answers import Answer
    from fftdeploy.api.listing import Listing
    from fftdeploy.api.settings import Settings
    from fftdeploy.errors import FftdeployError

_OPENAIS = "shutdown_date"
WARN_DAYS = 30
"""A shutdown nearer than this is a warning of its own."""


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
    """What the API proved about a model, and what the proof rests on."""

    model: str
    state: State
    code: str
    """Stable, finer than `state`: `ready`, `missing`, `retired`, `loading`, `forbidden`, ..."""
    message: str = ""
    hint: str = ""
    basis: tuple[str, ...] = ()
    """`retrieved`, `listed`, `probed`: what the API was asked and confirmed."""
    shutdown: Shutdown | None = None
    dead: bool = False
    """Proved gone for good, as the contract defines it: lifts policies, rules out candidates."""
    warnings: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    """What the host says of a deprecation, each with its source; that proves nothing."""
    request_id: str = ""
    is_auth: bool = False
    """Whether the key is at fault: no other model will fare better with it."""
    where: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether this model may be made live."""
        return self.state == "ready"

    def runway_days(self, today: date) -> int | None:
        """Return the days from `today` (UTC) to the shutdown, negative once past; None: unknown."""
        return self.shutdown.days_left(today) if self.shutdown else None

    def error(self) -> FftdeployError:
        """Return the failure that a command raises which needed this model to be ready."""
        verdict = AnswerProof(self.state, self.code, self.message, self.hint, self.is_auth)
        return verdict.error(self.model, self.where, self.request_id)


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
    base: Answer | None = None
    """The retrieve of a fine-tune's base, for its shutdown date alone."""
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
    verdict = _own_verdict(facts, own, settings)
    kind, provider = facts.kind or settings.kind, settings.provider.name
    shutdown = find_shutdown(facts, own, has_openais_dates(kind, provider))
    passed = shutdown is not None and shutdown.date <= today
    if verdict.state == "ready" and passed and shutdown and shutdown.is_own:
        verdict = AnswerProof(
            "not-ready",
            "shutdown",
            f"it was shut down on {shutdown.date}, says the API",
            replace_hint(facts.model, kind),
        )
    elif verdict.state == "ready" and facts.probed is not None:
        verdict = _probe_verdict(facts, settings, can_be_fresh=True)
    elif verdict.state == "ready" and passed and shutdown:
        verdict = AnswerProof(
            "unverified",
            "shutdown-unproved",
            f"its shutdown date {shutdown.date} ({shutdown.source}) has passed, and without a "
            "probe nothing proves that it still answers",
            NO_PROBE_HINT,
        )
    return Readiness(
        model=facts.model,
        state=verdict.state,
        code=verdict.code,
        message=verdict.message,
        hint=hint_at(provider, verdict.hint),
        basis=_basis(facts, own, verdict),
        shutdown=shutdown,
        dead=_is_dead(facts, verdict, passed),
        warnings=_warnings(shutdown, today) if verdict.state == "ready" else (),
        notices=_notices(facts, own),
        request_id=_request_id(facts) if verdict.state != "ready" else "",
        is_auth=verdict.is_auth,
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


def _own_verdict(
    facts: ModelFacts, own: Mapping[str, Any] | None, settings: Settings
) -> AnswerProof:
    """Judge the retrieve or the list entry; "ready" means that nothing speaks against it."""
    if own is not None:
        problem = object_problem(facts.model, own) if facts.is_believed else None
        return problem or AnswerProof("ready", "ready", "")
    answer = facts.retrieved
    if answer is not None and answer.is_unknown_model:
        return missing(facts.model, answer, can_be_fresh=facts.fresh)
    if answer is not None and not leaves_open(answer):
        return explain(answer)
    if facts.probed is not None:
        return _probe_verdict(facts, settings, can_be_fresh=facts.fresh)
    return _unprobed_verdict(facts, settings)


def _unprobed_verdict(facts: ModelFacts, settings: Settings) -> AnswerProof:
    """Judge what has not been probed and is not known to be there."""
    if not facts.asked:
        return AnswerProof("unverified", "not-asked", "it was not asked about", AGAIN)
    if facts.listing is None or not facts.listing.is_list:
        return explain_unprobed(facts.asked[-1], settings)
    message = "the host does not list it, which proves nothing without a probe"
    return AnswerProof("unverified", "unlisted", message, NO_PROBE_HINT)


def _is_no_api(facts: ModelFacts, probed: Answer) -> bool:
    """Whether the list, the probe and all else is answered as where there is no API."""
    if facts.listing is None or probed.is_about(facts.model):
        return False
    return all(answer.is_elsewhere for answer in facts.asked)


def _probe_verdict(facts: ModelFacts, settings: Settings, *, can_be_fresh: bool) -> AnswerProof:
    """Judge the probe, in the light of what the list says."""
    probed, model = facts.probed, facts.model
    assert probed is not None  # noqa: S101  the callers have looked
    known_as = settings.provider.answers_as.get(model, frozenset())
    if facts.listing is not None:
        known_as |= facts.listing.known_as(model)
    verdict = judge_probe(
        model,
        facts.endpoint,
        probed,
        can_be_fresh=can_be_fresh,
        known_as=known_as,
        provider=settings.provider.name,
    )
    if verdict.code != "refused":
        return verdict
    if _is_no_api(facts, probed):
        return no_api(settings, probed)
    is_refused = probed.denies(model) and not limit_refused(probed)
    is_unlisted = facts.listing is not None and facts.listing.lacks(model)
    if is_refused and is_unlisted and not facts.is_believed:
        return not_served(probed)
    return verdict


def find_shutdown(
    facts: ModelFacts, own: Mapping[str, Any] | None, by_table: bool
) -> Shutdown | None:
    """Return the first date of: its own, the table's for it, its base's own, the table's base.

    Whether the table counts, which is OpenAI's, is for `has_openais_dates` to say.
    """
    stated = retirement_day(own) if own else None
    if stated:
        return Shutdown(stated[0], "model" if stated[1] == _OPENAIS else f"model, {stated[1]}")
    tabled = retirement.table_date(facts.model) if by_table else None
    if tabled and retirement.has_fine_tune_row(facts.model):
        return Shutdown(*tabled)
    base = facts.base.body if facts.base and facts.base.status == 200 else None
    if isinstance(base, dict) and base.get("id") == retirement.base_of(facts.model):
        stated = retirement_day(base)
        if stated:
            return Shutdown(stated[0], "base model")
    return Shutdown(*tabled) if tabled else None


def wants_base(facts: ModelFacts) -> bool:
    """Whether the shutdown date of the base would say something that is not known already."""
    own = _own_object(facts)
    if own is None or own.get(_OPENAIS) is not None or retirement_day(own):
        return False
    is_tabled = facts.kind == OPENAI and retirement.has_fine_tune_row(facts.model)
    return facts.is_believed and bool(retirement.base_of(facts.model)) and not is_tabled


def _basis(
    facts: ModelFacts, own: Mapping[str, Any] | None, verdict: AnswerProof
) -> tuple[str, ...]:
    basis = []
    if own is not None and not (facts.is_believed and object_problem(facts.model, own)):
        basis.append("listed" if facts.listed is not None else "retrieved")
    if facts.probed is not None and verdict.state == "ready":
        basis.append("probed")
    return tuple(basis)


def _is_dead(facts: ModelFacts, verdict: AnswerProof, passed: bool) -> bool:
    if verdict.code == "shutdown":
        return facts.is_believed
    answers = (facts.retrieved, facts.probed)
    unknown = any(answer is not None and answer.is_unknown_model for answer in answers)
    return unknown and verdict.state == "not-ready" and (passed or facts.kin_seen)


def _warnings(shutdown: Shutdown | None, today: date) -> tuple[str, ...]:
    if shutdown is None:
        return ()
    days = shutdown.days_left(today)
    if days <= 0:
        said = f"its shutdown date {shutdown.date} ({shutdown.source}) has passed; it answers still"
    elif days <= WARN_DAYS:
        said = f"it shuts down on {shutdown.date}, in {plural(days, 'day')} ({shutdown.source})"
    else:
        return ()
    return (said,)


def _notices(facts: ModelFacts, own: Mapping[str, Any] | None) -> tuple[str, ...]:
    said = [*deprecations(own or {}, {})]
    for answer in facts.asked:
        said += deprecations({}, answer.deprecation)
    return tuple(dict.fromkeys(said))


def _request_id(facts: ModelFacts) -> str:
    answers = (facts.probed, facts.retrieved)
    return next((answer.request_id for answer in answers if answer and answer.request_id), "")


def from_verdict(model: str, verdict: AnswerProof, answer: Answer, where: str) -> Readiness:
    """Return what an answer that was about no model in particular leaves known about `model`."""
    return Readiness(
        model=model,
        state=verdict.state,
        code=verdict.code,
        message=verdict.message,
        hint=verdict.hint,
        request_id=answer.request_id,
        is_auth=verdict.is_auth,
        where=where,
    )


def waited(readiness: Readiness, seconds: float) -> Readiness:
    """Say how long it was waited for in vain."""
    if seconds < 1:
        return readiness
    return replace(readiness, message=f"{readiness.message}, after {seconds:.0f} s of waiting")
