"""The gate's sentences: numbers in the words of an engineer.  Pure.

Differences are said in points, hundredths of the examples.
"""

from collections.abc import Sequence

from fftdeploy.evaluation.verdict import ArmResult, Comparison

_SHOWN = 3
_MARGINS = (0.02, 0.03, 0.05, 0.1, 0.15, 0.2)


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
    """Return a confidence as people say it."""
    return f"{sureness(confidence)} sure"


def sureness(confidence: float) -> str:
    """Return a confidence in percent; never 100%, which nothing makes."""
    texts = (f"{100 * confidence:.{digits}g}" for digits in range(4, 17))
    return next((f"{text}%" for text in texts if text != "100"), "almost 100%")


def p_value(p: float, *, exact: bool) -> str:
    """Return a p-value, with its test if that was exact."""
    name = "exact p" if exact else "p"
    return f"{name} < 0.001" if p < 0.001 else f"{name} = {p:.3f}"


def listed(ids: Sequence[str]) -> str:
    """Return the first few IDs and how many more there are."""
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def plural(count: int, noun: str) -> str:
    """Return `count` and `noun`, in the plural unless it is one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def not_worse(name: str, found: Comparison, margin: float, confidence: float) -> str:
    """Say that `name` passes, and how sure that is."""
    limit = f"(limit {points(margin)})"
    if found.lower > 0:
        return f"not worse: {sure(confidence)} {_above(name, found.lower)} {limit}"
    bound = points(-found.lower, margin)
    return f"not worse: {sure(confidence)} {name} is at most {bound} points below live {limit}"


def better(name: str, found: Comparison, margin: float, confidence: float) -> str:
    """Say that `name` is better than live."""
    p = p_value(found.p_better, exact=found.method == "tango")
    counts = f"better: {found.fixed} fixed, {found.broke} broke ({p})"
    if found.lower > 0:
        return f"{counts}; {sure(confidence)} {_above(name, found.lower)}"
    return f"{counts}; at most {points(-found.lower, margin)} points below live"


def _above(name: str, lower: float) -> str:
    return f"{name} is at least {points(lower)} points above live"


def worse(found: Comparison) -> str:
    """Say that the candidate is worse than live."""
    p = p_value(found.p_worse, exact=found.method == "tango")
    could = f"could be up to {points(-found.lower)} points worse"
    return f"worse: {found.broke} broke, {found.fixed} fixed ({p}); {could}"


def unsettled(found: Comparison, margin: float) -> str:
    """Say that the examples are too few to tell."""
    could = f"could be up to {points(-found.lower, margin)} points worse (limit {points(margin)})"
    counts = f"{found.broke} broke, {found.fixed} fixed."
    return f"{plural(found.n, 'pair')} can't settle it: {could}. {counts}"


def not_better(found: Comparison) -> str:
    """Say that the candidate is not shown to be better."""
    p = p_value(found.p_better, exact=found.method == "tango")
    return f"not shown to be better: {found.fixed} fixed, {found.broke} broke ({p})"


def settling(size: str, found: Comparison, margin: float, *, repeats: int) -> str:
    """Say what would settle it: more pairs, more repeats, or a wider margin."""
    ways = [f"{size} pairs would usually settle it at this disagreement rate"]
    if repeats == 1:
        ways.append("--repeats 3")
    wider = [width for width in _MARGINS if width > max(margin, -found.lower)]
    if wider:
        ways.append(f"margin = {wider[0]:.2f}")
    return "; or ".join(ways)


def counts(
    found: Comparison | None, repeats: int, unreviewed: int, arms: Sequence[ArmResult]
) -> str:
    """Return the counts behind a verdict, and each arm's rate with its 95 % interval."""
    n = arms[-1].n
    times = f" asked {repeats} times" if repeats > 1 else ""
    groups = f" in {found.groups} groups" if found and found.groups else ""
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
