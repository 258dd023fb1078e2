"""One evaluation as JUnit XML: what CI systems count is what the gate has said."""

import re
from collections.abc import Collection, Iterator
from datetime import UTC
from xml.sax.saxutils import escape, quoteattr

from fftdeploy.evaluation.arms import CANDIDATE
from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.evidence.stored_verdict import read_verdict
from fftdeploy.evaluation.results import MISSING, PASS
from fftdeploy.evaluation.verdict import Verdict
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
    writer = _JunitWriter(evidence, verdict, secrets)
    cases = [writer.gate(), *writer.cases()]
    found = {
        "tests": len(cases),
        "failures": sum("<failure " in case for case in cases),
        "errors": sum("<error " in case for case in cases),
        "skipped": sum("<skipped " in case for case in cases),
    }
    counts = " ".join(f'{key}="{count}"' for key, count in found.items())
    name = writer.attribute(evidence.target)
    made_at = f"{evidence.made_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="fftdeploy" {counts}>\n'
        f'<testsuite name={name} {counts} timestamp="{made_at}">\n'
        f"{writer.properties(evidence_id)}{''.join(cases)}</testsuite>\n</testsuites>\n"
    )


class _JunitWriter:
    def __init__(self, evidence: Evidence, verdict: Verdict, secrets: Collection[str]) -> None:
        self._evidence, self._verdict, self._secrets = evidence, verdict, secrets
        self._broke = frozenset(verdict.broke)
        self._is_through = evidence.lets_through

    def attribute(self, text: object) -> str:
        """Return untrusted text as an attribute's value with its quotes."""
        return quoteattr(self._plain(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})

    def _plain(self, text: object) -> str:
        return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", clean(str(text), self._secrets))

    def properties(self, evidence_id: str) -> str:
        """Return the verdict, and where it comes from."""
        evidence, verdict = self._evidence, self._verdict
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
        shown = "".join(
            f"<property name={self.attribute(key)} value={self.attribute(value)}/>\n"
            for key, value in found.items()
        )
        return f"<properties>\n{shown}</properties>\n"

    def gate(self) -> str:
        """Return the test case of the verdict itself."""
        verdict = self._verdict
        opening = '<testcase classname="fftdeploy" name="gate"'
        if self._is_through:
            return f"{opening}/>\n"
        text = "\n".join([verdict.headline, *verdict.detail])
        said = f"type={self.attribute(verdict.ruling)} message={self.attribute(verdict.headline)}"
        return f"{opening}><failure {said}>{escape(self._plain(text))}</failure></testcase>\n"

    def cases(self) -> Iterator[str]:
        """Yield the test case of each example, in the order of the files."""
        results = self._evidence.results
        target = self.attribute(self._evidence.target)
        for index, example_id in enumerate(results.ids):
            name = self.attribute(example_id)
            opening = f"<testcase classname={target} name={name}{self._time(index)}"
            found = self._failure(index)
            yield f"{opening}>{found}</testcase>\n" if found else f"{opening}/>\n"

    def _time(self, index: int) -> str:
        samples = self._evidence.results.samples(CANDIDATE, index)
        times = [sample.latency_ms for sample in samples if sample.latency_ms >= 0]
        return f' time="{sum(times) / len(times) / 1000:.3f}"' if times else ""

    def _failure(self, index: int) -> str:
        results = self._evidence.results
        samples = list(results.samples(CANDIDATE, index))
        failed = [sample for sample in samples if sample.mark != PASS]
        if 2 * len(failed) < len(samples):
            return ""
        missing = all(sample.mark in {MISSING, ""} for sample in failed)
        reasons = ", ".join(dict.fromkeys(sample.mark or "not answered" for sample in failed))
        numbers = sorted({number for sample in failed for number in sample.failed})
        fields = ", ".join(results.fields[number] for number in numbers)
        is_broke = results.ids[index] in self._broke
        kind = "broke" if is_broke else failed[0].mark or "not answered"
        text = f"{reasons}: {fields}" if fields else reasons
        message = f"broke: live passed; {text}" if is_broke else text
        if self._is_through:
            return f"<skipped message={self.attribute(f'{message}: the gate allows it')}/>"
        tag = "error" if missing else "failure"
        shown = f"<{tag} type={self.attribute(kind)} message={self.attribute(message)}>"
        return f"{shown}{escape(self._plain(message))}</{tag}>"
