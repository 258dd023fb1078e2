"""The gate's sentences: numbers in the words of an engineer.

Differences are said in points, hundredths of the examples.
"""

from collections.abc import Sequence

from fftdeploy.evaluation.results import LOST, MISSING, NO_VERDICT, PASS, REJECTED
from fftdeploy.evaluation.verdict import ArmResult, Comparison
from fftdeploy.names import plural

_SHOWN = 3


def points(share: float, limit: float | None = None) -> str:
    """Return a share in points: one decimal, or as many as tell it from `limit`."""
    for digits in (1, 2, 3):
        text = f"{100 * share:.{digits}f}"
        if limit is None or text != f"{100 * limit:.{digits}f}":
            return text
    return text


def percent(share: float) -> str:
    """Return a share as a percentage with as many digits as it was written with."""
    return f"{100 * share:.6g}%"


def sure(confidence: float) -> str:
    """Return a confidence as `95% sure`."""
    return f"{sureness(confidence)} sure"


def sureness(confidence: float) -> str:
    """Return a confidence in percent; never 100%, which nothing makes."""
    texts = (f"{100 * confidence:.{digits}g}" for digits in range(4, 17))
    return next((f"{text}%" for text in texts if text != "100"), "almost 100%")


def p_value(p: float) -> str:
    """Return how a p-value compares: `= 0.018`, or `< 0.001`, because none is nothing."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def p_cell(p: float) -> str:
    """Return a p-value for a column of them."""
    return p_value(p).removeprefix("= ").replace("< ", "<")


def listed(ids: Sequence[str]) -> str:
    """Return the first few IDs and how many more there are."""
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


MARKS = {
    "": "not answered",
    PASS: "passed",
    "wrong": "wrong",
    "unparsable": "not parsable",
    "invalid": "wrong shape",
    "truncated": "cut off",
    "refused": "refused",
    "filtered": "filtered",
    "empty": "empty",
    MISSING: "no answer, API error",
    REJECTED: "rejected by the judge",
    NO_VERDICT: "without a verdict of the judge",
}
"""What a mark says of an answer."""

REASONS = MARKS | {"truncated": f"{MARKS['truncated']}: max_completion_tokens"}
"""The same, with what is to be looked at."""


def failures(arm: ArmResult) -> str:
    """Say why the answers of an arm failed; "" where every one that came is right or just wrong."""
    failed = _failed(arm)
    if not failed.keys() - {"wrong", *LOST}:
        return ""
    reasons = [f"{n} {REASONS[mark]} (such as {arm.seen_in[mark]})" for mark, n in failed.items()]
    return f"{arm.arm} fails {sum(failed.values())} of {_answers(arm)}: {', '.join(reasons)}"


def commonest(arm: ArmResult) -> str:
    """Say why most of the answers of an arm failed, how many, and one example of it."""
    mark, count = next(iter(_failed(arm).items()))
    return f"{count} of {_answers(arm)} {REASONS[mark]}, such as {arm.seen_in[mark]}"


def _failed(arm: ArmResult) -> dict[str, int]:
    """Return the number of answers by why they failed, the commonest reason first."""
    failed = {mark: count for mark, count in arm.marks.items() if mark != PASS}
    return dict(sorted(failed.items(), key=lambda each: -each[1]))


def _answers(arm: ArmResult) -> str:
    return plural(sum(arm.marks.values()), "answer")


def shared_risk(candidates: int) -> str:
    """Say what several candidates have in common."""
    return f"{candidates} candidates share the risk of a wrong pass"


def counts(
    found: Comparison | None, repeats: int, unreviewed: int, arms: Sequence[ArmResult]
) -> str:
    """Return the counts behind a verdict, and each arm's rate with its 95 % interval."""
    n = arms[-1].n
    times = f" asked {repeats} times" if repeats > 1 else ""
    groups = f" in {plural(found.groups, 'group')}" if found and found.groups else ""
    text = examples(n, "pair" if found else "example", unreviewed) + groups + times
    if found:
        same = found.passed_both + found.failed_both
        text += f": {found.fixed} fixed, {found.broke} broke, {same} same"
    return "     ".join([text, "  ".join(rate(arm) for arm in arms)])


def examples(n: int, noun: str, unreviewed: int) -> str:
    """Return how many examples there are and how many of them nobody has reviewed."""
    if not unreviewed:
        return plural(n, f"reviewed {noun}")
    return f"{plural(n, noun)} ({unreviewed} unreviewed)"


def rate(arm: ArmResult) -> str:
    """Return an arm's pass rate and its interval."""
    interval = f"[{points(arm.low)}-{points(arm.high)}]"
    return f"{arm.arm} {points(arm.rate)}% {interval}"
