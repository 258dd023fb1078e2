"""Reads what OpenAI's Evals exported: items with samples and results, and the eval's own graders.

OpenAI ended the platform on 2026-11-30.  Source: openai 3.57, `types/evals/runs`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fftdeploy.api.answers import plain
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.production import (
    ProductionRequest,
    RequestShapeError,
    as_object,
    as_objects,
    objects_in,
    of_item,
)
from fftdeploy.formats import document
from fftdeploy.policy.grader_rules import GraderRules, parse_graders
from fftdeploy.policy.judges import JUDGES

NAME = "OpenAI Evals' export"
_OUTPUT_ITEM = "eval.run.output_item"
_KEPT = ("type", "name", "input", "reference", "operation", "evaluation_metric", "pass_threshold")
"""Keys that a grader has there and here."""

_ID = re.compile(r"-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""What the platform put behind a grader's name in results."""


def is_one(value: Mapping[str, Any]) -> bool:
    """Whether an object is a row of results, a page of these, or an eval."""
    if value.get("object") in (_OUTPUT_ITEM, "eval") or "datasource_item" in value:
        return True
    if value.get("object") == "list" and isinstance(value.get("data"), list):
        return True
    return "item" in value and isinstance(value.get("results"), list)


def parts(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of an object; an eval has none."""
    if value.get("object") == "list":
        for row in as_objects(value["data"], "'data'"):
            yield from () if row.get("object") == "eval" else (row,)
    elif value.get("object") != "eval":
        yield value


def criteria(value: Mapping[str, Any]) -> list[Any]:
    """Return the graders of an eval, as it has them."""
    rows = objects_in(value["data"]) if value.get("object") == "list" else [value]
    evals = (row for row in rows if row.get("object") == "eval")
    return [each for found in evals for each in found.get("testing_criteria") or []]


def request(part: Mapping[str, Any], place: str) -> ProductionRequest:
    """Read a row: its item, what was answered, and what the graders said of that.

    Raises:
        RequestShapeError: It is no such row.
    """
    item = as_object(part.get("datasource_item", part.get("item")), "an item")
    if item.keys() <= {"item", "sample"} and isinstance(item.get("item"), dict):
        item = item["item"]
    sample = as_object(part.get("sample") or {}, "'sample'")
    if not {"input", "messages"} & item.keys() and isinstance(sample.get("input"), list):
        item = {**item, "input": as_objects(sample["input"], "'input'")}
    said = sample.get("output_text")
    if said is None:
        texts = [turn.get("content") for turn in reversed(objects_in(sample.get("output")))]
        said = next((text for text in texts if isinstance(text, str)), "")
    found = of_item(item, said if isinstance(said, str) else "", place, {})
    verdicts = {
        _ID.sub("", str(each.get("name", ""))): each["passed"]
        for each in objects_in(part.get("results"))
        if type(each.get("passed")) is bool
    }
    return replace(found, verdicts=verdicts)


def converted(criterion: Any, task: str) -> tuple[GraderRules, str]:
    """Return a grader of an eval as one of ours, and the lines of the task's policy that say so.

    Raises:
        RequestShapeError: It can't be one: it asks a model, runs code, or has a template.
    """
    table = as_object(criterion, "a grader")
    if table.get("type") in JUDGES:
        raise RequestShapeError("model judges are not converted: one is calibrated here first")
    path = ("tasks", task, "gate", "graders")
    rows = [f"[[{'.'.join(path)}]]"]
    for key in _KEPT:
        value = table.get(key)
        if isinstance(value, str | int | float) and type(value) is not bool:
            written = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
            rows.append(f"{key} = {written}")
    text = "\n".join(rows)
    try:
        doc = document.parse(text.encode(), "testing_criteria")
        (rules,) = parse_graders(doc, path, doc.data["tasks"][task]["gate"]["graders"])
    except ConfigError as error:
        raise RequestShapeError(error.message) from None
    return rules, text


def name_of(criterion: Any) -> str:
    """Return what a grader of an eval is called."""
    name = criterion.get("name", criterion.get("type")) if isinstance(criterion, dict) else None
    return plain(str(name), 60)
