"""The quality bar of one target: its examples, its graders, and the evidence there is."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache, cached_property
from itertools import chain
from pathlib import Path

from fftdeploy import names
from fftdeploy.errors import ConfigError, GateError, InconclusiveError, PolicyError
from fftdeploy.evaluation.arms import CANDIDATE, LIVE, UNKNOWN_HOST, Arm, AskedHost
from fftdeploy.evaluation.evidence.calibration import CalibrationFolder
from fftdeploy.evaluation.evidence.evidence import (
    DEAD,
    SHOWN_DIGITS,
    Baseline,
    Evidence,
    content_sha,
)
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored, too_old
from fftdeploy.evaluation.evidence.gated_examples import GatedExamples
from fftdeploy.evaluation.examples.examples import ExampleSet
from fftdeploy.evaluation.examples.overlap import shown_in
from fftdeploy.evaluation.gate import sizing
from fftdeploy.evaluation.gate.gate_reasons import lacks_answers
from fftdeploy.evaluation.results import Column
from fftdeploy.model_ids import identity
from fftdeploy.names import plural
from fftdeploy.planning.bundles import live_bundle, profile_problem
from fftdeploy.policy.profiles import FOLDER
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.workspace import Workspace


class QualityBar(GatedExamples):
    """What the policy asks of a target's candidates; files are opened when they are asked for."""

    def __init__(
        self,
        workspace: Workspace,
        target: str,
        *,
        now: Callable[[], datetime],
        host: Callable[[Bundle, str], AskedHost] = lambda *_: UNKNOWN_HOST,
        restoring: Callable[[Path], str] = lambda _: "",
    ) -> None:
        """Take the gate of the target's task, as `GatedExamples` does.

        `host` returns who is asked about a bundle in an environment.

        Raises:
            ConfigError: The task has none.
        """
        super().__init__(workspace, target.partition("/")[0], now, restoring)
        self._host = host
        self.prompts: list[Workspace] = [workspace]
        """Where the prompts of bundles are looked for."""
        self.shown = cache(self._shown)
        self.judged = cache(self._judged)
        self.target = target
        self.folder = EvidenceFolder(workspace.folder)
        self.calibrations = CalibrationFolder(workspace.folder)

    def _judged(self, candidate: Bundle, baseline: Bundle | None) -> ExampleSet:
        """Return the examples that judge a candidate: none that its prompt, or that of live, shows.

        Whoever else is asked changes nothing of that: evidence counts wherever it was made.

        Raises:
            ConfigError: One of the prompts shows an example that must pass.
        """
        shown = [self.shown(bundle) for bundle in (candidate, baseline) if bundle is not None]
        return self.examples.without({*chain(*shown)})

    def fewest(self, candidates: Iterable[Bundle]) -> ExampleSet:
        """Return the examples of the candidate that the fewest judge; of none, all."""
        judged = [self.judged(one, self.baseline) for one in candidates]
        return min(judged, key=len, default=self.examples)

    def _shown(self, bundle: Bundle) -> tuple[str, ...]:
        """Name the examples that a bundle's prompt shows: it would be asked what it was told.

        Raises:
            ConfigError: One of them must pass, and could be failed unseen.
        """
        found = [place.profile(bundle.profile) for place in self.prompts if bundle.profile]
        profiles = sorted(filter(None, found), key=lambda one: one.sha != bundle.profile_sha)
        if not profiles:
            return ()
        prompt, examples = profiles[0], self.examples
        places = shown_in(examples, prompt.text, [shot["user"] for shot in prompt.shots])
        for place in places:
            if not {*self.rules.must_pass}.isdisjoint(examples.tags(place)):
                name, shown = f"{FOLDER}/{prompt.name}.toml", examples.ids[place]
                raise ConfigError(
                    f"{name} shows {shown!a}, which must pass: nobody would see whether it does",
                    hint="take it out of the prompt",
                    where=name,
                    code="shots",
                )
        return tuple(examples.ids[place] for place in places)

    @property
    def units(self) -> sizing.Units:
        """What the gate counts: the examples, or their groups."""
        return _units(self.examples)

    def too_few(self, candidates: Sequence[Bundle] = (), judged: ExampleSet | None = None) -> str:
        """Say that a candidate as good as live can't pass with so few; "" where it can.

        `candidates` share the risk; without any it is about one, `judged` by those examples.
        """
        units = _units(self.fewest(candidates) if judged is None else judged)
        least, who = sizing.smallest(sizing.one_of(self.rules, max(1, len(candidates))))
        if least is None or units.tested >= least:
            return ""
        return f"{units.many}: fewer than {units.needed(least)} {units.noun} can't pass {who}"

    def require_prompts(self, arms: Iterable[Arm]) -> None:
        """Refuse to ask a model with another prompt than the one that evidence would be about.

        That of what is live may have been edited in its place, or be gone.

        Raises:
            PolicyError: Its file is not what it was when it was made live.
        """
        for arm in arms:
            if problem := profile_problem(arm.bundle, self.workspace.sha):
                adopt = f"record it first: fftdeploy adopt {self.target} --why TEXT"
                path = self.workspace.profile_path(str(arm.bundle.profile))
                raise PolicyError(
                    f"{arm.name} can't be asked as it was made live: {problem}",
                    hint=self._restoring(path) or adopt,
                    where=self.target,
                    code="profile",
                )

    @property
    def baseline(self) -> Bundle | None:
        """What a candidate is compared with: what is live, or before a hand edit was."""
        target = self.workspace.deployments.find(self.target)
        if target is None:
            return None
        newest = target.newest
        return newest.bundle if newest else live_bundle(target, self.workspace.sha)

    def require_enough(self, judged: ExampleSet | None = None) -> None:
        """Refuse, before anything is spent, examples that can't pass whatever is answered.

        `judged` are the examples that judge a candidate, where those are not all.

        Raises:
            InconclusiveError: There are none, or too few.
            GateError: There are unreviewed ones, and the gate takes none of them.
        """
        if (error := self.shortage(judged)) is not None:
            raise error

    def shortage(self, judged: ExampleSet | None = None) -> InconclusiveError | GateError | None:
        """Return what `require_enough` raises; None where the examples are enough."""
        found = self.examples if judged is None else judged
        n, reviewed = len(found), found.reviewed
        shown = ", ".join(self.rules.examples)
        if n < self.rules.min_examples:
            return InconclusiveError(
                f"{plural(n, 'example')} in {shown}; the gate asks for {self.rules.min_examples} "
                "or more",
                hint=f"fftdeploy review {self.task} --from FILE",
                where=shown,
                code="too-few",
            )
        if self.rules.require_reviewed and reviewed < n:
            return GateError(
                f"{reviewed} of {plural(n, 'example')} are reviewed, and the gate takes reviewed "
                "ones only",
                hint=f"fftdeploy review {self.task} --unreviewed",
                where=shown,
                code="unreviewed",
            )
        return self.calibrations.shortage(
            self.task, self.grading.judge, self.rules.mode, self._judge_address
        )

    @property
    def _judge_address(self) -> str:
        """Where the judge is asked; "" without one, and where nobody is asked."""
        judge = self.grading.judge
        return self.host(judge.bundle).address if judge else ""

    @property
    def provider(self) -> str:
        """Who hosts what is live in the target; `openai` where nothing is."""
        target = self.workspace.deployments.find(self.target)
        return target.provider if target else names.OPENAI

    def host(self, bundle: Bundle) -> AskedHost:
        """Return who is asked about a bundle for this target."""
        return self._host(bundle, self.target.partition("/")[2])

    @cached_property
    def graders_sha(self) -> str:
        """The hash of the graders, as evidence has it."""
        return content_sha([rule.content for rule in self.rules.graders])

    @cached_property
    def gate_sha(self) -> str:
        """The hash of the whole gate, as evidence has it."""
        return content_sha(self.rules.content)

    def problem(self, found: Evidence, candidate: Bundle, baseline: Bundle | None) -> str:
        """Say why evidence does not count for `candidate`, whatever its verdict; "" if it does.

        `baseline` is what is live in the target; None where nothing is.
        """
        live = found.arms.get(LIVE)
        if found.baseline.how == "none" and found.baseline.why == DEAD:
            live = baseline  # the caller proves that it is dead still
        differs = {
            "another candidate": found.candidate != candidate,
            "another live model or prompt": live != baseline,
            "other examples": found.examples.sha != self.judged(candidate, baseline).sha,
            "other graders": found.graders_sha != self.graders_sha,
            "another gate": found.gate_sha != self.gate_sha,
            "fewer repeats": found.results.repeats < self.rules.repeats,
            "another price": self.has_another_price(found),
        }
        if named := [what for what, is_other in differs.items() if is_other]:
            return f"it is about {' and '.join(named)}"
        for arm, bundle in ((CANDIDATE, candidate), (LIVE, baseline)):
            if bundle and arm in found.arms and (other := self._other_host(found, arm, bundle)):
                return other
        judge = found.judge
        if judge and (address := self._judge_address) not in {"", judge.address}:
            return f"it was judged at {judge.address}, and {address} is asked"
        return too_old(found, self.rules.max_age, self.now())

    def has_another_price(self, found: Evidence) -> bool:
        """Tell whether a budget in USD was held with another price than the candidate has now."""
        now = self.workspace.policy.prices.price(found.candidate.hosted)
        return self.rules.budgets.needs_price and found.price_of(found.candidate) != now

    def _other_host(self, found: Evidence, arm: str, bundle: Bundle) -> str:
        """Say how the host that an arm was asked of is not the one that is asked now, if so."""
        then, asked = found.host_of(arm), self.host(bundle)
        whose = "" if arm == CANDIDATE else "for what is live "
        if asked.kind not in {"", then.kind}:
            return f"it was made {whose}with another kind of host, {then.kind} and not {asked.kind}"
        if asked.address not in {"", then.address}:
            return f"it was made {whose}at {then.address}, and {asked.address} is asked"
        if changed := identity.changes(then.identity, asked.identity):
            return f"another model has the name {found.arms[arm].model} now: {changed}"
        known = found.answered_by.get(arm, [bundle.model])
        if asked.answered_as not in {"", bundle.model, *known}:
            return f"{bundle.model} answered as {', '.join(known)}, and now as {asked.answered_as}"
        return ""

    def look(self, candidate: Bundle, baseline: Bundle | None) -> Stored | str:
        """Return the newest evidence about exactly this, or why there is none.

        Raises:
            ConfigError: The evidence that would count was edited.
        """
        self.folder.require_whole(self.task)  # the one that was edited may be the newest
        why = ""
        for path, evidence in self.folder.unjudged(self.task):
            if evidence.candidate != candidate:
                continue
            problem = self.problem(evidence, candidate, baseline)
            problem = problem or self.calibrations.changed_since(evidence)
            if not problem:
                return self.folder.read(path)
            why = why or f"evidence {path.stem[:SHOWN_DIGITS]} does not count: {problem}"
        if not why and (older := self.folder.older(self.task)):
            made = f"made under an older rule: {plural(older, 'file')}"
            return f"there is no evidence about {candidate} ({made})"
        return why or f"there is no evidence about {candidate}"

    def has_record(self, target: Target) -> bool:
        """Tell whether the answers of what is live in a target of the task are on record."""
        live = live_bundle(target, self.workspace.sha)
        return self.recorded(live, self.rules.repeats) is not None

    def recorded(self, model: Bundle, repeats: int) -> tuple[Baseline, Column, AskedHost] | None:
        """Return the newest answers on record of a dead model to these examples, and their place.

        Answers that were themselves taken from a record are looked for where they were given.
        Those to examples that its own prompt shows may lack: they judge nobody beside it.
        """
        shas = [sha for _, sha in self.examples.files]
        may_lack = {*self.shown(model)}

        def is_same(evidence: Evidence) -> bool:
            is_same = [sha for _, sha in evidence.examples.files] == shas
            is_same = is_same and may_lack.issuperset(evidence.left_out)
            is_same = is_same and evidence.graders_sha == self.graders_sha
            is_same = is_same and self.calibrations.trusts(evidence)
            return is_same and evidence.results.repeats >= repeats

        for stored in self.folder.of_task(self.task, is_same):
            evidence, results = stored.evidence, stored.evidence.results
            for name, column in results.arms.items():
                is_copy = name == LIVE and evidence.baseline.how == "recorded"
                is_own = evidence.arms[name] == model and not is_copy
                is_own = is_own and not lacks_answers(column)  # beside the two any may be lost
                if is_own and not self._other_host(evidence, name, model):
                    whole = column.at(results.places(self.examples.ids, repeats))
                    found = whole.recorded(results.fields, self.grading.fields)
                    place = Baseline("recorded", stored.id, evidence.made_at)
                    return place, found, evidence.host_of(name)
        return None


def _units(examples: ExampleSet) -> sizing.Units:
    return sizing.units_of([examples.group(index) for index in range(len(examples))])
