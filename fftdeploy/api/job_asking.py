"""The conversation about fine-tuning jobs: which run, and what becomes of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fftdeploy.api import jobs
from fftdeploy.api.asking import LONGEST_PAUSE_S
from fftdeploy.api.hosts import COMPATIBLE
from fftdeploy.api.verdicts import explain
from fftdeploy.errors import UsageError

if TYPE_CHECKING:
    from fftdeploy.api.answers import Answer, JobResult
    from fftdeploy.api.asking import Asker
    from fftdeploy.api.client.connection import Connection
    from fftdeploy.api.jobs import Job
    from fftdeploy.errors import FftdeployError


class JobAsker(Protocol):
    """Whoever asks one provider during one command."""

    connection: Connection
    asker: Asker

    @property
    def where(self) -> str:
        """The address that is asked."""

    def no_api(self) -> FftdeployError | None:
        """Say that the address is not one of an API; None where it may be."""


def follow(prover: JobAsker, job_id: str) -> JobResult:
    """Wait until a job is over and return its model, which is yet to be proved.

    Raises:
        NotReadyError: It failed, was blocked, or still runs when the waiting is over.
        UnverifiedError: Nothing can be said about it.
        UsageError: It is the ID of no job.
    """
    if not jobs.JOB_ID.fullmatch(job_id):
        raise UsageError(
            f"{job_id[:80]!a} is not a fine-tuning job",
            hint="a job's ID is like ftjob-abc123; a model's goes to --model",
        )
    job = _finished(prover, job_id)
    jobs.require_success(job, prover.where)
    asker = prover.asker
    events = asker.ask(lambda t: prover.connection.job_events(job_id, t), asker.deadline())
    return jobs.require_model(job, events, prover.where)


def running(prover: JobAsker) -> list[Job] | None:
    """List the jobs that are not over, as the API orders them; None on a host without jobs.

    Raises:
        FftdeployError: The host does not say whether there are any.
    """
    answer = prover.asker.ask(prover.connection.jobs, prover.asker.deadline())
    if answer.is_elsewhere or _is_lost_route(answer):
        return None
    data = answer.body.get("data") if isinstance(answer.body, dict) else None
    if answer.status != 200 or answer.problem or not isinstance(data, list):
        raise explain(answer).error("jobs: not known", prover.where, answer.request_id)
    read = (jobs.parse_job(entry) for entry in data)
    return [job for job in read if job and (job.is_running or job.status == "paused")]


def _is_lost_route(answer: Answer) -> bool:
    """Whether it is how LiteLLM fails at a route which it does not have: in plain text."""
    is_text = answer.fault == "not-json" and answer.content_type.startswith("text/plain")
    return answer.status == 500 and is_text and answer.kind == COMPATIBLE


def _finished(prover: JobAsker, job_id: str) -> Job:
    asker = prover.asker
    status = ""
    pause = 1.0
    while True:
        answer = asker.ask(lambda t: prover.connection.job(job_id, t), asker.deadline())
        if answer.is_elsewhere and (wrong_address := prover.no_api()):
            raise wrong_address
        lost = answer.is_transient or answer.fault == "timeout"
        job = None if lost else jobs.read_job(job_id, answer, prover.where)
        if job and not job.is_running:
            return job
        now = job.shown if job else "no answer, asking again"
        if now != status:
            asker.say(f"{job_id}: {now}")
        status = now
        if not asker.wait(pause, f"{job_id}: {status}"):
            raise (
                jobs.still_running(job, prover.where)
                if job
                else explain(answer).error(job_id, prover.where, answer.request_id)
            )
        pause = min(pause * 1.5, LONGEST_PAUSE_S)
