"""Asks about fine-tuning jobs: which run, and the model that one has made, or why there is none.

A job is believed only as far as it is read: an unknown status is no success, and a success that was
blocked by the safety checks, or names no model, is not ready.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fftdeploy.api.answers import Answer, plain
from fftdeploy.api.asking import LONGEST_PAUSE_S
from fftdeploy.api.end_dates import moment
from fftdeploy.api.hosts import COMPATIBLE
from fftdeploy.api.readiness import Readiness, explain, not_proved
from fftdeploy.errors import FftdeployError, NotReadyError, UnverifiedError, UsageError
from fftdeploy.names import OPENAI, model_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fftdeploy.api.proof import Prover

RUNNING = frozenset({"validating_files", "queued", "running"})
JOB_ID = re.compile(r"ftjob-[A-Za-z0-9_-]{1,128}")

_BLOCKED = re.compile(r"\bblock(?:s|ed|ing)?\b")
_NOT_BLOCKED = re.compile(r"\b(?:not|no|never|without|passed)\b[^.]{0,40}\bblock")


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as far as it was understood."""

    id: str
    status: str
    model: str
    """The fine-tuned model; "" while there is none."""
    base: str
    finished_at: datetime | None
    expected_at: datetime | None
    reason: str
    """Why it failed, in the API's words; "" where it says nothing."""

    @property
    def shown(self) -> str:
        """The status as one prints it: `validating files`."""
        return plain(self.status.replace("_", " "), 60)

    @property
    def is_running(self) -> bool:
        """Whether waiting can change its status."""
        return self.status in RUNNING

    def is_fresh(self, now: datetime) -> bool:
        """Whether it finished less than an hour before `now`: its model may not be everywhere."""
        return self.finished_at is not None and (now - self.finished_at).total_seconds() < 3600


def follow(prover: Prover, job_id: str) -> Job:
    """Wait until a job is over and return it with its model, which is yet to be proved.

    Raises:
        NotReadyError: It failed, was blocked, or still runs when the waiting is over.
        UnverifiedError: Nothing can be said about it.
        UsageError: It is the ID of no job.
    """
    if not JOB_ID.fullmatch(job_id):
        raise UsageError(
            f"{job_id[:80]!a} is not a fine-tuning job",
            hint="a job's ID is like ftjob-abc123; a model's goes to --model",
        )
    job = _finished(prover, job_id)
    require_success(job, prover.where)
    asker = prover.asker
    events = asker.ask(lambda t: prover.connection.job_events(job_id, t), asker.deadline())
    require_model(job, events, prover.where)
    return job


def running(prover: Prover) -> list[Job] | None:
    """List the jobs that are not over, as the API orders them; None on a host without jobs.

    Raises:
        FftdeployError: The host does not say whether there are any.
    """
    answer = prover.asker.ask(prover.connection.jobs, prover.asker.deadline())
    # So LiteLLM fails at a route which it does not have: in plain text.
    is_text = answer.fault == "not-json" and answer.content_type.startswith("text/plain")
    is_lost_route = answer.status == 500 and is_text and answer.kind == COMPATIBLE
    if answer.is_elsewhere or is_lost_route:
        return None
    if answer.entries is None:
        raise explain(answer).error("jobs: not known", prover.where, answer.request_id)
    read = (parse_job(entry) for entry in answer.entries)
    return [job for job in read if job and (job.is_running or job.status == "paused")]


def _finished(prover: Prover, job_id: str) -> Job:
    asker = prover.asker
    status = ""
    pause = 1.0
    while True:
        answer = asker.ask(lambda t: prover.connection.job(job_id, t), asker.deadline())
        if answer.is_elsewhere and (wrong_address := prover.no_api()):
            raise wrong_address
        lost = answer.is_transient or answer.fault == "timeout"
        job = None if lost else read_job(job_id, answer, prover.where)
        if job and not job.is_running:
            return job
        now = job.shown if job else "no answer, asking again"
        if now != status:
            asker.say(f"{job_id}: {now}")
        status = now
        if not asker.wait(pause, f"{job_id}: {status}"):
            if job is None:
                raise explain(answer).error(job_id, prover.where, answer.request_id)
            expected = job.expected_at
            until = f", expected until {expected:%Y-%m-%d %H:%M} UTC" if expected else ""
            hint = "wait for it: --wait 2h, or ask again when it is done"
            raise _not_ready(job, f"it is {job.shown}{until}", hint, prover.where)
        pause = min(pause * 1.5, LONGEST_PAUSE_S)


def read_job(job_id: str, answer: Answer, where: str) -> Job:
    """Return the job that `answer` is about.

    Raises `NotReadyError` where this key cannot see it, and `UnverifiedError` or `AuthError`
    where nothing was proved.
    """
    if answer.is_not_found("fine_tune_not_found", "model_not_found"):
        raise NotReadyError(
            f"{job_id}: this key cannot see this job: mistyped, deleted, or another project",
            hint="`fftdeploy models` lists the jobs still running",
            where=where,
            code="missing",
        )
    if answer.is_elsewhere:
        raise UnverifiedError(
            f"{job_id}: this host has no such job, or no jobs at all (HTTP {answer.status})",
            hint="name the model that it made: --model ID",
            where=where,
            code="no-jobs",
        )
    if answer.status != 200 or answer.problem:
        raise explain(answer).error(job_id, where, answer.request_id)
    job = parse_job(answer.body)
    if job is None or job.id != job_id:
        raise not_proved("the API's answer is not about this job").error(job_id, where)
    return job


def parse_job(body: Any) -> Job | None:
    """Read one job object; None where it is not one."""
    if not isinstance(body, dict) or body.get("object") != "fine_tuning.job":
        return None
    name, status = body.get("id"), body.get("status")
    if not isinstance(name, str) or not isinstance(status, str):
        return None
    return Job(
        id=name,
        status=status,
        model=_string(body, "fine_tuned_model"),
        base=_string(body, "model"),
        finished_at=moment(body.get("finished_at")),
        expected_at=moment(body.get("estimated_finish")),
        reason=_reason(body.get("error")),
    )


def require_success(job: Job, where: str) -> None:
    """Raise why a job that no longer runs has no model; return where it succeeded."""
    if job.status == "succeeded":
        return
    if job.status in {"failed", "cancelled"}:
        said = f": {job.reason}" if job.reason else ""
        hint = f"train again; see https://platform.openai.com/finetune/{job.id}"
        past = "failed" if job.status == "failed" else "was cancelled"
        raise _not_ready(job, f"it {past}{said}", hint, where)
    if job.status == "paused":
        hint = f"resume it first; see https://platform.openai.com/finetune/{job.id}"
        raise _not_ready(job, "it is paused", hint, where)
    raise UnverifiedError(
        f"{job.id}: its status {plain(job.status, 60)!r} is not known to this version",
        hint="look for a newer fftdeploy; promote the model itself with --model",
        where=where,
        code="job-status",
    )


def require_model(job: Job, events: Answer, where: str) -> None:
    """Raise why a job that succeeded has no model, or one that the safety checks blocked."""
    if events.status != 200 or events.problem:
        raise explain(events).error(job.id, where, events.request_id)
    if events.entries is None:
        raise not_proved("the API's list of its events is not a list").error(job.id, where)
    if blocked := next((entry for entry in events.entries if is_block(entry)), None):
        said = blocked.get("message")
        words = f": {plain(said)}" if isinstance(said, str) and said else ""
        raise Readiness(
            "not-ready",
            "blocked",
            f"OpenAI's safety checks blocked its model from deployment{words}",
            f"see its moderation_checks: https://platform.openai.com/finetune/{job.id}",
        ).error(job.id, where)
    if not job.model:
        raise _not_ready(job, "it succeeded but names no model", "look at the job", where)
    if problem := model_problem(job.model, OPENAI):
        raise not_proved(f"the model it names is none: {problem}").error(job.id, where)


def is_block(entry: Any) -> bool:
    """Whether an event says that the safety checks blocked the model.

    The shape of `moderation_checks` events is not published, so anything in one that reads as a
    block counts as one; the probe decides about the rest.
    """
    if not isinstance(entry, dict) or entry.get("type") != "moderation_checks":
        return False
    data = entry.get("data")
    stated = {str(value).lower() for value in data.values()} if isinstance(data, dict) else set()
    if isinstance(data, dict) and data.get("blocked") is True:
        return True
    if entry.get("level") == "error" or stated & {"blocked", "blocking", "block", "failed"}:
        return True
    said = str(entry.get("message", "")).lower()
    return bool(_BLOCKED.search(said)) and not _NOT_BLOCKED.search(said)


def _not_ready(job: Job, message: str, hint: str, where: str) -> FftdeployError:
    return NotReadyError(f"{job.id}: {message}", hint=hint, where=where, code=f"job-{job.status}")


def _string(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _reason(error: Any) -> str:
    """Return a job's `error` as one line; the API sends `{}` where there is none."""
    if not isinstance(error, dict):
        return ""
    parts = [error.get("code"), error.get("message")]
    return ": ".join(plain(part) for part in parts if isinstance(part, str) and part)
