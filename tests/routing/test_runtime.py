"""`fftdeploy.resolve`, and the `resolve` command by its quick way and its whole way."""

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from scenes import V8, V9

from fftdeploy import FftdeployError, Resolution, resolve
from fftdeploy.cli.app import run
from fftdeploy.cli.quick import resolve_quickly
from fftdeploy.errors import ConfigError, UsageError
from fftdeploy.policy import profiles
from fftdeploy.routing import kept_files
from fftdeploy.routing.runtime import FILE_NAME, find_file

VARIABLE = "FFTDEPLOY_MODEL_TRIAGE_PRODUCTION"
PROFILE = 'system = "Be brief."\ntemperature = 0.5\n'
SHA = profiles.parse(PROFILE.encode(), "short", "x").sha


def document(model: str = V9, live: str = "", rows: str = "", more: str = "") -> str:
    row = f'{{ n = 9, model = "{model}", at = 2026-11-20T16:20:31Z, by = "ci", via = "model" }},'
    return (
        f'version = 1\n\n[triage.production]\nmodel = "{live or model}"\n'
        f"releases = [\n  {rows or row}\n]\n{more}"
    )


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    path = tmp_path / "deployments.toml"
    path.write_text(document())
    return path


def facts(found: Resolution) -> tuple[object, ...]:
    return (str(found), found.target, found.release, found.profile_name, found.problem)


def test_the_answer_is_a_str_that_says_where_it_came_from(file: Path) -> None:
    found = resolve("triage/production")

    assert isinstance(found, str)
    assert facts(found) == (V9, "triage/production", 9, None, "")
    assert (found.model, type(found.model)) == (V9, str)
    assert (found.provider, found.profile, found.source) == ("openai", None, str(file))
    assert json.dumps({"model": found}) == f'{{"model": "{V9}"}}'
    assert resolve("production") == found


def test_J44_it_reads_again_when_the_file_changed(file: Path) -> None:
    answers = [resolve("triage/production")]
    file.write_text(document(V8))
    answers.append(resolve("triage/production"))

    replacement = file.with_name("new")
    replacement.write_text(document(V9))
    status = file.stat()
    os.utime(replacement, ns=(status.st_atime_ns, status.st_mtime_ns))
    replacement.replace(file)  # the same size and time: only the inode tells
    answers.append(resolve("triage/production"))
    before = file.stat().st_ctime_ns
    file.write_text(document(V8))
    while file.stat().st_ctime_ns == before:  # a tick of the clock
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    answers.append(resolve("triage/production"))  # the same inode, too: a copy that keeps times

    assert answers == [V9, V8, V9, V8]


def test_it_does_not_read_again_while_nothing_changed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = resolve("triage/production")
    monkeypatch.setattr(kept_files, "read_bytes", lambda _: pytest.fail("read again"))

    assert facts(resolve("triage/production")) == facts(first)


BREAKS = {
    "not-toml": b"version = ",
    "conflict": b"<<<<<<< HEAD\nversion = 1\n",
    "empty": b"",
    "cut": document().encode()[:60],
    "version-only": b"version = 1\n",
    "newer": b"version = 2\n",
    "not-utf8": b"\xff\xfe",
    "bad-model": document("gpt 4").encode(),
    "two-tasks-gone": b"version = 1\n[other.production]\nmodel = 'gpt-6-luna'\n",
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_file_keeps_the_last_good_answer(file: Path, how: str) -> None:
    before = resolve("triage/production")
    file.write_bytes(BREAKS[how])

    during = resolve("triage/production")
    file.write_text(document(V8))
    after = resolve("triage/production")

    assert (str(during), during.release, bool(during.problem)) == (V9, 9, True)
    assert (str(before), before.problem) == (V9, "")
    assert (str(after), after.problem) == (V8, "")


@pytest.mark.parametrize("how", BREAKS)
def test_a_file_that_is_broken_at_the_start_is_an_error(file: Path, how: str) -> None:
    file.write_bytes(BREAKS[how])

    with pytest.raises(FftdeployError) as caught:
        resolve("triage/production")

    assert isinstance(caught.value, UsageError if "version-only" in how or "gone" in how
                      else ConfigError)  # fmt: skip
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("argument", [None, "deployments.toml"], ids=["found", "named"])
def test_a_file_that_vanished_keeps_the_last_good_answer(file: Path, argument: str | None) -> None:
    resolve("triage/production", file=argument)
    file.unlink()

    found = resolve("triage/production", file=argument)

    assert str(found) == V9
    assert "deployments.toml" in found.problem


def test_a_working_directory_that_vanished_keeps_the_last_good_answer(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    resolve("triage/production")
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert "working directory" in resolve("triage/production").problem
    assert facts(resolve("triage/production", file=file)) == (
        (V9, "triage/production", 9, None, "")
    )


def test_one_file_never_answers_for_another(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    resolve("triage/production", file=file)

    with pytest.raises(ConfigError):
        resolve("triage/production", file=other)


@pytest.mark.parametrize("target", ["triage/production", "production"])
def test_override(file: Path, target: str) -> None:
    found = resolve(target, environ={VARIABLE: V8})

    assert facts(found) == (V8, "triage/production", None, None, "")
    assert found.source == VARIABLE


@pytest.mark.parametrize("how", ["absent", "broken"])
def test_override_without_a_usable_file(file: Path, how: str) -> None:
    file.unlink() if how == "absent" else file.write_text("version = ")

    assert resolve("triage/production", environ={VARIABLE: V8}) == V8


@pytest.mark.parametrize("value", ["gpt 4", "ftjob-abc", "ft:g\u0440t", "x\n", "a" * 257])
def test_an_override_that_is_no_model_is_an_error(file: Path, value: str) -> None:
    resolve("triage/production")

    with pytest.raises(ConfigError) as caught:
        resolve("triage/production", environ={VARIABLE: value})

    assert caught.value.where == VARIABLE


def test_hand_edit_has_no_release(file: Path) -> None:
    file.write_text(document(V8, live=V9))

    assert facts(resolve("production")) == (V9, "triage/production", None, None, "")


def with_profile(file: Path, sha: str = SHA, content: str = PROFILE) -> None:
    row = (
        f'{{ n = 9, model = "{V9}", profile = "short", profile_sha = "{sha}", '
        'at = 2026-11-20T16:20:31Z, by = "ci", via = "model" },'
    )
    file.write_text(document(rows=row).replace("releases", 'profile = "short"\nreleases'))
    (file.parent / "profiles").mkdir()
    (file.parent / "profiles/short.toml").write_text(content)


def test_profile_is_given_as_written_and_as_a_copy(file: Path) -> None:
    with_profile(file)
    found = resolve("triage/production")
    assert found.profile == {"system": "Be brief.", "temperature": 0.5}
    assert facts(found) == (V9, "triage/production", 9, "short", "")

    found.profile["system"] = "Sing."  # type: ignore[index]  # what applications may do

    assert resolve("triage/production").profile == {"system": "Be brief.", "temperature": 0.5}


def test_a_profile_changed_in_place_is_a_hand_edit(file: Path) -> None:
    with_profile(file, content='system = "Sing."\n')

    found = resolve("triage/production")

    assert (str(found), found.release) == (V9, None)


PROFILES = {
    "absent": None,
    "not-toml": "system = ",
    "H1-address": 'base_url = "http://127.0.0.1:1"\n',
    "unknown": 'systm = "x"\n',
    "wrong-type": "temperature = true\n",
    "nan": "temperature = nan\n",
}


@pytest.mark.parametrize("how", PROFILES)
def test_a_profile_that_is_not_understood_is_an_error(file: Path, how: str) -> None:
    with_profile(file, content=PROFILES[how] or "")
    if PROFILES[how] is None:
        (file.parent / "profiles/short.toml").unlink()

    with pytest.raises(ConfigError) as caught:
        resolve("triage/production")

    assert caught.value.where.split(":")[0].endswith(".toml")
    assert ":" in caught.value.where


STRICT = {
    "provider": (document(more='provider = "Az ure"\n'), "is not a name"),
    "provider-type": (document(more="provider = 3\n"), "must be a string"),
    "model-of-another-host": (document().replace(V9, "acme/m"), "is not an OpenAI model ID"),
    "profile-name": (document(more="profile = 'A b'\n"), "is not a name"),
    "profile-type": (document(more="profile = 3\n"), "must be a string"),
    "holds-type": (document(more="holds = 3\n"), "must be an array of holds"),
    "no-model": ("version = 1\n[triage.production]\nholds = []\n", "'model' is missing"),
    "model-type": ("version = 1\n[triage.production]\nmodel = 3\n", "must be a string"),
    "table-type": ("version = 1\n[triage]\nproduction = 3\n", "must be a table"),
    "row-type": (document(rows="3,"), "must be an inline table"),
    "row-number": (document().replace("n = 9", "n = true"), "'n' must be"),
    "task-name": ('version = 1\n["tri age".production]\nmodel = "m"\n', "is not a name"),
}


@pytest.mark.parametrize("how", STRICT)
def test_strict_about_this_target(file: Path, how: str) -> None:
    text, said = STRICT[how]
    file.write_text(text)
    target = "tri age/production" if how == "task-name" else "triage/production"

    with pytest.raises(ConfigError, match=said) as caught:
        resolve(target)

    assert caught.value.where.count(":") == 2


def test_lenient_about_other_targets(file: Path) -> None:
    other = '[triage.dev]\nmodel = 3\nbase_url = "x"\n[Other.x]\n'
    file.write_text(document(more=other))

    assert resolve("triage/production") == V9


NEWER = {
    "target": (document(more='shadow = "gpt-6-luna"\n'), ":8:1", "unknown key 'shadow'"),
    "target-table": (document(more="[triage.production.x]\ny = 1\n"), ":8:1", "unknown key 'x'"),
    "target-near": (document(more='provder = "azure"\n'), ":8:1", "unknown key 'provder'"),
    "release": (document().replace("via =", "ticket = 1, via ="), ":6:", "unknown key 'ticket'"),
    "hold": (document(more="holds = [{ model = 'm', sinse = 1 }]\n"), ":8:", "key 'sinse'"),
    "top": (f"region = 1\n{document()}", ":1:1", "unknown key 'region'"),
    "top-near": (f"verson = 1\n{document()}", ":1:1", "unknown key 'verson'"),
    "top-table": (document(more="[defaults.retry]\ntimes = 3\n"), ":9:", "unknown key 'times'"),
    "other-target": (document(more='[triage.dev]\nmodel = "m"\nx = 1\n'), ":10:1", "key 'x'"),
    "H1-address": (document(more='base_url = "http://127.0.0.1:1"\n'), ":8:1", "the API address"),
}  # fmt: skip
NEAR = {"target-near": "provider", "top-near": "version", "hold": "since"}
STRICT_COMMANDS = (
    ("promote", "triage/production", "--model", V8, "--why", "x", "--yes"),
    ("rollback", "triage/production", "--yes"),
    ("adopt", "triage/production", "--why", "x", "--yes"),
    ("hold", "triage/production", V8, "--why", "x", "--yes"),
    ("unhold", "triage/production", "--why", "x", "--yes"),
    ("check", "--offline"),
    ("status", "--offline"),
    ("history",),
    ("diff", "production", "production"),
    ("eval", "triage/production"),
    ("size", "triage/production"),
    ("scan",),
)


@pytest.mark.parametrize("how", NEWER)
@pytest.mark.parametrize("target", ["triage/production", "production"])
def test_J23_a_newer_file_stops_no_service(file: Path, how: str, target: str) -> None:
    file.write_text(NEWER[how][0])

    found = resolve(target)

    assert facts(found) == (V9, "triage/production", 9, None, "")
    assert resolve_quickly(["resolve", target]) == 0
    assert run(["resolve", target, "--json"]) == 0


@pytest.mark.parametrize("how", NEWER)
def test_J23_what_writes_or_checks_refuses_a_newer_file(
    file: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text, where, said = NEWER[how]
    file.write_text(text)

    for argv in STRICT_COMMANDS:
        code, err = run(list(argv)), capfd.readouterr().err
        assert code == 3, (argv, err)
        assert said in err, argv
        assert f"deployments.toml{where}" in err, argv
        assert how not in NEAR or f"hint: did you mean '{NEAR[how]}'?" in err, argv

    assert file.read_text() == text


def test_J23_a_file_of_another_version_is_another_file(file: Path) -> None:
    file.write_text(document().replace("version = 1", "version = 2"))

    with pytest.raises(ConfigError, match="version 2 needs a newer fftdeploy"):
        resolve("triage/production")


def test_threads_see_whole_answers(file: Path) -> None:
    texts = [document(V8), document(V9), "version = ", document(V8, live=V9)]
    wrong: list[object] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        while not stop.is_set():
            try:
                found = resolve("triage/production" if number % 2 else "production")
                if (str(found), found.release) not in {(V8, 9), (V9, 9), (V9, None)}:
                    wrong.append(facts(found))
            except Exception as error:
                wrong.append(error)

    resolve("triage/production")
    resolve("production")
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(200):
        replacement = file.with_name("new")
        replacement.write_text(texts[number % len(texts)])
        replacement.replace(file)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


INPUTS: dict[str, tuple[str, list[str], int]] = {
    # text of the file, arguments, exit code
    "good": (document(), ["triage/production"], 0),
    "bare": (document(), ["production"], 0),
    "file": (document(), ["triage/production", "--file", "deployments.toml"], 0),
    "absent": (document(), ["triage/production", "--file", "none.toml"], 3),
    "unknown": (document(), ["triage/prod"], 2),
    "empty-name": (document(), [""], 2),
    "ambiguous": (document(more='[other.x]\nmodel = "m"\n'), ["production"], 2),
    "other-broken": (document(more="[triage.dev]\nmodel = 3\n"), ["triage/production"], 0),
    "broken": ("version = ", ["triage/production"], 3),
    "no-version": ('[a.b]\nmodel = "m"\n', ["a/b"], 3),
    "J23-newer": (document(more='shadow = "gpt-6-luna"\n'), ["triage/production"], 0),
    "hand-edit": (document(V8, live=V9), ["triage/production"], 0),
    "bom": ("\ufeff" + document(), ["triage/production"], 0),
    "crlf": (document().replace("\n", "\r\n"), ["triage/production"], 0),
    "bad-model": (document("gpt 4"), ["triage/production"], 3),
    "override": (document(), ["triage/production"], 0),
    "bad-override": (document(), ["triage/production"], 3),
}
ENVIRONMENTS = {"override": {VARIABLE: V8}, "bad-override": {VARIABLE: "a b"}}


@pytest.mark.parametrize("row", INPUTS)
def test_the_quick_way_and_the_whole_way_agree(
    file: Path, row: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, arguments, code = INPUTS[row]
    file.write_bytes(text.encode())
    for name, value in ENVIRONMENTS.get(row, {}).items():
        monkeypatch.setenv(name, value)

    quick = resolve_quickly(["resolve", *arguments])
    by_quick = capfd.readouterr().out
    whole = run(["resolve", *arguments, "--quiet"])
    by_whole = capfd.readouterr().out

    assert whole == code
    assert quick == (0 if code == 0 else None)
    assert by_quick == by_whole
    assert by_quick == (f"{V8 if row == 'override' else V9}\n" if code == 0 else "")


@pytest.mark.parametrize("argv", [[], ["status"], ["resolve"], ["resolve", "--help"],
                                  ["resolve", "a/b", "--json"], ["hold", "a/b"]])  # fmt: skip
def test_the_quick_way_leaves_everything_else(
    file: Path, argv: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert resolve_quickly(argv) is None
    assert tuple(capfd.readouterr()) == ("", "")


def test_json(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with_profile(file)

    assert run(["resolve", "triage/production", "--json"]) == 0

    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert found == {
        "schema": "fftdeploy.resolve/1",
        "outcome": "ok",
        "exit_code": 0,
        "retry": "no",
        "target": "triage/production",
        "model": V9,
        "provider": "openai",
        "profile": "short",
        "parameters": {"system": "Be brief.", "temperature": 0.5},
        "release": 9,
        "source": str(file),
    }


def test_it_needs_the_standard_library_only(file: Path) -> None:
    with_profile(file)
    code = (
        "import sys; before = set(sys.modules); import fftdeploy;"
        "found = fftdeploy.resolve('triage/production'); found.release;"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}"
        "- sys.stdlib_module_names))"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout == "['fftdeploy']\n"


def test_it_is_documented() -> None:
    documentation = resolve.__doc__ or ""
    for word in (VARIABLE, "FFTDEPLOY_FILE", "problem", "ConfigError", "UsageError", "threads"):
        assert word in documentation


def test_the_file_is_looked_for_up_to_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, root = tmp_path / FILE_NAME, tmp_path / "repo"
    inner = root / "a" / "b"
    inner.mkdir(parents=True)
    outside.write_text("never")
    (root / ".git").write_text("gitdir: elsewhere\n")
    monkeypatch.chdir(inner)

    with pytest.raises(ConfigError, match=r"^there is no deployments.toml$") as missing:
        find_file(None, {})
    (root / FILE_NAME).write_text("far")
    far = find_file(None, {})
    (root / "a" / FILE_NAME).write_text("near")

    assert (missing.value.code, "fftdeploy init" in missing.value.hint) == ("no-file", True)
    assert (far, find_file(None, {})) == (str(root / FILE_NAME), str(root / "a" / FILE_NAME))


def test_without_a_repository_it_is_looked_for_here_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FILE_NAME).write_text("above")
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")

    with pytest.raises(ConfigError):
        find_file(None, {})
    monkeypatch.chdir(tmp_path)

    assert find_file(None, {}) == str(tmp_path / FILE_NAME)


def test_G6_a_working_directory_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(ConfigError, match=r"^the working directory is gone or unreadable$"):
        find_file(None, {})
    monkeypatch.chdir(tmp_path)


def test_an_answer_is_copied_and_pickled_whole(file: Path) -> None:
    found = resolve("triage/production")

    again = [copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))]  # noqa: S301  its own

    assert [(each, each.release, each.target, each.source) for each in again] == [
        (V9, 9, "triage/production", str(file))
    ] * 3
