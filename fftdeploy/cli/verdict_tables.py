"""What stands behind a verdict as tables and lists: models, slices, what changed, examples."""

from collections.abc import Iterable, Iterator

from fftdeploy.evaluation.arms import label
from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.evidence.evidence_folder import Stored
from fftdeploy.evaluation.gate.wording import p_cell
from fftdeploy.evaluation.patterns.told import Told
from fftdeploy.evaluation.patterns.what_changed import Shift, WhatChanged
from fftdeploy.evaluation.verdict import ArmResult, SliceResult, Verdict
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Details, Table, Tone, line

_NAMED = 200
_PATTERNS = 12
_CHARACTERS = 300
"""Most IDs of a kind, patterns with an example, and characters of each text, in a comment."""
_WORN = 20
"""After so many decisions on the same examples the best of them is partly luck."""


def _left_out(evidence: Evidence) -> Iterator[str]:
    """Say how many examples judge nobody, and which of them do all the same."""
    failed = len({*evidence.left_out}.intersection(evidence.results.ids))
    if left := len(evidence.left_out) - failed:
        yield f"{plural(left, 'example')} left out: its prompt or that of live has them"
    if failed:
        yield f"{plural(failed, 'example')} of its own prompt it still fails: they count"


def notices(evidence: Evidence, verdict: Verdict, *, shows_all: bool = True) -> Iterator[str]:
    """Say what does not change the verdict, and should be known with it.

    That a floor allows no failure is news where the candidate is under it.
    """
    for reason in verdict.reasons:
        floor = reason.message.partition(" allows")[0]
        is_under = any(other.message.startswith(f"under {floor}:") for other in verdict.reasons)
        if not reason.rules and (reason.code != "zero-failures" or shows_all or is_under):
            yield reason.message
    yield from (f"{arm} was asked at {host['address']}" for arm, host in evidence.hosts.items())
    examples, baseline = evidence.examples, evidence.baseline
    if baseline.evidence and baseline.at:
        yield (
            f"{evidence.arms['live']} is dead: its answers are those recorded "
            f"{baseline.at:%Y-%m-%d}, evidence {baseline.evidence[:12]}"
        )
    if examples.duplicates:
        yield f"{plural(examples.duplicates, 'example')} left out: the same input twice"
    yield from _left_out(evidence)
    if training := examples.training:
        yield (
            f"{plural(training['exact'], 'example')} in the training file too, "
            f"{training['near']} more nearly so: a model does well on what it has seen"
        )
    if batched := evidence.results.batched:
        yield f"answered by a batch: {', '.join(batched)}; how long answers take was not measured"
    if evidence.attempt > 1:
        yield f"this is attempt {evidence.attempt} of this candidate on these examples"
    if evidence.used > _WORN:
        yield (
            f"these examples have decided {plural(evidence.used, 'time')}: what passes may be what "
            "fits them; add fresh ones"
        )


def arm_table(evidence: Evidence, arms: Iterable[ArmResult]) -> Table:
    """Return what each model passed, took and cost."""
    rows = []
    for arm in arms:
        cached = f" ({arm.tokens_cached:.0f} cached)" if arm.tokens_cached >= 1 else ""
        latency = arm.p95_latency_ms
        row = (
            Cell(arm.arm, "strong"),
            Cell(label(evidence.arms[arm.arm])),
            Cell(f"{arm.passed}/{arm.n} {arm.rate:.1%}"),
            Cell(f"{arm.low:.1%}-{arm.high:.1%}"),
            Cell(f"{arm.valid:.1%}"),
            Cell(f"{arm.tokens_in:.0f}{cached}/{arm.tokens_out:.0f}"),
            Cell(f"{latency:,} ms") if latency is not None else Cell("not measured", "dim"),
            cost_cell(arm),
        )
        rows.append(row)
    p95 = f"p95 ({evidence.concurrency} at once)" if evidence.concurrency else "p95"
    columns = ("model", "id", "passed", "95% interval", "valid", "tokens in/out", p95, "usd/1k")
    return Table(columns, tuple(rows))


def cost_cell(arm: ArmResult) -> Cell:
    """Say what 1,000 requests of a model cost."""
    return Cell(str(arm.cost), "" if arm.cost.is_known else "dim")


def cost_blocks(verdict: Verdict) -> Iterator[Block]:
    """Yield what a request of each model takes, side by side, and what of that saves money."""
    from fftdeploy.output.page.tables import costs

    found = costs(verdict)
    against = (f"against {other['other']}" for other in found["others"])
    columns = ("a request", *(arm.arm for arm in found["arms"]), *against)
    rows = []
    for mean in found["means"]:
        figures = (one["shown"].replace("\N{NO-BREAK SPACE}", " ") for one in mean["figures"])
        texts = (mean["name"], *(shown or "-" for shown in figures), *mean["changes"])
        rows.append(tuple(map(Cell, texts)))
    yield Table(columns, tuple(rows))
    yield from map(line, found["savings"])


def slice_table(slices: Iterable[SliceResult]) -> Table:
    """Return what broke and was fixed in each slice and field."""
    rows = []
    for one in slices:
        tone: Tone = "bad" if one.is_harmed else ("dim" if one.is_small else "")
        texts = (one.name, str(one.n), str(one.broke), str(one.fixed), p_cell(one.p_adjusted))
        rows.append(tuple(Cell(text, tone) for text in texts))
    return Table(("slice", "examples", "broke", "fixed", "p (Holm)"), tuple(rows))


def example_lists(verdict: Verdict, most: int | None = None) -> Iterator[Block]:
    """Yield the IDs of the examples that count, `most` of a kind."""
    named: tuple[tuple[str, tuple[str, ...], Tone], ...] = (
        ("must pass, failed", verdict.must_pass_failed, "bad"),
        ("broke", verdict.broke, "warn"),
        ("fixed", verdict.fixed, "good"),
    )
    for what, ids, tone in named:
        if ids:
            more = f" and {len(ids) - most:,} more" if most and len(ids) > most else ""
            shown = ", ".join(ids[:most])
            yield line("  ", Cell(f"{what} ({len(ids):,}): ", tone), f"{shown}{more}")


def comment_blocks(stored: Stored, told: Told, further: Iterable[str] = ()) -> Iterator[Block]:
    """Yield a verdict for Markdown: the ruling and why, tables, and behind folds what is long."""
    evidence, verdict = stored.evidence, stored.verdict
    yield line(Cell(verdict_word(evidence, verdict), "strong"), f"  {verdict.headline}")
    yield from (line(text) for text in verdict.detail)
    yield arm_table(evidence, verdict.arms)
    yield from change_blocks(told.what_changed)
    if told.weak_spots:
        yield line(f"What these examples can't show: {', '.join(told.weak_spots)}")
    yield from (line(text) for text in (*notices(evidence, verdict), *further))
    if lists := [*example_lists(verdict, _NAMED)]:
        summary = f"{len(verdict.broke)} broke, {len(verdict.fixed)} fixed"
        yield Details(summary, tuple(lists))
    yield Details("Tokens, time and money of a request", tuple(cost_blocks(verdict)))
    if verdict.slices:
        yield Details("Slices and fields", (slice_table(verdict.slices),))


def verdict_word(evidence: Evidence, verdict: Verdict) -> str:
    """Return the ruling in capitals; of what is live, which is no candidate, that it is known."""
    if evidence.is_record:
        return "ON RECORD"
    word = verdict.ruling.upper()
    return f"REPORT ONLY ({word})" if verdict.reports_only else word


def change_blocks(found: WhatChanged) -> Iterator[Block]:
    """Yield what changed as tables, and behind a fold an example of each pattern."""
    if found.outputs_gone:
        yield line(f"What was answered is not known here: {found.outputs_gone}")
    if found.causes:
        columns = ("model", "why answers fail", "answers", "for example")
        causes = (
            (one.arm, one.why, f"{one.count:,} of {one.answers:,}", one.example.id)
            for one in found.causes
        )
        yield Table(columns, tuple(tuple(map(Cell, row)) for row in causes))
    if found.shifts:
        columns = ("field", "was" if found.against == "live" else "agreed", "is", "examples")
        rows = tuple(_shift(one) for one in found.shifts)
        yield Table((*columns, "now wrong", "now right", "for example"), rows)
    if examples := [*_examples(found)]:
        yield Details("An example of each", tuple(examples))


def _shift(one: Shift) -> tuple[Cell, ...]:
    counts = (f"{number:,}" for number in (one.count, one.broke, one.fixed))
    return tuple(map(Cell, (one.field or "answer", one.old, one.new, *counts, one.example.id)))


def _examples(found: WhatChanged) -> Iterator[Block]:
    examples = [one.example for one in found.causes] + [one.example for one in found.shifts]
    for example in [*{one.id: one for one in examples}.values()][:_PATTERNS]:
        if example.input:
            texts = ("asked", example.input), ("agreed", example.agreed)
            said = ("live", example.old), ("candidate", example.new)
            yield line(Cell(example.id, "strong"))
            for what, text in (*texts, *said):
                more = "…" if len(text) > _CHARACTERS else ""
                if text:
                    yield line(f"{what}: {text[:_CHARACTERS]}{more}")
