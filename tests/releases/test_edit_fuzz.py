"""Edits of generated files: nothing but the intended lines of one target may change (B18, B19)."""

import random
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import tomlkit

from fftdeploy.releases import deployments, edit
from fftdeploy.releases.deployments import Bundle, Canary, Deployments, Hold, Release, Target

CHUNKS, FILES = 4, 200
TASKS = ("triage", "refunds", "faq")
ENVIRONMENTS = ("dev", "staging", "production")
MODELS = ("gpt-6-luna", "ft:gpt-4.1-mini-2025-04-14:acme:triage-v9:CdEf9", "m.1", "base")
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
LIFTED: dict[str, Any] = {"lifted": NOW, "lifted_by": "fuzz", "lifted_why": "over"}


class Writer:
    """Writes valid files the way people do: comments, odd spacing, quotes, line endings."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.eols = self.random.choice([["\n"], ["\n"], ["\r\n"], ["\n", "\r\n"]])
        self.lines: list[str] = []
        self.spans: dict[tuple[str, str], tuple[int, int]] = {}
        self.moving: set[str] = set()

    def odds(self, share: float) -> bool:
        return self.random.random() < share

    def file(self) -> str:
        self.lines = ["version = 1" + self.comment()]
        places = [(task, env) for task in TASKS for env in ENVIRONMENTS]
        for task, env in self.random.sample(places, self.random.randint(1, 6)):
            self.filler()
            self.target(task, env)
        self.filler()
        pieces = [line + self.random.choice(self.eols) for line in self.lines]
        if self.odds(0.15):
            pieces[-1] = pieces[-1].rstrip("\r\n")
        return "".join(pieces)

    def comment(self) -> str:
        texts = [" # [triage.production]", "# ] }", ' # "quote', " # model = 'x'", "\t# ünïcode"]
        return self.random.choice(texts) if self.odds(0.2) else ""

    def filler(self) -> None:
        for _ in range(self.random.randint(0, 3)):
            self.lines.append(
                self.random.choice(
                    ["", "", "  ", "# [triage.production]", "#", '  # """', "# a, ["]
                )
            )

    def text(self, value: str) -> str:
        return self.random.choice([f'"{value}"', f'"{value}"', f"'{value}'", f'"""{value}"""'])

    def why(self) -> str:
        if self.odds(0.15):  # reads as one line, and looks like a header and a model
            eol = self.random.choice(self.eols)
            task, env = self.random.choice(TASKS), self.random.choice(ENVIRONMENTS)
            return f'"""\\{eol}[{task}.{env}] # \\{eol}model = \'m\' # \\{eol}x"""'
        return self.text(self.random.choice(["INC-88", "# not a comment", "a ] } , b", "größer"]))

    def key(self, key: str) -> str:
        return self.random.choice([key] * 6 + [f'"{key}"', f"'{key}'"])

    def target(self, task: str, env: str) -> None:
        first = len(self.lines)
        margin = self.random.choice(["", "", "", "  ", "\t"])
        dot = self.random.choice([".", ".", ".", " . "])
        self.lines.append(f"{margin}[{self.key(task)}{dot}{self.key(env)}]{self.comment()}")
        model = self.random.choice(MODELS)
        parts = [[f"{margin}{self.key('model')} = {self.text(model)}{self.comment()}"]]
        if self.odds(0.3):
            parts.append([f"{margin}profile = {self.text('p1')}{self.comment()}"])
        if self.odds(0.15):
            parts.append([f"{margin}provider = {self.text('openai')}{self.comment()}"])
        if self.odds(0.3):
            row = self.row(model=self.text("m.1"), weight="5", since="2026-10-04T10:02:57Z")
            parts.append([f"{margin}{self.key('canary')} = {row}{self.comment()}"])
        if self.odds(0.8):
            rows = [self.release(n) for n in range(self.random.randint(0, 4), 0, -1)]
            parts.append(self.array(margin, "releases", rows))
        if self.odds(0.5):
            rows = [self.hold() for _ in range(self.random.randint(0, 3))]
            parts.append(self.array(margin, "holds", rows))
        if self.odds(0.2):
            self.random.shuffle(parts)
        for part in parts:
            if self.odds(0.2):
                self.filler()
            self.lines += part
        self.spans[task, env] = (self.count(first), self.count(len(self.lines)))

    def count(self, entries: int) -> int:
        return "\n".join([*self.lines[:entries], ""]).count("\n")

    def row(self, **values: str) -> str:
        pairs = list(values.items())
        if self.odds(0.1):
            self.random.shuffle(pairs)
        equals = self.random.choice([" = ", "=", " =\t"])
        space = self.random.choice([" ", "", "  "])
        return "{" + space + ", ".join(self.key(k) + equals + v for k, v in pairs) + space + "}"

    def release(self, n: int) -> str:
        at = self.random.choice(["2026-10-04T10:02:57Z", "2026-10-04 10:02:57+02:00"])
        values = {"n": str(n), "model": self.text(self.random.choice(MODELS)), "at": at}
        return self.row(**values, by=self.text("ci"), via=self.text("model"), why=self.why())

    def hold(self) -> str:
        values = {"model": self.text(self.random.choice(MODELS)), "since": "2026-10-04T10:02:57Z"}
        if self.odds(0.2):
            values |= {"lifted": "2026-10-05T00:00:00Z", "lifted_by": '"x"', "lifted_why": '"y"'}
        return self.row(**values, by=self.text("ci"), why=self.why())

    def array(self, margin: str, key: str, rows: list[str]) -> list[str]:
        start = f"{margin}{self.key(key)} = ["
        if self.odds(0.2):
            tail = self.random.choice(["", ",", " , "]) if rows else self.random.choice(["", " "])
            line = start + ", ".join(rows) + tail + "]" + self.comment()
            self.moving |= set(line.splitlines())
            return [line]
        indent = margin + self.random.choice(["  ", "  ", "\t", "", "    "])
        lines = []
        for row in rows:
            if self.odds(0.15):
                lines.append(self.random.choice(["", "  # ] [triage.production]", "# {"]))
            comma = "," if row is not rows[-1] or self.odds(0.8) else ""
            lines.append(f"{indent}{row}{comma}{self.comment()}")
        if rows and self.odds(0.1):
            self.moving |= set((start + lines[0].strip()).splitlines())
            return [start + lines[0].strip(), *lines[1:], f"{margin}]"]
        return [start + self.comment(), *lines, f"{margin}]" + self.comment()]


Change = Callable[[Target, random.Random], Target]


def promote(target: Target, choose: random.Random) -> Target:
    model = choose.choice(["new", 'ft:gpt-4.1-mini:acme:x:"'[:-1] + "Z"])
    profile = choose.choice([None, "p1", "p2"])
    n = target.releases[0].n + 1 if target.releases else 1
    row = Release(
        n, Bundle(model, profile=profile, profile_sha="0" * 32 if profile else None), NOW, "fuzz",
        "model", why=choose.choice([None, "said \"so\" \\ 'x'", "größer # ["]),
    )  # fmt: skip
    releases = (row, *target.releases)
    return replace(target, model=model, profile=profile, canary=None, releases=releases)


def try_out(target: Target, choose: random.Random) -> Target:
    newest, *_ = promote(target, choose).releases
    tried, weight = newest.bundle, choose.choice([1, 50])
    line = Canary(tried.model, weight, NOW, profile=tried.profile)
    row = replace(newest, canary=weight)
    return replace(target, canary=line, releases=(row, *target.releases))


def take_off(target: Target, choose: random.Random) -> Target:
    return hold(replace(target, canary=None), choose)


def roll_back(target: Target, choose: random.Random) -> Target:
    return hold(promote(target, choose), choose)


def hold(target: Target, choose: random.Random) -> Target:
    row = Hold(target.model, NOW, "fuzz", choose.choice(["bad", "] }"]))
    return replace(target, holds=(row, *target.holds))


def unhold(target: Target, choose: random.Random) -> Target:
    active = [index for index, row in enumerate(target.holds) if row.lifted is None]
    if not active:
        return hold(target, choose)
    holds = list(target.holds)
    index = choose.choice(active)
    holds[index] = replace(holds[index], **LIFTED)
    return replace(target, holds=tuple(holds))


def adopt(target: Target, choose: random.Random) -> Target:
    n = target.releases[0].n + 2 if target.releases else 1
    row = Release(n, Bundle(target.model), NOW, "fuzz", "adopt", verified=choose.random() < 0.5)
    return replace(target, releases=(row, *target.releases))


CHANGES: tuple[Change, ...] = (promote, roll_back, hold, unhold, adopt, try_out, take_off)


def tried(line: Canary) -> dict[str, Any]:
    profile = {"profile": line.profile} if line.profile else {}
    return {"model": line.model, **profile, "weight": line.weight, "since": NOW}


def expected(data: dict[str, Any], before: Target, after: Target) -> dict[str, Any]:
    """Say in plain dictionaries what the file must read as; written apart from `edit`."""
    table = dict(data[after.task][after.environment])
    table["model"] = after.model
    table.pop("profile", None)
    if after.profile:
        table["profile"] = after.profile
    if after.canary != before.canary:
        table.pop("canary", None)
        table |= {"canary": tried(after.canary)} if after.canary else {}
    if len(after.releases) > len(before.releases):
        (new,) = after.releases[: len(after.releases) - len(before.releases)]
        row = {"n": new.n, "model": new.bundle.model, "at": NOW, "by": "fuzz", "via": new.via}
        if new.bundle.profile:
            row |= {"profile": new.bundle.profile, "profile_sha": new.bundle.profile_sha or ""}
        row |= {"why": new.why} if new.why else {}
        row |= {} if new.verified else {"verified": False}
        row |= {"canary": new.canary} if new.canary else {}
        table["releases"] = [row, *table.get("releases", [])]
    added = len(after.holds) - len(before.holds)
    held = list(table.get("holds", []))
    for index, row in enumerate(held):
        if after.holds[added + index] != before.holds[index]:
            held[index] = {**row, **LIFTED}
    for new_hold in after.holds[:added]:
        held = [
            {"model": new_hold.model, "since": NOW, "by": "fuzz", "why": new_hold.why},
            *held,
        ]
    if held or "holds" in table:
        table["holds"] = held
    return {**data, after.task: {**data[after.task], after.environment: table}}


def same(one: object, other: object) -> bool:
    """Compare types too; the order of keys does not count."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def fault(writer: Writer, text: str, new: str, before: Target, after: Target) -> str:
    """Say what an edit did wrong, "" for nothing."""
    try:
        read = tomllib.loads(new)
    except tomllib.TOMLDecodeError as error:
        return f"not TOML: {error}"
    if not same(read, expected(tomllib.loads(text), before, after)):
        return "another document"
    first, last = writer.spans[after.task, after.environment]
    lines = text.splitlines(keepends=True)
    outside = "".join(lines[:first]), "".join(lines[last:])
    if not (new.startswith(outside[0]) and new.endswith(outside[1])):
        return "changed outside the target"
    inside = new[len(outside[0]) : len(new) - len(outside[1])].splitlines(keepends=True)
    if "\n" not in text.replace("\r\n", "") and "\n" in new.replace("\r\n", ""):
        return "lost CRLF"
    gone = missing(lines[first:last], inside)
    holds = zip(reversed(before.holds), reversed(after.holds), strict=False)
    allowed = (before.model != after.model) + (before.profile != after.profile)
    allowed += before.canary != after.canary
    allowed += sum(old != now for old, now in holds)
    gone = [line for line in gone if line.rstrip("\r\n") not in writer.moving]
    return "" if len(gone) <= allowed else f"lost {gone}"


def missing(old: list[str], new: list[str]) -> list[str]:
    """Return the lines of `old` that `new` does not have, in the same order: the fewest."""
    best: list[list[str]] = [[]] * (len(new) + 1)  # what is lost of the lines so far
    for line in old:
        above, best = best, [[*best[0], line]]
        ended = line.endswith("\n")  # the last line of a file may get its line ending
        for place, other in enumerate(new):
            same_line = line == (other if ended else other.rstrip("\r\n"))
            ways = [[*above[place + 1], line], best[place]]
            best.append(above[place] if same_line else min(ways, key=len))
    return best[-1]


def naive(text: str, before: Target, after: Target) -> str:
    """Edit the whole file with tomlkit, the obvious way: the control."""
    doc = tomlkit.parse(text)
    table: Any = doc[after.task][after.environment]
    table["model"] = after.model
    if after.profile:
        table["profile"] = after.profile
    else:
        table.pop("profile", None)
    table.pop("canary", None)
    if after.canary:
        line = tomlkit.inline_table()
        line.update(tried(after.canary))
        table["canary"] = line
    for key, row in (("releases", edit._row), ("holds", edit._row)):
        old, rows = getattr(before, key), getattr(after, key)
        if len(rows) > len(old):
            new = tomlkit.inline_table()
            new.update(row(rows[0]))
            if key in table:
                table[key].insert(0, new)
            else:
                table[key] = [new]
        for index, (was, now) in enumerate(zip(reversed(old), reversed(rows), strict=False)):
            if was != now:
                table[key][len(rows) - 1 - index].update(LIFTED)
    return tomlkit.dumps(doc)


def run(
    seeds: range, edited: Callable[[Deployments, Target, Target], str]
) -> tuple[int, list[str]]:
    """Make two changes to each file of `seeds`; return how many, and what went wrong."""
    tried, faults = 0, []
    for seed in seeds:
        writer = Writer(seed)
        text = writer.file()
        parsed = deployments.parse(text.encode())
        for change in (CHANGES[seed % len(CHANGES)], CHANGES[(seed + 2) % len(CHANGES)]):
            before = writer.random.choice(list(parsed.targets.values()))
            after = change(before, writer.random)
            tried += 1
            try:
                wrong = fault(writer, text, edited(parsed, before, after), before, after)
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                faults.append(f"seed {seed}, {change.__name__} {after}: {wrong}")
    return tried, faults


@pytest.mark.parametrize("chunk", range(CHUNKS), ids=lambda chunk: f"B18-B19-{chunk}")
def test_only_the_intended_lines_change(chunk: int) -> None:
    seeds = range(chunk * FILES, (chunk + 1) * FILES)
    tried, faults = run(seeds, lambda parsed, *change: edit.rewrite(parsed.document, *change))
    print(f"{tried} tried, {len(faults)} wrong")
    assert (tried, faults) == (2 * FILES, [])


def test_control_whole_file_tomlkit_is_caught() -> None:
    tried, faults = run(range(40), lambda parsed, *change: naive(parsed.document.text, *change))
    print(f"control: {tried} tried, {len(faults)} wrong")
    assert len(faults) > tried // 10
