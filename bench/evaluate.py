"""One side of the evaluation bench: `evaluate.py SIDE URL EXAMPLES CONCURRENCY`.

`ours` is a whole run: examples checked, asked, graded and logged; `batch` is the same by batches.
The others only ask, as a script would: `create` and `post` are loops over the asynchronous client,
with and without the SDK's types, `retrying` is the first with the SDK's own retries, `threads` is a
pool over the synchronous one.  Prints seconds of wall and CPU without imports, the most memory in
MB, and for `ours` the latencies that it tells, ms.
"""

import asyncio
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import openai
from measure import most_mb

from fftdeploy.api.settings import Settings, settings
from fftdeploy.evaluation.arms import Arm
from fftdeploy.evaluation.examples.examples import open_examples
from fftdeploy.evaluation.gate.gate import summarize
from fftdeploy.evaluation.graders.graders import build
from fftdeploy.evaluation.limits import Limits
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.running import online, run_log
from fftdeploy.evaluation.running.batches import batched
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import RunAnswers
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.policy.grader_rules import GraderRules
from fftdeploy.policy.prices import Prices
from fftdeploy.policy.profiles import parse
from fftdeploy.releases.deployments import Bundle

KEY = "sk-sandbox"
PROFILE = b'system = "Triage the customer message."\ntemperature = 0\nmax_completion_tokens = 200\n'
FIELDS = ("urgency", "category", "next_step")


def bodies(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what every side sends."""
    with path.open() as file:
        for line in file:
            turns = json.loads(line)["messages"][:-1]
            yield {
                "model": "bench",
                "messages": turns,
                "temperature": 0,
                "max_completion_tokens": 200,
            }


def ours(url: str, path: Path, concurrency: int) -> dict[str, float]:
    """Evaluate, as `fftdeploy eval` does, but for proofs and the gate."""

    def at_once(run: Run, known: Settings, log: RunLog, spending: Spending) -> Results:
        answers = RunAnswers(run, log, spending)
        return online.evaluate(answers, {"live": known}, concurrency=concurrency)

    told = summarize(_evaluated(url, path, at_once), "live", None)
    return {"p50": told.p50_latency_ms or 0, "p95": told.p95_latency_ms or 0}


def batch(url: str, path: Path, _: int) -> None:
    """Evaluate by batches, as `fftdeploy eval --batch` does, but for proofs and the gate."""
    options = batched.BatchOptions(wait_s=None, since=None, again="")

    def by_batches(run: Run, known: Settings, log: RunLog, spending: Spending) -> Results:
        answers = RunAnswers(run, log, spending)
        return batched.evaluate(answers, {"live": known}, options, monotonic=time.monotonic)

    _evaluated(url, path, by_batches)


def _evaluated(
    url: str, path: Path, evaluate: Callable[[Run, Settings, RunLog, Spending], Results]
) -> Results:
    grader = GraderRules(
        "json_fields", "json_fields", {"fields": {name: {"kind": "exact"} for name in FIELDS}}
    )
    rules = GateRules((path.name,), (grader,))
    profile = parse(PROFILE, "short", "short.toml")
    arm = Arm("live", Bundle("bench", profile="short"), profile, address=url)
    grading = build(rules.graders)
    examples = open_examples([(path, path.name)], root=path.parent, check=grading.reference_problem)
    run = Run("bench", [arm], examples, rules, grading, random=Random(1))  # noqa: S311  an order
    known = settings({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url})
    spending = Spending({"live": "bench"}, Prices(), Limits(max_requests=10**6))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        root = Path(folder)
        with run_log.open_log(root, run, now=_now, token="000000") as log:  # noqa: S106  no secret
            results = evaluate(run, known, log, spending)
    assert results.arms["live"].count("api-error") == 0
    return results


def _now() -> datetime:
    return datetime.now(UTC)


def loop(url: str, path: Path, concurrency: int, *, typed: bool, retries: int = 0) -> None:
    """Ask with as many tasks as there may be requests at a time."""

    async def ask(client: openai.AsyncOpenAI, body: dict[str, Any]) -> object:
        if typed:
            return (await client.chat.completions.create(**body)).choices[0].message.content
        answer = await client.post("/chat/completions", cast_to=object, body=body)
        return answer["choices"][0]["message"]["content"]  # type: ignore[index]  # JSON

    async def work(client: openai.AsyncOpenAI, wanted: Iterator[dict[str, Any]]) -> None:
        for body in wanted:
            assert await ask(client, body)

    async def main() -> None:
        limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        http = httpx2.AsyncClient(limits=limits)
        client = openai.AsyncOpenAI(
            api_key=KEY, base_url=url, max_retries=retries, http_client=http
        )
        wanted = bodies(path)
        async with client:
            await asyncio.gather(*(work(client, wanted) for _ in range(concurrency)))

    _run(main())


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def threads(url: str, path: Path, concurrency: int) -> None:
    """Ask with a pool of threads over the synchronous client."""
    limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    http = httpx2.Client(limits=limits)
    client = openai.OpenAI(api_key=KEY, base_url=url, max_retries=0, http_client=http)

    def ask(body: dict[str, Any]) -> object:
        return client.chat.completions.create(**body).choices[0].message.content

    with ThreadPoolExecutor(concurrency) as pool:
        assert all(pool.map(ask, bodies(path)))


SIDES: dict[str, Callable[[str, Path, int], dict[str, float] | None]] = {
    "ours": ours,
    "batch": batch,
    "create": lambda *asked: loop(*asked, typed=True),
    "post": lambda *asked: loop(*asked, typed=False),
    "retrying": lambda *asked: loop(*asked, typed=True, retries=100),
    "threads": threads,
}


def main() -> None:
    side, url, path, concurrency = sys.argv[1:]
    gc.freeze()  # the console script does these two; every side gets them
    gc.set_threshold(50_000)
    started, cpu = time.perf_counter(), time.process_time()
    more = SIDES[side](url, Path(path), int(concurrency)) or {}
    used = {
        "wall": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "mb": most_mb(),
        **more,
    }
    print(json.dumps(used))


main()
