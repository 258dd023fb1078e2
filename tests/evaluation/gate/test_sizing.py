"""How many examples a bar needs: the published table, enumeration, and what is let through."""

import random
from math import comb

import pytest

from fftdeploy.evaluation.gate import sizing, wording
from fftdeploy.evaluation.gate.exact import p_worse_by
from fftdeploy.evaluation.gate.sizing import (
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
from fftdeploy.evaluation.gate.statistics import (
    clopper_pearson,
    mcnemar,
    normal_quantile,
    tango_score,
)


def enumerated(
    n: int, disagreement: float, difference: float, margin: float, confidence: float
) -> float:
    """Sum over every table, with the test itself, and nothing of what makes the other one fast."""
    only_live, only_new = (disagreement - difference) / 2, (disagreement + difference) / 2
    return sum(
        comb(n, b) * comb(n - b, c) * only_live**b * only_new**c * (1 - disagreement) ** (n - b - c)
        for b in range(n + 1)
        for c in range(n - b + 1)
        if p_worse_by(margin, b, c, n, 1 - confidence) <= 1 - confidence
    )


@pytest.mark.parametrize(("margin", "n"), [(0.02, 149), (0.03, 99), (0.05, 59), (0.1, 29)])
def test_the_smallest_set_that_can_pass(margin: float, n: int) -> None:
    assert smallest_that_can_pass(margin) == n
    assert p_worse_by(margin, 0, 0, n) <= 0.05 < p_worse_by(margin, 0, 0, n - 1)
    assert pass_probability(n, 0, margin) == 1
    assert pass_probability(n - 1, 0, margin) == 0


def test_fewer_than_ten_units_never_pass() -> None:
    assert smallest_that_can_pass(0.5) == 10
    assert [pass_probability(n, 0, 0.5) for n in (9, 10)] == [0, 1]
    assert smallest_that_can_be_better() == smallest_for_threshold(0.5) == 10
    assert smallest_that_can_pass(0.05, 1 - 0.05 / 3) == 83


def test_pass_probability_is_the_sum_over_all_tables() -> None:
    dice = random.Random(11)
    worst, wrong = 0.0, 0
    for _ in range(12):
        n, margin = dice.randrange(10, 24), dice.choice((0.05, 0.1, 0.2))
        disagreement = dice.random()
        difference = dice.uniform(-disagreement, disagreement)
        confidence = dice.choice((0.9, 0.95, 0.975))
        expected = enumerated(n, disagreement, difference, margin, confidence)
        found = pass_probability(n, disagreement, margin, confidence, difference)
        worst = max(worst, abs(found - expected))
        wrong += abs(pass_probability(n, disagreement, margin, confidence) - expected) > 1e-6
    print(
        f"12 chances tried, largest error {worst:.1e}; {wrong} wrong where no difference is assumed"
    )
    assert worst < 1e-8
    assert wrong > 6


@pytest.mark.parametrize(
    ("n", "chances"),
    [
        (60, [".75", ".27", ".14", ".04", ".00"]),
        (100, [".93", ".41", ".20", ".04", ".00"]),
        (200, ["1.00", ".69", ".36", ".05", ".00"]),
        (400, ["1.00", ".92", ".58", ".05", ".00"]),
    ],
)
def test_what_to_expect_at_a_margin_of_5_points(n: int, chances: list[str]) -> None:
    truth = [(0.1, 0.05), (0.1, 0.0), (0.1, -0.02), (0.1, -0.05), (0.15, -0.1)]
    found = [pass_probability(n, rate, 0.05, 0.95, difference) for rate, difference in truth]
    assert [f"{chance:.2f}".removeprefix("0") for chance in found] == chances


@pytest.mark.parametrize(
    ("margin", "sizes"),
    [
        (0.02, [402, 819]),
        (0.03, [209, 393, 705]),
        (0.05, [101, 158, 270, 501]),
        (0.1, [46, 50, 78, 131]),
    ],
)
def test_the_usual_sizes_are_those_of_the_table(margin: float, sizes: list[int]) -> None:
    found = [usual_size(rate, margin) for rate in (0.02, 0.05, 0.1, 0.2)]
    assert [size.n for size in found[: len(sizes)]] == sizes
    for rate, size in zip((0.02, 0.05, 0.1, 0.2), found, strict=True):
        assert size.is_approximate is (size.n > 500)
        if size.is_approximate:  # by the normal tail
            continue
        chances = [pass_probability(n, rate, margin) for n in (size.n - 1, size.n)]
        assert chances[0] < 0.8 <= chances[1]


def test_the_formula_is_too_optimistic_where_few_disagree() -> None:
    assert [formula(rate, 0.05) for rate in (0.02, 0.05, 0.1, 0.2)] == [50, 124, 248, 495]
    chances = [pass_probability(formula(rate, 0.05), rate, 0.05) for rate in (0.02, 0.05, 0.1, 0.2)]
    assert [f"{chance:.2f}" for chance in chances] == ["0.24", "0.66", "0.77", "0.79"]


def test_a_huge_size_is_the_formulas_and_says_so() -> None:
    assert usual_size(0.2, 0.01) == Size(formula(0.2, 0.01), is_approximate=True)
    assert usual_size(0.0, 0.05) == Size(59)


def test_other_confidences_and_powers_need_more() -> None:
    usual = usual_size(0.1, 0.05)
    assert usual_size(0.1, 0.05, 0.975).n > usual.n


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
            passes = tango_score(b, c, n, -0.05) > normal_quantile(confidence)
            if passes or mcnemar(b, c, "worse") > 1 - confidence:
                expected += comb(n, b) * comb(n - b, c) * 0.125**b * 0.025**c * 0.85 ** (n - b - c)
    assert let_through(n, 0.05, confidence) == pytest.approx(expected)


def test_much_worse_is_twice_a_wide_margin() -> None:
    assert [sizing.much_worse(margin) for margin in (0.02, 0.05, 0.15)] == [0.1, 0.1, 0.3]


def test_the_usual_size_to_be_better() -> None:
    size = usual_size_to_be_better(0.1, 0.05)
    assert size is not None
    chances = [better_probability(n, 0.1, 0.05) for n in (size.n - 1, size.n)]
    assert chances[0] < 0.8 <= chances[1]
    assert usual_size_to_be_better(0.1, 0.0) is None


@pytest.mark.parametrize(
    ("threshold", "n"), [(0.0, 10), (0.75, 11), (0.9, 29), (0.95, 59), (0.99, 299)]
)
def test_the_smallest_set_that_can_reach_a_threshold(threshold: float, n: int) -> None:
    assert smallest_for_threshold(threshold) == n
    assert clopper_pearson(n, n, 0.95, 1).lower >= threshold
    assert n == 10 or clopper_pearson(n - 1, n - 1, 0.95, 1).lower < threshold
    assert smallest_for_threshold(1.0) is None


def test_the_usual_size_for_a_threshold() -> None:
    size = usual_size_for_threshold(0.95, 0.9)
    assert size is not None
    passing = [k for k in range(size.n + 1) if clopper_pearson(k, size.n, 0.95, 1).lower >= 0.9]
    chance = sum(comb(size.n, k) * 0.95**k * 0.05 ** (size.n - k) for k in passing)
    assert 0.8 <= chance < 0.86
    assert usual_size_for_threshold(0.9, 0.9) is None
    assert usual_size_for_threshold(1.0, 0.9) == Size(29)


def test_what_a_threshold_lets_through() -> None:
    n = 60
    through = [k for k in range(n + 1) if clopper_pearson(k, n, 0.95, 1).upper >= 0.9]
    expected = sum(comb(n, k) * 0.8**k * 0.2 ** (n - k) for k in through)
    assert let_through_threshold(n, 0.9) == pytest.approx(expected)


def test_what_would_settle_it_is_more_than_there_is() -> None:
    assert settling_size(0.1, -0.02, 0.05, 0.95, 100) == Size(269)
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
