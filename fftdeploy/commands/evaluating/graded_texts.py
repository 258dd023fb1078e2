"""What was asked and answered of an evaluation, where that is still here, and what it tells."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from fftdeploy.commands.context import Context
from fftdeploy.errors import FftdeployError
from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.examples import chat_messages
from fftdeploy.evaluation.examples.examples import Example, ExampleSet
from fftdeploy.evaluation.patterns.told import Told, told_by
from fftdeploy.evaluation.patterns.what_changed import compared_arms
from fftdeploy.evaluation.results import ExampleText
from fftdeploy.evaluation.running.finished_run import GradedOutputs, graded_outputs
from fftdeploy.files.folders import RUNS
from fftdeploy.policy.parameters import is_instruction


@dataclass(frozen=True, slots=True)
class GradedTexts:
    """The texts of the examples of an evaluation, read as they are iterated over."""

    examples: ExampleSet | None
    """None where they are not those that were asked any more."""
    outputs: GradedOutputs
    gone: str
    """Why there are no outputs; "" where there are."""

    def __iter__(self) -> Iterator[ExampleText]:
        for example in self.examples or ():
            yield ExampleText(
                id=example.id,
                input=conversation(example),
                reference=example.reference,
                tags=example.tags,
                meta=example.meta,
                outputs=self.outputs.get(example.id, {}),
                others=example.others,
            )


def texts_of(
    context: Context,
    evidence: Evidence,
    bar: QualityBar | None = None,
    *,
    answered: Collection[str] | None = None,
) -> GradedTexts:
    """Return the texts that `evidence` is about, as far as they are still here.

    `bar` is that of its target, where it was opened already, and `answered` are the examples whose
    answers are wanted; None for all.
    """
    workspace = context.workspace
    examples: ExampleSet | None = None
    try:
        bar = bar or context.quality_bar(workspace, evidence.target)
        if bar.checked_examples.without(evidence.left_out).sha != evidence.examples.sha:
            return GradedTexts(None, {}, "the examples have changed since")
        unseen = {*evidence.left_out}.difference(evidence.results.ids)
        examples = bar.checked_examples.without(unseen)
        if not (workspace.folder / RUNS / evidence.run).exists():
            return GradedTexts(examples, {}, "the log of the run is not on this machine")
        return GradedTexts(examples, graded_outputs(evidence, workspace.folder, answered), "")
    except FftdeployError as error:
        return GradedTexts(examples, {}, error.message)


def told_of(context: Context, evidence: Evidence, bar: QualityBar | None = None) -> Told:
    """Return what the texts of `evidence` tell, as far as they are still here.

    That is nothing of answers that are as agreed, which most are: they are not read.
    """
    unlike = evidence.results.unlike(compared_arms(evidence.results))
    texts = texts_of(context, evidence, bar, answered=unlike)
    return told_by(texts, evidence, texts.gone)


def conversation(example: Example) -> str:
    """Return what was asked: the user's message alone where that is all, else turn by turn."""
    turns = [turn for turn in example.messages if not is_instruction(turn)]
    if len(turns) == 1:
        return "".join(chat_messages.texts(turns[0]))
    return "\n".join(f"{turn['role']}: {''.join(chat_messages.texts(turn))}" for turn in turns)
