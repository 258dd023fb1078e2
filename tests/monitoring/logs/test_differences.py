"""Tests of two windows: against scipy, against each other, and by draws whose truth is known."""

from collections import Counter
from random import Random

import pytest

from fftdeploy.evaluation.graders.form import AnswerForm
from fftdeploy.monitoring.logs import differences
from fftdeploy.monitoring.logs.compared import MeasureShift, compare
from fftdeploy.monitoring.logs.window import LogWindow
from fftdeploy.policy.grader_rules import GraderRules

ORACLES = "scipy and statsmodels come with the test extra"
SHARES = {"billing": 0.3, "refund": 0.2, "shipping": 0.5}
COUNT = 2000


def test_fisher_and_ranks_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason=ORACLES)
    random = Random(3)
    for _ in range(25):
        n, m = random.randint(1, 400), random.randint(1, 400)
        then, now = random.randint(0, n), random.randint(0, m) // random.choice([1, 20])
        ours = differences.of_rates(then, n, now, m)
        theirs = stats.fisher_exact([[then, n - then], [now, m - now]]).pvalue
        assert ours.p == pytest.approx(theirs, rel=1e-6, abs=1e-15)
        sizes = [
            [random.randint(0, 9) + late for _ in range(size)] for late, size in ((0, n), (1, m))
        ]
        found = differences.of_sizes(*map(Counter, sizes))
        test = stats.mannwhitneyu(
            sizes[1], sizes[0], method="asymptotic", use_continuity=False, alternative="two-sided"
        )
        assert found.p == pytest.approx(test.pvalue if test.pvalue == test.pvalue else 1, rel=1e-6)
        assert found.effect == pytest.approx(2 * test.statistic / (n * m) - 1)
    assert differences.of_rates(50_000, 500_000, 51_000, 500_000).p == pytest.approx(
        0.000915, abs=1e-6
    )


def test_a_mix_of_two_values_has_the_chance_that_fisher_has() -> None:
    for then, now in ((40, 60), (45, 60), (20, 41)):
        mix = differences.of_mixes({"a": then, "b": 200 - then}, {"a": now, "b": 200 - now})
        exact = differences.of_rates(then, 200, now, 200)
        assert mix.p == pytest.approx(exact.p, rel=0.5)
        assert mix.effect == pytest.approx(abs(exact.effect))


def drawn(random: Random, shares: dict[str, float], count: int = COUNT) -> dict[str, int]:
    return dict(Counter(random.choices([*shares], [*shares.values()], k=count)))


def window(random: Random, shift: float = 0.0) -> LogWindow:
    shares = {**SHARES, "billing": 0.3 - shift, "refund": 0.2 + shift}
    rates = {"valid": 0.99, "refused": 0.004}
    counts = {name: drawn(random, {"yes": rate, "no": 1 - rate}) for name, rate in rates.items()}
    return LogWindow("00", COUNT, counts={"field category": drawn(random, shares), **counts})


def any_three_points(then: LogWindow, now: LogWindow) -> bool:
    """Tell what the rule says that people write first: the control."""
    return any(
        abs(then.counts[name].get(value, 0) - now.counts[name].get(value, 0)) >= 0.03 * COUNT
        for name in then.counts
        for value in then.counts[name]
    )


def test_labels_that_move_by_ten_points_are_found_and_chance_is_not() -> None:
    random = Random(11)
    pairs = [(window(random), window(random)) for _ in range(100)]
    assert sum(any(shift.code for shift in compare(*pair)) for pair in pairs) <= 3
    assert sum(any_three_points(*pair) for pair in pairs) > 6  # of each hundred, which we keep to
    moved = [_category(compare(window(random), window(random, 0.1))) for _ in range(8)]
    assert {shift.code for shift in moved} == {"answers-moved"}


def _category(shifts: tuple[MeasureShift, ...]) -> MeasureShift:
    return next(shift for shift in shifts if shift.measure == "field category")


def paired(up: int, down: int, same: int, overall: float) -> MeasureShift:
    """Compare windows whose rate of `a` rises by `overall`, with so many inputs asked again."""
    then, now = (
        LogWindow("00", 1000, counts={"field x": {"a": count, "b": 1000 - count}})
        for count in (300, round(300 + 1000 * overall))
    )
    both = [("b", "a")] * up + [("a", "b")] * down + [("a", "a")] * same
    for number, (before, after) in enumerate(both):
        then.inputs[str(number)] = {"field x": before}
        now.inputs[str(number)] = {"field x": after}
    return compare(then, now)[0]


@pytest.mark.parametrize(
    ("up", "down", "same", "cause"),
    [
        (60, 5, 335, "model"),
        (6, 5, 389, "data"),
        (40, 40, 320, "data"),  # noise alone, and much of it
        (3, 0, 17, "unknown"),
        (0, 0, 19, "unknown"),
    ],
)
def test_the_model_is_told_from_what_it_is_asked(up: int, down: int, same: int, cause: str) -> None:
    shift = paired(up, down, same, 0.2)
    assert (shift.cause, shift.again, shift.moved) == (cause, up + down + same, up - down)
    assert shift.code == {"model": "model-moved", "data": "data-moved"}.get(cause, "answers-moved")


LABEL = GraderRules("label", "l", {"labels": ["yes", "no"]})
FIELDS = GraderRules(
    "json_fields", "f", {"fields": {"a": {"kind": "exact"}, "n": {"kind": "number"}}}
)
SCHEMA = GraderRules(
    "json_schema",
    "s",
    {"schema": {"required": ["k"], "properties": {"k": {"enum": ["u", "v"]}, "t": {}}}},
)
FORMS = [
    (LABEL, {" yes ": True, "maybe": False, "": False}, ("no", [("answer", "no")])),
    (
        FIELDS,
        {'{"a": 1, "n": 2}': True, '{"a": 1}': False, "no": False},
        ('{"a": 5}', [("a", "5")]),
    ),
    (
        SCHEMA,
        {'{"k": "u"}': True, '{"k": "w"}': False, "{}": False},
        ('{"t": 1}', [("k", "(none)")]),
    ),
    (GraderRules("number", "n", {}), {"5": True, "five": False}, ("5", [])),
    (GraderRules("regex", "r", {"pattern": "a+"}), {"aa": True, "b": False}, ("a", [])),
    (GraderRules("text_similarity", "t", {}), {"anything": True, "": False}, ("a", [])),
]


@pytest.mark.parametrize(
    ("rule", "valid", "values"), FORMS, ids=[rule.type for rule, _, _ in FORMS]
)
def test_what_graders_know_without_an_agreed_answer(
    rule: GraderRules, valid: dict[str, bool], values: tuple[str, list[tuple[str, str]]]
) -> None:
    form = AnswerForm((rule,))
    assert {text: form.is_valid(text, None) for text in valid} == valid
    assert list(form.values(values[0])) == values[1]
