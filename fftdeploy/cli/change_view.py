"""Shows a person a change in a few lines, and asks whether to make it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from fftdeploy.cli.app import ChangeFlags
from fftdeploy.cli.session import Session
from fftdeploy.commands.changing.change import BegunChange, Changed, nobody
from fftdeploy.commands.changing.next_step import next_step
from fftdeploy.commands.options.changing import ChangeOptions
from fftdeploy.commands.rollback import PASSED_OVER
from fftdeploy.commands.views import CandidateView, PointedBundle, ReadinessView
from fftdeploy.errors import DeclinedError, FftdeployError
from fftdeploy.model_ids.model_names import shown_names
from fftdeploy.names import OPENAI, plural
from fftdeploy.output.report import Block, Cell, Line, Patch, Report, Tone, line
from fftdeploy.output.words import moment
from fftdeploy.releases.deployments import Canary, Hold, Release

_TONES: dict[str, Tone] = {
    "ready": "good",
    "live": "dim",
    "held": "dim",
    PASSED_OVER: "dim",
    "profile": "warn",
    "unverified": "warn",
}
"""The tone of a candidate by its fate; that of any other by what was proved."""

_MARKS: dict[Tone, str] = {"good": "✓ ", "warn": "! ", "bad": "✗ "}
_FATES = {"held": "on hold", "live": "live", "unverified": "not verified"}
_GAP = "  "
_LEAST_WIDTH, _MOST_WIDTH = 16, 28
"""Columns before what a row says, which stands below the models where the target's name lets it."""
_MOST_PASSED_OVER = 5
Wanted = TypeVar("Wanted", bound=ChangeOptions)


def asked(session: Session, options: Wanted, flags: ChangeFlags) -> Wanted:
    """Return the options of a change with the person at the terminal as who approves."""
    output = session.output

    def approve(planned: Changed) -> bool:
        plan = _ChangePlan(planned, is_short=True, says_why=options.why is not None)
        output.say(*judged(session, planned), *plan.rows(), *_patch(planned, flags.diff))
        return output.ask("make this change? [y/N]").lower() in {"y", "yes"}

    person = approve if output.is_interactive else nobody
    return replace(options, approve=None if flags.yes else person)


def report(session: Session, result: Changed, options: ChangeOptions, flags: ChangeFlags) -> Report:
    """Show what was made, or would be; a person who was asked has seen the plan already."""
    output = session.output
    plan = _ChangePlan(result, is_short=output.at_terminal)
    if result.plan.is_noop:
        because = f": {result.notes[0]}" if result.notes else ""
        model = line(f"{result.target}{_GAP}{plan.named(result.after)}")
        return Report(data=result, body=(model, line(f"nothing to do{because}")))
    rows = (*plan.rows(), *_patch(result, flags.diff or options.dry_run or output.form != "text"))
    if options.dry_run:
        return Report(data=result, body=(*rows, line("dry run: nothing was changed")))
    ending = line(_changed(result))
    shown = (*judged(session, result), *rows, ending) if flags.yes else (ending,)
    following = next_step(session, result) if output.form == "text" else ""
    return Report(data=result, body=shown, next=following)


def plan_rows(session: Session, planned: Changed) -> Iterator[Block]:
    """Show what a change makes of its target."""
    yield from _ChangePlan(planned, is_short=session.output.at_terminal).rows()


def judged(session: Session, known: BegunChange) -> tuple[Block, ...]:
    """Show the verdict that was made for a change, or stops it."""
    if known.judged is None or session.output.form != "text":
        return ()
    from fftdeploy.cli.verdict_blocks import names_of, verdict_blocks
    from fftdeploy.commands.evaluating.graded_texts import told_of

    evidence = known.judged.evidence
    told = told_of(session, evidence)
    return tuple(verdict_blocks(known.judged, told, names_of(session, evidence)))


@contextmanager
def showing_verdicts(session: Session) -> Iterator[None]:
    """Show the verdict that stops a change before the error is told."""
    try:
        yield
    except DeclinedError:  # the plan has shown it
        raise
    except FftdeployError as error:
        if isinstance(session.known, BegunChange) and (blocks := judged(session, session.known)):
            session.output.say(*blocks)
            error.details = ()  # the verdict has them
        raise


def candidate_lines(result: BegunChange) -> tuple[Block, ...]:
    """Show each candidate of a rollback; only a dry run shows those that were not looked at."""
    return tuple(
        line(f"  release {one.n}{_GAP}{one.bundle}{_GAP}", Cell(one.reason, _tone(one)))
        for one in result.candidates or ()
        if result.dry_run or one.fate != PASSED_OVER
    )


def _tone(one: CandidateView) -> Tone:
    proved = one.readiness.state if one.readiness else ""
    return _TONES.get(one.fate) or ("bad" if proved == "not-ready" else "warn")


def _patch(result: Changed, is_shown: bool) -> tuple[Block, ...]:
    return (Patch(result.diff),) if is_shown else ()


def _changed(result: Changed) -> str:
    added = [row for row in result.diff.split("\n")[2:] if row.startswith("+")]
    exports = plural(len(result.exports), "export") if result.exports and result.commit else ""
    also = f" and {exports}" if exports else ""
    committed = f", committed as {result.commit}" if result.commit else ""
    return f"changed {result.shown_file} ({plural(len(added), 'line')}){also}{committed}"


class _ChangePlan:
    """What a change makes of a target, in rows below a line that says it all."""

    def __init__(self, result: Changed, *, is_short: bool, says_why: bool = True) -> None:
        self.result, self.is_short, self.says_why = result, is_short, says_why
        self.holds = result.plan.touched_holds
        models = {result.after.model, *(hold.model for hold in self.holds)}
        models |= {result.before.model} if result.before else set()
        sides = (result.before, result.after)
        models |= {side.canary.model for side in sides if side and side.canary}
        self.names = shown_names(models) if is_short else {}
        self.width = min(max(len(result.target) + len(_GAP), _LEAST_WIDTH), _MOST_WIDTH)

    def named(self, bundle: PointedBundle | Canary) -> str:
        """Name a model, its host, and the prompt that goes with it, as `eval` takes them."""
        return self._hosted(bundle) + (f"@{bundle.profile}" if bundle.profile else "")

    def rows(self) -> Iterator[Block]:
        """Yield the plan."""
        result, release = self.result, self.result.release
        yield line(_GAP.join([result.target, *self._heading()]))
        yield from (line(f"  note: {note}") for note in result.notes)
        if result.dry_run:
            yield from candidate_lines(result)
        elif passed_over := self._passed_over():
            yield self._row("passed over", passed_over)
        if result.readiness:
            yield from self._readiness(result.readiness)
        if counted := result.counted:
            said = f"{counted.said}{_GAP}evidence {counted.short}"
            yield self._row(counted.label, said, "good" if counted.passed else "warn")
        if release and release.overrides:
            yield self._row("set aside", ", ".join(release.overrides), "warn")
        if self.holds and (release or self._taken_off):
            yield self._row("holds", ", ".join(map(self._held, self.holds)))
        whys = (hold.lifted_why or hold.why for hold in self.holds)
        why = release.why if release else next(whys, "")
        if why and self.says_why:
            yield self._row("why", why)

    @property
    def _taken_off(self) -> Canary | None:
        """The canary that a rollback takes off, and nothing else."""
        before, after = self.result.before, self.result.after
        is_over = self.result.release is None and after.canary is None
        return before.canary if before and is_over else None

    def _heading(self) -> Iterator[str]:
        """Yield what the first line says behind the target's name."""
        before, after, release = self.result.before, self.result.after, self.result.release
        if self._taken_off is not None:
            yield f"canary {self.named(self._taken_off)} taken off, {self.named(after)} stays live"
            return
        if release is None:
            hold = self.holds[0]
            lifts = "hold lifted from" if hold.lifted else "hold on"
            yield f"{lifts} {', '.join(map(self._held, self.holds))}"
            if hold.until and not hold.lifted:
                yield f"until {moment(hold.until)}"
            return
        old = self.named(before) if before else "nothing"
        if after.canary is not None:
            part = f"{after.canary.weight} % {self.named(after.canary)}"
            yield f"{part}, the rest {self.named(after)}"
        else:
            yield self.named(after) if before == after else f"{old} → {self.named(after)}"
        yield f"release {release.n}{'' if before else ' of a new target'}{_origin(release)}"

    def _hosted(self, said: PointedBundle | Canary | Hold) -> str:
        host = "" if said.provider == OPENAI else f"{said.provider}="
        return f"{host}{self.names.get(said.model, said.model)}"

    def _held(self, hold: Hold) -> str:
        part = f" with the prompt of release {hold.release}" if hold.release else ""
        return f"{self._hosted(hold)}{part}"

    def _passed_over(self) -> str:
        """Say what a rollback goes past, and why, in a word each."""
        ruled_out = [
            f"#{one.n} {_FATES.get(one.fate) or 'not ready'}"
            for one in self.result.candidates or ()
            if one.fate not in {"ready", "unverified", PASSED_OVER}
        ]
        more = len(ruled_out) - _MOST_PASSED_OVER
        rest = [f"and {more} more"] if more > 0 else []
        return ", ".join([*ruled_out[:_MOST_PASSED_OVER], *rest])

    def _readiness(self, known: ReadinessView) -> Iterator[Line]:
        if known.state == "ready":
            basis = () if self.is_short else (", ".join(known.basis),)
            source = "" if self.is_short else f", {known.shutdown.shutdown_source}"
            yield self._row("ready", _GAP.join([*basis, known.shutdown.words(source)]), "good")
        else:
            tone: Tone = "bad" if known.state == "not-ready" else "warn"
            yield self._row(known.state, known.message or known.code, tone)
        yield from (line(f"  warning: {warning}") for warning in known.warnings)
        yield from (line(f"  notice: {notice}") for notice in known.notices)

    def _row(self, name: str, said: str, tone: Tone = "") -> Line:
        name = f"{_MARKS.get(tone, '')}{name}"
        return line("  ", Cell(f"{name:<{self.width - 2}}", tone), said)


def _origin(release: Release) -> str:
    """Say where a new release comes from, behind its number; nothing of a model typed by name."""
    match release.via:
        case "model":
            return ""
        case "rollback":
            return f", back to release {release.to}"
        case "adopt":
            return ", records what is live"
        case "job":
            return f", from {release.job}"
        case environment:
            return f", from {environment}"
