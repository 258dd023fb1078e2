"""Says what differs between two windows of a log, and which requests it is about."""

from collections.abc import Callable

from fftdeploy.evaluation.examples.production import ProductionRequest
from fftdeploy.evaluation.graders.form import ANSWER
from fftdeploy.monitoring.logs.compared import MOST_CHANCE, MeasureShift, compare, grown
from fftdeploy.monitoring.logs.window import FAILED, FIELD, MODEL, SIZES, LogWindow, RequestCounter

_CALLED = {
    "valid": "valid answers",
    "refused": "refusals",
    "truncated": "cut off",
    MODEL: "answering model",
    FAILED: "failed calls",
    "latency_ms": "latency",
    "tokens_in": "tokens in",
    "tokens_out": "tokens out",
}
_UNITS = {"latency_ms": " ms", "length": " chars"}
_LARGER = {"length": ("longer", "shorter"), "latency_ms": ("slower", "faster")}


def called(shift: MeasureShift) -> str:
    """Name a measure; of a mix, with the value that has grown most where there is news."""
    name = _CALLED.get(shift.measure, shift.measure.removeprefix(FIELD))
    value = shift.value if shift.measure not in SIZES else None
    return name if value is None or name == ANSWER else f"{name}: {value}"


def levels(shift: MeasureShift) -> tuple[str, str]:
    """Return what it was then and is now."""
    then, now = shift.then, shift.now
    if shift.measure in SIZES:
        unit = _UNITS.get(shift.measure, "")
        return f"{then:,}{unit}", f"{now:,}{unit}"
    return f"{then:.1%}", f"{now:.1%}"


def meaning(shift: MeasureShift) -> str:
    """Say what a difference means, and whose it is."""
    if shift.p > MOST_CHANCE:
        return "no change"
    if shift.code is None:
        return "better" if shift.cause else "too small to matter"
    word = _LARGER.get(shift.measure, ("more", "fewer"))[shift.effect < 0]
    # What is shown of a size is its middle, which may stay where it is.
    stays = shift.measure in SIZES and shift.then == shift.now
    what = f"often {word}, the middle is the same" if stays else word
    if shift.code == "service-moved":
        return what
    if shift.measure == MODEL:
        return "another model answers"
    what = "worse" if shift.code == "answers-worse" else what
    asked = f"of {shift.again:,} inputs asked again {abs(shift.moved):,} moved too"
    if shift.cause in {"model", "data"}:
        return f"{what}; the {shift.cause}: {asked}"
    return f"{what}; model or data, can't tell" + (f": {asked}" if shift.again else "")


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
