"""Editors: every key is described, the schemas stand beside the files, and a server reads them.

The language server is tombi, of the extra `servers`: beside Python, on PATH, or named by the
variable TOMBI.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT
from command_line import Command
from scenes import FILE, POLICY, POLICY_FILE, V7, V8, V9, hold, past, write
from toml_texts import AT, HOLD, RELEASE, SHA, held, release, rules, target
from toml_texts import WHOLE as WHOLE_GATE

from fftdeploy.output import toml_schemas
from fftdeploy.output.results import Schema
from fftdeploy.sandbox import Sandbox

PATHS = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
TOMBI = os.environ.get("TOMBI") or shutil.which("tombi", path=PATHS) or ""
BOTH = {"deployments": toml_schemas.deployments(), "policy": toml_schemas.policy()}
PLACES = {name: f".fftdeploy/schemas/{name}.json" for name in BOTH}
SITES = ("properties", "patternProperties")


def keys(schema: Schema, defs: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every key and element that a schema describes, with its path, references followed."""
    if "$ref" in schema:
        schema = {**defs[schema["$ref"].rsplit("/", 1)[-1]], **schema}
    below = [(key, each) for site in SITES for key, each in schema.get(site, {}).items()]
    below += [("*", each) for each in (schema.get("additionalProperties"),) if each]
    below += [("[]", each) for each in (schema.get("items"),) if each]
    for key, each in below:
        if isinstance(each, dict):
            yield f"{path}/{key}", each
            yield from keys(each, defs, f"{path}/{key}")
    for each in schema.get("oneOf", ()):
        yield from keys(each, defs, path)


def undescribed(schema: Schema) -> list[str]:
    found = keys(schema, schema.get("$defs", {}))
    return [path for path, each in found if len(each.get("description", "")) < 4]


@pytest.mark.parametrize("name", BOTH)
def test_every_key_at_every_depth_is_described(name: str) -> None:
    schema = BOTH[name]
    count = len([*keys(schema, schema.get("$defs", {}))])
    wrong = undescribed(schema)
    broken = json.loads(json.dumps(schema).replace('"description": "Who', '"title": "Who'))

    print(f"{name}: {count} keys, {len(wrong)} without a description")
    assert wrong == []
    assert count > {"deployments": 25, "policy": 70}[name]
    assert undescribed(broken), "the control"


# The files that editors read.


def test_schema_write_brings_them_up_to_date(repo: Path, command: Command) -> None:
    write(policy="version = 1\n")
    first = command("schema", "--write")
    stale = Path(PLACES["policy"])
    stale.write_text("{}")
    FILE.write_text(f"#:schema ./{PLACES['deployments']}\nversion = 1\n")
    second = json.loads(command("schema", "--write", "--json").out)

    assert (first.code, first.out) == (
        0,
        "".join(
            f"  wrote  {place}\n  first line of {file}, for editors:  #:schema ./{place}\n"
            for place, file in zip(PLACES.values(), (FILE, POLICY_FILE), strict=True)
        ),
    )
    assert second["wrote"] == [PLACES["policy"]]
    assert {name: json.loads(Path(place).read_text()) for name, place in PLACES.items()} == BOTH
    assert "first line of deployments.toml" not in command("schema", "--write").out


@pytest.mark.parametrize("link", [".fftdeploy", ".fftdeploy/schemas", PLACES["policy"]])
def test_H_schema_write_goes_through_no_link(repo: Path, command: Command, link: str) -> None:
    before = write(policy=POLICY)
    Path("elsewhere").mkdir()
    Path(link).parent.mkdir(parents=True, exist_ok=True)
    Path(link).symlink_to((FILE if link.endswith(".json") else Path("elsewhere")).absolute())
    result = command("schema", "--write", "policy")

    assert result.code == 3, result.out
    assert (FILE.read_bytes(), [*Path("elsewhere").iterdir()]) == (before, [])


def test_a_change_keeps_the_first_line(repo: Path, sandbox: Sandbox, command: Command) -> None:
    assert command("init").code == 0
    first = f"#:schema ./{PLACES['deployments']}"
    assert FILE.read_text().splitlines()[0] == first
    assert POLICY_FILE.read_text().splitlines()[0] == f"#:schema ./{PLACES['policy']}"
    for model in (V7, V8, V9):
        argv = ("promote", "triage/staging", "--model", model, "--yes")
        assert command(*argv).code == 0
    assert command("rollback", "triage/staging", "--yes").code == 0

    assert FILE.read_text().splitlines()[0] == first
    assert "#:schema" not in "".join(FILE.read_text().splitlines(keepends=True)[1:])


# With a real language server.

GRADER = "version = 1\n[tasks.t.gate]\nexamples = ['e.jsonl']\n[[tasks.t.gate.graders]]\n"
GOOD: dict[str, tuple[str, str]] = {
    "example": ("deployments", (ROOT / FILE).read_text()),
    "example-policy": ("policy", (ROOT / POLICY_FILE).read_text()),
    "past": ("deployments", f"version = 1\n{past('a/b', V7, V8, holds=[hold(V7)])}"),
    "profile": ("deployments", release(f'{RELEASE}, profile = "p", profile_sha = "{SHA}"')),
    "offset": ("deployments", held(f"{HOLD}, until = 2026-12-24T12:00:00+01:00")),
    "policy": ("policy", POLICY),
    "gate": ("policy", WHOLE_GATE),
    "freeze": (
        "policy",
        rules('freeze = [{ from = 2026-12-20, to = 2027-01-03, why = "holidays" }]'),
    ),
    "scan": ("policy", 'version = 1\n[scan]\nignore = ["docs/**"]\n'),
    "regex": ("policy", f'{GRADER}type = "regex"\npattern = "x"\nignore_case = true\n'),
    "fields": (
        "policy",
        f'{GRADER}type = "json_fields"\n'
        'fields = { "a.b" = "exact", c = { number = 0.5 }, d = { text = 0.6 } }\n',
    ),
    "shape": ("policy", f'{GRADER}type = "json_schema"\nschema = {{ type = "object" }}\n'),
}
TWO = f"  {{ {RELEASE} }},\n  {{ {RELEASE} }},\n"


def place(words: str) -> int:
    """Return the line of the whole gate that has `words` first."""
    return WHOLE_GATE.split(words)[0].count("\n") + 1


# Each with the line that is wrong, counted from 1 in the text as it is here.
BAD: dict[str, tuple[str, str, int]] = {
    "no-version": ("deployments", '[a.b]\nmodel = "m"\n', 1),
    "version-2": ("deployments", "version = 2\n", 1),
    "key-of-target": ("deployments", target("note = 1"), 4),
    "no-model": ("deployments", "version = 1\n[a.b]\nreleases = []\n", 2),
    "model-number": ("deployments", target(model="model = 1"), 3),
    "model-job": ("deployments", target(model='model = "ftjob-abc"'), 3),
    "provider": ("deployments", target('provider = "Az ure"'), 4),
    "capital-name": ("deployments", 'version = 1\n\n[Triage.production]\nmodel = "m"\n', 3),
    "release-key": ("deployments", target(f"releases = [\n{TWO.replace('by', 'bye', 1)}]"), 5),
    "n-zero": ("deployments", target(f"releases = [\n{TWO.replace('n = 1', 'n = 0', 1)}]"), 5),
    "second-row": (
        "deployments",
        target(f"releases = [\n  {{ {RELEASE} }},\n  {{ {RELEASE}, to = '1' }},\n]"),
        6,
    ),
    "naive-time": ("deployments", release(RELEASE.replace("00Z", "00")), 4),
    "time-as-text": ("deployments", release(RELEASE.replace(AT, 'at = "2026-11-21T08:30:00Z"')), 4),
    "verified": ("deployments", release(f"{RELEASE}, verified = true"), 4),
    "no-to": ("deployments", release(RELEASE.replace('model"', 'rollback"')), 4),
    "hold-why": ("deployments", held(HOLD.replace(', why = "bad"', "")), 4),
    "half-lifted": ("deployments", held(f"{HOLD}, lifted = 2026-11-22T08:30:00Z"), 4),
    "policy-key": ("policy", "version = 1\nodrer = []\n", 2),
    "order": ("policy", 'version = 1\norder = "staging"\n', 2),
    "protected": ("policy", rules('protected = "yes"'), 3),
    "soak": ("policy", rules('soak = "1y"'), 3),
    "freeze-time": (
        "policy",
        rules('freeze = [{ from = 2026-12-20T00:00:00Z, to = 2027-01-03, why = "x" }]'),
        3,
    ),
    "gate-key": ("policy", WHOLE_GATE.replace("margin =", "margine ="), place("margin =")),
    "mode": ("policy", WHOLE_GATE.replace("not-worse", "no-worse", 1), place("not-worse")),
    "grader-type": ("policy", f'{GRADER}type = "regxe"\npattern = "x"\n', 5),
    "grader-key": ("policy", f'{GRADER}type = "length"\npattern = "x"\n', 6),
    "grader-kind": ("policy", f'{GRADER}type = "json_fields"\nfields = {{ a = "exat" }}\n', 6),
    "price": ("policy", "version = 1\n[prices]\ndate = 2026-11-20\nm = { input = 1 }\n", 4),
    "scan-key": ("policy", "version = 1\n[scan]\nignroe = []\n", 3),
}
SERVER = pytest.mark.skipif(
    not TOMBI, reason="tombi is not installed: `pip install -e '.[servers]'`"
)


def linted(folder: Path) -> dict[str, list[tuple[int, int, str]]]:
    """Return what tombi finds in the files of a folder: first line, last line, what."""
    argv = [TOMBI, "lint", "--offline", "--quiet", "--diagnostics-format", "json-lines"]
    ended = subprocess.run(
        [*argv, "--diagnostics-file", "/dev/stdout", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, list[tuple[int, int, str]]] = {}
    for row in ended.stdout.splitlines():
        each: dict[str, Any] = json.loads(row)
        lines = [each["range"][end]["line"] for end in ("start", "end")]
        found.setdefault(Path(each["path"]).stem, []).append((*lines, each["message"]))
    assert ended.returncode == bool(found), ended.stderr
    return found


@SERVER
def test_tombi_finds_what_is_wrong_and_nothing_else(repo: Path, command: Command) -> None:
    assert command("init").code == 0
    for folder, head in (("with", "#:schema ../{}\n"), ("without", "# {}\n")):
        Path(folder).mkdir()
        for name, (which, text, *_) in (GOOD | BAD).items():
            Path(folder, f"{name}.toml").write_text(head.format(PLACES[which]) + text)
    found, control = linted(Path("with")), linted(Path("without"))

    # A row of an array begins, for tombi, where the one above it ends.
    covers = {
        name: [start <= line + 1 <= end for start, end, _ in found.get(name, ())]
        for name, (_, _, line) in BAD.items()
    }
    missed = [name for name, each in covers.items() if not each or not all(each)]
    false = {name: found[name] for name in found if name in GOOD}
    print(f"{len(GOOD)} good files, {len(false)} with a finding; {len(BAD)} bad, {missed} missed")
    print(f"control, no #:schema: {len(control)} with a finding")
    assert (missed, false, control) == ([], {}, {})
    assert linted(repo) != {}, "the folder of bad files is below"
    shutil.rmtree("with")
    assert linted(repo) == {}, "what init writes"


class Server:
    """A language server over a pipe, ended by force if it does not answer."""

    def __init__(self, argv: list[str]) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.watchdog = threading.Timer(60, self.process.kill)
        self.watchdog.start()
        self.count = 0

    def tell(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def ask(self, method: str, **params: Any) -> Any:
        self.count += 1
        self._send({"id": self.count, "method": method, "params": params})
        return self._await("id", self.count)["result"]

    def await_(self, method: str) -> Any:
        """Wait for what the server tells of itself: it answers in whatever order it likes."""
        return self._await("method", method)["params"]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.watchdog.cancel()

    def _await(self, key: str, value: object) -> dict[str, Any]:
        while True:
            message = self._receive()
            if message.get(key) == value and not {"id", "method"} <= message.keys():
                return message
            if {"id", "method"} <= message.keys():  # it asks us something
                self._send({"id": message["id"], "result": None})

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        size = 0
        while header := self.process.stdout.readline().strip():
            name, _, value = header.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        assert size, "it has ended"
        message: dict[str, Any] = json.loads(self.process.stdout.read(size))
        return message


@SERVER
def test_tombi_says_what_a_key_means(repo: Path, command: Command) -> None:
    assert command("init").code == 0
    uri = f"{repo.as_uri()}/deployments.toml"
    text = FILE.read_text() + past("triage/production", V7, V8).split("\n", 1)[0]
    text += f'\nmodel = "m"\nreleases = [\n  {{ {RELEASE}, evidence = "{SHA}" }},\n]\n'
    server = Server([TOMBI, "lsp", "--offline"])
    try:
        server.ask("initialize", processId=None, rootUri=repo.as_uri(), capabilities={})
        server.tell("initialized")
        document = {"uri": uri, "languageId": "toml", "version": 1, "text": text}
        server.tell("textDocument/didOpen", textDocument=document)
        found = server.await_("textDocument/publishDiagnostics")["diagnostics"]
        said = {}
        for key in ("model", "at", "evidence"):
            before = text[: text.index(f"{key} = ", text.index("\n[triage"))]
            place = {"line": before.count("\n"), "character": len(before.rsplit("\n", 1)[-1]) + 1}
            hover = server.ask("textDocument/hover", textDocument={"uri": uri}, position=place)
            said[key] = hover["contents"]["value"].splitlines()[0]
    finally:
        server.close()

    assert found == []
    assert said == {
        "model": "The model that is live.",
        "at": "When that was.",
        "evidence": "The evaluation it passed: 32 hex digits.",
    }
