"""Rollback: walk the releases back until one is proved to answer, and hold what it removes."""

import shlex
from functools import partial

from fftdeploy import git, names
from fftdeploy.api.readiness import Readiness
from fftdeploy.commands.changing import typed_models
from fftdeploy.commands.changing.change import Change, Changed
from fftdeploy.commands.changing.typed_models import TypedModels
from fftdeploy.commands.context import Context, one_of
from fftdeploy.commands.door import door
from fftdeploy.commands.options.changing import RollbackOptions
from fftdeploy.commands.views import CandidateView, ReadinessView
from fftdeploy.errors import (
    AuthError,
    ConfigError,
    FftdeployError,
    NotReadyError,
    PolicyError,
    UnansweredError,
    UnverifiedError,
    UsageError,
)
from fftdeploy.planning import bundles, canary, plan
from fftdeploy.planning.rollback import Candidate, plan_rollback, rollback_candidates
from fftdeploy.policy import profiles
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.workspace import shown_path

PASSED_OVER = "passed-over"
_OTHERS = "name another release with --to N, or go back --unverified"
_LONGEST_NUMBER = 15
"""Digits of a release's number: fewer than 2**53."""
SEARCH_S = 120.0
"""How long one candidate after another is asked about, `--wait` apart."""


def run(context: Context, options: RollbackOptions) -> Changed:
    """Go back to the last good release of a target, and hold what that removes.

    Raises:
        FftdeployError: Why not; the file is as it was unless this says it WAS changed.
    """
    return _Rollback(Change(context, options), options).run()


rollback = door(run, RollbackOptions)


class _Rollback:
    def __init__(self, change: Change, options: RollbackOptions) -> None:
        self.change = change
        self.options = options
        self.target = change.workspace.target(change.name)
        shas = change.workspace.sha
        self.live = bundles.replaced_bundle(self.target, bundles.live_bundle(self.target, shas))
        self.to = None if options.to is None else self._release(str(options.to))
        self.seen: list[CandidateView] = []
        self.proofs: dict[Bundle, Readiness] = {}

    def run(self) -> Changed:
        """Roll back, or say why not; the file is as it was unless this says it WAS changed."""
        if self.options.profile is not None:
            self.change.workspace.require_profile(self.options.profile)
        only = self.options.canary
        one_of({"--canary": only, "--to": self.to is not None, "--profile": self.options.profile})
        shas = self.change.workspace.sha
        tried = bundles.tried_bundle(self.target, shas)
        is_running = tried is not None and tried != self.live and self.to is None
        if only or (is_running and self.options.profile is None):
            self._require_current()
            return self.change.make_unasked(
                partial(canary.plan_removal, self.target, self.live, shas)
            )
        candidates = rollback_candidates(
            self.target,
            shas,
            self.change.context.now(),
            to=self.to,
            profile=self.options.profile,
        )
        if self.to is not None and candidates[0].fate == "live":
            self.change.learn(candidates=())
            return self.change.unchanged(
                plan.Plan(self.target, self.target, (f"release {self.to} is what is live",))
            )
        if self.to is not None and candidates[0].fate == "held":
            model = candidates[0].bundle.model
            raise PolicyError(
                f"release {self.to} of {self.target} is {candidates[0].reason}",
                hint=f"lift it first: fftdeploy unhold {self.target} {model} --why TEXT",
                code="hold",
            )
        self._require_current()
        self.change.preflight()
        try:
            chosen = self._choose(candidates)
        except FftdeployError:
            self._pass_over(candidates, "not looked at")
            raise
        self._pass_over(candidates, "not needed")
        readiness = self.proofs.get(chosen.bundle)
        verified = readiness is not None and readiness.is_ready
        replan = partial(plan_rollback, self.target, self.live, chosen, verified=verified)
        return self.change.finish(
            replan,
            readiness=readiness,
            question=self.change.question(chosen.bundle) if verified else None,
        )

    def _require_current(self) -> None:
        expected, name = self.options.expect_current, self.change.name
        typed_models.require_current(self.change.context, name, self.target, expected)

    def _release(self, word: str) -> int:
        """Return the number that `--to` means: itself, or that of a model's newest release."""
        number = word.removeprefix("#")
        if number.isdecimal() and len(number) <= _LONGEST_NUMBER:
            return int(number)
        hint = f"`fftdeploy history {self.target}` lists them"
        if names.model_problem(word):
            said = f"{self.target} has no release {word[:_LONGEST_NUMBER]!a}"
            raise UsageError(said, hint=hint, code="unknown-release")
        typed = TypedModels(
            self.change.context,
            frozenset[str]().union(*self.target.models.values()),
            where=str(self.target),
            what="release of",
            hint=hint,
            flag="--to",
        )
        model = typed.known(word)
        found = next((r.n for r in self.target.made_live if r.bundle.model == model), None)
        if found is None:
            raise typed.unknown(word)
        self.change.context.console.note(f"note: release {found} is the newest of {model}")
        return found

    def _choose(self, candidates: tuple[Candidate, ...]) -> Candidate:
        """Return the newest candidate that is proved to answer.

        Raises:
            PolicyError: The prompt of the next candidate is not on disk as it was.
            UnverifiedError: The API gave no usable answer about the next candidate, or the time
                for the search was over before it was asked about.
            AuthError: The key is no good, or is that of another project.
            NotReadyError: Every candidate was ruled out by proof.
        """
        monotonic = self.change.context.clock.monotonic
        over_at = monotonic() + SEARCH_S + self.options.wait_s
        for candidate in candidates:
            if candidate.fate in {"live", "held"}:
                self._see(candidate, candidate.fate, candidate.reason)
                continue
            if candidate.fate == "profile":
                self._see(candidate, "profile", candidate.reason)
                raise self._profile_gone(candidate)
            if candidate.bundle not in self.proofs and monotonic() >= over_at:
                raise self._out_of_time(candidate, len(candidates) - len(self.seen))
            if self._is_chosen(candidate):
                return candidate
        raise self._nothing()

    def _is_chosen(self, candidate: Candidate) -> bool:
        """Tell whether `candidate` is the one, or raise if the search must stop at it."""
        try:
            if candidate.bundle not in self.proofs:
                prover = self.change.context.prover(wait_s=self.options.wait_s)
                question = self.change.question(candidate.bundle)
                self.proofs[candidate.bundle] = prover.prove(question)
            readiness = self.proofs[candidate.bundle]
        except (AuthError, ConfigError) as error:  # of the key, or of where it is sent
            if not self.options.unverified:
                error.hint = _or_others(error.hint) if self.to is None else error.hint
                raise
            unverified = error.message
        else:
            if readiness.is_ready:
                self._see(candidate, "ready", "ready: taken")
                return True
            if readiness.state == "not-ready":
                self._see(candidate, readiness.code, readiness.message)
                return False
            if not self.options.unverified:
                self._see(candidate, readiness.code, f"unverified: {readiness.message}")
                raise self._stopped(candidate, readiness)
            unverified = readiness.message
        self.change.context.console.note(f"warning: not verified: {unverified}")
        self._see(candidate, "unverified", f"taken unverified: {unverified}")
        return True

    def _see(self, candidate: Candidate, fate: str, reason: str) -> None:
        today = self.change.context.now().date()
        readiness = ReadinessView.of(self.proofs.get(candidate.bundle), today)
        number = candidate.release.n
        self.seen.append(CandidateView(number, candidate.bundle, fate, reason, readiness))

    def _pass_over(self, candidates: tuple[Candidate, ...], otherwise: str) -> None:
        """List what lies behind the end of the search, too: all releases and their fates."""
        for candidate in candidates[len(self.seen) :]:
            self._see(candidate, PASSED_OVER, candidate.reason or otherwise)
        self.change.learn(candidates=tuple(self.seen))

    def _profile_gone(self, candidate: Candidate) -> PolicyError:
        """Name the git line that brings the prompt back; `--profile P` goes on without it."""
        name, sha = str(candidate.bundle.profile), candidate.bundle.profile_sha
        path = self.change.workspace.profile_path(name)
        shown, why = shlex.quote(shown_path(path)), f"{candidate.reason}; --profile P takes another"
        try:
            commit = git.find_version(
                self.change.workspace.folder,
                path,
                lambda data: profiles.sha_of(data) == sha,
                self.change.context.environ,
            )
            why += "" if commit else "; no commit here has that prompt"
            ask = f"checkout {commit}" if commit else "log --oneline"
            hint = f"git {ask} -- {shown}"
        except UnansweredError as error:
            why += f"; which commit has it is not known: {error.message}"
            hint = error.hint
        return PolicyError(f"release {candidate.release.n}: {why}", hint=hint, code="profile")

    def _stopped(self, candidate: Candidate, readiness: Readiness) -> FftdeployError:
        if readiness.is_auth:
            error = readiness.error()
            error.hint = _or_others(error.hint)
            return error
        return UnverifiedError(
            f"release {candidate.release.n} ({candidate.bundle.model}): {readiness.message}",
            hint="try again with a longer --wait, name another release with --to N, "
            "or go back --unverified",
            where=readiness.where,
            code=readiness.code,
        )

    def _out_of_time(self, following: Candidate, left: int) -> UnverifiedError:
        n = following.release.n
        asked = names.plural(len(self.proofs), "candidate")
        return UnverifiedError(
            f"none of {asked} asked about in {SEARCH_S:.0f} s can be used, "
            f"and {left:,} are left, from release {n} down",
            hint=f"fftdeploy rollback {self.target} --to {n}, or to an older release; "
            f"`fftdeploy history {self.target}` lists them",
            where=str(self.target),
            code="search-time",
        )

    def _nothing(self) -> FftdeployError:
        asked = list(self.proofs.values())
        if asked and all(r.code == "missing" and not r.dead for r in asked):
            live = self.change.context.prover().prove(self.change.question(self.live, probe=False))
            if live.code == "missing" and not live.dead:
                return AuthError(
                    f"this key can use no model of {self.target}, nor what is live",
                    hint="is this the key of another project?",
                    where=live.where,
                    code="other-project",
                )
        if self.to is not None and asked:
            return asked[0].error()
        lifting = ""
        if held := next((one.bundle.model for one in self.seen if one.fate == "held"), None):
            lifting = f'lift a hold: fftdeploy unhold {self.target} {held} --why "TEXT"; or '
        return NotReadyError(
            f"nothing to roll back to in {self.target}",
            hint=f"{lifting}promote something that answers: fftdeploy models; {self._forward()}",
            where=str(self.target),
            code="no-rollback",
        )

    def _forward(self) -> str:
        """Return the command that makes another model live, as the policy lets one come here."""
        facts = self.change.workspace.facts(self.change.context.now())

        def is_wanted(source: Target) -> bool:
            found = facts.live(source)
            return found != self.live and self.target.hold_on(found, facts.now) is None

        name = (self.target.task, self.target.environment)
        return bundles.next_promotion(facts, name, is_wanted)


def _or_others(hint: str) -> str:
    between = " or " if hint.endswith("?") else "; or "
    return between.join(filter(None, (hint, _OTHERS)))
