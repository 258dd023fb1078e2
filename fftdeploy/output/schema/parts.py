"""Parts that the JSON Schemas (draft 2020-12) of files and outputs are put together from."""

from collections.abc import Mapping

from fftdeploy.formats.keys import Schema as Schema  # noqa: PLC0414  its users take it from here

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DAY = r"^\d{4}-\d{2}-\d{2}$"

FLAG: Schema = {"type": "boolean"}


def text(pattern: str = "") -> Schema:
    """Describe a string."""
    return {"type": "string"} | ({"pattern": pattern} if pattern else {})


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


def about(description: str, schema: Schema) -> Schema:
    """Describe `schema` in words too, as an editor shows them."""
    return {**schema, "description": description}
