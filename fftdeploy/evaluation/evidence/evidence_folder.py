"""`.fftdeploy/evidence/TASK/ID.json`: what was found out, and whether it still holds."""

import errno
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from fftdeploy import files
from fftdeploy.errors import ConfigError, DiskError, FftdeployError, InconclusiveError, UsageError
from fftdeploy.evaluation.arms import CANDIDATE, AskedHost
from fftdeploy.evaluation.evidence import evidence as records
from fftdeploy.evaluation.evidence.evidence import SHOWN_DIGITS, Evidence
from fftdeploy.evaluation.gate.gate import Best, GateQuestion, judge
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.files import disk
from fftdeploy.files.folders import EVIDENCE_FOLDER
from fftdeploy.formats import strict_json
from fftdeploy.model_ids import identity
from fftdeploy.names import nearest
from fftdeploy.policy.gate_rules import gate_of
from fftdeploy.releases.deployments import Bundle
from fftdeploy.times import CLOCK_SKEW, short_duration


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is consistent: its name is its hash, and its answers give its verdict."""

    id: str
    path: Path
    evidence: Evidence
    verdict: Verdict
    """Computed again from the answers."""

    @property
    def short(self) -> str:
        """The ID as it is shown."""
        return self.id[:SHOWN_DIGITS]

    @property
    def rests_on_death(self) -> bool:
        """Whether it counts only as long as what is live does not answer."""
        baseline = self.evidence.baseline
        return baseline.how == "recorded" or baseline.why == records.DEAD


class EvidenceFolder:
    """The evidence of one repository folder; what can be compared is read and judged once.

    To judge is what takes its time, so that only what is asked for is judged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unjudged: dict[Path, Evidence] = {}
        self._judged: dict[Path, Stored] = {}

    def tasks(self) -> list[str]:
        """Name the tasks that have evidence."""
        return sorted(path.name for path in (self.folder / EVIDENCE_FOLDER).glob("*/"))

    def paths(self, task: str = "*") -> list[Path]:
        """List the evidence files of a task, or of all."""
        return sorted((self.folder / EVIDENCE_FOLDER).glob(f"{task}/*.json"))

    def read(self, path: Path) -> Stored:
        """Read and verify one file.

        Raises:
            ConfigError: It is no evidence, its name is not its hash, or its answers do not give
                the verdict that it states.
            InconclusiveError: It was made under an older rule.
        """
        if path not in self._judged:
            self._judged[path] = _judged(path, self.read_unjudged(path))
        return self._judged[path]

    def read_unjudged(self, path: Path) -> Evidence:
        """Read one file: its name is its hash, and its verdict is what it states itself.

        Raises:
            ConfigError: It is no evidence, or its name is not its hash.
            InconclusiveError: It was made under an older rule.
        """
        if path not in self._unjudged:
            self._unjudged[path] = _parsed(path, self.folder)
        return self._unjudged[path]

    def problem_of(self, task: str, evidence: str) -> FftdeployError | None:
        """Return what is wrong with a piece of evidence; None where it can be read."""
        try:
            self.read(self.path_of(evidence, task))
        except FftdeployError as error:
            return error
        return None

    def is_judged(self, task: str, bundle: Bundle) -> bool:
        """Tell whether any evidence about `bundle` does not speak against it."""

        def may_pass(evidence: Evidence) -> bool:
            return evidence.candidate == bundle and evidence.ruling != "fail"

        return any(True for _ in self.of_task(task, may_pass))

    def unjudged(self, task: str) -> list[tuple[Path, Evidence]]:
        """Return the evidence of `task`, newest first; what can't be compared is left out."""
        found = [(path, one) for path, one in self._said(task) if isinstance(one, Evidence)]
        return sorted(found, key=lambda one: (one[1].made_at, one[0].stem), reverse=True)

    def of_task(
        self, task: str, is_wanted: Callable[[Evidence], bool] = lambda _: True
    ) -> Iterator[Stored]:
        """Yield the evidence of `task` that `is_wanted`, newest first, each as it is judged.

        What can't be compared, or does not give its own verdict, is left out.
        """
        for path, evidence in self.unjudged(task):
            if is_wanted(evidence):
                with suppress(ConfigError):
                    yield self.read(path)

    def another_model(self, task: str, model: str, host: AskedHost) -> str:
        """Say what a host says otherwise of a model than it did when evidence was made of it.

        That about the model itself goes before what others were compared with, the newest first.
        """
        about = [
            (arm != CANDIDATE, path, evidence.made_at, said)
            for path, evidence in self.unjudged(task)
            for arm, said in evidence.identities.items()
            if evidence.arms[arm].model == model and evidence.host_of(arm) == host
        ]
        for _, path, made_at, said in sorted(about, key=lambda one: one[0])[:1]:
            if changed := identity.changes(said, host.identity):
                when = f"{path.stem[:SHOWN_DIGITS]} of {made_at:%Y-%m-%d}"
                return f"another model has the name {model}: {changed} (evidence {when})"
        return ""

    def older(self, task: str) -> int:
        """Count the evidence of `task` that was made under an older rule."""
        return sum(isinstance(one, InconclusiveError) for _, one in self._said(task))

    def require_whole(self, task: str) -> None:
        """Refuse to go on beside evidence that was edited: it may be what would have decided.

        Raises:
            ConfigError: A file of `task` is no evidence, or its name is not its hash.
        """
        for _, one in self._said(task):
            if isinstance(one, ConfigError):
                raise one

    def _said(self, task: str) -> Iterator[tuple[Path, Evidence | FftdeployError]]:
        """Yield each file of `task` with its evidence, or why that can't be compared."""
        for path in self.paths(task):
            try:
                yield path, self.read_unjudged(path)
            except (ConfigError, InconclusiveError) as error:
                yield path, error

    def find(self, name: str) -> Stored:
        """Return the evidence that `name` means.

        Raises:
            UsageError: There is none, or several.
            ConfigError: It is not consistent.
            InconclusiveError: It was made under an older rule.
        """
        return self.read(self.locate(name))

    def locate(self, name: str) -> Path:
        """Return the file that `name` means: a path, an ID, or the beginning of one.

        Raises:
            UsageError: There is none, or several.
        """
        path = Path(name)
        if path.suffix == ".json" and path.exists():
            return path.absolute()
        every = self.paths()
        found = [path for path in every if name and path.stem.startswith(name)]
        if len(found) == 1:
            return found[0]
        what = "several evidence files start" if found else "no evidence file starts"
        starts = [] if found else [path.stem[: max(len(name), 4)] for path in every]
        near = nearest(name, starts, 0.75)
        raise UsageError(
            f"{what} with {name!a}",
            hint=f"did you mean {near}?" if near else "`fftdeploy verify` lists them",
            code="unknown-evidence",
        )

    def path_of(self, evidence_id: str, task: str) -> Path:
        """Return where evidence is, or would be."""
        return self.folder / EVIDENCE_FOLDER / task / f"{evidence_id}.json"

    def require_room(self, task: str) -> None:
        """Refuse, before anything is spent, a folder that `write` could not write to.

        Raises:
            ConfigError: Something else is where a folder has to be.
            DiskError: It can't be written.
        """
        parts = (EVIDENCE_FOLDER / task).parts
        where = disk.shown(self.folder / EVIDENCE_FOLDER / task)
        try:
            problem = disk.folder_problem(disk.real_path(self.folder), parts)
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                message = f"{where}: a link or a file is where a folder has to be"
                raise ConfigError(message, where=where) from error
            problem = disk.reason(error)
        if problem:
            raise DiskError(f"{where}: {problem}; nothing was asked", where=where)

    def write(self, evidence: Evidence, verdict: Verdict) -> Stored:
        """Write evidence with the verdict that its answers give; the same twice is one file.

        Raises:
            DiskError: The disk refused; there is no such file then.
            ConfigError: Its name is taken by something else.
        """
        evidence_id, data = records.with_id(evidence)
        path = self.path_of(evidence_id, evidence.task)
        if not files.create(path, data, root=self.folder):
            return self.read(path)
        stored = Stored(evidence_id, path, evidence, verdict)
        self._unjudged[path], self._judged[path] = evidence, stored
        return stored


def too_old(found: Evidence, max_age: timedelta, now: datetime) -> str:
    """Say why evidence does not count for its age, that of its oldest answer; "" if it does."""
    if found.made_at - now > CLOCK_SKEW:
        return "it was made in the future"
    age = now - found.given_at
    if age > max_age:
        return f"it is {short_duration(age)} old; {short_duration(max_age)} are allowed"
    return ""


def recompute(evidence: Evidence, best: Best | None = None) -> Verdict:
    """Judge the answers of `evidence` again, by its own gate; `best` as a `GateQuestion` has it."""
    question = GateQuestion(
        rules=gate_of(evidence.gate),
        results=evidence.results,
        has_baseline=evidence.baseline.how != "none",
        reviewed=evidence.examples.reviewed,
        prices={arm: evidence.price_of(bundle) for arm, bundle in evidence.arms.items()},
        candidates=evidence.candidates,
        name="what is live" if evidence.baseline.why == records.LIVE_ITSELF else "the candidate",
        best=best,
        judged_by=evidence.judge,
        models={arm: bundle.model for arm, bundle in evidence.arms.items()},
    )
    return judge(question)


def _parsed(path: Path, folder: Path) -> Evidence:
    snapshot = files.read(path, root=folder, max_bytes=records.MAX_BYTES)
    try:
        true_id, found = records.parse(snapshot.data, str(path.name))
    except InconclusiveError:
        true_id = records.content_sha(strict_json.loads(snapshot.data.decode()))
        if true_id == path.stem:
            raise
        raise _edited(path, _misnamed(true_id)) from None
    if true_id != path.stem:
        raise _edited(path, _misnamed(true_id))
    if path.parent.parent == folder / EVIDENCE_FOLDER and path.parent.name != found.task:
        raise _edited(path, f"it is about task {found.task!a}, not about {path.parent.name!a}")
    return found


def _judged(path: Path, found: Evidence) -> Stored:
    try:
        verdict = recompute(found)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _edited(path, f"its verdict can't be computed ({type(error).__name__})") from error
    if place := records.same_verdict(found.verdict, verdict):
        raise _edited(path, f"its answers do not give its {place}")
    # Its sentences are not compared, so that nobody may read those that the file states.
    return Stored(path.stem, path, replace(found, verdict=verdict.as_json()), verdict)


def _misnamed(true_id: str) -> str:
    return f"its name is not its hash, {true_id[:SHOWN_DIGITS]}"


def _edited(path: Path, wrong: str) -> ConfigError:
    return ConfigError(
        f"evidence {path.stem[:SHOWN_DIGITS]} was edited: {wrong}",
        hint="restore it from git, or make it again: fftdeploy eval TASK/ENVIRONMENT",
        where=str(path),
        code="evidence",
    )
