"""Tells which requests of a log moved: the same input answered otherwise, or part of what grew."""

from collections.abc import Callable

from fftdeploy.evaluation.examples.production import ProductionRequest
from fftdeploy.monitoring.logs.compared import compare, grown
from fftdeploy.monitoring.logs.window import MODEL, SIZES, LogWindow, RequestCounter
from fftdeploy.monitoring.logs.wording import called


def moved(
    then: LogWindow, counter: RequestCounter
) -> Callable[[ProductionRequest], tuple[int, str]]:
    """Return what ranks a request that `counter` has counted, 2 the highest, and says why.

    The rank is 0 and the reason "" where nothing of it has moved.
    """
    now = counter.window
    shifts = [
        (one.measure, grown(then.counts[one.measure], now.counts[one.measure]), called(one))
        for one in compare(then, now, counter.shown)
        if one.code and one.measure not in {*SIZES, MODEL}
    ]

    def ranked(request: ProductionRequest) -> tuple[int, str]:
        cells = counter.cells(request)
        before = then.inputs.get(counter.input_of(request), {})
        told = before.keys() & cells.keys() - {*SIZES}
        if any(before[measure] != cells[measure] for measure in told):
            return 2, "another answer than before"
        for measure, values, name in shifts:
            if cells.get(measure) in values:
                return 1, f"{name} moved"
        return 0, ""

    return ranked
