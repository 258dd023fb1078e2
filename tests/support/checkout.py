"""Where this checkout lies: its root, and what tests share."""

import re
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parent.parent


def block(page: str, kind: str, beginning: str) -> str:
    """Return the one block of a kind that begins so on a page of the documentation."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{kind}\n({re.escape(beginning)}.*?)```", text, re.DOTALL)
    return str(found)
