"""A client for applications: each call goes to what is live then, or to its fallback."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

from fftdeploy import names
from fftdeploy.api import hosts, providers
from fftdeploy.api.hosts import COMPATIBLE, OPENAI, PROVE_MISSING
from fftdeploy.api.readiness import GONE
from fftdeploy.api.settings import Settings, settings
from fftdeploy.errors import ConfigError, UsageError
from fftdeploy.policy.parameters import LIMIT, arguments, turns
from fftdeploy.routing.request_log import RequestLog
from fftdeploy.routing.routes import Route, route
from fftdeploy.routing.runtime import find_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import openai

GONE_S = 300.0
"""How long a proof that a model is gone counts; then the next call tries it again."""
UNPROVED_S = 10.0
"""How long a 404 that proved nothing is not asked about again."""
_PROOF_S = 10.0

_log = logging.getLogger("fftdeploy")


class _Host(NamedTuple):
    """A provider as the calls of one environment ask it."""

    settings: Settings
    client: Any


class _Way:
    def __init__(self, found: Route, calls: _Calls) -> None:
        self.route = found
        self._calls = calls

    @cached_property
    def host(self) -> _Host:
        """Of a fallback it is nobody's trouble until it is needed."""
        return self._calls.host(self.route)

    @property
    def client(self) -> Any:
        return self.host.client

    def filled(self, endpoint: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in model, prompt and parameters; parameters that are said win, a prompt does not.

        Raises:
            UsageError: A model is said, and not by the target's name.
        """
        found = self.route
        target = found.target
        if "model" in (said.get("extra_body") or {}):
            raise UsageError(
                f"this client is of {target}, and extra_body says a model",
                hint="leave out `model`: it is what is live",
            )
        if said.get("model", target) not in {target, target.partition("/")[2]}:
            raise UsageError(
                f"this client is of {target}, and was asked for {str(said['model'])[:80]!a}",
                hint="leave out `model`, or give the target as its name",
            )
        profile = {**(found.profile or {}), "endpoint": endpoint}
        filled = {**arguments(profile), **said, "model": found.model}
        if endpoint == "responses":
            filled |= {"instructions": profile["system"]} if "system" in profile else {}
            return filled | _input(profile, said)
        if LIMIT in filled:
            known = self.host.settings
            kind = known.kind or (OPENAI if found.provider == names.OPENAI else COMPATIBLE)
            name = hosts.limit_fields(kind, endpoint, known.provider.limit_field)[0]
            filled[name] = filled.pop(LIMIT)
        return {**filled, "messages": turns(profile, said.get("messages", ()))}

    def ended(self, said: Mapping[str, Any], answer: Any, began: float) -> None:
        if not isinstance(answer, Exception):
            self._calls.count(self.route.model)
        if self._calls.log is not None:
            self._calls.log.note(self.route, said, answer, began, self._calls.key)


def _input(profile: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input with the profile's worked examples; a conversation that goes on has them."""
    asked = said.get("input")
    goes_on = bool(said.get("previous_response_id") or said.get("conversation"))
    own = {key: profile[key] for key in profile if key != "shots" or not goes_on}
    if isinstance(asked, str) and "shots" in own:
        asked = [{"role": "user", "content": asked}]
    return {"input": turns(own, asked)} if isinstance(asked, list) else {}


class _Calls:
    """Where the calls of one client go."""

    def __init__(
        self,
        target: str,
        file: str | os.PathLike[str] | None,
        options: Mapping[str, Any],
        key: object,
        log: RequestLog | None,
        *,
        is_async: bool,
    ) -> None:
        self.is_async = is_async
        self.counts: Counter[str] = Counter()
        """Calls that were answered, by the model that did."""
        self.target = target
        self._file = file
        self.options = options
        self.key = key
        self.log = log
        self.hosts: dict[str, _Host] = {}
        self._first: dict[str, _Host] = {}
        """The hosts as they were met first: whoever has other options has their connections."""
        self.is_owner = True
        self._gone: dict[tuple[str, str], float] = {}
        """Until when a model of a provider counts as gone."""
        self._unproved: dict[tuple[str, str], float] = {}
        """Until when it is not asked about again."""
        self._lock = threading.Lock()
        self._proving = threading.Lock()

    def ways(self) -> Iterable[_Way]:
        live = route(self.target, key=self.key, file=self._file)
        found = [live, *live.fallback]
        left = [one for one in found if not self._is_known(self._gone, one)] or found[:1]
        return [_Way(one, self) for one in left]

    def changed(self, options: Mapping[str, Any]) -> _Calls:
        """Return calls with other options of the SDK, or another `key`, over the same connections.

        What is known to be gone is known to both; only the first of them closes the connections.
        """
        twin, more = copy(self), dict(options)
        twin.key = more.pop("key", self.key)
        twin.is_owner = False
        if more:
            twin.options, twin.hosts = {**self.options, **more}, {}
        return twin

    def clients(self) -> Iterable[Any]:
        with self._lock:
            return [one.client for one in self._first.values()] if self.is_owner else []

    def is_gone(self, way: _Way, error: openai.NotFoundError) -> bool:
        """Prove it by a conversation of its own, once, whoever else comes meanwhile."""
        if error.code != "model_not_found":
            return False
        if self._is_known(self._unproved, way.route):
            return False
        with self._proving:  # who has waited takes the answer that came meanwhile
            if self._is_known(self._unproved, way.route):
                return False
            return self._is_known(self._gone, way.route) or self._proves_gone(way)

    def _is_known(self, until: Mapping[tuple[str, str], float], found: Route) -> bool:
        return until.get((found.provider, found.model), 0.0) > time.monotonic()

    def _proves_gone(self, way: _Way) -> bool:
        from fftdeploy.api.asking import Asker
        from fftdeploy.api.client.connection import Connection
        from fftdeploy.api.proof import Prover, Question

        found, connection = way.route, Connection(way.host.settings)
        try:
            prover = Prover(connection, Asker(wait_s=0, deadline_s=_PROOF_S))
            known = prover.prove(Question(found.model, found.endpoint, provider=found.provider))
            proves = connection.kind in PROVE_MISSING
        finally:
            connection.close()
        if not proves or known.state != "not-ready" or known.code not in GONE:
            now, one = time.monotonic(), (found.provider, found.model)
            told = now < self._unproved.get(one, -GONE_S) + GONE_S
            self._unproved[one] = now + UNPROVED_S
            level = logging.DEBUG if told else logging.WARNING
            _log.log(level, "%s: %s answered 404: %s", found.target, found.model, known.message)
            return False
        self._gone[found.provider, found.model] = time.monotonic() + GONE_S
        _log.error(
            "%s: %s is proved gone (%s); its calls go to the fallback of the policy",
            found.target,
            found.model,
            known.message,
        )
        return True

    def host(self, found: Route) -> _Host:
        """Return the host of a route, with the key that it has for where the target serves."""
        from fftdeploy.api.client.applications import host_client

        with self._lock:
            if found.provider not in self.hosts:
                first = self._first.get(found.provider)
                known = first.settings if first else self._settings(found)
                like = first and first.client
                made = host_client(known, self.options, is_async=self.is_async, like=like)
                self.hosts[found.provider] = one = _Host(known, made)
                self._first.setdefault(found.provider, one)
            return self.hosts[found.provider]

    def _settings(self, found: Route) -> Settings:
        folder = Path(find_file(self._file, os.environ)).absolute().parent
        said = providers.read(os.environ, [folder]).get(found.provider)
        return settings(os.environ, said, found.target.partition("/")[2])

    def count(self, model: str) -> None:
        with self._lock:
            self.counts[model] += 1


@overload
def client(
    target: str,
    asynchronous: Literal[False] = False,
    *,
    key: object = None,
    log: RequestLog | None = None,
    file: str | os.PathLike[str] | None = None,
    **options: Any,
) -> openai.OpenAI: ...


@overload
def client(
    target: str,
    asynchronous: Literal[True],
    *,
    key: object = None,
    log: RequestLog | None = None,
    file: str | os.PathLike[str] | None = None,
    **options: Any,
) -> openai.AsyncOpenAI: ...


def client(
    target: str,
    asynchronous: bool = False,
    *,
    key: object = None,
    log: RequestLog | None = None,
    file: str | os.PathLike[str] | None = None,
    **options: Any,
) -> openai.OpenAI | openai.AsyncOpenAI:
    """Return a client of the SDK that asks, at each call, what is live in `target` then.

    `chat.completions` and `responses` are to be called without `model`, or with the target's name:
    model, prompt and parameters of the profile are filled in.  Parameters that a call says itself
    win; of prompts the profile's does.  After a promotion to another provider the next call goes
    to its host, with the key of that host and no other.

    Where the policy has a `fallback` for the task, and a call is answered by a 404
    `model_not_found`, the model is asked about once more, as `check --probe` does; if it is proved
    gone, this call and those after it go to the first fallback that is not gone.  Trouble of any
    other kind is raised as it is.  The logger `fftdeploy` tells of a proof, and
    `client.calls.counts` has the calls that were answered, by model.

    Make it after a fork; threads may share it.

    Args:
        target: `TASK/ENVIRONMENT`, or `ENVIRONMENT` where the file has exactly one task.
        asynchronous: Whether to make an `AsyncOpenAI`, and no `OpenAI`.
        key: Who is asking, as for `route`; `client.with_options(key=user.id)` is a client for
            another one over the same connections, and costs next to nothing.
        log: Where answered requests are written down, or traced; by default nowhere.
        file: The deployments file; by default it is found as `resolve` finds it.  Either is the
            same file from then on, whatever becomes of the working directory.
        options: `timeout`, `max_retries`, `default_headers` and `default_query` of the SDK's
            client, for every host; where a host is and which key it has is not to be said here.

    Raises:
        UsageError: There is no such target, or an option is none of those.
        ConfigError: A file is not valid, or the address of the host may not be used.
        AuthError: The key of the host is missing or malformed, or nothing says where it is.

    >>> client = fftdeploy.client("triage/production", timeout=30)  # doctest: +SKIP
    >>> client.chat.completions.create(messages=[...])  # doctest: +SKIP
    """
    from fftdeploy.api.client.applications import follow

    with suppress(ConfigError, OSError):  # a variable may say the model where there is no file
        file = os.path.abspath(find_file(file, os.environ))
    made: openai.OpenAI | openai.AsyncOpenAI = follow(
        _Calls(target, file, options, key, log, is_async=asynchronous)
    )
    return made
