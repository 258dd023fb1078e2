"""The gate's statistics against published values, other implementations and enumeration."""

import gc
import random
from collections.abc import Callable, Sequence
from math import log, sqrt

import pytest
import shipping

from fftdeploy.evaluation.gate import exact, paired
from fftdeploy.evaluation.gate.exact import at_least, bounds, is_ruled_out, p_worse_by
from fftdeploy.evaluation.gate.paired import Effective, Pairs
from fftdeploy.evaluation.gate.statistics import (
    Interval,
    binomial_tail,
    clopper_pearson,
    holm,
    mcnemar,
    normal_quantile,
    quantile_rank,
    quantile_ranks,
    tango,
    tango_score,
    wilson,
)

TABLES = 300
BAR = paired.Bar(margin=0.05, confidence=0.95, risk=1 - 0.95)


def printed(value: float, text: str) -> bool:
    """Whether `value` has the digits of `text`."""
    return f"{value:.{len(text.partition('.')[2])}f}" == text


# ---- oracles ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broke", "fixed", "expected"),
    [
        (3, 12, 0.03515625),
        (0, 5, 0.0625),
        (0, 6, 0.03125),
        (2, 9, 0.0654296875),
        (7, 1, 0.0703125),
        (0, 0, 1.0),
        (16, 6, 0.052478790283203125),
    ],
)
def test_mcnemar_is_exact(broke: int, fixed: int, expected: float) -> None:
    assert mcnemar(broke, fixed) == mcnemar(fixed, broke) == expected


def test_one_sided_mcnemar_asks_which_way() -> None:
    assert mcnemar(12, 3, "worse") == mcnemar(3, 12, "better") == 0.017578125
    assert mcnemar(3, 12, "worse") == mcnemar(12, 3, "better") == 0.996307373046875
    assert mcnemar(3, 0, "worse") == 0.125
    assert round(mcnemar(8, 2, "worse"), 4) == 0.0547


@pytest.mark.parametrize(
    ("bound", "passed", "n", "sides", "lower", "upper"),
    [
        (wilson, 91, 100, 2, "0.837737871", "0.951927460"),
        (wilson, 91, 100, 1, "0.851511751", ""),
        (wilson, 17, 20, 2, "0.639581", "0.947631"),
        (wilson, 5, 5, 2, "0.565518", "1"),
        (wilson, 0, 30, 2, "0", "0.113513"),
        (wilson, 850, 1000, 2, "0.826531", "0.870790"),
        (clopper_pearson, 91, 100, 2, "0.836017745", "0.958016404"),
        (clopper_pearson, 30, 30, 1, "0.904966", "1"),
        (clopper_pearson, 59, 59, 1, "0.950492", "1"),
        (clopper_pearson, 299, 299, 1, "0.990031", "1"),
        (clopper_pearson, 0, 30, 1, "0", "0.095034"),
    ],
)
def test_shares_have_the_published_bounds(
    bound: Callable[..., Interval], passed: int, n: int, sides: int, lower: str, upper: str
) -> None:
    found = bound(passed, n, 0.95, sides)
    assert printed(found.lower, lower)
    assert not upper or printed(found.upper, upper)


def test_nothing_of_nothing_is_anything() -> None:
    assert wilson(0, 0) == clopper_pearson(0, 0) == (0.0, 1.0)
    assert tango(0, 0, 0) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("broke", "fixed", "n", "lower", "upper"),
    [
        (16, 6, 161, "-0.1240", "-0.0054"),
        (7, 1, 21, "-0.5172", "-0.0260"),
        (20, 40, 160, "0.030865", "0.218064"),
    ],
)
def test_tango_has_the_published_two_sided_interval(
    broke: int, fixed: int, n: int, lower: str, upper: str
) -> None:
    found = tango(broke, fixed, n)
    assert printed(found.lower, lower)
    assert printed(found.upper, upper)


@pytest.mark.parametrize(
    ("broke", "fixed", "n", "lower"),
    [
        (0, 0, 50, "-0.051333"),
        (0, 0, 52, "-0.049456"),
        (9, 9, 250, "-0.029618"),
        (6, 4, 250, "-0.031872"),
        (6, 4, 100, "-0.078256"),
        (4, 2, 200, "-0.035152"),
        (8, 2, 200, "-0.060975"),
        (12, 3, 100, "-0.158764"),
        (3, 12, 100, "0.028858"),
        (3, 0, 100, "-0.072710"),
    ],
)
def test_tango_has_the_one_sided_lower_bound(broke: int, fixed: int, n: int, lower: str) -> None:
    found = tango(broke, fixed, n, 0.95, 1)
    assert printed(found.lower, lower)
    mirrored = tango(fixed, broke, n, 0.95, 1)
    assert mirrored.upper == pytest.approx(-found.lower, abs=1e-12)


def test_tango_without_disagreement_has_a_closed_form() -> None:
    square = normal_quantile(0.95) ** 2
    for n in (1, 10, 52, 500, 100_000):
        assert tango(0, 0, n, 0.95, 1).lower == pytest.approx(-square / (n + square), abs=1e-12)


def test_tango_at_no_difference_is_mcnemars_statistic() -> None:
    assert tango_score(12, 3, 100, 0) == pytest.approx((3 - 12) / sqrt(15))


@pytest.mark.parametrize(
    ("table", "margin", "p", "worst"),
    [
        ((0, 0, 58), 0.05, "0.05155", "5.05"),
        ((0, 0, 59), 0.05, "0.04899", "4.97"),
        ((9, 9, 250), 0.05, "0.00456", "3.08"),
        ((6, 4, 250), 0.05, "0.00420", "3.20"),
        ((6, 4, 100), 0.05, "0.25834", "7.91"),
        ((4, 2, 200), 0.05, "0.00846", "3.52"),
        ((8, 2, 200), 0.05, "0.14057", "6.10"),
        ((12, 3, 100), 0.05, "0.8716", "15.90"),
        ((3, 12, 100), 0.05, "0.00087", "-2.36"),
        ((3, 0, 100), 0.05, "0.25834", "7.59"),
        ((1, 0, 60), 0.05, "0.19205", "7.68"),
        ((3, 3, 87), 0.05, "0.06484", "5.42"),
        ((5, 5, 118), 0.05, "0.04587", "4.94"),
        ((8, 10, 67), 0.05, "0.11894", "7.88"),
        ((10, 11, 68), 0.1, "0.05015", "10.01"),
        ((226, 0, 2510), 0.1, "0.05042", "10.00"),
    ],
)
def test_J17_the_exact_test_has_the_known_p_and_bound(
    table: tuple[int, int, int], margin: float, p: str, worst: str
) -> None:
    broke, fixed, n = table
    assert printed(p_worse_by(margin, broke, fixed, n), p)
    assert printed(-100 * bounds(margin, broke, fixed, n).lower, worst)
    # The other end of the interval is the table with broke and fixed exchanged.
    assert bounds(margin, fixed, broke, n).lower == -bounds(margin, broke, fixed, n).upper


def test_J17_the_upper_end_of_an_interval() -> None:
    assert printed(100 * bounds(0.05, 8, 10, 67).upper, "13.88")


@pytest.mark.parametrize(("margin", "least"), [(0.02, 149), (0.03, 99), (0.05, 59), (0.1, 29)])
def test_J17_without_disagreement_the_exact_test_is_the_binomial(margin: float, least: int) -> None:
    for n in (least - 1, least):
        expected = (1 - margin) ** n + 0.0005
        assert p_worse_by(margin, 0, 0, n) == pytest.approx(expected, abs=1e-12)
        assert is_ruled_out(margin, 0, 0, n) is (n == least)


def test_J17_three_candidates_need_83_examples_where_one_needs_59() -> None:
    assert [is_ruled_out(0.05, 0, 0, n, 0.05 / 3) for n in (82, 83)] == [False, True]


def test_J17_a_risk_below_a_hundredth_keeps_its_own_part_for_rates_not_tried() -> None:
    assert [exact.unseen(risk) for risk in (0.05, 0.01, 0.005, 1e-9)] == [
        0.0005,
        0.0005,
        0.00025,
        5e-11,
    ]
    assert is_ruled_out(0.05, 0, 0, 2000, 1e-9)
    assert not is_ruled_out(0.05, 0, 0, 400, 1e-9)
    lower, upper = bounds(0.05, 2, 3, 400, 1e-9)
    assert -0.2 < lower < -0.05 < 0.05 < upper < 0.2


def test_J17_the_bound_and_the_test_at_the_margin_never_disagree() -> None:
    dice = random.Random(8)
    found = {True: 0, False: 0}
    for _ in range(50):
        n = dice.randrange(10, 120)
        differ = dice.randrange(n // 3 + 1)
        broke = dice.randrange(differ + 1)
        margin, risk = dice.choice((0.02, 0.05, 0.1, 0.3)), dice.choice((0.05, 0.05 / 3, 0.1))
        table = (margin, broke, differ - broke, n, risk)
        passes = is_ruled_out(*table)
        assert passes is (p_worse_by(*table) <= risk) is (bounds(*table).lower >= -margin)
        found[passes] += 1
    print(f"50 tables tried: {found}")
    assert min(found.values()) > 8


def test_J17_no_fraction_margin_or_risk_breaks_the_test() -> None:
    """Effective pairs may even be a little more than the whole units that are tested."""
    dice = random.Random(5)
    for _ in range(150):
        n = dice.choice((1, 2, 9, 10, 11, 37))
        margin = dice.choice((1e-6, 0.02, 0.05, 0.5, 0.999))
        risk = dice.choice((0.05, 0.05 / 3, 0.49, 1e-4, 1e-12, 2.3e-16))
        broke = dice.uniform(0, n + 0.9)
        fixed = dice.uniform(0, max(0.0, n - broke))
        lower, upper = bounds(margin, broke, fixed, n, risk)
        assert -1 <= lower <= upper <= 1
        assert 0 < p_worse_by(margin, broke, fixed, n, risk) <= 1
        assert is_ruled_out(margin, broke, fixed, n, risk) is (lower >= -margin)


def test_J17_nothing_above_the_bound_is_left_possible() -> None:
    """p jumps as the margin grows, and may pass the risk more than once: the bound is the last."""
    dice = random.Random(12)
    tables = [(dice.randrange(8), dice.randrange(8), dice.randrange(20, 130)) for _ in range(8)]
    for table in [(9, 9, 250), *tables]:
        lower = bounds(0.4, *table).lower  # a margin that plays no part
        reach = (table[1] - table[0]) / table[2] - lower
        above = [-lower + reach * part / 50 for part in range(1, 8)]
        assert [margin for margin in above if p_worse_by(margin, *table) > 0.05] == []
    # The control: of this table the search from below ends here, and a wider margin is possible.
    assert p_worse_by(0.0297, 9, 9, 250) <= 0.05 < p_worse_by(0.0305, 9, 9, 250)


def test_above_20_000_units_the_normal_tail_stands_in() -> None:
    near, far = ((k, k, n) for k, n in ((400, 20_000), (400, 20_001)))
    assert p_worse_by(0.004, *near) == pytest.approx(p_worse_by(0.004, *far), rel=0.2)
    assert bounds(0.01, *far) == tango(*far, 0.95, 1)
    assert bounds(0.01, *near).lower == pytest.approx(tango(*near, 0.95, 1).lower, rel=0.02)


# ---- effective pairs --------------------------------------------------------------------------


def pairs_of(
    live: Sequence[int], candidate: Sequence[int], sizes: Sequence[int] = (), repeats: int = 1
) -> Pairs:
    groups: list[str | int] = [place for place, size in enumerate(sizes) for _ in range(size)]
    return Pairs(bytes(live), bytes(candidate), repeats, groups or None)


def test_J17_plain_pairs_and_repeats_that_agree_are_the_same_pairs() -> None:
    live = [1] * 6 + [0] * 4 + [1] * 90
    candidate = [0] * 6 + [1] * 4 + [1] * 90
    assert pairs_of(live, candidate).effective() == (100, 6, 4)
    for repeats in (3, 7):
        old, new = ([repeats * passed for passed in arm] for arm in (live, candidate))
        assert pairs_of(old, new, (), repeats).effective() == (100, 6, 4)
    assert pairs_of(live, candidate, [1] * 100).effective() == (100, 6, 4)


def test_J17_a_group_that_agrees_is_one_pair() -> None:
    same = [1] * 96
    assert pairs_of(same, same, [8] * 12).effective() == (12, 0, 0)
    assert pairs_of(same, [0, *same[1:]], [8] * 12).effective() == (12, 0.125, 0)
    assert pairs_of(same, [0] * 8 + same[8:], [8] * 12).effective() == (12, 1, 0)
    label = paired.label(pairs_of(same, same, [8] * 12).effective(), BAR)
    assert (label, f"{100 * bounds(0.05, 0, 0, 12).lower:.1f}") == ("inconclusive", "-22.2")


def test_J17_the_moments_are_those_of_the_units() -> None:
    """The mean of all examples, and the variance of it that the units have."""
    dice = random.Random(3)
    for _ in range(100):
        sizes = [dice.randrange(1, 9) for _ in range(dice.randrange(5, 30))]
        n, repeats = sum(sizes), dice.choice((1, 2, 5))
        live, candidate = ([dice.randrange(repeats + 1) for _ in range(n)] for _ in range(2))
        units, broke, fixed = pairs_of(live, candidate, sizes, repeats).effective()
        changes = [(new - old) / repeats for old, new in zip(live, candidate, strict=True)]
        mean = sum(changes) / n
        ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
        sums = [sum(changes[end - m : end]) for end, m in zip(ends, sizes, strict=True)]
        error = sum((s - m * mean) ** 2 for s, m in zip(sums, sizes, strict=True)) / n**2
        assert units == pytest.approx(n * n / sum(m * m for m in sizes))
        assert (fixed - broke) / units == pytest.approx(mean)
        moment = max((broke + fixed) / units - mean * mean, 0)
        least = (abs(mean) - mean * mean) / units  # a variance below that of one kind of change
        assert moment / units == pytest.approx(max(error, least))


def test_labels_round_fractions_against_the_finding() -> None:
    assert Effective(60, 5.9, 0.1).p_worse == mcnemar(5, 1, "worse")
    assert Effective(60, 0.1, 5.9).p_better == mcnemar(1, 5, "better")


def test_holm_multiplies_by_what_is_left() -> None:
    assert holm([0.004, 0.03, 0.02, 0.5]) == pytest.approx([0.016, 0.06, 0.06, 0.5])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize(("n", "expected"), [(50, (18, 33)), (100, (40, 61)), (200, (86, 115))])
def test_order_statistics_bound_a_median(n: int, expected: tuple[int, int]) -> None:
    assert quantile_ranks(n, 0.5) == expected


def test_order_statistics_bound_a_95th_percentile() -> None:
    """The rank is the greatest that is above the true quantile with at most 5 %."""
    for n in (20, 60, 100, 200, 5000):
        rank = quantile_ranks(n, 0.95, sides=1)[0]
        at_most = [1 - binomial_tail(k, n, 0.95) for k in (rank, rank + 1)]
        assert at_most[0] <= 0.05 < at_most[1]
    assert quantile_ranks(20, 0.95, sides=1)[1] == 21  # no value bounds it from above


def test_quantile_ranks_do_not_stumble_over_floats() -> None:
    assert [quantile_rank(n, 0.95) for n in (0, 1, 19, 20, 21, 100, 340, 1000)] == [
        0,
        1,
        19,
        19,
        20,
        95,
        323,
        950,
    ]
    assert [quantile_rank(n, 0.5) for n in (1, 2, 3, 100)] == [1, 1, 2, 50]


# ---- other implementations ------------------------------------------------------------------


ORACLES = "scipy and statsmodels come with the test extra"


def random_tables(seed: int) -> list[tuple[int, int, int]]:
    dice = random.Random(seed)
    tables = []
    for _ in range(TABLES):
        n = dice.choice((5, 21, 60, 100, 250, 1000))
        broke = dice.randrange(n // 2 + 1)
        tables.append((broke, dice.randrange((n - broke) // 2 + 1), n))
    return tables


def test_binomials_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason=ORACLES)
    dice = random.Random(1)
    for _ in range(TABLES):
        n = dice.choice((1, 7, 60, 500, 5000, 100_000))
        k, p = dice.randrange(n + 1), dice.choice((dice.random(), dice.random() ** 4))
        expected = float(stats.binom.sf(k - 1, n, p))
        assert binomial_tail(k, n, p) == pytest.approx(expected, rel=1e-8, abs=1e-200)
        assert at_least(k, n, p) == pytest.approx(expected, rel=1e-8, abs=1e-14)
        assert exact.binomial(k, n, p) == pytest.approx(float(stats.binom.pmf(k, n, p)), rel=1e-7)


def test_bounds_of_a_share_that_is_no_count_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason=ORACLES)
    dice = random.Random(10)
    for _ in range(TABLES):
        n, risk = dice.choice((10, 60, 500)), dice.choice((0.05, 0.01))
        passed = dice.uniform(0.5, n - 0.5)
        found = clopper_pearson(passed, n, 1 - risk, 1)
        assert found.lower == pytest.approx(float(stats.beta.ppf(risk, passed, n - passed + 1)))
        assert found.upper == pytest.approx(float(stats.beta.ppf(1 - risk, passed + 1, n - passed)))


def test_J17_the_exact_test_agrees_with_a_sum_over_every_table_by_scipy() -> None:
    """Nothing of what makes the gate's own fast: every table, every rate, whole or fraction."""
    numpy = pytest.importorskip("numpy", reason=ORACLES)
    stats = pytest.importorskip("scipy.stats", reason=ORACLES)
    dice = random.Random(14)
    worst = 0.0
    for _ in range(16):
        n, margin = dice.randrange(5, 50), dice.choice((-0.02, 0.02, 0.05, 0.1, 0.4))
        broke = dice.choice((dice.randrange(n // 2), dice.uniform(0, n / 2)))
        fixed = dice.choice((dice.randrange(n // 3), dice.uniform(0, n / 3)))
        seen, beta = broke + fixed, 0.0005
        low = stats.beta.ppf(beta / 2, int(seen), n - int(seen) + 1) if int(seen) else 0.0
        most = -int(-seen // 1)
        high = stats.beta.ppf(1 - beta / 2, most + 1, n - most) if most < n else 1.0
        low = max(low, abs(margin))
        tables = [(b, c) for b in range(n + 1) for c in range(n - b + 1)]
        limit = tango_score(broke, fixed, n, -margin) - 1e-9
        region = numpy.array([t for t in tables if tango_score(*t, n, -margin) >= limit])
        largest = 0.0
        for step in range(41 if high > low else 0):
            rate = low + (high - low) * step / 40
            lost, won = (rate + margin) / 2, max(0.0, (rate - margin) / 2)
            cells = [(b, c, n - b - c) for b, c in region]
            chances = stats.multinomial.pmf(cells, n, [lost, won, 1 - lost - won])
            largest = max(largest, float(chances.sum()))
        found = p_worse_by(margin, broke, fixed, n)
        worst = max(worst, abs(found - min(1.0, largest + beta)))
    print(f"16 tables tried, largest error of p {worst:.1e}")
    assert worst < 1e-9


def test_sign_tests_agree_with_scipy_up_to_100_000_disagreements() -> None:
    stats = pytest.importorskip("scipy.stats", reason=ORACLES)
    dice = random.Random(2)
    for _ in range(TABLES):
        n = dice.choice((10, 100, 999, 1000, 1001, 20_000, 100_000))
        broke = min(n, max(0, round(dice.gauss(n / 2, sqrt(n)))))
        expected = float(stats.binomtest(broke, n, 0.5, alternative="greater").pvalue)
        assert mcnemar(broke, n - broke, "worse") == pytest.approx(expected, rel=1e-8)


def test_intervals_agree_with_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion", reason=ORACLES)
    for passed, _, n in random_tables(3):
        for method, mine in (("wilson", wilson), ("beta", clopper_pearson)):
            expected = [
                float(bound) for bound in proportion.proportion_confint(passed, n, 0.05, method)
            ]
            expected = [0.0 if passed == 0 else expected[0], 1.0 if passed == n else expected[1]]
            assert list(mine(passed, n)) == pytest.approx(expected, abs=1e-10)


def test_mcnemar_agrees_with_statsmodels() -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables", reason=ORACLES)
    for broke, fixed, n in random_tables(4):
        table = [[n - broke - fixed, broke], [fixed, 0]]
        expected = float(tables.mcnemar(table, exact=True).pvalue) if broke + fixed else 1.0
        assert mcnemar(broke, fixed) == pytest.approx(expected, rel=1e-10)


def test_holm_agrees_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason=ORACLES)
    dice = random.Random(5)
    gc.freeze()  # it collects garbage in every call, over all that scipy has loaded
    try:
        for _ in range(TABLES):
            values = [dice.random() ** 3 for _ in range(dice.randrange(1, 12))]
            expected = multitest.multipletests(values, method="holm")[1]
            assert holm(values) == pytest.approx([float(p) for p in expected])
    finally:
        gc.unfreeze()


def best_likelihood(broke: int, fixed: int, n: int, difference: float) -> float:
    """Return the share only live passes that makes a table likeliest, by golden section."""
    low, high = max(0.0, -difference), (1 - difference) / 2

    def likelihood(only_live: float) -> float:
        cells = (
            (broke, only_live),
            (fixed, only_live + difference),
            (n - broke - fixed, 1 - 2 * only_live - difference),
        )
        return sum(count * log(max(share, 1e-300)) for count, share in cells if count)

    ratio = (sqrt(5) - 1) / 2
    for _ in range(120):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if likelihood(left) >= likelihood(right) else (left, high)
    return (low + high) / 2


def test_tango_is_the_score_at_the_greatest_likelihood() -> None:
    worst = 0.0
    for broke, fixed, n in random_tables(7):
        bounds = tango(broke, fixed, n)
        for bound, z in ((bounds.lower, 1.959964), (bounds.upper, -1.959964)):
            if not -0.999 < bound < 0.999:
                continue
            only_live = best_likelihood(broke, fixed, n, bound)
            variance = n * (2 * only_live + bound * (1 - bound))
            worst = max(worst, abs((fixed - broke - n * bound) / sqrt(variance) - z))
    print(f"{TABLES} tables tried, largest deviation of z {worst:.1e}")
    assert worst < 1e-4
    assert (
        abs((3 - 12 + 100 * 0.05) / sqrt(15) - tango_score(12, 3, 100, -0.05)) > 0.05
    )  # Wald's is not it


# ---- what each rule ships ---------------------------------------------------------------------


SAMPLE = {
    0.02: (52, 149),
    0.03: (31, 99, 118),
    0.05: (30, 52, 53, 59, 87, 118, 151),
    0.1: (30, 68, 149),
}
"""Some of the sizes; `python bench/run.py --only wrong_ships` tries all from 30 to 400."""


@pytest.mark.parametrize("margin", SAMPLE)
def test_J17_the_gate_wrongly_ships_at_most_5_percent_at_every_size(margin: float) -> None:
    """At the margin itself, over 400 rates of disagreement that its test does not try."""
    rules = (shipping.gate_ships, shipping.tango_ships)
    found = {n: [shipping.wrongly_ships(rule, n, margin) for rule in rules] for n in SAMPLE[margin]}
    ours, before = (max(rates) for rates in zip(*found.values(), strict=True))
    over = sum(rates[1] > 0.05005 for rates in found.values())
    print(f"{len(found)} sizes tried, worst {ours:.4f}; Tango alone {before:.4f}, {over} over 5 %")
    assert ours <= 0.05005
    assert before > 0.0515, "the control: the same score with a normal tail"


@pytest.mark.parametrize("n", [52, 87, 118, 200])
def test_what_other_rules_ship(n: int) -> None:
    rules = (shipping.wald_ships, shipping.point_ships, shipping.insignificance_ships)
    assert all(shipping.wrongly_ships(rule, n, 0.05) > 0.06 for rule in rules)


CELLS = [*shipping.cells()]
DRAWN = [CELLS[13 * place % len(CELLS)] for place in range(20)]


@pytest.mark.parametrize("cell", DRAWN, ids=str)
def test_J17_units_that_depend_are_wrongly_shipped_no_more_often(cell: shipping.Cell) -> None:
    drawn = shipping.draw(cell, 2000)
    print(f"{drawn.gate} of 2,000 shipped; before: {drawn.before}")
    assert drawn.gate <= 0.065 * 2000


def test_J17_the_rules_before_would_not_have_held_that() -> None:
    alike = shipping.draw(next(cell for cell in CELLS if cell.alike == 1), 500)
    asked = shipping.draw(next(cell for cell in CELLS if cell.kind == "repeats"), 2000)
    assert (alike.gate, alike.before > 250) == (0, True)
    assert asked.before > 0.065 * 2000 > asked.gate


def test_a_normal_tail_would_call_worse_what_the_exact_test_does_not() -> None:
    assert tango(3, 0, 100, 0.95, 1).upper < 0
    assert bounds(0.05, 3, 0, 100).upper < 0
    assert paired.label(Effective(100, 3, 0), BAR) == "inconclusive"


def test_J17_ten_pairs_that_were_all_fixed_are_better_and_nine_say_nothing() -> None:
    labels = [paired.label(Effective(n, 0, n), BAR) for n in (9, 10)]
    assert labels == ["inconclusive", "better"]
