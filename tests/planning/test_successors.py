"""The successor that is chosen is the cheapest of those that are truly no worse."""

from dataclasses import replace
from random import Random

import shipping

from fftdeploy.evaluation.gate import sizing
from fftdeploy.evaluation.gate.gate import GateQuestion, judge
from fftdeploy.evaluation.results import Results, Sample
from fftdeploy.planning.successors import Score, closest, ranked
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.policy.prices import RequestCost

RULES = replace(GateRules((), ()), margin=0.1)
EXAMPLES = 200
GOOD, BAD = 0.01, 0.3
"""Share of the examples on which one that is as good differs, and that one much worse breaks."""


def verdict(dice: Random, *, is_good: bool, candidates: int) -> Score:
    """Draw the answers of a successor and of live, and score what the gate says of them."""
    results = Results(1)
    for number in range(EXAMPLES):
        results.add_example(f"e{number}", "", (), must_pass=False)
    live, candidate = results.add_arm("live"), results.add_arm("candidate")
    for place in range(EXAMPLES):
        toss = dice.random()
        if is_good:
            marks = ("pass", "wrong") if toss < GOOD / 2 else ("wrong", "pass")
            marks = marks if toss < GOOD else ("pass", "pass")
        else:
            marks = ("pass", "wrong") if toss < BAD else ("pass", "pass")
        live.put(place, Sample(marks[0]))
        candidate.put(place, Sample(marks[1]))
    asked = GateQuestion(
        rules=RULES,
        results=results,
        has_baseline=True,
        reviewed=EXAMPLES,
        candidates=candidates,
        name="it",
    )
    found = judge(asked)
    assert found.comparison is not None
    is_good_enough = found.ruling == "pass"
    cost = RequestCost(dice.choice([0.1, 0.2, 0.3, None]))
    return Score(is_good_enough, cost, dice.randrange(9), 0.0)


def test_the_cheapest_of_those_truly_within_the_margin_is_chosen_in_200_portfolios() -> None:
    strictest = sizing.one_of(RULES, 3).confidence
    missed = 1 - sizing.pass_probability(EXAMPLES, GOOD, RULES.margin, strictest)
    let_in = sizing.pass_probability(EXAMPLES, BAD, RULES.margin, RULES.confidence, -BAD)
    assert 600 * max(missed, let_in) < 1e-4, "no verdict of any portfolio is likely to be wrong"
    dice = Random(14)
    none = careless = 0
    for _ in range(200):
        truth = {name: dice.random() < 0.6 for name in "abc"[: dice.randint(1, 3)]}
        scores = {
            name: verdict(dice, is_good=is_good, candidates=len(truth))
            for name, is_good in truth.items()
        }
        cost = {
            name: (not score.cost.is_known, f"{score.cost}", score.p95_ms or 0)
            for name, score in scores.items()
        }
        best = min(filter(truth.get, truth), key=cost.__getitem__, default=None)
        assert next(iter(ranked(scores)), None) == best
        none += best is None
        careless += min(truth, key=cost.__getitem__) != best
    assert 0 < none < careless, "whoever looks at the cost alone is wrong more often"


def test_any_of_many_that_are_worse_by_the_margin_ships_in_at_most_5_percent() -> None:
    """By enumeration, however the answers of the candidates depend on each other."""
    for candidates in (1, 3, 10):
        assert shipping.any_wrongly_ships(candidates, 100, 0.1) <= 0.05005, candidates
    alone = shipping.wrongly_ships(shipping.gate_ships, 100, 0.1)
    assert 1 - (1 - alone) ** 2 > 0.06, "two that are each held to 95 % ship more often"


def test_an_unknown_price_and_an_unknown_latency_come_last() -> None:
    scores = {
        "unpriced": Score(True, RequestCost(None), 1, 0.0),
        "slow": Score(True, RequestCost(0.2), 900, 0.0),
        "unmeasured": Score(True, RequestCost(0.2), None, 0.0),
        "free": Score(True, RequestCost(0.0), None, 0.0),
        "bad": Score(False, RequestCost(0.0), 1, -0.06),
        "worse": Score(False, RequestCost(0.0), 1, -0.3),
        "named later": Score(True, RequestCost(0.2), 900, 0.0),
    }
    assert ranked(scores) == ["free", "slow", "named later", "unmeasured", "unpriced"]
    assert closest({name: scores[name] for name in ("worse", "bad")}) == "bad"
