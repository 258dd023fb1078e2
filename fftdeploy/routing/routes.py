"""Tells an application, call by call, what to ask: model, host, arguments, and what if it is gone.

Standard library only, as `runtime` is, of which this is the answer that is kept for half a second.
No thread and no lock: whoever comes when an answer is too old reads again, and a process that
forks takes with it what was read.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from fftdeploy import names
from fftdeploy.errors import FftdeployError
from fftdeploy.policy.parameters import arguments, turns
from fftdeploy.routing import kept_files, runtime
from fftdeploy.routing.runtime import Resolution, resolve

FRESH_S = 0.5
"""How long an answer is given without a look at the files."""
LATE_S = 0.25
"""How much longer, to others while a thread looks: all of them would read the same at once."""
POLICY_NAME = "fftdeploy.toml"


class Route(Resolution):
    """What to ask for a target now; like a `Resolution` it is the model's ID, too.

    Threads share it: change nothing in its `profile`.

    Attributes:
        fallback: What to ask, in this order, once the model is proved gone; see `client`.
            What is on hold in the target is passed over.
    """

    fallback: tuple["Route", ...] = ()

    @classmethod
    def of(cls, found: Resolution, fallback: tuple["Route", ...]) -> Self:
        """Return the route that a resolution leads to; what is live stands in for a canary."""
        parts = {**vars(found), "fallback": fallback}
        if found.canary is not None:
            live = cls(found.model, **{**vars(found), "canary": None})
            parts["canary"] = cls.of(found.canary, (live, *fallback))
        return cls(found.model, **parts)

    @property
    def endpoint(self) -> str:
        """Which endpoint it is asked at: `chat` (completions), or `responses`."""
        return str((self.profile or {}).get("endpoint", "chat"))

    @property
    def arguments(self) -> dict[str, Any]:
        """The model and what the profile says, as `create` of its endpoint takes them.

        That is `client.chat.completions.create`, to which the prompt goes by `messages`, or
        `client.responses.create`, to which it goes here as `instructions`.
        """
        return {"model": self.model, **arguments(self.profile or {})}

    def messages(self, said: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the messages of a chat with the profile's prompt in the place of any other.

        The profile's worked examples come behind it.
        """
        return turns(self.profile or {}, said)


_kept: dict[tuple[str, str | os.PathLike[str] | None], tuple[float, Route]] = {}
_reading: set[tuple[str, str | os.PathLike[str] | None]] = set()
"""Where a thread looks now; after a fork perhaps none does, which costs what `LATE_S` says."""
_told: dict[tuple[str, str], object] = {}
"""Problems that were logged since their target was last without one."""


def route(
    target: str,
    *,
    key: object = None,
    file: str | os.PathLike[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Route:
    """Return what to ask for `target` now: model, provider, profile, arguments, release.

    Call it for every request: an answer is kept for half a second, so that a file that is
    replaced is obeyed within one.  A file that is broken, gone or without the target does not
    take the last good answer away; `problem` then says why, and the logger `fftdeploy` warns of
    it, once.  Safe to call from threads, and before or after a fork.

    Args:
        target: `TASK/ENVIRONMENT`, or `ENVIRONMENT` where the file has exactly one task.
        key: Who is asking, such as a user's ID: where a canary runs it answers a part of the
            keys, as for `resolve`.  Without a key the answer is what is live.
        file: The deployments file; by default it is found as `resolve` finds it.
        clock: The seconds of a clock that only goes forward.

    Raises:
        UsageError: As `resolve`.
        ConfigError: As `resolve`.

    >>> from fftdeploy import route
    >>> live = route("triage/production")  # doctest: +SKIP
    >>> client.chat.completions.create(  # doctest: +SKIP
    ...     **live.arguments, messages=live.messages([{"role": "user", "content": "..."}])
    ... )
    """
    now, place = clock(), (target, file)
    kept = _kept.get(place)
    if kept is not None and now < kept[0] + (LATE_S if place in _reading else 0):
        return kept[1].for_key(key)
    _reading.add(place)
    try:
        found = _read(target, file, kept[1].fallback if kept else ())
    finally:
        _reading.discard(place)
    _tell(found)
    # Counted from before the look at the file: whatever this thread was held up, it is no older.
    _kept[place] = (now + FRESH_S, found)
    return found.for_key(key)


def _read(target: str, file: str | os.PathLike[str] | None, last: tuple[Route, ...]) -> Route:
    """Read all files again; of a policy that is no help `last` is kept."""
    found = resolve(target, file=file)
    try:
        folder = os.path.dirname(runtime.find_file(file, os.environ))
        named = _fallback(os.path.join(folder, POLICY_NAME), found.target)
        now = datetime.now(UTC)
        return Route.of(found, tuple(one for one in named if not _is_held(one, found, now)))
    except FftdeployError as error:
        problem = found.problem or runtime.told(error)
        return Route.of(found.changed(problem=problem), last)


def _fallback(policy: str, target: str) -> tuple[Route, ...]:
    """Read what the model of a target may be replaced with, by the policy at a path.

    Raises:
        ConfigError: The policy or a profile that it names can't be read, or is not valid.
    """
    if not os.path.lexists(policy):
        return ()
    task = target.partition("/")[0]
    rows: Any = kept_files.load(policy, b"fallback")
    for name, default in ("tasks", {}), (task, {}), ("fallback", []):
        rows = rows.get(name, default) if type(rows) is dict else None
    if type(rows) is not list or not all(map(runtime.is_plain, rows)):
        from fftdeploy.policy.policy import parse  # it says what is wrong, with its line

        parse(kept_files.read_bytes(policy), policy)
        raise kept_files.changed(policy)
    return tuple(
        Route(
            row["model"],
            target=target,
            provider=row.get("provider", names.OPENAI),
            profile=kept_files.read_profile(
                policy, ("tasks", task, "fallback", place), row.get("profile")
            ),
            profile_name=row.get("profile"),
            source=policy,
        )
        for place, row in enumerate(rows)
    )


def _is_held(one: Route, found: Resolution, now: datetime) -> bool:
    """Tell whether a hold of the target is on a fallback; of a release it is on its bundle."""
    for hold, row in found.holds:
        until = hold.get("until")
        is_over = isinstance(until, datetime) and until.tzinfo and until <= now
        is_of = (hold.get("model"), hold.get("provider", names.OPENAI)) == (one.model, one.provider)
        if is_of and not is_over and ("release" not in hold or one.changed(newest=row).release):
            return True
    return False


def _tell(found: Route) -> None:
    """Log a problem once, until the target is without one."""
    if not found.problem:
        for told in [told for told in list(_told) if told[0] == found.target]:  # others add to it
            _told.pop(told, None)
        return
    mine = object()
    if _told.setdefault((found.target, found.problem), mine) is mine:  # of several threads, one
        import logging  # as long as `tomllib` to import; only failures pay

        logging.getLogger("fftdeploy").warning(
            "%s: %s; going on with %s", found.target, found.problem, found.model
        )
