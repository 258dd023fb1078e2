"""The record of one evaluation: what recomputes its verdict offline, and no output.  Pure.

The file is one JSON object, a column of answers on a line.  Its ID is the first 32 hex digits of
the SHA-256 of the same object in canonical form: sorted keys, no spaces, ASCII.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import PurePath
from typing import Any, Literal

from fftdeploy.errors import ConfigError, InconclusiveError
from fftdeploy.evaluation.evidence.evidence_columns import columns, read_columns
from fftdeploy.evaluation.evidence.evidence_shape import require_shape
from fftdeploy.evaluation.gate.statistics import wilson
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.verdict import NEVER_ALLOWED, ArmResult, Verdict
from fftdeploy.formats import strict_json
from fftdeploy.releases.deployments import Bundle

SCHEMA = "fftdeploy.evidence/2"
_OLDER = frozenset({"fftdeploy.evidence/1"})
"""Schemas of evidence that another rule of the gate has judged, on another hash of the examples."""

DEAD, LIVE_ITSELF, NOTHING_LIVE = "dead", "live itself", "no live model"
"""Why there is no baseline."""

SHOWN_DIGITS = 12
MAX_BYTES = 256 * 1024 * 1024
_SHORT = 120
"""Characters that an object, or a list of some, may have and stand on one line."""


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
    training: Mapping[str, Any] | None = None
    """`file_sha`, `exact` and `near`: how many examples are in the training file too."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where the answers of the live arm come from."""

    how: Literal["fresh", "recorded", "none"]
    evidence: str = ""
    """ID of the evidence whose answers are taken, because the model is dead now."""
    at: datetime | None = None
    """When they were recorded."""
    why: str = ""
    """Why there is none: `DEAD`, `LIVE_ITSELF` or `NOTHING_LIVE`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One evaluation of one candidate."""

    task: str
    target: str
    made_at: datetime
    tool: str
    address: str
    """Address of the API that was asked."""
    kind: str
    """What kind of host it is: `openai`, `azure` or `openai-compatible`."""
    arms: Mapping[str, Bundle]
    """`candidate`, maybe `live` and `base`, and others by `MODEL[@PROFILE]`."""
    answered_by: Mapping[str, Sequence[str]]
    """The names by which an arm has answered, where they are not the model's ID."""
    baseline: Baseline
    examples: ExamplesFacts
    graders: tuple[Mapping[str, Any], ...]
    gate: Mapping[str, Any]
    prices: Mapping[str, Any] | None
    """`on` (a day) and `models`: those of the arms, in USD per million tokens."""
    cache: Mapping[str, Any]
    """`reuse` and `max_age_s`; `answers`: how many of each arm were not asked anew; `oldest`: when
    the oldest answer was given."""
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

    @property
    def given_at(self) -> datetime:
        """When the oldest of its answers was given: evidence is as old as that."""
        oldest = self.cache["oldest"]
        return min(self.made_at, _moment(oldest)) if oldest else self.made_at

    @property
    def candidate(self) -> Bundle:
        """The bundle that was judged."""
        return self.arms["candidate"]

    @property
    def ruling(self) -> str:
        """What the gate said: `pass`, `fail` or `inconclusive`."""
        return str(self.verdict["ruling"])

    @property
    def lets_through(self) -> bool:
        """Whether the gate stops nothing: it was met, only reports, or allows what is open."""
        if self.ruling == "pass" or self.verdict["reports_only"]:
            return True
        if self.baseline.why == LIVE_ITSELF:  # a record, and no candidate
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
    return sha256(strict_json.dumps(content).encode()).hexdigest()[:32]


def with_id(evidence: Evidence) -> tuple[str, bytes]:
    """Return the ID of `evidence` and the bytes of its file."""
    text = f"{_laid_out(_document(evidence))}\n"
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


def _document(evidence: Evidence) -> dict[str, Any]:
    examples, baseline = evidence.examples, evidence.baseline
    return {
        "schema": SCHEMA,
        "task": evidence.task,
        "target": evidence.target,
        "made_at": time_text(evidence.made_at),
        "tool": evidence.tool,
        "address": evidence.address,
        "kind": evidence.kind,
        "arms": {name: _bundle_json(bundle) for name, bundle in evidence.arms.items()},
        "answered_by": {arm: [*names] for arm, names in evidence.answered_by.items()},
        "baseline": {
            "how": baseline.how,
            "evidence": baseline.evidence or None,
            "at": time_text(baseline.at) if baseline.at else None,
            "why": baseline.why or None,
        },
        "examples": {
            "sha": examples.sha,
            "files": [list(pair) for pair in examples.files],
            "n": examples.n,
            "reviewed": examples.reviewed,
            "duplicates": examples.duplicates,
            "training": examples.training,
        },
        "graders": {"sha": evidence.graders_sha, "content": list(evidence.graders)},
        "gate": {"sha": evidence.gate_sha, "content": evidence.gate},
        "judge": None,
        "prices": evidence.prices,
        "cache": evidence.cache,
        "run": evidence.run,
        "candidates": evidence.candidates,
        "attempt": evidence.attempt,
        "used": evidence.used,
        "verdict": evidence.verdict,
        **({} if evidence.concurrency is None else {"concurrency": evidence.concurrency}),
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
            raise _older(source)
        if document["schema"] != SCHEMA:
            what = f"{source} is of the schema {str(document['schema'])[:60]!a}"
            raise ConfigError(what, where=source, code="evidence")
        require_shape(document)
        return content_sha(document), _evidence(document)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        problem = str(error) if isinstance(error, strict_json.StrictError) else "a part is missing"
        raise ConfigError(
            f"{source} is not evidence of fftdeploy: {problem}",
            hint="restore it from git, or run `fftdeploy eval` again",
            where=source,
            code="evidence",
        ) from None


def _older(source: str) -> InconclusiveError:
    return InconclusiveError(
        f"evidence {PurePath(source).stem[:SHOWN_DIGITS]} was made under an older rule of the "
        "gate, and can't be compared any more",
        hint="evaluate again: fftdeploy eval TASK/ENVIRONMENT",
        where=source,
        code="older-evidence",
    )


def _evidence(document: Mapping[str, Any]) -> Evidence:
    examples, baseline = document["examples"], document["baseline"]
    found = Evidence(
        task=document["task"],
        target=document["target"],
        made_at=_moment(document["made_at"]),
        tool=document["tool"],
        address=document["address"],
        kind=document["kind"],
        arms={name: Bundle(**bundle) for name, bundle in document["arms"].items()},
        answered_by=document["answered_by"],
        baseline=Baseline(
            baseline["how"],
            baseline["evidence"] or "",
            _moment(baseline["at"]) if baseline["at"] else None,
            baseline["why"] or "",
        ),
        examples=ExamplesFacts(
            examples["sha"],
            tuple((path, sha) for path, sha in examples["files"]),
            examples["n"],
            examples["reviewed"],
            examples["duplicates"],
            examples["training"],
        ),
        graders=tuple(document["graders"]["content"]),
        gate=document["gate"]["content"],
        prices=document["prices"],
        cache=document["cache"],
        run=document["run"],
        candidates=document["candidates"],
        attempt=document["attempt"],
        used=document["used"],
        results=read_columns(document),
        verdict=document["verdict"],
        concurrency=document.get("concurrency"),
    )
    if _document(found) != document:  # the hash of a part, or a second spelling of a column
        raise ValueError("a part is not as fftdeploy writes it")
    return found


def same_verdict(stored: Mapping[str, Any], computed: Verdict) -> str:
    """Say what of a stored verdict is not what its answers give; "" if all of it is.

    Wording may change from version to version, so that sentences are not compared.  An arm of
    groups may also have its interval as it once was, of the examples and not of effective units:
    nothing is decided by it.
    """
    place = next(_differences(dict(stored), computed.as_json(), "verdict"), "")
    once = replace(computed, arms=tuple(_of_examples(arm) for arm in computed.arms))
    if place and not any(_differences(dict(stored), once.as_json(), "verdict")):
        return ""
    return place


def _of_examples(arm: ArmResult) -> ArmResult:
    low, high = wilson(arm.rate * arm.n, arm.n)
    return replace(arm, low=low, high=high)


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


def _bundle_json(bundle: Bundle) -> dict[str, Any]:
    return {
        "model": bundle.model,
        "provider": bundle.provider,
        "profile": bundle.profile,
        "profile_sha": bundle.profile_sha,
    }


def time_text(moment: datetime) -> str:
    """Write a time as evidence has it: in UTC, whole seconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment.astimezone(UTC)
