"""What an evidence file has to look like, key by key, before anything is made of it.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.formats import json_shapes


@dataclass(frozen=True, slots=True)
class _Bundle:
    model: str
    provider: str
    profile: str | None
    profile_sha: str | None


@dataclass(frozen=True, slots=True)
class _Baseline:
    how: Literal["fresh", "recorded", "none"]
    evidence: str | None
    at: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class _Training:
    file_sha: str
    exact: int
    near: int


@dataclass(frozen=True, slots=True)
class _Examples:
    sha: str
    files: tuple[tuple[str, ...], ...]
    n: int
    reviewed: int
    duplicates: int
    training: _Training | None


@dataclass(frozen=True, slots=True)
class _Graders:
    sha: str
    content: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class _Gate:
    sha: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Price:
    input: float
    cached_input: float
    output: float


@dataclass(frozen=True, slots=True)
class _Prices:
    on: str
    models: dict[str, _Price]


@dataclass(frozen=True, slots=True)
class _Cache:
    reuse: bool
    max_age_s: int
    answers: dict[str, int]
    oldest: str | None


@dataclass(frozen=True, slots=True)
class _Ids:
    all: str
    each: Any


@dataclass(frozen=True, slots=True)
class _Slice:
    key: str
    values: tuple[str, ...]
    of: Any


@dataclass(frozen=True, slots=True)
class _Answers:
    arm: str
    marks: str
    failed: str
    latency_ms: Any
    tokens_in: Any
    tokens_cached: Any
    tokens_out: Any
    tokens_reasoning: Any


@dataclass(frozen=True, slots=True)
class _Document:
    schema: str
    task: str
    target: str
    made_at: str
    tool: str
    address: str
    kind: str
    arms: dict[str, _Bundle]
    answered_by: dict[str, tuple[str, ...]]
    baseline: _Baseline
    examples: _Examples
    graders: _Graders
    gate: _Gate
    judge: None
    prices: _Prices | None
    cache: _Cache
    run: str
    candidates: int
    attempt: int
    used: int
    repeats: int
    fields: tuple[str, ...]
    ids: _Ids
    groups: Any
    must_pass: tuple[int, ...]
    slices: tuple[_Slice, ...]
    answers: tuple[_Answers, ...]
    verdict: Verdict
    concurrency: int | None


def require_shape(document: Mapping[str, Any]) -> None:
    """Refuse an evidence file of another shape; how long columns are is left to their reader.

    Raises:
        TypeError, ValueError: It has.
    """
    head: _Document = json_shapes.read(_Document, {"concurrency": None} | dict(document))
    examples, cache = head.examples, head.cache
    counts: tuple[int, ...] = (head.candidates, head.attempt, head.used, head.repeats)
    if head.concurrency is not None:
        counts = (*counts, head.concurrency)
    if min(counts) < 1 or min(examples.duplicates, cache.max_age_s) < 0:
        raise ValueError("a number out of its range")
    if not 0 <= examples.reviewed <= examples.n:
        raise ValueError("more reviewed examples than there are")
    if any(len(pair) != len(("path", "sha")) for pair in examples.files):
        raise ValueError("a file without its hash")
    if head.target.partition("/")[0] != head.task or PurePath(head.run).name != head.run:
        raise ValueError("a name that is none")
    if not head.answered_by.keys() <= head.arms.keys():
        raise ValueError("answers of other arms")
    asked = sorted(answers.arm for answers in head.answers)
    if not asked == sorted(head.arms) == sorted(cache.answers):
        raise ValueError("answers of other arms")
    if min(cache.answers.values()) < 0:
        raise ValueError("a number out of its range")
    _require_prices(head.prices)
    _require_graders(head.graders)


def _require_prices(prices: _Prices | None) -> None:
    for price in prices.models.values() if prices else ():
        if min(price.input, price.cached_input, price.output) < 0:
            raise ValueError("a price below nothing")


def _require_graders(graders: _Graders) -> None:
    for grader in graders.content:
        fields = grader.get("fields", {})
        named = (grader["type"], grader["name"], *(kind["kind"] for kind in fields.values()))
        if not all(isinstance(word, str) for word in named):
            raise TypeError("a grader without its type")
