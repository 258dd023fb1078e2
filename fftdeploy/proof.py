"""The conversation that proves a model: asks, asks again where that can help, waits, judges.

Nothing here decides what an answer means (`readiness` does) or how it is fetched (`provider`
does).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fftdeploy import jobs, retirement
from fftdeploy.answers import Answer, JobResult
from fftdeploy.asking import LONGEST_PAUSE_S, Asker, Clock, quiet, system_clock
from fftdeploy.crowd import each
from fftdeploy.errors import UsageError
from fftdeploy.provider import LIMIT_FIELDS
from fftdeploy.readiness import (
    Facts,
    Readiness,
    Shutdown,
    find_shutdown,
    from_verdict,
    judge,
    kin_seen,
    listed_models,
    waited,
    wants_base,
)
from fftdeploy.verdicts import explain, limit_refused, needs_probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fftdeploy.jobs import Job
    from fftdeploy.provider import Connection

    _Entries = Mapping[str, Mapping[str, Any]]

_NONE: _Entries = {}


@dataclass(frozen=True, slots=True)
class Question:
    """One model to be proved, and how."""

    model: str
    endpoint: str = "chat"
    """`chat` or `responses`: where the profile sends its requests."""
    probe: bool = True
    kin: frozenset[str] = frozenset()
    """Models of the target's releases: seeing another shows that the key is the right one."""
    fresh: bool = False
    """Whether its job finished less than an hour ago, so that a 404 is asked about again."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model that the key can see."""

    id: str
    base: str
    created_at: datetime | None
    owned_by: str
    shutdown: Shutdown | None


@dataclass(frozen=True, slots=True)
class _Proof:
    facts: Facts
    readiness: Readiness
    at_s: float


class Prover:
    """Asks one provider about models during one command.

    `wait_s` is for loading models and running jobs and shared by the whole command; `deadline_s`
    bounds each call here, all retries included, apart from that waiting.  `say` takes a whole line
    about what is going on, from any thread but one at a time; `progress` takes a line that
    replaces the last one, for a terminal.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Clock | None = None,
        wait_s: float = 60.0,
        deadline_s: float = 20.0,
        concurrency: int = 16,
        say: Callable[[str], None] = quiet,
        progress: Callable[[str], None] = quiet,
    ) -> None:
        self.connection = connection
        self.concurrency = concurrency
        self._asker = Asker(
            clock or system_clock(),
            wait_s=wait_s,
            deadline_s=deadline_s,
            say=say,
            progress=progress,
        )
        self._list_lock = threading.Lock()
        self._listing_answer: Answer | None = None
        self._bases: dict[str, Answer] = {}
        self._proofs: dict[Question, _Proof] = {}

    @property
    def where(self) -> str:
        """The address that is asked."""
        return self.connection.settings.base_url

    def now(self) -> datetime:
        """Return the time: the server's, where the clocks differ by more than 5 minutes."""
        return self._asker.now()

    def deadline(self) -> float:
        """Return the monotonic time at which what is asked from now on is given up."""
        return self._asker.deadline()

    def prove(self, question: Question) -> Readiness:
        """Ask about one model, waiting while it loads."""
        return self._prove(question, self._asker.deadline())

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
        deadline = self.deadline() if deadline is None else deadline
        listing = self._listing(deadline) if listed else None
        usable = listing is not None and listing.status == 200 and not listing.problem
        entries = listed_models(listing) if listing is not None and usable else {}
        return each(
            dict.fromkeys(questions),
            lambda asked: self._prove(asked, deadline, entries),
            self.concurrency,
        )

    def check_listed(
        self, models: Iterable[str], kin: Mapping[str, frozenset[str]] | None = None
    ) -> dict[str, Readiness]:
        """Look models up in one list, and retrieve only those that it lacks; nothing is probed.

        Where the list is not to be had for a reason that a retrieve may not share, every model
        is retrieved; otherwise that reason is every model's.
        """
        deadline = self._asker.deadline()
        names = list(dict.fromkeys(models))
        listing = self._listing(deadline)
        entries = _NONE
        if listing.status == 200 and not listing.problem:
            entries = listed_models(listing)
        elif not _retrieve_may_work(listing):
            verdict = explain(listing)
            return {name: from_verdict(name, verdict, listing, self.where) for name in names}
        known = {name: _listed_facts(name, entries) for name in names}
        found = {name: self._judge(facts) for name, facts in known.items() if facts}
        kin = kin or {}
        none = frozenset[str]()
        unseen = [Question(n, probe=False, kin=kin.get(n, none)) for n in names if n not in found]
        asked = each(unseen, lambda question: self._prove(question, deadline), self.concurrency)
        found |= {question.model: readiness for question, readiness in asked.items()}
        return {name: found[name] for name in names}

    def is_stale(self, question: Question, max_age_s: float = 60.0) -> bool:
        """Whether the proof is older than `max_age_s`, or there is none."""
        proof = self._proofs.get(question)
        return proof is None or self._asker.clock.monotonic() - proof.at_s > max_age_s

    def confirm(self, question: Question) -> Readiness:
        """Prove a ready model a second time: by a retrieve, or the probe where there is none.

        Raises the matching error where it is no longer ready, or not proved.  Never waits.
        """
        deadline = self._asker.deadline()
        proof = self._proofs.get(question)
        if proof is None or not proof.readiness.is_ready:
            facts = self._gather(question, deadline)
        elif "retrieved" in proof.readiness.basis:
            facts = replace(proof.facts, retrieved=self._retrieve(question.model, deadline))
        else:
            facts = replace(proof.facts, probed=self._probe(question, deadline))
        readiness = self._judge(facts)
        self._remember(question, facts, readiness)
        if not readiness.is_ready:
            raise readiness.error()
        return readiness

    def models(self) -> list[ListedModel]:
        """List what the key can see, newest first; raises where there is no usable list."""
        listing = self._listing(self._asker.deadline())
        if listing.status != 200 or listing.problem:
            raise explain(listing).error("the list of models", self.where, listing.request_id)
        entries = listed_models(listing)
        found = [_listed_model(name, entry, entries) for name, entry in entries.items()]
        oldest = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda model: (model.created_at or oldest, model.id), reverse=True)

    def running_jobs(self) -> list[Job]:
        """List the jobs that are not over, as the API orders them; raises without an answer."""
        answer = self._asker.ask(self.connection.jobs, self._asker.deadline())
        data = answer.body.get("data") if isinstance(answer.body, dict) else None
        if answer.status != 200 or answer.problem or not isinstance(data, list):
            raise explain(answer).error("the list of jobs", self.where, answer.request_id)
        read = (jobs.parse_job(entry) for entry in data)
        return [job for job in read if job and (job.is_running or job.status == "paused")]

    def follow_job(self, job_id: str) -> JobResult:
        """Wait until a job is over and return its model, which is yet to be proved.

        Raises `NotReadyError` where it failed, was blocked, or still runs when the waiting is
        over, and `UnverifiedError` where nothing can be said about it.
        """
        if not jobs.JOB_ID.fullmatch(job_id):
            raise UsageError(
                f"{job_id[:80]!a} is not a fine-tuning job",
                hint="a job's ID is like ftjob-abc123; a model's goes to --model",
            )
        job = self._finished_job(job_id)
        jobs.require_success(job, self.where)
        events = self._asker.ask(
            lambda t: self.connection.job_events(job_id, t), self._asker.deadline()
        )
        return jobs.require_model(job, events, self.where)

    def _finished_job(self, job_id: str) -> Job:
        status = ""
        pause = 1.0
        while True:
            answer = self._asker.ask(
                lambda t: self.connection.job(job_id, t), self._asker.deadline()
            )
            lost = answer.is_transient or answer.fault == "timeout"
            job = None if lost else jobs.read_job(job_id, answer, self.where)
            if job and not job.is_running:
                return job
            now = job.shown if job else "no answer, asking again"
            if now != status:
                self._asker.say(f"{job_id}: {now}")
            status = now
            if not self._asker.wait(pause, f"{job_id}: {status}"):
                raise (
                    jobs.still_running(job, self.where)
                    if job
                    else explain(answer).error(job_id, self.where, answer.request_id)
                )
            pause = min(pause * 1.5, LONGEST_PAUSE_S)

    def _prove(self, question: Question, deadline: float, entries: _Entries = _NONE) -> Readiness:
        pause = 1.0
        begun = self._asker.clock.monotonic()
        while True:
            facts = self._gather(question, deadline, entries)
            readiness = self._judge(facts)
            if readiness.code != "loading":
                break
            said = f"{question.model}: not answering yet, asking again"
            if not self._asker.wait(max(pause, _asked_pause(facts)), said):
                readiness = waited(readiness, self._asker.clock.monotonic() - begun)
                break
            if pause == 1.0:
                self._asker.say(said)
            pause = min(pause * 2, LONGEST_PAUSE_S)
            deadline = self._asker.deadline()
        self._remember(question, facts, readiness)
        return readiness

    def _gather(self, question: Question, deadline: float, entries: _Entries = _NONE) -> Facts:
        """Ask what is needed to judge, and no more; an entry of `entries` need not be asked for."""
        model = question.model
        facts = _listed_facts(model, entries) or Facts(
            model, retrieved=self._retrieve(model, deadline)
        )
        facts = replace(facts, endpoint=question.endpoint, fresh=question.fresh)
        first = self._judge(facts)
        unsettled = first.is_ready or first.code == "shutdown-unproved"
        unsettled = unsettled or (facts.retrieved is not None and needs_probe(facts.retrieved))
        if question.probe and unsettled:
            facts = replace(facts, probed=self._probe(question, deadline))
        return self._add_context(question, facts, deadline)

    def _add_context(self, question: Question, facts: Facts, deadline: float) -> Facts:
        """Ask for the base's date and for the key's other models, where the verdict needs them."""
        readiness = self._judge(facts)
        if readiness.state != "not-ready":
            if facts.base is None and wants_base(facts):
                base = retirement.base_of(facts.model)
                return replace(facts, base=self._base(base, deadline))
            return facts
        answers = (facts.retrieved, facts.probed)
        unknown = any(answer and answer.is_unknown_model for answer in answers)
        if unknown and not readiness.dead:
            seen = kin_seen(self._listing(deadline), facts.model, question.kin)
            return replace(facts, kin_seen=seen)
        return facts

    def _retrieve(self, model: str, deadline: float) -> Answer:
        return self._asker.ask(lambda timeout: self.connection.retrieve(model, timeout), deadline)

    def _probe(self, question: Question, deadline: float) -> Answer:
        """Probe under each name of the token limit until one is not what is refused."""
        answer = Answer(fault="client", problem="no probe was sent")
        for name in LIMIT_FIELDS[question.endpoint]:
            answer = self._probe_with(question, name, deadline)
            if not limit_refused(answer):
                break
        return answer

    def _probe_with(self, question: Question, limit_field: str, deadline: float) -> Answer:
        probe = self.connection.probe
        return self._asker.ask(
            lambda timeout: probe(question.model, question.endpoint, limit_field, timeout), deadline
        )

    def _base(self, base: str, deadline: float) -> Answer:
        if base not in self._bases:
            self._bases[base] = self._retrieve(base, deadline)
        return self._bases[base]

    def _listing(self, deadline: float) -> Answer:
        """Return the list of models, asked for once in the life of this prover."""
        with self._list_lock:
            if self._listing_answer is None:
                self._listing_answer = self._asker.ask(self.connection.list_models, deadline)
            return self._listing_answer

    def _judge(self, facts: Facts) -> Readiness:
        return judge(facts, self.now().date(), self.where)

    def _remember(self, question: Question, facts: Facts, readiness: Readiness) -> None:
        self._proofs[question] = _Proof(facts, readiness, self._asker.clock.monotonic())


def _retrieve_may_work(listing: Answer) -> bool:
    """Whether single models may be had although the list is not."""
    if listing.lacks_scope or listing.status in {404, 405}:
        return True
    return listing.fault in {"endless", "too-large"} or (listing.status == 200)


def _listed_facts(model: str, entries: _Entries) -> Facts | None:
    """Return what a list says of `model` and its base; None where it lacks the model."""
    if model not in entries:
        return None
    base = entries.get(retirement.base_of(model))
    answer = Answer(200, body=dict(base)) if base else None
    return Facts(model, listed=entries[model], base=answer)


def _asked_pause(facts: Facts) -> float:
    """Return how long the API asked to wait before the next question."""
    answers = (facts.probed, facts.retrieved)
    return max((answer.retry_after_s or 0.0 for answer in answers if answer), default=0.0)


def _listed_model(
    name: str, entry: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]
) -> ListedModel:
    base = retirement.base_of(name)
    answer = Answer(200, body=dict(entries[base])) if base in entries else None
    owner = entry.get("owned_by")
    return ListedModel(
        id=name,
        base=base,
        created_at=jobs.moment(entry.get("created")),
        owned_by=owner if isinstance(owner, str) else "",
        shutdown=find_shutdown(Facts(name, listed=entry, base=answer), entry),
    )
