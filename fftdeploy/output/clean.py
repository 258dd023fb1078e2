"""Make text fit to be printed: the one place that untrusted text goes through.

Model IDs, error messages and file names come from other people's machines.  Rich and
terminals obey control characters in them, reviewers are fooled by characters that do not
show, and CI runners take commands from any line of a log.
"""

import json
import re
from collections.abc import Collection
from typing import Any

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
# A key stands by itself and has digits or stars in it; `ft:...:sk-learn:CdEf9` is a model.
_KEY_SHAPE = re.compile(r"(?<![\w.:/#+-])sk-(?=[A-Za-z_-]*[0-9*])[A-Za-z0-9_*-]{8,}")
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)
_VENDOR_COMMAND = re.compile(r"##(?=vso\[|teamcity\[|\[)|section_(?=start:|end:)")
_ESCAPES = re.compile(r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(\\ud[89a-f][0-9a-f]{2})")
"""What begins with a backslash in JSON; the group is half of a surrogate pair, which is no text."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*:[A-Za-z0-9._:/+-]{1,255}")
REDACTED = "[redacted]"
_INLINE = re.compile(
    r"\\(?=[!-/:-@\[-`{-~]|\Z)"  # it would escape what is next
    r"|[`*\[|$]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word it is none of Markdown's
    r"|(?<!\s)~"  # what could close
    r"|<(?=[a-z/!?]|\Z)"
    r"|&(?=#?\w{1,40};|\Z)"
    r"|:(?=//)|(?<=mailto):|(?<=xmpp):|(?<=www)\.",  # a link by itself
    re.IGNORECASE,
)
"""What Markdown would take wherever it stands; next to an end of the text, what might be taken."""


def clean(text: str, secrets: Collection[str] = ()) -> str:
    r"""Return `text` with nothing in it that a terminal, a CI log or an eye would obey.

    Invisible characters become escapes such as `\x1b`; what a CI runner would take for a
    command is broken up; `secrets` and anything shaped like a key are taken out.
    """
    text = _INVISIBLE.sub(_escape, redact(text, secrets))
    text = _COMMAND.sub(r"\1: ", text)
    return _VENDOR_COMMAND.sub(lambda found: f"{found[0][:1]} {found[0][1:]}", text)


def redact(text: str, secrets: Collection[str]) -> str:
    """Take `secrets`, and anything shaped like a key, out of `text`."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return _KEY_SHAPE.sub(REDACTED, text)


def json_document(value: Any, secrets: Collection[str] = ()) -> str:
    """Return one JSON document in ASCII, on one screen, that no CI runner takes a command from."""
    text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False, default=str)
    if "\\ud" in text:
        text = _ESCAPES.sub(lambda found: f"\\{found[0]}" if found[1] else found[0], text)
    text = redact(text, secrets).replace("\x7f", "\\u007f")
    return text.replace("##", "#\\u0023").replace("::", ":\\u003a") + "\n"


def markdown(text: str, secrets: Collection[str] = ()) -> str:
    """Return `text` so that Markdown shows it as it is: no HTML, link, mention or table cell.

    What only the beginning of a line makes a heading or a list is left as it is.
    """
    if _ID.fullmatch(text):  # as it is, to be copied and searched for
        return f"`{redact(text, secrets)}`"
    text = _INLINE.sub(r"\\\g<0>", one_line(clean(text, secrets)))
    # GitHub looks for mentions after Markdown has taken its backslashes out.
    return re.sub(r"(?<!\w)@(?=\w)", "`@`", text)


def one_line(text: str) -> str:
    """Return `text` without line breaks and tabs: one piece can't look like several rows."""
    return text.replace("\n", "\\n").replace("\t", " ")


def annotation(text: str, *, is_property: bool = False) -> str:
    """Escape data, or a property, of a GitHub workflow command."""
    text = _INVISIBLE.sub(_escape, text)
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
