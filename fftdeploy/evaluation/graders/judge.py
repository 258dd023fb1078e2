"""The model judge of a task: what it is asked about an answer, and what its word means."""

from collections.abc import Mapping
from typing import Any

from fftdeploy.evaluation.arms import JUDGE, Arm
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.examples.overlap import users_say
from fftdeploy.evaluation.graders.grade import PASSED, Grade, Grader, failed
from fftdeploy.evaluation.results import MISSING
from fftdeploy.formats import strict_json
from fftdeploy.policy.grader_types import LOOKUP
from fftdeploy.policy.judges import FAILS, PASSES, PLACEHOLDER, bundle_of, texts
from fftdeploy.policy.profiles import Profile, content_sha
from fftdeploy.releases.deployments import Bundle

_SENT_AS = {"max_completions_tokens": "max_completion_tokens"}


class Judge(Grader):
    """One `label_model` or `score_model`, as its rules say."""

    __slots__ = ()

    @property
    def bundle(self) -> Bundle:
        """The model that judges, and who hosts it."""
        return bundle_of(self.options)

    @property
    def sha(self) -> str:
        """Hash of all that decides its verdicts: model, prompt, labels, parameters."""
        return content_sha(self.rules.content)

    @property
    def profile(self) -> Profile:
        """What goes out with each question; the shape of the verdict is enforced by the API."""
        sampling = self.options.get("sampling_params", {})
        content = {_SENT_AS.get(key, key): value for key, value in sampling.items()}
        enum = {"type": "string", "enum": self._labels}
        schema = {
            "type": "object",
            "properties": {self._says: enum if self._says == "label" else {"type": "number"}},
            "required": [self._says],
            "additionalProperties": False,
        }
        content["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "verdict", "strict": True, "schema": schema},
        }
        return Profile("judge", content, content_sha(content))

    def arm(self, address: str = "") -> Arm:
        """Return it as the side of a run that is asked at `address`."""
        return Arm(JUDGE, self.bundle, self.profile, address=address)

    def messages(self, text: str, example: Example) -> tuple[dict[str, str], ...]:
        """Return what it is asked about an answer; nothing of that is read as a template."""
        item = _item(example)

        def said(found: str) -> str:
            asked = LOOKUP.fullmatch(found)
            there = strict_json.lookup(item, asked[1]) if asked else text
            return "" if there is strict_json.MISSING else strict_json.text_of(there)

        return tuple(
            {**turn, "content": PLACEHOLDER.sub(lambda found: said(found[0]), turn["content"])}
            for turn in texts(self.options)
        )

    def grade(self, said: str, _: Example) -> Grade:
        """Read a verdict; what is none of those that it may give is none at all."""
        verdict = strict_json.read_or(said)
        if not isinstance(verdict, dict) or verdict.keys() != {self._says}:
            return _NO_VERDICT
        given = verdict[self._says]
        least, most = self.options.get("range", (0.0, 1.0))
        if self._says == "label" and given in self._labels:
            is_good = self.passes(given)
        elif self._says == "score" and type(given) in {int, float} and least <= given <= most:
            is_good = given >= self.options["pass_threshold"]
        else:
            return _NO_VERDICT
        return PASSED if is_good else _REJECTED

    def passes(self, label: str) -> bool:
        """Whether a label is a good one: the judge's own, or `pass`."""
        if label in self._labels:
            return label in self.options["passing_labels"]
        return label == PASSES

    @property
    def known(self) -> list[str]:
        """The labels that people may put on an output for it to be held against."""
        return [*dict.fromkeys([*self._labels, PASSES, FAILS])]

    def reference_problem(self, example: Example) -> str:
        """Say what of the example it is to be shown and that has none; "" where it has all."""
        item = _item(example)
        for message in texts(self.options):
            for found in PLACEHOLDER.findall(message["content"]):
                asked = LOOKUP.fullmatch(found)
                if asked and strict_json.lookup(item, asked[1]) is strict_json.MISSING:
                    return f"the judge {self.name} is shown item.{asked[1]}, which it has not"
        return ""

    @property
    def _labels(self) -> list[str]:
        return list(self.options.get("labels", ()))

    @property
    def _says(self) -> str:
        """The key of a verdict."""
        return "score" if self.rules.type == "score_model" else "label"


_NO_VERDICT = failed(MISSING, "the judge gave no verdict")
_REJECTED = failed("wrong", "the judge rejects it")


def _item(example: Example) -> Mapping[str, Any]:
    """Return what `item` means: of a chat, what the users say and the agreed answer."""
    usual = {"input": users_say(example.messages), "reference": example.reference}
    return {**usual, **example.item}
