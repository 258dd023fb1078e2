"""A verdict, and the arms behind it, as a person reads them: the verdict itself comes last."""

from collections.abc import Iterable, Iterator

from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.gate.wording import p_cell
from fftdeploy.evaluation.verdict import ArmResult, SliceResult, Verdict
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Table, Tone, line
from fftdeploy.releases.deployments import Bundle

NAMED = 10
"""Most examples that are named in text; JSON and the report have them all."""

_TONES: dict[str, Tone] = {"pass": "good", "fail": "bad", "inconclusive": "warn"}


def verdict_blocks(
    evidence: Evidence, verdict: Verdict, further: Iterable[str] = ()
) -> tuple[Block, ...]:
    """Show arms, slices, what broke, what is worth knowing (`further` too), and the verdict."""
    arms, *slices = tables(evidence, verdict)
    blocks: list[Block] = [arms]
    for table in slices:
        blocks += [line(""), table]
    blocks += _examples(verdict)
    blocks += [line(f"  note: {text}") for text in (*notices(evidence, verdict), *further)]
    return (*blocks, line(""), *headline(verdict))


def tables(evidence: Evidence, verdict: Verdict) -> list[Table]:
    """Return the table of the arms and, where there are any, that of slices and fields."""
    slices = [_slices(verdict.slices)] if verdict.slices else []
    return [_arms(evidence, verdict.arms), *slices]


def headline(verdict: Verdict) -> Iterator[Block]:
    """Say the verdict: the ruling and why, then the figures."""
    word = verdict.ruling.upper()
    if verdict.reports_only:
        word = f"REPORT ONLY ({word})"
    yield line(Cell(word, _TONES[verdict.ruling]), f"  {verdict.headline}")
    yield from (line(Cell(f"      {text}", "dim")) for text in verdict.detail)


def notices(evidence: Evidence, verdict: Verdict) -> Iterator[str]:
    """Say what does not change the verdict, and should be known with it."""
    yield from (reason.message for reason in verdict.reasons if not reason.rules)
    examples, baseline = evidence.examples, evidence.baseline
    if baseline.evidence and baseline.at:
        yield (
            f"{evidence.arms['live']} is dead: its answers are those recorded "
            f"{baseline.at:%Y-%m-%d}, evidence {baseline.evidence[:12]}"
        )
    if examples.duplicates:
        yield f"{plural(examples.duplicates, 'example')} left out: the same input twice"
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


_WORN = 20
"""After so many decisions on the same examples the best of them is partly luck."""


def bundle_words(bundle: Bundle) -> str:
    """Name a bundle in a table's cell."""
    return f"{bundle.model} @{bundle.profile}" if bundle.profile else bundle.model


def _arms(evidence: Evidence, arms: Iterable[ArmResult]) -> Table:
    rows = tuple(_arm(evidence.arms[arm.arm], arm) for arm in arms)
    p95 = f"p95 ({evidence.concurrency} at once)" if evidence.concurrency else "p95"
    columns = ("model", "id", "passed", "95% interval", "valid", "tokens in/out", p95, "usd/1k")
    return Table(columns, rows)


def _arm(bundle: Bundle, arm: ArmResult) -> tuple[Cell, ...]:
    cached = f" ({arm.tokens_cached:.0f} cached)" if arm.tokens_cached >= 1 else ""
    latency, usd = arm.p95_latency_ms, arm.usd_per_1k_requests
    return (
        Cell(arm.arm, "strong"),
        Cell(bundle_words(bundle)),
        Cell(f"{arm.passed}/{arm.n} {arm.rate:.1%}"),
        Cell(f"{arm.low:.1%}-{arm.high:.1%}"),
        Cell(f"{arm.valid:.1%}"),
        Cell(f"{arm.tokens_in:.0f}{cached}/{arm.tokens_out:.0f}"),
        Cell(f"{latency:,} ms") if latency is not None else Cell("not measured", "dim"),
        Cell(f"{usd:.2f}") if usd is not None else Cell("no price", "dim"),
    )


def _slices(slices: Iterable[SliceResult]) -> Table:
    return Table(
        ("slice", "examples", "broke", "fixed", "p (Holm)"),
        tuple(_slice(one) for one in slices),
    )


def _slice(one: SliceResult) -> tuple[Cell, ...]:
    name = f"{one.key}={one.value}" if one.kind == "slice" else f"field {one.key}"
    tone: Tone = "bad" if one.is_harmed else ("dim" if one.is_small else "")
    texts = (name, str(one.n), str(one.broke), str(one.fixed), p_cell(one.p_adjusted))
    return tuple(Cell(text, tone) for text in texts)


def _examples(verdict: Verdict) -> Iterator[Block]:
    named_lists: tuple[tuple[str, tuple[str, ...], Tone], ...] = (
        ("must pass, failed", verdict.must_pass_failed, "bad"),
        ("broke", verdict.broke, "warn"),
        ("fixed", verdict.fixed, "good"),
    )
    for what, ids, tone in named_lists:
        if ids:
            more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
            named = ", ".join(ids[:NAMED])
            yield line("  ", Cell(f"{what} ({len(ids)}): ", tone), f"{named}{more}")
