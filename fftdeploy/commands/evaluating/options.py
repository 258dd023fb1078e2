"""What may be said to an evaluation, and to whatever else asks models about examples."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fftdeploy.commands.door import Options, several
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.arms import LIVE
from fftdeploy.evaluation.limits import Limits
from fftdeploy.evaluation.running.throttle import CONCURRENCY


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions(Options, Limits):
    """How models are asked, and how much that may take."""

    fresh: bool = False
    """Ask everything again, for latency too; counts as another attempt."""
    concurrency: int = CONCURRENCY
    """Requests under way at a time, at most 500."""

    def require_ranges(self) -> None:
        """Refuse what limits nothing, and numbers out of their range.

        Raises:
            UsageError: One is.
        """
        self.require_sane()
        for name, most in {"repeats": 100, "concurrency": 500}.items():
            value = getattr(self, name, None)
            if value is not None and not 1 <= value <= most:
                raise UsageError(f"--{name} {value} is not 1 to {most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions(AskOptions):
    """How models are asked that may be asked by a batch, too."""

    batch: bool = False
    """Have the provider's own queue answer, within a day."""
    wait_s: float | None = None
    """How long to wait for the batches; None until they are over, 0 not at all."""

    def asking(self) -> dict[str, Any]:
        """Return them as options of another command that asks."""
        return {item.name: getattr(self, item.name) for item in fields(QueueOptions)}

    def require_ranges(self) -> None:
        """Refuse waiting for no batch, too."""
        AskOptions.require_ranges(self)
        if self.wait_s is not None and not self.batch:
            raise UsageError("--wait is for a batch", hint="add --batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions(QueueOptions):
    """What may be said to `eval`."""

    target: str = field(kw_only=False)
    """`TASK/ENVIRONMENT`, or a bare environment where the file has one task."""
    candidates: str | Sequence[str] = field(default=(), kw_only=False)
    """`[PROVIDER=]MODEL[@PROFILE]` or `live`; none for what `promote` would take."""
    against: str | Sequence[str] = (LIVE,)
    """Models beside the candidates: `live`, `base`, `[PROVIDER=]MODEL[@PROFILE]`."""
    repeats: int | None = None
    """Answers to each example, at most 100; None for what the gate says."""
    training: str | Path | None = None
    """Training file: say which examples are in it too."""
    part_of: str = ""
    """The command line that this is a part of, which comes back to a batch; "" for that below."""

    @property
    def again(self) -> str:
        """The command line that asks the same by a batch."""
        if self.part_of:
            return self.part_of
        words = ["fftdeploy", "eval", self.target, *several(self.candidates)]
        against = several(self.against)
        if against != [LIVE]:
            words += ["--against", ",".join(against)]
        if self.repeats is not None:
            words += ["--repeats", f"{self.repeats}"]
        if self.training is not None:
            words += ["--training", f"{self.training}"]
        if self.file is not None:
            words += ["--file", f"{self.file}"]
        return shlex.join([*words, *(["--fresh"] if self.fresh else []), "--batch"])
