"""Each command as a function of Python: its result is what `--json` prints, and nothing is said."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from scenes import POLICY, V7, V8, V9, past, write

import fftdeploy
from fftdeploy.errors import USAGE, FftdeployError
from fftdeploy.output.results import as_json
from fftdeploy.sandbox import Sandbox

PRODUCTION = "triage/production"


@pytest.fixture
def files(repo: Path, sandbox: Sandbox) -> Path:
    write(past("triage/staging", V8, V9), past(PRODUCTION, V7, V8), policy=POLICY)
    return repo


class Door:
    """What a function returned, to be held against what its command prints."""

    def __init__(self, command: Command, capfd: pytest.CaptureFixture[str]) -> None:
        self.command = command
        self.capfd = capfd

    def same(self, call: Callable[[], Any], *argv: str) -> Any:
        """Return the result of `call`, which said nothing and is what `argv` prints."""
        printed = self.command(*argv, "--json")
        result = call()
        assert self.capfd.readouterr() == ("", "")
        document = _json(json.loads(printed.out))
        for key in ("schema", "retry", "api"):
            document.pop(key, None)
        findings = getattr(result, "findings", None)
        told = {} if findings is None else {"findings": as_json(findings)}
        outcome = getattr(result, "outcome", fftdeploy.errors.OK)
        end = {"outcome": outcome.name, "exit_code": outcome.exit_code}
        assert document == {**end, **_json(as_json(result)), **told}
        assert printed.code == outcome.exit_code
        return result

    def refused(self, call: Callable[[], Any], *argv: str) -> None:
        """Hold what `call` raised against the error that `argv` ends with; both are usage."""
        printed = self.command(*argv, "--json")
        with pytest.raises(FftdeployError) as raised:
            call()
        assert self.capfd.readouterr() == ("", "")
        assert json.loads(printed.out)["error"]["message"] == raised.value.message
        assert raised.value.outcome == USAGE
        assert printed.code == USAGE.exit_code


def _json(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without what is another one at each request."""
    return dict(json.loads(re.sub('"req_[0-9a-f]+"', '"req"', json.dumps(document))))


@pytest.fixture
def door(command: Command, capfd: pytest.CaptureFixture[str]) -> Door:
    return Door(command, capfd)


def test_status(files: Path, sandbox: Sandbox, door: Door) -> None:
    found = door.same(lambda: fftdeploy.status(["*/production"]), "status", "*/production")
    sandbox.remove(V8)
    dead = door.same(lambda: fftdeploy.status(fail_on="dead"), "status", "--fail-on", "dead")
    offline = fftdeploy.status(["*/production"], offline=True, fail_on="dead")

    assert [one.readiness.state for one in found.targets] == ["ready"]
    assert [finding.subject for finding in dead.findings] == [PRODUCTION]
    assert (offline.verified, offline.findings) == (False, ())
    door.refused(lambda: fftdeploy.status(["nowhere"]), "status", "nowhere")
