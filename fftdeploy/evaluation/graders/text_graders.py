"""Graders that read an answer as text."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation import similarity
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.graders.grade import PASSED, Grade, Grader, failed, is_close
from fftdeploy.evaluation.graders.timebox import within
from fftdeploy.evaluation.similarity import TooLongError
from fftdeploy.formats.strict_json import MISSING, lookup, text_of
from fftdeploy.policy.grader_types import LOOKUP

MAX_SECONDS = 1.0
"""CPU time for one regular expression on one answer."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?")
_Options = Mapping[str, Any]


class TextGrader(Grader):
    """Compares a text with the agreed one, as its type says."""

    __slots__ = ()

    def grade(self, text: str, example: Example) -> Grade:
        """Compare with what was agreed, or with what the grader's own `reference` names."""
        wanted = example.reference
        if (said := self.options.get("reference")) is not None:
            asked = LOOKUP.fullmatch(said)
            found = lookup(example.item, asked[1]) if asked else str(said)
            if found is MISSING or found is None:
                return failed("invalid", f"the item has nothing at {said}")
            wanted = text_of(found)
        return TEXT_TYPES[self.rules.type](self.options, text, wanted)

    def reference_problem(self, example: Example) -> str:
        """Say why the agreed answer itself would not pass, except for being equal to itself."""
        is_own = self.options.get("operation") == "ne" and "reference" not in self.options
        return "" if is_own else super().reference_problem(example)


def _string_check(options: _Options, text: str, wanted: str) -> Grade:
    """Compare as OpenAI does: `like` passes an answer that contains the reference."""
    says, is_so = _OPERATIONS[options["operation"]]
    return PASSED if is_so(text, wanted) else failed("wrong", says)


_OPERATIONS: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "eq": ("not equal to the reference", lambda text, wanted: text == wanted),
    "ne": ("equal to the reference", lambda text, wanted: text != wanted),
    "like": ("does not contain the reference", lambda text, wanted: wanted in text),
    "ilike": (
        "does not contain the reference, whatever the case",
        lambda text, wanted: wanted.casefold() in text.casefold(),
    ),
}


def _text_similarity(options: _Options, text: str, wanted: str) -> Grade:
    """Compare; a text that is too long to be compared is invalid."""
    metric, threshold = options["evaluation_metric"], options["pass_threshold"]
    try:
        score = _METRICS[metric](wanted, text)
    except TooLongError as error:
        return failed("invalid", str(error))
    if score >= threshold:
        return Grade(passed=True, score=score)
    return failed("wrong", f"{metric} {score:.3f} is below {threshold:g}", score)


def _fuzzy_match(reference: str, text: str) -> float:
    from rapidfuzz import fuzz

    if max(len(reference), len(text)) > similarity.MAX_FUZZY_CHARS:
        raise TooLongError(f"more than {similarity.MAX_FUZZY_CHARS:,} characters are not compared")
    return round(fuzz.ratio(reference, text) / 100, 12)


_METRICS: dict[str, Callable[[str, str], float]] = {
    "rouge_l": similarity.rouge_l,
    "token_f1": similarity.token_f1,
    "fuzzy_match": _fuzzy_match,
}


def require_rapidfuzz() -> None:
    """Refuse now what would fail at the first answer.

    Raises:
        ConfigError: rapidfuzz is not installed.
    """
    try:
        import rapidfuzz  # noqa: F401  only whether it is there
    except ImportError:
        raise ConfigError(
            "the metric 'fuzzy_match' needs rapidfuzz, which is not installed",
            hint="pip install 'fftdeploy[text]'",
            code="missing-extra",
        ) from None


def _regex(options: _Options, text: str, _wanted: str) -> Grade:
    """Match as a whole, or somewhere; what takes too long is invalid."""
    flags = re.IGNORECASE if options.get("ignore_case") else 0
    pattern = re.compile(options["pattern"], flags)
    match = pattern.search if options.get("match") == "search" else pattern.fullmatch
    try:
        found = within(MAX_SECONDS, lambda: match(text))
    except TimeoutError as error:
        return failed("invalid", f"the regular expression {error}")
    return PASSED if found else failed("wrong", "does not match the regular expression")


def _number(options: _Options, text: str, wanted: str) -> Grade:
    """Compare in exact decimals."""
    said, agreed = _decimal(text), _decimal(wanted)
    if said is None:
        return failed("unparsable", "not one number")
    if agreed is None:
        return failed("invalid", "the reference is not one number")
    tolerance, relative = options.get("tolerance", 0.0), options.get("relative", False)
    close = is_close(agreed, said, tolerance, relative=relative)
    return PASSED if close else failed("wrong", "another number")


def _decimal(text: str) -> Fraction | None:
    """Read a text that is one decimal number and nothing else."""
    plain = text.strip()
    return Fraction(plain) if _NUMBER.fullmatch(plain) else None


def _length(options: _Options, text: str, _wanted: str) -> Grade:
    """Count what is between white space as words."""
    counts = {"chars": len(text), "words": len(text.split())}
    for key, limit in options.items():
        side, _, unit = key.partition("_")
        has = counts[unit]
        if has < limit if side == "min" else has > limit:
            return failed("wrong", f"{has:,} {unit}, {key} is {limit:,}")
    return PASSED


def _label(options: _Options, text: str, wanted: str) -> Grade:
    """Compare without the white space around; what is no label at all is invalid."""
    labels, said, agreed = options["labels"], text.strip(), wanted.strip()
    if options.get("ignore_case"):
        labels, said, agreed = map(str.casefold, labels), said.casefold(), agreed.casefold()
    if said not in labels:
        return failed("invalid", "not one of the labels")
    return PASSED if said == agreed else failed("wrong", "another label")


TEXT_TYPES: Mapping[str, Callable[[_Options, str, str], Grade]] = {
    "string_check": _string_check,
    "text_similarity": _text_similarity,
    "regex": _regex,
    "number": _number,
    "length": _length,
    "label": _label,
}
"""What compares an answer with the agreed one, by the type of the grader."""
