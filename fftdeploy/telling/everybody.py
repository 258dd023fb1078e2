"""Tells everybody who wants to know, each thing once; failing to is a note and changes nothing."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fftdeploy.api.settings import WEBHOOK
from fftdeploy.errors import AuthError, ConfigError, ConflictError, FftdeployError
from fftdeploy.formats import json_shapes
from fftdeploy.monitoring import state_file
from fftdeploy.monitoring.state_file import StateFile
from fftdeploy.monitoring.watched import Watched
from fftdeploy.telling import news, webhook
from fftdeploy.telling.issues import FORGES, keep
from fftdeploy.telling.news import ToldBefore

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
        wanted: list[tuple[Callable[[StateFile, Sequence[Watched]], None], str]] = []
        if self.environ.get(WEBHOOK):
            wanted.append((self._tell_channel, ""))
        if self.forge:
            wanted.append((self._keep_issues, "no issue was kept: "))
        for way, lost in wanted:
            try:
                with ExitStack() as stack:
                    way(self._memory(stack), watched)
            except FftdeployError as error:
                self.note(f"note: {lost if isinstance(error, AuthError) else ''}{error.message}")

    def _memory(self, stack: ExitStack) -> StateFile:
        """Open what was told, ours alone while `stack` is open: another run waits for its turn."""
        for _ in range(_PATIENCE_S):
            try:
                return stack.enter_context(state_file.opened(self.root, _MEMORY))
            except ConflictError:
                self.sleep(1)
        raise ConflictError("another run is telling people for too long: nobody was told")

    def _tell_channel(self, memory: StateFile, watched: Sequence[Watched]) -> None:
        told = _told(memory)
        found = [*news.step_news(watched, told, self.now)]
        for one in watched:
            codes = self._wrong(one, told.get(one.target, ()))
            found += news.state_news(one, codes, told, self.now)
        if found:
            webhook.tell(self.environ, [one.line for one in found])
        for each in found:
            memory.add(_MEMORY, each.told)

    def _keep_issues(self, _: StateFile, watched: Sequence[Watched]) -> None:
        keep(FORGES[self.forge], self.environ, watched, self._codes)

    def _codes(self, one: Watched, told: Sequence[str]) -> list[str]:
        """Return what an issue tells; dates stay as they were while a host says nothing."""
        wrong = self._wrong(one, told)
        return wrong if one.is_silent else sorted({*wrong, *news.due(one)})

    def _wrong(self, one: Watched, told: Sequence[str]) -> list[str]:
        looks = state_file.read_state(self.root, one.target).looks
        return news.wrong(one, told, looks, self.now)


def _told(memory: StateFile) -> dict[str, tuple[str, ...]]:
    """Return what people were told last, by what it is about; ConfigError for another's line."""
    try:
        lines = [json_shapes.read(ToldBefore, value) for _, value in memory.kept.others]
    except (TypeError, ValueError):
        raise ConfigError("what was told before cannot be read: nobody was told") from None
    return {told.about: told.codes for told in lines}
