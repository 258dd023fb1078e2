"""One evaluation as JUnit XML: what CI systems count is what the gate has said."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Collection
from datetime import UTC

from fftdeploy.evaluation.arms import CANDIDATE
from fftdeploy.evaluation.evidence.evidence import Evidence, read_verdict
from fftdeploy.evaluation.results import LOST, PASS
from fftdeploy.output.clean import clean

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say, not even escaped."""


def junit(evidence: Evidence, evidence_id: str, secrets: Collection[str] = ()) -> str:
    """Return `evidence` as XML 1.0: the gate as a test case, and one for each example.

    The first case fails exactly where the verdict does not let the candidate through; then each
    example that the candidate does not pass in more than half of its repeats fails too, or is an
    error where no answer came.  Where the candidate is let through, these are skipped: a CI system
    counts failures, and the gate has allowed them.

    Raises:
        ConfigError: The evidence's verdict is not one.
    """
    verdict = read_verdict(evidence.verdict)
    root = ET.Element("testsuites", name="fftdeploy")
    suite = ET.SubElement(root, "testsuite", name=evidence.target)
    properties = ET.SubElement(suite, "properties")
    found = {
        "verdict": verdict.ruling,
        "label": verdict.label,
        "headline": verdict.headline,
        "evidence": evidence_id,
        "broke": len(verdict.broke),
        "fixed": len(verdict.fixed),
        **evidence.arms,
        "tool": evidence.tool,
    }
    for name, value in found.items():
        ET.SubElement(properties, "property", name=name, value=str(value))
    gate = ET.SubElement(suite, "testcase", classname="fftdeploy", name="gate")
    if not evidence.lets_through:
        said = ET.SubElement(gate, "failure", type=verdict.ruling, message=verdict.headline)
        said.text = "\n".join([verdict.headline, *verdict.detail])
    broke = frozenset(verdict.broke)
    for index, example_id in enumerate(evidence.results.ids):
        case = ET.SubElement(suite, "testcase", classname=evidence.target, name=example_id)
        _fill(case, evidence, index, is_broke=example_id in broke)
    counts = {"tests": len(suite.findall("testcase"))}
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        counts[name] = len(suite.findall(f"testcase/{tag}"))
    for element in (root, suite):
        element.attrib |= {name: str(count) for name, count in counts.items()}
    suite.set("timestamp", f"{evidence.made_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}")
    _clean(root, secrets)
    ET.indent(root, "")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _fill(case: ET.Element, evidence: Evidence, index: int, *, is_broke: bool) -> None:
    """Say how long an example took, and how the candidate has failed it, if it has."""
    samples = list(evidence.results.samples(CANDIDATE, index))
    times = [sample.latency_ms for sample in samples if sample.latency_ms >= 0]
    if times:
        case.set("time", f"{sum(times) / len(times) / 1000:.3f}")
    failed = [sample for sample in samples if sample.mark != PASS]
    if 2 * len(failed) < len(samples):
        return
    reasons = ", ".join(dict.fromkeys(sample.mark or "not answered" for sample in failed))
    numbers = sorted({number for sample in failed for number in sample.failed})
    fields = ", ".join(evidence.results.fields[number] for number in numbers)
    text = f"{reasons}: {fields}" if fields else reasons
    message = f"broke: live passed; {text}" if is_broke else text
    if evidence.lets_through:
        ET.SubElement(case, "skipped", message=f"{message}: the gate allows it")
        return
    tag = "error" if all(sample.mark in {*LOST, ""} for sample in failed) else "failure"
    kind = "broke" if is_broke else failed[0].mark or "not answered"
    ET.SubElement(case, tag, type=kind, message=message).text = message


def _clean(root: ET.Element, secrets: Collection[str]) -> None:
    """Make every text fit to be seen, and to be said in XML at all."""

    def plain(text: str) -> str:
        return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", clean(text, secrets))

    for element in root.iter():
        element.attrib = {name: plain(value) for name, value in element.attrib.items()}
        element.text = plain(element.text) if element.text else None
