"""`fftdeploy.toml`: what is understood, what is refused where, and what its rules say."""
# ruff: noqa: E501  a case is a line of its table

from datetime import UTC, datetime, timedelta

import pytest
from scenes import V7, V8, V9, hold, past, row, table

from fftdeploy import times
from fftdeploy.errors import ConfigError
from fftdeploy.planning import bundles, plan
from fftdeploy.planning.plan import SourceRules
from fftdeploy.policy import policy
from fftdeploy.policy.policy import Freeze, Policy, Rules, Task
from fftdeploy.releases import deployments
from fftdeploy.releases.deployments import Bundle, Deployments
from fftdeploy.sandbox import STORY_NOW

DAY = timedelta(days=1)


def parsed(text: str) -> Policy:
    return policy.parse(f"version = 1\n{text}".encode())


def file(*tables: str) -> Deployments:
    return deployments.parse("\n".join(["version = 1\n", *tables]).encode())


def no_file(_: str) -> None:
    """Say of each profile that there is none."""


def test_the_contracts_example_without_what_comes_later() -> None:
    found = parsed(
        """
        order = ["dev", "staging", "production"]
        [environments.production]
        from = ["staging"]
        protected = true
        soak = "24h"
        min_runway = "30d"
        freeze = [{ from = 2026-12-20, to = 2027-01-03, why = "holidays" }]
        [tasks.triage]
        description = "Rewrite customer messages"
        owner = "support-ml"
        """
    )
    freeze = Freeze(
        datetime(2026, 12, 20, tzinfo=UTC).date(),
        datetime(2027, 1, 3, tzinfo=UTC).date(),
        "holidays",
    )
    production = Rules(
        ("staging",), protected=True, soak=DAY, min_runway_days=30, freezes=(freeze,)
    )
    assert found == Policy(
        exists=True,
        order=("dev", "staging", "production"),
        environments={"production": production},
        tasks={"triage": Task("Rewrite customer messages", "support-ml")},
    )
    assert found.rules("dev") == Rules()
    assert found.rules("staging") == Rules(("dev",))
    assert found.knows("triage", "staging")
    assert not found.knows("chat", "staging")
    assert not found.knows("triage", "live")


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("[environments.production]", ("staging",)),
        ("[environments.production]\nfrom = []", ()),
        ('[environments.production]\nfrom = ["dev", "staging"]', ("dev", "staging")),
    ],
)
def test_the_default_source_is_the_environment_before(text: str, sources: tuple[str, ...]) -> None:
    found = parsed(f'order = ["dev", "staging", "production"]\n{text}')
    assert found.rules("production").sources == sources


ENV = "[environments.production]\n"
INVALID = [
    ("version", "version = 2", "version"),
    ("unknown key", 'ordr = ["a"]', "order"),
    ("unknown rule", ENV + "protect = true", "protected"),
    ("unknown task key", '[tasks.triage]\nownr = "x"', "owner"),
    ("base", '[tasks.triage]\nbase = "m"', "a table { model, profile }"),
    ("base model", '[tasks.triage]\nbase = { model = "file-x" }', "an uploaded file"),
    ("successors", '[tasks.triage]\nsuccessors = "m"', "an array of { model, profile }"),
    ("successors twice", '[tasks.triage]\nsuccessors = [{ model = "m" }, { model = "m" }]', "twice"),
    ("order twice", 'order = ["a", "a"]', "twice"),
    ("order type", 'order = "a"', "order"),
    ("order name", 'order = ["A"]', "'A'"),
    ("order reserved", 'order = ["model"]', "reserved"),
    ("not in order", 'order = ["staging", "prodution"]\n' + ENV, "did you mean 'prodution'"),
    ("source not in order", f'order = ["production"]\n{ENV}from = ["staging"]', "'staging' is not in `order`"),
    ("own source", ENV + 'from = ["production"]', "its own source"),
    ("protected type", ENV + "protected = 1", "true or false"),
    ("B12 soak number", ENV + "soak = 24", "soak"),
    ("B12 soak nan", ENV + "soak = nan", "soak"),
    ("soak words", ENV + 'soak = "a day"', '"24h"'),
    ("soak zero", ENV + 'soak = "0h"', '"24h"'),
    ("soak other digits", ENV + 'soak = "\u0661h"', '"24h"'),
    ("soak newline", ENV + 'soak = "24h\\n"', '"24h"'),
    ("freeze type", ENV + "freeze = { from = 2026-12-20 }", "freeze"),
    ("freeze time", ENV + 'freeze = [{ from = 2026-12-20T00:00:00Z, to = 2026-12-21, why = "x" }]', "a day"),
    ("freeze open", ENV + 'freeze = [{ from = 2026-12-20, why = "x" }]', "'to' is missing"),
    ("freeze backwards", ENV + 'freeze = [{ from = 2026-12-20, to = 2026-12-19, why = "x" }]', "before"),
    ("freeze without why", ENV + "freeze = [{ from = 2026-12-20, to = 2026-12-21 }]", "why"),
    ("H1 address", 'base_url = "https://evil.example"', "OPENAI_BASE_URL"),
    ("H9 bypass", ENV + "skip_checks = true", "skip_checks"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID]
)
def test_what_is_not_understood_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policy.parse((text if text.startswith("version") else f"version = 1\n{text}").encode())
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.where.startswith("fftdeploy.toml:")


def test_an_environment_in_use_must_be_in_the_order() -> None:
    with pytest.raises(ConfigError) as caught:
        parsed('order = ["staging"]').check_environments(file(past("triage/stagin", V7)))
    assert (caught.value.where, caught.value.hint) == (
        "deployments.toml:3:1",
        "did you mean 'staging'?",
    )


ORDER = [
    ("live there", past("t/staging", V7, V8), V8, True),
    ("was live there", past("t/staging", V7, V8), V7, True),
    ("never there", past("t/staging", V7, V8), V9, False),
    ("held there", past("t/staging", V7, V8, holds=[hold(V7)]), V7, False),
    ("hand edit there", table("t/staging", V9, [row(1, V7)]), V9, True),
    ("no such target", past("t/dev", V7), V7, False),
    ("another task", past("u/staging", V7), V7, False),
]


def into_production(text: str, rules: Rules) -> SourceRules:
    known = Policy(environments={"production": rules})
    facts = bundles.PlanningFacts(file(text), known, no_file, STORY_NOW)
    return SourceRules(facts, "t", "production")


@pytest.mark.parametrize(
    ("text", "model", "met"), [c[1:] for c in ORDER], ids=[c[0] for c in ORDER]
)
def test_order(text: str, model: str, met: bool) -> None:
    breach = into_production(text, Rules(("staging",))).order_breach(Bundle(model))
    assert (breach is None) == met
    assert into_production(text, Rules()).order_breach(Bundle(model)) is None


# `row` makes release n live 40 - n days before the story.
SOAKED = [
    ("live", past("t/staging", V7, V8), V8, 38 * DAY),
    ("replaced", past("t/staging", V7, V8), V7, DAY),
    ("again", past("t/staging", V8, V7, V8), V8, 37 * DAY),
    ("newest of two", past("t/staging", V8, V7, V8, V9), V8, DAY),
    ("two releases of one", past("t/staging", V7, V8, V8), V8, 38 * DAY),
    ("never", past("t/staging", V7, V8), V9, timedelta()),
    ("edited away", table("t/staging", V9, [row(2, V8), row(1, V7)]), V8, timedelta()),
    ("edited away, two releases", table("t/staging", V9, [row(3, V8), row(2, V8), row(1, V7)]), V8, DAY),
    ("edited in", table("t/staging", V9, [row(2, V8), row(1, V7)]), V9, timedelta()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "model", "span"), [c[1:] for c in SOAKED], ids=[c[0] for c in SOAKED]
)
def test_soak_is_the_newest_unbroken_stretch(text: str, model: str, span: timedelta) -> None:
    target = file(text).targets["t", "staging"]
    assert target.soaked(Bundle(model), bundles.live_bundle(target, no_file), STORY_NOW) == span
    for asked, met in ((span, True), (span + timedelta(seconds=1), False)):
        rules = Rules(("staging",), soak=asked)
        breach = into_production(text, rules).soak_breach(Bundle(model))
        was_there = model in text and (span or not asked)
        assert (breach is None) == ((met and bool(was_there)) or not asked)


@pytest.mark.parametrize(
    ("now", "frozen"),
    [
        ("2026-12-19T23:59:59Z", False),
        ("2026-12-20T00:00:00Z", True),
        ("2027-01-03T23:59:59Z", True),
        ("2027-01-04T00:00:00Z", False),
    ],
)
def test_a_freeze_is_days_in_utc_both_included(now: str, frozen: bool) -> None:
    rules = parsed(
        ENV + 'freeze = [{ from = 2026-12-20, to = 2027-01-03, why = "holidays" }]'
    ).rules("production")
    breach = plan.freeze_breach(rules, datetime.fromisoformat(now))
    assert (breach is not None) == frozen


@pytest.mark.parametrize(
    ("asked", "days", "short"),
    [
        (30, 29, True),
        (30, 30, False),
        (30, None, False),
        (0, -5, False),
        (0, None, False),
        (1, 0, True),
    ],
)
def test_runway(asked: int, days: int | None, short: bool) -> None:
    assert (plan.runway_breach(Rules(min_runway_days=asked), days) is not None) == short


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (29, "the model shuts down in 29 days; 30 days are asked"),
        (1, "the model shuts down in 1 day; 30 days are asked"),
        (0, "the model has reached its last day; 30 days are asked"),
        (-5, "the model has reached its last day; 30 days are asked"),
    ],
)
def test_a_last_day_that_is_over_is_no_count_of_days(days: int, said: str) -> None:
    breach = plan.runway_breach(Rules(min_runway_days=30), days)

    assert breach is not None
    assert breach.message == said


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("24h", DAY),
        ("30d", 30 * DAY),
        ("2w", 14 * DAY),
        ("1.5h", None),
        ("-1h", None),
        ("24 h", None),
        ("h", None),
    ],
)
def test_durations(text: str, span: timedelta | None) -> None:
    assert times.duration(text) == span


def test_allow_overrides_is_inherited() -> None:
    found = parsed(
        "allow_overrides = false\n[environments.a]\n[environments.b]\nallow_overrides = true"
    )
    assert [found.rules(name).allow_overrides for name in ("a", "b")] == [False, True]


def test_a_breach_is_what_override_names() -> None:
    rules = Rules(("staging",), soak=DAY, min_runway_days=30)
    sources = into_production(past("t/dev", V7), rules)
    every = [
        sources.order_breach(Bundle(V7)),
        sources.soak_breach(Bundle(V7)),
        plan.runway_breach(rules, 3),
    ]
    assert [breach and breach.code for breach in every] == ["order", "soak", "runway"]
    assert {*deployments.OVERRIDES} >= {breach.code for breach in every if breach}
