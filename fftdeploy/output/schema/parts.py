"""What the JSON Schemas (draft 2020-12) of files and outputs are put together from.  Pure."""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"
DAY = r"^\d{4}-\d{2}-\d{2}$"
NAME = "^(?!(version|model|job|rollback|adopt)$)[a-z0-9][a-z0-9_-]{0,62}$"
_DURATION = "^[1-9][0-9]{0,5}[smhdw]$"
_LINE = r"^[^\x00-\x1f\x7f]*$"

FLAG: Schema = {"type": "boolean"}
LINE: Schema = {"type": "string", "minLength": 1, "maxLength": 500, "pattern": _LINE}
DURATION: Schema = {"type": "string", "pattern": _DURATION}


def text(pattern: str = "", description: str = "") -> Schema:
    """Describe a string."""
    described: Schema = {"type": "string"}
    if pattern:
        described["pattern"] = pattern
    return described | ({"description": description} if description else {})


def closed(properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Describe an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def many(items: Schema) -> Schema:
    """Describe an array."""
    return {"type": "array", "items": items}


def keyed(pattern: str, value: Schema) -> Schema:
    """Describe an object whose keys follow a grammar."""
    return {
        "type": "object",
        "patternProperties": {pattern: value},
        "additionalProperties": False,
    }


def about(description: str, schema: Schema) -> Schema:
    """Describe `schema` in words too, as an editor shows them."""
    return {**schema, "description": description}


def time() -> Schema:
    """Describe a date-time with an offset, which TOML writes without quotes."""
    return {**text(TIME), "format": "date-time"}


def day() -> Schema:
    """Describe a day, which TOML writes without quotes."""
    return {**text(DAY), "format": "date"}
