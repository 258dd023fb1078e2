"""Says in words what differs between two windows of a log."""

from fftdeploy.evaluation.graders.form import ANSWER
from fftdeploy.monitoring.logs.compared import MOST_CHANCE, MeasureShift
from fftdeploy.monitoring.logs.window import FIELD, MODEL, SIZES

_CALLED = {
    "valid": "valid answers",
    "refused": "refusals",
    "truncated": "cut off",
    MODEL: "answering model",
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
    what = _direction(shift)
    if shift.code == "service-moved":
        return what
    if shift.measure == MODEL:
        return "another model answers"
    what = "worse" if shift.code == "answers-worse" else what
    return f"{what}; {_whose(shift)}"


def _direction(shift: MeasureShift) -> str:
    """Say which way it went; what is shown of a size is its middle, which may stay where it is."""
    word = _LARGER.get(shift.measure, ("more", "fewer"))[shift.effect < 0]
    stays = shift.measure in SIZES and shift.then == shift.now
    return f"often {word}, the middle is the same" if stays else word


def _whose(shift: MeasureShift) -> str:
    asked = f"of {shift.again:,} inputs asked again {abs(shift.moved):,} moved too"
    if shift.cause in {"model", "data"}:
        return f"the {shift.cause}: {asked}"
    return "model or data, can't tell" + (f": {asked}" if shift.again else "")
