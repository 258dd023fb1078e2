"""The quality bar and the prices, as the policy has them."""

from datetime import date, timedelta
from fractions import Fraction
from textwrap import dedent

import pytest
from toml_texts import WHOLE

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.evidence.evidence import content_sha
from fftdeploy.policy import policy
from fftdeploy.policy.gate_rules import Budgets, Floors, GateRules, gate_of
from fftdeploy.policy.policy import NamedModel
from fftdeploy.policy.prices import Price

GRADER = '[[tasks.triage.gate.graders]]\ntype = "string_check"\noperation = "eq"\n'


def gate(text: str, grader: str = GRADER) -> GateRules:
    head = 'version = 1\n[tasks.triage.gate]\nexamples = ["e.jsonl"]\n'
    found = policy.parse((head + dedent(text) + "\n" + grader).encode()).gate("triage")
    assert found is not None
    return found


def test_every_key_is_read() -> None:
    found = policy.parse(WHOLE.encode())

    rules = found.gate("triage")
    assert rules is not None
    assert rules == GateRules(
        examples=("evals/triage.jsonl",),
        graders=rules.graders,
        margin=0.05,
        confidence=0.975,
        must_pass=("edge-case",),
        slices=("language",),
        slice_rule="not-worse",
        repeats=3,
        min_examples=60,
        require_reviewed=True,
        max_age=timedelta(days=14),
        on_inconclusive="allow",
        floors=Floors(Fraction(9, 10), Fraction(99, 100)),
        budgets=Budgets(2500.0, 1.20),
        item={"input": "ticket_text", "reference": "correct_label"},
    )
    assert [grader.type for grader in rules.graders] == ["json_fields"]
    assert found.tasks["triage"].base == NamedModel(
        "gpt-4.1-mini-2025-04-14", profile="triage-long"
    )
    assert found.prices.on == date(2026, 11, 20)
    assert found.prices.price("gpt-6-luna") == Price(0.40, 0.10, 1.60)


def test_a_gate_with_examples_and_graders_alone_has_the_defaults() -> None:
    found = gate("")

    assert found == GateRules(examples=("e.jsonl",), graders=found.graders)
    assert (found.mode, found.margin, found.confidence) == ("not-worse", 0.05, 0.95)


def test_the_canonical_content_of_a_gate_is_what_hashes_were_taken_over() -> None:
    whole = policy.parse(WHOLE.encode()).gate("triage")
    assert whole is not None

    assert content_sha(whole.content) == "0c3948fa7fb5634c7cc4ddb76f62335a"
    assert (
        content_sha([each.content for each in whole.graders]) == "2e8945624ac879438b5178780f7c46a3"
    )
    for bare in (gate(""), gate("item = {}")):
        assert content_sha(bare.content) == "99f258ac6dc7ef7b02af9de53c9f8088"


def test_what_decides_a_verdict_makes_the_same_rules_again() -> None:
    found = policy.parse(WHOLE.encode()).gate("triage")
    assert found is not None
    again = gate_of(found.content)

    assert again.content == found.content
    assert again.floors == found.floors  # exact fractions, through floats and back


def test_a_fine_tune_has_the_price_of_its_base() -> None:
    prices = policy.parse(WHOLE.encode()).prices
    tuned = Price(0.80, 0.80, 3.20)

    assert prices.price("ft:gpt-4.1-mini-2025-04-14:acme:triage-v8:BbCc8") == tuned
    assert prices.price("ft:gpt-4.1-nano-2025-04-14:acme:triage:Na01") is None
    assert prices.price("gpt-6-luna-mini") is None, "nothing is guessed"


def test_the_worked_example_of_cached_prompts() -> None:
    base, tuned = Price(0.40, 0.10, 1.60), Price(0.80, 0.80, 3.20)

    uncached = base.usd(1950, 0, 120)
    cached = base.usd(1950, 1664, 120)
    short = tuned.usd(450, 0, 120)

    assert (round(uncached, 7), round(cached, 7), round(short, 7)) == (
        0.000972,
        0.0004728,
        0.000744,
    )
    assert round(short / uncached - 1, 2) == -0.23
    assert round(short / cached - 1, 2) == 0.57


INVALID = {
    "no graders": ('examples = ["e.jsonl"]', "'graders' is missing", 2),
    "no examples": (GRADER, "'examples' names no file", 2),
    "unknown key": ('examples = ["e.jsonl"]\nmargine = 0.1\n' + GRADER, "did you mean 'margin'", 4),
    "E11 outside": ('examples = ["../e.jsonl"]\n' + GRADER, "leads out", 3),
    "E11 absolute": ('examples = ["/etc/passwd"]\n' + GRADER, "leads out", 3),
    "E11 home": ('examples = ["~/e.jsonl"]\n' + GRADER, "is not a path", 3),
    "E11 UNC": ("examples = ['\\\\host\\e.jsonl']\n" + GRADER, "is not a path", 3),
    "E11 git": ('examples = [".git/config"]\n' + GRADER, "git's own folder", 3),
    "same file twice": ('examples = ["e.jsonl", "e.jsonl"]\n' + GRADER, "twice", 3),
    "mode": ('examples = ["e.jsonl"]\nmode = "no-worse"\n' + GRADER, '"not-worse"', 4),
    "margin 0": ('examples = ["e.jsonl"]\nmargin = 0\n' + GRADER, "more than 0", 4),
    "margin in points": ('examples = ["e.jsonl"]\nmargin = 5\n' + GRADER, "below 1", 4),
    "margin nan": ('examples = ["e.jsonl"]\nmargin = nan\n' + GRADER, "margin", 4),
    "confidence 95": ('examples = ["e.jsonl"]\nconfidence = 95\n' + GRADER, "below 1", 4),
    "E27 repeats": ('examples = ["e.jsonl"]\nrepeats = 1000000000\n' + GRADER, "from 1 to 100", 4),
    "threshold alone": ('examples = ["e.jsonl"]\nthreshold = 0.9\n' + GRADER, "goes with mode", 4),
    "no threshold": ('examples = ["e.jsonl"]\nmode = "threshold"\n' + GRADER, "goes with mode", 4),
    "floor": ('examples = ["e.jsonl"]\nfloors = { valid = 99 }\n' + GRADER, "at most 1", 4),
    "floor name": ('examples = ["e.jsonl"]\nfloors = { vald = 1 }\n' + GRADER, "'valid'", 4),
    "budget": ('examples = ["e.jsonl"]\nbudgets = { usd = 1 }\n' + GRADER, "unknown key", 4),
    "max_age": ('examples = ["e.jsonl"]\nmax_age = "1 month"\n' + GRADER, '"30d"', 4),
    "E17 a Python grader": (
        'examples = ["e.jsonl"]\n[[tasks.triage.gate.graders]]\ntype = "python"\n'
        'source = "open(\'/tmp/x\', \'w\')"',
        "Python graders are not supported",
        5,
    ),
    "H1 address": ('examples = ["e.jsonl"]\nhost = "http://e"\n' + GRADER, "OPENAI_BASE_URL", 4),
    "H11 judge's key": ('examples = ["e.jsonl"]\napi_key_env = "X"\n' + GRADER, "key", 4),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words", "line"), INVALID.values(), ids=INVALID)
def test_what_is_not_understood_is_refused_with_its_place(text: str, words: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        policy.parse(f"version = 1\n[tasks.triage.gate]\n{text}\n".encode())

    assert words in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.where.startswith(f"fftdeploy.toml:{line}:")


BAD_PRICES = {
    "no date": ("gpt-6-luna = { input = 1, output = 1 }", "no `date`"),
    "date as text": ('date = "2026-11-20"', "no `date`"),
    "no output": ("date = 2026-11-20\ngpt-6-luna = { input = 1 }", "'output' is missing"),
    "negative": ("date = 2026-11-20\nm = { input = -1, output = 1 }", "0 or more"),
    "infinite": ("date = 2026-11-20\nm = { input = inf, output = 1 }", "0 or more"),
    "as text": ('date = 2026-11-20\nm = { input = "1", output = 1 }', "a number of USD"),
    "unknown key": ("date = 2026-11-20\nm = { inputs = 1, output = 1 }", "'input'"),
}


@pytest.mark.parametrize(("text", "words"), BAD_PRICES.values(), ids=BAD_PRICES)
def test_prices_that_are_not_prices_are_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policy.parse(f"version = 1\n[prices]\n{text}\n".encode())

    assert words in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.where.startswith("fftdeploy.toml:")


PRICED_AT_HOSTS = """version = 1
[prices]
date = 2026-11-20
tiny = { input = 1, output = 1 }
"vllm=tiny" = { input = 2, output = 2, batch = { input = 3, output = 3 } }
"ft:nano" = { input = 4, output = 4 }
"azure-eu=ft:nano" = { input = 5, output = 5 }
everywhere = { input = 6, output = 6 }
"openai=luna" = { input = 7, output = 7 }
"""


@pytest.mark.parametrize(
    ("hosted", "usd"),
    [
        ("tiny", 1),
        ("openai=tiny", 1),
        ("vllm=tiny", 2),
        ("llama=tiny", None),  # the hosts are told apart, and this one is not named
        ("ft:nano:acme:x:A1", 4),
        ("azure-eu=ft:nano:acme:x:A1", 5),
        ("azure-us=ft:nano:acme:x:A1", None),
        ("everywhere", 6),
        ("vllm=everywhere", 6),
        ("luna", 7),
        ("vllm=luna", None),
    ],
)
def test_a_price_may_be_that_of_one_host(hosted: str, usd: float | None) -> None:
    prices = policy.parse(PRICED_AT_HOSTS.encode()).prices
    found = prices.price(hosted)

    assert (found.input if found else None) == usd
    assert (prices.price(hosted, is_batch=True) is not None) == (hosted == "vllm=tiny")
