"""Says what a set of examples could not have shown, whatever was answered to it."""

from collections import Counter

from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.patterns.failure_reasons import is_long, parsed
from fftdeploy.evaluation.patterns.what_changed import NO_VALUE, WHOLE, compared_fields, value_of
from fftdeploy.evaluation.results import ExampleText
from fftdeploy.policy.grader_types import OF_WORDS

FEW_OF_A_LABEL = 10
_LEAST_A_LABEL = 4
"""Examples a value on average, from which on the values of a field are labels."""
_POINT = 0.01
_LANGUAGES = ("language", "lang", "locale")


class WeakSpots:
    """Counts what the examples of an evaluation have little or nothing of."""

    def __init__(self, evidence: Evidence) -> None:
        """Take the evaluation; its examples are `add`ed, where they are still there."""
        self._evidence = evidence
        fields = compared_fields(evidence.graders, evidence.results.fields)
        self._labels = {field: Counter[str]() for field in fields if field.kind in OF_WORDS}
        self._languages: Counter[str] = Counter()

    def add(self, text: ExampleText) -> None:
        """Count one example."""
        agreed = parsed(text.reference)
        for field, values in self._labels.items():
            values[value_of(agreed, field)] += 1
        language = next((text.meta[key] for key in _LANGUAGES if text.meta.get(key)), "")
        self._languages[language] += 1

    def found(self) -> tuple[str, ...]:
        """Return each weak spot in a few words."""
        results, examples = self._evidence.results, self._evidence.examples
        rare = max(self._rare(field.name, each) for field, each in self._labels.items())
        language, *others = self._languages or ("",)
        unreviewed = examples.n - examples.reviewed
        spots = {
            "no must-pass": not any(results.must_pass),
            "no slices": not results.slice_keys,
            f"{unreviewed:,} of {examples.n:,} unreviewed": unreviewed,
            f"one language ({language})": language and not others,
            rare[1]: rare[0],
        }
        return tuple(said for said, is_so in spots.items() if is_so)

    def _rare(self, name: str, values: Counter[str]) -> tuple[int, str]:
        """Say how many values of a field hardly an example has."""
        total = sum(values.values())
        few = [count for count in values.values() if count < FEW_OF_A_LABEL]
        is_label = 1 < len(values) <= total / _LEAST_A_LABEL
        if not few or not is_label or values[NO_VALUE] or any(map(is_long, values)):
            return 0, ""
        what = "labels" if name == WHOLE else f"values of {name}"
        said = f"{len(few)} of {len(values)} {what} in under {FEW_OF_A_LABEL} examples"
        if max(few) < _POINT * total:
            said += ": one that breaks entirely moves the rate by less than a point"
        return len(few), said
