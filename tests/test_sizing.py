"""How many examples a bar needs: the published table, enumeration, and what is let through."""

import random
from math import comb

import pytest

from fftdeploy.evaluation.judging import sizing, wording
from fftdeploy.evaluation.judging.sizing import (
    Size,
    better_probability,
    formula,
    let_through,
    let_through_threshold,
    pass_probability,
    settling_size,
    smallest_for_threshold,
    smallest_that_can_be_better,
    smallest_that_can_pass,
    usual_size,
    usual_size_for_threshold,
    usual_size_to_be_better,
)
from fftdeploy.evaluation.judging.statistics import mcnemar, tango, wilson


def enumerated(
    n: int, disagreement: float, difference: float, margin: float, confidence: float
) -> float:
    """Sum over every table, with the bound itself, and nothing of what makes the other one fast."""
    only_live, only_new = (disagreement - difference) / 2, (disagreement + difference) / 2
    return sum(
        comb(n, b) * comb(n - b, c) * only_live**b * only_new**c * (1 - disagreement) ** (n - b - c)
        for b in range(n + 1)
        for c in range(n - b + 1)
        if tango(b, c, n, confidence, 1).lower > -margin
    )


@pytest.mark.parametrize(("margin", "n"), [(0.02, 133), (0.03, 88), (0.05, 52), (0.1, 25)])
def test_the_smallest_set_that_can_pass(margin: float, n: int) -> None:
    assert smallest_that_can_pass(margin) == n
    assert tango(0, 0, n, 0.95, 1).lower > -margin >= tango(0, 0, n - 1, 0.95, 1).lower
    assert pass_probability(n, 0, margin) == 1
    assert pass_probability(n - 1, 0, margin) == 0


def test_pass_probability_is_the_sum_over_all_tables() -> None:
    dice = random.Random(11)
    worst, wrong = 0.0, 0
    for _ in range(60):
        n, margin = dice.randrange(1, 45), dice.choice((0.05, 0.1, 0.2))
        disagreement = dice.random()
        difference = dice.uniform(-disagreement, disagreement)
        confidence = dice.choice((0.9, 0.95, 0.975))
        expected = enumerated(n, disagreement, difference, margin, confidence)
        found = pass_probability(n, disagreement, margin, confidence, difference)
        worst = max(worst, abs(found - expected))
        wrong += abs(pass_probability(n, disagreement, margin, confidence) - expected) > 1e-6
    print(
        f"60 chances tried, largest error {worst:.1e}; {wrong} wrong where no difference is assumed"
    )
    assert worst < 1e-12
    assert wrong > 30


@pytest.mark.parametrize(
    ("n", "chances"),
    [
        (60, [".77", ".29", ".16", ".04", ".00"]),
        (100, [".94", ".44", ".22", ".04", ".00"]),
        (200, ["1.00", ".69", ".36", ".05", ".00"]),
        (400, ["1.00", ".93", ".58", ".05", ".00"]),
    ],
)
def test_what_to_expect_at_a_margin_of_5_points(n: int, chances: list[str]) -> None:
    truth = [(0.1, 0.05), (0.1, 0.0), (0.1, -0.02), (0.1, -0.05), (0.15, -0.1)]
    found = [pass_probability(n, rate, 0.05, 0.95, difference) for rate, difference in truth]
    assert [f"{chance:.2f}".removeprefix("0") for chance in found] == chances


@pytest.mark.parametrize(
    ("margin", "sizes"),
    [
        (0.02, [401, 819]),
        (0.03, [218, 388, 705]),
        (0.05, [101, 158, 263, 501]),
        (0.1, [42, 49, 77, 130]),
    ],
)
def test_the_usual_sizes_are_those_of_the_table(margin: float, sizes: list[int]) -> None:
    found = [usual_size(rate, margin) for rate in (0.02, 0.05, 0.1, 0.2)]
    assert [size.n for size in found[: len(sizes)]] == sizes
    for rate, size in zip((0.02, 0.05, 0.1, 0.2), found, strict=True):
        assert not size.is_approximate
        chances = [pass_probability(n, rate, margin) for n in (size.n - 1, size.n)]
        assert chances[0] < 0.8 <= chances[1]


def test_the_formula_is_too_optimistic_where_few_disagree() -> None:
    assert [formula(rate, 0.05) for rate in (0.02, 0.05, 0.1, 0.2)] == [50, 124, 248, 495]
    chances = [pass_probability(formula(rate, 0.05), rate, 0.05) for rate in (0.02, 0.05, 0.1, 0.2)]
    assert [f"{chance:.2f}" for chance in chances] == ["0.25", "0.71", "0.77", "0.79"]


def test_a_huge_size_is_the_formulas_and_says_so() -> None:
    assert usual_size(0.2, 0.01) == Size(formula(0.2, 0.01), is_approximate=True)
    assert usual_size(0.0, 0.05) == Size(52)


def test_other_confidences_and_powers_need_more() -> None:
    usual = usual_size(0.1, 0.05)
    assert usual_size(0.1, 0.05, 0.975).n > usual.n
    assert usual_size(0.1, 0.05, power=0.9).n > usual.n


def test_what_is_let_through_when_inconclusive_does_not_block() -> None:
    found = [round(let_through(n, 0.05), 2) for n in (60, 100, 200, 400)]
    assert found == [0.48, 0.20, 0.02, 0.00]
    # At 60 pairs it is .474 that are inconclusive, and .003 that pass.
    passed = pass_probability(60, 0.15, 0.05, 0.95, -0.1)
    assert round(let_through(60, 0.05) - passed, 2) == 0.47
    assert let_through(100_000, 0.05) < 1e-12
    assert let_through(0, 0.05) == 1


@pytest.mark.parametrize(("n", "confidence"), [(40, 0.95), (100, 0.6)])
def test_let_through_is_the_sum_over_all_tables(n: int, confidence: float) -> None:
    """At low confidence a candidate may be worse and within the margin: that one passes."""
    expected = 0.0
    for b in range(min(n, 60) + 1):
        for c in range(min(n, 60) - b + 1):
            passes = tango(b, c, n, confidence, 1).lower > -0.05
            if passes or mcnemar(b, c, "worse") > 1 - confidence:
                expected += comb(n, b) * comb(n - b, c) * 0.125**b * 0.025**c * 0.85 ** (n - b - c)
    assert let_through(n, 0.05, confidence) == pytest.approx(expected)


def test_much_worse_is_twice_a_wide_margin() -> None:
    assert [sizing.much_worse(margin) for margin in (0.02, 0.05, 0.15)] == [0.1, 0.1, 0.3]


def test_better_needs_five_fixed_at_least() -> None:
    assert smallest_that_can_be_better() == 5
    assert mcnemar(0, 5, "better") <= 1 - 0.95 < mcnemar(0, 4, "better")
    size = usual_size_to_be_better(0.1, 0.05)
    assert size is not None
    chances = [better_probability(n, 0.1, 0.05) for n in (size.n - 1, size.n)]
    assert chances[0] < 0.8 <= chances[1]
    assert usual_size_to_be_better(0.1, 0.0) is None


@pytest.mark.parametrize(("threshold", "n"), [(0.5, 3), (0.9, 25), (0.95, 52), (0.99, 268)])
def test_the_smallest_set_that_can_reach_a_threshold(threshold: float, n: int) -> None:
    assert smallest_for_threshold(threshold) == n
    assert wilson(n, n, 0.95, 1).lower >= threshold > wilson(n - 1, n - 1, 0.95, 1).lower
    assert smallest_for_threshold(1.0) is None


def test_the_usual_size_for_a_threshold() -> None:
    size = usual_size_for_threshold(0.95, 0.9)
    assert size is not None
    passing = [k for k in range(size.n + 1) if wilson(k, size.n, 0.95, 1).lower >= 0.9]
    chance = sum(comb(size.n, k) * 0.95**k * 0.05 ** (size.n - k) for k in passing)
    assert 0.8 <= chance < 0.86
    assert usual_size_for_threshold(0.9, 0.9) is None
    assert usual_size_for_threshold(1.0, 0.9) == Size(25)


def test_what_a_threshold_lets_through() -> None:
    n = 60
    through = [k for k in range(n + 1) if wilson(k, n, 0.95, 1).upper >= 0.9]
    expected = sum(comb(n, k) * 0.8**k * 0.2 ** (n - k) for k in through)
    assert let_through_threshold(n, 0.9) == pytest.approx(expected)


def test_what_would_settle_it_is_more_than_there_is() -> None:
    assert settling_size(0.1, -0.02, 0.05, 0.95, 100) == Size(263)
    # 400 pairs are enough for an equal candidate; this one looks 3 points worse.
    assert settling_size(0.1, -0.03, 0.05, 0.95, 400) == Size(687, is_approximate=True)
    assert settling_size(0.1, -0.03, 0.05, 0.95, 5000) == Size(5001, is_approximate=True)


@pytest.mark.parametrize(
    ("confidence", "said"),
    [
        (0.95, "95% sure"),
        (0.9, "90% sure"),
        (0.975, "97.5% sure"),
        (1 - 0.05 / 3, "98.33% sure"),
        (0.9999, "99.99% sure"),
        (0.99999, "99.999% sure"),
        (0.9999999, "99.99999% sure"),
        (0.501, "50.1% sure"),
        (1 - 2**-53, "99.99999999999999% sure"),
    ],
)
def test_nothing_is_said_to_be_certain(confidence: float, said: str) -> None:
    assert wording.sure(confidence) == said
