"""Chooses the watched examples of a task, and finds them again: a calibration freezes them."""

import hashlib
from collections.abc import Collection, Sequence

from fftdeploy.evaluation.examples.examples import Example, ExampleSet
from fftdeploy.formats import strict_json

MOST = 100
"""Watched examples at most: with so many, 3 % that are broken are found within days."""
FEW = 40
"""With fewer, a small change is found late."""


def choose(examples: ExampleSet, must_pass: Collection[str]) -> ExampleSet:
    """Return at most `MOST` reviewed examples: those with a tag of `must_pass`, then by hash."""
    ids = examples.ids

    def rank(index: int) -> tuple[bool, str]:
        is_asked_for = not set(must_pass).isdisjoint(examples.tags(index))
        return not is_asked_for, hashlib.sha256(ids[index].encode()).hexdigest()

    chosen: list[int] = []
    for index in sorted(range(len(ids)), key=rank):
        if len(chosen) < MOST and examples.read(index).reviewed_by:
            chosen.append(index)
    return examples.only(sorted(chosen))


def find(examples: ExampleSet, ids: Sequence[str], shas: Sequence[str]) -> ExampleSet:
    """Return those with these IDs that are still there and say the same."""
    places = {name: index for index, name in enumerate(examples.ids)}
    there = [(places[name], sha) for name, sha in zip(ids, shas, strict=True) if name in places]
    return examples.only([at for at, sha in there if example_sha(examples.read(at)) == sha])


def example_sha(example: Example) -> str:
    """Return 32 hex digits over what is asked and agreed in an example."""
    said = [example.id, example.input_key, example.reference, list(example.others)]
    return strict_json.sha_of(said)[:32]
