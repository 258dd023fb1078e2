"""Reads the examples and graders of every quality bar, and counts what they have."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fftdeploy.errors import ConfigError, combined
from fftdeploy.names import plural
from fftdeploy.planning.finding import Finding
from fftdeploy.policy.profiles import FOLDER
from fftdeploy.releases.deployments import Bundle, Target

if TYPE_CHECKING:  # most files have no gate
    from fftdeploy.evaluation.evidence.quality_bar import QualityBar


@dataclass(frozen=True, slots=True)
class CheckedTask:
    """The examples of a task that has a gate, and how many of them its bar needs."""

    task: str
    examples: int
    reviewed: int
    must_pass: int
    """Examples of which a candidate must pass each."""
    needed: int | None
    """Examples, or groups of them, with fewer of which nothing can pass; None where none helps."""


def check_tasks(bars: Iterable["QualityBar"]) -> tuple[tuple[CheckedTask, ...], list[Finding]]:
    """Return what the tasks have, and what `eval` would refuse, heard before somebody waits for it.

    Raises:
        ConfigError: Located at the first fault; those of the other files are its details.
    """
    found: list[Finding] = []
    tasks: list[CheckedTask] = []
    faults: list[ConfigError] = []
    for bar in bars:
        try:
            tasks.append(_counted(bar))
        except ConfigError as error:
            faults.append(error)
        else:
            found += [*_short(bar), *_leaking(bar)]
    if faults:
        raise combined(faults)
    return tuple(tasks), found


def is_recorded(bars: Mapping[str, "QualityBar"], target: Target) -> bool:
    """Tell whether the answers of what is live are on record; true where there is no bar."""
    return target.task not in bars or bars[target.task].has_record(target)


def evaluation_due(bars: Mapping[str, "QualityBar"], target: Target) -> str:
    """Say why what is live should be evaluated again; "" where it need not, or there is no bar.

    Raises:
        ConfigError: The examples are not valid.
    """
    if target.task not in bars:
        return ""
    from fftdeploy.evaluation.evidence import freshness

    return freshness.evaluation_due(bars[target.task], target)


def _short(bar: "QualityBar") -> list[Finding]:
    where, hint = ", ".join(bar.rules.examples), f"fftdeploy review {bar.task} --from FILE"
    said = bar.too_few()
    if error := bar.shortage():
        said, hint = error.message, error.hint
    return [Finding("examples", "notice", bar.task, said, where, 1, hint)] if said else []


def _leaking(bar: "QualityBar") -> Iterator[Finding]:
    """Yield a notice for each prompt that a task knows and that shows examples of its gate."""
    place, rules = bar.workspace, bar.workspace.policy.tasks[bar.task]
    named = [one.profile for one in (rules.base, *rules.successors) if one]
    targets = place.deployments.targets.values()
    named += [target.profile for target in targets if target.task == bar.task]
    for name in filter(None, dict.fromkeys(named)):
        if shown := bar.shown(Bundle("", profile=name, profile_sha=place.sha(name))):
            where = f"{FOLDER}/{name}.toml"
            said = f"{where} shows {len(shown)} of {plural(len(bar.examples), 'example')}"
            said += ": they are left out where it is judged"
            yield Finding("examples", "notice", bar.task, said, where, 1)


def _counted(bar: "QualityBar") -> CheckedTask:
    """Count the examples of a task, each of them checked."""
    from fftdeploy.evaluation.gate import sizing

    examples, rules = bar.examples, bar.rules
    must_pass = [n for n in range(len(examples)) if {*examples.tags(n)} & {*rules.must_pass}]
    least, _ = sizing.smallest(rules)
    needed = least and bar.units.needed(least)
    return CheckedTask(bar.task, len(examples), examples.reviewed, len(must_pass), needed)
