"""Plans as values: origins, sources and what is written down, where a command line shows less."""
# ruff: noqa: E501  a case is a line of its table

from collections.abc import Callable
from datetime import timedelta

import pytest
from scenes import POLICY, V6, V7, V8, V9, hold, past, row, sha, table

from fftdeploy.errors import ConfigError, FftdeployError, PolicyError, UsageError
from fftdeploy.planning import bundles, commit_message, holds, plan
from fftdeploy.planning.bundles import BundleSource, PlanningFacts
from fftdeploy.planning.plan import Actor
from fftdeploy.planning.rollback import plan_rollback, rollback_candidates
from fftdeploy.policy import policy
from fftdeploy.policy.policy import Policy, Rules
from fftdeploy.releases import deployments
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.sandbox import STORY_NOW

ACTOR = Actor("ana", STORY_NOW, "because")
NAME = "t/production"


def target(text: str, name: str = NAME) -> Target:
    found = deployments.parse(f"version = 1\n{text}".encode()).find(name)
    assert found is not None
    return found


def shas(name: str) -> str | None:
    return None if name == "gone" else sha(name)


def live(found: Target) -> Bundle:
    return bundles.live_bundle(found, shas)


def rolled(found: Target, n: int) -> Target:
    """Return `found` after a rollback to release `n`."""
    (candidate,) = rollback_candidates(found, shas, STORY_NOW, to=n)
    return plan_rollback(found, live(found), candidate, ACTOR).after


def numbers(found: Target) -> list[tuple[int, str]]:
    candidates = rollback_candidates(found, shas, STORY_NOW)
    return [(each.release.n, each.fate) for each in candidates]


def test_an_origin_goes_all_the_way_back() -> None:
    found = rolled(rolled(target(past(NAME, V6, V7, V8)), 2), 1)
    assert [(r.n, r.to, found.origin(r)) for r in found.releases] == [
        (5, 1, 1),
        (4, 2, 2),
        (3, None, 3),
        (2, None, 2),
        (1, None, 1),
    ]
    assert numbers(found) == []


def test_a_rollback_of_a_rollback_has_an_older_origin() -> None:
    found = rolled(target(past(NAME, V6, V7, V8)), 2)
    assert numbers(found) == [(1, "ask")]


def test_a_promotion_after_a_rollback_has_everything_behind_it() -> None:
    found = rolled(target(past(NAME, V6, V7, V8)), 2)
    made = plan.plan_promotion(
        found, ("t", "production"), BundleSource(Bundle(V9), "model"), Rules(), shas, ACTOR
    )
    assert numbers(made.after) == [(4, "ask"), (3, "held"), (2, "ask"), (1, "ask")]


def test_every_candidate_has_a_fate() -> None:
    rows = [row(5, V8), row(4, V7, "gone"), row(3, V8), row(2, V7), row(1, V6)]
    found = target(table(NAME, V8, rows, [hold(V6)]))
    assert numbers(found) == [(4, "profile"), (3, "live"), (2, "ask"), (1, "held")]


def test_a_hold_is_narrow_only_where_the_model_stays() -> None:
    rows = [row(3, V8, "b"), row(2, V8, "a"), row(1, V7)]
    found = target(table(NAME, V8, rows, profile="b"))
    assert [(h.model, h.release) for h in rolled(found, 2).holds] == [(V8, 3)]
    assert [(h.model, h.release) for h in rolled(found, 1).holds] == [(V8, None)]


def test_a_hold_whose_release_is_not_kept_blocks_the_model() -> None:
    found = target(past(NAME, V6, V7, holds=[hold(V6, release=90)]))
    assert numbers(found) == [(1, "held")]


@pytest.mark.parametrize(("sources", "error"), [((), "nothing says"), (("a", "b"), "nothing says")])
def test_a_source_is_named_or_the_only_one(sources: tuple[str, ...], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        bundles.choose_source(facts(past("t/a", V6), from_only(*sources)), ("t", "production"))


def facts(text: str, rules: Policy) -> PlanningFacts:
    found = deployments.parse(f"version = 1\n{text}".encode())
    return PlanningFacts(found, rules, shas, STORY_NOW)


def from_only(*sources: str) -> Policy:
    """Return a policy in which every target of these tests comes from `sources`."""
    return Policy(environments=dict.fromkeys(("b", "production"), Rules(sources)))


def test_a_source_that_has_the_model_live_comes_before_one_that_had_it() -> None:
    known = facts(f"{past('t/a', V8, V6)}\n{past('t/b', V7, V8)}", from_only("a", "b"))
    chosen = bundles.choose_source(known, ("t", "production"), model=V8)
    assert chosen == BundleSource(Bundle(V8), "b")


def test_a_job_is_recorded_as_one_even_where_a_source_has_its_model() -> None:
    known = facts(past("t/a", V8), from_only("a"))
    chosen = bundles.choose_source(known, ("t", "b"), model=V8, job="ftjob-v8")
    assert (chosen.via, chosen.job) == ("job", "ftjob-v8")


WAYS = [
    ("nothing before it", [past("t/production", V6)], "t/dev --model ID"),
    ("just before it", [past("t/dev", V8), past("t/staging", V7)], 't/production --why "TEXT"'),
    ("two before it", [past("t/dev", V8), past("t/staging", V6)], "t/staging"),
    ("what is there already", [past("t/dev", V6), past("t/staging", V6)], "t/dev --model ID"),
]


@pytest.mark.parametrize(("tables", "command"), [c[1:] for c in WAYS], ids=[c[0] for c in WAYS])
def test_another_model_comes_by_the_way_of_the_policy(tables: list[str], command: str) -> None:
    known = facts("\n".join(tables), policy.parse(POLICY.encode()))
    way = bundles.next_promotion(known, ("t", "production"), lambda t: t.model != V6)
    assert way == f"fftdeploy promote {command}"


@pytest.mark.parametrize(
    ("word", "flags"),
    [
        ("gpt-6-luna@triage-long", "--model gpt-6-luna --profile triage-long"),
        ("vllm=m1@short", "--model m1 --profile short --provider vllm"),
        ("vllm=m1", "--model m1 --provider vllm"),
    ],
)
def test_a_candidate_where_a_model_is_wanted_is_taken_apart(word: str, flags: str) -> None:
    with pytest.raises(UsageError) as refused:
        bundles.require_model_id(word)
    assert refused.value.hint == flags


REFUSALS: list[tuple[str, type[FftdeployError], Callable[[], object]]] = [
    ("no file", ConfigError, lambda: plan.plan_adoption(target(table(NAME, V8, [row(1, V7)], profile="gone")), Bundle(V8, profile="gone"), ACTOR)),
    ("held", PolicyError, lambda: plan.plan_adoption(target(table(NAME, V8, [row(1, V7)], [hold(V8)])), Bundle(V8), ACTOR)),
    ("until the past", UsageError, lambda: holds.plan_hold(target(past(NAME, V8)), V7, ACTOR, until=STORY_NOW - timedelta(1))),
    ("no hold", UsageError, lambda: holds.plan_unhold(target(past(NAME, V8)), None, ACTOR)),
    ("no release", UsageError, lambda: rollback_candidates(target(past(NAME, V8)), shas, STORY_NOW, to=4)),
    ("not a model", UsageError, lambda: bundles.require_model_id("ftjob-1")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "call"), [c[1:] for c in REFUSALS], ids=[c[0] for c in REFUSALS])
def test_a_refusal_has_a_hint(kind: type[FftdeployError], call: Callable[[], object]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.hint


def test_a_plan_that_changes_nothing_is_a_noop() -> None:
    found = target(past(NAME, V7, V8))
    rules = policy.parse(POLICY.encode()).rules("production")
    made = plan.plan_promotion(
        found,
        ("t", "production"),
        BundleSource(Bundle(V8), "staging"),
        rules,
        shas,
        Actor("ci", STORY_NOW),
    )
    assert (made.is_noop, made.after) == (True, found)


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (V8, "triage-v8"),
        ("ft:gpt-4.1-mini-2025-04-14:acme::AbC1", "AbC1"),
        ("gpt-6-luna", "gpt-6-luna"),
    ],
)
def test_a_subject_names_a_model_as_screens_do(model: str, shown: str) -> None:
    bare = target(f'[t.production]\nmodel = "{model}"\n')
    adopted = plan.plan_adoption(bare, Bundle(model), ACTOR)
    assert commit_message.subject(adopted) == f"Record {shown} as live in {NAME}"
    held = holds.plan_hold(bare, model, ACTOR)
    assert commit_message.subject(held) == f"Hold {shown} in {NAME}"
