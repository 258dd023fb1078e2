"""Tells everybody who wants to know, each thing once; failing to is a note and changes nothing."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fftdeploy.api.settings import WEBHOOK
from fftdeploy.errors import ConfigError, ConflictError, FftdeployError
from fftdeploy.formats import json_shapes
from fftdeploy.monitoring import state_file
from fftdeploy.monitoring.state_file import StateFile
from fftdeploy.monitoring.watched import Watched
from fftdeploy.telling import news, webhook
from fftdeploy.telling.issues import FORGES, keep
from fftdeploy.telling.news import News, ToldState, ToldStep

_MEMORY = "told"
"""Stands in the place of a target, none of which has such a name."""
_PATIENCE_S = 30
"""Longest that another run is waited for that tells people just now, seconds."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Where a run is, and whom it may tell."""

    root: Path
    environ: Mapping[str, str]
    now: datetime
    note: Callable[[str], None]
    sleep: Callable[[float], None]
    forge: str = ""
    """The forge on which issues are kept: a key of `FORGES`, or nothing."""

    def tell(self, watched: Sequence[Watched]) -> None:
        """Tell what has changed; nothing that goes wrong with it is raised."""
        wanted: list[Callable[[StateFile, Sequence[Watched]], None]] = []
        if self.environ.get(WEBHOOK):
            wanted.append(self._tell_channel)
        if self.forge:
            wanted.append(self._keep_issues)
        for way in wanted:
            try:
                with ExitStack() as stack:
                    way(self._memory(stack), watched)
            except FftdeployError as error:
                self.note(f"note: {error.message}")

    def _memory(self, stack: ExitStack) -> StateFile:
        """Open what was told, ours alone while `stack` is open: another run waits for its turn."""
        for _ in range(_PATIENCE_S):
            try:
                return stack.enter_context(state_file.opened(self.root, _MEMORY))
            except ConflictError:
                self.sleep(1)
        raise ConflictError("another run is telling people for too long: nobody was told")

    def _tell_channel(self, memory: StateFile, watched: Sequence[Watched]) -> None:
        states, steps = _remembered(memory)
        found = [one for each in watched for one in self._changes(each, states)]
        found += news.step_news(watched, steps, self.now)
        if found:
            webhook.tell(self.environ, [one.line for one in found])
        for one in found:
            memory.add("state" if isinstance(one.told, ToldState) else "step", one.told)

    def _changes(self, one: Watched, states: Mapping[str, ToldState]) -> list[News]:
        told = states[one.target].codes if one.target in states else ()
        return news.state_news(one, self._wrong(one, told), told, self.now)

    def _keep_issues(self, _: StateFile, watched: Sequence[Watched]) -> None:
        keep(FORGES[self.forge], self.environ, watched, self._codes)

    def _codes(self, one: Watched, told: Sequence[str]) -> list[str]:
        """Return what an issue tells; dates stay as they were while a host says nothing."""
        wrong = self._wrong(one, told)
        is_silent = one.state == news.UNVERIFIED
        return wrong if is_silent else sorted({*wrong, *news.due(one)})

    def _wrong(self, one: Watched, told: Sequence[str]) -> list[str]:
        looks = state_file.read_state(self.root, one.target).looks
        return news.wrong(one, told, looks, self.now)


def _remembered(
    memory: StateFile,
) -> tuple[dict[str, ToldState], dict[tuple[str, str], int]]:
    """Return what was told last of each target, and the last step before each model's end.

    Raises:
        ConfigError: Somebody else wrote a line.
    """
    states: dict[str, ToldState] = {}
    steps: dict[tuple[str, str], int] = {}
    try:
        for kind, value in memory.kept.others:
            if kind == "state":
                state = json_shapes.read(ToldState, value)
                states[state.target] = state
            else:
                step = json_shapes.read(ToldStep, value)
                steps[step.model, step.role] = step.days
    except (TypeError, ValueError):
        raise ConfigError("what was told before cannot be read: nobody was told") from None
    return states, steps
