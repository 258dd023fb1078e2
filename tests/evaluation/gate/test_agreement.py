"""A judge's labels beside people's, and what its rates are worth without its errors."""

import pytest
from corrected import HARD, LABELS, coverage

from fftdeploy.evaluation.gate.agreement import (
    Agreement,
    corrected_interval,
    corrected_rate,
    kappa,
    kappa_interval,
)
from fftdeploy.evaluation.gate.judge_facts import CalibrationFacts, JudgeFacts, reasons


def test_kappa_and_its_interval_are_those_of_the_literature() -> None:
    assert kappa(Agreement(40, 5, 6, 49)) == pytest.approx(0.778226, abs=1e-6)
    assert kappa(Agreement(20, 5, 10, 15)) == pytest.approx(0.4)
    # The large-sample standard error of that table is 0.126996 (checked by 4,000 resamples of one).
    low, high = kappa_interval(Agreement(20, 5, 10, 15))
    assert (high - low) / 2 / 1.959964 == pytest.approx(0.126996, abs=1e-6)
    for nobody in (Agreement(0, 0, 0, 0), Agreement(50, 0, 0, 0), Agreement(40, 0, 10, 0)):
        assert (kappa(nobody), kappa_interval(nobody)) == (0.0, (-1.0, 1.0))
    perfect = Agreement(30, 0, 0, 20)
    assert (kappa(perfect), kappa_interval(perfect)) == (1.0, (1.0, 1.0))


def test_a_rate_without_the_judge_s_errors() -> None:
    judge = Agreement(90, 10, 20, 80)  # sensitivity 0.9, specificity 0.8
    assert corrected_rate(62, 100, judge) == pytest.approx(0.6)
    assert corrected_rate(100, 100, judge) == 1.0
    assert corrected_rate(0, 100, judge) == 0.0
    useless = [Agreement(5, 5, 5, 5), Agreement(1, 9, 9, 1), Agreement(50, 0, 0, 0)]
    for none in useless:
        assert corrected_rate(60, 100, none) is None
        assert corrected_interval(60, 100, none) == (0.0, 1.0)
    # The uncertainty of the labels is in it: ten times as many make it narrower.
    rough, fine = (
        corrected_interval(620, 1000, Agreement(9 * k, k, 2 * k, 8 * k)) for k in (3, 30)
    )
    assert rough.lower < fine.lower < 0.6 < fine.upper < rough.upper
    for seen in range(0, 101, 5):  # the rate is in its interval, at the ends, too
        low, high = corrected_interval(seen, 100, judge)
        assert 0 <= low <= (corrected_rate(seen, 100, judge) or 0) <= high <= 1
        assert low < high


@pytest.mark.parametrize("labels", LABELS)
def test_the_interval_covers_the_truth_where_the_delta_method_does_not(labels: int) -> None:
    """2,000 draws of each; `python bench/run.py --only judge` draws 20,000 in 10 cells."""
    found = [coverage(cell, labels, 1000, seed) for seed, cell in enumerate(HARD)]
    ours, delta = (sum(each[rule] for each in found) / 2 for rule in ("ours", "delta method"))
    assert ours >= 0.94
    assert delta < 0.92  # the same draws


def test_what_may_gate() -> None:
    def problem(confusion: Agreement, *now: str) -> str:
        known = CalibrationFacts("1" * 32, ("judge-1",), confusion, 0)
        return JudgeFacts("tone", "judge", "openai", "a", "", "", now, known).problem(known)

    good = Agreement(30, 2, 1, 17)
    assert problem(good, "judge-1") == problem(good) == ""
    assert "calibrated as judge-1, and judge-2 has answered here" in problem(good, "judge-2")
    assert "49 labels" in problem(Agreement(30, 1, 1, 17))
    assert "kappa 0.60" not in problem(Agreement(30, 5, 4, 21))
    assert "kappa 0.5" in problem(Agreement(28, 7, 5, 20))


def test_a_judge_of_the_same_family_is_a_notice() -> None:
    facts = JudgeFacts("tone", "acme/llama-3.1-70b", "vllm", "a", "", "", (), None)
    models = {"candidate": "llama-3.1-8b", "live": "ft:gpt-4.1-mini-2025-04-14:acme:x:1"}
    found = [*reasons(facts, models, reports_only=False)]
    assert [(one.code, one.rules) for one in found] == [("judge", "inconclusive"), ("judge", "")]
    assert "tone, the candidate are llama models" in found[1].message
