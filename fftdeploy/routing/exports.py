"""Writes what is live, and what may be asked besides, in the formats of gateways and flags.  Pure.

An address or a key is never in it: a host is named by variables, `FFTDEPLOY_<PROVIDER>_BASE_URL`
and `_API_KEY`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

from fftdeploy.policy.parameters import arguments


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model with its host and prompt."""

    model: str
    provider: str
    profile: str | None
    content: Mapping[str, Any]
    """What the profile says."""
    release: int | None
    """None for what is no release: a hand edit, or a fallback."""
    shutdown: date | None
    successor: str | None
    role: str = "live"

    @property
    def prompt(self) -> dict[str, Any]:
        """What of its profile stands before that which is asked."""
        return {key: self.content[key] for key in ("system", "shots") if self.content.get(key)}

    @property
    def variant(self) -> str:
        """The name of its release among the variants of a flag."""
        return f"r{self.release}" if self.release else self.role

    def facts(self) -> dict[str, Any]:
        """Return what a reader in another language asks it with."""
        return {
            "model": self.model,
            "provider": self.provider,
            "profile": self.profile,
            "release": self.release,
            "endpoint": self.content.get("endpoint", "chat"),
            "system": self.content.get("system"),
            "shots": list(self.content.get("shots", ())),
            "arguments": arguments(self.content),
        }


@dataclass(frozen=True, slots=True)
class ExportedTarget:
    """A target, and all that may answer for it."""

    name: str
    live: ExportedModel
    canary: ExportedModel | None
    weight: int
    """Percent of the keys that the canary answers."""
    older: tuple[ExportedModel, ...]
    """Releases that one could go back to, newest first."""
    fallback: tuple[ExportedModel, ...]

    @property
    def variable(self) -> str:
        """What the names of its variables begin with."""
        return self.name.upper().replace("-", "_").replace("/", "_")


Targets = Sequence[ExportedTarget]


def as_json(targets: Targets) -> str:
    """Write what a reader in any language needs, as JSON."""
    return _json({"version": 1, "targets": {one.name: _facts(one) for one in targets}})


def _facts(one: ExportedTarget) -> dict[str, Any]:
    canary = {"canary": {**one.canary.facts(), "weight": one.weight}} if one.canary else {}
    return {**one.live.facts(), **canary, "fallback": [each.facts() for each in one.fallback]}


def as_flagd(targets: Targets) -> str:
    """Write a flag a target for flagd and OpenFeature: its variants are releases.

    The canary is the targeting, by `targetingKey`; without one the answer is what is live.
    """
    return _json({"flags": {one.name: _flag(one) for one in targets}})


def _flag(one: ExportedTarget) -> dict[str, Any]:
    models = [one.live, *([one.canary] if one.canary else []), *one.older]
    flag: dict[str, Any] = {
        "state": "ENABLED",
        "variants": {each.variant: each.facts() for each in reversed(models)},
        "defaultVariant": one.live.variant,
    }
    if one.canary:
        shares = [[one.canary.variant, one.weight], [one.live.variant, 100 - one.weight]]
        split = {"fractional": shares}
        flag["targeting"] = {"if": [{"var": "targetingKey"}, split, one.live.variant]}
    return flag


def as_litellm(targets: Targets) -> str:
    """Write the configuration of a LiteLLM proxy: a model group a target, and its fallbacks.

    Whoever asks sends the prompt, and can send but one: see `left_out`.
    """
    targets = [_of_one_prompt(one) for one in targets]
    models = [each for one in targets for each in _deployments(one)]
    fallbacks = [
        {one.name: [_fallback_name(one, place) for place, _ in enumerate(one.fallback)]}
        for one in targets
        if one.fallback
    ]
    document: dict[str, Any] = {
        "model_list": models,
        "router_settings": {"routing_strategy": "simple-shuffle"},
        "litellm_settings": {**_UNSET, **({"fallbacks": fallbacks} if fallbacks else {})},
    }
    return "".join(_yaml(document))


_UNSET = {"api_base": "not-set", "api_key": "not-set"}
"""What LiteLLM takes for a variable that is not set, in the place of OpenAI's host and key."""


def _of_one_prompt(one: ExportedTarget) -> ExportedTarget:
    prompt, tried = one.live.prompt, one.canary
    return replace(
        one,
        canary=tried if tried and tried.prompt == prompt else None,
        fallback=tuple(each for each in one.fallback if each.prompt == prompt),
    )


def _deployments(one: ExportedTarget) -> Iterator[dict[str, Any]]:
    live = one.live
    yield _deployment(one.name, live, 100 - one.weight if one.canary else None)
    if one.canary:
        yield _deployment(one.name, one.canary, one.weight)
    for place, each in enumerate(one.fallback):
        yield _deployment(_fallback_name(one, place), each, None)


def _fallback_name(one: ExportedTarget, place: int) -> str:
    return f"{one.name}/fallback-{place + 1}"


def _deployment(name: str, each: ExportedModel, weight: int | None) -> dict[str, Any]:
    host = f"os.environ/FFTDEPLOY_{each.provider.upper().replace('-', '_')}"
    params = {
        "model": f"openai/{each.model}",
        "api_base": f"{host}_BASE_URL",
        "api_key": f"{host}_API_KEY",
        **arguments({**each.content, "endpoint": "chat"}),
    }
    info = {
        "fftdeploy_release": each.release,
        "deprecation_date": each.shutdown.isoformat() if each.shutdown else None,
        "successor_model": each.successor,
    }
    return {
        "model_name": name,
        "litellm_params": params if weight is None else {**params, "weight": weight},
        "model_info": {key: value for key, value in info.items() if value is not None},
    }


def as_dotenv(targets: Targets) -> str:
    """Write variables, a line each, that need no quotes anywhere."""
    lines = (f"{name}={value}\n" for name, value in _variables(targets).items())
    return "".join((_MARK, *lines))


def as_configmap(targets: Targets) -> str:
    """Write a ConfigMap of Kubernetes: the variables, and what `json` writes as a file to mount."""
    data = {**_variables(targets), "fftdeploy.json": as_json(targets)}
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fftdeploy"}}
    return "".join(_yaml({**head, "data": data}))


def as_tfvars(targets: Targets) -> str:
    """Write a variable of Terraform, `fftdeploy`: a map of the targets."""
    lines = []
    for one in targets:
        said = {
            name: getattr(one.live, name) for name in ("model", "provider", "profile", "release")
        }
        inner = ", ".join(f"{name} = {json.dumps(value)}" for name, value in said.items())
        lines.append(f"  {json.dumps(one.name)} = {{ {inner} }}\n")
    return f"fftdeploy = {{\n{''.join(lines)}}}\n"


def left_out(kind: str, targets: Targets) -> Iterator[tuple[str, str]]:
    """Yield what a format can't say, each with its target: nobody has judged what lacks it."""
    keys = FORMATS[kind].lacks
    if keys == ():
        return
    for one in targets:
        content, name = one.live.content, one.live.profile
        lacking = [key for key in keys or content if content.get(key)]
        if missing := [key for key in lacking if (key, content[key]) != ("endpoint", "chat")]:
            said = f"{', '.join(missing)} of profile {name}"
            yield one.name, f"{kind} has no place for {said}: whoever asks has to send it"
        kept = _of_one_prompt(one)
        for each in [each for each in (one.canary, *one.fallback) if each and keys]:
            if each not in (kept.canary, *kept.fallback):
                what = f"{each.role} {each.model} is left out"
                yield one.name, f"{what}: its prompt is another, and whoever asks sends but one"


class Format(NamedTuple):
    """One of the formats that are written."""

    write: Callable[[Targets], str]
    like: str
    """What a file is like that was written in it: another file is not written over."""
    lacks: tuple[str, ...] | None = ()
    """Keys of a profile that it has no place for; None is all of them."""


_STRING = r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_OR_NULL = rf"(?:{_STRING}|null)"
_NAME = r'"[^"/\n]+/[^"/\n]+"'
"""A target's name, as JSON.  All that follows is linear: a file is whatever a stranger sends."""
_NUMBER = "(?:[0-9]+|null)"
_MARK = "FFTDEPLOY_EXPORT=dotenv\n"
"""No comment: `$GITHUB_ENV` and `xargs` take variables and nothing else.  Older exports lack it,
and are known by the number of a release."""
_HOST = r'"os\.environ/FFTDEPLOY_[A-Z0-9_]+_'
_DEPLOYMENT = (
    r'  - model_name: ".*\n    litellm_params:\n      model: "openai/.*\n'
    rf'      api_base: {_HOST}BASE_URL"\n      api_key: {_HOST}API_KEY"\n'
    r"(?:      .*\n)*    model_info:.*\n(?:      .*\n)*"
)
_VARIANT = (
    r'        "(?:r[0-9]+|live|canary)": \{\n          "model": .*\n'
    r"(?:          .*\n)*        \},?\n"
)
_FLAG = (
    rf'    {_NAME}: \{{\n      "state": "ENABLED",\n'
    rf'      "variants": \{{\n(?:{_VARIANT})+      \}},\n'
    r'      "defaultVariant": "(?:r[0-9]+|live)",?\n'
    r'(?:      "targeting": \{\n(?:        .*\n)*      \}\n)?    \},?\n'
)
_FACTS = (
    rf'    {_NAME}: \{{\n      "model": .*\n      "provider": .*\n      "profile": .*\n'
    rf'      "release": {_NUMBER},\n(?:      .*\n)*    \}},?\n'
)
_ROW = (
    rf"  {_STRING} = \{{ model = {_STRING}, provider = {_STRING}, profile = {_OR_NULL}, "
    rf"release = {_NUMBER} \}}\n"
)

FORMATS = {
    "litellm": Format(
        as_litellm,
        rf"model_list:(?: \[\]\n|\n(?:{_DEPLOYMENT})+)"
        r'router_settings:\n  routing_strategy: "simple-shuffle"\n'
        r'(?:litellm_settings:\n(?:  api_(?:base|key): "not-set"\n)*'
        r"(?:  fallbacks:\n(?:    .*\n)+)?)?",
        ("system", "shots"),
    ),
    "flagd": Format(as_flagd, rf'\{{\n  "flags": \{{(?:\n(?:{_FLAG})+  )?\}}\n\}}\n'),
    "dotenv": Format(
        as_dotenv,
        rf"(?:{_MARK}|(?=(?s:.*)_RELEASE=))"
        r"(?:([A-Z0-9]+_[A-Z0-9_]+)_MODEL=\S+\n\1_PROVIDER=\S+\n"
        r"(?:\1_PROFILE=\S+\n)?(?:\1_RELEASE=[0-9]+\n)?)*",
        None,
    ),
    "configmap": Format(
        as_configmap,
        r'apiVersion: "v1"\nkind: "ConfigMap"\nmetadata:\n  name: "fftdeploy"\ndata:\n'
        rf'(?:  "?[A-Z0-9_]+"?: {_STRING}\n)*  "fftdeploy\.json": "\{{\\n  \\"version\\": 1,.*\n',
    ),
    "tfvars": Format(as_tfvars, rf"fftdeploy = \{{\n(?:{_ROW})*\}}\n", None),
    "json": Format(
        as_json,
        rf'\{{\n  "version": 1,\n  "targets": \{{(?:\n(?:{_FACTS})+  )?\}}\n\}}\n',
    ),
}
"""A file that a hand has written is like none of them: it is more than names that are alike."""


def _variables(targets: Targets) -> dict[str, str]:
    """Return what a start script needs of each target; none of them overrides `resolve`."""
    found = {}
    for one in targets:
        found[f"{one.variable}_MODEL"] = one.live.model
        found[f"{one.variable}_PROVIDER"] = one.live.provider
        if one.live.profile:
            found[f"{one.variable}_PROFILE"] = one.live.profile
        if one.live.release:
            found[f"{one.variable}_RELEASE"] = str(one.live.release)
    return found


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Yield the lines of a table as YAML, with every text in double quotes."""
    for key, below in value.items():
        name = key if _PLAIN.fullmatch(key) and key.lower() not in _WORDS else _scalar(key)
        if isinstance(below, Mapping) and below:
            yield f"{indent}{name}:\n"
            yield from _yaml(below, f"{indent}  ")
        elif isinstance(below, list) and below and all(isinstance(x, dict) and x for x in below):
            yield f"{indent}{name}:\n"
            for row in below:
                first, *rest = _yaml(row, f"{indent}    ")
                yield f"{indent}  - {first.removeprefix(f'{indent}    ')}"
                yield from rest
        else:
            yield f"{indent}{name}: {_scalar(below)}\n"


_PLAIN = re.compile("[A-Za-z][A-Za-z_]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""What YAML 1.1 does not read as a text."""


def _scalar(value: Any) -> str:
    """Return a value as JSON, but for what YAML reads otherwise: some characters and numbers."""
    if isinstance(value, list):
        return f"[{', '.join(map(_scalar, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_scalar(key)}: {_scalar(value[key])}' for key in value)}}}"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "." not in text:
        return text.replace("e", ".0e")
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
