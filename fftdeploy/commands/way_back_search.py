"""The search for the release that a rollback of one target would go to."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fftdeploy.planning.rollback import Candidate
from fftdeploy.releases.deployments import Bundle, Target


@dataclass
class WayBackSearch:
    """One target, and how far the search for its way back has come."""

    target: Target
    live: Bundle
    candidates: tuple[Candidate, ...]
    skipped: list[Candidate] = field(default_factory=list)
    chosen: Candidate | None = None

    def open_bundles(self) -> Iterable[Bundle]:
        """Return what the API has to be asked about, each bundle once, newest first."""
        return dict.fromkeys(one.bundle for one in self.candidates if one.fate == "ask")

    @property
    def problem(self) -> str:
        """Say why a rollback would fail; "" where nothing speaks against it."""
        if self.chosen is None:
            return "nothing to roll back to"
        return self.chosen.reason if self.chosen.fate == "profile" else ""
