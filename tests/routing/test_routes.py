"""`fftdeploy.route`: what to ask now, read again in half a second, and never taken away."""

import copy
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command
from scenes import V8, V9

import fftdeploy
from fftdeploy import Route, resolve, route
from fftdeploy.errors import UsageError
from fftdeploy.policy.profiles import content_sha
from fftdeploy.routing import kept_files
from fftdeploy.routing.routes import FRESH_S, LATE_S
from fftdeploy.routing.split import in_canary

SUCCESSOR = "gpt-6-luna"
POLICY = f"""version = 1

[tasks.triage]
fallback = [
  {{ model = "{SUCCESSOR}", profile = "long" }},
  {{ model = "qwen/qwen3-8b", provider = "local" }},
]
"""
PROMPT = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Hi"}
NUMBERS = {"temperature": 0.5, "max_completion_tokens": 90, "reasoning_effort": "low"}
FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/long.toml").write_text('system = "Be brief."\n')
    path = tmp_path / "deployments.toml"
    put(path, V8)
    return path


def put(path: Path, model: str, more: str = "") -> None:
    """Replace the file as a promotion does."""
    new = path.with_name(f"new-{os.getpid()}")
    row = f'{{ n = 9, model = "{model}", at = 2026-11-20T16:20:31Z, by = "ci", via = "model" }}'
    new.write_text(
        f'version = 1\n[triage.production]\nmodel = "{model}"\n{more}releases = [{row}]\n'
    )
    new.replace(path)


def test_it_says_what_to_ask_and_what_if_that_is_gone(file: Path) -> None:
    file.with_name("fftdeploy.toml").write_text(POLICY)

    found = route("triage/production", key="user-42")

    assert isinstance(found, Route)
    assert (found, found.model, found.provider, found.release) == (V8, V8, "openai", 9)
    assert found.arguments == {"model": V8}
    assert found.messages([PROMPT, USER]) == [PROMPT, USER]
    first, second = found.fallback
    assert (first.model, first.provider, first.profile_name) == (SUCCESSOR, "openai", "long")
    assert first.messages([{"role": "developer", "content": "Be long."}, USER]) == [PROMPT, USER]
    assert (second.model, second.provider, second.release) == ("qwen/qwen3-8b", "local", None)
    for same in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):  # noqa: S301  its own
        assert (type(same), same.fallback, same.release) == (Route, found.fallback, 9)


@pytest.mark.parametrize(
    ("hold", "left"),
    [
        ("", [SUCCESSOR, "qwen/qwen3-8b"]),
        ("until = 2126-01-01T00:00:00Z", ["qwen/qwen3-8b"]),
        ("lifted = 2026-11-25T00:00:00Z", [SUCCESSOR, "qwen/qwen3-8b"]),
        ("until = 2026-11-21T00:00:00Z", [SUCCESSOR, "qwen/qwen3-8b"]),
        ("release = 3", ["qwen/qwen3-8b"]),
        ("release = 2", [SUCCESSOR, "qwen/qwen3-8b"]),
        ('provider = "local"', [SUCCESSOR, "qwen/qwen3-8b"]),
    ],
)
def test_a_fallback_that_is_on_hold_is_passed_over(file: Path, hold: str, left: list[str]) -> None:
    file.with_name("fftdeploy.toml").write_text(POLICY)
    sha = content_sha({"system": "Be brief."})
    row = f'model = "{SUCCESSOR}", at = 2026-11-01T00:00:00Z, by = "ci", via = "model"'
    rows = f'{{ n = 3, {row}, profile = "long", profile_sha = "{sha}" }}, {{ n = 2, {row} }}'
    said = 'since = 2026-11-20T00:00:00Z, by = "ci", why = "canary worse"'
    on_hold = f'{{ model = "{SUCCESSOR}", {said}, {hold} }}'.replace(", }", " }") if hold else ""
    text = f'version = 1\n[triage.production]\nmodel = "{V8}"\nreleases = [{rows}]\n'
    file.write_text(f"{text}holds = [{on_hold}]\n")
    asked = [route("triage/production")]
    file.write_text("version = ")  # what was on hold when it was good last is so still
    asked.append(route("triage/production", clock=lambda: 1e12))

    assert [[one.model for one in found.fallback] for found in asked] == [left, left]


def test_a_wrong_target_is_told_with_its_hint_apart(file: Path) -> None:
    for ask in (route, resolve, fftdeploy.client):
        with pytest.raises(UsageError) as raised:
            ask("triage/prod")
        said = raised.value
        assert (str(said), said.hint) == (
            "there is no target 'triage/prod'", "did you mean triage/production?",
        )  # fmt: skip


def test_the_arguments_are_those_of_the_endpoint(file: Path) -> None:
    numbers = "temperature = 0.5\nmax_completion_tokens = 90\nreasoning_effort = 'low'\n"
    shape = "[response_format]\ntype = 'json_schema'\n[response_format.json_schema]\n"
    more = "name = 'n'\nschema = { type = 'object' }\n"
    said = f'system = "Be brief."\n{numbers}'
    file.with_name("profiles").joinpath("chat.toml").write_text(said + shape + more)
    file.with_name("profiles").joinpath("new.toml").write_text(
        f"{said}endpoint = 'responses'\n{shape}{more}"
    )
    put(file, V8, 'profile = "chat"\n')
    chat = route("triage/production")
    put(file, V8, 'profile = "new"\n')
    responses = route("production")

    assert chat.endpoint == "chat"
    assert chat.arguments == {"model": V8, **NUMBERS, "response_format": FORMAT}
    assert responses.endpoint == "responses"
    assert responses.messages([PROMPT, USER]) == [USER]
    assert responses.arguments == {
        "model": V8,
        "instructions": "Be brief.",
        "temperature": 0.5,
        "max_output_tokens": 90,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low"},
    }


def test_a_replaced_file_is_obeyed_within_the_stated_time_and_not_read_before(file: Path) -> None:
    clock = Clock()
    first = route("triage/production", clock=clock)
    put(file, V9)

    clock.now += FRESH_S - 0.01
    assert route("triage/production", clock=clock) is first
    clock.now += 0.02
    assert route("triage/production", clock=clock) == V9


class Watched(os.PathLike[str]):
    """A path that tells when it is looked at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.look: Callable[[], object] = lambda: None

    def __fspath__(self) -> str:
        self.look()
        return str(self.path)


def test_of_all_threads_one_looks_while_the_others_go_on_for_a_moment(file: Path) -> None:
    clock, others = Clock(), []
    watched = Watched(file)
    first = route("triage/production", file=watched, clock=clock)
    put(file, V9)

    def look() -> None:
        """Come as another thread would, as long as the answer may be given at all; then later."""
        watched.look = lambda: None
        others.append(route("triage/production", file=watched, clock=clock))
        clock.now += LATE_S
        others.append(route("triage/production", file=watched, clock=clock))

    watched.look = look
    clock.now += FRESH_S + 0.01
    assert route("triage/production", file=watched, clock=clock) == V9
    assert others[0] is first
    assert others[1] == V9
    assert FRESH_S + LATE_S < 1  # what is promised


def test_J43_what_is_no_toml_is_read_once_as_long_as_it_is_the_same(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take a service with a long file and many threads all its time."""
    read: list[str] = []
    theirs = kept_files.read_bytes

    def read_bytes(path: str) -> bytes:
        read.append(path)
        return theirs(path)

    monkeypatch.setattr(kept_files, "read_bytes", read_bytes)
    resolve("triage/production")
    good, read[:] = file.read_bytes(), []
    file.write_text("version = ")

    stale = [resolve("triage/production") for _ in range(5)]
    assert (read, {one.model for one in stale}) == ([str(file)], {V8})
    assert {one.problem for one in stale} == {
        f"not valid TOML: Invalid value ({file}:1:11)",
    }
    file.write_bytes(good)
    assert (resolve("triage/production").problem, len(read)) == ("", 2)


BROKEN = {
    "deployments.toml": ("version = ", "deployments.toml:1:11"),
    "fftdeploy.toml": (
        'version = 1\n[tasks.triage]\nfallback = "x"\n',
        "'fallback' must be an array",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_was_good_last_goes_on_and_the_log_says_so_once(
    file: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    file.with_name("fftdeploy.toml").write_text(POLICY)
    good = route("triage/production", clock=clock)
    whole = file.with_name(name).read_text()

    def later() -> Route:
        clock.now += 1
        return route("triage/production", clock=clock)

    file.with_name(name).write_text(BROKEN[name][0])
    stale = [later() for _ in range(5)]
    logged = [(record.name, record.levelno, record.message) for record in caplog.records]
    assert all((one, one.fallback, one.release) == (V8, good.fallback, 9) for one in stale)
    (problem,) = {one.problem for one in stale}
    assert BROKEN[name][1] in problem
    assert name in problem
    assert logged == [
        ("fftdeploy", logging.WARNING, f"triage/production: {problem}; going on with {V8}")
    ]

    file.with_name(name).write_text(whole)
    assert later().problem == ""
    file.with_name(name).write_text(BROKEN[name][0])
    later()
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        (
            "deployments.toml",
            f'version = 2\n[triage.production]\nmodel = "{V9}"\n',
            "deployments.toml",
        ),
        ("fftdeploy.toml", "version = 1\n[tasks.triage]\nfallback = 5\n", "fftdeploy.toml"),
        ("profiles/long.toml", "system = 5\n", ""),
    ],
)
def test_a_file_that_is_mended_while_its_fault_is_looked_for_ends_no_call(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, wrong: str, says: str
) -> None:
    """The words for a fault are found in a second reading, of a file that may have none by then."""
    clock, path = Clock(), str(file.parent / name)
    put(file, V8, 'profile = "long"\n')
    file.with_name("fftdeploy.toml").write_text(POLICY)
    good = route("triage/production", clock=clock)
    whole = Path(path).read_text()
    theirs = kept_files.read_bytes

    def read_bytes(asked: str) -> bytes:
        read = theirs(asked)
        if asked == path:
            Path(path).write_text(whole)
        return read

    Path(path).write_text(wrong)
    monkeypatch.setattr(kept_files, "read_bytes", read_bytes)
    clock.now += 1
    met = route("triage/production", clock=clock)
    clock.now += 1
    after = route("triage/production", clock=clock)

    assert says in met.problem
    for one in (met, after):
        assert (one, one.profile, one.fallback) == (good, good.profile, good.fallback)
    assert after.problem == ""


BROAD = (
    'canary = { model = "gpt-6-luna", weight = 50, since = 2026-11-22T09:00:00Z, profile = "long" }'
)


@pytest.mark.parametrize(
    ("was", "broken"),
    [('"long"', '"gone"'), ('"long"', '"odd"'), ("50", "0"), ("50", '"50"'), ('"gpt-6-luna"', "7"),
     (BROAD, "canary = 5"), ("weight = 50, ", ""), ("50", "51")],
)  # fmt: skip
def test_a_broken_canary_takes_what_is_live_from_nobody(
    file: Path, command: Command, was: str, broken: str
) -> None:
    file.with_name("profiles").joinpath("odd.toml").write_text("shots = 1\n")
    put(file, V8, BROAD.replace(was, broken) + "\n")

    found = route("triage/production", key="ben")

    assert (found, found.canary) == (V8, None)
    assert "canary" in found.problem or "odd.toml" in found.problem
    assert resolve("production", key="user-42") == V8
    for more in ((), ("--key", "ben")):
        said = command("resolve", "triage/production", *more)
        assert (said.code, said.out) == (0, f"{V8}\n")
        assert said.err == f"warning: {found.problem}\n"
    put(file, V8, BROAD + "\n")  # the control
    assert resolve("triage/production", key="ben") == "gpt-6-luna"


def test_a_policy_without_a_word_of_fallback_is_not_even_parsed(file: Path) -> None:
    policy = file.with_name("fftdeploy.toml")
    policy.write_text("version = 1 and not TOML")

    assert route("triage/production").fallback == ()


WORKER = """
import threading, fftdeploy
def ask():
    found = ""
    while found != LAST:
        found = fftdeploy.route("triage/production")
        if found not in MODELS or found.release != 9: print("WRONG", found, found.release)
threads = [threading.Thread(target=ask) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("last")
"""


def test_threads_of_several_processes_get_the_old_or_the_new_answer(file: Path) -> None:
    # The bench `route` does this with 8 threads in each of 4 processes and 1,000 promotions.
    code = WORKER.replace("MODELS", repr((V8, V9, SUCCESSOR))).replace("LAST", repr(SUCCESSOR))
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for number in range(100):
        put(file, V9 if number % 2 else V8)
    put(file, SUCCESSOR)
    said = [process.communicate(timeout=60)[0].split() for process in running]

    assert said == [["last"], ["last"]]


def test_a_fork_takes_with_it_what_was_read_and_reads_on(file: Path) -> None:
    code = (
        "import os, sys, fftdeploy; clock = lambda: now; now = 0.0\n"
        "first = fftdeploy.route('triage/production', clock=clock)\n"
        "if os.fork() == 0:\n"
        "    print(fftdeploy.route('triage/production', clock=clock) is first)\n"
        f"    text = open('deployments.toml').read().replace({V8!r}, {V9!r})\n"
        "    open('other', 'w').write(text); os.replace('other', 'deployments.toml'); now = 1.0\n"
        "    print(fftdeploy.route('triage/production', clock=clock)); sys.exit()\n"
        "os.wait(); now = 1.0; print(fftdeploy.route('triage/production', clock=clock))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", V9, V9]


def test_it_imports_the_standard_library_only(file: Path) -> None:
    file.with_name("fftdeploy.toml").write_text(POLICY)
    code = (
        "import sys; before = set(sys.modules); import fftdeploy;"
        "found = fftdeploy.route('triage/production'); found.release; found.arguments;"
        "new = set(sys.modules) - before;"
        "print(sorted({n.partition('.')[0] for n in new} - sys.stdlib_module_names));"
        "print(sorted(new & {'dataclasses', 'logging', 'pathlib', 'threading', 'json'}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "['fftdeploy']\n[]\n"


def test_it_is_documented() -> None:
    documentation = fftdeploy.route.__doc__ or ""
    for word in ("half a second", "`fftdeploy` warns", "threads", "fork", "problem"):
        assert word in documentation


SINCE = "since = 2026-11-21T00:00:00Z"
CANARY = f'canary = {{ model = "{V9}", profile = "long", weight = 25, {SINCE} }}\n'


def test_a_canary_answers_its_part_of_the_keys(file: Path) -> None:
    put(file, V8, CANARY)
    row = f'{{ n = 10, model = "{V9}", profile = "long", via = "model", canary = 25 }}, {{ n = 9'
    file.write_text(file.read_text().replace("{ n = 9", row, 1))

    keys = [f"user-{n}" for n in range(400)]
    models = {key: route("triage/production", key=key).model for key in keys}

    assert {key for key, model in models.items() if model == V9} == {
        key for key in keys if in_canary("triage/production", key, 25)
    }
    assert 60 < sum(model == V9 for model in models.values()) < 140
    tried = route("triage/production", key="user-42" if models["user-42"] == V9 else "ben")
    live = route("triage/production")
    assert (live.model, live.release, live.canary and live.weight) == (V8, 9, 25)
    assert models == {key: resolve("triage/production", key=key).model for key in keys}
    assert live.canary is not None
    assert (live.canary.messages([USER]), live.canary.release) == ([PROMPT, USER], None)
    assert (copy.deepcopy(live).canary, tried.target) == (live.canary, "triage/production")


def test_an_override_is_for_everybody(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(file, V8, CANARY.replace("25", "50"))
    monkeypatch.setenv("FFTDEPLOY_MODEL_TRIAGE_PRODUCTION", SUCCESSOR)
    assert {resolve("triage/production", key=f"{n}").model for n in range(64)} == {SUCCESSOR}
