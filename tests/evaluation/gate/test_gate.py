"""What the gate says of a candidate: every rule, both sides of every boundary, and its words."""
# ruff: noqa: E501  a case is a line of its table

import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import Any

import pytest

from fftdeploy.errors import UnverifiedError
from fftdeploy.evaluation.gate import gate
from fftdeploy.evaluation.gate.gate import Best, GateQuestion
from fftdeploy.evaluation.results import MARKS, Column, Results, Sample
from fftdeploy.evaluation.verdict import Reason, Verdict
from fftdeploy.policy.gate_rules import Budgets, Floors, GateRules
from fftdeploy.policy.prices import Price

RULES = GateRules((), ())
PASS, WRONG, LOST = Sample("pass"), Sample("wrong"), Sample("api-error")


def results(
    live: Sequence[Sample] | None,
    candidate: Sequence[Sample],
    *,
    repeats: int = 1,
    groups: Sequence[str] = (),
    slices: Sequence[tuple[str, ...]] = (),
    keys: tuple[str, ...] = (),
    fields: tuple[str, ...] = (),
    must_pass: Sequence[int] = (),
) -> Results:
    made = Results(repeats, keys, fields)
    for number in range(len(candidate) // repeats):
        made.add_example(
            f"e{number}",
            groups[number] if groups else "",
            slices[number] if slices else (),
            must_pass=number in must_pass,
        )
    for arm, samples in (("live", live), ("candidate", candidate)):
        if samples is not None:
            fill(made.add_arm(arm), samples)
    return made


def fill(column: Column, samples: Sequence[Sample]) -> None:
    for place, sample in enumerate(samples):
        column.put(place, sample)


def table(broke: int, fixed: int, n: int, both_fail: int = 0, **options: Any) -> Results:
    """Answers of which the first broke, the next were fixed, and the last fail in both arms."""
    passed = n - broke - fixed - both_fail
    return results(
        [PASS] * broke + [WRONG] * fixed + [PASS] * passed + [WRONG] * both_fail,
        [WRONG] * broke + [PASS] * fixed + [PASS] * passed + [WRONG] * both_fail,
        **options,
    )


def judge(rules: GateRules, made: Results, **options: Any) -> Verdict:
    given = {"name": "triage@cand", "has_baseline": "live" in made.arms, "reviewed": len(made)}
    return gate.judge(GateQuestion(rules=rules, results=made, **{**given, **options}))


def found(verdict: Verdict) -> list[tuple[str, str, str]]:
    return [(reason.code, reason.rules, reason.message) for reason in verdict.reasons]


# ---- the decision and its words --------------------------------------------------------------


@pytest.mark.parametrize(
    ("broke", "fixed", "n", "ruling", "label"),
    [
        (0, 0, 58, "inconclusive", "inconclusive"),
        (0, 0, 59, "pass", "not-worse"),
        (9, 9, 250, "pass", "not-worse"),
        (6, 4, 100, "inconclusive", "inconclusive"),
        (4, 2, 200, "pass", "not-worse"),
        (8, 2, 200, "inconclusive", "inconclusive"),
        (12, 3, 100, "fail", "worse"),
        (3, 12, 100, "pass", "better"),
        (3, 0, 100, "inconclusive", "inconclusive"),
        (1, 0, 60, "inconclusive", "inconclusive"),
        (3, 3, 87, "inconclusive", "inconclusive"),
        (9, 0, 9, "inconclusive", "inconclusive"),
        (0, 9, 9, "inconclusive", "inconclusive"),
        (0, 10, 12, "pass", "better"),
    ],
)
def test_J17_the_decisions_at_a_margin_of_5_points(
    broke: int, fixed: int, n: int, ruling: str, label: str
) -> None:
    verdict = judge(RULES, table(broke, fixed, n))
    assert (verdict.ruling, verdict.label) == (ruling, label)
    assert verdict.comparison
    assert (verdict.comparison.broke, verdict.comparison.fixed) == (broke, fixed)
    assert verdict.broke == tuple(f"e{place}" for place in range(broke))
    assert verdict.fixed == tuple(f"e{place}" for place in range(broke, broke + fixed))


def test_a_pass_in_words() -> None:
    verdict = judge(RULES, table(9, 9, 250, both_fail=13))
    assert verdict.headline == "not worse: 95% sure it is at most 3.1 points below live (limit 5.0)"
    assert verdict.detail == (
        "250 reviewed pairs: 9 fixed, 9 broke, 232 same     live 91.2% [87.0-94.1]  candidate 91.2% [87.0-94.1]",
    )
    assert (verdict.reasons, verdict.needed, verdict.reports_only) == ((), None, False)


def test_an_inconclusive_verdict_in_words_says_how_many_would_settle_it() -> None:
    verdict = judge(RULES, table(6, 4, 100, both_fail=5))
    headline = "100 pairs can't settle it: could be 7.9 points worse (limit 5.0)"
    assert verdict.headline == headline
    assert verdict.detail == (
        "100 reviewed pairs: 4 fixed, 6 broke, 90 same     live 91.0% [83.8-95.2]  candidate 89.0% [81.4-93.7]",
        "~269 pairs would usually settle it at this disagreement rate; or margin = 0.10",
    )
    assert verdict.reasons == (Reason("margin", "inconclusive", headline),)
    assert (verdict.needed, verdict.settling) == (269, verdict.detail[1])


def test_a_failure_in_words() -> None:
    verdict = judge(RULES, table(12, 3, 100))
    headline = "worse: 12 broke, 3 fixed (exact p = 0.018); could be up to 15.9 points worse"
    assert verdict.headline == headline
    assert verdict.detail == (
        "100 reviewed pairs: 3 fixed, 12 broke, 85 same     live 97.0% [91.5-99.0]  candidate 88.0% [80.2-93.0]",
    )
    assert verdict.reasons == (Reason("worse", "fail", headline),)
    assert verdict.needed is None


def test_better_in_words() -> None:
    verdict = judge(RULES, table(3, 12, 100))
    assert verdict.headline == "better (p = 0.018): 95% sure it is at least 2.4 points above live"


def test_a_bound_that_rounds_to_the_limit_is_told_apart_from_it() -> None:
    message = judge(replace(RULES, margin=0.1), table(10, 11, 68)).headline
    assert "could be 10.01 points worse (limit 10.0)" in message


def test_every_number_of_the_comparison() -> None:
    comparison = judge(RULES, table(6, 4, 100, both_fail=5)).as_json()["comparison"]
    assert comparison == {
        "n": 100,
        "passed_both": 85,
        "broke": 6,
        "fixed": 4,
        "failed_both": 5,
        "difference": -0.02,
        "lower": -0.079104,
        "upper": 0.03609,
        "p_margin": 0.258339,
        "p_worse": 0.376953,
        "p_better": 0.828125,
        "method": "exact",
        "label": "inconclusive",
        "groups": 0,
        "units": 100.0,
    }


@pytest.mark.parametrize(
    ("n", "ways"),
    [
        (60, ["margin = 0.10"]),
        (30, ["margin = 0.15"]),
        (15, []),
    ],
)
def test_a_wider_margin_is_offered_where_it_would_pass(n: int, ways: list[str]) -> None:
    verdict = judge(RULES, table(1, 0, n))
    assert verdict.detail[1].split("; or ")[1:] == ways
    if ways:
        wider = replace(RULES, margin=float(ways[-1].removeprefix("margin = ")))
        assert judge(wider, table(1, 0, n)).ruling == "pass"


def test_a_candidate_that_looks_worse_needs_more_than_an_equal_one() -> None:
    verdict = judge(RULES, table(25, 15, 400))
    assert (verdict.ruling, verdict.needed) == ("inconclusive", 990)


# ---- modes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broke", "fixed", "n", "ruling", "headline"),
    [
        (
            0,
            5,
            60,
            "pass",
            "better (p = 0.031): 95% sure it is at least 2.6 points above live",
        ),
        (0, 4, 60, "inconclusive", "not shown to be better: 4 fixed, 0 broke (exact p = 0.062)"),
        (9, 9, 250, "inconclusive", "not shown to be better: 9 fixed, 9 broke (exact p = 0.593)"),
        (
            12,
            3,
            100,
            "fail",
            "worse: 12 broke, 3 fixed (exact p = 0.018); could be up to 15.9 points worse",
        ),
    ],
)
def test_mode_better_passes_only_what_is_better(
    broke: int, fixed: int, n: int, ruling: str, headline: str
) -> None:
    verdict = judge(replace(RULES, mode="better"), table(broke, fixed, n))
    assert (verdict.ruling, verdict.headline) == (ruling, headline)


def test_mode_better_says_how_many_would_show_it() -> None:
    verdict = judge(replace(RULES, mode="better"), table(2, 6, 100))
    assert verdict.needed == 335
    assert verdict.detail[1] == "~335 pairs would usually show it at this difference"
    assert judge(replace(RULES, mode="better"), table(6, 6, 100)).needed is None


@pytest.mark.parametrize(
    ("passed", "n", "ruling", "headline"),
    [
        (
            29,
            29,
            "pass",
            "above the threshold: 95% sure triage@cand passes 90.2% or more (threshold 90%)",
        ),
        (
            28,
            28,
            "inconclusive",
            "28 examples can't settle it: triage@cand passes 100.0%, maybe only 89.9% (threshold 90%)",
        ),
        (
            84,
            100,
            "fail",
            "under the threshold: 95% sure triage@cand passes 89.7% or less (threshold 90%)",
        ),
        (
            85,
            100,
            "inconclusive",
            "100 examples can't settle it: triage@cand passes 85.0%, maybe only 77.8% (threshold 90%)",
        ),
        (
            9,
            9,
            "inconclusive",
            "9 examples can't settle it: 10 or more are needed",
        ),
    ],
)
def test_mode_threshold_needs_no_live_model(
    passed: int, n: int, ruling: str, headline: str
) -> None:
    rules = replace(RULES, mode="threshold", threshold=0.9)
    verdict = judge(rules, results(None, [PASS] * passed + [WRONG] * (n - passed)))
    assert (verdict.ruling, verdict.label, verdict.headline) == (ruling, "no-baseline", headline)


def test_mode_threshold_says_how_many_would_settle_it() -> None:
    rules = replace(RULES, mode="threshold", threshold=0.9, on_inconclusive="allow")
    verdict = judge(rules, results(None, [PASS] * 57 + [WRONG] * 3))
    assert verdict.needed == 191
    assert verdict.detail == (
        "60 reviewed examples     candidate 95.0% [86.3-98.3]",
        "~191 examples would usually settle it at this pass rate",
        'on_inconclusive = "allow": with 60 examples, a pass rate 10 points under the threshold gets through 32% of the time',
    )


def test_a_threshold_that_is_missed_fails_however_many_candidates_share_the_risk() -> None:
    rules = replace(RULES, mode="threshold", threshold=0.9)
    missed = results(None, [PASS] * 84 + [WRONG] * 16)
    assert judge(rules, missed, candidates=3).headline == judge(rules, missed).headline
    reached = results(None, [PASS] * 29)
    assert judge(rules, reached).ruling == "pass"
    assert judge(rules, reached, candidates=3).ruling == "inconclusive"


def test_mode_threshold_does_not_ask_whether_it_is_worse_than_live() -> None:
    rules = replace(RULES, mode="threshold", threshold=0.8, slices=("lang",))
    slices = [("de",)] * 99 + [("fr",)]
    made = table(12, 3, 100, keys=("lang",), slices=slices)
    verdict = judge(rules, made)
    assert (verdict.ruling, verdict.label) == ("pass", "worse")
    assert [reason[:2] for reason in found(verdict)] == [("slice", "")]


def test_report_only_rules_and_stops_nothing() -> None:
    verdict = judge(replace(RULES, mode="report-only"), table(12, 3, 100))
    assert (verdict.ruling, verdict.reports_only) == ("fail", True)
    assert replace(verdict, reports_only=False) == judge(RULES, table(12, 3, 100))


def test_allow_says_what_it_lets_through() -> None:
    verdict = judge(replace(RULES, on_inconclusive="allow"), table(1, 0, 60))
    assert verdict.ruling == "inconclusive"
    assert verdict.detail[-1] == (
        'on_inconclusive = "allow": with 60 pairs, a model 10.0 points worse gets through 48% of the time'
    )


def test_J17_what_is_let_through_is_told_of_groups() -> None:
    made = table(0, 0, 100, groups=[f"g{place // 2}" for place in range(100)])
    verdict = judge(replace(RULES, on_inconclusive="allow"), made)
    alone = judge(replace(RULES, on_inconclusive="allow"), table(0, 0, 50))
    said = "with 50 {}, a model 10.0 points worse gets through 58% of the time"
    assert verdict.detail[-1].endswith(said.format("groups"))
    assert alone.detail[-1].endswith(said.format("pairs"))


def test_candidates_tried_together_share_the_risk() -> None:
    alone, shared = (judge(RULES, table(0, 0, 60), candidates=m) for m in (1, 3))
    assert (alone.ruling, shared.ruling) == ("pass", "inconclusive")
    assert judge(RULES, table(0, 0, 83), candidates=3).ruling == "pass"
    assert judge(RULES, table(0, 0, 82), candidates=3).ruling == "inconclusive"
    assert (
        shared.detail[1]
        == "3 candidates share the risk of a wrong pass: each is held to 98.33% confidence"
    )
    # Whether a candidate is called worse is no pass, and is not shared.
    assert judge(RULES, table(12, 3, 100), candidates=3).ruling == "fail"
    assert judge(RULES, table(3, 12, 100), candidates=3).label == "not-worse"


# ---- nothing to judge ----------------------------------------------------------------------------

MODES = ("not-worse", "better", "threshold", "report-only")
CUT = Sample("truncated")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("live", "candidate", "headline"),
    [
        (
            [WRONG] * 60,
            [WRONG] * 60,
            "triage@cand passes none of 60 examples: 60 of 60 answers wrong, such as e0",
        ),
        (
            [PASS] * 58 + [WRONG] * 2,
            [WRONG] + [CUT] * 59,
            "triage@cand passes none of 60 examples: 59 of 60 answers cut off: max_completion_tokens, such as e1",
        ),
        (
            [PASS] * 60,
            [Sample("unparsable")] * 20 + [CUT] * 40,
            "no answer of triage@cand is of the right shape: 40 of 60 answers cut off: max_completion_tokens, such as e20",
        ),
        (
            [PASS] * 4 + [WRONG] * 296,
            [WRONG] * 300,
            "triage@cand passes none of 300 examples: 300 of 300 answers wrong, such as e0",
        ),
    ],
)
def test_J18_a_candidate_that_passes_nothing_settles_nothing(
    mode: Any, live: Sequence[Sample], candidate: Sequence[Sample], headline: str
) -> None:
    rules = replace(RULES, mode=mode, threshold=0.0, on_inconclusive="allow")
    for made in (results(live, candidate), results(None, candidate)):
        verdict = judge(rules, made)
        assert (verdict.ruling, verdict.may_be_allowed) == ("inconclusive", False)
        assert verdict.headline.removeprefix("nothing else is live to compare with: ") == headline
        assert verdict.label in {"inconclusive", "no-baseline"}
        assert [reason.code for reason in verdict.reasons if reason.rules] == ["nothing"]
        assert verdict.needed is None


@pytest.mark.parametrize(
    ("passed", "ruling"), [(0, "inconclusive"), (15, "inconclusive"), (16, "pass")]
)
def test_J18_nothing_is_worse_than_a_live_model_that_passes_no_more_than_the_margin(
    passed: int, ruling: str
) -> None:
    made = results(
        [PASS] * passed + [Sample("refused")] * (300 - passed), [PASS] * 20 + [WRONG] * 280
    )
    verdict = judge(RULES, made)
    assert verdict.ruling == ruling
    if ruling != "pass":
        assert verdict.headline == (
            f"nothing can be 5.0 points worse than live, which passes {passed} of 300 examples: "
            f"{300 - passed} of 300 answers refused, such as e{passed}"
        )
    # Whatever live does, a threshold asks of the candidate alone.
    assert judge(replace(RULES, mode="threshold", threshold=0.01), made).ruling == "pass"


def test_J18_a_broken_rule_is_graver_than_nothing_to_judge() -> None:
    rules = replace(RULES, floors=Floors(pass_rate=Fraction("0.9")))
    verdict = judge(rules, results([PASS] * 60, [WRONG] * 60, must_pass=(7,)))
    assert [(reason.code, reason.rules) for reason in verdict.reasons] == [
        ("must-pass", "fail"),
        ("floor", "fail"),
        ("nothing", "inconclusive"),
    ]


def test_J18_why_answers_fail_is_counted_where_they_are_not_just_wrong() -> None:
    made = table(0, 0, 100)
    fill(made.arms["candidate"], [CUT] * 10 + [Sample("refused"), WRONG])
    verdict = judge(RULES, made)
    assert verdict.headline.startswith("worse: 12 broke, 0 fixed")
    assert verdict.detail[1:] == (
        "candidate fails 12 of 100 answers: 10 cut off: max_completion_tokens (such as e0), 1 wrong (such as e11), "
        "1 refused (such as e10)",
    )
    assert len(judge(RULES, table(12, 0, 100)).detail) == 1


# ---- the set of examples ------------------------------------------------------------------------


@pytest.mark.parametrize("has_baseline", [True, False])
def test_E8_nothing_of_nothing_never_passes(*, has_baseline: bool) -> None:
    made = table(0, 0, 0) if has_baseline else results(None, [])
    verdict = judge(RULES, made)
    alone = () if has_baseline else ("nothing else is live to compare with",)
    assert verdict.ruling == "inconclusive"
    assert verdict.headline == "0 reviewed examples: the gate asks for 1 or more"
    assert verdict.detail == alone
    assert found(verdict) == [
        ("too-few", "inconclusive", "0 reviewed examples: the gate asks for 1 or more")
    ]
    assert all((arm.n, arm.rate, arm.valid) == (0, 0.0, 0.0) for arm in verdict.arms)


def test_E9_fewer_examples_than_the_least_settle_nothing() -> None:
    rules = replace(RULES, min_examples=200)
    assert judge(rules, table(0, 0, 200)).ruling == "pass"
    verdict = judge(rules, table(0, 0, 199))
    assert (verdict.ruling, verdict.headline) == (
        "inconclusive",
        "199 examples: the gate asks for 200 or more",
    )
    # What the comparison said is not lost.
    assert verdict.detail[1].startswith("not worse: 95% sure")


def test_E8_unreviewed_examples_are_counted_and_can_block() -> None:
    made = table(0, 0, 100)
    verdict = judge(RULES, made, reviewed=88)
    assert verdict.ruling == "pass"
    assert verdict.detail[0].startswith("100 pairs (12 unreviewed): 0 fixed")
    strict = replace(RULES, require_reviewed=True)
    assert judge(strict, made).ruling == "pass"
    blocked = judge(strict, made, reviewed=88)
    assert (blocked.ruling, blocked.headline) == (
        "fail",
        "12 of 100 are unreviewed, the gate asks for review",
    )
    nobody = judge(strict, made, reviewed=0)
    assert (
        nobody.headline == "0 reviewed examples: all 100 are unreviewed, the gate asks for review"
    )


# ---- answers lost to the API ----------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["live", "candidate"])
def test_E14_over_2_percent_lost_is_unverified_and_never_a_failure(arm: str) -> None:
    for lost in (3, 5):
        made = table(0, 0, 100)
        fill(made.arms[arm], [LOST] * lost)
        with pytest.raises(UnverifiedError) as caught:
            judge(RULES, made)
        assert (
            caught.value.message
            == f"the API failed for {lost} of 100 answers of {arm}: over 2% are missing"
        )
        assert caught.value.hint == "run it again: the answers that came are kept"


def test_E14_2_percent_lost_count_against_the_candidate() -> None:
    made = table(0, 0, 100)
    fill(made.arms["candidate"], [LOST] * 2)
    verdict = judge(RULES, made)
    assert verdict.broke == ("e0", "e1")
    assert found(verdict)[-1] == (
        "missing",
        "",
        "2 of 100 answers of candidate missing (the API failed): counted as failed",
    )


def test_J13_E14_a_lost_answer_of_live_counts_as_passed() -> None:
    made = results([LOST, LOST] + [PASS] * 98, [WRONG, PASS] + [PASS] * 98, fields=("a",))
    verdict = judge(RULES, made)
    assert verdict.broke == ("e0",)
    live, candidate = verdict.arms
    assert (candidate.passed, live.passed, live.rate, live.valid) == (99, 100, 1.0, 1.0)
    assert live.passed - candidate.passed == len(verdict.broke), "the lines agree with the pairs"
    assert found(verdict)[-1] == (
        "missing",
        "",
        "2 of 100 answers of live missing (the API failed): counted as passed",
    )
    assert (verdict.slices[0].broke, verdict.slices[0].fixed) == (0, 0)


def test_E14_other_arms_may_lose_any_number() -> None:
    made = table(0, 0, 100)
    fill(made.add_arm("base"), [LOST] * 50 + [PASS] * 50)
    verdict = judge(RULES, made)
    assert verdict.ruling == "pass"
    assert found(verdict) == [
        (
            "missing",
            "",
            "50 of 100 answers of base missing (the API failed): left out of its figures",
        )
    ]
    assert (verdict.arms[2].arm, verdict.arms[2].rate) == ("base", 1.0)


def test_an_unfinished_run_is_not_judged() -> None:
    made = table(0, 0, 60)
    made.arms["candidate"].marks[7] = MARKS.index("")
    with pytest.raises(ValueError, match="candidate is not complete"):
        judge(RULES, made)
    with pytest.raises(ValueError, match="live is not complete"):
        judge(RULES, results(None, [PASS] * 60), has_baseline=True)


# ---- must-pass, floors and budgets ----------------------------------------------------------------


def test_a_failed_must_pass_example_fails_whatever_the_statistics_say() -> None:
    verdict = judge(RULES, table(1, 9, 400, must_pass=(0, 20)))
    assert (verdict.ruling, verdict.label) == ("fail", "better")
    assert verdict.headline == "fails 1 must-pass example: e0"
    assert verdict.must_pass_failed == ("e0",)
    assert judge(RULES, table(1, 9, 400, must_pass=(20,))).ruling == "pass"


def test_a_must_pass_example_that_live_fails_too_blocks_and_is_shown_as_old() -> None:
    verdict = judge(RULES, table(1, 0, 200, both_fail=4, must_pass=(0, 196, 197, 198, 199)))
    assert found(verdict)[0] == (
        "must-pass",
        "fail",
        "fails 5 must-pass examples: e0, e196, e197 and 2 more (live too: e196, e197, e198 and 1 more)",
    )
    assert verdict.reasons[0].examples == ("e0", "e196", "e197", "e198", "e199")


@pytest.mark.parametrize(("answers", "ruling"), [("ppf", "pass"), ("pff", "fail"), ("fff", "fail")])
def test_a_must_pass_example_is_passed_by_the_majority_of_repeats(
    answers: str, ruling: str
) -> None:
    mixed = [PASS if letter == "p" else WRONG for letter in answers]
    made = results([PASS] * 900, mixed + [PASS] * 897, repeats=3, must_pass=(0,))
    assert judge(RULES, made).ruling == ruling


def test_a_tie_over_repeats_fails_a_must_pass_example() -> None:
    made = results([PASS] * 400, [PASS, WRONG] + [PASS] * 398, repeats=2, must_pass=(0,))
    assert judge(RULES, made).must_pass_failed == ("e0",)
    tied = results([PASS, WRONG] * 200, [WRONG, PASS] * 200, repeats=2, must_pass=(0,))
    verdict = judge(RULES, tied)
    assert verdict.reasons[0].message == "fails 1 must-pass example: e0 (live too: e0)"
    assert [(arm.passed, arm.rate) for arm in verdict.arms] == [(0, 0.5), (0, 0.5)]


BOUNDARIES = [
    (n, threshold)
    for n in (1, 3, 7, 10, 50, 52, 99, 100, 250, 1000)
    for threshold in ("0.07", "0.29", "0.57", "0.9", "0.99")
]


@pytest.mark.parametrize(("n", "threshold"), BOUNDARIES)
def test_E18_exactly_at_a_floor_passes_and_one_less_fails(n: int, threshold: str) -> None:
    """Counted in integers: 0.1 + 0.2 is 0.3 here."""
    floor = Fraction(threshold)
    rules = replace(RULES, floors=Floors(pass_rate=floor))
    least = ceil(floor * n)
    for passed, stops in ((least, False), (least - 1, True)):
        made = results(None, [PASS] * passed + [WRONG] * (n - passed))
        verdict = judge(rules, made)
        assert (verdict.ruling == "fail") is stops
        assert [each.code for each in verdict.reasons if each.rules == "fail"] == ["floor"] * stops
        notices = [reason.code for reason in verdict.reasons if not reason.rules]
        assert notices == ["zero-failures"] * (least == n)


def test_E18_floats_would_be_wrong_on_some_of_the_boundaries() -> None:
    wrong = [
        (n, threshold)
        for n, threshold in BOUNDARIES
        if ceil(Fraction(threshold) * n) < float(threshold) * n
    ]
    print(f"{len(BOUNDARIES)} boundaries tried, a float rule is wrong on {len(wrong)}: {wrong}")
    assert len(BOUNDARIES) == 50
    assert (100, "0.07") in wrong


def test_a_floor_in_words_and_one_that_allows_no_failure() -> None:
    rules = replace(RULES, floors=Floors(Fraction("0.9"), Fraction("0.99")))
    unparsable = Sample("unparsable")
    verdict = judge(rules, results(None, [PASS] * 44 + [WRONG] * 5 + [unparsable]))
    assert found(verdict) == [
        ("floor", "fail", "under the floor pass_rate = 0.9: 44 of 50 (88.0%)"),
        ("floor", "fail", "under the floor valid = 0.99: 49 of 50 (98.0%)"),
        ("zero-failures", "", "the floor valid = 0.99 allows 0 failures of 50"),
    ]
    assert verdict.headline == "under the floor pass_rate = 0.9: 44 of 50 (88.0%)"


def test_floors_count_every_repeat() -> None:
    rules = replace(RULES, floors=Floors(pass_rate=Fraction(2, 3)))
    two_of_three = [PASS, PASS, WRONG] * 10
    assert judge(rules, results(None, two_of_three, repeats=3)).ruling == "pass"
    assert judge(rules, results(None, [WRONG, *two_of_three[1:]], repeats=3)).ruling == "fail"


def test_no_margin_is_offered_at_which_live_leaves_nothing_to_judge() -> None:
    live = [PASS] * 4 + [WRONG] * 56
    verdict = judge(RULES, results(live, [PASS] + [WRONG] * 59))
    assert verdict.ruling == "inconclusive"
    assert "or margin" not in verdict.settling
    assert "or margin = 0.15" in judge(RULES, table(4, 1, 60)).settling  # the control


def latencies(values: Sequence[int]) -> Results:
    return results([PASS] * len(values), [Sample("pass", latency_ms=value) for value in values])


def test_a_latency_fails_only_when_it_is_surely_over() -> None:
    rules = replace(RULES, budgets=Budgets(p95_latency_ms=2500))
    fast, slow = [1000] * 180, [3000] * 20
    verdict = judge(rules, latencies(fast + slow))
    assert found(verdict) == [
        (
            "budget",
            "fail",
            "p95 latency 3000 ms (95% sure: 3000 ms or more) is over the budget of 2500 ms",
        )
    ]
    assert (verdict.arms[1].p50_latency_ms, verdict.arms[1].p95_latency_ms) == (1000, 3000)
    maybe = judge(rules, latencies([1000] * 189 + [3000] * 11))
    assert maybe.ruling == "pass"
    assert found(maybe) == [
        (
            "latency",
            "",
            "p95 latency 3000 ms is over the budget of 2500 ms, but the answers measured are too few to be sure (200)",
        )
    ]
    assert judge(rules, latencies([1000] * 190 + [3000] * 10)).reasons == ()
    assert judge(rules, latencies([2500] * 200)).reasons == ()


def test_a_latency_that_nobody_measured_is_said() -> None:
    rules = replace(RULES, budgets=Budgets(p95_latency_ms=2500))
    verdict = judge(rules, table(0, 0, 60))
    assert (verdict.ruling, verdict.may_be_allowed) == ("inconclusive", False)
    assert found(verdict) == [
        (
            "latency",
            "inconclusive",
            "latency was measured of 0 of 60 answers, for the others were known already: "
            "the budget of 2500 ms is not judged; add --fresh to ask anew",
        )
    ]


@pytest.mark.parametrize(("measured", "ruling"), [(29, "inconclusive"), (30, "pass")])
def test_fewer_than_half_of_the_latencies_hold_no_budget(measured: int, ruling: str) -> None:
    rules = replace(RULES, budgets=Budgets(p95_latency_ms=2500))
    some = [1000] * measured + [-1] * (60 - measured)
    assert judge(rules, latencies(some)).ruling == ruling
    slow = [3000] * measured + [-1] * (60 - measured)
    assert judge(rules, latencies(slow)).ruling == "fail"  # surely over, whatever the others took


def test_a_budget_of_money_needs_a_price() -> None:
    rules = replace(RULES, budgets=Budgets(usd_per_1k_requests=0.744))
    paid = Sample("pass", tokens_in=450, tokens_out=120)
    made = results([PASS] * 60, [paid] * 60)
    with pytest.raises(ValueError, match="price"):
        judge(rules, made)
    price = Price(input=0.8, cached_input=0.8, output=3.2)
    assert judge(rules, made, prices={"candidate": price}).ruling == "pass"
    tight = replace(rules, budgets=Budgets(usd_per_1k_requests=0.743))
    assert found(judge(tight, made, prices={"candidate": price})) == [
        ("budget", "fail", "costs $0.744 per 1,000 requests, over the budget of $0.743")
    ]


@pytest.mark.parametrize(("told", "ruling"), [(29, "inconclusive"), (30, "pass")])
def test_J39_a_budget_of_money_is_not_held_by_a_host_that_does_not_say_what_it_took(
    told: int, ruling: str
) -> None:
    """What is not said is not nothing: such a model cost $0, within every budget."""
    rules = replace(RULES, budgets=Budgets(usd_per_1k_requests=0.744), on_inconclusive="allow")
    paid = [Sample("pass", tokens_in=450, tokens_out=120)] * told + [PASS] * (60 - told)
    price = Price(input=0.8, cached_input=0.8, output=3.2)
    verdict = judge(rules, results([PASS] * 60, paid), prices={"candidate": price})
    assert (verdict.ruling, verdict.may_be_allowed) == (ruling, ruling == "pass")
    assert [arm.cost.is_known for arm in verdict.arms if arm.arm == "live"] == [False]
    said = "29 of 60 answers say what tokens they took: the budget of $0.744 can't be held"
    assert found(verdict) == ([("budget", "inconclusive", said)] if told == 29 else [])


def test_the_figures_of_an_arm() -> None:
    sample = Sample("pass", (), 100, 1950, 1664, 120, 20)
    made = results(
        [sample, sample, WRONG._replace(latency_ms=300)], [PASS, LOST, Sample("refused")]
    )
    made.add_example("x", "", (), must_pass=False)
    made.arms.clear()
    fill(made.add_arm("base"), [sample, sample, Sample("refused", (), 300), LOST])
    fill(made.add_arm("candidate"), [PASS] * 4)
    base = judge(RULES, made, has_baseline=False, prices={"base": Price(0.4, 0.1, 1.6)}).as_json()[
        "arms"
    ][0]
    assert base == {
        "arm": "base",
        "n": 3,
        "passed": 2,
        "rate": 0.666667,
        "low": 0.20766,
        "high": 0.938508,
        "valid": 0.666667,
        "marks": {"pass": 2, "refused": 1, "api-error": 1},
        "seen_in": {"refused": "e2", "api-error": "x"},
        "p50_latency_ms": 100,
        "p95_latency_ms": 300,
        "p95_lower_ms": 100,
        "measured": 3,
        "tokens_in": 1300.0,
        "tokens_cached": round(2 * 1664 / 3, 6),
        "tokens_out": 80.0,
        "tokens_reasoning": round(40 / 3, 6),
        "usd_per_1k_requests": 0.3152,
    }


# ---- no baseline ------------------------------------------------------------------------------------


def test_E29_without_a_baseline_something_else_must_be_asked() -> None:
    verdict = judge(RULES, results(None, [PASS] * 100))
    assert (verdict.ruling, verdict.label) == ("inconclusive", "no-baseline")
    assert verdict.headline == (
        "nothing else is live to compare with: nothing to hold triage@cand against: "
        "no live model, no floor of the pass rate, no must-pass example"
    )
    assert [reason.code for reason in verdict.reasons] == ["no-baseline"]
    assert verdict.comparison is None


def test_E29_the_right_shape_alone_is_no_reason_to_pass() -> None:
    """One answer to everything has it: 9 of 67 were right, and the default gate let it through."""
    shaped = replace(RULES, floors=Floors(valid=Fraction("0.99")))
    made = results(None, [PASS] * 9 + [WRONG] * 58)
    verdict = judge(shaped, made)
    assert (verdict.ruling, verdict.reasons[0].code) == ("inconclusive", "no-baseline")
    both = judge(shaped, results(None, [PASS] * 9 + [WRONG] * 58, must_pass=(0,)))
    assert both.headline.endswith("triage@cand meets 1 must-pass example and the floors")


def test_E29_without_a_baseline_floors_and_must_pass_examples_decide() -> None:
    floored = replace(RULES, floors=Floors(pass_rate=Fraction("0.9")))
    good, bad = [PASS] * 100, [WRONG] * 11 + [PASS] * 89
    verdict = judge(floored, results(None, good, must_pass=(0, 1)))
    assert (verdict.ruling, verdict.headline) == (
        "pass",
        "nothing else is live to compare with: triage@cand meets 2 must-pass examples and the floors",
    )
    assert verdict.detail == ("100 reviewed examples     candidate 100.0% [96.3-100.0]",)
    assert judge(RULES, results(None, good, must_pass=(0,))).ruling == "pass"
    assert judge(floored, results(None, bad)).ruling == "fail"
    assert judge(RULES, results(None, bad, must_pass=(0,))).ruling == "fail"


# ---- repeats and groups ------------------------------------------------------------------------------


def test_repeats_are_one_example_each_and_not_three() -> None:
    """Unrepeated, 300 such pairs would pass; they are 100 examples."""
    live, candidate = [PASS] * 300, [WRONG] * 9 + [PASS] * 291
    verdict = judge(RULES, results(live, candidate, repeats=3))
    comparison = verdict.comparison
    assert comparison
    assert (comparison.n, comparison.broke, comparison.method) == (100, 3, "exact")
    assert (verdict.ruling, verdict.broke) == ("inconclusive", ("e0", "e1", "e2"))
    assert verdict.detail[0].startswith(
        "100 reviewed pairs asked 3 times: 0 fixed, 3 broke, 97 same"
    )
    assert "--repeats" not in verdict.settling


def test_J17_repeats_that_agree_are_the_plain_pairs() -> None:
    live = [PASS] * 180 + [WRONG] * 8 + [PASS] * 12
    candidate = [PASS] * 180 + [PASS] * 8 + [WRONG] * 12
    comparison = judge(RULES, results(live, candidate, repeats=2)).comparison
    assert comparison
    assert (round(comparison.lower, 6), round(comparison.upper, 6)) == (-0.079104, 0.03609)
    assert (comparison.passed_both, comparison.failed_both, comparison.difference) == (90, 0, -0.02)


def test_more_repeats_are_advised_where_live_disagrees_with_itself() -> None:
    live, candidate = [PASS, PASS] * 100, [PASS, PASS] * 94 + [WRONG, PASS] * 6
    steady = judge(RULES, results(live, candidate, repeats=2))
    assert steady.settling == (
        "~118 pairs would usually settle it at this disagreement rate; or margin = 0.10"
    )
    wavers = judge(RULES, results([PASS, WRONG, *live[2:]], candidate, repeats=2))
    assert "; or --repeats 4; or " in wavers.settling


def test_groups_widen_the_bounds() -> None:
    groups = [f"g{place // 5}" for place in range(100)]
    made = results(
        [PASS] * 90 + [WRONG] * 4 + [PASS] * 6,
        [PASS] * 90 + [PASS] * 4 + [WRONG] * 6,
        groups=groups,
    )
    verdict = judge(RULES, made)
    assert verdict.comparison
    assert (round(verdict.comparison.lower, 6), verdict.comparison.groups) == (-0.172829, 20)
    assert verdict.detail[0].startswith("100 reviewed pairs in 20 groups: 4 fixed, 6 broke")
    assert verdict.needed == 193
    assert verdict.settling.startswith("~193 groups would usually settle it")


def test_fewer_than_ten_groups_settle_nothing() -> None:
    for count, ruling in ((9, "inconclusive"), (10, "pass")):
        made = table(0, 0, 900, groups=[f"g{place % count}" for place in range(900)])
        verdict = judge(replace(RULES, margin=0.5), made)
        assert verdict.ruling == ruling
        assert verdict.label == ("not-worse" if ruling == "pass" else ruling)
    few = judge(RULES, table(90, 0, 900, groups=["a", "b", "c"] * 300))
    headline = "900 examples in 3 groups can't settle it: 10 groups or more are needed"
    assert found(few) == [("units", "inconclusive", headline)]
    assert few.needed is None
    large = judge(RULES, table(0, 0, 100, groups=[*"abcdefghijkl", *["z"] * 88]))
    assert large.headline == (
        "100 examples in 13 groups, which count as 1.3, can't settle it: 10 groups or more are needed"
    )


def test_J17_ten_groups_that_agree_pass_nothing() -> None:
    """The control is the rule before: it let them through, whatever was true."""
    made = table(0, 0, 100, groups=[f"g{place // 10}" for place in range(100)])
    verdict = judge(RULES, made)
    assert (verdict.ruling, verdict.headline) == (
        "inconclusive",
        "100 pairs can't settle it: could be 26.0 points worse (limit 5.0)",
    )
    assert verdict.settling == "~59 groups would usually settle it at this disagreement rate"


def test_an_example_without_a_group_is_its_own() -> None:
    verdict = judge(replace(RULES, margin=0.1), table(0, 0, 100, groups=["a", "a"] + [""] * 98))
    assert verdict.comparison
    assert (verdict.comparison.groups, verdict.ruling) == (99, "pass")


def test_a_threshold_minds_groups_and_repeats() -> None:
    rules = replace(RULES, mode="threshold", threshold=0.8)
    answers = [PASS] * 88 + [WRONG] * 12
    grouped = results(None, answers, groups=[f"g{place // 4}" for place in range(100)])
    assert judge(rules, results(None, answers)).ruling == "pass"
    assert judge(rules, grouped).ruling == "inconclusive"
    few = results(None, answers, groups=["a", "b"] * 50)
    assert [reason.code for reason in judge(rules, few).reasons] == ["units"]
    perfect = results(None, [PASS] * 100, groups=[f"g{place // 5}" for place in range(100)])
    verdict = judge(rules, perfect)
    assert (
        verdict.headline
        == "above the threshold: 95% sure triage@cand passes 86.1% or more (threshold 80%)"
    )
    # 30 examples asked ten times are not 300.
    assert (
        judge(rules, results(None, [PASS] * 260 + [WRONG] * 40, repeats=10)).ruling
        == "inconclusive"
    )
    assert judge(rules, results(None, [PASS] * 260 + [WRONG] * 40)).ruling == "pass"


# ---- slices and fields --------------------------------------------------------------------------------


def sliced(broke: int, n: int = 40, other: int = 400, values: int = 1) -> Results:
    """One slice of `n` examples of which the first broke, and others without a change."""
    slices = [("de",)] * n + [(f"l{place % values}",) for place in range(other)]
    return table(broke, 0, n + other, keys=("language",), slices=slices)


def test_a_harmed_slice_fails_a_candidate_that_is_not_worse_over_all() -> None:
    verdict = judge(replace(RULES, slices=("language",)), sliced(6))
    assert (verdict.ruling, verdict.label) == ("fail", "not-worse")
    assert found(verdict) == [
        (
            "slice",
            "fail",
            "language=de is worse: 6 broke, 0 fixed of 40 (p = 0.031 after Holm over 2)",
        )
    ]
    assert verdict.reasons[0].examples == tuple(f"e{place}" for place in range(6))
    german = verdict.slices[0]
    assert (german.value, german.n, german.broke, german.fixed) == ("de", 40, 6, 0)
    assert (german.p, german.p_adjusted, german.is_harmed, german.is_small) == (
        1 / 64,
        1 / 32,
        True,
        False,
    )


def test_holm_pays_for_every_slice_that_is_looked_at() -> None:
    """Five broke in one of two slices, or six in one of five: p is .031 and .016 before Holm."""
    for made, harmed in (
        (sliced(5), False),
        (sliced(6, values=4), False),
        (sliced(7, values=4), True),
    ):
        verdict = judge(replace(RULES, slices=("language",)), made)
        assert (verdict.ruling == "fail") is harmed
        assert verdict.slices[0].p <= 0.05  # unadjusted, each would be an alarm


def test_J17_a_slice_is_harmed_only_by_more_than_the_margin() -> None:
    """Five broken of 400 are surely harm, and are what the whole bar lets through."""
    for n, broke, ruling in ((400, 20, "pass"), (400, 21, "fail"), (100, 6, "fail")):
        made = sliced(broke, n=n, other=2000)
        verdict = judge(replace(RULES, slices=("language",)), made)
        assert verdict.slices[0].p_adjusted <= 0.05
        assert verdict.ruling == ruling


def test_J17_a_slice_that_holds_every_example_is_none() -> None:
    rules = replace(RULES, slices=("language",))
    for others, shown in (([], 0), ([("",)], 1), ([("fr",)], 2)):
        slices = [("de",)] * (100 - len(others)) + others
        made = table(0, 0, 100, keys=("language",), slices=slices)
        assert len(judge(rules, made).slices) == shown


def test_an_example_without_a_value_is_in_no_slice_and_small_ones_are_marked() -> None:
    slices = [("de",)] * 19 + [("",)] * 61 + [("fr",)] * 20
    verdict = judge(
        replace(RULES, slices=("language",)), table(0, 0, 100, keys=("language",), slices=slices)
    )
    assert [(one.value, one.n, one.is_small) for one in verdict.slices] == [
        ("de", 19, True),
        ("fr", 20, False),
    ]


def test_slices_that_each_must_not_be_worse() -> None:
    rules = replace(RULES, slices=("language",), slice_rule="not-worse")
    verdict = judge(rules, sliced(0))
    assert found(verdict) == [
        (
            "slice",
            "inconclusive",
            "language=de: 0 broke, 0 fixed of 40 can't settle it: could be up to 7.2 points worse (limit 5.0)",
        )
    ]
    assert judge(rules, sliced(0, n=59)).ruling == "pass"
    assert judge(rules, sliced(0, n=58)).ruling == "inconclusive"
    assert judge(replace(rules, margin=0.6), sliced(0, n=9)).ruling == "inconclusive"
    failed = judge(rules, sliced(5, n=60))
    assert found(failed)[0] == (
        "slice",
        "fail",
        "language=de is worse: 5 broke, 0 fixed of 60 (exact p = 0.031); could be up to 16.8 points worse",
    )


def test_a_harmed_field_fails_and_an_unparsable_answer_fails_every_field() -> None:
    spoiled = Sample("wrong", (1,))
    made = results(
        [PASS] * 104 + [Sample("wrong", (0,))] * 6,
        [spoiled] * 5 + [Sample("unparsable")] + [PASS] * 104,
        fields=("urgency", "category"),
    )
    verdict = judge(RULES, made)
    assert [(one.kind, one.key, one.value, one.broke, one.fixed) for one in verdict.slices] == [
        ("field", "urgency", "", 1, 6),
        ("field", "category", "", 6, 0),
    ]
    assert found(verdict)[0] == (
        "slice",
        "fail",
        "field category is worse: 6 broke, 0 fixed of 110 (p = 0.031 after Holm over 2)",
    )
    each_slice = replace(RULES, slice_rule="not-worse")  # which asks no more of a field
    assert found(judge(each_slice, made)) == found(verdict)


def test_the_counts_of_slices_and_fields_are_those_of_a_plain_loop() -> None:
    dice = random.Random(5)
    for repeats in (1, 3):
        n = 300
        slices = [(dice.choice(("de", "fr", "")), dice.choice("ab")) for _ in range(n)]
        answers = [
            [
                Sample(
                    mark,
                    tuple(f for f in range(3) if dice.random() < 0.3) if mark == "wrong" else (),
                )
                for mark in dice.choices(("pass", "wrong", "unparsable"), (7, 4, 1), k=n * repeats)
            ]
            for _ in range(2)
        ]
        made = results(
            *answers, repeats=repeats, slices=slices, keys=("lang", "kind"), fields=("x", "y", "z")
        )

        def passed(arm: int, place: int, f: int | None) -> int:
            own = answers[arm][place * repeats : (place + 1) * repeats]  # noqa: B023  used up within the turn
            if f is None:
                return sum(sample.mark == "pass" for sample in own)
            return sum(
                sample.mark in {"pass", "wrong"} and f not in sample.failed for sample in own
            )

        verdict = judge(replace(RULES, slices=("lang", "kind")), made)
        assert len(verdict.slices) == 7
        for one in verdict.slices:
            f = "xyz".index(one.key) if one.kind == "field" else None
            where = (
                range(n)
                if f is not None
                else [
                    p for p in range(n) if one.value == slices[p][("lang", "kind").index(one.key)]
                ]
            )
            changes = [passed(1, place, f) - passed(0, place, f) for place in where]
            assert (one.n, one.broke, one.fixed) == (
                len(where),
                sum(c < 0 for c in changes),
                sum(c > 0 for c in changes),
            )


def test_a_group_that_broke_as_one_is_one_in_a_slice() -> None:
    """Six examples of one conversation are no six pieces of evidence."""
    conversation = ["g"] * 6 + [""] * 434
    made = sliced(6)
    made.groups[:] = conversation
    verdict = judge(replace(RULES, slices=("language",)), made)
    # 40 examples in 35 units, which count as 22.9: 6.3 broke and 2.9 were fixed.
    assert (verdict.slices[0].broke, verdict.slices[0].p) == (6, 0.25390625)


# ---- several things at once ------------------------------------------------------------------------


def test_the_gravest_is_the_headline_and_failure_is_graver_than_doubt() -> None:
    rules = replace(RULES, floors=Floors(pass_rate=Fraction("0.99")), min_examples=101)
    verdict = judge(rules, table(6, 4, 100, must_pass=(0,)))
    assert [(reason.code, reason.rules) for reason in verdict.reasons] == [
        ("must-pass", "fail"),
        ("floor", "fail"),
        ("too-few", "inconclusive"),
        ("margin", "inconclusive"),
    ]
    assert verdict.headline == verdict.reasons[0].message
    assert verdict.detail[1] == verdict.reasons[3].message
    assert verdict.needed is None  # more examples would not help


def test_creep_is_a_notice_against_the_best_so_far() -> None:
    made = table(2, 2, 250)
    best = Column.empty(250)
    fill(best, [PASS] * 250)
    assert judge(RULES, made, best=Best("1a2b3c", best)).reasons == ()
    few = table(0, 0, 40)
    equal = judge(RULES, few, best=Best("1a2b3c", few.arms["live"]))
    assert [reason.code for reason in equal.reasons] == ["margin"]  # too few is no creep
    tired = results([WRONG] * 10 + [PASS] * 240, [WRONG] * 10 + [PASS] * 240)
    verdict = judge(RULES, tired, best=Best("1a2b3c", best))
    assert verdict.ruling == "pass"
    assert found(verdict) == [
        (
            "creep",
            "",
            "could be up to 6.7 points worse than the best evidence on these examples (1a2b3c): 10 broke, 0 fixed",
        )
    ]
    assert verdict.reasons[0].examples == tuple(f"e{place}" for place in range(10))


def test_the_same_results_give_the_same_verdict() -> None:
    dice = random.Random(9)
    answers = [
        [
            Sample(mark, (0,) if mark == "wrong" else ())
            for mark in dice.choices(("pass", "wrong"), (9, 1), k=300)
        ]
        for _ in range(2)
    ]
    slices = [(dice.choice(("de", "fr", "it")),) for _ in range(300)]
    groups = [f"g{place // 3}" for place in range(300)]
    verdicts = [
        judge(
            replace(RULES, slices=("lang",)),
            results(*answers, groups=groups, slices=slices, keys=("lang",), fields=("f",)),
        )
        for _ in range(2)
    ]
    assert verdicts[0] == verdicts[1]
    assert verdicts[0].as_json() == verdicts[1].as_json()


def test_an_arm_of_groups_is_no_surer_than_the_verdict() -> None:
    """Twelve groups of ten, of which the candidate fails one, tell what twelve examples tell."""
    groups = [f"g{place // 10}" for place in range(120)]
    grouped, alone, singly = (
        {arm.arm: (arm.low, arm.high) for arm in judge(RULES, made).arms}
        for made in (table(10, 0, 120, groups=groups), table(1, 0, 12), table(10, 0, 120))
    )

    assert grouped == alone
    assert grouped["candidate"] != singly["candidate"]
