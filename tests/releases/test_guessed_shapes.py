"""Shapes of the deployments file that people guess first: each is said as it must be written."""

from pathlib import Path

import pytest
from command_line import Command
from scenes import V8

from fftdeploy.errors import ConfigError
from fftdeploy.formats import document
from fftdeploy.releases import deployments, guessed_shapes

TUNED = V8.replace("triage", "invoices")
RIGHT = f'version = 1\n\n[triage.production]\nmodel = "{V8}"\n'
GUESSED = {
    "a table": (f'[production]\nmodel = "{V8}"\n', RIGHT),
    "a string": (f'version = 1\n\nproduction = "{V8}"\n', RIGHT),
    "a model alone": (f'model = "{V8}"\n', RIGHT),
    "a task alone": (f'[triage]\nmodel = "{V8}"\n', RIGHT),
    "environments": (f'[environments]\nproduction = "{V8}"\n', RIGHT),
    "tables of environments": (f'[environments.production]\nmodel = "{V8}"\n', RIGHT),
    "a task of strings": (f'[triage]\nproduction = "{V8}"\n', RIGHT),
    "dotted": (f'triage.production = "{V8}"\n', RIGHT),
    "another task": (
        f'# ours\n[models]\nstaging = "gpt-6-luna" # cheap\n# tuned\nprod = "{TUNED}"\n',
        'version = 1\n\n# ours\n[invoices.staging]\nmodel = "gpt-6-luna" # cheap\n'
        f'# tuned\n[invoices.prod]\nmodel = "{TUNED}"\n',
    ),
}
NOT_GUESSED = {
    "nothing": "",
    "a task without a version": f'[triage.production]\nmodel = "{V8}"\n',
    "a key": 'version = 1\napi_key = "sk-proj-0123456789"\n[triage.production]\nmodel = "gpt-6"\n',
    "a key in a table": 'version = 1\n[triage]\napi_key = "sk-proj-0123456789"\n',
    "an owner": 'version = 1\nowner = "support-ml"\n',
    "twice": f'[production]\nmodel = "{V8}"\n[environments]\nproduction = "{V8}"\n',
    "no name": f'["Pro duction"]\nmodel = "{V8}"\n',
}


@pytest.mark.parametrize(("text", "right"), GUESSED.values(), ids=GUESSED)
def test_a_guessed_shape_is_refused_with_the_lines_that_make_it_right(
    text: str, right: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        deployments.parse(text.encode())
    meant = guessed_shapes.guess(document.parse(text.encode(), ""))

    assert (refused.value.code, refused.value.hint) == ("shape", "fftdeploy init --rewrite")
    assert meant is not None
    assert meant.text == right
    shown = deployments.parse("\n".join(refused.value.details).encode()).targets
    assert shown == deployments.parse(right.encode()).targets


@pytest.mark.parametrize("text", NOT_GUESSED.values(), ids=NOT_GUESSED)
def test_what_is_no_guess_is_refused_as_it_is(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        deployments.parse(text.encode())

    assert refused.value.code != "shape"
    assert "sk-proj" not in str(refused.value)


def test_what_has_more_than_a_shape_is_shown_and_left_to_its_writer() -> None:
    text = f'[production]\nmodel = "{V8}"\ntemperature = 0.2\n'

    with pytest.raises(ConfigError) as refused:
        deployments.parse(text.encode())

    assert refused.value.details == ("version = 1", "[triage.production]", f'model = "{V8}"')
    assert refused.value.hint == "write it so"


@pytest.mark.parametrize("argv", [["status"], ["resolve", "triage/production"], ["scan"]])
def test_every_command_says_so(repo: Path, command: Command, argv: list[str]) -> None:
    (repo / "deployments.toml").write_text(f'[production]\nmodel = "{V8}"\n')

    result = command(*argv)

    assert (result.code, result.out) == (3, "")
    assert result.err.endswith(
        "deployments.toml:1:1)\n"
        f'  version = 1\n  [triage.production]\n  model = "{V8}"\nhint: fftdeploy init --rewrite\n'
    )
