"""What a host's list says of the model behind a name: on hosts of one's own a name is no identity.

Another LoRA may be served under the same name tomorrow.  What a restart changes by itself is left
out: the `created` of vLLM and llama.cpp is the time of the answer, `n_ctx` is how it was started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fftdeploy.model_ids.model_names import names_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMES = ("root", "parent", "revision")
"""Which weights, of which base, in which version."""
_OF_A_FILE = ("n_params", "n_embd", "n_vocab", "n_ctx_train", "vocab_type", "size")
"""What llama.cpp says in `meta` of its file."""
_DATED = "library"
"""The owner of Ollama's models: their `created` is when the model behind the name was made."""
_ALIASES = "aliases"
FACTS = frozenset({*_NAMES, *(f"meta.{name}" for name in _OF_A_FILE), "created", _ALIASES})
"""Everything that is kept."""
_MOST = 500
"""Characters of one fact: a host may say anything."""


def identity_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return what an entry of a list says of its model, by fact; nothing where it only names it."""
    return {name: value[:_MOST] for name, value in _said(entry) if value}


def _said(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _NAMES:
        value = entry.get(name)
        yield name, value if isinstance(value, str) and value != entry["id"] else ""
    meta = entry.get("meta")
    for name, value in meta.items() if isinstance(meta, dict) else ():
        yield f"meta.{name}", str(value) if name in _OF_A_FILE else ""
    if entry.get("owned_by") == _DATED:
        yield "created", str(entry.get("created", ""))
    yield _ALIASES, ", ".join(sorted({*names_of(entry)} - {entry["id"]}))


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Say what is another one of what was and is said, "" if nothing; a new alias is no change."""
    return ", ".join(
        f"{name} {now[name]!r} and not {then[name]!r}"
        for name in sorted(then.keys() & now.keys())
        if then[name] != now[name]
        and not (name == _ALIASES and {*then[name].split(", ")} <= {*now[name].split(", ")})
    )
