"""Runs of the triage examples against a sandbox, and what their results must be."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from checkout import ROOT

from fftdeploy.api.client.plain import PlainClient
from fftdeploy.api.settings import Settings, settings
from fftdeploy.evaluation.arms import Arm
from fftdeploy.evaluation.examples.examples import open_examples
from fftdeploy.evaluation.graders.graders import build
from fftdeploy.evaluation.limits import Limits
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.batches import batched
from fftdeploy.evaluation.running.online import Execution
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import Progress, RunAnswers, Waiting
from fftdeploy.evaluation.running.spending import Mean, Spending
from fftdeploy.evaluation.running.throttle import Throttle
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.policy.grader_rules import GraderRules
from fftdeploy.policy.prices import Price, Prices
from fftdeploy.policy.profiles import Profile, parse
from fftdeploy.releases.deployments import Bundle
from fftdeploy.sandbox import Sandbox, triage

EXAMPLES = ROOT / "evals" / "triage.jsonl"
FIELDS = ("urgency", "category", "next_step")
SKILLS = {"v6": triage.V6, "v7": triage.V7, "v8": triage.V8, "v9": triage.V9, "v10": triage.V10}
SUFFIXES = {"v6": "AaBb6", "v7": "AbBc7", "v8": "BbCc8", "v9": "CdEf9", "v10": "DeFg0"}
PRICES = Prices(
    None,
    {"ft:gpt-4.1-mini-2025-04-14": Price(0.8, 0.2, 3.2)},
    {"ft:gpt-4.1-mini-2025-04-14": Price(0.4, 0.1, 1.6)},
)
GRADER = GraderRules(
    "json_fields", "json_fields", {"fields": {name: {"kind": "exact"} for name in FIELDS}}
)
PROFILE = """\
system = "Triage the customer message."
temperature = 0
max_completion_tokens = 200
"""


def model(version: str) -> str:
    return f"ft:gpt-4.1-mini-2025-04-14:acme:triage-{version}:{SUFFIXES[version]}"


def profile(text: str = PROFILE) -> Profile:
    return parse(text.encode(), "short", "profiles/short.toml")


def arm(version: str, *, name: str = "", text: str = PROFILE) -> Arm:
    made = profile(text)
    return Arm(name or version, Bundle(model(version), "openai", made.name, made.sha), made)


def rules(**changes: Any) -> GateRules:
    usual: dict[str, Any] = {"slices": ("language",), "must_pass": ("edge-case",)}
    return GateRules(("triage.jsonl",), (GRADER,), **{**usual, **changes})


def numbered(path: Path, count: int) -> Path:
    """Write `count` examples, each with an input of its own."""
    lines = EXAMPLES.read_text().splitlines()
    with path.open("w") as file:
        for number in range(count):
            data = json.loads(lines[number % len(lines)])
            turn = data["messages"][-2]
            turn["content"] = f"{turn['content']} ({number})"
            file.write(json.dumps({**data, "id": f"n-{number:06}"}) + "\n")
    return path


def make_run(
    address: str,
    arms: Sequence[Arm],
    path: Path = EXAMPLES,
    *,
    seed: int = 1,
    gate: GateRules | None = None,
) -> Run:
    gate = gate or rules()
    grading = build(gate.graders)
    examples = open_examples([(path, path.name)], root=path.parent)
    asked = [replace(arm, address=address) for arm in arms]
    return Run("triage", asked, examples, gate, grading, random=Random(seed))


def utc_now() -> datetime:
    return datetime.now(UTC)


def spending(
    run: Run, *, means: Mapping[str, Mean] | None = None, is_batch: bool = False, **limits: Any
) -> Spending:
    models = {name: arm.bundle.model for name, arm in run.arms.items()}
    return Spending(models, PRICES, Limits(**limits), means=means, is_batch=is_batch)


class Haste:
    """A clock of a test that need not sit waits through: a sleep sets it forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def clock(self) -> float:
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        self._ahead += seconds
        await asyncio.sleep(0)


class Patience:
    """The clock that everybody has."""

    clock = staticmethod(time.monotonic)
    sleep = staticmethod(asyncio.sleep)


def evaluate(
    run: Run,
    root: Path,
    url: str,
    *,
    key: str = "sk-sandbox",
    concurrency: int = 16,
    timeout_s: float = 20.0,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    time: Haste | Patience | None = None,
    limits: Mapping[str, Any] | None = None,
    budget: Spending | None = None,
    now: Callable[[], datetime] = utc_now,
    **log_options: Any,
) -> Results:
    """Execute a run as the commands do, but for waits that a test need not sit through."""
    known = settings({"OPENAI_API_KEY": key, "OPENAI_BASE_URL": url})
    token = f"{Random().getrandbits(24):06x}"
    time = time or Patience()

    async def main() -> None:
        connection = PlainClient(known, max_connections=concurrency)
        throttle = Throttle(concurrency, random=lambda: 0.5, clock=time.clock, sleep=time.sleep)
        execution = Execution(
            RunAnswers(
                run, log, budget or spending(run, **(limits or {})), on_progress, on_note, now
            ),
            dict.fromkeys(run.arms, connection),
            throttle,
            timeout_s=timeout_s,
            sleep=time.sleep,
        )
        try:
            await execution.execute()
        finally:
            await connection.close()

    with run_log.open_log(root, run, now=now, token=token, **log_options) as log:
        asyncio.run(main())
    return run.results


def evaluate_batched(
    run: Run,
    root: Path,
    url: str,
    *,
    wait_s: float | None = None,
    since: datetime | None = None,
    on_note: Callable[[str], None] = lambda _: None,
    on_waiting: Callable[[Waiting], None] = lambda _: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    limits: Mapping[str, Any] | None = None,
    hosts: Mapping[str, Settings] | None = None,
    now: Callable[[], datetime] = utc_now,
    **log_options: Any,
) -> Results:
    """Carry a run out by batches, but for waits that a test need not sit through."""
    known = settings({"OPENAI_API_KEY": "sk-sandbox", "OPENAI_BASE_URL": url})
    haste = Haste()
    root.mkdir(exist_ok=True)
    with run_log.open_log(
        root, run, now=now, token=f"{Random().getrandbits(24):06x}", **log_options
    ) as log:
        budget = spending(run, is_batch=True, **(limits or {}))
        return batched.evaluate(
            RunAnswers(run, log, budget, on_progress, on_note, now),
            {**dict.fromkeys(run.arms, known), **(hosts or {})},
            batched.BatchOptions(wait_s=wait_s, since=since, again="fftdeploy eval --batch"),
            on_waiting=on_waiting,
            monotonic=haste.clock,
            sleep=haste.sleep,
        )


def truth(run: Run, version: str) -> dict[str, Any]:
    """Return what one arm's results must be, from the sandbox's rules and the examples alone."""
    marks: Counter[str] = Counter()
    slices: Counter[tuple[str, str]] = Counter()
    failed: Counter[str] = Counter()
    for example in run.examples:
        said = json.loads(triage.triage(SKILLS[version], example.messages[-1]["content"]))
        agreed = json.loads(example.reference)
        wrong = [name for name in FIELDS if said[name] != agreed[name]]
        mark = "wrong" if wrong else "pass"
        marks[mark] += 1
        slices[example.meta["language"], mark] += 1
        failed.update(wrong)
    return {"marks": dict(marks), "slices": dict(slices), "failed": dict(failed)}


def counted(results: Results, arm: str) -> dict[str, Any]:
    """Return the same of an arm's results, of its first repeat."""
    marks: Counter[str] = Counter()
    slices: Counter[tuple[str, str]] = Counter()
    failed: Counter[str] = Counter()
    for index in range(len(results)):
        sample = next(results.samples(arm, index))
        marks[sample.mark] += 1
        slices[results.slices[index][0], sample.mark] += 1
        failed.update(results.fields[place] for place in sample.failed)
    return {"marks": dict(marks), "slices": dict(slices), "failed": dict(failed)}


def verdicts(results: Results) -> dict[str, tuple[bytes, bytes, bytes, bytes]]:
    """Return everything of the results but the latencies, which no two runs share."""
    return {
        name: (
            bytes(column.marks),
            column.failed.tobytes(),
            column.tokens_in.tobytes(),
            column.tokens_out.tobytes(),
        )
        for name, column in results.arms.items()
    }


def paid(sandbox: Sandbox, since: int = 0) -> Counter[str]:
    """Count how often each request was sent, from number `since` on."""
    sent = sandbox.requests[since:]
    return Counter(json.dumps(request.body, sort_keys=True) for request in sent)
