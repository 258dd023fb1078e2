"""Row F7: JUnit XML that every parser reads, whatever the text; its counts are the verdict."""

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from evaluated import RULES, evidence_of, graded, hostile, identified, story
from hostile_text import FORBIDDEN, HOSTILE

from fftdeploy.evaluation.evidence.evidence import LIVE_ITSELF, Baseline
from fftdeploy.evaluation.results import Results, Sample
from fftdeploy.output.junit import junit
from fftdeploy.policy.gate_rules import GateRules


def parsed(page: str) -> ET.Element:
    return ET.fromstring(page.encode())  # noqa: S314  our own, and that it parses is the point


def test_a_case_for_each_example_and_the_verdict_as_properties() -> None:
    texts = story(80)
    evidence = evidence_of(graded(texts))

    suite = parsed(junit(evidence, identified(evidence)))[0]

    properties = {item.get("name"): item.get("value") for item in suite.iter("property")}
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    failed = {name for name, case in cases.items() if len(case)}
    verdict = evidence.verdict
    broke, both = set(verdict["broke"]), verdict["comparison"]["failed_both"]
    assert list(cases) == ["gate", *(text.id for text in texts)]
    assert broke <= failed
    assert not set(verdict["fixed"]) & failed
    assert len(failed) == 1 + len(broke) + both
    assert suite.attrib == {
        "name": "triage/production",
        "tests": "81",
        "failures": str(len(failed)),
        "errors": "0",
        "skipped": "0",
        "timestamp": "2026-11-20T15:58:12",
    }
    assert properties["verdict"] == "fail"
    assert properties["headline"] == verdict["headline"]
    assert properties["evidence"] == identified(evidence)
    assert properties["candidate"] == str(evidence.arms["candidate"])
    said = cases["t-001"][0]
    assert said.attrib == {
        "type": "broke",
        "message": "broke: live passed; wrong: category, next_step",
    }
    gate = cases.pop("gate")
    assert gate.attrib == {"classname": "fftdeploy", "name": "gate"}
    assert gate[0].attrib == {"type": "fail", "message": verdict["headline"]}
    assert gate[0].text == "\n".join([verdict["headline"], *verdict["detail"]])
    assert all(float(case.get("time", "-1")) > 0 for case in cases.values())


STORIES: dict[str, tuple[dict[str, int], GateRules, dict[str, Any], str, bool]] = {
    "pass": ({"broke": 0}, RULES, {}, "pass", True),
    "fail": ({}, RULES, {}, "fail", False),
    "inconclusive, nothing is wrong": (
        {"size": 8, "broke": 0, "fixed": 0},
        replace(RULES, min_examples=9),
        {},
        "inconclusive",
        False,
    ),
    "inconclusive": (
        {"size": 16, "broke": 0, "fixed": 0},
        RULES,
        {},
        "inconclusive",
        False,
    ),
    "inconclusive, allowed": (
        {"size": 16, "broke": 0, "fixed": 0},
        replace(RULES, on_inconclusive="allow"),
        {},
        "inconclusive",
        True,
    ),
    "report only": ({}, replace(RULES, mode="report-only"), {}, "fail", True),
    "a record": ({}, RULES, {"baseline": Baseline("none", why=LIVE_ITSELF)}, "fail", True),
}


@pytest.mark.parametrize("case", STORIES)
def test_what_a_CI_system_counts_is_the_verdict(case: str) -> None:
    shape, rules, changes, ruling, is_through = STORIES[case]
    evidence = evidence_of(graded(story(**shape)), rules=rules, **changes)
    assert evidence.ruling == ruling

    suite = parsed(junit(evidence, identified(evidence)))[0]

    gate, *cases = suite.iter("testcase")
    tags = Counter(child.tag for each in [gate, *cases] for child in each)
    wrong = [
        index
        for index in range(len(evidence.results))
        if next(evidence.results.samples("candidate", index)).mark != "pass"
    ]
    assert bool(wrong) is ("nothing" not in case)
    assert (suite.get("failures") == "0") is is_through
    assert [child.get("type") for child in gate] == ([] if is_through else [ruling])
    assert [index for index, each in enumerate(cases) if len(each)] == wrong
    assert tags == Counter({"skipped": len(wrong)} if is_through else {"failure": len(wrong) + 1})
    assert suite.get("skipped") == str(tags["skipped"])
    said = [child.get("message", "") for each in cases for child in each]
    assert all(text.endswith(": the gate allows it") is is_through for text in said)


def test_an_answer_that_never_came_is_an_error() -> None:
    results = Results(2)
    for example_id in ("a", "b", "c"):
        results.add_example(example_id, "", (), must_pass=False)
    column = results.add_arm("candidate")
    marks = ("api-error", "api-error", "pass", "api-error", "pass", "pass")
    for place, mark in enumerate(marks):
        column.put(place, Sample(mark))
    judged = evidence_of(graded(story(80))).verdict

    evidence = replace(evidence_of(graded(story(80))), results=results, verdict=judged)
    cases = list(parsed(junit(evidence, "x")).iter("testcase"))

    tags = [[child.tag for child in case] for case in cases]
    assert tags == [["failure"], ["error"], ["error"], []]
    assert cases[1][0].get("message") == "api-error"

    passing = replace(evidence, verdict={**judged, "ruling": "pass"})
    cases = list(parsed(junit(passing, "x")).iter("testcase"))
    assert [[child.tag for child in case] for case in cases] == [[], ["skipped"], ["skipped"], []]


def test_F7_hostile_text_is_well_formed_and_recognisable() -> None:
    tried = wrong = 0
    for payload in HOSTILE:
        evidence, texts = hostile(payload)
        page = junit(evidence, identified(evidence))
        suite = parsed(page)[0]
        tried += 1
        shape = [element.tag for element in suite.iter()]
        wrong += shape.count("testcase") != len(texts) + 1 or bool(FORBIDDEN.search(page))
        wrong += {"script", "img", "b"} & set(shape) != set()
    print(f"F7: {tried} tried, {wrong} wrong")
    assert wrong == 0


def test_secrets_are_taken_out() -> None:
    evidence = evidence_of(graded(story(80)), tool="fftdeploy hunter22")
    page = junit(evidence, "x", ["hunter22"])
    assert "hunter22" not in page
    assert "[redacted]" in page
