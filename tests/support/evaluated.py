"""The story that reports are tried on: triage v9 against v8, where refunds go astray.

Answers are those of the sandbox's models to the reviewed examples of this repository, asked over
and over with other order numbers; marks, tokens and times are made up and always the same.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256
from itertools import cycle
from random import Random
from typing import Any

from checkout import ROOT
from scenes import V8, V9

from fftdeploy.evaluation.evidence import evidence as evidence_module
from fftdeploy.evaluation.evidence.evidence import Baseline, Evidence, ExamplesFacts
from fftdeploy.evaluation.gate.gate import GateQuestion, judge
from fftdeploy.evaluation.patterns.told import told_by
from fftdeploy.evaluation.results import ExampleText, Results, Sample
from fftdeploy.evaluation.verdict import Reason, SliceResult, Verdict
from fftdeploy.output.page.page import report_page
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.policy.grader_rules import GraderRules
from fftdeploy.policy.prices import Price
from fftdeploy.releases.deployments import Bundle
from fftdeploy.sandbox import triage

EXAMPLES = ROOT / "evals" / "triage.jsonl"
BASE = "gpt-4.1-mini-2025-04-14"
MADE_AT = datetime(2026, 11, 20, 15, 58, 12, tzinfo=UTC)
BUNDLES = {
    "candidate": Bundle(V9, profile="triage-short", profile_sha="1f" * 16),
    "live": Bundle(V8, profile="triage-short", profile_sha="1f" * 16),
    "base": Bundle(BASE, profile="triage-long", profile_sha="50cffcb07bfbb3a44080a81c64d41150"),
}
PRICES = {
    "candidate": Price(0.8, 0.2, 3.2),
    "live": Price(0.8, 0.2, 3.2),
    "base": Price(0.4, 0.1, 1.6),
}
GRADER = GraderRules(
    "json_fields",
    "fields",
    {
        "fields": {
            "urgency": {"kind": "exact"},
            "category": {"kind": "exact"},
            "next_step": {"kind": "casefold"},
        }
    },
)
RULES = GateRules(
    examples=("evals/triage.jsonl",),
    graders=(GRADER,),
    must_pass=("edge-case",),
    slices=("language", "topic"),
)
_FIXED = 3
_BROKE = 12
_PROMPTS = {"candidate": (31, 0), "live": (31, 0), "base": (512, 448)}
_SPEEDS = {"candidate": 310, "live": 330, "base": 420}


def story(size: int = 250, *, broke: int = _BROKE, fixed: int = _FIXED) -> list[ExampleText]:
    """Return examples with what v9, v8 and the long-prompted base have answered."""
    return list(_texts(size, broke, fixed))


def _texts(size: int, broke: int, fixed: int) -> Iterator[ExampleText]:
    seeds = [json.loads(line) for line in EXAMPLES.read_text(encoding="utf-8").splitlines()]
    for number, seed in zip(range(1, size + 1), cycle(seeds), strict=False):
        asked, agreed = (seed["messages"][place]["content"] for place in (1, 2))
        if number > len(seeds):
            asked = f"{asked} (ticket {70_000 + 37 * number})"
        good = json.dumps(json.loads(agreed))
        live = good if number % 9 else triage.triage(triage.V7, asked)
        candidate = live
        if seed["meta"]["topic"] == "refund" and live == good and broke:
            candidate, broke = triage.triage(triage.V9, asked), broke - (live == good)
        elif live != good and fixed:
            candidate, fixed = good, fixed - 1
        yield ExampleText(
            f"t-{number:03}",
            asked,
            agreed,
            tuple(
                tag for tag in seed.get("tags", ()) if number <= len(seeds) or tag != "edge-case"
            ),
            {**seed["meta"], "channel": "mail" if number % 3 else "chat"},
            {
                "candidate": (candidate,),
                "live": (live,),
                "base": (good if number % 6 else triage.triage(triage.V6, asked),),
            },
        )


def graded(texts: list[ExampleText]) -> Results:
    """Grade the answers field by field, as the story's grader does."""
    results = Results(1, ("language", "topic"), ("urgency", "category", "next_step"))
    for text in texts:
        slices = [text.meta.get(key, "") for key in results.slice_keys]
        results.add_example(text.id, "", slices, must_pass="edge-case" in text.tags)
    random = Random(9)
    for arm in texts[0].outputs:
        column = results.add_arm(arm)
        for place, text in enumerate(texts):
            column.put(place, _sample(arm, text, results.fields, random))
    return results


def _sample(arm: str, text: ExampleText, fields: tuple[str, ...], random: Random) -> Sample:
    output = text.outputs[arm][0]
    prompt, cached = _PROMPTS.get(arm, (31, 0))
    measured = (
        int(random.lognormvariate(0, 0.28) * _SPEEDS.get(arm, 300)),
        prompt + len(text.input) // 4,
        cached,
        max(1, len(output) // 4),
        0,
    )
    try:
        said, agreed = json.loads(output), json.loads(text.reference)
        wrong = tuple(n for n, name in enumerate(fields) if said[name] != agreed[name])
    except (ValueError, TypeError, KeyError):
        return Sample("unparsable", (), *measured)
    return Sample("wrong" if wrong else "pass", wrong, *measured)


def busy(n: int, name: Callable[[int, Random], str], *, same_prompt: bool) -> Results:
    """Return the results of a run as they are: times, tokens, slices, fields and groups vary."""
    random = Random(11)
    results = Results(1, ("language", "topic"), ("urgency", "category", "next_step"))
    topics = ("refund", "billing", "account", "shipping", "")
    for number in range(n):
        slices = (random.choice(("de", "en", "fr")), random.choice(topics))
        group = f"customer-{random.randint(1, 1 + n // 3)}" if random.random() < 0.1 else ""
        must_pass = random.random() < 0.03
        results.add_example(name(number, random), group, slices, must_pass=must_pass)
    prompts = [random.randint(350, 1200) for _ in range(n)]
    for arm in ("candidate", "live"):
        column = results.add_arm(arm)
        for place, prompt in enumerate(prompts):
            asked = prompt if same_prompt else prompt + random.randint(0, 300)
            passes = random.random() < 0.9
            failed = () if passes else tuple(sorted(random.sample(range(3), random.randint(1, 2))))
            column.put(
                place,
                Sample(
                    "pass" if passes else "wrong",
                    failed,
                    int(random.lognormvariate(6.5, 0.4)),
                    asked,
                    asked // 128 * 128 if asked > 1024 else 0,
                    random.randint(20, 140),
                ),
            )
    return results


def evidence_of(
    results: Results, *, rules: GateRules = RULES, verdict: Verdict | None = None, **changes: Any
) -> Evidence:
    """Return evidence of `results`, judged by `rules` unless there is a verdict already."""
    arms = {name: BUNDLES.get(name, Bundle(name)) for name in results.arms}
    has_baseline = "live" in results.arms
    asked = GateQuestion(
        rules=rules,
        results=results,
        name="triage-v9",
        has_baseline=has_baseline,
        reviewed=len(results),
        prices=PRICES,
    )
    verdict = verdict or judge(asked)
    file = EXAMPLES.read_bytes()
    given: Mapping[str, Any] = {
        "task": "triage",
        "target": "triage/production",
        "made_at": MADE_AT,
        "tool": "fftdeploy 0.3.0",
        "address": "https://api.openai.com/v1",
        "kind": "openai",
        "arms": arms,
        "answered_by": {},
        "baseline": Baseline("fresh") if has_baseline else Baseline("none", why="no live model"),
        "examples": ExamplesFacts(
            sha256(file).hexdigest()[:32],
            (("evals/triage.jsonl", sha256(file).hexdigest()),),
            len(results),
            len(results),
            0,
        ),
        "graders": tuple(grader.content for grader in rules.graders),
        "gate": rules.content,
        "prices": {
            "on": str(date(2026, 11, 1)),
            "models": {
                arms[name].model: {
                    "input": price.input,
                    "cached_input": price.cached_input,
                    "output": price.output,
                }
                for name, price in PRICES.items()
                if name in arms
            },
        },
        "cache": {
            "reuse": True,
            "max_age_s": 604800,
            "answers": dict.fromkeys(arms, 0),
            "oldest": None,
        },
        "run": "20261120T155640Z-1f2e3d.jsonl",
        "candidates": 1,
        "attempt": 1,
        "used": 4,
        "results": results,
        "verdict": verdict.as_json(),
    }
    return Evidence(**{**given, **changes})


def identified(evidence: Evidence) -> str:
    """Return the ID of `evidence`."""
    return evidence_module.with_id(evidence)[0]


def page_of(
    evidence: Evidence, texts: list[ExampleText] | None, *, redact: bool = False, **options: Any
) -> str:
    """Return the page about `evidence`, as the command has it written."""
    told = told_by(texts or (), evidence, "gone" if redact or texts is None else "")
    return report_page(evidence, identified(evidence), texts, told, redact=redact, **options)


def _nested(path: str, value: str) -> str:
    """Return JSON that has `value` at `path`."""
    found: Any = value
    for key in reversed(path.split(".")):
        found = {key: found}
    return json.dumps(found)


def hostile(payload: str, *, is_json: bool = True) -> tuple[Evidence, list[ExampleText]]:
    """Return evidence and texts with `payload` wherever text of others can stand.

    `is_json` is whether the answers that are agreed on are: no half of a surrogate pair can be.
    """
    texts = [
        ExampleText(
            f"{number}{payload}",
            payload,
            _nested(payload, f"{payload[-40:]}{number % 2}") if is_json else payload,
            (payload,),
            {payload: payload, "slice" + payload: payload},
            {
                arm: (payload if arm == "candidate" else payload * 2,)
                for arm in ("candidate", "live")
            },
        )
        for number in range(4)
    ]
    results = Results(1, (payload,), (payload,))
    for text in texts:
        results.add_example(text.id, payload, [payload], must_pass=True)
    for arm in ("candidate", "live", payload):
        column = results.add_arm(arm)
        for place in range(len(texts)):
            passes = place % 2 == (arm == "live")
            column.put(place, Sample("pass") if passes else Sample("wrong", (0,)))
    rules = replace(
        RULES,
        graders=(GraderRules("json_fields", payload, {"fields": {payload: {"kind": "exact"}}}),),
    )
    asked = GateQuestion(rules=rules, results=results, name=payload, has_baseline=True, reviewed=4)
    judged = judge(asked)
    part = SliceResult("field", payload, "", 4, 2, 2, 0.5, 0.5, -0.1, True, True)
    verdict = replace(
        judged,
        headline=payload,
        detail=(payload,),
        reasons=(
            Reason("worse", "fail", payload, tuple(text.id for text in texts)),
            *judged.reasons,
        ),
        slices=(part, replace(part, kind="slice", value=payload)),
    )
    evidence = evidence_of(
        results,
        rules=rules,
        verdict=verdict,
        task=payload,
        target=payload,
        tool=payload,
        address=payload,
        arms=dict.fromkeys(results.arms, Bundle(payload, payload, payload, payload)),
        baseline=Baseline("recorded", payload, MADE_AT, payload),
        examples=ExamplesFacts(
            payload,
            ((payload, payload),),
            4,
            4,
            1,
            {"file_sha": payload, "exact": payload, "near": 1},  # type: ignore[arg-type]  # text where numbers belong
        ),
        gate={**rules.content, "mode": payload, payload: {payload: payload}},
        prices={"on": payload, "models": {payload: {"input": payload}}},
        cache={"reuse": True, "max_age_s": 3600, "answers": {payload: payload}},
        run=payload,
    )
    return evidence, texts
