"""`providers.toml`: the hosts that a user knows by name, their addresses, and where their keys are.

It is the user's own and lies outside of every checkout: who could change it with a pull request
would decide where a key is sent, and how far a server's word is trusted.  A deployments file only
names one of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fftdeploy import files, names
from fftdeploy.api import hosts
from fftdeploy.api.hosts import AZURE, CHAT_LIMITS, COMPATIBLE, KINDS, Kind
from fftdeploy.errors import AuthError
from fftdeploy.formats import document, keys
from fftdeploy.formats.document import Document
from fftdeploy.formats.keys import key
from fftdeploy.formats.kinds import STRING, by_name, choice, many, matching, text

FILE_NAME = "providers.toml"
VARIABLE = "FFTDEPLOY_PROVIDERS"
OPENAI_KEY = "OPENAI_API_KEY"
_LONGEST_NAME = 256
_KEY_ITSELF = re.compile("(?:api_?)?key|token|secret|password")


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
        if problem := names.model_problem(model):
            raise doc.error((*path, model), problem)
        allowed[model] = frozenset(_NAMES.read(doc, (*path, model), found))
    return allowed


_VARIABLE = matching(
    "[A-Za-z_][A-Za-z0-9_]{0,127}",
    "is not the name of a variable; a key itself has no place here",
    "key",  # not quoted: it may be a key
    hint="export the key, and write the variable's name; if this is a real key, revoke it",
)
_ADDRESS = text(
    hosts.address_problem,
    "key",  # not quoted: a password or a key may stand in it
    hint="an address is like https://llm.example/v1, or http:// of this machine",
)


@dataclass(frozen=True, slots=True)
class EnvironmentKey:
    """What is of its own in one environment."""

    api_key_env: str = key("The variable with the key for this environment.", _VARIABLE)


@dataclass(frozen=True, slots=True)
class Provider:
    """What the file says of one provider; nothing, where it says nothing."""

    name: str = names.OPENAI
    source: str = ""
    """The file, as it is named to people; "" where there is none."""
    kind: Kind | None = key(
        "What kind of host it is: `openai`, `azure` or `openai-compatible`.",
        keys.Kind(_read_kind, {"enum": list(KINDS)}),
        None,
        shown="what the address says",
    )
    base_url: str = key(
        "Its address, `https://` except on this machine; needed for all but `openai`.",
        _ADDRESS,
        "",
        shown="`OPENAI_BASE_URL`, of `openai`",
    )
    api_key_env: str = key(
        "The variable with the key, or a token of Entra's; without one no key is sent.",
        _VARIABLE,
        "",
        shown="`OPENAI_API_KEY`, of `openai`",
    )
    api_version: str = key(
        "Azure's `api-version`, for its classic address; its `/openai/v1` needs none.",
        matching("[A-Za-z0-9][A-Za-z0-9.-]{0,63}", "is not a version such as 2024-10-21", "value"),
        "",
    )
    answers_as: Mapping[str, frozenset[str]] = key(
        "By model, the other names that it may answer by, exactly.",
        keys.Kind(_read_answers, {"type": "object", "additionalProperties": _NAMES.schema}),
        {},
    )
    limit_field: str = key(
        "What it calls the token limit of a chat: `max_tokens` or `max_completion_tokens`.",
        choice(CHAT_LIMITS),
        "",
        shown="by `kind`",
    )
    environments: Mapping[str, EnvironmentKey] = key(
        "By environment, a table with an `api_key_env` of its own.",
        by_name(keys.table(EnvironmentKey), "What is of its own in one environment."),
        {},
    )

    def key_variable(self, environment: str) -> str:
        """Return the variable with the key for `environment`; "" where none is sent."""
        if environment in self.environments:
            return self.environments[environment].api_key_env
        return self.api_key_env or (OPENAI_KEY if self.name == names.OPENAI else "")


def _check_provider(doc: Document, path: document.Path, said: dict[str, Any]) -> None:
    """Refuse what cannot be asked: no address, or a host of a kind that has keys without one."""
    name, kind, address = path[0], said.get("kind"), said.get("base_url", "")
    if name == names.OPENAI:
        return
    kind = kind or (hosts.kind_of(address) if address else COMPATIBLE)
    if "api_version" in said and kind != AZURE:
        hint = 'add kind = "azure", or remove it'
        raise doc.error((*path, "api_version"), "'api_version' is for hosts of kind azure", hint)
    wants_key = kind in hosts.PROVE_MISSING and "api_key_env" not in said
    needs_version = kind == AZURE and not address.rstrip("/").endswith("/v1")
    if not address:
        hint = names.meant(str(name), [names.OPENAI], 'add base_url = "https://.../v1"')
        raise doc.error(path, f"provider {name!r} has no 'base_url'", hint)
    if wants_key:
        hint = 'add api_key_env = "NAME": the variable that has the key'
        raise doc.error(path, f"'api_key_env' is missing: kind {kind} wants a key", hint)
    if needs_version and "api_version" not in said:
        hint = 'add api_version = "2024-10-21", or end base_url with /openai/v1'
        raise doc.error(path, "'api_version' is missing", hint)


_PROVIDER = keys.table(Provider, check=_check_provider)
NOTHING_SAID = Provider()


@dataclass(frozen=True, slots=True)
class Providers:
    """All that the user's file says."""

    source: str = ""
    """The file, as it is named to people; "" where there is none."""
    named: Mapping[str, Provider] = field(default_factory=dict)

    def get(self, name: str) -> Provider:
        """Return what is known of a provider; `openai` is known without the file.

        Raises:
            AuthError: Nothing says where it is, and with which key.
        """
        if name == names.OPENAI:
            return self.named.get(name, NOTHING_SAID)
        if name in self.named:
            return self.named[name]
        where = self.source or f"~/.config/fftdeploy/{FILE_NAME}"
        known = ", ".join(self.known)
        raise AuthError(
            f"provider {name!a} is not known here: no [{name}] in {where}",
            hint=names.meant(
                name, self.known, f"known here: {known}; or name another file with {VARIABLE}"
            ),
            where=self.source,
            code="provider-unknown",
        )

    @property
    def known(self) -> list[str]:
        """The names that a target may have here."""
        return sorted({names.OPENAI, *self.named})

    def keyed(self, provider: str, environment: str) -> str:
        """Return `environment` where a provider has a key of its own for it, else ""."""
        said = self.named.get(provider, NOTHING_SAID)
        return environment if environment in said.environments else ""

    def key_variables(self) -> frozenset[str]:
        """Return every variable that has a key."""
        every = [self.get(name) for name in self.known]
        environments = {each for one in every for each in ("", *one.environments)}
        return frozenset(one.key_variable(each) for one in every for each in environments) - {""}


def read(environ: Mapping[str, str], checkouts: Iterable[Path]) -> Providers:
    """Read what the user says of hosts.

    Args:
        environ: `FFTDEPLOY_PROVIDERS` names the file; otherwise it is in the folder of the user's
            configuration, and need not exist.
        checkouts: Folders in whose work trees it may not be.

    Raises:
        ConfigError: It is not valid, not there although it was named, or within a checkout.
        DiskError: The disk or the permissions refused.
    """
    named = environ.get(VARIABLE, "")
    # The specification says to pass over a relative one.
    folders = Path(environ.get("XDG_CONFIG_HOME", "")), Path(environ.get("HOME", "")) / ".config"
    usual_paths = [one / "fftdeploy" / FILE_NAME for one in folders if one.is_absolute()]
    path = Path(named).absolute() if named else next(iter(usual_paths), None)
    if path is None or not (named or os.path.lexists(path)):
        return Providers()
    usual = f"move it to ~/.config/fftdeploy/{FILE_NAME}, where it is found by itself"
    files.refuse_checkout(path, checkouts, usual)
    hint = f"set {VARIABLE} again, or unset it" if named else ""
    return parse(files.read(path, root=Path(path.anchor), hint=hint).data, str(path))


def parse(raw: bytes, source: str) -> Providers:
    """Read the file's content; ConfigError where it says anything that is not understood."""
    doc = document.parse(raw, source)
    found = {}
    for name, said in doc.data.items():
        _refuse_setting(doc, name, said)
        doc.name(name, (name,))
        provider: Provider = _PROVIDER.read(doc, (name,), said)
        found[name] = replace(provider, name=name, source=source)
    return Providers(source, found)


def _refuse_setting(doc: Document, name: str, said: Any) -> None:
    """Refuse a key, and what stands above all tables, in words of its own."""
    if name in keys.keys_of(Provider) and not isinstance(said, dict):
        hint = f"put it below the provider that it is of: [{names.OPENAI}]"
        raise doc.error((name,), f"{name!r} is of no provider", hint)
    for word in said if isinstance(said, dict) else ():
        if _KEY_ITSELF.fullmatch(word.lower()):
            hint = 'api_key_env = "NAME" names its variable; if this is a real key, revoke it'
            raise doc.error((name, word), f"{word!a}: a key can't be set in a file", hint)
