"""Tokens, time and money side by side: what fewer tokens save, and what they don't."""

from dataclasses import replace
from typing import Any

import pytest

from fftdeploy.cli.verdict_tables import cost_blocks
from fftdeploy.evaluation.gate.gate import GateQuestion, judge
from fftdeploy.evaluation.results import PASS, Results, Sample
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.output.page.tables import changes, dearer
from fftdeploy.output.report import Table
from fftdeploy.policy import policy
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.policy.prices import Prices

RULES = """
version = 1
[prices]
date = 2026-11-20
tuned = { input = 0.80, output = 3.20 }
base = { input = 0.40, cached_input = 0.10, output = 1.60 }
"""
PRICES = policy.parse(RULES.encode(), "fftdeploy.toml").prices
TUNED, UNCACHED, CACHED = (450, 0, 120), (1950, 0, 120), (1950, 1664, 120)


def verdict(candidate: tuple[int, ...], live: tuple[int, ...], prices: Prices = PRICES) -> Verdict:
    """Judge a short tuned prompt beside a long one of a base model, at a user's prices."""
    results = Results(1)
    for number in range(60):
        results.add_example(f"e-{number}", "", (), must_pass=False)
    for name, (read, cached, written) in {"candidate": candidate, "live": live}.items():
        column = results.add_arm(name)
        for place in range(60):
            column.put(place, Sample(PASS, (), 200, read, cached, written))
    model = {450: "tuned", 1950: "base"}
    named: dict[str, Any] = {"candidate": model[candidate[0]], "live": model[live[0]]}
    asked = GateQuestion(
        rules=GateRules(("e.jsonl",), ()),
        results=results,
        has_baseline=True,
        reviewed=60,
        prices={arm: prices.price(name) for arm, name in named.items()},
        name="the candidate",
    )
    return judge(asked)


def test_fewer_tokens_are_not_less_money_beside_a_cached_prompt() -> None:
    """The tuned model reads 77 % less: 23 % less money, or 57 % more where the cache serves."""
    fresh, cached = verdict(TUNED, UNCACHED), verdict(TUNED, CACHED)

    usd = [arm.cost.usd_per_1k_requests for one in (fresh, cached) for arm in one.arms]
    assert usd == pytest.approx([0.744, 0.972, 0.744, 0.4728])
    against = changes(fresh)["live"]
    assert against["tokens_in"] == pytest.approx(-0.77, abs=0.005)
    assert against["usd_per_1k_requests"] == pytest.approx(-0.23, abs=0.005)
    assert changes(cached)["live"]["usd_per_1k_requests"] == pytest.approx(0.57, abs=0.005)
    assert against["p50_latency_ms"] == against["tokens_out"] == 0
    assert [*dearer(fresh)] == []
    (said,) = dearer(cached)
    assert "72% fewer tokens per request (570 instead of 2,070), but costs 57% more" in said
    assert "85.3% of what live reads comes from the provider's cache" in said


def test_they_stand_side_by_side_with_what_changed() -> None:
    table, said = cost_blocks(verdict(TUNED, CACHED))
    assert isinstance(table, Table)
    assert table.columns == ("a request", "candidate", "live", "against live")
    assert [[str(cell) for cell in row] for row in table.rows] == [
        ["tokens in", "450", "1,950", "\N{MINUS SIGN}77%"],
        ["of them cached", "0", "1,664", ""],
        ["tokens out", "120", "120", "same"],
        ["latency, median", "200 ms", "200 ms", "same"],
        ["latency, 95th percentile", "200 ms", "200 ms", "same"],
        ["USD per 1,000 requests", "$0.744", "$0.473", "+57%"],
    ]
    assert "but costs 57% more" in str(said)


def test_without_a_price_nothing_is_said_of_money() -> None:
    found = verdict(TUNED, CACHED, replace(PRICES, models={}))
    assert "usd_per_1k_requests" not in changes(found)["live"]
    assert [*dearer(found)] == []
    assert "not known without prices of both" in str([*cost_blocks(found)][1])
    assert [*dearer(verdict(CACHED, TUNED))] == [], "more tokens for less money"
