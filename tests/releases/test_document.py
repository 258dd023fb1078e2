"""What the bytes of deployments.toml may be: every fault with its words and its place."""

# ruff: noqa: E501 - one case a line

import subprocess
from pathlib import Path

import pytest

from fftdeploy import names
from fftdeploy.errors import ConfigError
from fftdeploy.releases import deployments

TARGET = '[triage.production]\nmodel = "m"\n'
VALID = f"version = 1\n{TARGET}"
ROW = 'n = 1, model = "m", at = 2026-01-01T00:00:00Z, by = "b", via = "model"'
HELD = 'model = "m", since = 2026-01-01T00:00:00Z, by = "b", why = "w"'


def refusal(raw: bytes | str) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        deployments.parse(raw.encode() if isinstance(raw, str) else raw)
    return refused.value


@pytest.mark.parametrize(
    "raw",
    [
        VALID.encode(),
        VALID.replace("\n", "\r\n").encode(),
        VALID.replace("\n", "\r\n", 1).encode(),
        b"\xef\xbb\xbf" + VALID.encode(),
        VALID.rstrip("\n").encode(),
        f"# größer, 日本語\n{VALID}".encode(),
    ],
    ids=["plain", "B1-crlf", "B2-mixed", "B3-bom", "B4-no-final-newline", "other scripts"],
)
def test_what_is_read(raw: bytes) -> None:
    parsed = deployments.parse(raw)
    assert {str(target): target.model for target in parsed.targets.values()} == {
        "triage/production": "m"
    }
    assert parsed.document.text == raw.decode().removeprefix("\ufeff")


def test_version_alone_is_a_file_without_targets() -> None:
    assert deployments.parse(b"version = 1").targets == {}


@pytest.mark.parametrize(
    ("raw", "words", "where"),
    [
        pytest.param(b"version = 1\n# \xff", "byte 0xff at offset 14", ":2", id="B5-utf8"),
        pytest.param(VALID.encode("utf-16"), "UTF-16", ":1:1", id="B5-utf16"),
        pytest.param(VALID.encode("utf-16-be"), "control character, U+0000", ":1:1", id="B5-utf16-be"),
        pytest.param(b"version = 1\n\x00", "U+0000", ":2:1", id="B6-nul"),
        pytest.param(b"version = 1\n# a\x1b[2J", "U+001B", ":2:4", id="B6-escape"),
        pytest.param(b"version = 1\r[a.b]\n", "U+000D", ":1:12", id="B6-lone-cr"),
        pytest.param("version = 1 # \x85", "U+0085", ":1:15", id="B6-c1"),
        *(
            pytest.param(f"version = 1\n# x{c}", f"U+{ord(c):04X}", ":2:4", id=f"B7-{ord(c):04X}")
            for c in "\u202a\u202e\u2066\u2069\u200b\u200f\ufeff"
        ),
        pytest.param("", "'version' is missing", ":1:1", id="B14-empty"),
        pytest.param("# nothing\n\n", "'version' is missing", ":1:1", id="B14-comments"),
        pytest.param(VALID + "model = 'x'\n", "first defined at line 3", ":4:1", id="B9-key"),
        pytest.param(VALID + "\n" + TARGET, "first defined at line 2", ":5:1", id="B9-table"),
        pytest.param(
            "version = 1\ntriage.production.model = 'x'\n" + TARGET,
            "first defined at line 2", ":3:1", id="B9-dotted",
        ),
        pytest.param(VALID + "[triage", "not valid TOML", ":4:8", id="syntax"),
        pytest.param("version = 2\n", "version 2 needs a newer fftdeploy", ":1:1", id="B21"),
        pytest.param("version = 0\n", "there is no version 0", ":1:1", id="B21-zero"),
        pytest.param("version = '1'\n", "must be an integer, not a string", ":1:1", id="B21-text"),
        pytest.param("version = true\n", "must be an integer, not a boolean", ":1:1", id="B21-true"),
        pytest.param(VALID + "mdoel = 1\n", "unknown key 'mdoel'", ":4:1", id="B10-key"),
        pytest.param(f"{VALID}releases = [{{ {ROW}, x = 1 }}]", "unknown key 'x'", ":4:87", id="B10-row"),
        pytest.param(f"{VALID}holds = [\n{{ {HELD}, 'x' = 1 }}]", "unknown key 'x'", ":5:67", id="B10-hold"),
        pytest.param("version = 1\nbase_url = 'x'\n", "address can't be set", ":2:1", id="B10-address"),
    ],
)  # fmt: skip
def test_what_is_refused(raw: bytes | str, words: str, where: str) -> None:
    refused = refusal(raw)
    assert words in refused.message
    assert refused.where == f"deployments.toml{where}"


@pytest.mark.parametrize("style", ["merge", "diff3"])
def test_B8_a_real_merge_conflict_is_named(tmp_path: Path, style: str) -> None:
    parts = {"ours": 'model = "a"\n', "base": 'model = "b"\n', "theirs": 'model = "c"\n'}
    for name, line in parts.items():
        (tmp_path / name).write_text(f"version = 1\n[triage.production]\n{line}", encoding="utf-8")
    flags = ["--diff3"] if style == "diff3" else []
    merged = subprocess.run(
        ["git", "merge-file", "-p", *flags, *parts], cwd=tmp_path, capture_output=True, check=False
    )
    refused = refusal(merged.stdout)
    assert (refused.message, refused.where, refused.code) == (
        "unresolved merge conflict at line 3", "deployments.toml:3:1", "merge-conflict",
    )  # fmt: skip


# --- B11 to B13: one wrong value for every field -------------------------------------------------

VALUES = {
    "a string": "'x y'",
    "an integer": "3",
    "a float": "nan",
    "a boolean": "true",
    "an array": "[]",
    "a table": "{}",
    "a date-time": "2026-01-01T00:00:00Z",
    "a date or time": "2026-01-01",
}
WORDS = {"a date-time": "a time", "an array": "an array of strings"}
TARGET_FIELDS = {
    "model": "a string", "profile": "a string", "provider": "a string",
    "releases": "an array", "holds": "an array",
}  # fmt: skip
RELEASE_FIELDS = {
    "n": "an integer", "model": "a string", "profile": "a string", "profile_sha": "a string",
    "provider": "a string", "at": "a date-time", "by": "a string", "via": "a string",
    "job": "a string", "evidence": "a string", "why": "a string", "to": "an integer",
    "overrides": "an array",
}  # fmt: skip
HOLD_FIELDS = {
    "model": "a string", "provider": "a string", "release": "an integer", "since": "a date-time",
    "by": "a string", "why": "a string", "until": "a date-time",
}  # fmt: skip
FULL_ROW = {
    "n": "2", "model": "'m'", "profile": "'p'", "profile_sha": f"'{'0' * 32}'",
    "at": "2026-01-01T00:00:00Z", "by": "'b'", "via": "'model'",
}  # fmt: skip
FULL_HOLD = {"model": "'m'", "since": "2026-01-01T00:00:00Z", "by": "'b'", "why": "'w'"}


def table(values: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{key} = {value}" for key, value in values.items()) + " }"


def wrong_types(fields: dict[str, str]) -> list[tuple[str, str, str]]:
    return [
        (key, wanted, kind) for key, wanted in fields.items() for kind in VALUES if kind != wanted
    ]


@pytest.mark.parametrize(("key", "wanted", "kind"), wrong_types(TARGET_FIELDS))
def test_B11_B12_wrong_type_in_a_target(key: str, wanted: str, kind: str) -> None:
    lines = {"model": "'m'"} | {key: VALUES[kind]}
    body = "".join(f"{name} = {value}\n" for name, value in lines.items())
    refused = refusal(f"version = 1\n[triage.production]\n{body}")
    assert f"{key!r} must be {wanted}" in refused.message
    assert refused.message.endswith(f"not {kind}")
    assert refused.where == f"deployments.toml:{3 if key == 'model' else 4}:1"


@pytest.mark.parametrize(("key", "wanted", "kind"), wrong_types(RELEASE_FIELDS))
def test_B11_B12_wrong_type_in_a_release(key: str, wanted: str, kind: str) -> None:
    row = FULL_ROW | ({"via": "'rollback'"} if key == "to" else {})
    row |= {"via": "'job'"} if key == "job" else {}
    row |= {key: VALUES[kind]}
    refused = refusal(f"{VALID}releases = [\n{table(row)}\n]")
    assert refused.message == f"{key!r} must be {WORDS.get(wanted, wanted)}, not {kind}"
    assert refused.where == f"deployments.toml:5:{table(row).index(f' {key} =') + 2}"


@pytest.mark.parametrize(("key", "wanted", "kind"), wrong_types(HOLD_FIELDS))
def test_B11_B12_wrong_type_in_a_hold(key: str, wanted: str, kind: str) -> None:
    row = table(FULL_HOLD | {key: VALUES[kind]})
    refused = refusal(f"{VALID}holds = [\n{row}\n]")
    assert refused.message == f"{key!r} must be {WORDS.get(wanted, wanted)}, not {kind}"
    assert refused.where == f"deployments.toml:5:{row.index(f' {key} =') + 2}"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("triage = 3", ":2:1"),
        ("triage = []", ":2:1"),
        ("[triage]\nproduction = 3", ":3:1"),
        ("[[triage]]\nmodel = 'm'", ":2:1"),
        ("[[triage.production]]\nmodel = 'm'", ":2:1"),
        ("[triage]\nmodel = 'm'", ":2:1"),
    ],
)
def test_B11_tables_where_others_stand(text: str, where: str) -> None:
    assert refusal(f"version = 1\n{text}").where == f"deployments.toml{where}"


@pytest.mark.parametrize("value", ["0", "-1", str(2**53), "99999999999999999999"])
def test_B12_numbers_out_of_range(value: str) -> None:
    row = table(FULL_ROW | {"n": value})
    assert "must be from 1 to" in refusal(f"{VALID}releases = [{row}]").message


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2026-01-01T00:00:00", "has no offset"),
        ("0001-01-01T00:00:00+23:59", "outside the calendar"),
        ("2026-02-30T00:00:00Z", ""),
        ("10:00:00", "must be a time, not a date or time"),
    ],
)
def test_B13_impossible_times(value: str, words: str) -> None:
    row = table(FULL_ROW | {"at": value})
    assert words in refusal(f"{VALID}releases = [{row}]").message


def test_B13_offsets_come_to_the_same_time() -> None:
    rows = [
        table({**FULL_ROW, "n": n, "at": at})
        for n, at in (("2", "2026-01-01T02:00:00+02:00"), ("1", "2026-01-01 00:00:00z"))
    ]
    (target,) = deployments.parse(f"{VALID}releases = [{','.join(rows)}]".encode()).targets.values()
    assert target.releases[0].at == target.releases[1].at


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5_000 + "]" * 5_000,
        "x = " + "{a=" * 5_000 + "1" + "}" * 5_000,
        "[" + ".".join("a" * 5_000) + "]",
        "x = " + "9" * 5_000,
    ],
    ids=["B15-arrays", "B15-inline", "B15-table-name", "B15-integer"],
)
def test_nesting_and_length_are_refused(text: str) -> None:
    assert refusal(f"version = 1\n{text}").outcome.exit_code == 3


def test_B16_over_8_mib_is_refused_unread() -> None:
    refused = refusal(b"#" * (names.MAX_FILE_BYTES + 1))
    assert refused.message == "8,388,609 bytes are more than the 8,388,608 allowed"


def test_B16_many_targets_and_rows_are_read() -> None:
    many = "".join(f'[triage.e{n}]\nmodel = "m"\n' for n in range(5_000))
    rows = ",\n".join(f"{{ {ROW.replace('n = 1', f'n = {n}')} }}" for n in range(3_000, 0, -1))
    parsed = deployments.parse(f"{VALID}releases = [\n{rows}\n]\n{many}".encode())
    target = parsed.find("triage/production")
    assert len(parsed.targets) == 5_001
    assert target is not None
    assert len(target.releases) == 3_000
    assert parsed.line(target, "releases", 2_999, "n") == 3_004
