"""Reads `TASK.judged.jsonl`: outputs that people have labelled, for a judge to be held against.

A line is one of examples, with two keys more: `output`, what a model has said, and `label`, what
a person has said of that.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fftdeploy import files
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.evidence.calibration import MAX_LABELS_BYTES
from fftdeploy.evaluation.examples.example_lines import Example, LineError, parse_line
from fftdeploy.evaluation.examples.raw_lines import meaning_sha
from fftdeploy.evaluation.examples.reviewed import lines
from fftdeploy.evaluation.graders.judge import Judge
from fftdeploy.formats import strict_json
from fftdeploy.policy.gate_rules import GateRules


@dataclass(frozen=True, slots=True)
class Labelled:
    """An output that a person has labelled."""

    example: Example
    output: str
    passes: bool


def path_of(rules: GateRules) -> str:
    """Return where the labels of a task are where nobody says otherwise: beside its examples."""
    return str(Path(rules.examples[0]).with_suffix(".judged.jsonl"))


def read_labels(
    path: Path, shown: str, rules: GateRules, judge: Judge, root: Path
) -> tuple[list[Labelled], str]:
    """Read the file; return the SHA-256 of what its lines mean, too.

    Raises:
        ConfigError: It is missing, or located at the first line that is no label.
    """
    data = files.read(path, root=root, max_bytes=MAX_LABELS_BYTES).data
    found: dict[tuple[str, str], Labelled] = {}
    for number, row in enumerate(lines(data), 1):
        if not row.strip():
            continue
        where = f"{shown}:{number}"
        try:
            content = strict_json.loads(row.decode())
            output, label = content.pop("output"), content.pop("label")
            example = parse_line(json.dumps(content), where, where, rules.item)
        except LineError as error:
            raise ConfigError(error.message, hint=error.hint, where=where, code="labels") from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise _fault(where, "a line is one of examples, with `output` and `label`") from None
        if problem := next(_problems(example, output, label, judge), ""):
            raise _fault(where, problem)
        key = example.input_key, output
        if key in found:
            raise _fault(where, f"{found[key].example.place} has labelled the same output")
        found[key] = Labelled(example, output, judge.passes(label))
    return [*found.values()], meaning_sha(data)


def _problems(example: Example, output: Any, label: Any, judge: Judge) -> Iterator[str]:
    if not isinstance(output, str) or not output:
        yield "'output' is the text that was labelled"
    if not isinstance(label, str) or label not in judge.known:
        yield f"'label' is one of {', '.join(judge.known)}"
    if not example.reviewed_by:
        yield "nobody is named in `reviewed_by`: a label is a person's"
    if problem := judge.reference_problem(example):
        yield problem


def _fault(where: str, message: str) -> ConfigError:
    return ConfigError(message, where=where, code="labels")
