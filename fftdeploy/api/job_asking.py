"""The conversation about a fine-tuning job: asks until it is over, and says what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fftdeploy.api import jobs
from fftdeploy.api.asking import LONGEST_PAUSE_S
from fftdeploy.api.verdicts import explain
from fftdeploy.errors import UsageError

if TYPE_CHECKING:
    from fftdeploy.api.answers import JobResult
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
