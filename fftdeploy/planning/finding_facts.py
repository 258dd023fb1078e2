"""What findings are made from: the file, and all that was read beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from fftdeploy.api.readiness import Readiness, Shutdown
from fftdeploy.errors import FftdeployError
from fftdeploy.planning.bundles import PlanningFacts
from fftdeploy.planning.finding import Finding, Severity
from fftdeploy.planning.runway import STEPS
from fftdeploy.policy.policy import Policy
from fftdeploy.releases.deployments import Bundle, Target


@dataclass(frozen=True, slots=True)
class FindingFacts(PlanningFacts):
    """The file and all that was read beside it."""

    shown: str
    """How findings name the file."""
    readiness: Mapping[str, Readiness] = field(default_factory=dict)
    """What the API proved about the live model, by target; empty where it was not asked."""
    shutdowns: Mapping[str, Shutdown | None] = field(default_factory=dict)
    """When the live model ends, by target."""
    shutdown_of: Callable[[Bundle], Shutdown | None] = lambda _: None
    """When another model ends, as far as that is known without a question."""
    runway_days: int = STEPS[0]
    """From how many days before a shutdown on that is a finding, where no policy says more."""
    evidence_problem: Callable[[str, str], FftdeployError | None] | None = None
    """Task and ID of evidence -> why it can't be read or does not give its verdict, if so; None
    where nobody looks."""
    is_judged: Callable[[str, Bundle], bool] = lambda _task, _bundle: False
    """Whether a task has evidence of today's rules about a bundle, and it did not fail."""
    is_recorded: Callable[[Target], bool] = lambda _: True
    """Whether the answers of what is live are on record; true where the task has no examples."""
    another_model: Callable[[Target], str] = lambda _: ""
    """What says that another model has the name of what is live than when it was evaluated."""
    evaluation_due: Callable[[Target], str] = lambda _: ""
    """Why what is live in a target should be evaluated again; "" where it need not."""

    def of_a_change(self, policy: Policy) -> Self:
        """Return those of a change, by the policy of its base; when it ends is said beside it."""
        return replace(self, policy=policy, runway_days=STEPS[2])

    def about(
        self,
        target: Target,
        code: str,
        message: str,
        severity: Severity = "notice",
        hint: str = "",
        below: tuple[str | int, ...] = (),
    ) -> Finding:
        """Build a finding at the place where `target`, or what is `below` it, is written."""
        line = self.deployments.line(target, *below)
        return Finding(code, severity, str(target), message, self.shown, line, hint)
