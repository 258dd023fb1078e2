"""What strangers hand in: numbers and keys past reason, in every file and answer that is read."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Command, git
from evaluated import evidence_of, graded, story
from fault_server import KEY, FaultServer, chat_body, model_body, reply
from scenes import V8, V9, V10, past, row, table, write

from fftdeploy.api.client.incoming import parse_body
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.evidence import evidence
from fftdeploy.formats import positions, strict_json, toml_reader
from fftdeploy.policy import policy, profiles
from fftdeploy.releases import deployments
from fftdeploy.routing.runtime import resolve

START = "version = 1\n# one line more\n"
TARGET = "triage/production"
HUGE = "9" * 400
"""An integer that JSON and TOML read and no float holds."""

TOO_LONG = {
    # what stands in the file, what is said of it, line and column
    "decimal": (f"x = {'9' * 4_001}", "a number of more than 4,000 digits", "3:5"),
    "negative": (f"x = -{'9' * 4_001}", "a number of more than 4,000 digits", "3:5"),
    "underscores": (f"x = {'9_' * 4_000}9", "a number of more than 4,000 digits", "3:5"),
    "hexadecimal": (f"x = 0x{'f' * 3_322}", "a number of more than 4,000 digits", "3:5"),
    "octal": (f"x = 0o{'7' * 4_430}", "a number of more than 4,000 digits", "3:5"),
    "binary": (f"x = 0b{'1' * 13_290}", "a number of more than 4,000 digits", "3:5"),
    "float": (f"x = {'9' * 2_001}.{'9' * 2_000}", "a number of more than 4,000 digits", "3:5"),
    "in an array": (f"x = [\n  1, {'9' * 4_001}]", "a number of more than 4,000 digits", "4:6"),
    "in a table": (f"x = {{ y = {'9' * 4_001} }}", "a number of more than 4,000 digits", "3:11"),
    "key": ("a." * 7_999 + "a = 1", "a key of 8,000 parts is more than the 16 allowed", "3:1"),
    "quoted key": ('"a.b" . ' * 16 + "'a' = 1", "a key of 17 parts is more than the 16", "3:1"),
    "inline key": (f"x = {{ {'a.' * 16}a = 1 }}", "a key of 17 parts is more than", "3:7"),
    "header": (f"[{'a.' * 16}a]", "a key of 17 parts is more than the 16 allowed", "3:2"),
    "tables": (f"[[{'a.' * 7_999}a]]", "a key of 8,000 parts is more than the 16", "3:3"),
}
TOO_DEEP = {
    "arrays": f"x = {'[' * 5_000}{']' * 5_000}",
    "101 arrays": f"x = {'[' * 101}{']' * 101}",
    "tables": f"x = {'{a=' * 5_000}1{'}' * 5_000}",
}
FITS = {
    "decimal": f"x = {'9' * 4_000}",
    "hexadecimal": f"x = 0x{'f' * 3_321}",
    "string": f"x = '{'9' * 5_000}'",
    "string of dots": f'x = "{"a." * 50}"',
    "long string": f'x = """\n{"a." * 50}{"9" * 5_000}"""',
    "comment": f"# {'a.' * 50}{'9' * 5_000}",
    "key": "a." * 15 + "a = 1",
    "key of digits": f"x.{'9' * 5_000} = 1",
    "99 arrays": f"x = {'[' * 99}{']' * 99}",
}


@pytest.mark.parametrize("how", TOO_LONG)
def test_J7_what_is_too_long_is_refused_at_its_place_and_never_read(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    text, said, where = TOO_LONG[how]
    monkeypatch.setattr(tomllib, "loads", lambda _: pytest.fail("tomllib has seen it"))

    with pytest.raises(ConfigError) as refused:
        deployments.parse(f"{START}{text}\n".encode())

    assert refused.value.message.startswith(said)
    assert refused.value.where == f"deployments.toml:{where}"
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("how", TOO_DEEP)
def test_J7_B15_what_is_too_deep_is_refused_at_its_place(how: str) -> None:
    text = TOO_DEEP[how]

    with pytest.raises(ConfigError, match="nested deeper than 100 levels") as refused:
        deployments.parse(f"{START}{text}\n".encode())

    column = max(text.rindex("["), 0) if "[" in text else text.rindex("{")
    assert refused.value.where == f"deployments.toml:3:{column + 1}"


@pytest.mark.parametrize("how", FITS)
def test_J7_what_fits_is_read(how: str) -> None:
    data = toml_reader.loads(START + FITS[how])

    assert list(data)[:1] == ["version"]
    assert str(data)  # Python can print every number of it


def test_J7_control_the_bare_reader_takes_what_python_can_not_print() -> None:
    found = tomllib.loads(TOO_LONG["hexadecimal"][0] + "f" * 300)

    with pytest.raises(ValueError, match="integer string conversion"):
        str(found["x"])
    assert positions.position("", ("x",)) == (1, 1)


@pytest.fixture
def target(repo: Path) -> Path:
    """A target with a profile, and a policy, in the working directory."""
    Path("profiles").mkdir()
    Path("profiles/short.toml").write_text('system = "Be brief."\n')
    sha = profiles.parse(b'system = "Be brief."\n', "short", "").sha
    rows = [row(2, V9, profile="short"), row(1, V8)]
    rows[0] = rows[0].replace(rows[0].split('profile_sha = "')[1][:32], sha)
    write(table(TARGET, V9, rows, profile="short"), past("triage/staging", V8, V10))
    Path("fftdeploy.toml").write_text('version = 1\norder = ["staging", "production"]\n')
    return repo


COMMANDS = (
    ("status", "--offline"),
    ("check", "--offline"),
    ("history", TARGET),
    ("diff", "triage/staging", TARGET),
    ("promote", TARGET, "--model", V10, "--why", "x", "--yes"),
    ("rollback", TARGET, "--yes"),
    ("adopt", TARGET, "--why", "x", "--yes"),
    ("hold", TARGET, V10, "--why", "x", "--yes"),
    ("unhold", TARGET, "--why", "x", "--yes"),
    ("resolve", TARGET),
    ("eval", TARGET),
    ("size", TARGET),
    ("models",),
    ("scan",),
)
# The commands whose answer does not rest on that file: those that stop something only warn.
STOPS = {"rollback", "hold", "unhold"}
OTHERS = {
    "deployments.toml": set[str](),
    "fftdeploy.toml": {*STOPS, "resolve", "history", "models", "adopt"},
    "profiles/short.toml": {*STOPS, "history", "models", "scan", "status", "eval", "size"},
}


@pytest.mark.parametrize("how", ["hexadecimal", "key", "arrays"])
@pytest.mark.parametrize("file", OTHERS)
def test_J7_every_command_names_the_line(
    target: Path, command: Command, file: str, how: str
) -> None:
    broken = Path(file)
    text = TOO_DEEP[how] if how == "arrays" else TOO_LONG[how][0]
    broken.write_text(f"{text}\n{broken.read_text()}")
    before = broken.read_bytes()

    for argv in COMMANDS:
        done = command(*argv)
        assert done.code != 1, done
        if argv[0] not in OTHERS[file]:
            assert done.code == 3, (argv, done)
            assert f"{file}:1:" in done.err, (argv, done)

    assert broken.read_bytes() == before


@pytest.mark.parametrize("how", ["decimal", "hexadecimal", "key", "header", "arrays"])
def test_J7_the_library_names_the_line_and_keeps_the_last_answer(target: Path, how: str) -> None:
    file = target / "deployments.toml"
    text = TOO_DEEP[how] if how == "arrays" else TOO_LONG[how][0]
    broken = f"{text}\n{file.read_text()}"
    first = resolve(TARGET)
    file.write_text(broken)

    kept = resolve(TARGET)
    other = file.with_name("other.toml")
    other.write_text(broken)
    with pytest.raises(ConfigError) as refused:
        resolve(TARGET, file=other)

    assert (str(kept), str(first)) == (V9, V9)
    assert "deployments.toml:1:" in kept.problem
    assert refused.value.where.startswith(f"{other}:1:")


@pytest.mark.parametrize("file", ["deployments.toml", "fftdeploy.toml", "profiles/short.toml"])
def test_J7_the_files_of_the_base_are_read_alike(target: Path, command: Command, file: str) -> None:
    good = Path(file).read_text()
    Path(file).write_text(f"{TOO_LONG['hexadecimal'][0]}\n{good}")
    git("add", ".")
    git("commit", "--quiet", "--message", "base")
    Path(file).write_text(good)
    git("commit", "--quiet", "--all", "--message", "mended")

    done = command("check", "--offline", "--base", "HEAD^")

    assert done.code in {3, 12}, done
    assert "a number of more than 4,000 digits" in done.out + done.err


NUMBERS = """\
version = 1
order = ["staging", "production"]

[tasks.triage.gate]
examples = ["e.jsonl"]
margin = 0.05
confidence = 0.95
repeats = 1
min_examples = 1
floors = { pass_rate = 0.5, valid = 0.5 }
budgets = { p95_latency_ms = 2500, usd_per_1k_requests = 1.2 }

[[tasks.triage.gate.graders]]
type = "json_fields"
fields = { a = { number = 0.5 } }

[[tasks.triage.gate.graders]]
type = "length"
max_chars = 100

[prices]
date = 2026-11-20

[prices.gpt-6-luna]
input = 1.5
output = 2
"""


@pytest.mark.parametrize("number", ["1" + "0" * 3_999, "-" + HUGE, "0x" + "f" * 3_000, "1e400"])
def test_J7_B12_no_number_of_the_policy_may_be_past_reason(number: str) -> None:
    tried = 0
    for at, line in enumerate(NUMBERS.splitlines()):
        for old in ("0.05", "0.95", "= 1\n", "0.5", "2500", "1.2", "100", "1.5", "= 2\n"):
            if old.strip() not in f"{line}\n" or line.startswith(("date", "[")):
                continue
            new = f"{line}\n".replace(old, f"= {number}\n" if old.startswith("=") else number, 1)
            lines = NUMBERS.splitlines(keepends=True)
            broken = "".join([*lines[:at], new, *lines[at + 1 :]])
            if broken == NUMBERS:
                continue
            tried += 1
            with pytest.raises(ConfigError) as refused:
                policy.parse(broken.encode())
            assert refused.value.where.startswith(f"fftdeploy.toml:{at + 1}:"), line
            assert len(str(refused.value)) < 200, line
    assert tried >= 10


@pytest.mark.parametrize(
    "line",
    [
        f"response_format = {{ x = [{HUGE}] }}",
        f"response_format = {{ x = -{HUGE} }}",
        f"temperature = {HUGE}",
        f"max_completion_tokens = {HUGE}",
    ],
)
def test_J7_no_number_of_a_profile_may_be_past_reason(line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        profiles.parse(f"{line}\n".encode(), "short", "short.toml")

    assert refused.value.where.startswith("short.toml:1:")


JSON_NUMBERS = ("9" * 309, "-" + "9" * 309, "2" + "0" * 308, "9" * 5_000, "1e309")


@pytest.mark.parametrize("number", JSON_NUMBERS)
def test_J7_json_has_no_number_that_is_more_than_any_float(number: str) -> None:
    for text in (number, f'{{"a": [1, {number}]}}', f'{{"a": "{number}", "b": {number}}}'):
        with pytest.raises(strict_json.StrictError, match="a number out of range"):
            strict_json.loads(text)
        assert parse_body("application/json", text.encode())[0].endswith("out of range")


def test_J7_json_numbers_that_fit_are_read() -> None:
    for number in ("1" + "0" * 308, "-" + "9" * 308, "1.7e308"):
        assert float(strict_json.loads(number)) == float(number)
    assert strict_json.loads(f'["{"9" * 5_000}", 1]') == ["9" * 5_000, 1]


def replaced(text: str, number: str) -> Iterator[str]:
    """Write JSON with each of its numbers in turn replaced by another."""
    for found in re.finditer(r"(?<=[:,\[ ])-?[0-9]+(\.[0-9]+)?(?=[,\]} \n])", text):
        yield text[: found.start()] + number + text[found.end() :]


@pytest.mark.parametrize("number", [HUGE, "9" * 5_000, "1" + "0" * 300, "-1"])
def test_J7_evidence_with_such_a_number_is_named(repo: Path, command: Command, number: str) -> None:
    name, raw = evidence.with_id(evidence_of(graded(story(30))))
    head = list(replaced(raw.decode(), number))[:60]
    assert len(head) == 60

    refused = 0
    for text in head:
        try:
            evidence.parse(text.encode(), "e.json")
        except ConfigError:  # and nothing else
            refused += 1
    file = Path(f"{name}.json")
    file.write_text(head[0])

    assert refused >= 20
    assert command("verify", str(file)).code == 3


@pytest.fixture
def api(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    write(past(TARGET, V8, V9))
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


JOB = {
    "id": "ftjob-abc",
    "object": "fine_tuning.job",
    "status": "succeeded",
    "model": "gpt-4.1-mini-2025-04-14",
    "created_at": 1760000000,
    "finished_at": 1760000000,
    "fine_tuned_model": V10,
    "error": None,
}
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
ANSWERS = (
    ("GET", "/v1/models", {"object": "list", "data": [model_body(id=V9), model_body(id=V8)]}),
    ("GET", f"/v1/models/{V9}", model_body(id=V9, shutdown_date=1760000000)),
    ("POST", "/v1/chat/completions", chat_body(model=V9, created=1760000000, usage=USAGE)),
    ("GET", "/v1/fine_tuning/jobs", {"object": "list", "data": [JOB], "has_more": False}),
    ("GET", "/v1/fine_tuning/jobs/ftjob-abc", JOB),
)


@pytest.mark.parametrize("number", ["1" + "0" * 300, HUGE, "9" * 5_000, "-9" * 2])
def test_J7_no_number_of_an_answer_is_a_bug(
    api: FaultServer, command: Command, number: str, no_waiting: None
) -> None:
    asks = (
        ("status",),
        ("check", "--probe"),
        ("models",),
        ("promote", TARGET, "--model", V9, "--dry-run", "--yes"),
        ("promote", TARGET, "--job", "ftjob-abc", "--dry-run", "--yes", "--wait", "0"),
    )
    tried = 0
    for method, path, body in ANSWERS:
        for text in replaced(json.dumps(body), number):
            for verb, place, good in ANSWERS:
                api.script(verb, place, reply(body=good))
            api.script(method, path, *[reply(raw=text.encode())] * 9)
            for argv in asks:
                done = command(*argv)
                tried += 1
                assert done.code in {0, 3, 4, 9, 12}, (path, argv, done)
                assert "Traceback" not in done.err
    print(f"J7: {tried} commands met an answer with {number[:20]}..., 0 bugs")
    assert tried >= 40
