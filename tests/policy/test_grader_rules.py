"""`[[tasks.TASK.gate.graders]]`: closed tables, and nothing that would have to be run."""

import json
from pathlib import Path
from typing import Any

import pytest

from fftdeploy.errors import ConfigError
from fftdeploy.formats import document
from fftdeploy.policy.grader_rules import GraderRules, field_names, parse_graders


def parse(text: str) -> tuple[GraderRules, ...]:
    doc = document.parse(text.encode(), "fftdeploy.toml")
    return parse_graders(doc, ("g",), doc.data["g"])


def grader(body: str) -> GraderRules:
    (only,) = parse(f"[[g]]\n{body}\n")
    return only


def refused(body: str) -> tuple[str, str, str]:
    with pytest.raises(ConfigError) as caught:
        parse(f"[[g]]\n{body}\n")
    assert caught.value.where.startswith("fftdeploy.toml:")
    return caught.value.message, caught.value.hint, caught.value.where.partition(":")[2]


UNDERSTOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "string_check": (
        'type = "string_check"\noperation = "eq"\ninput = "{{ sample.output_text }}"',
        {"operation": "eq"},
    ),
    "neq is ne": ('type = "string_check"\noperation = "neq"', {"operation": "ne"}),
    "literal": (
        'type = "string_check"\noperation = "like"\nreference = "Kind regards"',
        {"operation": "like", "reference": "Kind regards"},
    ),
    "lookup": (
        'type = "string_check"\noperation = "ilike"\nreference = "{{item.a.b-c}}"',
        {"operation": "ilike", "reference": "{{item.a.b-c}}"},
    ),
    "rouge_l": (
        'type = "text_similarity"\nevaluation_metric = "rouge_l"\npass_threshold = 1',
        {"evaluation_metric": "rouge_l", "pass_threshold": 1.0},
    ),
    "schema of the example": ('type = "json_schema"', {}),
    "schema": (
        'type = "json_schema"\nschema = { type = "object", maxProperties = 2 }',
        {"schema": {"type": "object", "maxProperties": 2}},
    ),
    "fields": (
        'type = "json_fields"\nfields = { a = "exact", "b.c" = { number = 0.5, relative = true }, '
        'd = { text = 0.8 }, e = "ignore", f = "number" }\nrequired = ["b.c", "a"]',
        {
            "fields": {
                "a": {"kind": "exact"},
                "b.c": {"kind": "number", "tolerance": 0.5, "relative": True},
                "d": {"kind": "text", "threshold": 0.8},
                "e": {"kind": "ignore"},
                "f": {"kind": "number"},
            },
            "required": ["a", "b.c"],
        },
    ),
    "every field is required": (
        'type = "json_fields"\nfields = { a = "set", b = "ignore" }\nrequired = ["a"]',
        {"fields": {"a": {"kind": "set"}, "b": {"kind": "ignore"}}},
    ),
    "regex": (
        'type = "regex"\npattern = \'[A-Z]{2}\'\nmatch = "search"\nignore_case = true',
        {"pattern": "[A-Z]{2}", "match": "search", "ignore_case": True},
    ),
    "defaults are not said": (
        'type = "regex"\npattern = \'a\'\nmatch = "full"\nignore_case = false',
        {"pattern": "a"},
    ),
    "number": (
        'type = "number"\ntolerance = 2\nrelative = true',
        {"tolerance": 2.0, "relative": True},
    ),
    "number, exactly": ('type = "number"\ntolerance = 0', {}),
    "length": ('type = "length"\nmax_words = 50', {"max_words": 50}),
    "label": (
        'type = "label"\nlabels = ["yes", "no"]\nignore_case = true',
        {"labels": ["yes", "no"], "ignore_case": True},
    ),
}


@pytest.mark.parametrize("case", UNDERSTOOD)
def test_a_grader_is_what_its_table_says(case: str) -> None:
    body, options = UNDERSTOOD[case]
    rules = grader(body)

    assert rules.options == options
    assert rules.content == {"type": rules.type, "name": rules.type, **options}
    assert json.loads(json.dumps(rules.content, allow_nan=False)) == rules.content


EQ = 'type = "string_check"\noperation = "eq"\n'
SIMILAR = 'type = "text_similarity"\nevaluation_metric = '
FIELDS = 'type = "json_fields"\nfields = '
TEMPLATES = "templates are not supported: "
REFUSED = {
    # E17: whatever would have to be run, is paid for, or brings in another language
    "E17 python": ('type = "python"\nsource = "x"', "Python graders are not supported", "2:1"),
    "E17 multi": ('type = "multi"', "'multi' is not supported", "2:1"),
    "E17 module": ('type = "os:system"', "there is no grader 'os:system'", "2:1"),
    "E17 source": (
        'type = "regex"\npattern = "a"\nsource = "import os"',
        "'source': a grader can't name code",
        "4:1",
    ),
    "E17 module key": (
        'type = "number"\nmodule = "os"',
        "'module': a grader can't name code",
        "3:1",
    ),
    "E17 template key": ('type = "number"\ntemplate = "x"', "'template': a grader can't", "3:1"),
    "E17 command key": ('type = "number"\nCommand = "x"', "'Command': a grader can't", "3:1"),
    "E17 image_tag": ('type = "number"\nimage_tag = "x"', "'image_tag': a grader can't", "3:1"),
    "E17 Jinja": (EQ + 'reference = "{{ item.x | upper }}"', TEMPLATES + "'reference'", "4:1"),
    "E17 Jinja block": (EQ + 'reference = "{% if x %}"', TEMPLATES + "'reference'", "4:1"),
    "E17 template with text": (
        EQ + 'reference = "Dear {{item.x}}"',
        TEMPLATES + "'reference'",
        "4:1",
    ),
    "E17 attribute": (
        EQ + 'reference = "{{item.x.__class__()}}"',
        TEMPLATES + "'reference'",
        "4:1",
    ),
    "E17 other input": (EQ + 'input = "{{sample.output_json.a}}"', TEMPLATES + "'input'", "4:1"),
    "E17 reference fetched": (
        'type = "json_schema"\nschema = { "$ref" = "http://127.0.0.1:1/x" }',
        "'$ref' leads out of the schema: nothing is fetched",
        "3:12",
    ),
    "type": ('name = "x"', "'type' is missing", "1:1"),
    "near type": ('type = "json_feilds"', "there is no grader 'json_feilds'", "2:1"),
    "unknown key": ('type = "number"\ntolerence = 1', "unknown key 'tolerence'", "3:1"),
    "address": ('type = "number"\nurl = "x"', "'url': the API address can't be set", "3:1"),
    "operation": ('type = "string_check"\noperation = "equals"', "'operation' is \"eq\" or", "3:1"),
    "no operation": ('type = "string_check"', "'operation' is missing", "1:1"),
    "empty reference": (EQ + 'reference = ""', "'reference' is empty", "4:1"),
    "bleu": (
        SIMILAR + '"bleu"\npass_threshold = 0.5',
        "'bleu' is not supported: it is meant for whole corpora",
        "3:1",
    ),
    "cosine": (
        SIMILAR + '"cosine"\npass_threshold = 0.5',
        "'cosine' is not supported: it needs a paid embedding",
        "3:1",
    ),
    "rouge_2": (SIMILAR + '"rouge_2"\npass_threshold = 0.5', "'rouge_2' is not supported", "3:1"),
    "no threshold": (SIMILAR + '"rouge_l"', "'pass_threshold' is missing", "1:1"),
    "threshold 0": (SIMILAR + '"rouge_l"\npass_threshold = 0', "every answer reaches", "4:1"),
    "E3 threshold": (
        SIMILAR + '"rouge_l"\npass_threshold = nan',
        "'pass_threshold' must be from 0 to 1",
        "4:1",
    ),
    "date in a schema": (
        'type = "json_schema"\nschema = { const = 2026-11-21 }',
        "a date or time of this value can't be JSON",
        "3:12",
    ),
    "E3 schema": (
        'type = "json_schema"\nschema = { maximum = inf }',
        "a float of this value can't be JSON",
        "3:12",
    ),
    "no fields": ('type = "json_fields"', "'fields' is missing", "1:1"),
    "nothing compared": (FIELDS + '{ a = "ignore" }', "'fields' compares nothing", "3:1"),
    "kind": (FIELDS + '{ a = "exakt" }', "'exakt' is no kind", "3:12"),
    "text": (FIELDS + '{ a = "text" }', "'text' needs a threshold", "3:12"),
    "two kinds": (FIELDS + "{ a = { number = 1, text = 1 } }", "a kind with options is", "3:12"),
    "dotted table": (FIELDS + '{ number.b = "exact" }', "a kind with options is", "3:12"),
    "tolerance": (FIELDS + "{ a = { number = -1 } }", "'number' must be from 0 to", "3:18"),
    "path": (FIELDS + '{ "a..b" = "exact" }', "'a..b' is not a path", "3:12"),
    "required": (
        FIELDS + '{ a = "exact" }\nrequired = ["A"]',
        "'required' names no field that is compared",
        "4:13",
    ),
    "required ignored": (
        FIELDS + '{ a = "exact", b = "ignore" }\nrequired = ["b"]',
        "'required' names no field that is compared",
        "4:13",
    ),
    "required nothing": (FIELDS + '{ a = "exact" }\nrequired = []', "'required' is empty", "4:1"),
    "too many fields": (
        'type = "json_fields"\n[g.fields]\n' + "\n".join(f'f{n} = "exact"' for n in range(65)),
        "65 fields are more than the 64 allowed",
        "1:1",
    ),
    "pattern": ('type = "regex"\npattern = "("', "'pattern' is not a regular expression", "3:1"),
    "long pattern": (
        f'''type = "regex"\npattern = "{"a" * 1001}"''',
        "'pattern' must be 1 to",
        "3:1",
    ),
    "deep pattern": (
        f'''type = "regex"\npattern = "{"(" * 499}{")" * 499}"''',
        "'pattern' is not a regular expression",
        "3:1",
    ),
    "pattern to change": ('type = "regex"\npattern = "[[a]"', "'pattern' is not a regular", "3:1"),
    "tolerance type": ('type = "number"\ntolerance = "1"', "'tolerance' must be a number", "3:1"),
    "relative type": ('type = "number"\nrelative = 1', "'relative' must be true or false", "3:1"),
    "no limit": ('type = "length"', "'length' has no limit", "1:1"),
    "limits": ('type = "length"\nmin_chars = 2\nmax_chars = 1', "'min_chars' is more than", "3:1"),
    "limit type": ('type = "length"\nmax_chars = 1.5', "'max_chars' must be an integer", "3:1"),
    "one label": ('type = "label"\nlabels = ["a"]', "'labels' must name at least two", "3:1"),
    "label twice": (
        'type = "label"\nlabels = ["a", "A"]\nignore_case = true',
        "the label 'A' is there twice",
        "3:16",
    ),
    "label with space": ('type = "label"\nlabels = ["a", "b "]', "a label has spaces", "3:16"),
    "label type": ('type = "label"\nlabels = ["a", 1]', "'labels' must be a string", "3:16"),
    "hidden name": (
        'type = "number"\nname = "a\\u200bb"',
        "'name' must be one line of visible text",
        "3:1",
    ),
    "two of a name": ('type = "number"\n[[g]]\ntype = "number"', "two graders are called", "3:1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_a_located_fault(case: str) -> None:
    body, message, place = REFUSED[case]

    said, _, where = refused(body)

    assert (said.startswith(message), where) == (True, place), said


def test_hints_name_the_nearest() -> None:
    assert refused('type = "json_feilds"')[1] == "did you mean 'json_fields'?"
    assert refused('type = "number"\ntolerence = 1')[1] == "did you mean 'tolerance'?"
    assert "0.8" in refused('type = "json_fields"\nfields = { a = "text" }')[1]
    assert '"rouge_l"' in refused('type = "text_similarity"\nevaluation_metric = "meteor"')[1]


@pytest.mark.parametrize("value", ["1", '"x"', "{}", "[]", "[1]"])
def test_graders_are_an_array_of_tables(value: str) -> None:
    with pytest.raises(ConfigError):
        parse(f"g = {value}")


def test_E17_a_hostile_table_runs_nothing(tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    code = f"__import__('pathlib').Path('{sentinel}').touch()"
    bodies = [
        f'type = "python"\nsource = "{code}"',
        f'type = "string_check"\noperation = "eq"\nreference = "{{{{ {code} }}}}"',
        f'type = "string_check"\noperation = "eq"\nreference = "{{{{ item.x.{code} }}}}"',
        f'type = "regex"\npattern = "a"\ncommand = "touch {sentinel}"',
        f'type = "$(touch {sentinel})"',
    ]
    for body in bodies:
        refused(body)

    assert not sentinel.exists()


def test_fields_are_named_after_their_grader_only_where_two_clash() -> None:
    rules = parse(
        '[[g]]\ntype = "json_fields"\nname = "one"\nfields = { a = "exact", b = "exact" }\n'
        '[[g]]\ntype = "number"\n'
        '[[g]]\ntype = "json_fields"\nname = "two"\nfields = { b = "set", c = "ignore" }\n'
    )

    assert field_names(rules) == ("a", "one: b", "two: b")
    assert field_names(rules[:1]) == ("a", "b")
    assert field_names(()) == ()


def test_content_does_not_depend_on_how_a_default_is_written() -> None:
    plain = grader("type = \"regex\"\npattern = 'a'")
    said = grader('ignore_case = false\nmatch = "full"\npattern = \'a\'\ntype = "regex"')
    other = grader("type = \"regex\"\npattern = 'a'\nignore_case = true")

    assert plain.content == said.content != other.content
