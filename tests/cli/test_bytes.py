"""Bytes that are not UTF-8, and text in a locale that has none: refused, or written right."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import forked
import pytest
from command_line import PROGRAM, Command, git
from scenes import V8, V9, V10, past, read, write

from fftdeploy.cli.command_groups import COMMANDS
from fftdeploy.formats.document import text_problem

TARGET = "triage/production"
POSIX = {"PYTHONUTF8": "0", "LC_ALL": "POSIX"}
WORD = "pr\udcfcfung"
"""What Python makes of the bytes `pr\xfcfung`."""
READERS = (
    ("status", "--offline"),
    ("check", "--offline"),
    ("check", "--offline", "--base", "HEAD"),
    ("history",),
    ("diff", "triage/staging", TARGET),
    ("diff", "HEAD"),
    ("resolve", TARGET, "--json"),
    ("models",),
    ("scan",),
    ("size", TARGET),
    ("eval", TARGET, "--max-requests", "1"),
    ("verify",),
    ("report",),
    ("review", "triage"),
    ("schema", "deployments"),
    ("init",),
)
WRITERS = (
    ("hold", TARGET, V10, "--why", "x", "--yes", "--dry-run"),
    ("unhold", TARGET, "--why", "x", "--yes", "--dry-run"),
    ("adopt", TARGET, "--why", "x", "--yes", "--dry-run"),
    ("promote", TARGET, "--model", V8, "--why", "x", "--yes", "--dry-run"),
    ("rollback", TARGET, "--why", "x", "--yes", "--dry-run"),
)


@pytest.fixture
def file(repo: Path) -> Path:
    write(past("triage/staging", V8), past(TARGET, V8, V9))
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    return repo / "deployments.toml"


def places(name: str) -> Iterator[tuple[str, ...]]:
    """Yield command lines of one command that have the word in every kind of place."""
    yield (name, WORD)
    yield (name, TARGET, WORD)
    yield (WORD, name)
    for flag in ("--why", "--by", "--file", "--model", "--format", "--base", f"--{WORD}"):
        yield (name, TARGET, flag, WORD)
        yield (name, TARGET, f"{flag}={WORD}")


def test_J8_no_argument_of_any_command_may_be_other_than_utf8(file: Path, command: Command) -> None:
    before, tried = file.read_bytes(), 0
    for name in COMMANDS:
        for argv in places(name):
            for more in ((), ("--json",), ("--help",)):
                done = command(*argv, *more)
                tried += 1
                assert done.code == 2, argv
                assert "is not UTF-8\n" in done.err, argv
                assert "\\udcfc" in done.err
                if more == ("--json",):
                    assert json.loads(done.out)["exit_code"] == 2
    assert file.read_bytes() == before
    print(f"J8: {tried} command lines, all exit 2")


@pytest.mark.parametrize(
    "argv",
    [
        ["hold", TARGET, V10, "--yes", "--by", "x", "--why", b"pr\xfcfung"],
        ["hold", TARGET, V10, "--yes", "--why", "x", "--by", b"\xff"],
        ["status", "--offline", "--file", b"\xff.toml"],
        ["resolve", b"triage/\xff"],
        ["resolve", TARGET, "--file", b"\xff.toml"],
    ],
    ids=["why", "by", "file", "resolve", "resolve-file"],
)
@pytest.mark.parametrize("environ", [{}, POSIX], ids=["utf8", "posix"])
def test_J8_the_process_refuses_bytes(
    file: Path, argv: list[str | bytes], environ: dict[str, str]
) -> None:
    before = file.read_bytes()
    Path(os.fsdecode(b"\xff.toml")).write_bytes(before)

    environ = environ or {"PYTHONPATH": forked.path()}
    done = subprocess.run(
        [PROGRAM, *argv], capture_output=True, env={**os.environ, **environ}, check=False
    )

    assert (done.returncode, done.stdout, file.read_bytes()) == (2, b"", before)
    assert done.stderr.splitlines()[0].endswith(b" is not UTF-8")


def test_J8_text_is_written_right_in_a_locale_without_it(file: Path) -> None:
    argv = ["hold", TARGET, V10, "--why", "prüfung 試験", "--yes"]

    done = subprocess.run(
        [PROGRAM, *argv],
        capture_output=True,
        env={**os.environ, **POSIX, "GITHUB_ACTOR": "Jürgen"},
        check=False,
    )

    assert (done.returncode, read(TARGET).holds[0].why) == (0, "prüfung 試験"), done.stderr
    assert read(TARGET).holds[0].by == "Jürgen"
    assert "prüfung 試験" in done.stdout.decode()


def test_J8_files_are_found_in_a_locale_without_their_letters(repo: Path) -> None:
    folder = repo / "prüfung"
    folder.mkdir()
    (folder / "試験.toml").write_text('version = 1\n[triage.production]\nmodel = "m"\n')
    gate = (
        'examples = ["größe.jsonl"]\n[[tasks.triage.gate.graders]]\ntype = "length"\nmax_chars = 9'
    )
    (folder / "fftdeploy.toml").write_text(f"version = 1\n[tasks.triage.gate]\n{gate}\n")
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    (folder / "größe.jsonl").write_text(json.dumps({"messages": turns}) + "\n")

    for argv in (("check", "--offline"), ("size", TARGET, "gpt-6-luna")):
        done = subprocess.run(
            [PROGRAM, *argv, "--file", "prüfung/試験.toml", "--json"],
            capture_output=True,
            text=True,
            env={**os.environ, **POSIX},
            check=False,
        )
        assert done.returncode == 0, done
        assert done.stderr == "" or "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("GITHUB_ACTOR", "GITHUB_ACTOR must be UTF-8"),
        ("GITLAB_USER_LOGIN", "GITLAB_USER_LOGIN must be UTF-8"),
        ("", "git's user.email must be UTF-8"),
    ],
)
def test_J8_a_name_that_is_no_text_is_never_written(
    file: Path, command: Command, monkeypatch: pytest.MonkeyPatch, variable: str, said: str
) -> None:
    before = file.read_bytes()
    if variable:
        monkeypatch.setenv(variable, "J\udcfcrgen")
    else:
        git("config", "user.email", b"J\xfcrgen@acme.example")

    done = command("hold", TARGET, V10, "--why", "x", "--yes")
    kept = file.read_bytes()
    named = command("hold", TARGET, V10, "--why", "x", "--yes", "--by", "ana")

    assert (done.code, done.err) == (2, f"error: {said}\nhint: add --by NAME\n")
    assert kept == before
    assert (named.code, read(TARGET).holds[0].by) == (0, "ana")


VARIABLES = (
    *("FFTDEPLOY_FILE", "FFTDEPLOY_NOW", "FFTDEPLOY_MODEL_TRIAGE_PRODUCTION", "OPENAI_API_KEY"),
    *("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "HTTPS_PROXY", "SSL_CERT_FILE"),
    *("COLUMNS", "TERM", "NO_COLOR", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "EDITOR", "PATH"),
)


@pytest.mark.parametrize("variable", VARIABLES)
def test_J8_no_variable_of_the_environment_is_a_bug(
    file: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    no_waiting: None,
    variable: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "x" * 40)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("GITHUB_ACTIONS", "true" if variable.startswith("GITHUB") else "")
    monkeypatch.setenv(variable, "/x\udcff" if variable != "OPENAI_BASE_URL" else "http://\udcff")

    for argv in (("status",), ("models",), *READERS[1:6], *WRITERS[:1], WRITERS[-1]):
        done = command(*argv, *(flag for flag in ("--json",) if flag not in argv))
        assert done.code != 1, (argv, done)
        assert json.loads(done.out)["exit_code"] == done.code
        assert done.out.isascii()
        assert "\\ud" not in done.out.replace("\\\\ud", "")  # half of a pair is no JSON


def test_J8_files_and_branches_whose_names_are_bytes(
    file: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = Path(os.fsdecode(b"caf\xe9"))
    strange.mkdir()
    for name in (b"caf\xe9/deployments.toml", b"caf\xe9/a.py", b"caf\xe9.py"):
        Path(os.fsdecode(name)).write_text(f'version = 1\n[a.b]\nmodel = "{V8}"\n')
    git("add", ".")
    git("commit", "--quiet", "--message", b"caf\xe9")
    git("branch", b"caf\xe9")
    git("tag", b"v\xe9")

    for folder in (file.parent, strange):
        monkeypatch.chdir(folder)
        for argv in (*READERS, *WRITERS, ("check", "--offline", "--base", "HEAD^")):
            done = command(*argv)
            assert done.code != 1, (argv, done)


def test_J8_what_may_be_written_into_the_file() -> None:
    assert text_problem("prüfung \U0001f600") == ""
    assert [text_problem(text) for text in ("\udcff", "a\ud800")] == ["must be UTF-8"] * 2
