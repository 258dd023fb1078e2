"""What may be said to `migrate`."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fftdeploy.commands.door import several
from fftdeploy.commands.evaluating.options import QueueOptions
from fftdeploy.evaluation.limits import MAX_REQUESTS
from fftdeploy.planning.runway import STEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateOptions(QueueOptions):
    """What may be said to `migrate`; its limits are for all targets together."""

    targets: str | Sequence[str] = field(default=(), kw_only=False)
    """Targets, tasks or globs; none for all whose model ends within `within_days`."""
    to: str | Sequence[str] = ()
    """Successors, `[PROVIDER=]MODEL[@PROFILE]`; none for those of the policy."""
    within_days: int = STEPS[0]
    plan: bool = False
    """Say what it would cost, and ask nobody."""
    record: bool = False
    """Only ask what is live, for evidence to compare with once that is gone."""
    draft_profile: bool = False
    """Only draft the prompt that a model without tuning needs, and ask nobody."""
    dry_run: bool = False
    """Compare, and show the change, but don't make it."""
    why: str | None = None
    by: str | None = None
    commit: bool = False
    """Commit each target's change on its own."""
    overrides: tuple[str, ...] = ()
    report: str | Path | None = None
    """Where to write a page about it (`.html`)."""
    approve: Callable[[Any], bool] | None = None
    """Is shown the `Migrated` that would be; None where it is approved already."""

    @property
    def again(self) -> str:
        """The command line that does the same, but for how it is confirmed."""
        words = ["fftdeploy", "migrate", *several(self.targets)]
        words += ["--to", ",".join(several(self.to))] if self.to else []
        words += ["--within", f"{self.within_days}d"] if self.within_days != STEPS[0] else []
        limits = replace(self, max_requests=None) if self.max_requests == MAX_REQUESTS else self
        words += [word for flag, value in limits.given.items() for word in (flag, f"{value:g}")]
        words += ["--why", self.why] if self.why else []
        said = {"record": self.record, "dry-run": self.dry_run, "fresh": self.fresh}
        said |= {"batch": self.batch, "commit": self.commit, "yes": self.approve is None}
        words += ["--override", ",".join(self.overrides)] if self.overrides else []
        words += ["--report", str(self.report)] if self.report else []
        words += [f"--{flag}" for flag, value in said.items() if value]
        return shlex.join(words) + (f" --file {shlex.quote(str(self.file))}" if self.file else "")
