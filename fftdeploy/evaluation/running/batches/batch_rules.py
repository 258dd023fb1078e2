"""What may be asked by a batch: it takes up to a day."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from fftdeploy.api.asked_hosts import AskedHosts
from fftdeploy.api.proof import Question
from fftdeploy.errors import PolicyError
from fftdeploy.evaluation.arms import Arm
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.times import short_duration


def going_on(batches: Sequence[str], again: str) -> str:
    """Say that batches go on without us, and the command that comes back to them."""
    verb = "goes" if len(batches) == 1 else "go"
    return f"{', '.join(batches)} {verb} on at the host; come back with: {again}"


def require_batch(
    hosts: AskedHosts,
    rules: GateRules,
    arms: Mapping[Arm, Question],
    on_note: Callable[[str], None],
) -> None:
    """Refuse a batch that may outlast one of the models, or be too old when it is over.

    Raises:
        PolicyError: It may outlast a model, or the age that `rules` allow.
        FftdeployError: A model is not ready.
    """
    window = timedelta(hours=24)
    proved = hosts.prove_all(arms.values())
    for arm, question in arms.items():
        if not (found := proved[question]).is_ready:
            raise found.error()
        if found.shutdown and found.shutdown.date <= (hosts.now() + window).date():
            raise PolicyError(
                f"{arm.name} ({arm.bundle.model}) shuts down on {found.shutdown.date} "
                f"({found.shutdown.source}), and a batch may take until then",
                hint="leave out --batch: the same evaluation is made at once",
                code="batch-window",
            )
    if rules.max_age < 2 * window:
        raise PolicyError(
            f"evidence may be {short_duration(rules.max_age)} old at most, and a batch "
            "may take 24 h",
            hint="leave out --batch, or allow max_age = '2d' or more in the gate",
            code="batch-window",
        )
    if (p95 := rules.budgets.p95_latency_ms) is not None:
        on_note(f"warning: a batch measures no latency: the budget of {p95:g} ms can't be held")
