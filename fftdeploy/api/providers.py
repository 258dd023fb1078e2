"""`providers.toml`: what the user knows of a host that its address does not say.

It is the user's own and lies outside of every checkout: who could change it with a pull request
would decide how far a server's word is trusted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fftdeploy import files, names
from fftdeploy.api.hosts import KINDS, Kind
from fftdeploy.errors import ConfigError
from fftdeploy.formats import document, keys
from fftdeploy.formats.document import Document
from fftdeploy.formats.keys import key
from fftdeploy.formats.kinds import STRING, many

FILE_NAME = "providers.toml"
VARIABLE = "FFTDEPLOY_PROVIDERS"
_LATER = ("base_url", "api_key_env", "api_version", "limit_field", "environments")
_LONGEST_NAME = 256


def _read_kind(doc: Document, path: document.Path, value: Any) -> Any:
    said = STRING.read(doc, path, value)
    if said not in KINDS:
        hint = names.meant(said, KINDS, f"one of {', '.join(KINDS)}")
        raise doc.error(path, f"{said!a} is not a kind of host", hint)
    return said


def _read_name(doc: Document, path: document.Path, value: Any) -> str:
    name: str = STRING.read(doc, path, value)
    if "*" in name:
        hint = "write the names that it answers by, one by one"
        raise doc.error(path, "a name is exact: there are no patterns", hint)
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise doc.error(path, f"{name[:80]!a} is not a name that a host can send")
    return name


_NAMES = many(
    keys.Kind(_read_name, STRING.schema),
    "A name that it may answer by, exactly.",
    "an array of names",
    least=(1, "names nothing"),
)


def _read_answers(doc: Document, path: document.Path, value: Any) -> dict[str, frozenset[str]]:
    allowed = {}
    for model, found in doc.table(value, path).items():
        if problem := names.model_problem(model, provider=""):
            raise doc.error((*path, model), problem)
        allowed[model] = frozenset(_NAMES.read(doc, (*path, model), found))
    return allowed


@dataclass(frozen=True, slots=True)
class Provider:
    """What the file says of one provider; nothing, where there is no file."""

    source: str = ""
    """The file, as it is named to people; "" where there is none."""
    kind: Kind | None = key(
        "What kind of host it is: `openai`, `azure` or `openai-compatible`.",
        keys.Kind(_read_kind, {"enum": list(KINDS)}),
        None,
        shown="what the address says",
    )
    answers_as: Mapping[str, frozenset[str]] = key(
        "By model, the other names that it may answer by, exactly.",
        keys.Kind(_read_answers, {"type": "object", "additionalProperties": _NAMES.schema}),
        {},
    )


_PROVIDER = keys.table(Provider, later=_LATER)
NOTHING_SAID = Provider()


def read(environ: Mapping[str, str], checkouts: Iterable[Path]) -> Provider:
    """Read what the user says of `openai`.

    Args:
        environ: `FFTDEPLOY_PROVIDERS` names the file; otherwise it is in the folder of the user's
            configuration, and need not exist.
        checkouts: Folders in whose work trees it may not be.

    Raises:
        ConfigError: It is not valid, not there although it was named, or within a checkout.
        DiskError: The disk or the permissions refused.
    """
    named = environ.get(VARIABLE, "")
    path = Path(named).absolute() if named else _usual_path(environ)
    if path is None or not (named or os.path.lexists(path)):
        return NOTHING_SAID
    _refuse_checkout(path, checkouts)
    hint = f"set {VARIABLE} again, or unset it" if named else ""
    return parse(files.read(path, root=Path(path.anchor), hint=hint).data, str(path))


def parse(raw: bytes, source: str) -> Provider:
    """Read the file's content; ConfigError where it says anything that is not understood."""
    doc = document.parse(raw, source)
    for name in doc.data:
        if name != names.OPENAI:
            raise _unknown_provider(doc, name)
    said: Provider = _PROVIDER.read(doc, (names.OPENAI,), doc.data.get(names.OPENAI, {}))
    return replace(said, source=source)


def _unknown_provider(doc: Document, name: str) -> ConfigError:
    if hint := names.meant(name, [names.OPENAI]):
        return doc.error((name,), f"unknown provider {name!a}", hint)
    message = f"provider {name!a} is {names.LATER}"
    return doc.error((name,), message, "this version knows `openai` only", "later")


def _usual_path(environ: Mapping[str, str]) -> Path | None:
    # The specification says to pass over a relative one.
    folders = Path(environ.get("XDG_CONFIG_HOME", "")), Path(environ.get("HOME", "")) / ".config"
    folder = next((folder for folder in folders if folder.is_absolute()), None)
    return folder / "fftdeploy" / FILE_NAME if folder else None


def _refuse_checkout(path: Path, checkouts: Iterable[Path]) -> None:
    for root in map(files.root_of, checkouts):
        if not os.path.lexists(root / ".git"):
            continue
        real = Path(os.path.realpath(path)), Path(os.path.realpath(root))
        if path.is_relative_to(root) or real[0].is_relative_to(real[1]):
            raise ConfigError(
                f"it lies in the checkout {root}, where any change could bring another along",
                hint=f"move it to ~/.config/fftdeploy/{FILE_NAME}, where it is found by itself",
                where=str(path),
                code="in-checkout",
            )
