"""How long the report of 5,000 examples takes to write and to open in headless Chromium."""

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from measure import Row, Size, rounds

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from browser import Browser, browser, find_chromium
from evaluated import evidence_of, graded, page_of, story

from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.results import ExampleText

EXAMPLES = 5_000
_LOADED = """
(() => {
  const timing = performance.getEntriesByType("navigation")[0];
  return [timing.domContentLoadedEventEnd, timing.loadEventEnd];
})()
"""


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    """Write the report of 5,000 examples, 400 of them broken, and open it `runs` times."""
    examples = size(EXAMPLES)
    texts = story(examples, broke=examples * 8 // 100, fixed=examples * 2 // 100)
    worst = [_longer(text) for text in texts]
    evidence = evidence_of(graded(texts))
    rows: list[Row] = []
    for name, shown in (("", texts), (" with 2,000 characters in every text", worst)):
        path = folder / f"report{len(rows)}.html"
        took = median(_write(evidence, shown, path) for _ in range(runs))
        length = path.stat().st_size / 1e6
        what = f"report of {examples:,} examples{name}"
        rows.append(Row(f"{what}: write", took, None, "s"))
        rows.append(Row(f"{what}: size", length, 10, "MB"))
        rows += _opened(f"{what}: open", path, runs)
    return rows


def _longer(text: ExampleText) -> ExampleText:
    def long(words: str) -> str:
        return (words + "\n") * (2_000 // len(words))

    outputs = {arm: tuple(map(long, said)) for arm, said in text.outputs.items()}
    return ExampleText(
        text.id, long(text.input), long(text.reference), text.tags, text.meta, outputs
    )


def _write(evidence: Evidence, texts: list[ExampleText], path: Path) -> float:
    started = perf_counter()
    path.write_text(page_of(evidence, texts), encoding="utf-8")
    return perf_counter() - started


def _opened(what: str, path: Path, runs: int) -> list[Row]:
    chromium = find_chromium()
    if chromium is None:
        return [Row(what, float("nan"), None, "s", "no Chromium here")]
    with browser(chromium) as running:
        counted = [(_open(running, path), counts) for counts in rounds(runs)]
    times = [took for took, counts in counted if counts]
    whole = median(load for _, load in times)
    parsed = median(content for content, _ in times)
    return [Row(what, whole, 2, "s", f"parsed after {parsed:.2f} s")]


def _open(running: Browser, path: Path) -> tuple[float, float]:
    """Return the seconds until the page was parsed, and until it was loaded."""
    page = running.new_page()
    page.open(path.as_uri())
    parsed, loaded = page.evaluate(_LOADED)
    page.call("Page.close")
    return parsed / 1000, loaded / 1000
