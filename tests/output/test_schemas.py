"""The schemas accept what the parsers accept, and refuse what they refuse."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import gated
import jsonschema
import pytest
from checkout import ROOT
from command_line import Command
from scenes import COLD, FT, POLICY, V7, V8, V9, V10, hold, past, row, table, write, write_profile
from toml_texts import AT, HOLD, RELEASE, SHA, held, release, rules, target
from toml_texts import WHOLE as WHOLE_GATE

from fftdeploy.commands.init import deployments_text, policy_text
from fftdeploy.commands.schema import output_schema
from fftdeploy.commands.setup_facts import EXAMPLE
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.examples import open_examples
from fftdeploy.evaluation.graders.proposed import propose
from fftdeploy.output import toml_schemas
from fftdeploy.output.results import Schema
from fftdeploy.planning.plan import Actor
from fftdeploy.policy import policy
from fftdeploy.releases import deployments
from fftdeploy.sandbox import STORY_NOW, Sandbox

BAR = propose(open_examples([(ROOT / "evals/triage.jsonl", "x")], root=ROOT))

Parse = Callable[[bytes], object]


def template(name: str) -> str:
    return (ROOT / "fftdeploy" / "templates" / name).read_text()


def as_json(value: Any) -> Any:
    """Turn TOML's dates into the strings that an editor's plug-in makes of them."""
    if isinstance(value, dict):
        return {key: as_json(below) for key, below in value.items()}
    if isinstance(value, list):
        return [as_json(below) for below in value]
    return value.isoformat() if isinstance(value, datetime | date) else value


def accepts(schema: Schema, text: str) -> bool:
    validator = jsonschema.Draft202012Validator(schema)
    return bool(validator.is_valid(as_json(tomllib.loads(text))))


def parses(parse: Parse, text: str) -> bool:
    try:
        parse(text.encode())
    except ConfigError:
        return False
    return True


DEPLOYMENTS = {
    "nothing yet": ("version = 1\n", True),
    "init": (deployments_text(template, EXAMPLE, Actor("ana", STORY_NOW)), True),
    "example": ((ROOT / "deployments.toml").read_text(), True),
    "one line": (target(), True),
    "a past": ("version = 1\n" + past("triage/production", V7, V8, V9, holds=[hold(V8)]), True),
    "rollback": (release(f'n = 3, model = "m", {AT}, by = "a", via = "rollback", to = 1'), True),
    "job": (release(RELEASE.replace('model"', 'job"') + ', job = "ftjob-1"'), True),
    "unverified": (release(RELEASE + ", verified = false"), True),
    "overrides": (release(RELEASE + ', overrides = ["soak"], why = "x"'), True),
    "profile": (release(RELEASE + f', profile = "p", profile_sha = "{SHA}"'), True),
    "evidence": (release(RELEASE + f', evidence = "{SHA}"'), True),
    "lifted": (
        held(f'{HOLD}, lifted = 2026-11-22T08:30:00Z, lifted_by = "a", lifted_why = "b"'),
        True,
    ),
    "bundle hold": (held(HOLD + ", release = 1, until = 2026-12-24T12:00:00+01:00"), True),
    "no version": ('[triage.production]\nmodel = "m"\n', False),
    "version true": ("version = true\n", False),
    "version 2": ("version = 2\n", False),
    "stranger at the top": ('version = 1\nbase_url = "x"\n', False),
    "B13 unknown key": (target("note = 1"), False),
    "canary": (target("canary = { percent = 10 }"), False),
    "other provider": (target('provider = "azure"'), True),
    "no name of a provider": (target('provider = "Az ure"'), False),
    "slash at another host": (target('provider = "v"', model='model = "org/m#d+e"'), True),
    "empty part": (target('provider = "v"', model='model = "org//m"'), False),
    "no model": (target(model=""), False),
    "model a number": (target(model="model = 1"), False),
    "a job as model": (target(model='model = "ftjob-abc"'), False),
    "slash in model": (target(model='model = "org/model"'), False),
    "reserved name": ('version = 1\n[triage.job]\nmodel = "m"\n', False),
    "capital name": ('version = 1\n[Triage.production]\nmodel = "m"\n', False),
    "n zero": (release(RELEASE.replace("n = 1", "n = 0")), False),
    "n text": (release(RELEASE.replace("n = 1", 'n = "1"')), False),
    "no by": (release(RELEASE.replace('by = "ana", ', "")), False),
    "empty by": (release(RELEASE.replace("ana", "")), False),
    "naive time": (release(RELEASE.replace("00Z", "00")), False),
    "time as text": (release(RELEASE.replace(AT, 'at = "today"')), False),
    "verified true": (release(RELEASE + ", verified = true"), False),
    "sha alone": (release(RELEASE + f', profile_sha = "{SHA}"'), False),
    "short sha": (release(RELEASE + ', evidence = "abc"'), False),
    "job without via": (release(RELEASE + ', job = "ftjob-1"'), False),
    "via job without job": (release(RELEASE.replace('model"', 'job"')), False),
    "rollback to nothing": (release(RELEASE.replace('model"', 'rollback"')), False),
    "to without rollback": (release(RELEASE + ", to = 1"), False),
    "unknown override": (release(RELEASE + ', overrides = ["gate"]'), False),
    "release key": (release(RELEASE + ", evidense = 1"), False),
    "hold without why": (held(HOLD.replace(', why = "bad"', "")), False),
    "half lifted": (held(HOLD + ", lifted = 2026-11-22T08:30:00Z"), False),
    "hold key": (held(HOLD + ", unitl = 1"), False),
}
POLICIES = {
    "bare": ("version = 1\n", True),
    "init": (policy_text(template, EXAMPLE, BAR, "evals/triage.jsonl"), True),
    "example": ((ROOT / "fftdeploy.toml").read_text(), True),
    "scene": (POLICY, True),
    "all of it": (
        rules(
            'from = []\nprotected = true\nsoak = "24h"\nmin_runway = "30d"\n'
            "allow_overrides = false\n"
            'freeze = [{ from = 2026-12-20, to = 2027-01-03, why = "holidays" }]'
        ),
        True,
    ),
    "no version": ("order = []\n", False),
    "unknown key": ("version = 1\nodrer = []\n", False),
    "order a string": ('version = 1\norder = "staging"\n', False),
    "order twice": ('version = 1\norder = ["a", "a"]\n', False),
    "gate": ('version = 1\n[tasks.triage.gate]\nmode = "not-worse"\n', False),
    "gate in full": (WHOLE_GATE, True),
    "margin 5": (WHOLE_GATE.replace("margin = 0.05", "margin = 5"), False),
    "mode": (WHOLE_GATE.replace("not-worse", "no-worse"), False),
    "price without output": (
        "version = 1\n[prices]\ndate = 2026-11-20\nm = { input = 1 }\n",
        False,
    ),
    "base": ('version = 1\n[tasks.triage]\nbase = { model = "m" }\n', True),
    "scan": ('version = 1\n[scan]\nignore = ["docs/**", "*.ipynb", "**/b", "[!x]?"]\n', True),
    "scan of nothing": ("version = 1\n[scan]\n", True),
    "scan key": ("version = 1\n[scan]\nexclude = []\n", False),
    "scan taken back": ('version = 1\n[scan]\nignore = ["!docs"]\n', False),
    "scan outside": ('version = 1\n[scan]\nignore = ["a/../../b"]\n', False),
    "scan of a slash": ('version = 1\n[scan]\nignore = ["/"]\n', False),
    "scan with a backslash": ("version = 1\n[scan]\nignore = ['a\\*']\n", False),
    "scan a string": ('version = 1\n[scan]\nignore = "docs"\n', False),
    "owner a number": ("version = 1\n[tasks.triage]\nowner = 1\n", False),
    "protected as text": (rules('protected = "yes"'), False),
    "soak a number": (rules("soak = 24"), False),
    "soak in years": (rules('soak = "1y"'), False),
    "freeze without why": (rules("freeze = [{ from = 2026-12-20, to = 2027-01-03 }]"), False),
    "freeze with times": (
        rules('freeze = [{ from = 2026-12-20T00:00:00Z, to = 2027-01-03, why = "x" }]'),
        False,
    ),
    "environment key": (rules("min_runaway = 1"), False),
}


@pytest.mark.parametrize(("text", "valid"), DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_the_deployments_schema_and_the_parser_agree(text: str, valid: bool) -> None:
    verdicts = accepts(toml_schemas.deployments(), text), parses(deployments.parse, text)

    assert verdicts == (valid, valid)


@pytest.mark.parametrize(("text", "valid"), POLICIES.values(), ids=POLICIES)
def test_the_policy_schema_and_the_parser_agree(text: str, valid: bool) -> None:
    verdicts = accepts(toml_schemas.policy(), text), parses(policy.parse, text)

    assert verdicts == (valid, valid)


def test_schema_prints_each_and_all(command: Command) -> None:
    made = {
        "deployments": toml_schemas.deployments(),
        "policy": toml_schemas.policy(),
        "output": output_schema(),
    }

    assert json.loads(command("schema").out) == made
    for name, schema in made.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert json.loads(command("schema", name).out) == schema


WHY = ("--why", "x")
RUNS: tuple[tuple[int, list[str]], ...] = (
    (0, ["status"]),
    (12, ["status", "--fail-on", "no-rollback,runway:90d"]),
    (0, ["status", "--offline"]),
    (12, ["check", "--probe"]),
    (12, ["check", "--offline", "support/production"]),
    (0, ["history"]),
    (0, ["history", "triage/staging", "--at", "2026-11-01"]),
    (0, ["diff", "staging", "production"]),
    (2, ["diff", "nowhere"]),
    (0, ["models"]),
    (0, ["resolve", "triage/staging"]),
    (2, ["resolve", "triage/nowhere"]),
    (0, ["promote", "triage/dev", "--model", "gpt-6-luna", "--profile", "long", "--dry-run"]),
    (0, ["promote", "triage/dev", "--model", V9, "--yes"]),
    (0, ["promote", "triage/staging", "--yes"]),
    (0, ["promote", "triage/production", "--yes", *WHY]),
    (0, ["promote", "triage/production", "--yes", *WHY]),
    (6, ["promote", "triage/production", "--yes", "--model", V8]),
    (4, ["promote", "triage/dev", "--yes", "--job", "ftjob-running", "--wait", "0"]),
    (9, ["promote", "triage/dev", "--yes", "--model", f"{FT}loading:Lo4d", "--wait", "0"]),
    (0, ["rollback", "triage/production", "--dry-run"]),
    (0, ["rollback", "triage/production", "--yes"]),
    (6, ["promote", "triage/production", "--yes", *WHY]),
    (0, ["rollback", "triage/dev", "--yes"]),
    (4, ["rollback", "triage/dev", "--yes"]),
    (2, ["rollback", "triage/production", "--to", "99", "--yes"]),
    (0, ["adopt", "support/production", "--yes", *WHY]),
    (0, ["hold", "triage/staging", V7, "--yes", *WHY]),
    (0, ["unhold", "triage/staging", "--yes", *WHY]),
    (2, ["unhold", "triage/staging", "--yes", *WHY]),
    (0, ["init", "--ci", "github"]),
    (0, ["schema", "policy"]),
    (0, ["schema", "--write"]),
    (2, ["schema", "output", "--write"]),
    (2, ["promote", "--nonsense"]),
    (2, ["sandbox", "--now", "noon"]),
    (3, ["status", "--file", "missing.toml"]),
    (0, ["scan"]),
    (2, ["scan", "missing"]),
)


def misfits(command: Command, runs: Iterable[tuple[int, list[str]]]) -> list[object]:
    """Say what of the documents that commands print is not as the schema has it."""
    whole = output_schema()
    validator = jsonschema.Draft202012Validator(whole)
    wrong: list[object] = []
    for code, argv in runs:
        result = command(*argv, "--json")
        document = json.loads(result.out)
        name = document["schema"].removeprefix("fftdeploy.").removesuffix("/1")
        one = {"$ref": f"#/$defs/{name}", "$defs": whole["$defs"]}
        wrong += [
            (argv, f"{error.json_path}: {error.message}")
            for error in jsonschema.Draft202012Validator(one).iter_errors(document)
        ]
        if (result.code, document["exit_code"]) != (code, code):
            wrong.append((argv, f"{result.code} {result.err}"))
        if not validator.is_valid(document):
            wrong.append((argv, "none, or several, of the documents"))
    return wrong


def test_what_every_command_prints_fits_the_schema(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write_profile("long", "Triage.")
    write(
        past("triage/staging", V7, V8),
        past("triage/production", V7, V8),
        past("triage/dev", V7),
        # Its record and its line disagree: a hand edit.
        table("support/production", V8, [row(1, V7)]),
        policy=POLICY,
    )
    validator = jsonschema.Draft202012Validator(output_schema())

    assert misfits(command, RUNS) == []
    assert not validator.is_valid({"schema": "fftdeploy.status/1", "outcome": "ok"})


GATED: tuple[tuple[int, list[str]], ...] = (
    (0, ["size", "triage/production"]),
    (7, ["promote", "triage/production", "--yes", *WHY]),
    (0, ["eval", "triage/production"]),
    (5, ["eval", "triage/production", f"{V7}@"]),
    (6, ["eval", "triage/production", f"{V9}@", "--max-requests", "1"]),
    (0, ["verify"]),
    (0, ["report"]),
    (0, ["report", "-o", "report.html"]),
    (2, ["report", "-o", "report.txt"]),
    (2, ["report", "feedfeed"]),
    (2, ["review", "triage"]),
    (0, ["promote", "triage/production", "--yes", *WHY]),
)


def test_what_the_commands_about_quality_print_fits_the_schema(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    gated.scene(V8, V10)

    assert misfits(command, GATED) == []


def test_the_keys_of_the_output_are_plain_words() -> None:
    found = names_in(output_schema())

    assert [name for name in found if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []
    assert len(found) > 100, "the control"


def names_in(schema: Any) -> list[str]:
    """Name every key that a schema describes."""
    if isinstance(schema, list):
        return [name for below in schema for name in names_in(below)]
    if not isinstance(schema, dict):
        return []
    own = schema.get("properties", {})
    return [*own, *(name for below in schema.values() for name in names_in(below))]


def test_a_key_too_many_or_too_few_does_not_fit(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write(past("triage/staging", V7, COLD))
    validator = jsonschema.Draft202012Validator(output_schema())
    document = json.loads(command("status", "--json").out)

    assert validator.is_valid(document)
    assert not validator.is_valid({**document, "extra": 1})
    assert not validator.is_valid({k: v for k, v in document.items() if k != "targets"})
    assert not validator.is_valid({**document, "targets": [{"target": "triage/staging"}]})
