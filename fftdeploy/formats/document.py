"""TOML files as closed documents: decoded strictly, read once, every fault with its place.

Nothing in a file of the repository is ever ignored: a key this version does not know is an
error with its line and the nearest known key, and a key that would say where requests or
secrets go is refused in words of its own.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fftdeploy import names
from fftdeploy.errors import ConfigError
from fftdeploy.formats import positions, toml_reader
from fftdeploy.names import undecoded

BOM = "\ufeff"
Path = tuple[str | int, ...]
"""Where a value stands in a document: keys, and indexes of arrays."""

_HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|>{7})(?: |\r?$)", re.MULTILINE)
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_UNCLOSED = ('Expected "\'"', "Expected '\"'", "Unterminated", "Illegal character '\\n'")
_BARE_WORD = re.compile(r"[A-Za-z][^\s,#\"'\]}]*")
_CONSTANTS = {
    "true": "write true in small letters",
    "false": "write false in small letters",
    "null": "TOML has no null: leave the key out",
    "none": "TOML has no null: leave the key out",
}
_NOT_HERE = (
    (
        re.compile(r"(base_?url|api_?base|api_?url|end_?points?|hosts?|address|url|server)"),
        "the API address can't be set in this file",
        "use OPENAI_BASE_URL",
    ),
    (
        re.compile(r"(api_?key|key|token|secret|password|key_?file|api_?key_?env|.*_env)"),
        "a key, or the name of its variable, can't be set in this file",
        "use OPENAI_API_KEY; if this is a real key, revoke it",
    ),
    (
        re.compile(
            r"(organi[sz]ation|org|project|headers?|proxy|proxies|verify|ssl|tls|ca_?bundle|ca_?file|"
            r"timeout|retries|max_?retries)"
        ),
        "how requests are made can't be set in this file",
        "use the environment: OPENAI_ORG_ID, OPENAI_PROJECT_ID, HTTPS_PROXY, SSL_CERT_FILE",
    ),
    (
        re.compile(r"(hooks?|commands?|cmd|plugins?|exec|run|script|entry_?point|python|template)"),
        "this file is data: it can't name anything to run",
        "remove the key",
    ),
    (
        re.compile(r"(include|includes|extends?|import|config|source_file)"),
        "this file can't bring in another",
        "remove the key",
    ),
    (
        re.compile(r"(skip_?checks?|force|allow_?unready|trust(ed)?|no_?verify|unverified)"),
        "a check can't be weakened in this file",
        "bypasses are flags of the command line",
    ),
)


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed TOML file and the text it came from.

    `text` is without a byte-order mark; `data` is what `tomllib` read.
    """

    source: str
    text: str
    data: dict[str, Any]

    def error(self, path: Path, message: str, hint: str = "", code: str = "") -> ConfigError:
        """Build the error for the value at `path`, with its line and column."""
        return ConfigError(message, hint=hint, where=self.place(path), code=code)

    def place(self, path: Path) -> str:
        """Return `source:line:column` of the key or element at `path`."""
        line, column = positions.position(self.text, path)
        return f"{self.source}:{line}:{column}"

    def line(self, path: Path) -> int:
        """Return the 1-based line of the key or element at `path`."""
        return positions.position(self.text, path)[0]

    def closed(self, table: Mapping[str, Any], path: Path, known: Iterable[str]) -> None:
        """Refuse the first key of `table` that is not `known`, at its place."""
        known = sorted(known)
        for key in table:
            if key not in known:
                self.refuse_setting(key, (*path, key))
                hint = names.meant(key, known, f"known here: {', '.join(known)}")
                raise self.error((*path, key), f"unknown key {key!a}", hint)

    def refuse_setting(self, key: str, path: Path) -> None:
        """Refuse a key that would say where requests or secrets go, in words of its own."""
        for pattern, message, hint in _NOT_HERE:
            if pattern.fullmatch(key.lower()):
                raise self.error(path, f"{key!a}: {message}", hint, "not-here")

    def string(self, table: Mapping[str, Any], path: Path, key: str) -> str:
        """Return the string `key` of the table at `path`; refuse a table without it."""
        if key not in table:
            raise self.error(path, f"{key!r} is missing", f'add {key} = "..."')
        value = table[key]
        if type(value) is not str:
            raise self.wrong_type((*path, key), value, "a string")
        return value

    def name(self, value: str, path: Path) -> str:
        """Return `value` if it can name a task, environment, profile or provider."""
        if problem := names.name_problem(value):
            raise self.error(path, problem)
        return value

    def table(self, value: Any, path: Path, what: str = "a table") -> dict[str, Any]:
        """Refuse what is not a table, with its line and column."""
        if type(value) is not dict:
            raise self.wrong_type(path, value, what)
        return value

    def array(self, value: Any, path: Path, what: str = "an array") -> list[Any]:
        """Refuse what is not an array, with its line and column."""
        if type(value) is not list:
            raise self.wrong_type(path, value, what)
        return value

    def wrong_type(self, path: Path, value: Any, wanted: str) -> ConfigError:
        """Build the error for a value of another type than the one `wanted`."""
        key = next((part for part in reversed(path) if isinstance(part, str)), self.source)
        message, hint = f"{key!a} must be {wanted}, not {toml_type(value)}", ""
        if isinstance(value, str) and wanted.startswith("an array"):
            hint = f"write [{json.dumps(value)}]"
        elif isinstance(value, str) and wanted in {"true or false", "an integer", "a number"}:
            hint = "write it without quotes"
        return self.error(path, message, hint)

    def version(self) -> None:
        """Refuse a document that is not of `version = 1`."""
        value, at = self.data.get("version"), ("version",)
        if value is None:
            raise self.error((), "'version' is missing", "add: version = 1")
        if type(value) is not int:
            raise self.wrong_type(at, value, "an integer")
        if value > 1:
            said = f"version {str(value)[:20]} needs a newer fftdeploy"
            raise self.error(at, said, "pip install --upgrade fftdeploy")
        if value != 1:
            said = f"there is no version {str(value)[:20]}"
            raise self.error(at, said, "write: version = 1")


def parse(raw: bytes, source: str) -> Document:
    """Decode and parse one TOML file.

    Raises:
        ConfigError: Not UTF-8, hidden or control characters, a merge conflict, not TOML, past
            a bound of `toml_reader`, or over 8 MiB; always with the place.
    """
    text = decode(raw, source)
    try:
        return Document(source, text, toml_reader.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(text, source, error) from None
    except toml_reader.BoundError as error:
        line, column = positions.line_column(text, error.offset)
        where = f"{source}:{line}:{column}"
        raise ConfigError(str(error), hint=error.hint, where=where) from None


def decode(raw: bytes, source: str) -> str:
    """Return the text of `raw` without its byte-order mark, or raise `ConfigError`."""
    if len(raw) > names.MAX_FILE_BYTES:
        raise ConfigError(
            f"{len(raw):,} bytes are more than the {names.MAX_FILE_BYTES:,} allowed", where=source
        )
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise ConfigError("this is UTF-16", hint="save it as UTF-8", where=f"{source}:1:1")
    try:
        text = raw.decode().removeprefix(BOM)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}",
            hint="save it as UTF-8",
            where=f"{source}:{line}",
        ) from None
    for pattern, what in ((_HIDDEN, "a hidden character"), (_CONTROL, "a control character")):
        if found := pattern.search(text):
            line, column = positions.line_column(text, found.start())
            raise ConfigError(
                f"{what}, U+{ord(found[0]):04X}: a reviewer can't see it",
                hint="delete it",
                where=f"{source}:{line}:{column}",
                code="hidden-character",
            )
    return text


def text_problem(value: str) -> str:
    """Say why `value` is not one line of 1 to 500 visible characters; "" if it is."""
    if not 1 <= len(value) <= 500:
        return f"must be 1 to 500 characters, not {len(value)}"
    if not value.strip():
        return "must say something"
    if value.isascii() and value.isprintable():  # most of a file's text: 3 searches saved
        return ""
    if found := re.search(r"[\x00-\x1f\u2028\u2029]", value) or _HIDDEN.search(value):
        return f"must be one line of visible text: it contains U+{ord(found[0]):04X}"
    if found := _CONTROL.search(value):
        return f"must be visible text: it contains U+{ord(found[0]):04X}"
    return "must be UTF-8" if undecoded([value]) else ""


def toml_type(value: object) -> str:
    """Name the TOML type of `value` the way its specification does, with an article."""
    types = {
        bool: "a boolean",
        int: "an integer",
        float: "a float",
        str: "a string",
        list: "an array",
        dict: "a table",
        datetime: "a date-time",
    }
    return types.get(type(value), "a date or time")


def is_lfs_pointer(text: str) -> bool:
    """Tell whether a file is what Git LFS puts in the place of one that it has not fetched."""
    return text.startswith("version https://git-lfs.github.com/spec/")


def lfs_pointer(source: str) -> ConfigError:
    """Build the error for a file that is a pointer of Git LFS."""
    return ConfigError(
        "a Git LFS pointer: the file itself is not here",
        hint="git lfs pull",
        where=f"{source}:1:1",
        code="lfs-pointer",
    )


def _syntax_error(text: str, source: str, error: tomllib.TOMLDecodeError) -> ConfigError:
    if found := _CONFLICT.search(text):
        line, _ = positions.line_column(text, found.start())
        return ConfigError(
            f"unresolved merge conflict at line {line}",
            hint="edit the file to keep what is to be live; `fftdeploy check` says what settles it",
            where=f"{source}:{line}:1",
            code="merge-conflict",
        )
    if is_lfs_pointer(text):
        return lfs_pointer(source)
    message, also = _TOML_PLACE.sub("", str(error)), ""
    line, column = positions.line_column(text, len(text))
    if (place := _TOML_PLACE.search(str(error))) and place[1]:
        line, column = int(place[1]), int(place[2])
    exists = message.startswith(("Cannot ", "Duplicate "))  # a key or table a second time
    if exists and (twice := positions.redefinition(text, line)):
        first = positions.line_column(text, twice[0])[0]
        line, column = positions.line_column(text, twice[1])
        also = f"; first defined at line {first}"
    return ConfigError(
        f"not valid TOML: {message}{also}",
        hint=_syntax_hint(message, text.split("\n")[line - 1][column - 1 :]),
        where=f"{source}:{line}:{column}",
        code="toml",
    )


def _syntax_hint(message: str, rest: str) -> str:
    """Say what is missing, from what `tomllib` says and the rest of the line that it ended in."""
    word = _BARE_WORD.match(rest)
    if message.startswith("Invalid value") and word:
        in_quotes = f'a text stands in quotes: "{word[0]}"'
        return _CONSTANTS.get(word[0].lower(), in_quotes)
    if message.startswith("Expected '='") or rest.startswith(("{", "}")):
        return "TOML is written key = value, below [task.environment]"
    if message.startswith(_UNCLOSED):
        return "a quote is not closed"
    return "keep one of them" if message.startswith(("Cannot declare", "Duplicate")) else ""
