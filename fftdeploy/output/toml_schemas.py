"""JSON Schemas (draft 2020-12) of the two files, for editors and for checks in other languages.

They say what a schema can say: keys, types, grammars, and what each key means.  What needs the
whole file (numbers going down, `to` naming an older release) only `fftdeploy check` knows.  TOML
dates are strings with a `format`, which editors take for dates and other checkers for text.
"""

from fftdeploy.formats.keys import Schema, table
from fftdeploy.formats.kinds import HOSTED, NAMES, VERSION, by_name
from fftdeploy.output.results import DIALECT, about
from fftdeploy.policy.policy import POLICY
from fftdeploy.releases.records import Target


def deployments() -> Schema:
    """Describe `deployments.toml`."""
    target = table(Target, allOf=[HOSTED])
    environments = by_name(target, "A target: a task in an environment.").schema
    what = "A task: one narrow, repeated workflow that a model serves."
    return {
        "$schema": DIALECT,
        "title": "deployments.toml of fftdeploy",
        "description": "What is live where, newest release first.",
        "type": "object",
        "properties": {"version": about("The version of this format.", VERSION.schema)},
        "required": ["version"],
        "patternProperties": {NAMES: about(what, environments)},
        "additionalProperties": False,
    }


def policy() -> Schema:
    """Describe `fftdeploy.toml`."""
    return {
        "$schema": DIALECT,
        "title": "fftdeploy.toml, the policy of fftdeploy",
        **about("What a team asks of a promotion.", POLICY.schema),
    }
