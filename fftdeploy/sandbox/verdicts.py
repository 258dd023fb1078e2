"""How the sandbox's judges mark triage answers: mostly as they are, wrongly as often as they say.

A judge finds the customer's message and the answer in its prompt between `<message>` and `<answer>`
tags.  The answer is good where it is what the best of the sandbox's models says.  Which ones are
judged wrongly follows from a hash: always the same.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fftdeploy.sandbox import triage

_PARTS = re.compile(r"<message>(.*?)</message>.*<answer>(.*?)</answer>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a judge passes a good answer, and rejects a bad one."""

    sensitivity: float
    specificity: float


GOOD_JUDGE = Accuracy(0.95, 0.9)
POOR_JUDGE = Accuracy(0.7, 0.55)


def is_asked(schema: Mapping[str, Any]) -> bool:
    """Tell whether an answer of this shape is a verdict: a label or a score, and nothing else."""
    return [*schema.get("properties", {})] in (["label"], ["score"])


def verdict(judge: Accuracy, prompt: str, schema: Mapping[str, Any]) -> str:
    """Answer in the shape that was asked for: the first label where it passes, else the last.

    Where a score is asked for it is 0.9 or 0.1.
    """
    passes = _passes(judge, prompt)
    labels = schema.get("properties", {}).get("label", {}).get("enum")
    if labels:
        return json.dumps({"label": labels[0] if passes else labels[-1]})
    return json.dumps({"score": 0.9 if passes else 0.1})


def _passes(judge: Accuracy, prompt: str) -> bool:
    found = _PARTS.search(prompt)
    if found is None:
        return False
    message, answer = found.groups()
    is_good = _read(answer) == _read(triage.triage(triage.V10, message))
    digest = hashlib.sha256(f"{judge}{message}{answer}".encode()).digest()
    chance = int.from_bytes(digest[:6]) / 2**48
    return chance < judge.sensitivity if is_good else chance >= judge.specificity


def _read(answer: str) -> Any:
    try:
        return json.loads(answer)
    except ValueError:
        return None
