"""The smallest text of each table, and a policy with every key of a gate."""

SHA = "0123456789abcdef" * 2
AT = "at = 2026-11-21T08:30:00Z"
SINCE = "since = 2026-11-21T08:30:00Z"
RELEASE = f'n = 1, model = "m", {AT}, by = "ana", via = "model"'
HOLD = f'model = "m", {SINCE}, by = "ana", why = "bad"'


def target(extra: str = "", model: str = 'model = "m"') -> str:
    return f"version = 1\n[triage.production]\n{model}\n{extra}\n"


def release(text: str) -> str:
    return target(f"releases = [{{ {text} }}]")


def held(text: str) -> str:
    return target(f"holds = [{{ {text} }}]")


def rules(text: str) -> str:
    return f"version = 1\n[environments.production]\n{text}\n"


WHOLE = """\
version = 1
[tasks.triage]
base = { model = "gpt-4.1-mini-2025-04-14", profile = "triage-long" }
[tasks.triage.gate]
examples = ["evals/triage.jsonl"]
mode = "not-worse"
margin = 0.05
confidence = 0.975
must_pass = ["edge-case"]
slices = ["language"]
slice_rule = "not-worse"
repeats = 3
min_examples = 60
require_reviewed = true
max_age = "14d"
on_inconclusive = "allow"
floors = { pass_rate = 0.90, valid = 0.99 }
budgets = { p95_latency_ms = 2500, usd_per_1k_requests = 1.20 }
item = { input = "ticket_text", reference = "correct_label" }
[[tasks.triage.gate.graders]]
type = "json_fields"
fields = { urgency = "exact", category = "exact", next_step = "casefold" }
[prices]
date = 2026-11-20
"ft:gpt-4.1-mini-2025-04-14" = { input = 0.80, output = 3.20 }
gpt-6-luna = { input = 0.40, cached_input = 0.10, output = 1.60 }
"""
