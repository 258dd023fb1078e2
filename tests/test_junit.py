"""Row F7: JUnit XML that every parser reads, whatever the text."""

import xml.etree.ElementTree as ET
from dataclasses import replace

from evaluated import evidence_of, graded, hostile, identified, story
from test_output import FORBIDDEN
from test_page import HOSTILE

from fftdeploy.evaluation.results import Results, Sample
from fftdeploy.render.junit import junit


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
    assert list(cases) == [text.id for text in texts]
    assert broke <= failed
    assert not set(verdict["fixed"]) & failed
    assert len(failed) == len(broke) + both
    assert suite.attrib == {
        "name": "triage/production",
        "tests": "80",
        "failures": str(len(failed)),
        "errors": "0",
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
    assert all(float(case.get("time", "-1")) > 0 for case in cases.values())


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

    assert [[child.tag for child in case] for case in cases] == [["error"], ["error"], []]
    assert cases[0][0].get("message") == "api-error"


def test_F7_hostile_text_is_well_formed_and_recognisable() -> None:
    tried = wrong = 0
    for payload in HOSTILE:
        evidence, texts = hostile(payload)
        page = junit(evidence, identified(evidence))
        suite = parsed(page)[0]
        tried += 1
        shape = [element.tag for element in suite.iter()]
        wrong += shape.count("testcase") != len(texts) or bool(FORBIDDEN.search(page))
        wrong += {"script", "img", "b"} & set(shape) != set()
    print(f"F7: {tried} tried, {wrong} wrong")
    assert wrong == 0


def test_secrets_are_taken_out() -> None:
    evidence = evidence_of(graded(story(80)), tool="fftdeploy hunter22")
    page = junit(evidence, "x", ["hunter22"])
    assert "hunter22" not in page
    assert "[redacted]" in page
