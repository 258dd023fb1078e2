"""Graders that read an answer as text."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation import similarity
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.graders.fields import is_close
from fftdeploy.evaluation.graders.grade import PASSED, Grade, Grader, failed
from fftdeploy.evaluation.graders.timebox import within
from fftdeploy.evaluation.similarity import TooLongError
from fftdeploy.formats.strict_json import MISSING, lookup, text_of
from fftdeploy.policy.grader_types import LOOKUP

MAX_SECONDS = 1.0
"""CPU time for one regular expression on one answer."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?")


def _expected(options: Mapping[str, Any], example: Example) -> str | None:
    """Return what an answer is compared with; None where the item has no such key."""
    said = options.get("reference")
    if said is None:
        return example.reference
    asked = LOOKUP.fullmatch(said)
    if asked is None:
        return str(said)
    found = lookup(example.item, asked[1])
    return None if found is MISSING or found is None else text_of(found)


class StringCheck(Grader):
    """`string_check`: equal, not equal, contained, contained whatever the case."""

    __slots__ = ()

    def grade(self, text: str, example: Example) -> Grade:
        """Compare as OpenAI does: `like` passes an answer that contains the reference."""
        wanted = _expected(self.options, example)
        if wanted is None:
            return failed("invalid", _no_key(self.options))
        says, is_so = _OPERATIONS[self.options["operation"]]
        return PASSED if is_so(text, wanted) else failed("wrong", says)

    def reference_problem(self, example: Example) -> str:
        """Say why the agreed answer itself would not pass, except for being equal to itself."""
        if _expected(self.options, example) is None:
            return _no_key(self.options)
        is_own = self.options["operation"] == "ne" and "reference" not in self.options
        return "" if is_own else super().reference_problem(example)


_OPERATIONS: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "eq": ("not equal to the reference", lambda text, wanted: text == wanted),
    "ne": ("equal to the reference", lambda text, wanted: text != wanted),
    "like": ("does not contain the reference", lambda text, wanted: wanted in text),
    "ilike": (
        "does not contain the reference, whatever the case",
        lambda text, wanted: wanted.casefold() in text.casefold(),
    ),
}


def _no_key(options: Mapping[str, Any]) -> str:
    return f"the item has nothing at {options['reference']}"


class TextSimilarity(Grader):
    """`text_similarity`: alike enough."""

    __slots__ = ()

    def grade(self, text: str, example: Example) -> Grade:
        """Compare; a text that is too long to be compared is invalid."""
        wanted = _expected(self.options, example)
        if wanted is None:
            return failed("invalid", _no_key(self.options))
        metric, threshold = self.options["evaluation_metric"], self.options["pass_threshold"]
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


_METRICS: dict[str, Callable[[str, str], float]] = {
    "rouge_l": similarity.rouge_l,
    "token_f1": similarity.token_f1,
    "fuzzy_match": _fuzzy_match,
}


class Regex(Grader):
    """`regex`: matches as a whole, or somewhere."""

    __slots__ = ()

    def grade(self, text: str, example: Example) -> Grade:
        """Match; what takes too long is invalid."""
        del example
        flags = re.IGNORECASE if self.options.get("ignore_case") else 0
        pattern = re.compile(self.options["pattern"], flags)
        is_search = self.options.get("match") == "search"
        match = pattern.search if is_search else pattern.fullmatch
        try:
            found = within(MAX_SECONDS, lambda: match(text))
        except TimeoutError as error:
            return failed("invalid", f"the regular expression {error}")
        return PASSED if found else failed("wrong", "does not match the regular expression")


class Number(Grader):
    """`number`: one number, near enough."""

    __slots__ = ()

    def grade(self, text: str, example: Example) -> Grade:
        """Compare in exact decimals."""
        said, agreed = _number(text), _number(example.reference)
        if said is None:
            return failed("unparsable", "not one number")
        if agreed is None:
            return failed("invalid", "the reference is not one number")
        relative, tolerance = (
            self.options.get("relative", False),
            self.options.get("tolerance", 0.0),
        )
        close = is_close(agreed, said, tolerance, relative=relative)
        return PASSED if close else failed("wrong", "another number")


class Length(Grader):
    """`length`: within limits of characters and words."""

    __slots__ = ()

    def grade(self, text: str, example: Example) -> Grade:
        """Count what is between white space as words."""
        del example
        counts = {"chars": len(text), "words": len(text.split())}
        for key, limit in self.options.items():
            side, _, unit = key.partition("_")
            has = counts[unit]
            if has < limit if side == "min" else has > limit:
                return failed("wrong", f"{has:,} {unit}, {key} is {limit:,}")
        return PASSED


class Label(Grader):
    """`label`: the right one of a closed set."""

    __slots__ = ()

    def grade(self, text: str, example: Example) -> Grade:
        """Compare without the white space around; what is no label at all is invalid."""
        said, agreed = self._label(text), self._label(example.reference)
        if said is None:
            return failed("invalid", "not one of the labels")
        return PASSED if said == agreed else failed("wrong", "another label")

    def _label(self, text: str) -> str | None:
        plain = text.strip()
        if not self.options.get("ignore_case"):
            return plain if plain in self.options["labels"] else None
        folded = plain.casefold()
        return folded if folded in map(str.casefold, self.options["labels"]) else None


def _number(text: str) -> Fraction | None:
    """Read a text that is one decimal number and nothing else."""
    plain = text.strip()
    return Fraction(plain) if _NUMBER.fullmatch(plain) else None
