"""Says when what is live should be evaluated again: examples move on, and a model may, too."""

from contextlib import suppress
from datetime import timedelta

from fftdeploy.errors import FftdeployError
from fftdeploy.evaluation.arms import LIVE
from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.names import plural
from fftdeploy.planning.bundles import live_bundle
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.times import short_duration

_PART = 5
"""New examples call for another evaluation from one in so many of the old ones on."""


def evaluation_due(bar: QualityBar, target: Target) -> str:
    """Say why what is live in a target of the bar's task should be evaluated; "" where it is.

    It fits a line that also says what to type.  Only protected targets are asked about: in the
    others one tries models out.

    Raises:
        ConfigError: The examples are not valid.
    """
    if not bar.workspace.policy.rules(target.environment).protected:
        return ""
    live = live_bundle(target, bar.workspace.sha)
    named = _of_release(bar, target, live)
    if named and not _problem(bar, named):
        return ""
    every = [found for _, found in bar.folder.unjudged(bar.task) if _answered(found, live)]
    problems = [_problem(bar, found) for found in every]
    if problems:
        return problems[0] if all(problems) else ""
    if bar.folder.older(bar.task):
        return "evaluated by an older rule"
    return "never evaluated"


def _of_release(bar: QualityBar, target: Target, live: Bundle) -> Evidence | None:
    """Read the evidence that the newest release names: mostly it is enough, and one file."""
    newest = target.newest
    if newest and newest.evidence and newest.bundle == live:
        with suppress(FftdeployError):  # `check` says what is wrong with it
            return bar.folder.read_unjudged(bar.folder.path_of(newest.evidence, bar.task))
    return None


def _answered(evidence: Evidence, bundle: Bundle) -> bool:
    """Tell whether a bundle was asked, and not its answers taken from a record."""
    copied = {LIVE} if evidence.baseline.how == "recorded" else set[str]()
    return any(one == bundle for arm, one in evidence.arms.items() if arm not in copied)


def _problem(bar: QualityBar, evidence: Evidence) -> str:
    age = bar.now() - evidence.given_at
    if age > bar.rules.max_age:
        days = timedelta(days=age.days)
        return f"evaluated {short_duration(days or age)} ago"
    then, now = evidence.examples.n, len(bar.checked_examples)
    if now > then and (now - then) * _PART >= then:
        return plural(now - then, "new example")
    return ""
