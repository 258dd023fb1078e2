"""Two people and one file: what git merges clean means what both meant, and the rest is named.

C9 to C13, with real merges.
"""

import random
import re
import subprocess
from pathlib import Path

import pytest
from command_line import Command
from others import clones, git, release
from scenes import FILE, POLICY, V6, V7, V8, V9, V10, hold, past, read, write

from fftdeploy.errors import ConfigError
from fftdeploy.releases import deployments

pytestmark = pytest.mark.usefixtures("repo", "sandbox")
TARGETS = ("triage/dev", "triage/staging", "triage/production", "chat/staging", "chat/production")
MODELS = (V6, V7, V8, V9, V10)
PAIRS = 20
"""`docs/faults.md` has the figures of 60 pairs."""


def table_of(text: str, name: str) -> str:
    """Return one target's lines."""
    header = re.escape(f"[{name.replace('/', '.')}]")
    found = re.search(rf"^{header}\n(?:(?!\[).*\n)*?(?=\n|\Z|\[)", text, re.MULTILINE)
    assert found is not None, name
    return found[0].rstrip("\n")


def merged(ours: bytes, base: bytes, theirs: bytes, *flags: str) -> tuple[int, bytes]:
    """Merge the way git merges a file; the number of conflicts and the text."""
    for name, data in (("ours", ours), ("base", base), ("theirs", theirs)):
        Path(name).write_bytes(data)
    done = subprocess.run(
        ["git", "merge-file", "-p", *flags, "ours", "base", "theirs"],
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout


def change(command: Command, name: str, dice: random.Random) -> list[object]:
    """Make one random change of a target, whatever becomes of it."""
    how = dice.choice(("promote", "promote", "promote", "rollback", "hold"))
    argv: list[object] = [how, name, "--why", "x", "--yes"]
    argv += {"promote": ["--model", dice.choice(MODELS)], "rollback": [], "hold": []}[how]
    if how == "hold":
        argv.insert(2, dice.choice(sorted({*MODELS} - {read(name).model})))
    command(*argv)
    return argv


def begin(dice: random.Random) -> bytes:
    """Write five targets, each with two to four releases."""
    return write(*(past(name, *dice.sample(MODELS, dice.randint(2, 4))) for name in TARGETS))


def state(data: bytes) -> object:
    """Return what a file says; None where it is none."""
    try:
        return deployments.parse(data).targets
    except ConfigError:
        return None


def test_C10_concurrent_pull_requests_are_merged_right_or_not_at_all(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two branches of two clones through a bare remote; expected is one change after the other.

    A merge is wrong where git says nothing, `check --base` says nothing, and it is not that.
    """
    ana, bo = clones(tmp_path, past("triage/dev", V7, V8))
    wrong, clean, named, control = [], 0, 0, 0
    for seed in range(PAIRS):
        dice = random.Random(seed)
        monkeypatch.chdir(ana)
        base = begin(dice)
        publish(ana, "main")
        one = dice.choice(TARGETS)
        other = one if seed % 3 == 0 else dice.choice(TARGETS)
        first = change(command, one, dice)
        theirs = FILE.read_bytes()
        publish(ana, "main")
        monkeypatch.chdir(bo)
        git(bo, "fetch", "--quiet")
        git(bo, "reset", "--quiet", "--hard")
        switch = ("switch", "--quiet", "--force-create", "change", "origin/main~1")
        assert git(bo, *switch).returncode == 0
        assert FILE.read_bytes() == base
        second = change(command, other, dice)
        ours = FILE.read_bytes()
        git(bo, "commit", "--quiet", "--all", "--message", "change", "--allow-empty")
        is_clean = git(bo, "merge", "--quiet", "--no-edit", "origin/main").returncode == 0
        found = FILE.read_bytes()
        checked = command("check", "--base", "origin/main", "--offline")
        git(bo, "merge", "--abort")
        # C11: the same change at the same moment is one, and one that does nothing is none.
        made = {side: argv for side, argv in ((theirs, first), (ours, second)) if side != base}
        expected = replayed(command, base, *made.values())
        clean += is_clean
        named += checked.code != 0
        if checked.code == 0 and (not is_clean or state(found) != expected):
            wrong.append((seed, first, second, checked.out))
        control += state(merged(ours, base, theirs, "--union")[1]) != expected
    print(
        f"{PAIRS} pairs, {clean} clean, {named} named, {len(wrong)} wrong; union: {control} wrong"
    )
    assert (wrong, clean > PAIRS / 3, control > PAIRS / 10) == ([], True, True)


def publish(place: Path, branch: str) -> None:
    git(place, "commit", "--quiet", "--all", "--message", "x", "--allow-empty")
    assert git(place, "push", "--quiet", "--force", "origin", f"HEAD:{branch}").returncode == 0


def replayed(command: Command, base: bytes, *changes: list[object]) -> object:
    """Return what the file says when the changes are made one after the other."""
    FILE.write_bytes(base)
    for argv in changes:
        command(*argv)
    return state(FILE.read_bytes())


def test_C9_two_models_for_one_target_conflict(command: Command) -> None:
    silent, union = 0, 0
    pairs = 20
    for seed in range(pairs):
        dice = random.Random(seed)
        base, name = begin(dice), dice.choice(TARGETS)
        sides = []
        for model in dice.sample(sorted({*MODELS} - {read(name).model}), 2):
            FILE.write_bytes(base)
            assert command("promote", name, "--model", model, "--yes").code == 0
            sides.append(FILE.read_bytes())
        conflicts, both = merged(sides[0], base, sides[1])
        silent += not conflicts
        with pytest.raises(ConfigError) as caught:
            deployments.parse(both)
        number = both.decode().split("<<<<<<<")[0].count("\n") + 1
        assert "merge conflict" in caught.value.message
        assert caught.value.where.startswith(f"deployments.toml:{number}")
        _, both = merged(sides[0], base, sides[1], "--union")
        try:
            deployments.parse(both)
        except ConfigError:
            union += 1
    print(f"{pairs} pairs, {silent} wrong; merge=union: {union} refused as invalid")
    assert (silent, union) == (0, pairs)


# With clones, as people do it.


PRODUCTION = [past("triage/production", V7, V8), past("chat/production", V6)]


def test_C10_two_clones_two_targets(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bo = clones(tmp_path, *PRODUCTION)
    release(monkeypatch, command, ana, "promote", "triage/production", "--model", V9)
    assert git(ana, "push", "--quiet").returncode == 0
    release(monkeypatch, command, bo, "promote", "chat/production", "--model", V8)
    assert git(bo, "push", "--quiet").returncode != 0
    assert git(bo, "pull", "--quiet", "--rebase").returncode == 0
    assert git(bo, "push", "--quiet").returncode == 0
    assert (read("triage/production").model, read("chat/production").model) == (V9, V8)
    assert command("check", "--offline").code == 0


def test_C9_two_clones_one_target(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bo = clones(tmp_path, *PRODUCTION)
    release(monkeypatch, command, ana, "promote", "triage/production", "--model", V9)
    assert git(ana, "push", "--quiet").returncode == 0
    release(monkeypatch, command, bo, "promote", "triage/production", "--model", V10)
    assert git(bo, "push", "--quiet").returncode != 0
    assert git(bo, "pull", "--quiet", "--no-rebase").returncode != 0
    number = FILE.read_text().split("<<<<<<<")[0].count("\n") + 1
    for argv in ("check --offline", "status --offline", "rollback triage/production --yes"):
        result = command(*argv.split())
        assert (result.code, f"deployments.toml:{number}" in result.err) == (3, True), result.err
    assert git(bo, "merge", "--abort").returncode == 0
    assert command("check", "--offline").code == 0


def test_C11_the_same_rollback_twice_is_seen(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one moment it is one change; a minute apart it conflicts, and is never done twice."""
    ana, bo = clones(tmp_path, *PRODUCTION)
    release(monkeypatch, command, ana, "rollback", "triage/production")
    release(monkeypatch, command, bo, "rollback", "triage/production")
    assert (ana / FILE).read_bytes() == (bo / FILE).read_bytes()
    assert git(ana, "push", "--quiet").returncode == 0
    assert git(bo, "pull", "--quiet", "--no-rebase", "--no-edit").returncode == 0
    assert [each.n for each in read("triage/production").releases] == [3, 2, 1]
    assert git(bo, "reset", "--quiet", "--hard", "origin/main~1").returncode == 0
    monkeypatch.setenv("FFTDEPLOY_NOW", "2026-11-21T08:31:00Z")
    release(monkeypatch, command, bo, "rollback", "triage/production")
    assert git(bo, "pull", "--quiet", "--no-rebase", "--no-edit").returncode != 0


def test_C12_a_hold_at_the_source_meets_a_promotion_from_it(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [past("triage/staging", V7, V9), past("triage/production", V7, V8)]
    ana, bo = clones(tmp_path, *tables, policy=POLICY)
    release(monkeypatch, command, ana, "promote", "triage/production", "--from", "staging")
    assert git(ana, "push", "--quiet").returncode == 0
    release(monkeypatch, command, bo, "rollback", "triage/staging")
    assert command("check", "--offline").code == 0
    assert git(bo, "pull", "--quiet", "--no-rebase", "--no-edit").returncode == 0
    result = command("check", "--offline", "--json")
    assert '"held-at-source"' in result.out, result.out


def test_a_hold_meets_the_promotion_it_forbids(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both change the target, in different places: git may merge them, `check` may not."""
    tables = past("triage/production", V6, V7, V8, holds=[hold(V6)])
    ana, bo = clones(tmp_path, tables)
    release(monkeypatch, command, ana, "promote", "triage/production", "--model", V9)
    assert git(ana, "push", "--quiet").returncode == 0
    release(monkeypatch, command, bo, "hold", "triage/production", V9)
    clean = git(bo, "pull", "--quiet", "--no-rebase", "--no-edit").returncode == 0
    assert command("check", "--offline").code == (12 if clean else 3)


def test_C13_union_merges_are_refused(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bo = clones(tmp_path, *PRODUCTION, attributes="deployments.toml merge=union\n")
    release(monkeypatch, command, ana, "promote", "triage/production", "--model", V9)
    assert git(ana, "push", "--quiet").returncode == 0
    release(monkeypatch, command, bo, "promote", "triage/production", "--model", V10)
    assert git(bo, "pull", "--quiet", "--no-rebase", "--no-edit").returncode == 0
    result = command("check", "--offline")
    assert result.code == 3
    assert re.search(r"\(deployments\.toml:[4-9]:", result.err), result.err


def test_two_new_targets_conflict_at_the_end_and_both_can_be_kept(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bo = clones(tmp_path, *PRODUCTION)
    new = ("--create", "--model", V9)
    release(monkeypatch, command, ana, "promote", "triage/dev", *new)
    assert git(ana, "push", "--quiet").returncode == 0
    release(monkeypatch, command, bo, "promote", "chat/dev", *new)
    assert git(bo, "pull", "--quiet", "--no-rebase", "--no-edit").returncode != 0
    assert command("check", "--offline").code == 3
    ours, theirs = (git(bo, "show", f":{side}:deployments.toml").stdout for side in (2, 3))
    FILE.write_text(f"{ours}\n{table_of(theirs, 'triage/dev')}\n")
    assert command("check", "--offline").code == 0
