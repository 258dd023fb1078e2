"""Every command as a function of Python: what `--json` prints, as a value."""

import asyncio
import inspect
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT
from command_line import Command, Result
from gated import scene
from scenes import V8, V9, V10

import fftdeploy
from fftdeploy.commands.changing.change import Changed
from fftdeploy.commands.evaluate import Evaluations
from fftdeploy.commands.schema import results
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.output.results import as_json
from fftdeploy.sandbox import Sandbox

FILE = f"""version = 1

[triage.production]
model = "{V8}"
releases = [
  {{ n = 2, model = "{V8}", at = 2026-11-02T09:00:00Z, by = "ana", via = "model" }},
  {{ n = 1, model = "{V9}", at = 2026-11-01T09:00:00Z, by = "ana", via = "model" }},
]
"""
NIGHT = datetime(2026, 11, 1, 23, tzinfo=UTC)
ENVELOPE = {"schema", "outcome", "exit_code", "retry", "api", "hosts", "findings"}

SAME: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "promote": (
        lambda: fftdeploy.promote("production", model=V9, dry_run=True),
        ("promote", "production", "--model", V9, "--dry-run"),
    ),
    "rollback": (
        lambda: fftdeploy.rollback("production", dry_run=True, why="bad"),
        ("rollback", "production", "--dry-run", "--why", "bad"),
    ),
    "adopt": (
        lambda: fftdeploy.adopt("production", dry_run=True),
        ("adopt", "production", "--dry-run"),
    ),
    "hold": (
        lambda: fftdeploy.hold("production", V9, why="bad", dry_run=True),
        ("hold", "production", V9, "--why", "bad", "--dry-run"),
    ),
    "check": (lambda: fftdeploy.check(probe=True), ("check", "--probe")),
    "status": (lambda: fftdeploy.status(["*/production"]), ("status", "*/production")),
    "status, one": (lambda: fftdeploy.status("triage"), ("status", "triage")),
    "status, offline": (
        lambda: fftdeploy.status(["*/production"], offline=True, fail_on="dead"),
        ("status", "*/production", "--offline", "--fail-on", "dead"),
    ),
    "history": (
        lambda: fftdeploy.history("triage/production"),
        ("history", "triage/production"),
    ),
    "history, at a moment": (
        lambda: fftdeploy.history(at=NIGHT.astimezone(timezone(timedelta(hours=9)))),
        ("history", "--at", NIGHT.isoformat()),
    ),
    "diff": (
        lambda: fftdeploy.diff("triage/production", "triage/production"),
        ("diff", "triage/production", "triage/production"),
    ),
    "models": (fftdeploy.models, ("models",)),
    "scan, one": (lambda: fftdeploy.scan("./deployments.toml"), ("scan", "deployments.toml")),
    "scan": (lambda: fftdeploy.scan(["deployments.toml"]), ("scan", "deployments.toml")),
    "schema": (lambda: fftdeploy.schema("policy"), ("schema", "policy")),
}
QUALITY: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "eval": (lambda: fftdeploy.evaluate("production"), ("eval", "production")),
    "eval, as it is live": (
        lambda: fftdeploy.evaluate("triage/production", ["live"], max_requests=20),
        ("eval", "triage/production", "live", "--max-requests", "20"),
    ),
    "size": (
        lambda: fftdeploy.size("production", repeats=3),
        ("size", "production", "--repeats", "3"),
    ),
    "verify": (fftdeploy.verify, ("verify",)),
    "report": (fftdeploy.report, ("report",)),
    "report, a page": (
        lambda: fftdeploy.report(out="report.html", redact=True),
        ("report", "-o", "report.html", "--redact"),
    ),
}


@pytest.fixture
def file(repo: Path, sandbox: Sandbox) -> Path:
    path = repo / "deployments.toml"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize("name", SAME)
def test_a_function_returns_what_its_command_prints(
    file: Path, command: Command, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    function, words = SAME[name]

    made = function()

    assert capfd.readouterr() == ("", "")
    assert printed(command(*words, "--json")) == as_printed(made)


def as_printed(made: object) -> Any:
    return json.loads(json.dumps(as_json(made)))


def printed(ended: Result) -> dict[str, Any]:
    """Return what a command printed, without what every document has."""
    return {k: v for k, v in json.loads(ended.out).items() if k not in ENVELOPE}


def test_a_function_about_quality_returns_what_its_command_prints(
    repo: Path, sandbox: Sandbox, command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    scene(V8, V10, examples=20)
    command("eval", "triage/production")
    capfd.readouterr()

    made = {name: function() for name, (function, _) in QUALITY.items()}

    assert capfd.readouterr() == ("", "")
    for name, (_, words) in QUALITY.items():
        assert printed(command(*words, "--json")) == as_printed(made[name]), name


def test_a_notebook_whose_loop_runs_can_evaluate(repo: Path, sandbox: Sandbox) -> None:
    scene(V8, V10, examples=20)

    async def cell() -> Evaluations:
        return fftdeploy.evaluate("production")

    (made,) = asyncio.run(cell()).evaluations

    assert made.verdict.arms[0].n == 20
    assert [one.candidate for one in fftdeploy.verify().evidence if one.consistent] == [V10]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fftdeploy.evaluate("triage/staging"), ("eval", "triage/staging")),
        (lambda: fftdeploy.size("triage/dev"), ("size", "triage/dev")),
        (lambda: fftdeploy.verify(["feedfeed"]), ("verify", "feedfeed")),
        (lambda: fftdeploy.report(redact=True), ("report", "--redact")),
    ],
    ids=["eval", "size", "verify", "report"],
)
def test_a_function_about_quality_refuses_what_its_command_refuses(
    repo: Path, command: Command, call: Callable[[], object], words: tuple[str, ...]
) -> None:
    scene(V8, V10, examples=20)

    with pytest.raises(FftdeployError) as caught:
        call()

    error = json.loads(command(*words, "--json").out)["error"]
    message = error["message"].replace("--redact", "redact=True")  # of the shell and of Python
    assert (message, error["hint"]) == (caught.value.message, caught.value.hint)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"repeats": 0}, "repeats=0 is not 1 to 100"),
        ({"repeats": 101}, "repeats=101 is not 1 to 100"),
        ({"concurrency": 501}, "concurrency=501 is not 1 to 500"),
        ({"max_requests": 0}, "max_requests=0 is not 1 or more"),
    ],
)
def test_a_number_that_no_flag_takes_is_refused(
    repo: Path, numbers: dict[str, Any], said: str
) -> None:
    scene(V8, V10, examples=20)

    with pytest.raises(UsageError) as caught:
        fftdeploy.evaluate("triage/production", **numbers)

    assert caught.value.message == said


def test_a_change_is_made_once_a_function_of_ours_approves(file: Path) -> None:
    shown: list[Any] = []

    def refuse(planned: Any) -> bool:
        shown.append(planned.after.model)
        return False

    with pytest.raises(FftdeployError, match="not confirmed"):
        fftdeploy.promote("production", model=V9, why="x", approve=refuse)
    assert (shown, file.read_text()) == ([V9], FILE)
    done = fftdeploy.promote("production", model=V9, why="x", approve=bool)  # of anything

    assert done.changed
    assert done.release is not None
    assert (done.release.n, done.release.bundle.model) == (3, V9)
    assert f'model = "{V9}"' in file.read_text()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fftdeploy.promote("production", model=V9, why="x", approve=False), "a function"),  # type: ignore[arg-type]  # to be refused
        (lambda: fftdeploy.promote("production", model=V9, why="x", wait_s=float("nan")), "wait_s"),
        (lambda: fftdeploy.promote("production", why="x", wait_s=-1.0, model=V9), "wait_s"),
        (
            lambda: fftdeploy.promote(
                "production", model=V9, why="x", evaluate=True, max_usd=float("nan")
            ),
            "max_usd nan",
        ),
        (
            lambda: fftdeploy.promote(
                "production", model=V9, why="x", evaluate=True, max_usd=float("inf")
            ),
            "max_usd inf",
        ),
        (lambda: fftdeploy.check(base="HEAD", rerun=True, max_requests=0), "max_requests=0"),
        (lambda: fftdeploy.hold("production", V9, why="x", until=datetime(2026, 12, 1)), "offset"),  # noqa: DTZ001  that is the fault
        (lambda: fftdeploy.history("production", at=datetime(2026, 12, 1)), "offset"),  # noqa: DTZ001  as above
        (lambda: fftdeploy.diff("a\0b"), "a has a NUL"),
        (lambda: fftdeploy.scan(["a", "b\0"]), "paths has a NUL"),
        (lambda: fftdeploy.status(file="a\0"), "file has a NUL"),
    ],
    ids=[
        "approve",
        "wait-nan",
        "wait",
        "usd-nan",
        "usd-inf",
        "requests",
        "until",
        "at",
        "ref",
        "paths",
        "file",
    ],
)
def test_what_no_flag_takes_is_refused_and_nothing_is_written(
    file: Path, call: Callable[[], object], said: str
) -> None:
    with pytest.raises(FftdeployError, match=said) as caught:
        call()

    assert caught.value.outcome.exit_code == 2
    assert file.read_text() == FILE


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (
            lambda: fftdeploy.promote("production", model=V9, why="x", evaluate=True),
            "add max_requests=N or max_usd=X; with dry_run=True it says what it would ask",
        ),
        (lambda: fftdeploy.hold("production", V9), 'add why="TEXT"'),
        (
            lambda: fftdeploy.rollback("production", to=9),
            "`fftdeploy history triage/production` lists them",
        ),
    ],
    ids=["eval", "why", "shell"],
)
def test_a_hint_names_arguments_where_the_command_names_flags(
    file: Path, call: Callable[[], object], hint: str
) -> None:
    with pytest.raises(FftdeployError) as caught:
        call()

    assert caught.value.hint == hint
    assert "--" not in str(caught.value)


def test_help_shows_what_a_function_takes_and_returns() -> None:
    assert inspect.signature(fftdeploy.promote).return_annotation is Changed
    explained = inspect.getdoc(fftdeploy.promote) or ""
    assert "    model: Model to promote: its ID, or its short name.\n" in explained
    assert "    max_usd: With evaluate=True: spend no more.\n" in explained
    for name in inspect.signature(fftdeploy.promote).parameters.keys() - {"approve"}:
        assert f"\n    {name}: " in explained or f"\n    {name}=False: " in explained


def test_an_error_has_its_outcome_and_nothing_is_said(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FftdeployError) as caught:
        fftdeploy.promote("production", model="ft:gpt-4.1-mini-2025-04-14:acme::Nope1")

    assert caught.value.outcome.exit_code == 4
    assert not caught.value.changed
    assert capfd.readouterr() == ("", "")
    assert file.read_text() == FILE


def test_what_is_found_and_the_outcome_are_part_of_a_result(file: Path, command: Command) -> None:
    Path("app.py").write_text(f'MODEL = "{V8}"')

    for made, *words in (
        (fftdeploy.status(fail_on="runway:90d"), "status", "--fail-on", "runway:90d"),
        (fftdeploy.scan([Path("app.py")]), "scan", "app.py"),
    ):
        printed = json.loads(command(*words, "--json").out)
        assert len(made.findings) == 1
        assert printed["findings"] == as_json(made.findings)
        assert printed["exit_code"] == made.outcome.exit_code == 12


def test_every_typed_command_is_a_function_with_its_promise() -> None:
    named = {"evaluate" if name == "eval" else name for name in results()} - {
        "review",
        "run",
        "sandbox",
        "demo",
        "mcp",
    }
    functions = {name for name in fftdeploy.__all__ if name.islower() and name[0] != "_"}

    assert named <= functions
    package = Path(fftdeploy.__file__).parent
    modules = {path.relative_to(package).parts[0] for path in package.rglob("*.py")}
    assert not functions & {Path(name).stem for name in modules}
    for name in functions:
        assert inspect.getdoc(getattr(fftdeploy, name)), name


def test_a_wrong_argument_is_named_and_the_type_checker_knows(file: Path) -> None:
    with pytest.raises(TypeError, match=r"^promote\(\) .*modle"):
        fftdeploy.promote("production", modle=V9)  # type: ignore[call-arg]  # or mypy would say so
    planned = fftdeploy.promote("production", model=V9, why="x", dry_run=True)
    after: str = planned.after.model

    assert after == V9


def test_the_page_runs(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    file.write_text(FILE.replace("triage.production", "triage.staging"))

    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(program, "docs/python.md", "exec"), {})  # noqa: S102  the page is ours

    out = capfd.readouterr().out
    assert f"{V8} -> {V9}\n" in out
    assert "usage" in out or "not-ready" in out
