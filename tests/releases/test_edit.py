"""Edits of one target: whole file before, change, whole file after."""

# ruff: noqa: E501 - the rows of the file are long, and shown whole

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from scenes import V8, V9

from fftdeploy.errors import ConfigError
from fftdeploy.releases import deployments, edit
from fftdeploy.releases.deployments import Bundle, Hold, Release, Target

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
SHA = "5d0c1e7a9b42f0c85d0c1e7a9b42f0c8"
EVIDENCE = "3f9c2a61d0b74c55a1e0c9d2f7b8e611"

STAGING = f"""\
[triage.staging]
model = "gpt-6-luna"
profile = "triage-long"
releases = [
  {{ n = 13, model = "gpt-6-luna", profile = "triage-long", profile_sha = "{SHA}", at = 2026-11-21T08:30:00Z, by = "ana@acme.example", via = "model" }},
  {{ n = 12, model = "{V9}", at = 2026-11-18T09:12:04Z, by = "ana@acme.example", via = "job", job = "ftjob-def456" }},
]
"""
ROW_9 = f'  {{ n = 9, model = "{V9}", at = 2026-11-20T16:20:31Z, by = "ci", via = "staging", evidence = "{EVIDENCE}", why = "PR #212" }},\n'
ROW_8 = f'  {{ n = 8, model = "{V8}", at = 2026-10-04T10:02:57Z, by = "ci", via = "staging", why = "before the gate" }},\n'
HOLD = f'  {{ model = "{V9}", since = 2026-11-20T18:02:10Z, by = "ana@acme.example", why = "INC-88" }},\n'
PRODUCTION = f"""\
[triage.production]
model = "{V9}"
releases = [
{ROW_9}{ROW_8}]
"""
SAMPLE = f"version = 1\n\n{STAGING}\n{PRODUCTION}"
BARE = 'version = 1\n\n[triage.production]\nmodel = "gpt-6-luna"\n'
ROW_1 = '{ n = 1, model = "new", at = 2026-11-21T08:30:00Z, by = "me", via = "model" }'


def rewritten(text: str, **change: Any) -> str:
    """Rewrite triage/production of `text` with some of its fields replaced."""
    parsed = deployments.parse(text.encode())
    before = parsed.find("triage/production")
    assert before is not None
    return edit.rewrite(parsed.document, before, replace(before, **change))


def promoted(text: str, model: str = "new") -> str:
    """Rewrite triage/production of `text` the way a promotion does."""
    parsed = deployments.parse(text.encode())
    before = parsed.find("triage/production")
    assert before is not None
    n = before.releases[0].n + 1 if before.releases else 1
    row = Release(n, Bundle(model), NOW, "me", "model")
    after = replace(before, model=model, releases=(row, *before.releases))
    return edit.rewrite(parsed.document, before, after)


def target(text: str) -> Target:
    found = deployments.parse(text.encode()).find("triage/production")
    assert found is not None
    return found


def test_a_promotion_is_one_changed_and_one_added_line() -> None:
    row = Release(10, Bundle(V8), NOW, "ci", "staging", evidence=EVIDENCE, why='PR "212"')
    releases = (row, *target(SAMPLE).releases)

    assert rewritten(SAMPLE, model=V8, releases=releases) == SAMPLE.replace(
        f'model = "{V9}"\nreleases = [\n{ROW_9}',
        f'model = "{V8}"\nreleases = [\n'
        f'  {{ n = 10, model = "{V8}", at = 2026-11-21T08:30:00Z, by = "ci", via = "staging", '
        f'evidence = "{EVIDENCE}", why = "PR \\"212\\"" }},\n{ROW_9}',
    )


def test_every_key_of_a_release_has_its_place_in_the_row() -> None:
    row = Release(
        10, Bundle("m", profile="p", profile_sha=SHA), NOW.replace(microsecond=5), "b", "job",
        "ftjob-1", EVIDENCE, "w", None, verified=False, overrides=("freeze", "soak"),
    )  # fmt: skip
    after = rewritten(BARE, releases=(row,))
    assert after == BARE + (
        "releases = [\n"
        f'  {{ n = 10, model = "m", profile = "p", profile_sha = "{SHA}", '
        'at = 2026-11-21T08:30:00Z, by = "b", via = "job", job = "ftjob-1", '
        f'evidence = "{EVIDENCE}", why = "w", verified = false, overrides = ["freeze", "soak"] }},\n'
        "]\n"
    )
    assert target(after).releases == (replace(row, at=NOW),)


def test_a_rollback_adds_its_row_and_a_hold_after_the_releases() -> None:
    old = target(SAMPLE)
    row = Release(10, Bundle(V8), NOW, "ana", "rollback", to=8, why="INC-88")
    hold = Hold(V9, NOW, "ana", "INC-88", release=9, until=NOW)

    assert rewritten(SAMPLE, model=V8, releases=(row, *old.releases), holds=(hold,)) == (
        SAMPLE.replace(
            f'model = "{V9}"\nreleases = [\n{ROW_9}',
            f'model = "{V8}"\nreleases = [\n  {{ n = 10, model = "{V8}", at = 2026-11-21T08:30:00Z, '
            f'by = "ana", via = "rollback", to = 8, why = "INC-88" }},\n{ROW_9}',
        )
        + f'holds = [\n  {{ model = "{V9}", release = 9, since = 2026-11-21T08:30:00Z, by = "ana", '
        'why = "INC-88", until = 2026-11-21T08:30:00Z },\n]\n'
    )


def test_a_hold_goes_on_top_and_unhold_lengthens_its_row() -> None:
    text = f"{SAMPLE}holds = [\n{HOLD}]\n"
    (old,) = target(text).holds
    lifted = replace(old, lifted=NOW, lifted_by="me", lifted_why="fixed")
    new = Hold(V8, NOW, "me", "no")

    assert rewritten(text, holds=(lifted,)) == text.replace(
        'why = "INC-88" }',
        'why = "INC-88", lifted = 2026-11-21T08:30:00Z, lifted_by = "me", lifted_why = "fixed" }',
    )
    assert rewritten(text, holds=(new, old)) == text.replace(
        HOLD,
        f'  {{ model = "{V8}", since = 2026-11-21T08:30:00Z, by = "me", why = "no" }},\n{HOLD}',
    )


def test_profile_lines_come_change_and_go() -> None:
    bare = SAMPLE.replace('profile = "triage-long"\n', "")
    new = rewritten(bare, profile="short")
    assert new == bare.replace(f'"{V9}"\nrel', f'"{V9}"\nprofile = "short"\nrel')
    assert rewritten(new, profile="long") == new.replace('"short"', '"long"')
    assert rewritten(new, profile=None) == bare
    commented = new.replace('"short"', '"short" # why')
    assert rewritten(commented, profile=None, model="x") == bare.replace(
        f'"{V9}"\nreleases = [\n{ROW_9}', f'"x"\nreleases = [\n{ROW_9}'
    )


def test_provider_openai_stays_written_where_it_is_and_is_written_nowhere_else() -> None:
    text = BARE + 'provider = "openai"\n'
    assert promoted(text) == (text.replace("gpt-6-luna", "new") + f"releases = [\n  {ROW_1},\n]\n")


def test_times_are_written_in_utc() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=2)))
    after = rewritten(BARE, releases=(Release(1, Bundle("gpt-6-luna"), east, "b", "adopt"),))
    assert "at = 2026-11-21T08:30:00Z," in after


@pytest.mark.parametrize(
    ("text", "lead"),
    [
        ("version = 1\n", "\n"),
        ("version = 1\n\n", ""),
        ("version = 1", "\n\n"),
        ("version = 1\r\n", "\r\n"),
        ("version = 1 # x", "\n\n"),
        (BARE.replace("production", "dev"), "\n"),
    ],
)
def test_B4_a_new_target_is_a_table_at_the_end(text: str, lead: str) -> None:
    parsed = deployments.parse(text.encode())
    row = Release(1, Bundle("new", profile="p", profile_sha=SHA), NOW, "me", "model")
    new = Target("triage", "production", "new", profile="p", releases=(row,))
    table = (
        '[triage.production]\nmodel = "new"\nprofile = "p"\nreleases = [\n'
        f'  {{ n = 1, model = "new", profile = "p", profile_sha = "{SHA}", '
        'at = 2026-11-21T08:30:00Z, by = "me", via = "model" },\n]\n'
    )
    eol = "\r\n" if "\r\n" in text else "\n"
    assert edit.rewrite(parsed.document, None, new) == text + lead + table.replace("\n", eol)


def test_a_new_target_of_a_task_in_an_inline_table_is_refused() -> None:
    parsed = deployments.parse(b'version = 1\ntriage = { dev = { model = "m" } }\n')
    with pytest.raises(ConfigError, match="can't be edited safely") as refused:
        edit.rewrite(parsed.document, None, Target("triage", "production", "new"))
    assert refused.value.where == "deployments.toml:2:1"


def test_no_change_is_no_change() -> None:
    assert rewritten(SAMPLE) == SAMPLE


# --- B17: layouts, each edited exactly or refused ----------------------------------------------

HEAD = "version = 1\n"
ADDED = f"  {ROW_1},\n"
ARRAY = f"releases = [\n{ADDED}]\n"
OLD = '{ n = 1, model = "old", at = 2026-01-01T00:00:00Z, by = "x", via = "model" }'
ROW_2 = ROW_1.replace("n = 1", "n = 2")

WAS = '[triage.production]\nmodel = "old"\n'
IS = '[triage.production]\nmodel = "new"\n'
APPENDED = {
    "plain": '[triage.production]\nmodel = "old"\n',
    "literal": "[triage.production]\nmodel = 'old'\n",
    "multi-basic": '[triage.production]\nmodel = """old"""\n',
    "quoted-header": "[\"triage\".'production'] # c\nmodel = 'old' # d\n",
    "escaped-header": '["tri\\u0061ge".production]\nmodel = "old"\n',
    "spaced-header": '[ triage . production ]\nmodel="old"\n',
    "header-in-comment": '# [triage.production]\n[triage.production]\nmodel = "old"\n',
    "out-of-order": '[triage.dev]\nmodel = "a"\n[other.dev]\nmodel = "b"\n[triage.production]\nmodel = "old"\n',
}
"""Nothing follows the target: after the new model its first release is added."""
EDITED = {
    **{name: (text, text.replace("old", "new") + ARRAY) for name, text in APPENDED.items()},
    "multi-literal": (
        "[triage.production]\nmodel = '''\nold'''\n",
        "[triage.production]\nmodel = '''new'''\n" + ARRAY,
    ),
    "quoted-keys": (
        '[triage.production]\n"model" = "old"\n\'releases\' = []\n',
        f'[triage.production]\n"model" = "new"\n\'releases\' = [\n{ADDED}]\n',
    ),
    "indented": (
        '\t[triage.production]\n\tmodel = "old"\n\treleases = []\n',
        f'\t[triage.production]\n\tmodel = "new"\n\treleases = [\n\t{ADDED}\t]\n',
    ),
    "indented-bare": (
        '  [triage.production]\n  model = "old"\n',
        f'  [triage.production]\n  model = "new"\n  releases = [\n  {ADDED}  ]\n',
    ),
    "one-line": (WAS + f"releases = [{OLD}]\n", IS + f"releases = [\n  {ROW_2},\n  {OLD},\n]\n"),
    "one-line-comma": (
        WAS + f"releases = [ {OLD} , ] # kept\n",
        IS + f"releases = [\n  {ROW_2},\n  {OLD},\n] # kept\n",
    ),
    "bracket-line": (
        WAS + f"releases = [ {OLD} # c\n]\n",
        IS + f"releases = [\n  {ROW_2},\n  {OLD} # c\n]\n",
    ),
    "no-trailing-comma": (
        WAS + f"releases = [\n\t{OLD}\n]\n",
        IS + f"releases = [\n\t{ROW_2},\n\t{OLD}\n]\n",
    ),
    "bracket-comment": (
        WAS + f"releases = [ # ] newest\n  # first\n    {OLD}, # z\n]\n",
        IS + f"releases = [ # ] newest\n    {ROW_2},\n  # first\n    {OLD}, # z\n]\n",
    ),
    "empty-lines": (
        WAS + "releases = [\n  # none yet\n\n]\n",
        IS + f"releases = [\n{ADDED}  # none yet\n\n]\n",
    ),
    "model-last": (
        '[triage.production]\n# a\nreleases = [ ]\n# b\nmodel = "old" # c\n# d\n',
        f'[triage.production]\n# a\nreleases = [\n{ADDED}]\n# b\nmodel = "new" # c\n# d\n',
    ),
    "holds-first": (
        '[triage.production]\nholds = []\nmodel = "old"\n',
        '[triage.production]\nholds = []\nmodel = "new"\n' + ARRAY,
    ),
    "before-holds": (WAS + "\n# held\nholds = []\n", IS + f"{ARRAY}\n# held\nholds = []\n"),
    "comment-after": (
        WAS + '\n# of the next\n[other.dev]\nmodel = "m"\n',
        IS + f'{ARRAY}\n# of the next\n[other.dev]\nmodel = "m"\n',
    ),
    "B4-no-newline": ('[triage.production]\nmodel = "old"', IS + ARRAY),
    "B1-crlf": (
        '[triage.production]\r\nmodel = "old"\r\n',
        '[triage.production]\r\nmodel = "new"\r\n' + ARRAY.replace("\n", "\r\n"),
    ),
    "B1-crlf-no-newline": (
        '[triage.production]\r\nmodel = "old"',
        '[triage.production]\r\nmodel = "new"\r\n' + ARRAY.replace("\n", "\r\n"),
    ),
    "B2-mixed": (
        WAS + f"releases = [\r\n  {OLD},\n]\r\n",
        IS + f"releases = [\r\n  {ROW_2},\r\n  {OLD},\n]\r\n",
    ),
    "super-table-after": (WAS + "[triage]\n", IS + f"{ARRAY}[triage]\n"),
    "multi-line-row": (
        WAS + "releases = [" + OLD[:-2] + ', why = """\\\n [x]\\\n """ }]\n',
        IS + f'releases = [\n  {ROW_2},\n  {OLD[:-2]}, why = """\\\n [x]\\\n """ }}]\n',
    ),
}


@pytest.mark.parametrize(
    ("table", "after"), EDITED.values(), ids=[f"B17-{name}" for name in EDITED]
)
def test_layouts_that_are_edited(table: str, after: str) -> None:
    parsed = deployments.parse((HEAD + table).encode())
    assert edit.layout_error(parsed.document, target(HEAD + table)) is None
    assert promoted(HEAD + table) == HEAD + after


REFUSED = {
    "inline-task": ('triage = { production = { model = "old" } }\n', 2),
    "inline-environment": ('[triage]\nproduction = { model = "old" }\n', 3),
    "dotted-environment": ('[triage]\nproduction.model = "old"\n', 3),
    "dotted-task": ('triage.production.model = "old"\n', 2),
    "dotted-after-comment": ('# x\n[triage]\n"production" . \'model\' = "old"\n', 4),
    "array-of-tables": (
        '[triage.production]\nmodel = "old"\n[[triage.production.releases]]\nn = 1\n'
        'model = "old"\nat = 2026-01-01T00:00:00Z\nby = "x"\nvia = "model"\n',
        2,
    ),
    "holds-of-tables": (
        '[triage.production]\nmodel = "old"\n[[triage.production.holds]]\nmodel = "old"\n'
        'since = 2026-01-01T00:00:00Z\nby = "x"\nwhy = "y"\n',
        2,
    ),
    "look-alike-in-string": (
        '[other.dev]\nmodel = "m"\nholds = [{ model = "m", since = 2026-01-01T00:00:00Z, by = "x", '
        'why = """\\\n[triage.production] # \\\n""" }]\n[triage]\nproduction.model = "old"\n',
        8,
    ),
}


@pytest.mark.parametrize(
    ("table", "line"), REFUSED.values(), ids=[f"B17-{name}" for name in REFUSED]
)
def test_layouts_that_are_refused(table: str, line: int) -> None:
    text = HEAD + table
    parsed = deployments.parse(text.encode())
    words = "triage/production: this layout can't be edited safely"

    wrong = edit.layout_error(parsed.document, target(text))
    assert wrong
    assert wrong.message == words
    with pytest.raises(ConfigError) as refused:
        promoted(text)
    assert refused.value.message == words
    assert refused.value.where.startswith(f"deployments.toml:{line}:")
    assert "[triage.production]" in refused.value.hint


def test_B17_a_look_alike_in_a_string_is_passed_over() -> None:
    text = (
        'version = 1\n[other.dev]\nmodel = "m"\nholds = [{ model = "m", since = 2026-01-01T00:00:00Z, '
        'by = "x", why = """\\\n[triage.production] # \\\nmodel = \'old\' # \\\n[x] # \\\n""" }]\n'
        "[triage.production]\nmodel = 'old'\n"
    )
    assert promoted(text) == text[: -len("model = 'old'\n")] + "model = 'new'\n" + ARRAY


# --- B20: the proof ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        lambda text, _splices: text,
        lambda text, _splices: text + "x = 1\n",
        lambda text, _splices: text + "\n[",
        lambda text, _splices: text.replace("version = 1", "version = true"),
        lambda text, _splices: text.replace("version = 1", "version = 1.0"),
    ],
    ids=["unchanged", "extra key", "not TOML", "a boolean", "a float"],
)
def test_B20_a_wrong_splice_is_never_returned(
    monkeypatch: pytest.MonkeyPatch, broken: object
) -> None:
    monkeypatch.setattr(edit, "_spliced", broken)  # the seam: stands for a bug in the splicing
    with pytest.raises(edit.EditError, match="would not read as intended"):
        promoted(SAMPLE)


@pytest.mark.parametrize(
    "change",
    [
        {"releases": ()},
        {"releases": tuple(reversed(target(SAMPLE).releases))},
        {"holds": ()},
        {"holds": (Hold(V9, NOW, "x", "y"),)},
    ],
    ids=["releases lost", "releases changed", "holds lost", "hold changed"],
)
def test_rows_are_never_changed_or_lost(change: dict[str, object]) -> None:
    with pytest.raises(edit.EditError):
        rewritten(f"{SAMPLE}holds = [\n{HOLD}]\n", **change)


def test_a_target_that_is_not_as_planned_is_not_edited() -> None:
    parsed = deployments.parse(BARE.encode())
    with pytest.raises(edit.EditError, match="not as it was"):
        edit.rewrite(parsed.document, None, Target("triage", "production", "new"))
    gone = Target("triage", "dev", "old")
    with pytest.raises(edit.EditError, match="not as it was"):
        edit.rewrite(parsed.document, gone, replace(gone, model="new"))
