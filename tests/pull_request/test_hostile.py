"""Rows H, and the content rows of B: what a pull request can write, and what it can't do."""

import importlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import PROGRAM, Command
from fault_server import FaultServer
from scenes import V8, V9

import fftdeploy

ROW8 = f'{{ n = 8, model = "{V8}", at = 2026-11-18T09:12:04Z, by = "ci", via = "model" }}'
ROW9 = f'{{ n = 9, model = "{V9}", at = 2026-11-20T16:20:31Z, by = "ci", via = "model" }}'
HOLD = f'{{ model = "{V8}", since = 2026-11-20T18:02:10Z, by = "ci", why = "x" }}'
TARGET = f'[triage.production]\nmodel = "{V9}"\nreleases = [\n  {ROW9},\n  {ROW8},\n]\n'
GOOD = f"version = 1\n\n{TARGET}"
SENTINEL = "sk-proj-Sentinel0123456789"


@pytest.fixture
def trap(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server that must not be called, as the address of the API."""
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-Canary0123456789abcdef")
        yield server
        assert server.accepted == 0


ASKING = (
    ("promote", "triage/production", "--model", "gpt-6-luna", "--yes", "--why", "x"),
    ("rollback", "triage/production", "--yes"),
    ("status",),
    ("check",),
)
# Of the files beside it a command reads what it needs: a way back needs no policy.
BESIDE = (ASKING[0], ("status",), ("check", "--offline"))
OFFLINE = (("history",), ("hold", "triage/production", V9, "--why", "x", "--yes"))


def refused(command: Command, argv: tuple[str, ...], file: str, *, line: int | None = None) -> str:
    """Run a command that must exit 3 at `file`, and return what it printed."""
    done = command(*argv)
    first = done.err.splitlines()[0]
    assert done.code == 3, (argv, done)
    assert first.startswith("error: "), done
    found = re.search(rf"\({re.escape(file)}:(\d+)(:\d+)?\)$", first)
    assert found, first
    assert line is None or int(found[1]) == line, first
    assert "Traceback" not in done.err
    return done.out + done.err


ADDRESS = 'base_url = "http://{trap}/v1/{sentinel}"'
SETTINGS = {
    # H1: where requests go
    **{
        f"H1-{key}": f'{key} = "http://{{trap}}/{{sentinel}}"'
        for key in (
            *("base_url", "baseurl", "baseUrl", "BASE_URL", "api_base", "api_url", "apiurl", "url"),
            *("endpoints", "host", "hosts", "server", "address", "openai_base_url", "api-base"),
        )
    },
    # H2: the key, or the name of its variable
    **{
        f"H2-{key}": f'{key} = "{{sentinel}}"'
        for key in ("api_key", "apikey", "key", "token", "api_key_env", "password", "secret")
    },
    # H3: how requests are made
    **{
        f"H3-{key}": f"{key} = {value}"
        for key, value in {
            "organization": '"{sentinel}"',
            "project": '"{sentinel}"',
            "headers": '{{ Authorization = "{sentinel}" }}',
            "proxy": '"http://{trap}"',
            "verify": "false",
            "ca_bundle": '"/etc/{sentinel}"',
            "timeout": "1",
            "retries": "99",
        }.items()
    },
    # H4: code
    **{
        f"H4-{key}": f'{key} = "touch {{folder}}/owned; {{sentinel}}"'
        for key in ("hook", "hooks", "command", "plugin", "exec", "run", "python", "template")
    },
    # H6: other files
    **{
        f"H6-{key}": f'{key} = "http://{{trap}}/{{sentinel}}.toml"'
        for key in ("include", "extends", "config", "import", "userconfig")
    },
    # H7: where to write
    **{
        f"H7-{key}": f'{key} = "../{{sentinel}}"'
        for key in ("output", "log", "report", "path", "file")
    },
    # H9: bypasses
    **{
        f"H9-{key}": f"{key} = true"
        for key in ("skip_checks", "force", "allow_unready", "trusted", "verified", "unverified")
    },
}
PLACES = {
    "deployments-top": ("deployments.toml", "version = 1\n{line}\n\n" + TARGET),
    "deployments-task": ("deployments.toml", f"{GOOD}[triage]\n{{line}}\n"),
    "deployments-target": (
        "deployments.toml",
        GOOD.replace("releases", "{line}\nreleases", 1),
    ),
    "policy-top": ("fftdeploy.toml", "version = 1\n{line}\n"),
    "policy-environment": ("fftdeploy.toml", "version = 1\n[environments.production]\n{line}\n"),
    "policy-task": ("fftdeploy.toml", "version = 1\n[tasks.triage]\n{line}\n"),
    "profile": ("profiles/short.toml", 'system = "x"\n{line}\n'),
}


@pytest.mark.parametrize("place", PLACES)
def test_H1_to_H9_settings(repo: Path, command: Command, trap: FaultServer, place: str) -> None:
    file, template = PLACES[place]
    (repo / "profiles").mkdir()
    (repo / "profiles/short.toml").write_text('system = "x"\n')
    profiled = GOOD.replace("releases", 'profile = "short"\nreleases', 1)
    tried = 0
    for name, setting in SETTINGS.items():
        text = setting.replace("{{", "{").replace("}}", "}")
        text = text.replace("{trap}", f"127.0.0.1:{trap.port}").replace("{sentinel}", SENTINEL)
        text = text.replace("{folder}", str(repo))
        (repo / "deployments.toml").write_text(profiled if place == "profile" else GOOD)
        (repo / file).write_text(template.replace("{line}", text))
        before = (repo / "deployments.toml").read_bytes()
        line = template.partition("{line}")[0].count("\n") + 1
        every = ASKING if file == "deployments.toml" else BESIDE
        for argv in every if tried % 8 == 0 else every[:1]:
            said = refused(command, argv, file, line=line)
            assert SENTINEL not in said, (name, said)
        assert (repo / "deployments.toml").read_bytes() == before
        tried += 1
    assert not (repo / "owned").exists()
    print(f"{place}: {tried} settings tried, 0 accepted, {trap.accepted} connections to the trap")


def test_H1_H2_say_what_to_do_instead(repo: Path, command: Command, trap: FaultServer) -> None:
    (repo / "deployments.toml").write_text(f'version = 1\nbase_url = "http://x"\n{TARGET}')
    assert "use OPENAI_BASE_URL" in command("status").err
    (repo / "deployments.toml").write_text(f'version = 1\napi_key = "{SENTINEL}"\n{TARGET}')
    assert "revoke it" in command("status").err


TEMPLATES = (
    "${OPENAI_API_KEY}",
    "$(id)",
    "%(x)s",
    "{0.__class__}",
    "{{7*7}}",
    "$HOME",
    "`id`",
    "~",
)


@pytest.mark.parametrize("text", TEMPLATES)
def test_H5_nothing_is_expanded(repo: Path, command: Command, trap: FaultServer, text: str) -> None:
    row = ROW9.replace('via = "model"', f'via = "model", why = {json.dumps(text)}')
    (repo / "deployments.toml").write_text(GOOD.replace(ROW9, row))

    done = command("history", "--json")

    assert json.loads(done.out)["targets"][0]["releases"][0]["why"] == text
    assert text in command("history").out


def test_H9_verified_is_only_ever_false(repo: Path, command: Command, trap: FaultServer) -> None:
    row = ROW9.replace('via = "model"', 'via = "model", verified = true')
    (repo / "deployments.toml").write_text(GOOD.replace(ROW9, row))

    refused(command, ("status",), "deployments.toml", line=6)


LINKS = ("/proc/self/environ", "{home}/.netrc", "../outside.toml", "/dev/stdin", "absent", "loop")


@pytest.mark.parametrize("to", LINKS)
def test_H15_A21_link_out_of_the_repository(
    repo: Path, command: Command, trap: FaultServer, to: str
) -> None:
    secret = "machine api.example.com password hunter2"
    home = repo.parent / "home"
    (home / ".netrc").write_text(secret)
    (repo.parent / "outside.toml").write_text(GOOD)
    name = "deployments.toml" if to == "loop" else to.format(home=home)
    (repo / "deployments.toml").symlink_to(name)

    for argv in (*ASKING, *OFFLINE):
        done = command(*argv)
        assert done.code == 3, (argv, done)
        assert "hunter2" not in done.out + done.err
        assert "OPENAI_API_KEY" not in done.out
        assert "Canary" not in done.out + done.err
    if to != "../outside.toml":  # an application may mount its file from elsewhere
        done = command("resolve", "triage/production")
        assert (done.code, done.out) == (3, "")
        assert "hunter2" not in done.err
        assert "Canary" not in done.err
    assert (repo.parent / "outside.toml").read_text() == GOOD


@pytest.mark.parametrize("kind", ["policy", "profile"])
def test_H15_links_of_the_files_beside_it(
    repo: Path, command: Command, trap: FaultServer, kind: str
) -> None:
    (repo / "profiles").mkdir()
    (repo / "deployments.toml").write_text(
        GOOD.replace("releases", 'profile = "short"\nreleases', 1)
    )
    link = repo / ("fftdeploy.toml" if kind == "policy" else "profiles/short.toml")
    outside = repo.parent / "outside.toml"
    outside.write_text("version = 1\n")
    link.symlink_to(outside)

    assert command("status", "--offline").code == 3


CONTENT: dict[str, tuple[bytes, str]] = {
    # the file, and what the message says
    "B5-not-utf8": (GOOD.encode() + b"# \xff\n", "not UTF-8"),
    "B5-utf16": (GOOD.encode("utf-16"), "UTF-16"),
    "B6-nul": (GOOD.encode() + b"# \0\n", "control character, U+0000"),
    "B6-lone-cr": (GOOD.encode() + b"# a\rb\n", "control character, U+000D"),
    "B6-escape": (GOOD.encode() + b"# \x1b[2J\n", "control character, U+001B"),
    **{
        f"B7-{code:04X}": (f"{GOOD}# {chr(code)}\n".encode(), f"U+{code:04X}")
        for code in (0x202A, 0x202E, 0x2066, 0x2069, 0x200B, 0x200F, 0xFEFF)
    },
    "B8-conflict": (
        GOOD.replace(
            f'model = "{V9}"\n',
            f'<<<<<<< HEAD\nmodel = "{V9}"\n=======\nmodel = "x"\n>>>>>>> b\n',
            1,
        ).encode(),
        "unresolved merge conflict at line 4",
    ),
    "B8-diff3": (
        GOOD.replace(
            f'model = "{V9}"\n', f'<<<<<<< a\nmodel = "{V9}"\n||||||| b\n=======\n>>>>>>> c\n', 1
        ).encode(),
        "unresolved merge conflict at line 4",
    ),
    "B9-key-twice": (GOOD.replace("releases", 'model = "x"\nreleases', 1).encode(), "line 4"),
    "B9-table-twice": ((GOOD + TARGET).encode(), "line 3"),
    "B9-dotted": (f'version = 1\ntriage.production.model = "x"\n{TARGET}'.encode(), ""),
    "B10-unknown": (GOOD.replace("releases =", "release =").encode(), "did you mean 'releases'?"),
    "B10-top": (f"version = 1\nverion = 2\n{TARGET}".encode(), "unknown key 'verion'"),
    "B11-model": (GOOD.replace(f'model = "{V9}"\n', "model = 3\n", 1).encode(), "must be a string"),
    "B11-array-of-tables": (
        GOOD.replace("[triage.production]", "[[triage.production]]").encode(),
        "",
    ),
    "B11-task": (b"version = 1\ntriage = 3\n", "'triage' must be a table of environments"),
    "B12-nan": (GOOD.replace("n = 9", "n = nan").encode(), "'n' must be an integer"),
    "B12-true": (GOOD.replace("n = 9", "n = true").encode(), "'n' must be an integer"),
    "B12-huge": (GOOD.replace("n = 9", f"n = {'9' * 30}").encode(), "'n'"),
    "B12-negative": (GOOD.replace("n = 9", "n = -9").encode(), "'n'"),
    "B13-naive": (GOOD.replace("16:20:31Z", "16:20:31").encode(), "no offset"),
    "B13-date": (GOOD.replace("2026-11-20T16:20:31Z", "2026-11-20").encode(), "must be a time"),
    "B13-impossible": (GOOD.replace("2026-11-20T", "2026-02-30T").encode(), ""),
    "B13-outside": (GOOD.replace("2026-11-20T16:20:31Z", "0001-01-01T00:00:00+23:00").encode(), ""),
    "B14-empty": (b"", "'version' is missing"),
    "B14-comment": (b"# nothing yet\n", "'version' is missing"),
    "B21-newer": (GOOD.replace("version = 1", "version = 2").encode(), "needs a newer fftdeploy"),
    "B21-text": (GOOD.replace("version = 1", 'version = "1"').encode(), "'version' must be"),
    "B28-id": (GOOD.replace(ROW8, ROW8.replace(V8, "gpt 4")).encode(), "is not a model ID"),
    "B28-order": (GOOD.replace("n = 8", "n = 10").encode(), "numbers go down"),
    "B28-twice": (GOOD.replace("n = 8", "n = 9").encode(), "numbers go down"),
    "B28-via": (GOOD.replace('via = "model" }', 'via = "magic wand" }', 1).encode(), ""),
    "B28-hidden-why": (
        GOOD.replace('via = "model" }', 'via = "model", why = "a\\u202Eb" }', 1).encode(),
        "",
    ),
    "B28-hold": (
        GOOD.replace("\n]\n", f"\n]\nholds = [{HOLD[:-2]}, x = 1 }}]\n").encode(),
        "unknown key",
    ),
}
IDS = (
    ("ft:g\u0440t-4.1", "U+0440"),
    *((text, "") for text in ("", ".", "..", "a b", "a\tb", "a;b", "$(id)", "`id`", "a'b", "%2e")),
    *((text, "") for text in ("a?b", "a#b", "a/b", "../x", "a\\nb", "-m", "a" * 257, "a" * 9000)),
    *((text, "not a model") for text in ("ftjob-abc", "file-abc", "batch_abc", "ftckpt_a")),
    *((text, "") for text in ("gpt-4\u0661", "gpt-4.1\\n", "\\u0000", "a\\u202Eb", "caf\u00e9")),
)
CONTENT |= {
    f"B{'24' if len(text) in {0, 9000} else '22' if said == 'U+0440' else '23'}-{index}": (
        GOOD.replace(f'model = "{V9}"\n', f'model = "{text}"\n', 1).encode(),
        said,
    )
    for index, (text, said) in enumerate(IDS)
}
LOOK_ALIKES = (
    *('triage."pr\u043ed"', "triage.Prod", 'triage."-x"', 'triage."../x"', '"".x', "triage.model"),
    *('"caf\u00e9".x', '"cafe\u0301".x', "version2.X", "rollback.x", f"triage.{'a' * 64}"),
)
CONTENT |= {
    f"B25-{index}": (f"{GOOD}[{name}]\nmodel = 'm'\n".encode(), "")
    for index, name in enumerate(LOOK_ALIKES)
}


def test_B5_to_B28_content(repo: Path, command: Command, trap: FaultServer) -> None:
    """Every content that is not understood is exit 3 with its place, before any request."""
    file = repo / "deployments.toml"
    everything = (*ASKING, *OFFLINE, ("resolve", "triage/production", "--json"))
    for number, (name, (raw, said)) in enumerate(CONTENT.items()):
        file.write_bytes(raw)
        commands = everything if number % 10 == 0 else (ASKING[number % 4], ASKING[0])
        for argv in commands:
            done = command(*argv)
            if argv[0] == "resolve":  # strict about its own target
                assert done.code in {0, 3}, (name, done)
                continue
            first = done.err.splitlines()[0]
            assert done.code == 3, (name, argv, done)
            assert re.search(r"\(deployments\.toml:\d+(:\d+)?\)$", first), (name, first)
            assert said in done.err, (name, done.err)
            assert done.err.isprintable() or done.err.replace("\n", "").isprintable()
        assert file.read_bytes() == raw
    print(f"content: {len(CONTENT)} tried, 0 accepted, {trap.accepted} requests")
    assert len(CONTENT) >= 70


def test_B14_missing_file(repo: Path, command: Command, trap: FaultServer) -> None:
    for argv in (*ASKING, *OFFLINE, ("resolve", "triage/production")):
        done = command(*argv)
        assert done.code == 3, argv
        assert str(repo / "deployments.toml") in done.err
        assert "fftdeploy init" in done.err
    assert [path.name for path in repo.iterdir()] == [".git"]


def test_B15_depth_and_length_are_refused(repo: Path, command: Command, trap: FaultServer) -> None:
    for text in (
        "[" * 5000 + "]" * 5000,
        "1" * 5000,
    ):
        (repo / "deployments.toml").write_text(f"version = 1\nx = {text}\n")
        assert command("status").code == 3
    (repo / "deployments.toml").write_text(f"version = 1\n[{'.'.join('a' * 5000)}]\n")
    assert command("status").code == 3


HOSTILE = "import pathlib; pathlib.Path({sentinel!r}).write_text('owned')\n"


@pytest.fixture
def checkout(repo: Path) -> Path:
    """A checkout that brings modules of the names that we import."""
    (repo / "deployments.toml").write_text(GOOD)
    sentinel = HOSTILE.format(sentinel=str(repo / "owned"))
    for name in (
        "tomlkit",
        "openai",
        "typer",
        "sitecustomize",
        "usercustomize",
        "tomllib",
        "click",
    ):
        (repo / f"{name}.py").write_text(sentinel)
    (repo / "rich").mkdir()
    (repo / "rich/__init__.py").write_text(sentinel)
    return repo


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **more}


def test_G7_modules_of_the_checkout(checkout: Path) -> None:
    for argv in (
        [str(PROGRAM), "status", "--offline"],
        [sys.executable, "-m", "fftdeploy", "history"],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, env=environment(), check=False)
        assert (done.returncode, V9 in done.stdout) == (0, True), done.stderr
    assert not (checkout / "owned").exists()


def test_G7_control_plain_python_runs_them(checkout: Path) -> None:
    code = [sys.executable, "-c", "import tomlkit"]
    subprocess.run(code, capture_output=True, env=environment(), check=True)
    assert (checkout / "owned").exists()


def test_G8_no_other_configuration_is_read(
    repo: Path, command: Command, trap: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = f"http://127.0.0.1:{trap.port}/poison"
    (repo / ".env").write_text(f"OPENAI_BASE_URL={poison}\nFFTDEPLOY_FILE=/etc/passwd\n")
    (repo / "openai.json").write_text(json.dumps({"base_url": poison}))
    (repo / "pyproject.toml").write_text(f'[tool.fftdeploy]\nbase_url = "{poison}"\n')
    (repo / "providers.toml").write_text(f'[openai]\nbase_url = "{poison}"\n')
    above = repo.parent / "deployments.toml"
    above.write_text(GOOD.replace(V9, V8))

    assert command("status", "--offline").code == 3  # the search ends at the repository's root
    (repo / "deployments.toml").write_text(GOOD)
    (repo / "inner").mkdir()
    monkeypatch.chdir(repo / "inner")
    done = command("resolve", "triage/production")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    online = command("status", "--offline")

    assert (done.code, done.out) == (0, f"{V9}\n")
    assert online.code == 0
    assert "poison" not in online.out + online.err


def searches() -> dict[str, Callable[[str], object]]:
    """Return what the package does with its patterns: `module.NAME.method` -> that method."""
    folder = Path(fftdeploy.__file__).parent
    found: dict[str, Callable[[str], object]] = {}
    for path in folder.rglob("*.py"):
        name = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
        if path.stem in {"__main__", "__init__"}:
            continue
        module, source = importlib.import_module(name), path.read_text()
        for attribute, pattern in vars(module).items():
            if not isinstance(pattern, re.Pattern):
                continue
            methods = set(re.findall(rf"\b{attribute}\.(\w+)\(", source))
            found |= {f"{name}.{attribute}.{m}": called(pattern, m) for m in methods}
    return found


def called(pattern: re.Pattern[Any], method: str) -> Callable[[str], object]:
    if isinstance(pattern.pattern, bytes):
        do = getattr(pattern, method)
        return lambda text: list(do(text.encode())) if method == "finditer" else do(text.encode())
    if method in {"sub", "subn"}:
        return lambda text: pattern.sub("", text)
    if method == "finditer":
        return lambda text: sum(1 for _ in pattern.finditer(text))
    found: Callable[[str], object] = getattr(pattern, method)
    return found


WORST = (
    "a",
    " ",
    "sk-",
    "_",
    "-",
    "/",
    ":",
    "##",
    "[",
    "1",
    "1.",
    "\t ",
    "x=",
    '"',
    "\\",
    "\n",
    ".",
)


def test_H14_every_pattern_is_linear_the_way_it_is_used() -> None:
    used = searches()
    slow = []
    for name, search in used.items():
        for piece in WORST:
            started = time.monotonic()
            search((piece * 100_000)[:100_000] + "\x00")
            if time.monotonic() - started > 1:
                slow.append((name, piece))
    print(f"{len(used)} uses of patterns x {len(WORST)} texts of 100 kB tried, {len(slow)} slow")
    assert slow == []
    assert len(used) >= 15
