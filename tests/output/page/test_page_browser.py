"""The report in a real browser: it renders, filters, prints, and asks for and runs nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, Page, browser, find_chromium
from evaluated import evidence_of, graded, hostile, page_of, story
from hostile_text import HOSTILE, Unescaped

from fftdeploy.evaluation.results import ExampleText
from fftdeploy.output.page import page as page_module

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium or google-chrome here")

VISIBLE = "[...document.querySelectorAll('.row')].filter((row) => row.checkVisibility()).length"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    assert CHROMIUM
    with browser(CHROMIUM) as running:
        yield running


@pytest.fixture(scope="module")
def texts() -> list[ExampleText]:
    return story()


@pytest.fixture(scope="module")
def report(texts: list[ExampleText], tmp_path_factory: pytest.TempPathFactory) -> Path:
    evidence = evidence_of(graded(texts))
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page_of(evidence, texts), encoding="utf-8")
    return path


def test_rendered_without_an_error_or_a_request(chromium: Browser, report: Path) -> None:
    page = chromium.new_page()
    page.open(report.as_uri())

    assert page.evaluate("document.title") == "FAIL triage/production"
    box = page.evaluate("JSON.stringify(document.querySelector('h1').getBoundingClientRect())")
    assert '"top":' in box
    assert page.evaluate("document.querySelector('h1').getBoundingClientRect().bottom < 300")
    assert page.evaluate("document.querySelector('.badge').checkVisibility()")
    assert page.evaluate("document.querySelector('.interval').clientWidth") > 500
    assert page.evaluate("document.querySelector('#filters').checkVisibility()")
    assert page.evaluate(VISIBLE) == 15
    assert page.console == []
    assert page.requests == [report.as_uri()]


@pytest.mark.parametrize("width", [360, 400, 1200])
def test_nothing_is_wider_than_the_screen(chromium: Browser, report: Path, width: int) -> None:
    page = chromium.new_page()
    page.open(report.as_uri(), width=width)

    assert page.evaluate("document.documentElement.scrollWidth") == width


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option as a person does: the first whose text begins so."""
    page.evaluate(
        f"""(() => {{
          const label = [...document.querySelectorAll("#filters label")].find(
            (each) => each.textContent.trim().startsWith({label!r}));
          const select = label.querySelector("select");
          select.value = [...select.options].find((each) => each.text.startsWith({option!r})).value;
          select.dispatchEvent(new Event("change", {{ bubbles: true }}));
        }})()"""
    )


def test_filtered(chromium: Browser, report: Path, texts: list[ExampleText]) -> None:
    page = chromium.new_page()
    page.open(report.as_uri())
    refunds = [text for text in texts if "refund" in text.tags]
    german = [text for text in refunds if text.meta["language"] == "de"]

    choose(page, "Tag", "refund")
    assert page.evaluate(VISIBLE) == len(refunds)
    assert page.evaluate("document.querySelector('#shown').value") == f"{len(refunds)} of 250 shown"
    choose(page, "language", "de")
    assert page.evaluate(VISIBLE) == len(german)
    choose(page, "Failed field", "category")
    shown = page.evaluate(
        "[...document.querySelectorAll('.row')].filter((row) => row.checkVisibility())"
        ".map((row) => row.querySelector('.id').textContent)"
    )
    results = graded(german)
    wrong = [
        text.id
        for place, text in enumerate(german)
        if 1 in results.arms["candidate"].get(place).failed
    ]
    assert sorted(shown) == sorted(wrong)
    assert shown
    choose(page, "Outcome", "Fixed")
    assert page.evaluate(VISIBLE) == 0
    page.evaluate("document.querySelector('#filters [type=reset]').click()")
    page.evaluate("new Promise((done) => setTimeout(done, 50))")
    assert page.evaluate(VISIBLE) == 15
    assert page.console == []


def test_a_reason_leads_to_its_example_and_rows_open(chromium: Browser, report: Path) -> None:
    page = chromium.new_page()
    page.open(report.as_uri())
    passed = page.evaluate("document.querySelector('.group.passed .row').id")

    page.evaluate(f"location.hash = '{passed}'")
    page.evaluate("new Promise((done) => setTimeout(done, 50))")

    assert page.evaluate(f"document.querySelector('#{passed} dl').checkVisibility()")
    assert page.evaluate("document.querySelector('.reasons a').hash") == "#e0"
    page.evaluate("document.querySelector('#unfold').click()")
    opened = "[...document.querySelectorAll('details.row')].filter((row) => row.open).length"
    assert page.evaluate(opened) == 250
    page.evaluate("document.querySelector('#unfold').click()")
    assert page.evaluate(opened) == 0


def test_without_scripts_all_of_it_is_there(chromium: Browser, report: Path) -> None:
    page = chromium.new_page()
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(report.as_uri())
    page.call("Emulation.setScriptExecutionDisabled", value=False)

    assert page.evaluate("document.querySelector('#filters').hidden")
    assert page.evaluate("document.querySelectorAll('details.row').length") == 250
    assert page.evaluate(VISIBLE) == 15
    page.evaluate("document.querySelector('.group.passed summary').click()")
    assert page.evaluate(VISIBLE) > 200


def test_printed(chromium: Browser, report: Path) -> None:
    page = chromium.new_page()
    page.open(report.as_uri())

    printed = page.pdf()

    assert printed.startswith(b"%PDF-")
    assert 3 <= printed.count(b"/Type /Page\n") <= 12
    assert page.console == []
    assert page.requests == [report.as_uri()]


OWNED = "window.owned === undefined && document.title.startsWith('FAIL')"


def test_F1_hostile_text_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    tried, wrong = 0, []
    plain: dict[bool, int] = {}
    every = [("plain", True), ("plain", False)]
    every += [(payload, "\ud800" not in payload) for payload in HOSTILE]
    elements = "[...document.querySelectorAll('*')].filter((e) => !e.matches('mark,i')).length"
    page = chromium.new_page()
    for number, (payload, is_json) in enumerate(every):
        evidence, texts = hostile(payload, is_json=is_json)
        path = tmp_path / f"{number}.html"
        path.write_text(page_of(evidence, texts), encoding="utf-8")
        page.console, page.requests = [], []
        page.open(path.as_uri())
        page.evaluate(
            "document.querySelectorAll('details').forEach((each) => { each.open = true })"
        )
        count = page.evaluate(elements)
        plain.setdefault(is_json, count)
        quiet = page.console == [] and page.requests == [path.as_uri()]
        tried += 1
        if not quiet or count != plain[is_json] or not page.evaluate(OWNED):
            wrong.append((payload[:30], page.console, page.requests, count))
    print(f"hostile text in a browser: {tried} tried, {len(wrong)} wrong")
    assert wrong == []


POLICY = '<meta http-equiv="Content-Security-Policy"'


@pytest.mark.parametrize("has_policy", [False, True], ids=["no-policy", "policy"])
def test_control_what_is_not_escaped_runs_unless_the_policy_stops_it(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_policy: bool
) -> None:
    monkeypatch.setattr(page_module, "Say", Unescaped)
    evidence, texts = hostile("<img src=http://127.0.0.1:9/x onerror=window.owned=1>")
    written = page_of(evidence, texts)
    path = tmp_path / "report.html"
    path.write_text(written if has_policy else written.replace(POLICY, "<meta"), encoding="utf-8")
    page = chromium.new_page()

    page.open(path.as_uri())
    page.evaluate("new Promise((done) => setTimeout(done, 300))")

    assert page.evaluate("window.owned === undefined") == has_policy
    assert page.console != []
    asked_elsewhere = [url for url in page.requests if url != path.as_uri()]
    violations = [line for line in page.console if "Content Security Policy" in line]
    if has_policy:
        assert violations
    else:
        assert "http://127.0.0.1:9/x" in asked_elsewhere
        assert not violations
