"""The pictures of the documentation show what is true now."""

import pictures
import pytest
from checkout import ROOT


def test_the_terminals_say_what_their_commands_print() -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in pictures.IMAGES.glob("*.svg")}
    now = pictures.screens()

    assert kept.keys() == now.keys()
    for name, svg in now.items():
        assert pictures.words(kept[name]) == pictures.words(svg), name


@pytest.mark.parametrize("scheme", pictures.SCHEMES)
def test_the_report_was_drawn_from_the_page_as_it_is(scheme: str) -> None:
    picture = (pictures.IMAGES / f"report-{scheme}.png").read_bytes()

    assert pictures.drawn_from(picture) == pictures.digest(pictures.report())


def test_every_picture_is_shown_somewhere() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)

    assert [path.name for path in pictures.IMAGES.iterdir() if path.name not in text] == []
