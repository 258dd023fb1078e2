"""The pictures of the documentation; run as a script, it draws them again.

A terminal is drawn as SVG from what the console script wrote to one; a report as PNG by a browser.
Each carries the text that it was drawn from, or its hash, so that a test tells without a browser
whether it shows what is true now.
"""

import io
import re
import struct
import tempfile
import zlib
from hashlib import sha256
from html import unescape
from pathlib import Path

from browser import browser, find_chromium
from checkout import ROOT
from evaluated import evidence_of, graded, page_of, story
from pages import Shell, steady
from pages import story as shell_story
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

IMAGES = ROOT / "docs" / "images"
COLUMNS = (80, 120)
SCREENS = {
    "status": "fftdeploy status",
    "eval": "fftdeploy eval triage/production triage-v9 --max-requests 200",
}
"""The command of each picture of a terminal, run beside the files at the top of this repository."""
SCHEMES = ("light", "dark")
_SIZE = {"width": 1120, "height": 1180}
_PNG_START = 8
"""Bytes of a PNG before its first chunk."""
_KEY = b"drawn-from\0"
_TEXT = re.compile(r"<text[^>]*>(.*?)</text>")
_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def screens() -> dict[str, str]:
    """Return the SVG of every terminal by the name of its file."""
    with shell_story() as shell:
        shell.folder = shell.folder.parent  # where the files of `EXAMPLE` are
        return {
            f"{name}-{columns}.svg": _drawn(shell, line, columns)
            for name, line in SCREENS.items()
            for columns in COLUMNS
        }


def _drawn(shell: Shell, line: str, columns: int) -> str:
    shell.environ.update(TERM="xterm-256color", COLUMNS=str(columns))
    shown = re.sub(r"[^\n]*\r +\r", "", shell.run(line))  # what moved while it waited
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), (line, "bold")), soft_wrap=True)
    console.print(Text.from_ansi(shown), soft_wrap=True)
    svg = console.export_svg(title="fftdeploy", theme=DIMMED_MONOKAI, unique_id="screen")
    return _FONTS.sub("", svg)  # a picture loads nothing from anywhere


def words(svg: str) -> str:
    """Return what a picture of a terminal says, without what differs between two runs."""
    said = "\n".join(unescape(text).rstrip() for text in _TEXT.findall(svg))
    return steady(said.replace("\xa0", " "))


def report() -> str:
    """Return the page that the pictures of a report show: the one that stopped v9."""
    texts = story()
    evidence = evidence_of(graded(texts))
    return page_of(evidence, texts)


def drawn_from(png: bytes) -> str:
    """Return the hash of the page that a picture of a report was drawn from; "" where none."""
    _, _, rest = png.partition(_KEY)
    return rest[:64].decode("ascii", errors="replace")


def draw_reports() -> None:
    """Write the top of the report as a picture, in both colour schemes."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("there is no chromium or google-chrome here")
    text = report()
    with tempfile.TemporaryDirectory() as folder, browser(chromium) as running:
        path = Path(folder, "report.html")
        path.write_text(text, encoding="utf-8")
        for scheme in SCHEMES:
            page = running.new_page()
            page.call(
                "Emulation.setEmulatedMedia",
                features=[{"name": "prefers-color-scheme", "value": scheme}],
            )
            page.open(path.as_uri(), **_SIZE)
            picture = IMAGES / f"report-{scheme}.png"
            page.screenshot(picture)
            picture.write_bytes(_marked(picture.read_bytes(), digest(text)))


def digest(page: str) -> str:
    """Return the hash that a picture of `page` carries."""
    return sha256(page.encode()).hexdigest()


def _marked(png: bytes, mark: str) -> bytes:
    """Return a PNG with a text chunk behind its header (PNG 11.3.4.3)."""
    (length,) = struct.unpack(">I", png[_PNG_START : _PNG_START + 4])
    end = _PNG_START + 12 + length
    content = b"tEXt" + _KEY + mark.encode()
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:end] + chunk + png[end:]


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name, svg in screens().items():
        Path(IMAGES, name).write_text(svg, encoding="utf-8")
    draw_reports()
