"""The gate's statistics against published values, other implementations and enumeration."""

import gc
import random
import warnings
from collections.abc import Callable
from functools import lru_cache
from math import comb, log, sqrt

import pytest

from fftdeploy.evaluation.judging import paired
from fftdeploy.evaluation.judging.statistics import (
    binomial_tail,
    clopper_pearson,
    holm,
    mcnemar,
    normal_quantile,
    pseudo_t,
    quantile_rank,
    quantile_ranks,
    t_cdf,
    t_quantile,
    tango,
    tango_score,
    wilson,
)

TABLES = 300
BAR = paired.Bar(margin=0.05, confidence=0.95, risk=1 - 0.95)
RATES = [rate / 100 for rate in range(5, 31)]


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
    ("passed", "n", "sides", "lower", "upper"),
    [
        (91, 100, 2, "0.837737871", "0.951927460"),
        (91, 100, 1, "0.851511751", ""),
        (17, 20, 2, "0.639581", "0.947631"),
        (5, 5, 2, "0.565518", "1"),
        (0, 30, 2, "0", "0.113513"),
        (850, 1000, 2, "0.826531", "0.870790"),
    ],
)
def test_wilson_has_the_published_bounds(
    passed: int, n: int, sides: int, lower: str, upper: str
) -> None:
    found = wilson(passed, n, 0.95, sides)
    assert printed(found.lower, lower)
    assert not upper or printed(found.upper, upper)


@pytest.mark.parametrize(
    ("passed", "n", "sides", "lower", "upper"),
    [
        (91, 100, 2, "0.836017745", "0.958016404"),
        (30, 30, 1, "0.904966", "1"),
        (59, 59, 1, "0.950492", "1"),
        (299, 299, 1, "0.990031", "1"),
        (0, 30, 1, "0", "0.095034"),
    ],
)
def test_clopper_pearson_has_the_published_bounds(
    passed: int, n: int, sides: int, lower: str, upper: str
) -> None:
    found = clopper_pearson(passed, n, 0.95, sides)
    assert printed(found.lower, lower)
    assert printed(found.upper, upper)


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
    ("values", "groups", "lower", "upper"),
    [
        ([0.0] * 90 + [1.0] * 4 + [-1.0] * 6, None, "-0.076173", "0.036957"),
        ([0.0] * 60, None, "-0.038409", "0.038409"),
        ([0.0] * 90 + [1.0] * 4 + [-1.0] * 6, 5, "-0.122923", "0.083707"),
    ],
)
def test_pseudo_t_has_the_known_bounds(
    values: list[float], groups: int | None, lower: str, upper: str
) -> None:
    named = None if groups is None else [place // groups for place in range(len(values))]
    found = pseudo_t(values, named)
    assert printed(found.lower, lower)
    assert printed(found.upper, upper)
    assert found.p_worse + found.p_better == pytest.approx(1)
    assert found.clusters == (len(values) if groups is None else len(values) // groups)


def test_pseudo_ts_p_value_is_its_bounds() -> None:
    values = [0.0] * 90 + [1.0] * 2 + [-1.0] * 8
    p = pseudo_t(values).p_worse
    assert pseudo_t(values, None, 1 - p).upper == pytest.approx(0, abs=1e-12)
    better = pseudo_t([-value for value in values])
    assert (better.p_better, better.lower) == pytest.approx((p, -pseudo_t(values).upper))


def test_groups_of_one_are_no_groups() -> None:
    values = [0.0] * 40 + [1.0] * 3 + [-0.5] * 4
    assert pseudo_t(values, list(range(47))) == pytest.approx(pseudo_t(values))


@pytest.mark.parametrize(
    ("df", "expected"), [(1, "6.313752"), (9, "1.833113"), (49, "1.676551"), (99, "1.660391")]
)
def test_t_quantiles(df: int, expected: str) -> None:
    assert printed(t_quantile(0.95, df), expected)
    assert t_quantile(0.05, df) == pytest.approx(-t_quantile(0.95, df))


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


def test_binomials_and_t_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason=ORACLES)
    dice = random.Random(1)
    for _ in range(TABLES):
        n = dice.choice((1, 7, 60, 500, 5000, 100_000))
        k, p = dice.randrange(n + 1), dice.random()
        assert binomial_tail(k, n, p) == pytest.approx(
            float(stats.binom.sf(k - 1, n, p)), rel=1e-8, abs=1e-200
        )
        df, t = dice.choice((1, 2, 5, 30, 1000, 100_000)), dice.uniform(-8, 8)
        assert t_cdf(t, df) == pytest.approx(float(stats.t.cdf(t, df)), rel=1e-8)
        share = dice.uniform(0.001, 0.999)
        assert t_quantile(share, df) == pytest.approx(
            float(stats.t.ppf(share, df)), rel=1e-8, abs=1e-9
        )


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


def test_clustered_t_agrees_with_statsmodels() -> None:
    """An ordinary regression on a constant, with the cluster sandwich and its correction."""
    linear = pytest.importorskip("statsmodels.regression.linear_model", reason=ORACLES)
    dice = random.Random(6)
    for _ in range(TABLES):
        n, repeats = dice.choice((30, 60)), dice.choice((1, 3))
        values = [dice.choice((-1, 0, 0, 0, 0, 1, 1 / repeats)) for _ in range(n)]
        groups = [dice.randrange(12) for _ in range(n)]
        rows, codes = [*values, -1.0, 1.0], [*groups, 100, 101]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = linear.OLS(rows, [1.0] * len(rows)).fit(
                cov_type="cluster", cov_kwds={"groups": codes}, use_t=True
            )
            low, high = (float(bound) for bound in fit.conf_int(0.1)[0])
        found = pseudo_t(values, groups)
        # Its correction also has (n - 1) / (n - k), which is 1 for one constant.
        assert (found.lower, found.upper) == pytest.approx((low, high), abs=1e-9)


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


def gate_ships(broke: int, fixed: int, n: int) -> bool:
    lower = tango(broke, fixed, n, BAR.confidence, 1).lower
    p = mcnemar(broke, fixed, "worse"), mcnemar(broke, fixed, "better")
    return paired.label(lower, *p, BAR) in {"not-worse", "better"}


def wald_ships(broke: int, fixed: int, n: int) -> bool:
    seen = (fixed - broke) / n
    error = sqrt((broke + fixed) / n - seen * seen) / sqrt(n)
    return seen - normal_quantile(0.95) * error > -0.05


def point_ships(broke: int, fixed: int, n: int) -> bool:
    return 20 * (broke - fixed) <= n


def insignificance_ships(broke: int, fixed: int, n: int) -> bool:
    return mcnemar(broke, fixed) > 0.05 or fixed > broke


@lru_cache
def wrongly_ships(rule: Callable[[int, int, int], bool], n: int) -> float:
    """Return the greatest chance, in per cent, to ship a candidate that is 5 points worse."""
    most = max(d for d in range(n + 1) if binomial_tail(d, n, 0.3) > 1e-9)
    shipped = [(b, d - b) for d in range(most + 1) for b in range(d + 1) if rule(b, d - b, n)]
    worst = 0.0
    for rate in RATES:
        only_live, only_new = (rate + 0.05) / 2, (rate - 0.05) / 2
        rest = 1 - rate
        chance = sum(
            comb(n, b) * comb(n - b, c) * only_live**b * only_new**c * rest ** (n - b - c)
            for b, c in shipped
        )
        worst = max(worst, chance)
    return 100 * worst


@pytest.mark.parametrize("n", [50, 100, 200])
def test_the_gate_wrongly_ships_at_most_5_5_percent(n: int) -> None:
    """At the margin itself, over every rate of disagreement from 5 to 30 %, by enumeration."""
    rules = (gate_ships, wald_ships, point_ships, insignificance_ships)
    found = {rule.__name__: wrongly_ships(rule, n) for rule in rules}
    print(f"n={n}, wrongly ships:", {name: f"{chance:.1f}%" for name, chance in found.items()})
    assert found["gate_ships"] <= 5.5
    # The controls are what other rules would ship; the check can fail, because they do.
    controls = {50: ("10.5", 54, 96), 100: ("11.8", 62, 90), 200: ("12.4", 58, 79)}[n]
    assert (
        f"{found['wald_ships']:.1f}",
        round(found["point_ships"]),
        round(found["insignificance_ships"]),
    ) == controls


def test_a_normal_tail_would_call_worse_what_the_exact_test_does_not() -> None:
    assert tango(3, 0, 100, 0.95, 1).upper < 0
    p = mcnemar(3, 0, "worse"), mcnemar(3, 0, "better")
    assert paired.label(tango(3, 0, 100, 0.95, 1).lower, *p, BAR) == "inconclusive"
