"""What the arms cost, side by side: tokens, time and money of a request."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from fftdeploy.evaluation.arms import BASE, CANDIDATE, LIVE
from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.verdict import ArmResult, Verdict
from fftdeploy.output.page.interval import signed
from fftdeploy.output.page.text import Say, cells, heads, percent, table

_MUCH_CACHED = 0.2
"""From this share of a prompt on, what the provider's cache takes off is worth a sentence."""
_ORDER = {CANDIDATE: 0, LIVE: 1, BASE: 2}


class _Line(NamedTuple):
    name: str
    of: Callable[[ArmResult], float | None]
    show: Callable[[float], str]
    is_part: bool = False
    """Of the line before it; how it changed says nothing by itself."""


def _tokens(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 or not number else f"{number:.1f}"


def _milliseconds(number: float) -> str:
    return f"{number:,.0f}&nbsp;ms"


def _dollars(number: float) -> str:
    return f"${number:,.2f}" if number >= 10 else f"${number:.3f}"


_LINES = (
    _Line("tokens in", lambda arm: arm.tokens_in, _tokens),
    _Line("&ndash; of them cached", lambda arm: arm.tokens_cached, _tokens, is_part=True),
    _Line("tokens out", lambda arm: arm.tokens_out, _tokens),
    _Line("&ndash; of them reasoning", lambda arm: arm.tokens_reasoning, _tokens, is_part=True),
    _Line("latency, median", lambda arm: arm.p50_latency_ms, _milliseconds),
    _Line("latency, 95th percentile", lambda arm: arm.p95_latency_ms, _milliseconds),
    _Line("USD per 1,000 requests", lambda arm: arm.usd_per_1k_requests, _dollars),
)


def costs_section(evidence: Evidence, verdict: Verdict, say: Say) -> str:
    """Return the section: every arm beside the others, and in words whether tuning saved."""
    arms = sorted(verdict.arms, key=lambda arm: _ORDER.get(arm.arm, len(_ORDER)))
    candidate = next((arm for arm in arms if arm.arm == CANDIDATE), None)
    if candidate is None:
        return ""
    others = [arm for arm in arms if arm.arm in {LIVE, BASE}]
    head = heads("", *(say(arm.arm) for arm in arms), *(f"against {arm.arm}" for arm in others))
    rows = [
        _passed(arms, candidate, others),
        _valid(arms, candidate, others),
        *(_row(line, arms, candidate, others) for line in _LINES),
    ]
    said = "".join(f"<p>{sentence}</p>" for sentence in _sentences(candidate, others))
    shown = table("Means over the requests of each arm", head, "".join(rows), kind="costs")
    note = f'<p class="note">{" ".join(_notes(evidence, arms, say))}</p>'
    return f'<section id="costs"><h2>Tokens, time, money</h2>{said}{shown}{note}</section>'


def _passed(arms: Sequence[ArmResult], candidate: ArmResult, others: Sequence[ArmResult]) -> str:
    shown = [
        f"{percent(arm.rate)}{_bar(arm.rate)}<small>{arm.passed:,} of {arm.n:,}</small>"
        f"<small>{percent(arm.low)} to {percent(arm.high)}</small>"
        for arm in arms
    ]
    gaps = [f"{signed(100 * (candidate.rate - arm.rate))} points" for arm in others]
    return cells("passed", *shown, *gaps)


def _valid(arms: Sequence[ArmResult], candidate: ArmResult, others: Sequence[ArmResult]) -> str:
    shown = [f"{percent(arm.valid)}{_bar(arm.valid)}" for arm in arms]
    gaps = [f"{signed(100 * (candidate.valid - arm.valid))} points" for arm in others]
    return cells("of the right shape", *shown, *gaps)


def _row(
    line: _Line, arms: Sequence[ArmResult], candidate: ArmResult, others: Sequence[ArmResult]
) -> str:
    found = [line.of(arm) for arm in arms]
    if not any(found):
        return (
            ""
            if all(number == 0 for number in found)
            else cells(line.name, *_unknown(arms, others))
        )
    most = max(number or 0 for number in found)
    shown = [
        "&ndash;" if number is None else f"{line.show(number)}{_bar(number / most)}"
        for number in found
    ]
    ours = None if line.is_part else line.of(candidate)
    return cells(line.name, *shown, *(_change(ours, line.of(other)) for other in others))


def _unknown(arms: Sequence[ArmResult], others: Sequence[ArmResult]) -> list[str]:
    return ["&ndash;"] * (len(arms) + len(others))


def _bar(share: float) -> str:
    """Draw a share of the cell's width; the number above it says the same."""
    width = f"{100 * min(max(share, 0), 1):.1f}%"
    bar = f'<rect width="{width}" height="4"/>'
    return f'<svg class="share" width="100%" height="4" aria-hidden="true">{bar}</svg>'


def _change(number: float | None, other: float | None) -> str:
    if number is None or not other:
        return "&ndash;"
    change = 100 * (number / other - 1)
    shown = f"{change:+,.0f}%".replace("-", "&minus;")
    return "same" if shown in {"+0%", "&minus;0%"} else shown


def _sentences(candidate: ArmResult, others: Sequence[ArmResult]) -> Iterator[str]:
    """Say of live and of base whether the candidate saves prompt, and whether that saves money."""
    for other in others:
        fewer = _compared(_prompt(candidate), _prompt(other), "tokens")
        prompt = (
            f"Against {other.arm} the candidate reads and writes {fewer} per request "
            f"({_tokens(_prompt(candidate))} instead of {_tokens(_prompt(other))})"
        )
        ours, theirs = candidate.usd_per_1k_requests, other.usd_per_1k_requests
        if ours is None or theirs is None:
            yield f"{prompt}; what that costs is not known without prices of both."
            continue
        money = _compared(ours, theirs, "")
        joint = "and" if (ours <= theirs) == (_prompt(candidate) <= _prompt(other)) else "but"
        yield (
            f"{prompt}, {joint} costs {money}: {_dollars(ours)} instead of {_dollars(theirs)} "
            f"for 1,000 requests.{_about_cache(other)}"
        )


def _prompt(arm: ArmResult) -> float:
    return arm.tokens_in + arm.tokens_out


def _compared(ours: float, theirs: float, noun: str) -> str:
    """Say `38% fewer tokens`, or of money `38% less`."""
    if abs(ours - theirs) < 0.005 * max(theirs, 1e-9):
        return f"as many {noun}" if noun else "the same"
    if not theirs:
        return f"more {noun}".strip()
    change = 100 * (ours / theirs - 1)
    word = ("fewer" if change < 0 else "more") if noun else ("less" if change < 0 else "more")
    return f"<strong>{abs(change):,.0f}% {word}</strong> {noun}".strip()


def _about_cache(arm: ArmResult) -> str:
    share = arm.tokens_cached / arm.tokens_in if arm.tokens_in else 0.0
    if share < _MUCH_CACHED:
        return ""
    return (
        f" {percent(share)} of what {arm.arm} reads comes from the provider&rsquo;s cache at a "
        "lower price, so that fewer tokens save less money than it seems."
    )


def _notes(evidence: Evidence, arms: Sequence[ArmResult], say: Say) -> Iterator[str]:
    prices = evidence.prices
    yield (
        f"Prices of {say(prices.get('on'))}, from the policy."
        if prices
        else "There are no prices in the policy: money is not known."
    )
    measured = ", ".join(f"{say(arm.arm)} {arm.measured:,}" for arm in arms)
    at_once = f", {evidence.concurrency} at once" if evidence.concurrency else ""
    yield f"Latency was measured on: {measured} answers{at_once}; one kept before tells none."
    wide = [arm for arm in arms if arm.p95_lower_ms is not None]
    if wide:
        low = ", ".join(f"{say(arm.arm)} {_milliseconds(arm.p95_lower_ms or 0)}" for arm in wide)
        yield f"The 95th percentile is at least, with 95% confidence: {low}."
