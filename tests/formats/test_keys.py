"""A key is declared once: reader, schema, page and canonical content follow from that."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from fftdeploy.errors import ConfigError
from fftdeploy.formats import document, keys
from fftdeploy.formats.keys import key
from fftdeploy.formats.kinds import FLAG, LINE, NAME, many, number, span, whole
from fftdeploy.releases import deployments
from fftdeploy.releases.deployments import Target
from fftdeploy.routing import runtime


@dataclass(frozen=True, slots=True)
class Dial:
    """A table of its own, with every sort of default."""

    label: str = key("What it is called.", LINE)
    turn: float = key("How far.", number(minimum=0, exclusiveMaximum=1), 0.5)
    steps: int = key("How often.", whole(1, 10), 2, name="from", decides=False)
    wait: timedelta = key("How long.", span("24h"), timedelta(hours=4))
    rooms: tuple[str, ...] = key(
        "Where.", many(NAME, "A room.", "an array of names", unique="a room"), ()
    )
    on: bool = key("Whether it is.", FLAG, False)
    made_by_hand: str = "no key"


DIAL = keys.table(Dial, "a table { label }")


def read(text: str) -> Dial:
    doc = document.parse(f"[dial]\n{text}\n".encode(), "f.toml")
    found: Dial = DIAL.read(doc, ("dial",), doc.data["dial"])
    return found


def test_one_declaration_is_reader_schema_page_and_content() -> None:
    found = read('label = "a"\nfrom = 3\nturn = 0\nrooms = ["x"]')

    assert found == Dial("a", 0.0, 3, timedelta(hours=4), ("x",))
    assert keys.content(found) == {
        "label": "a",
        "turn": 0.0,
        "wait": "4h",
        "rooms": ["x"],
        "on": False,
    }
    schema = DIAL.schema
    jsonschema.Draft202012Validator.check_schema(schema)
    assert (schema["required"], [*schema["properties"]]) == (
        ["label"],
        ["label", "turn", "from", "wait", "rooms", "on"],
    )
    assert schema["properties"]["from"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 10,
        "description": "How often.",
        "default": 2,
    }
    assert [*keys.page(Dial)][2:] == [
        "| `label` | required | What it is called. |",
        "| `turn` | `0.5` | How far. |",
        "| `from` | `2` | How often. |",
        '| `wait` | `"4h"` | How long. |',
        "| `rooms` | `[]` | Where. |",
        "| `on` | `false` | Whether it is. |",
    ]


REFUSED: dict[str, tuple[str, Any, str, str]] = {
    "unknown": ('label = "a"\ntrun = 1', ("trun", 1), "3:1", "did you mean 'turn'?"),
    "missing": ("turn = 0.5", None, "1:1", 'add label = "..."'),
    "range": ('label = "a"\nturn = 1.0', ("turn", 1.0), "3:1", "at least 0 and below 1"),
    "nan": ('label = "a"\nturn = nan', None, "3:1", "at least 0"),
    "true is no number": ('label = "a"\nfrom = true', ("from", True), "3:1", "an integer"),
    "many": ('label = "a"\nrooms = "x"', ("rooms", "x"), "3:1", "an array of names"),
    "twice": ('label = "a"\nrooms = ["x", "x"]', ("rooms", ["x", "x"]), "3:1", "a room twice"),
    "entry": ('label = "a"\nrooms = ["x", "Y"]', ("rooms", ["x", "Y"]), "3:15", "'Y'"),
    "span": ('label = "a"\nwait = "4 h"', ("wait", "4 h"), "3:1", '"24h"'),
    "address": ('label = "a"\nbase_url = "x"', ("base_url", "x"), "3:1", "OPENAI_BASE_URL"),
}


@pytest.mark.parametrize(("text", "pair", "place", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_has_its_place_and_the_schema_refuses_it_too(
    text: str, pair: Any, place: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)

    assert caught.value.where == f"f.toml:{place}"
    assert words in f"{caught.value.message} {caught.value.hint}"
    written = {"label": "a", pair[0]: pair[1]} if pair else {}
    assert not jsonschema.Draft202012Validator(DIAL.schema).is_valid(written)
    assert jsonschema.Draft202012Validator(DIAL.schema).is_valid({"label": "a"}), "the control"


VALUES = [1, True, "m", "ftjob-x", "org/m", "openai", "azure", "Prompt", "job", "p", "a\nb", [], {}]
ROWS = [[], [{}], [1], [{"n": 1}], [{"n": "1"}], {}, "x"]
USED = {
    **dict.fromkeys(("model", "profile", "provider"), VALUES),
    "releases": ROWS,
    "holds": [[], [{}], [1], {}],
}
"""What `resolve` asks of a target without this reader, for it pays for no import but its own."""


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in USED.items() for v in values])
def test_resolve_takes_of_its_few_keys_what_is_declared(key: str, value: Any) -> None:
    table = {"model": "m", key: value}
    doc = document.parse(b"[t.e]\nmodel = 1\n", "d.toml")
    is_declared = True
    try:
        deployments.check_target(doc, ("t", "e"), table)
    except ConfigError:
        is_declared = False

    assert runtime.is_plain(table) == is_declared
    assert key in keys.keys_of(Target)
