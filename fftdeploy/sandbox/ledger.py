"""Keeps what changes while the sandbox runs: clock, models that come and go, counts, the log."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from fftdeploy.sandbox.batches import BatchQueue
from fftdeploy.sandbox.refusals import missing_job, missing_model
from fftdeploy.sandbox.world import Model, Phase, SandboxJob, State, World

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Request:
    """One request to `/v1`, as it arrived; the key is not kept.

    `index` counts from 0 in order of arrival.  `headers` are lower case.  `body` is the parsed
    JSON, the text where it is none, or None without a body.
    """

    index: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    is_authorised: bool
    content: bytes = b""
    """Of the file that came with it; the body is the form's fields then."""

    @property
    def model(self) -> str:
        """The model or job that the path or the body names, or ""."""
        parts = self.path.split("?")[0].split("/")
        if len(parts) > 3 and parts[2] == "models":
            return unquote(parts[3])
        named = self.body.get("model") if isinstance(self.body, dict) else None
        return named if isinstance(named, str) else ""


class Ledger:
    """The mutable state of one sandbox; safe to use from many threads."""

    def __init__(self, world: World, now: Clock) -> None:
        self._world = world
        self._clock = now
        self._lock = threading.RLock()
        self._now: datetime | None = None
        self._states: dict[str, State] = {}
        self._changes: dict[str, dict[str, Any]] = {}
        self._doomed: dict[str, int] = {}
        self._uses: dict[str, int] = {}
        self._retrieves: dict[str, int] = {}
        self._finished: dict[str, datetime] = {}
        self._log: list[Request] = []
        self.batches = BatchQueue(self.now)

    def now(self) -> datetime:
        """Return the moment of the sandbox's clock, in UTC."""
        return (self._now or self._clock()).astimezone(UTC)

    def set_now(self, now: datetime | None) -> None:
        """Stop the clock at `now`, which carries an offset; None lets it run again."""
        if now is not None and now.tzinfo is None:
            raise ValueError(f"{now.isoformat()} has no offset")
        self._now = now

    def record(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any,
        *,
        is_authorised: bool,
        content: bytes = b"",
    ) -> Request:
        """Append one request to the log, without the content of a file, and return it."""
        with self._lock:
            seen = Request(len(self._log), method, path, headers, body, is_authorised)
            self._log.append(seen)
            if seen.model in self._doomed:
                self._doomed[seen.model] -= 1
                if self._doomed[seen.model] < 0:
                    self.set_state(seen.model, State.GONE)
            return replace(seen, content=content)

    def requests(self) -> tuple[Request, ...]:
        """Return what was asked so far, in order."""
        with self._lock:
            return tuple(self._log)

    def set_state(self, model: str, state: State, *, after: int = 0) -> None:
        """Give `model` another state, at once or after `after` further requests that name it.

        Raises KeyError for a model the world does not know.
        """
        with self._lock:
            if model not in self._world.models:
                raise KeyError(model)
            if after:
                self._doomed[model] = after
            else:
                self._doomed.pop(model, None)
                self._states[model] = state

    def change(self, model: str, *, like: str = "", fingerprint: str = "") -> None:
        """Change a model behind its ID: it answers as another does, or has another fingerprint.

        Raises KeyError for a model the world does not know.
        """
        with self._lock:
            known = self._world.models[model]
            self._changes[model] = {
                "skill": self._world.models[like or model].skill,
                "fingerprint": fingerprint or known.fingerprint,
            }

    def restore(self, model: str) -> None:
        """Give `model` back the state it has in the world; KeyError where it is unknown."""
        with self._lock:
            if model not in self._world.models:
                raise KeyError(model)
            for memory in (self._states, self._changes, self._doomed, self._uses):
                memory.pop(model, None)

    def models(self) -> list[Model]:
        """Return the models that a list shows."""
        with self._lock:
            current = (self._current(model) for model in self._world.models.values())
            return [model for model in current if model.state.is_listed]

    def model(self, model_id: str) -> Model:
        """Return a model in its present state; refused where the world has none."""
        with self._lock:
            if model_id not in self._world.models:
                raise missing_model(model_id)
            return self._current(self._world.models[model_id])

    def is_loaded(self, model: Model) -> bool:
        """Count one use of a loading model; true once it has been refused often enough."""
        with self._lock:
            self._uses[model.id] = self._uses.get(model.id, 0) + 1
            return self._uses[model.id] > model.loads_after

    def jobs(self) -> list[SandboxJob]:
        """Return every job as it stands; looking at the list does not move any."""
        with self._lock:
            return [self._standing(job) for job in self._world.jobs.values()]

    def job(self, job_id: str, *, is_retrieve: bool = False) -> SandboxJob:
        """Return a job as it stands; a retrieve brings a running one closer to its end."""
        with self._lock:
            if job_id not in self._world.jobs:
                raise missing_job(job_id)
            if is_retrieve:
                self._retrieves[job_id] = self._retrieves.get(job_id, 0) + 1
            return self._standing(self._world.jobs[job_id])

    def _current(self, model: Model) -> Model:
        state = self._states.get(model.id, model.state)
        return replace(model, state=state, **self._changes.get(model.id, {}))

    def _standing(self, job: SandboxJob) -> SandboxJob:
        if job.then is None or self._retrieves.get(job.id, 0) <= job.after_retrieves:
            return job
        then = job.then
        finished = self._finished.setdefault(job.id, then.finished or self.now())
        if then.phase is Phase.SUCCEEDED and then.fine_tuned_model:
            self._states.setdefault(then.fine_tuned_model, State.READY)
        return replace(then, finished=finished)
