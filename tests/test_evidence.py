"""Evidence files as text: any layout of the same JSON is the same evidence, nothing else is."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from evaluated import evidence_of, graded, story

from fftdeploy import strict_json
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation import evidence
from fftdeploy.evaluation.evidence_folder import recompute
from fftdeploy.render.page import report_page

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


def test_E23_a_row_edited_where_it_stands_changes_the_id() -> None:
    lines = RAW.decode().split("\n")
    first = next(place for place, line in enumerate(lines) if line.startswith('["t-001"'))
    tried = wrong = 0
    for place in range(first, first + 20):
        edited = [*lines]
        edited[place] = lines[place].replace('"pass"', '"wrong"', 1)
        tried += 1
        wrong += evidence.parse("\n".join(edited).encode(), "x.json")[0] == ID

    print(f"{tried} rows edited, {wrong} missed")
    assert (tried, wrong) == (20, 0)


def change(**changes: Any) -> Callable[[str], str]:
    return lambda text: strict_json.dumps({**json.loads(text), **changes})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace('\n,["t-002"', '\n["t-002"'),
        lambda text: text.replace('\n["t-001"', '\n,["t-001"'),
        lambda text: text.replace('\n,["t-002"', '\n,["t-002",["t-002"'),
        lambda text: text.replace('"rows":[', '"rows":0,"rows":[', 1),
        lambda text: text.replace("\n]\n", "\n]\n]\n", 1),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"t-002"', '"t-\\ud800"'),
        change(repeats=10**12),
        change(repeats=-1),
        change(repeats="1"),
        change(repeats=2),
        change(columns=["id", "group", "must_pass", "slices", *map(str, range(10**5))]),
        change(columns=[]),
        change(rows=0),
        change(rows={"a": 1}),
        change(rows=["x" * 200] * 3),
        change(rows=[[]]),
        change(schema="fftdeploy.evidence/2"),
        lambda _: "[]",
        lambda _: "null",
        lambda _: "",
    ],
)
def test_E23_H13_what_is_no_evidence_is_refused(spoil: Callable[[str], str]) -> None:
    text = spoil(RAW.decode())
    assert text != RAW.decode()

    with pytest.raises(ConfigError) as caught:
        evidence.parse(text.encode(), "x.json")

    assert caught.value.where == "x.json"
    assert "x.json is " in str(caught.value)


WRONG_KINDS: tuple[Any, ...] = (None, -1, 1.5, 10**9, True, "x", [], {"x": 1})


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where everything but the rows stands."""
    below = value.items() if isinstance(value, dict) else ()
    for key, item in (*below, *(enumerate(value[:2]) if isinstance(value, list) else ())):
        if path or key != "rows":
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
    return "</html>" in report_page(found, ID, [])
