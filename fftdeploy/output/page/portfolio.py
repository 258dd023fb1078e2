"""The page of a migration: a table of all targets, then each of them; it needs no script."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from fftdeploy.names import plural
from fftdeploy.output.page.page import FORMATS
from fftdeploy.output.page.template import Say, Template, load


def portfolio_page(values: Mapping[str, Any], secrets: Collection[str] = ()) -> str:
    """Return the page as HTML in UTF-8; `secrets` are taken out of any text."""
    template, policy = _template()
    return template.filled({**values, "policy": policy}, Say(secrets))


@cache
def _template() -> tuple[Template, str]:
    own = {
        "targets": lambda rows: plural(len(rows), "target"),
        "requests": lambda count: plural(count, "request"),
        "usd": lambda usd: f"{usd:.2f}" if usd >= 1 else f"{usd:.4f}",
    }
    return load("portfolio.html", {**FORMATS, **own})
