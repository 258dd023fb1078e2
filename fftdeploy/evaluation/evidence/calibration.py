"""What is known of a model judge: its verdicts held against people's labels, as a record.

`.fftdeploy/evidence/TASK/calibrations/ID.json` is committed.  It has what people and the judge said
of each output, and no output: its figures are computed from that, offline, whenever they are used.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

from fftdeploy import files
from fftdeploy.errors import ConfigError, FftdeployError, InconclusiveError
from fftdeploy.evaluation.evidence.evidence import SHOWN_DIGITS, Evidence, file_of
from fftdeploy.evaluation.examples.raw_lines import meaning_sha
from fftdeploy.evaluation.gate.agreement import Agreement
from fftdeploy.evaluation.gate.judge_facts import CalibrationFacts, JudgeFacts, unfit
from fftdeploy.evaluation.graders.judge import Judge
from fftdeploy.files.folders import EVIDENCE_FOLDER
from fftdeploy.formats import json_shapes, strict_json
from fftdeploy.policy import profiles

CALIBRATIONS = "calibrations"
"""Their folder, within that of the evidence about their task."""
SCHEMA = "fftdeploy.calibration/1"
MAX_LABELS_BYTES = 64 * 1024 * 1024
PASSED, FAILED, SILENT = "p", "f", "n"
"""How labels and verdicts are written; only a judge is silent."""


@dataclass(frozen=True, slots=True)
class JudgeCalibration:
    """A judge's verdicts on outputs that people have labelled; the keys of the file."""

    task: str
    made_at: datetime
    tool: str
    judge: Mapping[str, Any]
    """The grader, as the policy has it."""
    address: str
    kind: str
    answered_by: tuple[str, ...]
    labels: str
    """Path of the labels, from the policy's folder."""
    labels_sha: str
    people: str
    """A letter for each label, in their order."""
    verdicts: str

    @property
    def id(self) -> str:
        """The hash of its file, which is its name."""
        return _file(self)[0]

    @property
    def facts(self) -> CalibrationFacts:
        """What decides whether the judge may gate; ValueError for letters that say nothing."""
        labels = {PASSED, FAILED}
        if not labels.issuperset(self.people) or not {*labels, SILENT}.issuperset(self.verdicts):
            raise ValueError("a letter that stands for nothing")
        pairs = Counter(zip(self.people, self.verdicts, strict=True))
        each = (pairs[people, judge] for people, judge in product((PASSED, FAILED), repeat=2))
        silent = self.verdicts.count(SILENT)
        return CalibrationFacts(self.id, self.answered_by, Agreement(*each), silent)


class CalibrationFolder:
    """The calibrations of one repository folder, and of the same at other commits."""

    def __init__(self, folder: Path, *others: "CalibrationFolder") -> None:
        self.folder = folder
        self._places = (self, *others)

    def paths(self, task: str = "*") -> list[Path]:
        """List the files of a task, or of all."""
        return sorted((self.folder / EVIDENCE_FOLDER).glob(f"{task}/{CALIBRATIONS}/*.json"))

    def read(self, path: Path) -> JudgeCalibration:
        """Read one file.

        Raises:
            ConfigError: It is none, its name is not its hash, or it is about another task.
        """
        data, task = files.read(path, root=self.folder).data, path.parent.parent.name
        with suppress(AttributeError, KeyError, TypeError, ValueError):
            document = strict_json.loads(data.decode())
            is_ours = document.pop("schema") == SCHEMA and document["task"] == task
            found: JudgeCalibration = json_shapes.read(JudgeCalibration, document)
            if is_ours and found.facts.id == path.stem:
                return found
        raise ConfigError(
            f"calibration {path.stem[:SHOWN_DIGITS]} was edited: its name is not its hash",
            hint=f"restore it from git, or make it again: fftdeploy calibrate {task}",
            where=str(path),
            code="calibration",
        )

    def newest(self, task: str, judge: str, address: str) -> CalibrationFacts | None:
        """Return the newest calibration of a judge, by its hash; what was edited is none.

        One about the labels as they are goes before those about others.  A name is no identity:
        that of a rehearsal says nothing of who answers by it at another `address`.
        """
        newest = self._newest(task, judge, address)
        return newest.facts if newest else None

    def _newest(self, task: str, judge: str, address: str = "") -> JudgeCalibration | None:
        found = [one for one in self._whole(task) if profiles.content_sha(one.judge) == judge]
        found = [one for one in found if address in {"", one.address}]
        return max(
            found, key=lambda one: (self._has_labels(one), one.made_at, one.id), default=None
        )

    def labels(self, task: str) -> list[str]:
        """Name the files of labels that calibrations of a task are about."""
        return sorted({one.labels for one in self._whole(task)})

    def shortage(
        self, task: str, judge: Judge | None, mode: str, address: str = ""
    ) -> InconclusiveError | None:
        """Return why a judge may not gate, before it is asked anything; None where it may.

        `address` is where it is asked, "" where nobody is.
        """
        if judge is None or mode == "report-only":
            return None
        found = self._newest(task, judge.sha, address)
        problem = unfit(found.facts if found else None)
        if found is None and (other := self._newest(task, judge.sha)):
            problem = f"it was calibrated at {other.address}, and {address} is asked"
        if found and not problem and not self._has_labels(found):
            problem = "the labels have changed since"
        said, hint = f"the judge {judge.name} may not gate: ", f"fftdeploy calibrate {task}"
        return InconclusiveError(said + problem, hint=hint, code="judge") if problem else None

    def _has_labels(self, made: JudgeCalibration) -> bool:
        """Tell whether the labels of a calibration are still there, and as they were."""
        for folder in (place.folder for place in self._places):
            with suppress(FftdeployError):
                data = files.read(
                    folder / made.labels, root=folder, max_bytes=MAX_LABELS_BYTES
                ).data
                if meaning_sha(data) == made.labels_sha:
                    return True
        return False

    def changed_since(self, evidence: Evidence) -> str:
        """Say that the judge was calibrated anew: what it decides may be another verdict."""
        judge = evidence.judge
        is_same = judge is None or judge.calibration == self._facts_now(evidence.task, judge)
        return "" if is_same else "its judge was calibrated since"

    def trusts(self, evidence: Evidence) -> bool:
        """Whether the snapshot that has judged these answers is the one that is calibrated."""
        judge = evidence.judge
        return judge is None or not judge.problem(self._facts_now(evidence.task, judge))

    def _facts_now(self, task: str, judge: JudgeFacts) -> CalibrationFacts | None:
        return self.newest(task, judge.sha, judge.address)

    def write(self, made: JudgeCalibration) -> JudgeCalibration:
        """Write a calibration, unless the newest on record says the same.

        Raises:
            DiskError: The disk refused.
            ConfigError: Something else is in its way.
        """
        known = self._newest(made.task, profiles.content_sha(made.judge), made.address)
        if known and replace(known, made_at=made.made_at, tool=made.tool) == made:
            return known
        its_id, data = _file(made)
        path = self.folder / EVIDENCE_FOLDER / made.task / CALIBRATIONS / f"{its_id}.json"
        files.create(path, data, root=self.folder)
        return made

    def _whole(self, task: str) -> Iterator[JudgeCalibration]:
        for place in self._places:
            for path in place.paths(task):
                with suppress(ConfigError):
                    yield place.read(path)


def _file(made: JudgeCalibration) -> tuple[str, bytes]:
    return file_of({"schema": SCHEMA, **json_shapes.written(made)})
