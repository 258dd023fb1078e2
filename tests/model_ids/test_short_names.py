"""A short name is a whole part of an ID; what a screen shows means one model when it is typed."""

import pytest

from fftdeploy.model_ids.model_names import fitting, is_full_id, short_name, shown_names

BASE = "ft:gpt-4.1-mini-2025-04-14:acme"
V9 = f"{BASE}:triage-v9:CdEf9"
AGAIN = f"{BASE}:triage-v9:GhIj2"
STEP = f"{V9}:ckpt-step-90"
BARE = f"{BASE}::AbC"
FIREWORKS = "accounts/acme/models/triage-v9"
DEPLOYED = f"{FIREWORKS}#accounts/acme/deployments/d7"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (V9, "triage-v9"),
        (STEP, "triage-v9:ckpt-step-90"),
        (BARE, "AbC"),
        (f"{BASE}:AbC", "AbC"),
        (f"{BARE}:ckpt-step-90", "AbC:ckpt-step-90"),
        (FIREWORKS, "triage-v9"),
        (DEPLOYED, "triage-v9#d7"),
        ("meta-llama/Llama-3.1-8B", "Llama-3.1-8B"),
        ("gpt-4.1-mini", "gpt-4.1-mini"),
        ("triage:latest", "triage:latest"),
        ("ft:not:one", "ft:not:one"),
        ("models/", "models/"),
        # A number is a release, a base's name is the base, and `live` is what is live.
        (f"{BASE}:live:CdEf9", "live:CdEf9"),
        (f"{BASE}:base:CdEf9", "base:CdEf9"),
        (f"{BASE}:9:CdEf9", "9:CdEf9"),
        ("projects/1/endpoints/123", "endpoints/123"),
        (f"{BASE}:gpt-4.1:CdEf9", "gpt-4.1:CdEf9"),
    ],
)
def test_the_short_name_of_an_id(model: str, expected: str) -> None:
    assert short_name(model) == expected
    assert fitting(expected, [model, f"{BASE}:other:Zz0"]) == [model]


def test_a_screen_shows_the_shortest_name_that_no_other_model_there_has() -> None:
    assert shown_names([V9]) == {V9: "triage-v9"}
    assert shown_names([V9, STEP, BARE, FIREWORKS]) == {
        V9: "triage-v9:CdEf9",
        STEP: "triage-v9:ckpt-step-90",
        BARE: "AbC",
        FIREWORKS: "models/triage-v9",
    }
    assert shown_names([V9, AGAIN]) == {V9: "triage-v9:CdEf9", AGAIN: "triage-v9:GhIj2"}
    other = V9.replace("mini", "nano")
    assert shown_names([V9, other]) == {V9: V9, other: other}
    assert shown_names([V9, "triage-v9"]) == {V9: "triage-v9:CdEf9", "triage-v9": "triage-v9"}


def test_each_shown_name_means_its_model_when_it_is_typed() -> None:
    models = [V9, AGAIN, STEP, BARE, FIREWORKS, DEPLOYED, V9.replace("mini", "nano"), "AbC"]

    assert {name: fitting(name, models) for name in shown_names(models).values()} == {
        name: [model] for model, name in shown_names(models).items()
    }


@pytest.mark.parametrize("word", ["triage", "triage-v", "v9", "CdEf9", "acme", "ft:", ""])
def test_a_beginning_or_another_part_of_an_id_means_nothing(word: str) -> None:
    assert fitting(word, [V9, FIREWORKS]) == []


def test_a_full_id_means_itself_where_it_is_the_short_name_of_another() -> None:
    assert fitting("triage-v9", [V9, "triage-v9"]) == ["triage-v9"]
    assert fitting("triage-v9", [AGAIN, V9, V9]) == [V9, AGAIN]


def test_what_is_an_id_in_form() -> None:
    assert all(map(is_full_id, [V9, STEP, BARE, FIREWORKS, "gpt-4.1-mini", "gpt-5-2025-08-07"]))
    assert not any(map(is_full_id, ["triage-v9", "triage-v9:CdEf9", "gpt-6-lunar", "ft:x", ""]))
