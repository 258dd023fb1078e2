"""The record of one evaluation: enough to compute its verdict offline, and no output.

The file is one JSON object, a column of answers on a line.  Its ID is the first 32 hex digits of
the SHA-256 of the same object in canonical form: sorted keys, no spaces, ASCII.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import sha256
from pathlib import PurePath
from typing import Any, Literal, TypedDict, cast

from fftdeploy.errors import ConfigError, InconclusiveError
from fftdeploy.evaluation.arms import CANDIDATE, LIVE, AskedHost
from fftdeploy.evaluation.evidence.evidence_columns import columns, read_columns
from fftdeploy.evaluation.examples.examples import sha_of
from fftdeploy.evaluation.gate.judge_facts import JudgeFacts
from fftdeploy.evaluation.gate.statistics import wilson
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.verdict import NEVER_ALLOWED, Verdict
from fftdeploy.formats import json_shapes, strict_json
from fftdeploy.model_ids.identity import FACTS
from fftdeploy.policy.prices import Price
from fftdeploy.releases.deployments import Bundle

SCHEMA = "fftdeploy.evidence/2"
_OLDER = frozenset({"fftdeploy.evidence/1"})
"""Schemas of evidence that another rule of the gate has judged, on another hash of the examples."""

DEAD, LIVE_ITSELF, NOTHING_LIVE = "dead", "live itself", "no live model"
"""Why there is nothing to compare with."""

JUDGED = {CANDIDATE, LIVE}
"""The arms that a verdict is about: none of their answers is left out on its own."""

SHOWN_DIGITS = 12
MAX_BYTES = 256 * 1024 * 1024

_SHORT = 120
"""Characters that an object, or a list of some, may have and stand on one line."""


class TrainingFacts(TypedDict):
    """How many examples are in the training file too."""

    file_sha: str
    exact: int
    near: int


class PriceFacts(TypedDict):
    """USD per million tokens."""

    input: float
    cached_input: float
    output: float


class PricesFacts(TypedDict):
    """The prices of the arms' models by `[PROVIDER=]MODEL`, and their day."""

    on: str
    models: Mapping[str, PriceFacts]


class HostFacts(TypedDict):
    """Whom a model was asked of."""

    address: str
    kind: str


class CacheFacts(TypedDict):
    """Which answers were not asked for anew."""

    reuse: bool
    max_age_s: int
    answers: Mapping[str, int]
    """How many of each arm."""
    oldest: str | None
    """When the oldest answer was given."""


@dataclass(frozen=True, slots=True)
class ExamplesFacts:
    """Which examples were asked, and how they were reviewed."""

    sha: str
    files: tuple[tuple[str, str], ...]
    """Path from the policy's folder, and SHA-256."""
    n: int
    reviewed: int
    duplicates: int
    """Examples left out because another one has the same input and the same answer."""
    training: TrainingFacts | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where the answers of the live arm come from."""

    how: Literal["fresh", "recorded", "none"]
    evidence: str | None = None
    """ID of the evidence whose answers are taken, because the model is dead now."""
    at: datetime | None = None
    """When they were recorded."""
    why: str | None = None
    """Why there is none: `DEAD`, `LIVE_ITSELF` or `NOTHING_LIVE`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One evaluation of one candidate.

    Its fields are the keys of the file with their types, except that `graders` and `gate` stand
    beside their hashes there, `results` are columns, and a `concurrency` of None, `hosts` and
    `identities` of nobody, and `left_out` of nothing, are left out.
    """

    task: str
    target: str
    made_at: datetime
    tool: str
    address: str
    """Where the candidate was asked, and every arm that `hosts` does not have."""
    kind: str
    """What kind of host it is: `openai`, `azure` or `openai-compatible`."""
    arms: Mapping[str, Bundle]
    """`candidate`, maybe `live` and `base`, and others by `[PROVIDER=]MODEL[@PROFILE]`."""
    answered_by: Mapping[str, Sequence[str]]
    """The names by which an arm has answered, where they are not the model's ID."""
    baseline: Baseline
    examples: ExamplesFacts
    graders: tuple[Mapping[str, Any], ...]
    gate: Mapping[str, Any]
    prices: PricesFacts | None
    cache: CacheFacts
    run: str
    """File name of the run's log, where the outputs are as long as that is kept."""
    candidates: int
    """How many candidates were tried together; they share the risk of a wrong pass, and go on
    sharing it when one of them is evaluated again."""
    attempt: int
    """Which run of this candidate on these examples, counted from 1."""
    used: int
    """How often these examples have decided, this time included."""
    results: Results
    verdict: Mapping[str, Any]
    """What the gate said: `Verdict.as_json()`."""
    concurrency: int | None = None
    """How many requests were out at a time while the latency was measured; None where that is not
    known: the run was stopped and gone on with, or its evidence is older than this."""
    judge: JudgeFacts | None = None
    """The model judge that was asked, too; None where the graders have none."""
    hosts: Mapping[str, HostFacts] = field(default_factory=dict)
    """Whom the arms were asked of that were asked of another host than the candidate."""
    identities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What the hosts said of the arms' models, where they said more than their names."""
    left_out: tuple[str, ...] = ()
    """IDs of the examples that judge nobody: the prompt of the candidate or of live shows them."""

    def host_of(self, arm: str) -> AskedHost:
        """Return whom an arm was asked of."""
        asked = self.hosts.get(arm, {"address": self.address, "kind": self.kind})
        return AskedHost(asked["address"], asked["kind"], self.identities.get(arm, {}))

    def price_of(self, bundle: Bundle) -> Price | None:
        """Return the price that the model of an arm had."""
        priced = self.prices["models"] if self.prices else {}
        return Price(**priced[bundle.hosted]) if bundle.hosted in priced else None

    @property
    def given_at(self) -> datetime:
        """When the oldest of its answers was given: evidence is as old as that."""
        oldest = self.cache["oldest"]
        return min(self.made_at, json_shapes.read(datetime, oldest)) if oldest else self.made_at

    @property
    def candidate(self) -> Bundle:
        """The bundle that was judged."""
        return self.arms["candidate"]

    @property
    def is_record(self) -> bool:
        """Whether it is about what is live itself: answers to compare others with."""
        return self.baseline.why == LIVE_ITSELF

    @property
    def ruling(self) -> str:
        """What the gate said: `pass`, `fail` or `inconclusive`."""
        return str(self.verdict["ruling"])

    @property
    def lets_through(self) -> bool:
        """Whether the gate stops nothing: it was met, only reports, or allows what is open."""
        if self.ruling == "pass" or self.verdict["reports_only"]:
            return True
        if self.is_record:
            return True
        held = [reason["code"] for reason in self.verdict["reasons"] if reason["rules"]]
        if not NEVER_ALLOWED.isdisjoint(held):
            return False
        return self.ruling == "inconclusive" and self.gate["on_inconclusive"] == "allow"

    @property
    def graders_sha(self) -> str:
        """Hash of the graders."""
        return content_sha(list(self.graders))

    @property
    def gate_sha(self) -> str:
        """Hash of the gate's rules."""
        return content_sha(dict(self.gate))


def content_sha(content: Any) -> str:
    """Return the first 32 hex digits of the SHA-256 of a JSON value's canonical form."""
    return strict_json.sha_of(content)[:32]


def file_of(document: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return the ID of a JSON object, which is its `content_sha`, and the bytes of its file."""
    text = f"{_laid_out(document)}\n"
    return sha256(text.replace("\n", "").encode()).hexdigest()[:32], text.encode()


def _laid_out(value: Any) -> str:
    """Return the canonical form on several lines: their ends change nothing but the looks."""
    if isinstance(value, Mapping):
        parts = [f"{strict_json.dumps(key)}:{_laid_out(value[key])}" for key in sorted(value)]
        opening, closing = "{", "}"
    elif isinstance(value, list) and any(isinstance(below, Mapping) for below in value):
        parts = [_laid_out(below) for below in value]
        opening, closing = "[", "]"
    else:
        return strict_json.dumps(value)
    if sum(map(len, parts)) <= _SHORT:
        return opening + ",".join(parts) + closing
    return f"{opening}\n" + ",\n".join(parts) + f"\n{closing}"


def with_id(evidence: Evidence) -> tuple[str, bytes]:
    """Return the ID of `evidence` and the bytes of its file."""
    return file_of(_document(evidence))


_OPTIONAL = frozenset({"concurrency", "hosts", "identities", "left_out"})
"""Fields that the file has only where there is something in them."""
_HASHED = ("graders", "gate")
"""Fields that the file has beside their hashes."""


def _document(evidence: Evidence) -> dict[str, Any]:
    names = [item.name for item in fields(evidence) if item.name != "results"]
    said = {name: json_shapes.written(getattr(evidence, name)) for name in names}
    return {
        "schema": SCHEMA,
        **{name: value for name, value in said.items() if value or name not in _OPTIONAL},
        **{name: {"sha": content_sha(said[name]), "content": said[name]} for name in _HASHED},
        **columns(evidence.results),
    }


def parse(raw: bytes, source: str) -> tuple[str, Evidence]:
    """Read an evidence file; return its true ID, whatever it is called, and what it says.

    Raises:
        ConfigError: It is not one.
        InconclusiveError: It is one, made under an older rule.
    """
    try:
        document = strict_json.loads(raw.decode())
        if document["schema"] in _OLDER:
            raise InconclusiveError(
                f"evidence {PurePath(source).stem[:SHOWN_DIGITS]} was made under an older rule of "
                "the gate, and can't be compared any more",
                hint="evaluate again: fftdeploy eval TASK/ENVIRONMENT",
                where=source,
                code="older-evidence",
            )
        if document["schema"] != SCHEMA:
            what = f"{source} is of the schema {str(document['schema'])[:60]!a}"
            raise ConfigError(what, where=source, code="evidence")
        return content_sha(document), _evidence(document)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        problem = str(error) if isinstance(error, strict_json.StrictError) else "a part is missing"
        raise ConfigError(
            f"{source} is not evidence of fftdeploy: {problem}",
            hint="restore it from git, or make it again: fftdeploy eval TASK/ENVIRONMENT",
            where=source,
            code="evidence",
        ) from None


def read_verdict(stored: Mapping[str, Any]) -> Verdict:
    """Return the verdict that evidence has stored: what `Verdict.as_json` has written.

    Raises:
        ConfigError: It is not that: a key too many or too few, or a value of another kind.
    """
    try:
        return cast("Verdict", json_shapes.read(Verdict, stored))
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(
            "the verdict in this evidence has another shape than fftdeploy gives it",
            hint="check it: fftdeploy verify",
            code="evidence",
        ) from None


def _evidence(document: Mapping[str, Any]) -> Evidence:
    json_shapes.read(Verdict, document["verdict"])
    kinds = {item.name: item.type for item in fields(Evidence)}
    said = {name: document[name] for name in kinds.keys() - _OPTIONAL - {"results", *_HASHED}}
    said |= {name: document[name] for name in _OPTIONAL & document.keys()}
    said |= {name: document[name]["content"] for name in _HASHED}
    made = {name: json_shapes.read(kinds[name], value) for name, value in said.items()}
    found = Evidence(**made, results=read_columns(document))
    _require_sense(found)
    # The hash of a part, a key too many, or a second spelling of a column.
    if strict_json.dumps(_document(found)) != strict_json.dumps(document):
        raise ValueError("a part is not as fftdeploy writes it")
    return found


def _require_sense(found: Evidence) -> None:
    """Refuse what no evaluation can have come to; a ValueError, or what a wrong type raises."""
    examples, cache, results, arms = found.examples, found.cache, found.results, found.arms
    counts = [found.candidates, found.attempt, found.used, results.repeats]
    counts += [] if found.concurrency is None else [found.concurrency]
    sizes = examples.duplicates, cache["max_age_s"], *cache["answers"].values()
    facts = [facts for arm, facts in found.identities.items() if arm in arms]
    prices = found.prices["models"].values() if found.prices else ()
    usd = [price for one in prices for price in (one["input"], one["cached_input"], one["output"])]
    named = [word for grader in found.graders for word in (grader["type"], grader["name"])]
    for grader in found.graders:
        named += [compared["kind"] for compared in grader.get("fields", {}).values()]
    shas, left_out = (sha for _, sha in examples.files), found.left_out
    own = {*left_out}.intersection(results.ids)
    judged = [column for name, column in results.arms.items() if name in JUDGED]
    wrong = {
        "a number out of its range": min(counts) < 1 or min(sizes) < 0,
        "more reviewed examples than there are": not 0 <= examples.reviewed <= examples.n,
        "a target of another task": found.target.partition("/")[0] != found.task,
        "a path": PurePath(found.run).name != found.run,
        "null in another spelling": "" in {found.baseline.evidence, found.baseline.why},
        "a host of no other model": not found.hosts.keys() <= arms.keys() - {CANDIDATE},
        "an identity of no model": len(facts) < len(found.identities),
        "an unknown identity": not all(one and one.keys() <= FACTS for one in facts),
        "names of no model": not found.answered_by.keys() <= arms.keys(),
        "answers of others": not sorted(results.arms) == sorted(arms) == sorted(cache["answers"]),
        "a price below nothing": min(usd, default=0) < 0,
        "a grader without its type": not all(isinstance(word, str) for word in named),
        "others left out": bool(left_out) and examples.sha != sha_of(shas, left_out),
        "one left out that was right": bool(own) and own != {*results.broken(own)},
        "an answer that has not come": any(column.count("") for column in judged),
    }
    if any(wrong.values()):
        raise ValueError(", ".join(what for what, is_so in wrong.items() if is_so))


def same_verdict(stored: Mapping[str, Any], computed: Verdict) -> str:
    """Say what of a stored verdict is not what its answers give; "" if all of it is.

    Wording may change from version to version, so that sentences are not compared.  An arm of
    groups may also have its interval as it once was, of the examples and not of effective units:
    nothing is decided by it.
    """
    said = computed.as_json()
    if not (place := next(_differences(dict(stored), said, "verdict"), "")):
        return ""
    for arm in said["arms"]:
        arm["low"], arm["high"] = wilson(arm["rate"] * arm["n"], arm["n"])
    return place if any(_differences(dict(stored), said, "verdict")) else ""


_WORDS = frozenset({"headline", "detail", "message", "settling"})


def _differences(stored: Any, computed: Any, place: str) -> Iterator[str]:
    if isinstance(computed, dict):
        if not isinstance(stored, dict) or stored.keys() != computed.keys():
            yield place
            return
        for key in computed.keys() - _WORDS:
            yield from _differences(stored[key], computed[key], f"{place}.{key}")
    elif isinstance(computed, list):
        if not isinstance(stored, list) or len(stored) != len(computed):
            yield place
            return
        for index, (old, new) in enumerate(zip(stored, computed, strict=True)):
            yield from _differences(old, new, f"{place}[{index}]")
    elif isinstance(computed, float) and isinstance(stored, int | float):
        if not abs(stored - computed) <= 2e-6:  # another libm rounds its last digit elsewhere
            yield place
    elif stored != computed or type(stored) is not type(computed):
        yield place
