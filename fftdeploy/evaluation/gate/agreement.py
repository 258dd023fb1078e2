"""How far a judge is to be trusted: its labels against people's, and a rate without its errors."""

from dataclasses import dataclass
from math import hypot, sqrt

from fftdeploy.evaluation.gate.statistics import Interval, normal_quantile, root, wilson

_LEAST_INFORMED = 1e-9


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a judge and people said the same of an output, and how often not."""

    both_pass: int
    only_people: int
    """People passed it, the judge did not; the judge is too strict there."""
    only_judge: int
    """The judge passed it, people did not; it is too lenient there."""
    both_fail: int

    @property
    def n(self) -> int:
        """All of them."""
        return self.both_pass + self.only_people + self.only_judge + self.both_fail

    @property
    def good(self) -> int:
        """Those that people passed."""
        return self.both_pass + self.only_people

    @property
    def bad(self) -> int:
        """Those that people did not pass."""
        return self.only_judge + self.both_fail

    @property
    def judge_passes(self) -> int:
        """Those that the judge passed."""
        return self.both_pass + self.only_judge

    @property
    def tells_nothing(self) -> bool:
        """Whether one of the two says the same of all, or there are none."""
        return self.good in {0, self.n} or self.judge_passes in {0, self.n}

    @property
    def sensitivity(self) -> float:
        """The share of the good ones that the judge passes; 0 of none."""
        return self.both_pass / self.good if self.good else 0.0

    @property
    def specificity(self) -> float:
        """The share of the bad ones that the judge does not pass; 0 of none."""
        return self.both_fail / self.bad if self.bad else 0.0


def kappa(found: Agreement) -> float:
    """Return Cohen's kappa (1960): agreement beyond chance, from -1 to 1.

    It is 0 where one of the two says the same of all: nothing shows that they agree.
    """
    if found.tells_nothing:
        return 0.0
    n, judge_passes = found.n, found.judge_passes
    by_chance = (found.good * judge_passes + found.bad * (n - judge_passes)) / n**2
    return ((found.both_pass + found.both_fail) / n - by_chance) / (1 - by_chance)


def kappa_interval(found: Agreement, confidence: float = 0.95) -> Interval:
    """Return the two-sided interval of kappa by its variance (Fleiss, Cohen and Everitt 1969).

    It is one of large samples.  Where one of the two says the same of all it is (-1, 1).
    """
    if found.tells_nothing:
        return Interval(-1.0, 1.0)
    n, k = found.n, kappa(found)
    people, judge = found.good / n, found.judge_passes / n
    no_people, no_judge = found.bad / n, 1 - judge
    by_chance = people * judge + no_people * no_judge
    same = found.both_pass / n * (1 - (people + judge) * (1 - k)) ** 2
    same += found.both_fail / n * (1 - (no_people + no_judge) * (1 - k)) ** 2
    differing = found.only_people / n * (judge + no_people) ** 2
    differing += found.only_judge / n * (no_judge + people) ** 2
    variance = same + (1 - k) ** 2 * differing - (k - by_chance * (1 - k)) ** 2
    half = normal_quantile(confidence, 2) * sqrt(max(0.0, variance) / n) / (1 - by_chance)
    return Interval(max(-1.0, k - half), min(1.0, k + half))


def corrected_rate(passed: float, n: float, judge: Agreement) -> float | None:
    """Return the share of `n` outputs that people would pass (Rogan and Gladen 1978), 0 to 1.

    The judge has passed `passed` of them.  None where its labels say nothing: it passes the bad
    ones no less often than the good ones.
    """
    informed = judge.sensitivity + judge.specificity - 1
    if not n or not judge.good or not judge.bad or informed < _LEAST_INFORMED:
        return None
    return min(1.0, max(0.0, (passed / n + judge.specificity - 1) / informed))


def corrected_interval(
    passed: float, n: int, judge: Agreement, confidence: float = 0.95
) -> Interval:
    """Return the two-sided interval of the share that people would pass; (0, 1) where unknown.

    A share t is in it where `passed / n` may be t x sensitivity + (1 - t) x (1 - specificity): the
    interval of their difference has 0 in it, made of the Wilson intervals of its three parts
    (Zou and Donner 2008: MOVER; of a ratio, Donner and Zou 2012).  The uncertainty of the labels
    is part of it.  The delta method, and at 50 labels Lang and Reiczigel's interval (2014), cover
    too little near the ends.
    """
    if corrected_rate(passed, n, judge) is None:
        return Interval(0.0, 1.0)
    seen, true, false = passed / n, judge.sensitivity, 1 - judge.specificity
    of_seen = wilson(passed, n, confidence)
    of_true = wilson(judge.both_pass, judge.good, confidence)
    of_false = wilson(judge.only_judge, judge.bad, confidence)

    # What is outside of the two rates is there by chance: no t explains it.
    possible = min(max(seen, false), true)

    def excess(t: float) -> float:
        return possible - t * true - (1 - t) * false

    def least(t: float) -> float:
        parts = of_seen.lower - seen, t * (of_true.upper - true), (1 - t) * (of_false.upper - false)
        return excess(t) - hypot(*parts)

    def most(t: float) -> float:
        parts = of_seen.upper - seen, t * (of_true.lower - true), (1 - t) * (of_false.lower - false)
        return excess(t) + hypot(*parts)

    lower = 0.0 if least(0.0) <= 0 else root(lambda t: -least(t), 0.0, 1.0)
    upper = 1.0 if most(1.0) >= 0 else root(lambda t: -most(t), 0.0, 1.0)
    return Interval(lower, max(lower, upper))
