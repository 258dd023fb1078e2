"""Run as a script, it draws `docs/images/report.png` again: the report that stopped v9."""

import tempfile
from pathlib import Path

from browser import browser, find_chromium
from checkout import ROOT
from evaluated import evidence_of, graded, identified, story

from fftdeploy.output.page.page import report_page

PICTURE = ROOT / "docs" / "images" / "report.png"
_SIZE = {"width": 1120, "height": 1180}


def draw(path: Path) -> None:
    """Write the top of the story's report as a picture."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("there is no chromium or google-chrome here")
    texts = story()
    evidence = evidence_of(graded(texts))
    with tempfile.TemporaryDirectory() as folder, browser(chromium) as running:
        report = Path(folder, "report.html")
        report.write_text(report_page(evidence, identified(evidence), texts), encoding="utf-8")
        page = running.new_page()
        page.open(report.as_uri(), **_SIZE)
        path.parent.mkdir(exist_ok=True)
        page.screenshot(path)


if __name__ == "__main__":
    draw(PICTURE)
