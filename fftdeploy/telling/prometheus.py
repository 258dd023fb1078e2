"""What the textfile collector of a node exporter reads: gauges, without times of their own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from fftdeploy.monitoring.watched import Watched

_Sample = tuple[dict[str, str], float]
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(watched: Sequence[Watched], at: datetime) -> str:
    """Return the metrics of a run in Prometheus' text format.

    A share or a state that is not known has no sample; drift stays 1 while nothing is found out.
    A run that never found anything out in some target has succeeded at 0; one that can't be
    calibrated is ready, and there is no more to find out, unless something has stopped it.
    """
    ready = [one.state == "not-calibrated" and not one.is_silent for one in watched]
    pairs = zip(watched, ready, strict=True)
    times = [one.look.at if is_ready else one.last_success for one, is_ready in pairs]
    success = min((time.timestamp() for time in times if time), default=0) if all(times) else 0
    metrics: tuple[tuple[str, str, Iterable[_Sample]], ...] = (
        ("monitor_last_run_timestamp_seconds", "When monitor last ran.", [({}, at.timestamp())]),
        (
            "monitor_last_success_timestamp_seconds",
            "When monitor had last found out how each target is.",
            [({}, success)],
        ),
        (
            "pass_ratio",
            "Share of the watched examples that passed.",
            _each(watched, lambda one: one.look.pass_ratio),
        ),
        ("drift", "Whether what is live has drifted.", _each(watched, _drift)),
        ("model_days_to_shutdown", "Days until a model shuts down.", _days(watched)),
    )
    return "".join(line for metric in metrics for line in _lines(*metric))


def _lines(name: str, meaning: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP fftdeploy_{name} {meaning}\n# TYPE fftdeploy_{name} gauge\n"
    for labels, value in samples:
        pairs = ",".join(f'{key}="{text.translate(_ESCAPED)}"' for key, text in labels.items())
        yield f"fftdeploy_{name}{f'{{{pairs}}}' if pairs else ''} {value:.15g}\n"


def _each(
    watched: Iterable[Watched], value: Callable[[Watched], float | None]
) -> Iterator[_Sample]:
    for one in watched:
        if (found := value(one)) is not None:
            yield {"target": one.target}, found


def _drift(one: Watched) -> float | None:
    is_open = one.state in {"unverified", "suspected"}
    state = one.previous if is_open else one.state
    return {"fine": 0.0, "drift": 1.0, "not-calibrated": None}.get(str(state))


def _days(watched: Iterable[Watched]) -> Iterator[_Sample]:
    for one in watched:
        for role, days in one.days_left.items():
            yield {"target": one.target, "role": role}, days
