"""The outputs that evidence is about: those of its run, and of the very answers that it grades."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from fftdeploy.evaluation.arms import label
from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.results import MISSING, NOT_MEASURED, Sample, tokens_of
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.log_lines import Header, Record
from fftdeploy.files.folders import RUNS

GradedOutputs = Mapping[str, Mapping[str, tuple[str, ...]]]


def graded_outputs(evidence: Evidence, root: Path) -> GradedOutputs:
    """Return what was said, by the example's id and the arm, one text a repeat.

    An example of an arm is left out where the log does not have each of the answers that were
    graded: it never shows another one.

    Raises:
        ConfigError: The log of the run is damaged.
        DiskError: It is not there any more.
    """
    path = root / RUNS / evidence.run
    header = run_log.read_header(path, root)
    results = evidence.results
    asked_as = dict(_arms(evidence, header)) if header is not None else {}
    places = {example_id: index for index, example_id in enumerate(results.ids)}
    texts: dict[tuple[str, str], dict[int, str]] = {}
    for record in run_log.read_records(path, root):
        arm, index = asked_as.get(record.arm), places.get(record.example)
        if arm is None or index is None or record.repeat >= results.repeats:
            continue
        if _is_graded(record, results.arms[arm].get(index * results.repeats + record.repeat)):
            texts.setdefault((record.example, arm), {})[record.repeat] = record.output.text
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for (example_id, arm), said in texts.items():
        if len(said) == results.repeats:
            by_arm = found.setdefault(example_id, {})
            by_arm[arm] = tuple(said[repeat] for repeat in range(results.repeats))
    return found


def _arms(evidence: Evidence, header: Header) -> Iterator[tuple[str, str]]:
    """Yield the name of each arm in the log, and in evidence: `candidate` is one of several."""
    for name, bundle in evidence.arms.items():
        same = {arm for arm, asked in header.arms.items() if asked == asdict(bundle)}
        asked_as = next((arm for arm in (name, label(bundle), *sorted(same)) if arm in same), "")
        if asked_as and name in evidence.results.arms:
            yield asked_as, name


def _is_graded(record: Record, sample: Sample) -> bool:
    """Whether the answer is the one that was graded, by all that both say of it."""
    output = record.output
    is_measured = not record.cached and output.mark != MISSING
    latency_ms = record.latency_ms if is_measured else NOT_MEASURED
    same = (latency_ms, *tokens_of(output)) == (sample.latency_ms, *tokens_of(sample))
    return same and output.mark in {"", sample.mark}
