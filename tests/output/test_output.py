"""Rows F1 to F5, F11 to F16: whatever the text, a terminal, a CI log and an eye stay unharmed."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line import PROGRAM, Command
from fake_time import FakeTime
from fault_server import (
    KEY,
    FaultServer,
    Reply,
    chat_body,
    echo,
    error,
    good_chat,
    good_model,
    reply,
)
from hostile_text import PAYLOADS, TAKEN, harmless
from markdown_it import MarkdownIt
from rich.cells import cell_len
from terminal import Terminal

from fftdeploy.commands import context
from fftdeploy.errors import CONFIG, ConfigError
from fftdeploy.output import clean, markup
from fftdeploy.output.report import Cell, Last, Patch, Report, Table, line
from fftdeploy.output.streams import Format, Output
from fftdeploy.planning.finding import Finding

MODEL = "ft:gpt-4.1-mini-2025-04-14:acme-support-emea:triage-a-rather-long-suffix:CdEf9GhIj"
FORMATS: tuple[Format, ...] = ("text", "json", "markdown", "github")


class Printed(NamedTuple):
    out: str
    err: str


def printed(form: Format, act: Callable[[Output], object], *, terminal: bool = False) -> Printed:
    out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    environ = {"COLUMNS": "80", "TERM": "xterm-256color"}
    act(Output(environ, form=form, stdout=out, stderr=err, secrets=[KEY]))
    return Printed(out.getvalue(), err.getvalue())


def sources(payload: str) -> dict[str, Callable[[Output], object]]:
    """Return each way in which text of somebody else's reaches the output."""
    wrong = ConfigError(payload, hint=payload, where=f"{payload}:1:2", code="x")
    wrong_in_file = ConfigError(payload, where=f"{payload}.toml:3:1", code="toml")
    cells = Table(("a", "b"), ((Cell(payload), Cell(MODEL)), (Cell(MODEL), Cell(payload, "bad"))))
    finding = Finding("code", "error", payload, payload, f"{payload}.toml", 4, payload)
    return {
        "error": lambda output: output.error("promote", CONFIG, wrong, {"model": payload}),
        "error-in-file": lambda output: output.error("promote", CONFIG, wrong_in_file),
        "line": lambda output: output.report("x", Report(body=(line(payload, Cell(payload)),))),
        "table": lambda output: output.report("x", Report(body=(cells,))),
        "diff": lambda output: output.report("x", Report(body=(Patch(f"+{payload}\n-{payload}"),))),
        "finding": lambda output: output.report("x", Report(findings=(finding,))),
        "data": lambda output: output.report("x", Report(data={"id": payload, payload: 1})),
        "next": lambda output: output.report("x", Report(next=payload)),
        "message": lambda output: output.message(payload),
        "note": lambda output: output.note(payload),
    }


def test_F1_F2_F3_payloads() -> None:
    tried = 0
    wrong = []
    for payload in PAYLOADS:
        for source, act in sources(payload).items():
            for form in FORMATS:
                for terminal in (False, True):
                    done = printed(form, act, terminal=terminal)
                    tried += 1
                    problems = [harmless(text, colored=terminal) for text in done]
                    wrong += [(payload[:20], source, form, said) for said in problems if said]
                    if form == "json" and done.out:
                        json.loads(done.out)
                        assert done.out.isascii()
    print(f"F1: {len(PAYLOADS)} payloads, {tried} tried, {len(wrong)} wrong")
    assert wrong == []
    assert tried >= 1920


def test_F1_control_a_plain_print_is_harmful() -> None:
    bad = [payload for payload in PAYLOADS if harmless(f"{payload}\n")]
    print(f"print(): {len(PAYLOADS)} tried, {len(bad)} wrong")
    assert len(bad) >= 20


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
        ("a\nb", "a\\nb"),
        ("[red]x", "[red]x"),
        (":smile:", ":smile:"),
        ("x\\", "x\\"),
        ("x ##[error]y", "x # #[error]y"),
        ("::error::x", ": :error::x"),
        ("caf\u00e9", "caf\u00e9"),
    ],
)
def test_F1_the_text_is_still_recognisable(payload: str, shown: str) -> None:
    report = Report(body=(line("<", Cell(payload), ">"),))
    plain = Report(body=(line(Cell(payload)),))

    assert printed("text", lambda output: output.report("x", plain)).out == f"{shown}\n"
    assert printed("text", lambda output: output.report("x", report)).out.startswith("<")


def test_F2_annotations_come_back_as_they_were() -> None:
    message, title = "50% of: a,b\n::error::x", "a,b:c"
    text = f"::error title={clean.annotation(title, is_property=True)}::{clean.annotation(message)}"
    properties, _, data = text.removeprefix("::error ").partition("::")
    data = data.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    value = properties.removeprefix("title=")
    for code, char in (("%3A", ":"), ("%2C", ","), ("%25", "%")):
        value = value.replace(code, char)
    assert (value, data) == (title, message)


def read_as(markdown: str) -> tuple[str, set[str]]:
    """Return what a reader of Markdown sees of a line, and what it is made of."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    inner = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in (*tokens, *inner)} - {"inline", "text", "code_inline"}
    return "".join(child.content for child in inner), kinds


@pytest.mark.parametrize("before", ["", "  ", "said: "])
def test_F5_a_reader_of_markdown_sees_the_text_and_nothing_else(before: str) -> None:
    for payload in TAKEN:
        shown = markup.markdown(
            (line(before, Cell(payload)),), plain=clean.clean, escape=clean.markdown
        )
        seen, kinds = read_as(shown)
        assert (seen, kinds) == (
            f"{before}{clean.one_line(clean.clean(payload))}".strip(),
            {"paragraph_open", "paragraph_close"},
        ), payload
        assert not re.search(r"(?<![\w`])@\w|\bwww\.|\w://", shown), payload


def test_F5_a_table_keeps_its_cells_and_can_be_read_as_text() -> None:
    rows = tuple((Cell(payload), Cell("b")) for payload in (*TAKEN, "漢字"))
    shown = markup.markdown((Table(("a", "b"), rows),), plain=clean.clean, escape=clean.markdown)

    assert read_as(shown)[1] == {
        f"{part}_{end}"
        for part in ("table", "thead", "tbody", "tr", "th", "td")
        for end in ("open", "close")
    }
    short = [row for row in shown.splitlines() if cell_len(row) < 100]
    assert len({cell_len(row) for row in short}) == 1
    assert len(short) > len(rows) - 3


def test_what_markdown_would_not_take_stays_as_it_is() -> None:
    plain = (
        "gpt-4.1-mini triage-v9 of 2026-11-28, 3.5 points (limit -5): +10 fixed, <0.001",
        'docs/a_b.md {"urgency": "high"} R&D 50% ? ! #10 next_step = ft:a:b',
    )

    assert [clean.markdown(text) for text in plain] == list(plain)


def test_keys_are_taken_out_and_models_are_not() -> None:
    keys = ("sk-proj-abcDEF123456", "sk-abc12***********wxyz", KEY, "Bearer sk-svcacct-A1b2C3d4E5")
    models = (
        "ft:gpt-4.1-mini:acme:sk-learn-classifier-v2:AbCd1",
        "task-sk-learn-1234567",
        "sk-learn",
    )

    assert [clean.redact(f"key {key}", [KEY]).count("sk-") for key in keys] == [0, 0, 0, 0]
    assert [clean.redact(model, [KEY]) for model in models] == list(models)


WIDTHS = ("1", "20", "40", "80", "200", "0", "-1", "abc", "")


@pytest.fixture
def world(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, FaultServer]]:
    (repo / "deployments.toml").write_text(
        f'version = 1\n\n[triage.production]\nmodel = "{MODEL}"\nreleases = [\n'
        f'  {{ n = 2, model = "{MODEL}", at = 2026-11-20T16:20:31Z, by = "caf\u00e9", '
        f'via = "model", why = "caf\u00e9 ::error::x ##[error]y <b>" }},\n'
        '  { n = 1, model = "gpt-6-luna", at = 2026-11-02T10:00:00Z, by = "c", via = "dev" },\n]\n'
    )
    with FaultServer() as api:
        monkeypatch.setenv("OPENAI_BASE_URL", api.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setattr(context, "system_clock", lambda: FakeTime().clock())
        yield repo, api


@pytest.mark.parametrize("width", WIDTHS)
def test_F14_ids_are_never_cut_or_wrapped(
    world: tuple[Path, FaultServer],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    width: str,
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for argv in (
        ("status", "--offline"),
        ("history",),
        ("check", "--offline"),
        ("resolve", "production"),
    ):
        done = command(*argv)
        assert done.code == 0
        assert MODEL in done.out or argv[0] == "check"
        assert "\u2026" not in done.out + done.err
    cells = Report(body=(Table(("model", "why"), ((Cell(MODEL), Cell("x" * 300)),)),))
    out = Terminal()
    Output({"COLUMNS": width, "NO_COLOR": "1"}, stdout=out).report("x", cells)
    assert MODEL in out.getvalue()
    assert "x" * 300 in out.getvalue()


COLOURS: dict[str, tuple[dict[str, str], bool]] = {
    "plain": ({"TERM": "xterm"}, True),
    "NO_COLOR": ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    "NO_COLOR-empty": ({"TERM": "xterm", "NO_COLOR": ""}, True),
    "NO_COLOR-FORCE_COLOR": ({"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    "dumb": ({"TERM": "dumb"}, False),
    "CLICOLOR": ({"TERM": "xterm", "CLICOLOR": "0"}, False),
    "no-TERM": ({}, True),
}


def test_F14_a_line_is_broken_between_words_and_an_id_is_one() -> None:
    said = line(Cell("FAIL", "bad"), f"  one two {MODEL} three four")

    def shown(width: str) -> str:
        out = Terminal()
        environ = {"COLUMNS": width, "TERM": "dumb"}
        Output(environ, stdout=out, stderr=io.StringIO()).report("x", Report(body=(said,)))
        return out.getvalue()

    assert shown("20") == f"FAIL  one two\n  {MODEL}\n  three four\n"
    assert shown("200") == f"FAIL  one two {MODEL} three four\n"


@pytest.mark.parametrize("row", COLOURS)
def test_F13_colour(row: str) -> None:
    environ, colored = COLOURS[row]
    report = Report(body=(line(Cell("bad", "bad")),))
    for given, expected in ((None, colored), (False, False)):
        out = Terminal()
        Output(environ, color=given, stdout=out).report("x", report)
        assert ("\x1b[" in out.getvalue()) is expected
        assert "bad" in out.getvalue()
        err = Terminal()
        Output(environ, color=given, stderr=err).message("hint: fftdeploy status")
        word = "\x1b[36mhint:\x1b[0m" if expected else "hint:"
        assert err.getvalue() == f"{word} fftdeploy status\n"
    pipe = io.StringIO()
    Output(environ, stdout=pipe).report("x", report)
    assert pipe.getvalue() == "bad\n"
    pipe = io.StringIO()
    Output({"FORCE_COLOR": "1"}, stdout=pipe).report("x", report)
    assert "\x1b[" in pipe.getvalue()


@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "GITLAB_CI"])
def test_F13_the_log_of_a_job_takes_colours_and_what_it_pipes_on_does_not(
    tmp_path: Path, variable: str
) -> None:
    run = f"{PROGRAM} status --json"
    script = f"{run} > json; {run} 2> file; {run} 2>&1 >json2 | cat >&2; true"
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), variable: "true"}
    done = subprocess.run(
        ["bash", "-c", script],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    first, piped = [said for said in done.stderr.splitlines() if "error:" in said]
    assert first.startswith("\x1b[1;31merror:\x1b[0m ")
    assert piped.startswith("error: ")
    assert (tmp_path / "file").read_text().startswith("error: ")
    assert "\x1b" not in done.stdout + (tmp_path / "json").read_text()


def test_F14_marks_are_ascii_where_the_terminal_has_no_others() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    table = Table(("state", "why"), ((Cell("✓ ready"), Cell("a → b · caf\u00e9…")),))
    Output({}, stdout=out).report("x", Report(body=(table,)))

    assert raw.getvalue().decode() == "STATE    WHY\n+ ready  a -> b - caf\\xe9...\n"


def test_F14_a_row_that_does_not_fit_is_a_card_and_the_others_are_rows() -> None:
    rows = (("1", "a", "one two three four"), ("2", MODEL, "x"), ("3", "c", "x"))
    cells = tuple(tuple(map(Cell, row)) for row in rows)

    def shown(last: Last) -> str:
        out = Terminal()
        body = (Table(("n", "model", "why"), cells, last),)
        Output({"COLUMNS": "30", "TERM": "dumb"}, stdout=out).report("x", Report(body=body))
        return out.getvalue()

    card = f"n 2\n  model  {MODEL}\n  why    x\n"
    assert shown("whole") == f"N  MODEL  WHY\n1  a      one two three four\n{card}3  c      x\n"
    cells = ((Cell("1"), Cell("abcdefghij"), Cell("one two three four")), *cells[1:])
    short = "N  MODEL       WHY\n1  abcdefghij  one two three …\n"
    assert shown("cut") == f"{short}{card}3  c           x\n"


def test_F1_the_whole_way_from_the_api_and_the_file(
    world: tuple[Path, FaultServer], command: Command
) -> None:
    """Text of the API, of the file and of the command line, through every command and format."""
    repo, api = world
    wrong = []
    tried = 0
    good = (repo / "deployments.toml").read_text()
    for number, payload in enumerate(PAYLOADS):
        if "\ud800" in payload or "\0" in payload:
            continue
        entry: dict[str, Any] = {"object": "model", "created": 1, "owned_by": payload}
        api.script("GET", "/v1/models", reply(body={"data": [{"id": payload, **entry}]}))
        api.retrieve(error(400, payload, payload, type=payload), model=MODEL)
        api.retrieve(good_model(id=payload, owned_by=payload), model="gpt-6-luna")
        commands: tuple[tuple[str, ...], ...] = (
            ("status",),
            ("models",),
            ("check",),
            ("promote", "triage/production", "--model", "gpt-6-luna", "--yes", "--why", "x"),
            ("promote", f"a{payload}/{payload}", "--model", payload, "--yes", "--why", payload),
            ("status", f"x{payload}", "--file", f"{payload}.toml"),
        )
        for place, argv in enumerate(commands):
            form = FORMATS[(number + place) % 4]  # each payload meets each format somewhere
            done = command(*argv, "--format", form)
            tried += 1
            problems = [harmless(text) for text in (done.out, done.err)]
            wrong += [(payload[:20], argv[0], form, said) for said in problems if said]
            if form == "json":
                json.loads(done.out)
    print(f"F1: {tried} command runs, {len(wrong)} wrong")
    assert wrong == []
    assert (repo / "deployments.toml").read_text() == good


GATE = """version = 1

[tasks.triage.gate]
examples = ["triage.jsonl"]
slices = ["kind"]
on_inconclusive = "block"

[[tasks.triage.gate.graders]]
type = "json_fields"

[tasks.triage.gate.graders.fields]
"::error::x" = "exact"
"""


def hostile_example(payload: str) -> dict[str, Any]:
    agreed = json.dumps({"::error::x": payload})
    turns = [{"role": "user", "content": payload}, {"role": "assistant", "content": agreed}]
    name = payload[:100] if payload.isprintable() else "refused elsewhere"
    meta = {"kind": name, "who": name}
    return {"messages": turns, "tags": [name], "meta": meta, "reviewed_by": name}


def hostile_answers(payload: str) -> list[Any]:
    said = {"role": "assistant", "content": payload}
    return [
        chat_body(choices=[{"index": 0, "message": message, "finish_reason": reason}])
        | {"system_fingerprint": payload}
        for message, reason in (
            (said, "stop"),
            (said, payload),
            ({"role": "assistant", "content": None, "refusal": payload}, "stop"),
            ({**said, "content": json.dumps({payload: payload, "::error::x": 1})}, "stop"),
        )
    ]


def by_the_model_asked(body: dict[str, Any]) -> Reply:
    return Reply("hostile", made=lambda asked: reply(body=body | {"model": asked["model"]}))


def test_F1_J4_a_hostile_name_of_the_model_that_answers(
    world: tuple[Path, FaultServer], command: Command
) -> None:
    _, api = world
    api.retrieve(good_model(id="gpt-6-luna"), model="gpt-6-luna")
    promotion = ("promote", "triage/production", "--model", "gpt-6-luna", "--yes", "--by", "ci")
    for payload in PAYLOADS:
        api.probe(good_chat(model=payload))
        done = command(*promotion)
        assert (done.code, harmless(done.out), harmless(done.err)) == (9, "", "")


def test_F1_H13_the_whole_way_from_examples_and_answers(
    world: tuple[Path, FaultServer], command: Command
) -> None:
    """Text of examples, of answers and of the policy, through every command of the evaluation."""
    repo, api = world
    payloads = [payload for payload in PAYLOADS if "\ud800" not in payload]
    lines = [json.dumps(hostile_example(payload)) for payload in payloads]
    (repo / "triage.jsonl").write_text("\n".join(lines) + "\n")
    (repo / "fftdeploy.toml").write_text(GATE)
    answers = [body for payload in payloads for body in hostile_answers(payload)]
    commands: tuple[tuple[str, ...], ...] = (
        ("size", "triage/production", "gpt-6-luna"),
        ("eval", "triage/production", "gpt-6-luna", "--fresh"),
        ("report",),
        ("verify",),
        ("check",),
    )
    tried, wrong, codes = 0, [], set()
    for form in FORMATS:
        for model in (MODEL, "gpt-6-luna"):
            api.retrieve(good_model(id=model), model=model)
        api.listing({"id": MODEL, "object": "model"}, {"id": "gpt-6-luna", "object": "model"})
        for argv in commands:
            api.probe(*2 * [echo()], *map(by_the_model_asked, answers))
            done = command(*argv, "--format", form)
            tried += 1
            codes.add((argv[0], done.code))
            problems = [harmless(text) for text in (done.out, done.err)]
            wrong += [(argv[0], form, said) for said in problems if said]
            if form == "json":
                json.loads(done.out)
    print(f"F1: {tried} command runs over {len(payloads)} payloads, {len(wrong)} wrong")
    assert wrong == []
    assert codes == {("size", 0), ("eval", 7), ("report", 0), ("verify", 0), ("check", 0)}


ENCODINGS = (
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"LC_ALL": "tr_TR.UTF-8"},
    {"LC_ALL": "C.UTF-8"},
)


def test_F11_printing_never_fails(world: tuple[Path, FaultServer]) -> None:
    code = (
        "from fftdeploy.cli.app import run;"
        "codes = [run(a) for a in (['history'], ['history', '--json'],"
        "['history', '--format', 'markdown'],"
        "['hold', 'production', 'gpt-6-luna', '--why', 'caf\\u00e9', '--yes', '--by', 'x'])];"
        "raise SystemExit(str(codes))"
    )
    good = (world[0] / "deployments.toml").read_text()
    for environ in ENCODINGS:
        (world[0] / "deployments.toml").write_text(good)
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            check=False,
            env={**os.environ, **environ},
        )
        assert done.stderr.decode().splitlines()[-1] == "[0, 0, 0, 0]", (environ, done.stderr)
        assert MODEL.encode() in done.stdout
        assert 'why = "caf\u00e9" }' in (world[0] / "deployments.toml").read_text()
