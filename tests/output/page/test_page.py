"""Rows F1, H13: the report is whole, says what the verdict says, and hostile text lies still."""

import base64
import hashlib
import html
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from random import Random
from typing import NamedTuple

import pytest
from evaluated import BUNDLES, RULES, evidence_of, graded, hostile, identified, story
from evaluated import page_of as report
from hostile_text import FORBIDDEN, HOSTILE, MARKUP, Unescaped

from fftdeploy.cli.verdict_tables import slice_table
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.evidence.evidence import Evidence, read_verdict
from fftdeploy.evaluation.patterns.what_changed import ComparedField, compared_fields
from fftdeploy.evaluation.results import ExampleText, Results, Sample
from fftdeploy.formats import strict_json
from fftdeploy.output.page import page as page_module
from fftdeploy.output.page.tables import Confusion, Confusions
from fftdeploy.output.page.template import Say, Template
from fftdeploy.output.text_difference import Piece, compare

VOID = {"meta", "br", "rect", "line", "circle", "input", "img", "link", "base", "hr"}


class Element(NamedTuple):
    tag: str
    attributes: dict[str, str]


class Parsed(HTMLParser):
    """The elements of a page in order, and its text outside of script and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in {"script", "style"}:
            self.text += data

    def skeleton(self) -> list[Element]:
        """Return all elements but those that say how texts differ or that they were cut."""
        for _, attributes in self.elements:
            attributes.pop("open", None)  # half of a surrogate pair is no JSON, so no field
        return [element for element in self.elements if element.tag not in {"mark", "i"}]


@pytest.fixture(scope="module")
def texts() -> list[ExampleText]:
    return story()


@pytest.fixture(scope="module")
def evidence(texts: list[ExampleText]) -> Evidence:
    return evidence_of(graded(texts))


def test_the_verdict_comes_first_and_the_rest_in_order(
    evidence: Evidence, texts: list[ExampleText]
) -> None:
    parsed = Parsed(report(evidence, texts))

    said = re.sub(r"\s+", " ", parsed.text)
    assert f"FAIL {evidence.verdict['headline']}" in said
    sections = [element.attributes["id"] for element in parsed.elements if element.tag == "section"]
    assert sections == ["reasons", "changed", "examples", "fields", "slices", "costs", "facts"]
    places = [
        said.index(word) for word in ("FAIL fails", "Broke 12", "Fixed 3", "Passed by both 231")
    ]
    assert places == sorted(places)
    bounds = "at least -6.5, and with 95% at most -0.9; the limit is -5.0"
    assert bounds in said.replace("\N{MINUS SIGN}", "-")
    assert "12 broke3 fixed231 passed by both4 failed by both250 pairs" in said
    assert f"fftdeploy verify {identified(evidence)}" in said
    for text in texts:
        assert text.id in said
    for bundle in BUNDLES.values():
        assert bundle.model in said
    assert evidence.examples.files[0][1] in said


def test_each_example_is_there_with_all_that_was_said(
    evidence: Evidence, texts: list[ExampleText]
) -> None:
    page = report(evidence, texts)
    rows = re.split(r'(?=<details id="e\d+")', page)[1:]

    assert len(rows) == len(texts)
    said = [Parsed(row.partition("</dl>")[0] + "</dl></details>").text for row in rows]
    by_id = {text.split()[0]: text for text in said}
    for text in texts:
        for part in (
            text.input,
            text.reference,
            *(out for outs in text.outputs.values() for out in outs),
        ):
            assert part in by_id[text.id]
    broke = evidence.verdict["broke"]
    assert list(by_id)[: len(broke)] == list(broke)
    assert "candidate wrong: category, next_step" in by_id["t-001"]


def test_a_diff_marks_the_words_that_differ(evidence: Evidence, texts: list[ExampleText]) -> None:
    row = report(evidence, texts).partition('<details id="e0"')[2].partition("</details>")[0]

    assert re.findall(r"<mark>(.*?)</mark>", row) == [
        *("refund", "check refund eligibility"),
        *("billing", "review invoice"),
    ]


def test_policy_names_the_only_style_and_script_and_nothing_else_is_asked_for(
    evidence: Evidence, texts: list[ExampleText]
) -> None:
    page = report(evidence, texts)
    parsed = Parsed(page)

    policies = [
        element.attributes["content"]
        for element in parsed.elements
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    hashes = [
        f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()}'"
        for tag in ("style", "script")
        for found in re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    ]
    assert len(hashes) == 2
    assert policies == [
        "; ".join(["default-src 'none'", *hashes, "base-uri 'none'", "form-action 'none'"])
    ]
    assert page.index("Content-Security-Policy") < page.index("<style>")
    assert problems(parsed) == []
    assert "url(" not in page
    assert "@import" not in page


def problems(parsed: Parsed) -> list[str]:
    """Return what a page of ours never has: references elsewhere, handlers, inline style."""
    found = []
    for tag, attributes in parsed.elements:
        for name, value in attributes.items():
            is_link = name in {"src", "href", "action", "srcset", "data", "poster", "background"}
            if (is_link and not value.startswith("#")) or name.startswith("on") or name == "style":
                found.append(f"<{tag} {name}={value}>")
    tags = [tag for tag, _ in parsed.elements]
    found += [
        tag for tag in ("img", "iframe", "object", "embed", "link", "base", "a:") if tag in tags
    ]
    scripts = [attributes.get("type") for tag, attributes in parsed.elements if tag == "script"]
    found += [] if scripts == ["application/json", None] else ["script"]
    return found if tags.count("style") == 1 else [*found, "style"]


KINDS = (True, False)


def test_F1_hostile_text_is_shown_and_does_nothing() -> None:
    plain = {kind: Parsed(report(*hostile("plain", is_json=kind))).skeleton() for kind in KINDS}
    tried, wrong = 0, []
    for payload in HOSTILE:
        is_json = "\ud800" not in payload
        page = report(*hostile(payload, is_json=is_json))
        parsed = Parsed(page)
        tried += 1
        if parsed.skeleton() != plain[is_json] or problems(parsed) or FORBIDDEN.search(page):
            wrong.append(payload[:20])
        data = page.partition('<script type="application/json" id="data">')[2].partition("<")[0]
        names = json.loads(data)["names"]
        wrong += [] if Say().plain(payload) in names else [f"data {payload[:20]}"]
        shown = Say().plain(payload)[:500]
        assert shown in parsed.text, payload
        page.encode()
    print(f"hostile text in every place of the page: {tried} tried, {len(wrong)} wrong")
    assert wrong == []


def test_control_text_that_is_not_escaped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "Say", Unescaped)
    plain = Parsed(report(*hostile("plain"))).skeleton()
    elements = [payload for payload in MARKUP if payload.startswith("<")]
    wrong = 0
    for payload in elements:
        try:
            wrong += Parsed(report(*hostile(payload))).skeleton() != plain
        except AssertionError:  # an end tag too many
            wrong += 1
    print(f"not escaped: {len(elements)} tried, {wrong} wrong")
    assert wrong == len(elements) > 9


def test_F1_holes_are_filled_escaped_and_named_where_nothing_is_for_them() -> None:
    template = Template(
        "<p>\n  {{#rows}}<b>{{name}}</b>{{/}}{{^rows}}none{{/}} {{n}}\n</p><i>{{&data}}</i>", {}
    )
    values = {"rows": [{"name": "<1>"}, {"name": "{{n}}"}], "n": 1234, "data": "</i><!--&"}

    filled = template.filled(values, Say())

    data = r'<i>"\u003c/i\u003e\u003c!--\u0026"</i>'
    assert filled == f"<p><b>&lt;1&gt;</b><b>{{{{n}}}}</b> 1,234</p>{data}"
    assert template.filled({**values, "rows": []}, Say()) == f"<p>none 1,234</p>{data}"
    with pytest.raises(KeyError, match="n"):
        template.filled({"rows": []}, Say())


def test_without_the_log_how_it_was_graded_is_shown(
    evidence: Evidence, texts: list[ExampleText]
) -> None:
    page = report(evidence, None)
    said = Parsed(page).text

    assert "The log of this run is not on this machine" in said
    for text in texts:
        assert text.id in said
    assert "t-001 live passed; candidate wrong: category, next_step" in said
    assert "What was answered for" not in said
    assert not any(text.input in html.unescape(page) for text in texts)


def test_a_text_that_the_log_lacks_is_named(evidence: Evidence, texts: list[ExampleText]) -> None:
    lost = [replace(text, outputs={**text.outputs, "live": ()}) for text in texts[:1]]

    said = Parsed(report(evidence, lost)).text

    assert said.count("not in the log of the run") == 1
    assert all(text.id in said for text in texts)


def test_redacted_texts_are_nowhere(evidence: Evidence, texts: list[ExampleText]) -> None:
    def secret(text: ExampleText) -> ExampleText:
        return replace(
            text,
            input=f"SENTINEL-1 {text.input}",
            reference=text.reference.replace("refund", "SENTINEL-2"),
            meta={**text.meta, "who": "SENTINEL-3"},
            outputs={arm: (f"SENTINEL-4 {outs[0]}",) for arm, outs in text.outputs.items()},
        )

    given = [secret(text) for text in texts]
    redacted, whole = report(evidence, given, redact=True), report(evidence, given)

    assert "SENTINEL" not in redacted
    assert "left out of this page" in redacted
    assert all(text.id in redacted for text in texts)
    assert {f"SENTINEL-{n}" for n in range(1, 5)} <= set(re.findall(r"SENTINEL-\d", whole))


def test_secrets_are_taken_out(evidence: Evidence, texts: list[ExampleText]) -> None:
    leaky = [replace(texts[0], input="the key is hunter22", reference="sk-proj-abcdef0123456789")]

    page = report(evidence, leaky, secrets=["hunter22"])

    assert "hunter22" not in page
    assert "sk-proj-abcdef0123456789" not in page
    assert page.count("[redacted]") == 3  # once beside a pattern


def test_long_texts_are_cut_and_said_to_be(evidence: Evidence, texts: list[ExampleText]) -> None:
    said = Parsed(report(evidence, [replace(texts[0], input="é" * 2_345)])).text

    assert "é" * 2_000 + " and 345 more characters" in said
    assert "é" * 2_001 not in said


def test_of_many_examples_those_that_matter_are_shown() -> None:
    texts = story(2_500, broke=40, fixed=20)
    evidence = evidence_of(graded(texts))

    page = report(evidence, texts)

    verdict = evidence.verdict
    failed = 2_500 - verdict["comparison"]["passed_both"]
    assert page.count('class="row ') == failed
    assert f"Not shown here: {2_500 - failed:,} examples that passed." in page
    assert all(
        f">{example_id}</span>" in page for example_id in (*verdict["broke"], *verdict["fixed"])
    )


def test_a_page_of_2500_long_failures_stays_below_10_mb() -> None:
    random = Random(3)
    words = ["<b>", "&", "refund", "billing", "é", "\n", "  "]
    long = [" ".join(random.choices(words, k=900)) for _ in range(12)]
    texts = [
        ExampleText(
            f"t{n}",
            long[n % 12],
            long[n % 11],
            (),
            {},
            {arm: (long[(n + k) % 12],) for k, arm in enumerate(("candidate", "live", "base"))},
        )
        for n in range(2_500)
    ]
    results = Results(1)
    for text in texts:
        results.add_example(text.id, "", (), must_pass=False)
    for arm in texts[0].outputs:
        column = results.add_arm(arm)
        for place in range(2_500):
            column.put(place, Sample("pass" if arm == "live" and place % 2 else "wrong"))
    started = time.process_time()

    page = report(evidence_of(results, rules=replace(RULES, slices=())), texts)

    size, took = len(page.encode()), time.process_time() - started
    print(f"2,500 long failures: {size:,} bytes in {took:.1f} s")
    assert size < 10_000_000
    assert page.count('class="row ') == 2_000
    assert "further down, rows are shown without their texts" in page


ARMS_AND_MODES = {
    "no-live": (("candidate",), replace(RULES, must_pass=("edge-case",)), "no live model"),
    "threshold": (("candidate",), replace(RULES, mode="threshold", threshold=0.9), "limit 90.0%"),
    "better": (("candidate", "live"), replace(RULES, mode="better"), "limit 0.0"),
    "report-only": (("candidate", "live"), replace(RULES, mode="report-only"), "stops nothing"),
    "base-only": (("candidate", "base"), RULES, "Against base the candidate"),
}


@pytest.mark.parametrize("name", ARMS_AND_MODES)
def test_other_arms_and_modes(texts: list[ExampleText], name: str) -> None:
    arms, rules, wanted = ARMS_AND_MODES[name]
    asked = [replace(text, outputs={arm: text.outputs[arm] for arm in arms}) for text in texts]

    said = Parsed(report(evidence_of(graded(asked), rules=rules), asked)).text

    assert wanted in said
    assert ("Broke" in said) == ("live" in arms)


def test_repeats_say_how_often(texts: list[ExampleText]) -> None:
    text = replace(texts[0], outputs={"candidate": ("a", "b", "c"), "live": ("d", "e", "f")})
    results = Results(3, (), ("urgency",))
    results.add_example(text.id, "", (), must_pass=False)
    for arm, marks in (("candidate", ("pass", "wrong", "refused")), ("live", ("pass",) * 3)):
        column = results.add_arm(arm)
        for place, mark in enumerate(marks):
            column.put(place, Sample(mark, (0,) if mark == "wrong" else ()))

    page = report(evidence_of(results, rules=replace(RULES, slices=())), [text])

    said = Parsed(page).text
    assert "live passed 3 of 3; candidate passed 1 of 3, wrong, refused: urgency" in said
    assert re.findall(r"<dd>(?:<mark>)?(\w)\b", page)[:2] == ["d", "b"]


def test_tokens_are_held_against_money(evidence: Evidence, texts: list[ExampleText]) -> None:
    said = Parsed(report(evidence, texts)).text

    base = next(arm for arm in evidence.verdict["arms"] if arm["arm"] == "base")
    share = 100 * base["tokens_cached"] / base["tokens_in"]
    assert "Against base the candidate reads and writes 88% fewer tokens per request" in said
    assert "and costs 8% less: $0.099 instead of $0.108 for 1,000 requests." in said
    assert f"{share:.1f}% of what base reads comes from the provider" in said
    free = replace(
        evidence,
        prices=None,
        verdict={
            **evidence.verdict,
            "arms": [{**arm, "usd_per_1k_requests": None} for arm in evidence.verdict["arms"]],
        },
    )
    assert (
        "There are no prices in the policy: money is not known." in Parsed(report(free, texts)).text
    )


def test_confusions_count_what_was_answered_for_what() -> None:
    def text(agreed: str, answered: str) -> ExampleText:
        return ExampleText("x", "", agreed, (), {}, {"candidate": (answered,)})

    counted = Confusions(
        [ComparedField("category", "a.category", "casefold"), ComparedField("", "")],
        ["candidate"],
    )
    for agreed, answered in (
        ("refund", '{"a": {"category": "Billing"}}'),
        ("refund", '{"a": {"category": "refund"}}'),
        ("billing", '{"a": {"category": "billing "}}'),
        ("refund", '{"a": {}}'),
        ("refund", "I can't"),
        ("billing", '{"a": {"category": "spam"}}'),
    ):
        counted.add(text(f'{{"a": {{"category": "{agreed}"}}}}', answered))
    assert counted.tables() == [
        Confusion("category", "candidate", ("refund", "billing"), ((1, 1, 0, 2), (0, 1, 1, 0)))
    ]

    labels = Confusions([ComparedField("", "")], ["candidate"])
    for agreed, answered in (("yes", "yes"), ("no", "yes"), ("no", " no\n"), ("yes", "")):
        labels.add(text(agreed, answered))
    assert labels.tables() == [
        Confusion("", "candidate", ("yes", "no"), ((1, 0, 0, 1), (1, 1, 0, 0)))
    ]

    many = Confusions([ComparedField("", "")], ["candidate"])
    for number in range(13):
        many.add(text(str(number), "0"))
    assert many.tables() == []


def test_a_confusion_is_about_the_field_of_its_title(texts: list[ExampleText]) -> None:
    """Evidence has the fields of a grader in another order than the results and the policy."""
    evidence = evidence_of(graded(texts))
    graders = strict_json.loads(strict_json.dumps(list(evidence.graders)))
    assert list(graders[0]["fields"]) == ["category", "next_step", "urgency"]
    assert compared_fields(graders, evidence.results.fields)[1:] == [
        ComparedField("urgency", "urgency"),
        ComparedField("category", "category"),
        ComparedField("next_step", "next_step", "casefold"),
    ]
    confusions = Confusions(compared_fields(graders, evidence.results.fields), ["candidate"])
    for text in texts:
        confusions.add(text)
    found = {table.field: set(table.values) for table in confusions.tables()}
    agreed = [json.loads(text.reference) for text in texts]
    assert found["urgency"] == {each["urgency"] for each in agreed}
    assert found["category"] == {each["category"] for each in agreed}

    twice = [
        {"name": "one", "fields": {"a": {"kind": "exact"}, "z": {"kind": "casefold"}}},
        {"name": "two", "fields": {"a": {"kind": "number"}, "b": {"kind": "exact"}}},
    ]
    assert compared_fields(twice, ("z", "one: a", "b", "two: a", "gone"))[1:] == [
        ComparedField("z", "z", "casefold"),
        ComparedField("one: a", "a"),
        ComparedField("b", "b"),
        ComparedField("two: a", "a", "number"),
    ]


def test_words_that_differ() -> None:
    one, other = compare("check refund eligibility now", "review invoice now")
    assert one == [
        Piece("check refund eligibility", is_different=True),
        Piece(" now", is_different=False),
    ]
    assert other == [Piece("review invoice", is_different=True), Piece(" now", is_different=False)]
    assert compare("", "") == ([], [])
    assert compare("", "a b") == ([], [Piece("a b", is_different=True)])


def test_H14_words_that_differ_lose_nothing_and_take_no_time() -> None:
    random = Random(7)
    tried = 0
    for _ in range(2_000):
        one, other = ("".join(random.choices('ab "é<\n', k=random.randrange(30))) for _ in "12")
        pieces = compare(one, other)
        assert ["".join(piece.text for piece in side) for side in pieces] == [one, other]
        shared = ["".join(p.text for p in side if not p.is_different).split() for side in pieces]
        assert shared[0] == shared[1] or "".join(shared[0]) == "".join(shared[1])
        tried += 1
    worst = 0.0
    many = "".join(map(chr, range(0x2600, 0x2650)))
    for unit in ("a ", "a b ", "a,", "\n", '",', "\u00e9\u0301 ", many):
        for size in (199, 600, 2_000):
            one, other = ("".join(random.choices(unit, k=size)) for _ in "12")
            started = time.process_time()
            compare(one, other)
            worst = max(worst, time.process_time() - started)
    print(f"pairs of texts: {tried} tried, 0 wrong; the slowest took {1000 * worst:.0f} ms")


BROKEN = {
    "missing": lambda stored: stored.pop("headline"),
    "more": lambda stored: stored.update(extra=1),
    "ruling": lambda stored: stored.update(ruling="<b>"),
    "number": lambda stored: stored["comparison"].update(n="<b>"),
    "bool": lambda stored: stored["comparison"].update(broke=True),
    "list": lambda stored: stored.update(broke="t-001"),
    "ids": lambda stored: stored.update(broke=[1]),
    "marks": lambda stored: stored["arms"][0].update(marks={"pass": "1"}),
    "code": lambda stored: stored["reasons"][0].update(code=[]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_stored_verdict_of_another_shape_is_refused(evidence: Evidence, name: str) -> None:
    stored = json.loads(json.dumps(evidence.verdict))
    assert read_verdict(stored).as_json() == stored
    BROKEN[name](stored)

    with pytest.raises(ConfigError, match="another shape"):
        report(replace(evidence, verdict=stored), None)


def test_a_tiny_p_is_not_printed_as_none() -> None:
    texts = story(500, broke=40)
    evidence = evidence_of(graded(texts))
    slices = slice_table(read_verdict(evidence.verdict).slices)
    shown = {cells[0].text: cells[-1].text for cells in slices.rows}

    assert min(part["p_adjusted"] for part in evidence.verdict["slices"]) < 0.0005, "else 0.000"
    assert shown["topic=refund"] == "<0.001"
    page = report(evidence, texts)
    assert "<td>&lt;0.001</td>" in page
    assert "0.000<" not in page
    assert not any(text.startswith("0.000") for text in shown.values())
