"""Graders that ask a model, `label_model` and `score_model`: their keys, which are OpenAI's.

A text of theirs is sent as it is written, but for `{{item.KEY}}` and `{{sample.output_text}}`.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from fftdeploy.formats.document import Document, Path
from fftdeploy.formats.keys import Key, Kind, needed, read_keys, table_schema
from fftdeploy.formats.kinds import (
    LINE,
    MODEL,
    NAME,
    STRING,
    choice,
    many,
    number,
    require_hosted,
    text,
    whole,
)
from fftdeploy.names import OPENAI
from fftdeploy.policy.grader_types import LOOKUP, OUTPUT, GraderType
from fftdeploy.releases.deployments import Bundle
from fftdeploy.releases.records import HOST

PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\{%", re.DOTALL)
"""What looks like a template; `OUTPUT` and `LOOKUP` are those that are read."""
PASSES, FAILS = "pass", "fail"
"""How people label an output where they don't choose one of the judge's labels."""


def _template_problem(value: str) -> str:
    for found in PLACEHOLDER.findall(value):
        if not (OUTPUT.fullmatch(found) or LOOKUP.fullmatch(found)):
            return f"{found[:80]!a} is not read: there are {{{{item.KEY}}}} and an answer"
    return "" if value.strip() else "a text of a judge is empty"


_TEMPLATE = text(
    _template_problem,
    hint='write "... {{item.input}} ... {{sample.output_text}} ..."',
    minLength=1,
)


def _table(keys: Mapping[str, Key]) -> Kind:
    return Kind(lambda doc, path, value: read_keys(doc, path, value, keys), table_schema(keys))


_ROLES = choice(("system", "developer", "user", "assistant"))
_MESSAGE = {
    "role": needed("Who says it.", _ROLES),
    "content": needed("What is said.", _TEMPLATE),
}
_MESSAGES = many(
    _table(_MESSAGE), "A message.", "an array of { role, content }", least=(1, "asks nothing")
)
_SAMPLING = {
    "temperature": Key("How much verdicts vary.", number(minimum=0, maximum=2)),
    "top_p": Key("The share of likely words it chooses from.", number(minimum=0, maximum=1)),
    "seed": Key("What hosts that take one choose by.", whole(-(2**53), 2**53)),
    "max_completions_tokens": Key("Most tokens of a verdict.", whole(1, 2**31 - 1)),
    "reasoning_effort": Key("How much it thinks, as the API takes it.", STRING),
}


def _read_range(doc: Document, path: Path, value: Any) -> tuple[float, ...]:
    ends = _ENDS.read(doc, path, value)
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise doc.error(path, "'range' is [least, most]", "write range = [0, 1]")
    return tuple(ends)


_SCORE = number(minimum=-1e9, maximum=1e9)
_ENDS = many(_SCORE, "An end.", "an array of two numbers")
_labels = partial(many, LINE, "A label.", "an array of strings")
_ASKING = {
    "model": needed("The model that judges.", MODEL),
    "provider": Key(HOST, NAME, default=OPENAI),
    "prompt": Key(
        "What it is asked, in one message; `{{sample.output_text}}` is the answer, `{{item.KEY}}` "
        "what the example has: of a chat, `input` and `reference`.",
        _TEMPLATE,
    ),
    "input": Key("The same as several messages, each `{ role, content }`.", _MESSAGES),
    "sampling_params": Key(
        "What goes out with it, by OpenAI's names; nothing else does.",
        _table(_SAMPLING),
    ),
}


def bundle_of(options: Mapping[str, Any]) -> Bundle:
    """Return the model that a judge asks."""
    return Bundle(options["model"], options.get("provider", OPENAI))


def texts(options: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the messages of a judge as they are written."""
    alone = [{"role": "user", "content": options.get("prompt", "")}]
    return list(options.get("input") or alone)


def _check_asking(doc: Document, path: Path, said: dict[str, Any]) -> None:
    if ("prompt" in said) == ("input" in said):
        raise doc.error(path, "a judge has a 'prompt' or an 'input'", 'add prompt = "..."')
    if not any(OUTPUT.search(message["content"]) for message in texts(said)):
        at = (*path, "prompt" if "prompt" in said else "input")
        raise doc.error(at, "the judge is not shown the answer", "add {{sample.output_text}}")
    require_hosted(doc, path, said)


def _check_label_model(doc: Document, path: Path, said: dict[str, Any]) -> None:
    _check_asking(doc, path, said)
    at = (*path, "passing_labels")
    if strangers := [label for label in said["passing_labels"] if label not in said["labels"]]:
        raise doc.error(at, f"{strangers[0]!a} is not one of the 'labels'")
    if len(said["passing_labels"]) == len(said["labels"]):
        raise doc.error(at, "every label passes: the judge decides nothing")


def _check_score_model(doc: Document, path: Path, said: dict[str, Any]) -> None:
    _check_asking(doc, path, said)
    least, most = said.get("range", (0.0, 1.0))
    if not least < said["pass_threshold"] <= most:
        at = (*path, "pass_threshold")
        raise doc.error(at, f"'pass_threshold' must be more than {least:g} and at most {most:g}")


JUDGES: Mapping[str, GraderType] = {
    "label_model": GraderType(
        "A model puts one of some labels on the answer.",
        {
            **_ASKING,
            "labels": needed(
                "The labels it may give.",
                _labels(least=(2, "must name at least two"), unique="a label"),
                '["good", "bad"]',
            ),
            "passing_labels": needed(
                "Those that pass.", _labels(least=(1, "is empty: none passes")), '["good"]'
            ),
        },
        _check_label_model,
    ),
    "score_model": GraderType(
        "A model gives the answer a number.",
        {
            **_ASKING,
            "range": Key(
                "The least and the most it may give.",
                Kind(_read_range, _ENDS.schema),
                default=(0.0, 1.0),
                shown="`[0, 1]`",
            ),
            "pass_threshold": needed("The least that passes.", _SCORE, "0.7"),
        },
        _check_score_model,
    ),
}
