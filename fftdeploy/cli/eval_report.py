"""What `eval` says in the end, and which bundles it means."""

from collections.abc import Iterator, Sequence

from fftdeploy.cli.session import Session
from fftdeploy.cli.verdict_blocks import verdict_blocks
from fftdeploy.commands.evaluation import Evaluation, EvaluationFlags, named_bundle
from fftdeploy.errors import GATE, INCONCLUSIVE, OK, Outcome, UsageError
from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.evidence.evidence import LIVE_ITSELF, Evidence
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored, recompute
from fftdeploy.evaluation.gate.gate import Best
from fftdeploy.evaluation.results import PASS
from fftdeploy.output.report import Block, Cell, Report, line
from fftdeploy.planning import bundles
from fftdeploy.releases.deployments import Bundle, Hold
from fftdeploy.workspace import shown_path


def evaluate(session: Session, target: str, words: Sequence[str], flags: EvaluationFlags) -> Report:
    """Evaluate what `words` name, or what `promote` would take, and report the gravest verdict."""
    name = session.workspace.deployments.full_name(target)
    session.data.update(target=name)
    evaluation = Evaluation(session, session.workspace, name, flags)
    kept = evaluation.run(candidates(evaluation, words))
    session.data.update(evaluations=[_as_json(stored) for stored in kept])
    body: list[Block] = []
    for stored in kept:
        body += [line("")] if body else []
        further = (*_creep(evaluation.bar.folder, stored), *_held(session, name, stored))
        body += verdict_blocks(stored.evidence, stored.verdict, further)
        kept_in = shown_path(stored.path)
        body.append(line(Cell(f"      evidence {stored.short}", "dim"), f"  {kept_in}"))
    outcome = max((_outcome(stored) for stored in kept), key=_gravity)
    following = _next(session, name, kept, outcome, is_default=not words)
    return Report(outcome, session.data, tuple(body), next=following)


def candidates(evaluation: Evaluation, words: Sequence[str]) -> list[Bundle]:
    """Return the bundles that `words` mean; without any, what `promote` would take.

    Raises:
        UsageError: Nothing says what the candidate is, one is named twice, or what they are
            compared with is one of several.
        ConfigError: A profile has no file.
    """
    session, workspace, target = evaluation.context, evaluation.workspace, evaluation.bar.target
    task, _, environment = target.partition("/")
    rules = workspace.policy.rules(environment)

    def source(word: str | None) -> Bundle:
        if word == LIVE:
            found = workspace.target(target)
            return bundles.live_bundle(found, workspace.sha)
        if word is not None and "@" in word:
            return named_bundle(workspace, word)
        return bundles.choose_source(
            workspace.deployments,
            (task, environment),
            rules,
            workspace.sha,
            session.now(),
            model=word,
        ).bundle

    for word in words:
        if word != LIVE and "@" not in word:
            bundles.require_model_id(word)
    try:
        found = [source(word) for word in words] if words else [source(None)]
    except UsageError as error:
        if error.code == "no-source":
            command = f"fftdeploy {session.command} {target}"
            error.hint = f"name a candidate: {command} MODEL[@PROFILE], or live"
        raise
    if len(set(found)) != len(found):
        raise UsageError("a candidate is named twice", hint="name each of them once")
    if len(found) > 1 and evaluation.bar.baseline in found:
        raise UsageError(
            f"{evaluation.bar.baseline} is live: the others are compared with it anyway",
            hint="name the others alone",
        )
    return found


def _as_json(stored: Stored) -> dict[str, object]:
    evidence = stored.evidence
    return {
        "evidence": stored.id,
        "candidate": evidence.candidate.model,
        "profile": evidence.candidate.profile,
        "baseline": evidence.baseline.how,
        "attempt": evidence.attempt,
        "verdict": stored.verdict.as_json(),
    }


def _creep(folder: EvidenceFolder, stored: Stored) -> Iterator[str]:
    """Say how the candidate stands beside the best that ever passed on these examples."""
    mine = stored.evidence

    def has_passed(other: Evidence) -> bool:
        is_same = other.examples.sha == mine.examples.sha
        is_same = is_same and other.results.repeats == mine.results.repeats
        return is_same and other.ruling == "pass" and other.candidate != mine.candidate

    past = [one.evidence for one in folder.of_task(mine.task, has_passed)]
    if past:
        best = max(past, key=lambda one: one.results.arms[CANDIDATE].count(PASS))
        against = Best(str(best.candidate), best.results.arms[CANDIDATE])
        found = recompute(mine, against).reasons
        yield from (reason.message for reason in found if reason.code == "creep")


def _held(session: Session, target: str, stored: Stored) -> Iterator[str]:
    """Say that a candidate can't be promoted for another reason."""
    hold = _hold(session, target, stored)
    if hold is not None:
        yield f"the candidate is on hold in {target} since {hold.since:%Y-%m-%d}: {hold.why}"


def _hold(session: Session, target: str, stored: Stored) -> Hold | None:
    found = session.workspace.deployments.find(target)
    return found.hold_on(stored.evidence.candidate, session.now()) if found else None


def _outcome(stored: Stored) -> Outcome:
    if stored.evidence.lets_through:
        return OK
    return GATE if stored.verdict.ruling == "fail" else INCONCLUSIVE


def _gravity(outcome: Outcome) -> int:
    return (OK, INCONCLUSIVE, GATE).index(outcome)


def _next(
    session: Session, target: str, kept: Sequence[Stored], outcome: Outcome, *, is_default: bool
) -> str:
    if outcome is not OK or len(kept) > 1:
        return f"fftdeploy report {kept[0].short} -o report.html"
    evidence = kept[0].evidence
    if evidence.baseline.why == LIVE_ITSELF:
        return f"fftdeploy eval {target} MODEL[@PROFILE], to compare one with it"
    if _hold(session, target, kept[0]) is not None:
        return f'fftdeploy unhold {target} {evidence.candidate.model} --why "TEXT"'
    named = ""
    if not is_default:
        profile = evidence.candidate.profile
        also = f"--profile {profile}" if profile else "--no-profile"
        named = f" --model {evidence.candidate.model} {also}"
    return f'fftdeploy promote {target}{named} --why "TEXT"'
