"""Migrate: its flags, and for each target a table of its successors and what became of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from fftdeploy.cli.app import ChangeFlags, command
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.asking import MigrateOptions
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Patch, Report, Table, Tone, line

if TYPE_CHECKING:
    from fftdeploy.cli.cells import Names
    from fftdeploy.commands.migrating.migration import (
        DraftedProfile,
        Migrated,
        Migration,
        Shortfall,
        Successor,
    )
    from fftdeploy.evaluation.verdict import ArmResult, Verdict

_NO_GATE = "no gate: no examples to ask"


@command(
    "migrate",
    MigrateOptions,
    """
    fftdeploy migrate --plan
    fftdeploy migrate triage --to gpt-6-luna@triage-long --dry-run --max-usd 5
    fftdeploy migrate --why "fine-tunes end on 2027-01-14" --commit
    fftdeploy migrate --record
    fftdeploy migrate triage --draft-profile
    fftdeploy migrate --dry-run --batch --wait 0
    """,
    more="""
    With --dry-run models are compared, and paid for: only the file stays as it is.
    """,
)
def migrate(session: Session, options: MigrateOptions, flags: ChangeFlags) -> Report:
    """Show the successors of each target, ask, and say what was made."""
    from fftdeploy.commands.migrate import run

    output = session.output
    options = replace(options, approve=_approval(session, flags))
    result = run(session, options)
    is_changed = any(one.state == "changed" for one in result.targets)
    was_shown = output.is_interactive and not flags.yes and is_changed
    shows_diff = flags.diff or options.dry_run or output.form != "text"
    body = _ends(result) if was_shown else _body(session, result, shows_diff=shows_diff)
    return Report(result.outcome, result, tuple(body), next=_next(session, result, options))


def _approval(session: Session, flags: ChangeFlags) -> Callable[[Any], bool] | None:
    """Return who is asked: the person at the terminal, nobody, or None with `--yes`."""
    from fftdeploy.commands.changing.change import nobody

    output = session.output

    def approve(planned: "Migrated") -> bool:
        output.say(*_body(session, planned, shows_diff=flags.diff))
        count = sum(one.state == "planned" for one in planned.targets)
        return output.ask(f"make {plural(count, 'change')}? [y/N]").lower() in {"y", "yes"}

    asked = approve if output.is_interactive else nobody
    return None if flags.yes else asked


def _next(session: Session, result: "Migrated", options: MigrateOptions) -> str:
    """Return the line that goes on: from a plan, from batches, or to commit what was changed."""
    from fftdeploy.commands.changing.next_step import next_step

    changes = [one.change for one in result.targets if one.change and one.state == "changed"]
    if changes and session.output.form == "text":
        return next_step(session, *changes)
    if result.drafts:
        return result.drafts[0].judge
    if any(one.state == "under-way" for one in result.targets):
        return options.again
    if not options.plan or not result.cost:
        return ""
    return replace(options, plan=False, dry_run=not options.record).again


def _body(session: Session, result: "Migrated", *, shows_diff: bool) -> Iterator[Block]:
    from fftdeploy.cli.cells import Names
    from fftdeploy.output.words import cost_words

    models = [one.live.model for one in result.targets]
    models += [each.bundle.model for one in result.targets for each in one.successors]
    names = Names(models if session.output.at_terminal else ())
    if result.drafts is not None:
        yield from _drafts(session, result.drafts)
        return
    if not result.targets:
        yield line(f"no model ends within {plural(result.within_days, 'day')}: nothing to do")
    states = {one.state for one in result.targets}
    if "recorded" in states or states == {"no-gate"}:
        yield from _records(result, names)
        return
    for one, following in zip_longest(result.targets, result.targets[1:]):
        yield from _target(one, names)
        is_all = bool(one.problem) and not (one.change or one.shortfall)
        if following and is_all and one.problem == following.problem:
            continue  # it is said once, below the last of them
        yield from _ending_of(session, one, names)
        yield from (line(""),) if following else ()
    if result.cost and len(result.targets) > 1 and "estimated" in states:
        yield line("")
        yield line("in all, at most ", cost_words(result.cost, result.prices_on))
    if result.diff and shows_diff:
        yield Patch(result.diff)
    yield from _ends(result)


def _drafts(session: Session, drafts: "Sequence[DraftedProfile]") -> Iterator[Block]:
    """Say what each draft was made of, and what it lacks."""
    for one in drafts:
        made = f"a draft from {plural(one.examples, 'reviewed example')} of {one.task}"
        yield line(Cell(f"wrote {one.path}", "strong"), f": {made}")
        shots = f"{', '.join(one.shots)}: they don't judge it" if one.shots else "none"
        yield from _said(session, "shots", shots)
        if one.not_shown:
            yield from _said(session, "not shown", ", ".join(one.not_shown))
    if not drafts:
        yield line("every successor has a prompt: nothing to draft")


def _records(result: "Migrated", names: "Names") -> Iterator[Block]:
    """Show whose answers are on record, and whose are not."""
    from fftdeploy.cli.cells import brief_shutdown_cell

    told = {"recorded": "on record", "no-gate": _NO_GATE}
    rows = tuple(
        (
            Cell(one.target, "strong"),
            Cell(names.bundle(one.live)),
            Cell(brief_shutdown_cell(one.shutdown).text),
            Cell(one.record[:12] if one.record else ""),
            Cell(told.get(one.state, one.problem.message if one.problem else one.state)),
        )
        for one in result.targets
    )
    yield Table(("target", "model", "shuts down", "evidence", "answers"), rows, "wrapped")


def _target(one: "Migration", names: "Names") -> Iterator[Block]:
    from fftdeploy.output.words import cost_words

    end = Cell(one.shutdown.words(), "dim" if one.shutdown.runway_days is None else "warn")
    if one.readiness is not None and one.readiness.dead:
        end = Cell("is dead", "bad")
    yield line(Cell(one.target, "strong"), f"  {names.bundle(one.live)}  ", end)
    if one.successors:
        yield _table(one, names)
    if one.cost and one.state == "estimated":
        yield line("  takes at most ", cost_words(one.cost))
    if one.too_few and (one.state == "estimated" or one.shortfall):
        yield line(Cell("  ! ", "warn"), f"{one.too_few}")


def _table(one: "Migration", names: "Names") -> Table:
    """Return what live and its successors passed, took and cost; those to take first on top."""
    from fftdeploy.cli.cells import used_columns

    columns = ("", "model", "passed", "fixed", "broke", "tokens", "usd/1k", "p95", "verdict")
    rows = [_row(each, names) for each in one.successors]
    if evaluation := next((each.evaluation for each in one.successors if each.evaluation), None):
        said = {"fresh": "live", "none": "live: no answers"}
        baseline = evaluation.stored.evidence.baseline
        word = said.get(baseline.how) or f"recorded {baseline.at:%Y-%m-%d}"
        measures = _measures(evaluation.verdict.arm("live"))
        rows.insert(0, (Cell("-", "dim"), Cell(names.bundle(one.live)), *measures, Cell(word)))
    return used_columns(columns, rows)


def _measures(arm: "ArmResult | None", verdict: "Verdict | None" = None) -> tuple[Cell, ...]:
    if arm is None:
        return (Cell(""),) * 6
    from fftdeploy.cli.verdict_blocks import tokens_words
    from fftdeploy.cli.verdict_tables import cost_cell

    compared = verdict.comparison if verdict else None
    p95 = arm.p95_latency_ms
    return (
        Cell(f"{arm.rate:.1%}"),
        Cell(f"{compared.fixed}" if compared else ""),
        Cell(f"{compared.broke}" if compared else ""),
        Cell(tokens_words(arm), brief=f"{arm.tokens_in:,.0f}/{arm.tokens_out:,.0f}"),
        cost_cell(arm),
        Cell(f"{p95:,} ms") if p95 is not None else Cell("-", "dim"),
    )


def _row(each: "Successor", names: "Names") -> tuple[Cell, ...]:
    from fftdeploy.cli.cells import state_cell
    from fftdeploy.cli.verdict_blocks import TONES
    from fftdeploy.commands.migrating.migration import verdict_words

    bundle = Cell(names.bundle(each.bundle))
    if each.evaluation is None:
        why = state_cell(each.readiness) if each.readiness else Cell("")
        if each.hold or each.ends:
            why = Cell("on hold" if each.hold else f"ends {each.ends}", "warn")
        elif each.barred:
            why = Cell("not yet", "warn")
        return (Cell(""), bundle, *_measures(None), why)
    verdict = each.evaluation.verdict
    tone = TONES[verdict.ruling]
    mark = f"{each.rank}" if each.rank else "✗"
    return (
        Cell(mark, tone),
        bundle,
        *_measures(verdict.candidate, verdict),
        Cell(verdict_words(verdict), tone),
    )


def _ending_of(session: Session, one: "Migration", names: "Names") -> Iterator[Block]:
    """Say what becomes of a target, or why nothing does."""
    from fftdeploy.cli.change_view import plan_rows

    if one.change:
        yield from plan_rows(session, one.change)
    if one.shortfall:
        for label, text in _shortfall(one.shortfall, names):
            yield from _said(session, label, text)
    if problem := one.problem:
        is_under_way = one.state == "under-way"
        is_open = is_under_way or problem.outcome == "inconclusive"
        tone: Tone = "warn" if is_open else "bad"
        label = "waits" if is_under_way else "stays"
        yield from _said(session, label, names.text(problem.message), tone)
        for detail in problem.details:
            yield from _said(session, "", names.text(detail))
        if problem.hint and not is_under_way:  # the last line has it, for all targets
            yield line(Cell("  hint        ", "hint"), problem.hint)
    if one.state == "no-gate":
        yield line(f"  {_NO_GATE}")
    if one.state == "nothing-to-do":
        yield line("  nothing to do: what is live is the only successor")


def _said(session: Session, label: str, text: str, tone: Tone = "") -> Iterator[Block]:
    """Yield a sentence, in text over the lines that it takes."""
    from fftdeploy.cli.verdict_blocks import labelled, sentence

    is_text = session.output.form == "text"
    yield from sentence(label, text, tone) if is_text else (labelled(label, Cell(text, tone)),)


def _shortfall(found: "Shortfall", names: "Names") -> Iterator[tuple[str, str]]:
    """Yield what there is to say of the closest successor, each with its label."""
    from fftdeploy.evaluation.gate.wording import listed

    yield "closest", f"{names.bundle(found.bundle)}; {found.headline}"
    for place, part in enumerate(found.parts):
        yield "" if place else "lost on", part
    if found.examples:
        yield "look at", listed(found.examples)
    if found.settling:
        yield "settles", found.settling


def _ends(result: "Migrated") -> Iterator[Block]:
    """Count what was made, and what stays."""
    changed = [one for one in result.targets if one.state == "changed"]
    stays = sum(one.problem is not None for one in result.targets)
    left = sum(one.state == "planned" for one in result.targets)
    if result.written:
        yield line(f"wrote {result.written}")
    if result.dry_run:
        yield line("dry run: nothing was changed")
        return
    if left and (changed or stays):
        yield line(Cell(f"{plural(left, 'change')} not made: run it again", "warn"))
    if changed:
        commits = [one.change.commit for one in changed if one.change and one.change.commit]
        also = f", committed as {', '.join(commits)}" if commits else ""
        rest = f"; {plural(stays, 'target')} left as before" if stays else ""
        yield line(f"migrated {plural(len(changed), 'target')}{also}{rest}")
