"""Tells a channel over a webhook, as Slack has it: IDs and counts, nothing that a model said."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fftdeploy.api.client.outgoing import HttpRequest
from fftdeploy.api.settings import WEBHOOK
from fftdeploy.names import plural
from fftdeploy.telling.posting import conversation

_MOST = 3000
"""Characters of one section."""
_MORE = 60
"""Of them, for the line that says how many more there are."""


def tell(environ: Mapping[str, str], lines: Sequence[str]) -> None:
    """Send one message.

    Raises:
        ConfigError: The address is not one.
        UnverifiedError: It may not have arrived.
    """
    with conversation(environ, WEBHOOK) as send:
        send(HttpRequest((), body=message(lines)))


def message(lines: Sequence[str]) -> dict[str, Any]:
    """Return the body of a message: a text for notices, and a section that is read as it is."""
    text = "\n".join(_fitting([f"fftdeploy: {plural(len(lines), 'change')}", *lines]))
    section = {"type": "plain_text", "text": text, "emoji": False}
    return {"text": text, "blocks": [{"type": "section", "text": section}]}


def _fitting(lines: Sequence[str]) -> Iterator[str]:
    left = _MOST - _MORE
    for shown, line in enumerate(lines):
        left -= len(line) + 1
        if left < 0:
            yield f"and {plural(len(lines) - shown, 'more change')}: fftdeploy monitor"
            return
        yield line
