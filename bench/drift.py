"""How often `monitor` cries wolf in a year, and how soon it finds what broke, beside other rules.

2,000 years of each kind, and as many months: half an hour on two cores.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import median

from measure import Row, Size

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import drift_years
from drift_years import Year

_SIZES = (40, 100)
_AT_ONCE = 20


def bench(_folder: Path, _runs: int, size: Size) -> list[Row]:
    """Count the years with a false alarm, and the months in which 10 % that broke are not found."""
    years = size(2000)
    rows = []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for examples in _SIZES:
            usual = _lived(pool, years, examples, 365, 0.0)
            months = _lived(pool, years, examples, 30, 0.1)
            of = f"of {years:,} years of {examples} examples"
            alarms = {rule: _share(usual, rule) for rule in ("found", "naive", "mcnemar")}
            others = f"5 points below promotion day {alarms['naive']:.1f} %, "
            others += f"McNemar against it {alarms['mcnemar']:.1f} %; "
            asked = sum(each.confirmations for each in usual) / years
            rows.append(
                Row(
                    f"{of}, with a false alarm",
                    alarms["found"],
                    6,
                    "%",
                    f"{others}{asked:.1f} confirmations a year",
                )
            )
            late = median(each.found for each in months)
            missed = 100 - _share(months, "found")
            what = f"{of}, 10 % broken and not found in 30 days"
            rows.append(Row(what, missed, 1, "%", f"median: {late:.0f} days"))
    return rows


def _lived(
    pool: ProcessPoolExecutor, years: int, examples: int, days: int, broken: float
) -> list[Year]:
    asked = [(seed, examples, days, broken) for seed in range(0, years, _AT_ONCE)]
    return [year for some in pool.map(_some, asked) for year in some]


def _some(asked: tuple[int, int, int, float]) -> list[Year]:
    seed, examples, days, broken = asked
    random = Random(f"{seed} {examples} {broken}")  # noqa: S311  years to count, no secret
    return [drift_years.year(random, examples, days=days, broken=broken) for _ in range(_AT_ONCE)]


def _share(years: list[Year], rule: str) -> float:
    cried = sum(getattr(each, rule) >= 0 for each in years)
    return float(100 * cried / len(years))
