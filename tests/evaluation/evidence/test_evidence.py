"""Evidence files as text: any layout of the same JSON is the same evidence, nothing else is."""

import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from evaluated import busy, evidence_of, graded, story

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.evidence import evidence
from fftdeploy.evaluation.evidence.evidence_folder import recompute
from fftdeploy.evaluation.gate.statistics import wilson
from fftdeploy.evaluation.patterns.told import told_by
from fftdeploy.formats import strict_json
from fftdeploy.output.page.page import report_page

MADE = evidence_of(graded(story(20)))
ID, RAW = evidence.with_id(MADE)


@pytest.mark.parametrize(
    "lay_out",
    [
        lambda text: text,
        lambda text: strict_json.dumps(json.loads(text)),
        lambda text: json.dumps(json.loads(text), indent=2),
        lambda text: json.dumps(dict(reversed(json.loads(text).items()))),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace("\n", "\r\n"),
    ],
    ids=["ours", "one-line", "indented", "reversed", "spaced", "crlf"],
)
def test_E23_the_layout_changes_nothing(lay_out: Callable[[str], str]) -> None:
    text = lay_out(RAW.decode())

    found_id, found = evidence.parse(text.encode(), "x.json")

    assert (found_id, found) == (ID, MADE)
    assert found_id == sha256(strict_json.dumps(json.loads(text)).encode()).hexdigest()[:32]


def test_E23_an_answer_edited_where_it_stands_changes_the_id() -> None:
    text = RAW.decode()
    places = [
        at
        for part in re.finditer(r'"marks":"(.*?)"', text)
        for at in range(part.start(1), part.end(1))
    ]
    tried = wrong = 0
    for place in places:
        other = "w" if text[place] == "." else "."
        tried += 1
        edited = text[:place] + other + text[place + 1 :]
        wrong += evidence.parse(edited.encode(), "x.json")[0] == ID

    print(f"{tried} answers edited, {wrong} missed")
    assert (tried, wrong) == (60, 0)


def change(**changes: Any) -> Callable[[str], str]:
    return lambda text: strict_json.dumps({**json.loads(text), **changes})


def answers(**changes: Any) -> Callable[[str], str]:
    """Change the answers of the candidate, which come first."""

    def spoil(text: str) -> str:
        document = json.loads(text)
        document["answers"][0] |= changes
        return strict_json.dumps(document)

    return spoil


SPOILT: dict[str, Callable[[str], str]] = {
    "a column lost": lambda text: text.replace('"marks"', '"mark"', 1),
    "a column twice": lambda text: text.replace('"marks":', '"marks":"","marks":', 1),
    "a bracket too many": lambda text: text.replace("\n]", "\n]\n]", 1),
    "half of it": lambda text: text[: len(text) // 2],
    "half of a pair": lambda text: text.replace('"t-"', '"t-\\ud800"'),
    "many repeats": change(repeats=10**12),
    "no repeats": change(repeats=-1),
    "repeats as text": change(repeats="1"),
    "two repeats": change(repeats=2),
    "no arms": change(answers=[]),
    "no answers": answers(marks=""),
    "an answer lost": answers(marks="." * 19),
    "an answer too many": answers(marks="." * 21),
    "a mark that is none": answers(marks="x" * 20),
    "an answer that has not come": answers(marks=" " * 20),
    "a number for all, in full": answers(tokens_reasoning=[0] * 20),
    "a time too many": answers(latency_ms=[1] * 21),
    "a time below nothing": answers(latency_ms=-1),
    "no time, in full": answers(latency_ms=[None] * 20),
    "a number that is none": answers(tokens_out=True),
    "a huge number": answers(tokens_out=2**63),
    "as an arm that is none": answers(tokens_out="other"),
    "as itself": answers(tokens_out="candidate"),
    "a field that is none": answers(failed="8" * 20),
    "fields of some answers": answers(failed="1" * 19),
    "fields in words": answers(failed="+1" * 10),
    "no field, in full": answers(failed="0" * 20),
    "too few IDs": change(ids={"all": "t-", "each": [["", "001", 19]]}),
    "many IDs": change(ids={"all": "t-", "each": [["", "001", 10**12]]}),
    "IDs in full": change(ids={"all": "", "each": [f"t-{n:03}" for n in range(1, 21)]}),
    "an ID of another kind": change(ids={"all": "t-", "each": [1] * 20}),
    "IDs of another kind": change(ids={"all": "t-", "each": 20}),
    "IDs as a text, too few": change(ids={"all": "t-", "each": "001 002"}),
    "groups of some": change(groups=[0] * 19),
    "groups of some, as digits": change(groups="0" * 18 + "1"),
    "groups in other digits": change(groups="0" * 19 + "Z"),
    "groups in full": change(groups=[*[0] * 19, 1]),
    "a group of another number": change(groups=[*[0] * 19, 2]),
    "must-pass, and no such example": change(must_pass=[20]),
    "must-pass, counted from the end": change(must_pass=[-1]),
    "must-pass, in disorder": change(must_pass=[1, 0]),
    "no object": lambda _: "[]",
    "null": lambda _: "null",
    "nothing": lambda _: "",
    "a newer one": change(schema="fftdeploy.evidence/3"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_E23_H13_what_is_no_evidence_is_refused(spoil: Callable[[str], str]) -> None:
    text = spoil(RAW.decode())
    assert text != RAW.decode()

    with pytest.raises(ConfigError) as caught:
        evidence.parse(text.encode(), "x.json")

    assert caught.value.where == "x.json"
    assert "x.json is " in str(caught.value)


WRONG_KINDS: tuple[Any, ...] = (None, -1, 1.5, 10**9, True, "x", [], {"x": 1})


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where every value stands, of long lists the first two."""
    below = value.items() if isinstance(value, dict) else ()
    for key, item in (*below, *(enumerate(value[:2]) if isinstance(value, list) else ())):
        yield (*path, key)
        yield from places(item, (*path, key))


def test_E23_H13_a_value_of_another_kind_is_refused_or_read_as_it_is() -> None:
    """Whatever stands there, it is an error of the file, or evidence that every reader can take."""
    document = json.loads(RAW)
    tried = accepted = strange = 0
    for path in places(document):
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        original = holder[path[-1]]
        for value in WRONG_KINDS:
            holder[path[-1]] = value
            tried += 1
            try:
                found = evidence.parse(strict_json.dumps(document).encode(), "x.json")[1]
            except ConfigError:
                continue
            accepted += 1
            strange += not readable(found)
        holder[path[-1]] = original
    print(f"{tried} values tried, {accepted} accepted, {strange} that a reader fails on")
    assert (tried > 1500, strange) == (True, 0)
    assert accepted < tried / 5


def readable(found: evidence.Evidence) -> bool:
    """Judge it, compare the verdicts and draw the page, as the commands do."""
    if evidence.same_verdict(found.verdict, recompute(found)):
        return True  # refused, then, before anything is drawn
    return "</html>" in report_page(found, ID, [], told_by([], found))


def test_J17_evidence_whose_intervals_count_examples_and_not_groups_was_not_edited() -> None:
    """So they were written before an arm's interval counted what the verdict counts."""
    made = evidence_of(busy(120, lambda number, _: f"e{number}", same_prompt=True))
    arms = made.verdict["arms"]
    now = [(arm["low"], arm["high"]) for arm in arms]
    once = [(round(low, 6), round(high, 6)) for low, high in map(over_examples, arms)]

    wrong = {}
    for name, said in {"once": once, "now": now, "never": [(0.5, 0.6)] * 2}.items():
        told = [
            {**arm, "low": low, "high": high} for arm, (low, high) in zip(arms, said, strict=True)
        ]
        wrong[name] = evidence.same_verdict({**made.verdict, "arms": told}, recompute(made))

    assert now != once
    assert (wrong["now"], wrong["once"]) == ("", "")
    assert wrong["never"].startswith("verdict.arms[0].")


def over_examples(arm: dict[str, Any]) -> tuple[float, float]:
    return wilson(arm["rate"] * arm["n"], arm["n"])
