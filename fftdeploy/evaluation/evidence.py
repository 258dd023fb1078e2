"""The record of one evaluation: what recomputes its verdict offline, and no output.  Pure.

The file is one JSON object, a row of `rows` on a line.  Its ID is the first 32 hex digits of the
SHA-256 of the same object in canonical form: sorted keys, no spaces, ASCII.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

from fftdeploy import strict_json
from fftdeploy.deployments import Bundle
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.evidence_shape import require_shape
from fftdeploy.evaluation.results import NOT_MEASURED, Column, Results, Sample
from fftdeploy.evaluation.verdict import Verdict

SCHEMA = "fftdeploy.evidence/1"
DEAD, LIVE_ITSELF, NOTHING_LIVE = "dead", "live itself", "no live model"
"""Why there is no baseline."""

MAX_BYTES = 256 * 1024 * 1024
_ROW_COLUMNS = ("id", "group", "must_pass", "slices")
_ROWS_OPEN, _ROWS_BETWEEN, _ROWS_CLOSE = ',"rows":[\n', "\n,", "\n]\n"


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
    arms: Mapping[str, Bundle]
    """`candidate`, maybe `live` and `base`, and others by `MODEL[@PROFILE]`."""
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
    digest, text = sha256(), bytearray()
    results = evidence.results
    rows = (_row(results, index) for index in range(len(results)))
    for chunk in _chunks(_head(evidence), rows):
        piece = chunk.encode()
        digest.update(piece)
        text += piece
        text += b"\n"
    return digest.hexdigest()[:32], bytes(text)


def _chunks(head: Mapping[str, Any], rows: Iterable[Any]) -> Iterator[str]:
    """Yield the canonical form in pieces: line ends between them change nothing but the looks."""
    opening = "{"
    for key in sorted([*head, "rows"]):
        yield f"{opening}{strict_json.dumps(key)}:" + (
            "[" if key == "rows" else strict_json.dumps(head[key])
        )
        opening = ","
        if key == "rows":
            comma = ""
            for row in rows:
                yield comma + strict_json.dumps(row)
                comma = ","
            yield "]"
    yield "}"


def _head(evidence: Evidence) -> dict[str, Any]:
    examples, baseline, results = evidence.examples, evidence.baseline, evidence.results
    return {
        "schema": SCHEMA,
        "task": evidence.task,
        "target": evidence.target,
        "made_at": time_text(evidence.made_at),
        "tool": evidence.tool,
        "address": evidence.address,
        "arms": {name: _bundle_json(bundle) for name, bundle in evidence.arms.items()},
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
        "repeats": results.repeats,
        "slices": list(results.slice_keys),
        "fields": list(results.fields),
        "columns": [*_ROW_COLUMNS, *results.arms],
        "verdict": evidence.verdict,
    }


def _row(results: Results, index: int) -> list[Any]:
    return [
        results.ids[index],
        results.groups[index],
        bool(results.must_pass[index]),
        list(results.slices[index]),
        *([_cell(sample) for sample in results.samples(arm, index)] for arm in results.arms),
    ]


def _cell(sample: Sample) -> list[Any]:
    mark, failed, latency, *tokens = sample
    return [mark, list(failed), None if latency == NOT_MEASURED else latency, *tokens]


def parse(raw: bytes, source: str) -> tuple[str, Evidence]:
    """Read an evidence file; return its true ID, whatever it is called, and what it says.

    Raises:
        ConfigError: It is not one.
    """
    try:
        head, rows = _parts(raw.decode())
        if head["schema"] != SCHEMA:
            what = f"{source} is of the schema {str(head['schema'])[:60]!a}"
            raise ConfigError(what, where=source, code="evidence")
        require_shape(head, len(rows))
        digest, builder = sha256(), _Builder(head, rows)
        for chunk in _chunks(head, map(builder.add, rows)):
            digest.update(chunk.encode())
        found = _evidence(head, builder.results)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        problem = str(error) if isinstance(error, strict_json.StrictError) else "a part is missing"
        raise ConfigError(
            f"{source} is not evidence of fftdeploy: {problem}",
            hint="restore it from git, or run `fftdeploy eval` again",
            where=source,
            code="evidence",
        ) from None
    return digest.hexdigest()[:32], found


def _parts(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return everything but the rows, and the text of each row: whole, they are 20 x the file."""
    before, opened, rest = text.partition(_ROWS_OPEN)
    lines, closed, after = rest.partition(_ROWS_CLOSE)
    if opened and closed:
        head = strict_json.loads(f'{before},"rows":0\n{after}')
        if head.pop("rows") == 0:  # and not the rows of an object within
            return head, lines.split(_ROWS_BETWEEN)
    head = strict_json.loads(text)
    return head, [strict_json.dumps(row) for row in head.pop("rows")]


def _evidence(document: Mapping[str, Any], results: Results) -> Evidence:
    examples, baseline = document["examples"], document["baseline"]
    if document["columns"][:4] != list(_ROW_COLUMNS):
        raise ValueError("other columns")
    found = Evidence(
        task=document["task"],
        target=document["target"],
        made_at=_moment(document["made_at"]),
        tool=document["tool"],
        address=document["address"],
        arms={name: Bundle(**bundle) for name, bundle in document["arms"].items()},
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
        results=results,
        verdict=document["verdict"],
    )
    if _head(found) != document:
        raise ValueError("a hash of a part is not that of the part")
    return found


class _Builder:
    """Results out of the rows of a file, one after the other."""

    def __init__(self, head: Mapping[str, Any], rows: Sequence[str]) -> None:
        repeats, arms = head["repeats"], head["columns"][len(_ROW_COLUMNS) :]
        if rows and repeats * len(arms) > min(map(len, rows)):
            raise ValueError("more answers than a row has room for")
        self.results = Results(repeats, tuple(head["slices"]), tuple(head["fields"]))
        self.columns = [Column.empty(len(rows) * repeats) for _ in arms]
        self.results.arms.update(zip(arms, self.columns, strict=True))

    def add(self, text: str) -> Any:
        """Add one row, and return it as it was read.

        Raises:
            ValueError: It is not a row, or one of another shape.
        """
        row = strict_json.loads(text)
        example_id, group, must_pass, slices, *answers = row
        results = self.results
        names = (example_id, group, *slices)
        if len(slices) != len(results.slice_keys) or type(must_pass) is not bool:
            raise ValueError("a row of another shape")
        if not all(type(name) is str for name in names):
            raise ValueError("a row of another shape")
        place = len(results) * results.repeats
        results.add_example(example_id, group, slices, must_pass=must_pass)
        for column, cells in zip(self.columns, answers, strict=True):
            if len(cells) != results.repeats:
                raise ValueError("an answer is missing")
            for repeat, (mark, failed, latency, *tokens) in enumerate(cells):
                measured = NOT_MEASURED if latency is None else latency
                self._require_possible(mark, failed, [latency or 0, *tokens])
                column.put(place + repeat, Sample(mark, tuple(failed), measured, *tokens))
        return row

    def _require_possible(self, mark: str, failed: list[int], counts: list[int]) -> None:
        """Refuse an answer that no run gives.

        Raises:
            TypeError, ValueError: It is one.
        """
        is_known = failed == sorted(set(failed)) and (
            not failed or 0 <= failed[0] <= failed[-1] < len(self.results.fields)
        )
        if not mark or not is_known or min(counts) < 0:
            raise ValueError("an answer that no run gives")


def same_verdict(stored: Mapping[str, Any], computed: Verdict) -> str:
    """Say what of a stored verdict is not what its rows give; "" if all of it is.

    Wording may change from version to version, so that sentences are not compared.
    """
    return next(_differences(dict(stored), computed.as_json(), "verdict"), "")


_WORDS = frozenset({"headline", "detail", "message"})


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
