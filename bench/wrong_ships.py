"""How often the gate ships what it should not, beside the rules it had before: the whole claim.

Every size from 30 to 400 at four margins is enumerated, and every cell of what depends is drawn
20,000 times: 20 minutes on one core.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby, product
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path

from measure import Row, Size

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import shipping

CANDIDATES = range(1, 11)
SHARED_SIZES = (59, 67, 83, 100, 118, 150, 200, 300, 400)
_LIMIT = 0.05005
"""5.0 % as it is printed."""


def bench(_folder: Path, _runs: int, size: Size) -> list[Row]:
    """Count the sizes and the cells at which more than 5 % of what should not ship does."""
    # Spawned, not forked: the parent may have threads by now.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        sizes = shipping.SIZES[: size(len(shipping.SIZES))]
        asked = list(product(shipping.MARGINS, sizes))
        found = zip(asked, pool.map(_enumerate, asked, chunksize=4), strict=True)
        rows = [
            _enumerated(margin, [(n, *rates) for (_, n), rates in each])
            for margin, each in groupby(found, lambda one: one[0][0])
        ]
        rows.append(_shared(pool, size))
        cells = [*shipping.cells()]
        drawn = pool.map(_draw, [(cell, size(20_000)) for cell in cells], chunksize=1)
        return rows + [_drawn(kind, [*each]) for kind, each in groupby(drawn, _kind)]


def _enumerate(asked: tuple[float, int]) -> tuple[float, float]:
    margin, n = asked
    rules = (shipping.gate_ships, shipping.tango_ships)
    ours, before = (shipping.wrongly_ships(rule, n, margin) for rule in rules)
    return ours, before


def _shared(pool: ProcessPoolExecutor, size: Size) -> Row:
    """Enumerate how often any of several candidates ships that are all worse by the margin."""
    sizes = SHARED_SIZES[: size(len(SHARED_SIZES) * 10) // 10]
    asked = [(k, n, margin) for margin in shipping.MARGINS for n in sizes for k in CANDIDATES]
    found = [*pool.map(shipping.any_wrongly_ships, *zip(*asked, strict=True))]
    worst, (k, n, margin) = max(zip(found, asked, strict=True))
    wrong = sum(rate > _LIMIT for rate in found)
    note = f"worst {100 * worst:.3f} %: {k} candidates, {n} pairs, margin {100 * margin:g} points"
    what = f"any of 1 to 10 candidates, {len(asked)} of number, n and margin tried, wrong"
    return Row(what, wrong, 0, "of them", note)


def _draw(asked: tuple[shipping.Cell, int]) -> shipping.Drawn:
    return shipping.draw(*asked)


def _kind(drawn: shipping.Drawn) -> str:
    return drawn.cell.kind


def _enumerated(margin: float, found: list[tuple[int, float, float]]) -> Row:
    ours, before = (_worst([(rates[side], rates[0]) for rates in found]) for side in (1, 2))
    wrong = [sum(rates[side] > _LIMIT for rates in found) for side in (1, 2)]
    what = f"plain pairs, margin {100 * margin:g} points: {len(found)} n tried, n wrong"
    note = f"worst {ours}; Tango alone: {wrong[1]} wrong, worst {before}"
    return Row(what, wrong[0], 0, "n", note)


def _worst(rates: list[tuple[float, int]]) -> str:
    rate, n = max(rates)
    return f"{100 * rate:.3f} % at {n}"


def _drawn(kind: str, found: list[shipping.Drawn]) -> Row:
    wrong, before = (sum(map(attrgetter(name), found)) for name in ("is_wrong", "was_wrong"))
    worst = max(found, key=lambda one: one.gate)
    once = max(found, key=lambda one: one.before)
    what = f"{kind}, {found[0].draws:,} draws a cell: {len(found)} cells tried, cells wrong"
    note = (
        f"worst {100 * worst.gate / worst.draws:.2f} % ({worst.cell.name}); before: {before} "
        f"wrong, worst {100 * once.before / once.draws:.1f} % ({once.cell.name})"
    )
    return Row(what, wrong, 0, "cells", note)
