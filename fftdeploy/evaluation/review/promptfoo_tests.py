"""Reads the tests of a promptfoo configuration, as JSON or YAML; nothing that it names is opened.

Of templates only `{{name}}` alone is read, and of assertions `equals`, `contains` and `is-json`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.production import (
    ProductionRequest,
    RequestShapeError,
    as_object,
    as_objects,
    as_text,
)
from fftdeploy.formats import strict_json
from fftdeploy.formats.toml_reader import MAX_DEPTH

NAME = "promptfoo's tests"
YAML_KEY = re.compile(rb"^(prompts|tests|providers|defaultTest|description)[ \t]*:", re.MULTILINE)
"""The keys at the top that a configuration in YAML is known by."""

MAX_YAML = 4 * 1024 * 1024
_MAX_NODES = 1_000_000
"""Values that YAML may have with every alias written out."""

_LOOKUP = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_FILE = re.compile(
    r"file://|package:|https?://|\S+\.(?:txt|md|json|jsonl|ya?ml|[cm]?[jt]s|py|csv|j2)$"
)
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")


class PromptfooTest(NamedTuple):
    """A test, the prompt that it is about, and what all tests have."""

    prompt: Any
    shared: Mapping[str, Any]
    test: Any


def is_one(value: Mapping[str, Any]) -> bool:
    """Whether an object is a configuration."""
    return "prompts" in value and "tests" in value


def parts(value: Mapping[str, Any]) -> Iterator[PromptfooTest]:
    """Yield the tests of a configuration, each with the first prompt that is a text here."""
    prompts = value["prompts"] if isinstance(value["prompts"], list) else [value["prompts"]]
    tests = value["tests"] if isinstance(value["tests"], list) else [value["tests"]]
    first = None
    for prompt in prompts:
        text = prompt.get("raw") if isinstance(prompt, dict) else prompt
        if isinstance(text, str) and text and not _FILE.match(text.strip()):
            first = text
            break
    shared = value.get("defaultTest")
    for test in tests:
        yield PromptfooTest(first, shared if isinstance(shared, dict) else {}, test)


def request(part: PromptfooTest, place: str) -> ProductionRequest:
    """Read one test: its input, and what its assertions say of the answer.

    Raises:
        RequestShapeError: It, its prompt or a variable is in a file, or needs more of a template
            engine than `{{name}}`; or its assertions are none that an example can hold.
    """
    if part.prompt is None:
        raise RequestShapeError("its prompt is in a file, which is not opened, or is code")
    if isinstance(part.test, str):
        raise RequestShapeError("a test is in a file, which is not opened")
    test = as_object(part.test, "a test")
    values = _values(part.shared.get("vars")) | _values(test.get("vars"))
    messages = [
        {**turn, "content": fill(as_text(turn.get("content"), "a prompt's message"), values)}
        for turn in _messages(part.prompt)
    ]
    stated = [each for each in _assertions(part) if _is_read(each)]
    agreed, schema = _agreed(stated, values)
    shape = {} if schema is None else {"response_schema": schema}
    return ProductionRequest(place, {"messages": messages, **shape}, agreed=agreed)


def unread(part: PromptfooTest) -> Iterator[str]:
    """Yield a reason for each assertion of a test that is left out, though the test is not."""
    for stated in _assertions(part):
        if not _is_read(stated):
            yield "an assertion of a kind that is not read, not its test"


def read_yaml(data: bytes, shown: str) -> Any:
    """Read a configuration in YAML, as a safe loader does: values alone, nothing is made or run.

    Raises:
        ConfigError: It is not YAML, is too much of it, or the extra `import` is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            "this looks like YAML, and PyYAML is not installed",
            hint="pip install 'fftdeploy[import]'",
            where=shown,
            code="missing-extra",
        ) from None
    try:
        value = yaml.load(data, _loader(yaml))  # noqa: S506  a safe loader, with fewer types
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{shown}:{mark.line + 1}:{mark.column + 1}" if mark else shown
        raise ConfigError("this is no YAML that is read here", where=where) from None
    if not _is_bounded(value):
        raise ConfigError("its aliases stand for too much, or for themselves", where=shown)
    return value


def _loader(yaml: Any) -> Any:
    """Return a safe loader that reads words as YAML 1.2 does: `yes` and days are texts."""
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("_Loader", (base,), {})
    kept = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:float", "tag:yaml.org,2002:merge"}
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag in kept]
        for first, rules in base.yaml_implicit_resolvers.items()
    }
    loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
    loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
    return loader


def _is_bounded(value: Any) -> bool:
    """Whether a value is a tree of JSON's types, no deeper and larger than may be.

    What an alias stands for counts wherever it stands: a few lines may be billions of values.
    """
    level, left = [value], _MAX_NODES
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict) and all(isinstance(key, str) for key in each):
                below += each.values()
            elif isinstance(each, list):
                below += each
            elif not isinstance(each, str | int | float | None):
                return False
            if len(below) > left:
                return False
        if not below:
            return True
        level, left = below, left - len(below)
    return False


def _messages(prompt: str) -> list[dict[str, Any]]:
    """Return a prompt as the messages that its JSON lists, or as the user's one."""
    listed = strict_json.read_or(prompt) if prompt.lstrip().startswith("[") else None
    if listed is not None:
        return as_objects(listed, "a prompt")
    return [{"role": "user", "content": prompt.strip()}]


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of each `{{name}}`; nothing is looked for in what they say.

    Raises:
        RequestShapeError: It has more of a template than that, or a name without a value.
    """
    if _TEMPLATE.search(_LOOKUP.sub("", text)):
        raise RequestShapeError("a template with more than {{name}}")
    if any(found[1] not in values for found in _LOOKUP.finditer(text)):
        raise RequestShapeError("a variable that has no value in the test")
    return _LOOKUP.sub(lambda found: values[found[1]], text)


def _values(table: Any) -> dict[str, str]:
    if isinstance(table, str):
        raise RequestShapeError("its variables are in a file, which is not opened")
    return {name: _value(value) for name, value in as_object(table or {}, "'vars'").items()}


def _value(value: Any) -> str:
    if isinstance(value, list):
        raise RequestShapeError("a variable with several values")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise RequestShapeError("a variable that is no text")
    if value.startswith(("file://", "package:")):
        raise RequestShapeError("a variable is in a file, which is not opened")
    if _TEMPLATE.search(value):
        raise RequestShapeError("a variable with a template in it")
    return value


def _assertions(part: PromptfooTest) -> list[Any]:
    tests = (part.shared, part.test if isinstance(part.test, dict) else {})
    listed = (test.get("assert") for test in tests)
    return [each for stated in listed if isinstance(stated, list) for each in stated]


def _is_read(stated: Any) -> bool:
    if not isinstance(stated, dict) or "transform" in stated:
        return False
    value = stated.get("value")
    in_file = isinstance(value, str) and value.startswith(("file://", "package:"))
    return str(stated.get("type")) in {"equals", "contains", "is-json"} and not in_file


def _agreed(
    stated: list[Mapping[str, Any]], values: Mapping[str, str]
) -> tuple[str, Mapping[str, Any] | None]:
    """Return the agreed answer that assertions leave, and the schema that they ask for."""
    said: dict[str, list[Any]] = {"equals": [], "contains": [], "is-json": []}
    for each in stated:
        said[str(each["type"])].append(each.get("value"))
    texts = said["equals"] or said["contains"]
    if len(texts) > 1:
        raise RequestShapeError("several answers or parts of one, all of which are asked for")
    schemas = [as_object(value or {}, "a schema") for value in said["is-json"]]
    text = texts[0] if texts else ""
    agreed = fill(text, values) if isinstance(text, str) else strict_json.dumps(text)
    return agreed, schemas[-1] if schemas else None
