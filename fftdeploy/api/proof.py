"""The conversation that proves a model: asks, asks again where that can help, waits, judges.

Nothing here decides what an answer means (`readiness` does) or how it is fetched (`provider`
does).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from fftdeploy import names
from fftdeploy.api.answers import Answer, plain
from fftdeploy.api.asking import LONGEST_PAUSE_S, Asker
from fftdeploy.api.hosts import COMPATIBLE, OPENAI, PROVE_MISSING, limit_fields
from fftdeploy.api.listing import ListedModel, Listing, listed_model, read_listing
from fftdeploy.api.readiness import NO_API, OTHER_MODEL, Readiness, explain
from fftdeploy.api.threads import begin, each
from fftdeploy.api.verdicts import (
    NO_LIST,
    ModelFacts,
    explain_unprobed,
    judge,
    names_of,
    wants_base,
)
from fftdeploy.errors import FftdeployError
from fftdeploy.model_ids import retirement
from fftdeploy.model_ids.identity import identity_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from concurrent.futures import Future

    from fftdeploy.api.client.connection import Connection

    _Entries = Mapping[str, Mapping[str, Any]]

_NONE: _Entries = {}
_LIST = "the list of models"
_FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Question:
    """One model to be proved, and how."""

    model: str
    endpoint: str = "chat"
    """`chat` or `responses`: where the profile sends its requests."""
    probe: bool = True
    project_models: frozenset[str] = frozenset()
    """Models of the target's releases: seeing another shows that the key is of the same project."""
    provider: str = names.OPENAI
    environment: str = ""
    """Where it serves, or is to: there may be a key of its own for that."""
    fresh: bool = False
    """Whether its job finished less than an hour ago, so that a 404 is asked about again."""

    @property
    def once(self) -> Question:
        """The question as it is for all environments that have the same key."""
        return replace(self, environment="")


@dataclass(frozen=True, slots=True)
class _Proof:
    facts: ModelFacts
    readiness: Readiness
    at_s: float


class Prover:
    """Asks one host about models during one command.

    `asker` says how long: its waiting is for loading models and running jobs, its deadline bounds
    each call here, all retries included, apart from that waiting.  With `probes_early` a probe does
    not wait for the retrieve, and is one too many where that rules the model out.
    """

    def __init__(
        self,
        connection: Connection,
        asker: Asker | None = None,
        *,
        concurrency: int = 16,
        probes_early: bool = False,
    ) -> None:
        self.connection = connection
        self.concurrency = concurrency
        self._probes_early = probes_early
        self.asker = asker or Asker()
        self._list_lock = threading.Lock()
        self._known_listing: Listing | None = None
        self._bases: dict[str, Mapping[str, Any] | None] = {}
        self._proofs: dict[Question, _Proof] = {}
        self._begun: dict[Question, Future[Readiness]] = {}

    @property
    def where(self) -> str:
        """The address that is asked."""
        return self.connection.settings.base_url

    @property
    def _retrieve_settles(self) -> bool:
        """Whether a retrieve may be proof, as far as the kind of the host is known."""
        return (self.connection.kind or OPENAI) in PROVE_MISSING

    def now(self) -> datetime:
        """Return the time: the server's, where the clocks differ by more than 5 minutes."""
        return self.asker.now()

    def prove(self, question: Question) -> Readiness:
        """Ask about one model, waiting while it loads; that it was ready a moment ago will do."""
        return self._prove(question, self.asker.deadline())

    def begin(self, question: Question) -> None:
        """Begin to ask about a model: whoever has it proved next waits for what comes of that."""
        once, deadline = question.once, self.asker.deadline()
        if once not in self._begun and self._known(question) is None:
            self._begun[once] = begin(self._ask_about, question, deadline, _NONE)

    def prove_all(
        self,
        questions: Iterable[Question],
        *,
        listed: bool = False,
        deadline: float | None = None,
    ) -> dict[Question, Readiness]:
        """Ask about many at once, about each distinct question once, under one deadline.

        With `listed`, one list stands for the retrieves of all the models that it has.  The
        deadline is `deadline`, which several calls may share, or one of this call's own.
        """
        deadline = self.asker.deadline() if deadline is None else deadline
        entries = self._listing(deadline).models if listed else _NONE
        same = {question: question.once for question in questions}
        proved = each(
            dict.fromkeys(same.values()),
            lambda asked: self._prove(asked, deadline, entries),
            self.concurrency,
        )
        return {question: proved[once] for question, once in same.items()}

    def check_listed(self, questions: Iterable[Question]) -> dict[Question, Readiness]:
        """Look models up in one list, and retrieve only those that it lacks; nothing is probed.

        Where the list is not to be had for a reason that a retrieve may not share, every model
        is retrieved; otherwise that reason is every model's.
        """
        deadline = self.asker.deadline()
        asked = list(questions)
        listing = self._listing(deadline)
        answer = listing.answer
        if not listing.models and not _retrieve_may_work(answer):
            said = replace(explain(answer), where=self.where, request_id=answer.request_id)
            return {one: replace(said, model=one.model) for one in asked}
        projects = {one.model: one.project_models for one in asked}
        found: dict[str, Readiness] = {}
        unseen = []
        for name, project_models in projects.items():
            if facts := self._listed_facts(name, listing.models):
                found[name] = self._judge(facts)
            else:
                unseen.append(Question(name, probe=False, project_models=project_models))
        proved = each(unseen, lambda question: self._prove(question, deadline), self.concurrency)
        found |= {question.model: readiness for question, readiness in proved.items()}
        return {one: found[one.model] for one in asked}

    def known_as(self, question: Question) -> frozenset[str]:
        """Return the names that answers of the question's model may have, as far as was asked."""
        return names_of(question.model, self.connection.settings, self._known_listing)

    def identity(self, model: str) -> Mapping[str, str]:
        """Return what the list says of the model behind a name; nothing of what others host."""
        if self._retrieve_settles:
            return {}
        entry = self._listing(self.asker.deadline()).models.get(model)
        return identity_of(entry) if entry else {}

    def answered_as(self, model: str) -> str:
        """Return the name by which a probe of the model was answered; "" where none was."""
        probes = [
            one.facts.probed for asked, one in [*self._proofs.items()] if asked.model == model
        ]
        bodies = (probe.body for probe in probes if probe is not None)
        said = (body.get("model") for body in bodies if isinstance(body, dict))
        return next((plain(name, 256) for name in said if isinstance(name, str)), "")

    def limit_field(self, question: Question) -> str:
        """Return the name of the token limit that the model takes, as far as it was tried."""
        proof = self._proofs.get(question.once)
        return (proof.facts.limit_field if proof else "") or self._limit_fields(question)[0]

    def _limit_fields(self, question: Question) -> tuple[str, ...]:
        kind, known = self.connection.kind or COMPATIBLE, self.connection.settings.provider
        return limit_fields(kind, question.endpoint, known.limit_field)

    def is_stale(self, question: Question) -> bool:
        """Whether there is no proof of the last minute."""
        proof = self._proofs.get(question.once)
        return proof is None or self.asker.clock.monotonic() - proof.at_s > _FRESH_S

    def confirm(self, question: Question) -> Readiness:
        """Prove a ready model a second time: by a retrieve, or the probe where there is none.

        Raises the matching error where it is no longer ready, or not proved.  Never waits.
        """
        deadline = self.asker.deadline()
        proof = self._proofs.get(question.once)
        if proof is None or not proof.readiness.is_ready:
            facts = self._gather(question, deadline)
        elif "retrieved" in proof.readiness.basis:
            facts = replace(proof.facts, retrieved=self._retrieve(question.model, deadline))
        else:
            facts = self._probe(question, proof.facts, deadline)
        readiness = self._judge(facts)
        self._remember(question, facts, readiness)
        if not readiness.is_ready:
            raise readiness.error()
        return readiness

    def models(self) -> list[ListedModel]:
        """List what the key can see, newest first; raises where there is no usable list."""
        listing = self._listing(self.asker.deadline())
        if not listing.is_list:
            raise self._no_list(listing.answer)
        provider = self.connection.settings.provider.name
        found = [listed_model(name, listing, provider) for name in listing.models]
        oldest = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda model: (model.created_at or oldest, model.id), reverse=True)

    def listed_names(self) -> Collection[str] | None:
        """Return the names in the list; None where there is no list, and models may answer yet.

        Raises where the host answers nothing, or the key is refused.
        """
        listing = self._listing(self.asker.deadline())
        if listing.is_list:
            return listing.models.keys()
        if not _retrieve_may_work(listing.answer) or self.no_api():
            raise self._no_list(listing.answer)
        return None

    def _prove(self, question: Question, deadline: float, entries: _Entries = _NONE) -> Readiness:
        if (known := self._known(question)) is not None:
            return known
        begun = self._begun.pop(question.once, None)
        return begun.result() if begun else self._ask_about(question, deadline, entries)

    def _known(self, question: Question) -> Readiness | None:
        """Return that a model was ready a moment ago; None where nothing says so."""
        found = None if self.is_stale(question) else self._proofs[question.once].readiness
        return found if found and found.is_ready else None

    def _ask_about(self, question: Question, deadline: float, entries: _Entries) -> Readiness:
        pause = 1.0
        begun = self.asker.clock.monotonic()
        while True:
            facts = self._gather(question, deadline, entries)
            readiness = self._judge(facts)
            if readiness.code != "loading":
                break
            said = f"{question.model}: not answering yet, asking again"
            if not self.asker.wait(max(pause, facts.asked_pause_s), said):
                if (seconds := self.asker.clock.monotonic() - begun) >= 1:
                    message = f"{readiness.message}, after {seconds:.0f} s of waiting"
                    readiness = replace(readiness, message=message)
                break
            if pause == 1.0:
                self.asker.say(said)
            pause = min(pause * 2, LONGEST_PAUSE_S)
            deadline = self.asker.deadline()
        self._remember(question, facts, readiness)
        return readiness

    def _gather(self, question: Question, deadline: float, entries: _Entries = _NONE) -> ModelFacts:
        """Ask what is needed to judge, and no more; an entry of `entries` need not be asked for."""
        facts = self._listed_facts(question.model, entries)
        early = None
        if facts is None and question.probe and self._probes_early:
            early = begin(self._probe, question, ModelFacts(question.model), deadline)
        facts = facts or self._look_up(question.model, deadline)
        facts = replace(facts, endpoint=question.endpoint, fresh=question.fresh)
        first = self._judge(facts)
        if question.probe and (first.is_ready or _is_open(facts, first)):
            found = early.result() if early else self._probe(question, facts, deadline)
            facts = replace(facts, probed=found.probed, limit_field=found.limit_field)
        return self._add_context(question, facts, deadline)

    def _look_up(self, model: str, deadline: float) -> ModelFacts:
        """Ask whether there is such a model, the list where a retrieve can't or doesn't say."""
        retrieved = None
        if self._retrieve_settles:
            retrieved = self._retrieve(model, deadline)
            facts = ModelFacts(model, retrieved=retrieved)
            if not retrieved.leaves_open or self._judge(facts).is_ready:
                return facts
            if retrieved.status != 404 and retrieved.kind in PROVE_MISSING:
                return facts  # a key that may not read models may not list them, either
        listing = self._listing(deadline)
        facts = self._listed_facts(model, listing.models) or ModelFacts(model)
        return replace(facts, retrieved=retrieved, listing=listing)

    def _add_context(self, question: Question, facts: ModelFacts, deadline: float) -> ModelFacts:
        """Ask for the base's date and for the key's other models, where the verdict needs them."""
        readiness = self._judge(facts)
        if readiness.code == OTHER_MODEL:
            return replace(facts, listing=self._listing(deadline))
        if readiness.state != "not-ready":
            if facts.base is None and wants_base(facts):
                base = retirement.base_of(facts.model)
                return replace(facts, base=self._base(base, deadline))
            return facts
        answers = (facts.retrieved, facts.probed)
        unknown = any(answer and answer.is_unknown_model for answer in answers)
        if unknown and not readiness.dead:
            seen = self._listing(deadline).shows_project(facts.model, question.project_models)
            return replace(facts, kin_seen=seen)
        return facts

    def _retrieve(self, model: str, deadline: float) -> Answer:
        return self.asker.ask(partial(self.connection.retrieve, model), deadline)

    def _probe(self, question: Question, facts: ModelFacts, deadline: float) -> ModelFacts:
        """Probe under each name of the token limit until one is not what is refused."""
        for name in self._limit_fields(question):
            send = partial(self.connection.probe, question.model, question.endpoint, name)
            answer = self.asker.ask(send, deadline)
            facts = replace(facts, probed=answer, limit_field=name)
            if not answer.refuses_limit:
                break
        return facts

    def _base(self, base: str, deadline: float) -> Mapping[str, Any] | None:
        if base not in self._bases:
            answer = self._retrieve(base, deadline)
            is_object = answer.status == 200 and isinstance(answer.body, dict)
            self._bases[base] = answer.body if is_object else None
        return self._bases[base]

    def _listing(self, deadline: float) -> Listing:
        """Return the list of models, asked for once in the life of this prover.

        A host that still loads its model may refuse that, too: then it is asked for again.
        """
        with self._list_lock:
            if self._known_listing is None or self._known_listing.answer.is_loading:
                answer = self.asker.ask(self.connection.list_models, deadline)
                self._known_listing = read_listing(answer)
            return self._known_listing

    def _listed_facts(self, model: str, entries: _Entries) -> ModelFacts | None:
        """Return what a list says of `model` and its base; None where it lacks the model."""
        if model not in entries:
            return None
        base = entries.get(retirement.base_of(model))
        return ModelFacts(model, listing=self._known_listing, listed=entries[model], base=base)

    def no_api(self) -> FftdeployError | None:
        """Say that the address is not one of an API; None where it may be."""
        error = self._no_list(replace(self._listing(self.asker.deadline()).answer, request_id=""))
        return error if error.code == NO_API else None

    def _no_list(self, answer: Answer) -> FftdeployError:
        """Say why there is no list of models to be had."""
        verdict = explain_unprobed(answer, self.connection.settings)
        if verdict.code == NO_LIST:
            hint = "`fftdeploy check --probe` asks the models themselves"
            if not self.where.endswith("/v1"):
                hint += "; is the address right? Most end in /v1"
            verdict = replace(verdict, hint=hint)
        return verdict.error(_LIST, self.where, answer.request_id)

    def _judge(self, facts: ModelFacts) -> Readiness:
        return judge(facts, self.now().date(), self.connection.settings)

    def _remember(self, question: Question, facts: ModelFacts, readiness: Readiness) -> None:
        self._proofs[question.once] = _Proof(facts, readiness, self.asker.clock.monotonic())


def _retrieve_may_work(listing: Answer) -> bool:
    """Whether single models may be had although the list is not."""
    if listing.lacks_scope or listing.is_elsewhere:
        return True
    return listing.fault in {"endless", "too-large"} or (listing.status == 200)


def _is_open(facts: ModelFacts, first: Readiness) -> bool:
    """Whether a probe can say more than what is known so far, and the host answers at all."""
    if first.code == "shutdown-unproved":
        return True
    if first.state == "not-ready" or facts.listed is not None:
        return False
    if facts.retrieved is not None and not facts.retrieved.leaves_open:
        return False
    return facts.listing is None or facts.listing.answer.status != 0
