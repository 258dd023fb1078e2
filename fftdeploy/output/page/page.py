"""The report of one evaluation as a page: one file that opens from disk and asks for nothing.

Whatever comes from models, examples or files is written through `Say`.  The only script and the
only style are those of this package, which the page's policy names by their hashes.
"""

import base64
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.evidence.stored_verdict import read_verdict
from fftdeploy.evaluation.gate.wording import sureness
from fftdeploy.evaluation.texts import ExampleText
from fftdeploy.evaluation.verdict import Comparison, Reason, Verdict
from fftdeploy.names import plural
from fftdeploy.output.page.confusion import Confusions, asked
from fftdeploy.output.page.costs import costs_section
from fftdeploy.output.page.examples import examples_section
from fftdeploy.output.page.facts import baseline_html, bundle_html, facts_section, time
from fftdeploy.output.page.interval import Mark, interval, signed
from fftdeploy.output.page.rows import BROKE, FAILED, FIXED, PASSED, Rows
from fftdeploy.output.page.tables import fields_section, slices_section
from fftdeploy.output.page.text import Say, percent

_MOST_LINKS = 50
_SIGNS = {"pass": "&#10003;", "fail": "&#10007;", "inconclusive": "?"}
_RULES = {"fail": "stops it", "inconclusive": "leaves it open", "": "to know"}


def report_page(
    evidence: Evidence,
    evidence_id: str,
    texts: Iterable[ExampleText] | None,
    *,
    redact: bool = False,
    secrets: Collection[str] = (),
) -> str:
    """Return the page of `evidence` as HTML in UTF-8.

    Args:
        evidence: What is reported.
        evidence_id: Its ID.
        texts: Texts of its examples in any order, read once; None where the log is gone.
        redact: Leave out every input, agreed answer and output, and what is made of them.
        secrets: Taken out of any text.

    Raises:
        ConfigError: The evidence's verdict is not one.
    """
    say = Say(secrets)
    verdict = read_verdict(evidence.verdict)
    rows = Rows(evidence.results, verdict)
    arms = [arm for arm in (CANDIDATE, LIVE) if arm in evidence.results.arms]
    confusions = Confusions(asked(evidence.graders, evidence.results.fields), arms)
    for text in texts or ():
        rows.keep(text)
        confusions.add(text)
    tables = [] if redact else confusions.tables()
    body = [
        _header(evidence, verdict, say),
        _reasons(verdict, rows, say),
        examples_section(rows, say, has_texts=texts is not None, redact=redact),
        fields_section(evidence.results, verdict, tables, say),
        slices_section(verdict, say),
        costs_section(evidence, verdict, say),
        facts_section(evidence, evidence_id, say),
    ]
    title = f"{verdict.ruling.upper()} {say(evidence.target)}"
    return _document(title, "".join(body))


def _document(title: str, body: str) -> str:
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>{body}</main>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


@cache
def _asset(name: str) -> str:
    return resources.files("fftdeploy").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _header(evidence: Evidence, verdict: Verdict, say: Say) -> str:
    ruling = verdict.ruling
    badge = (
        f'<span class="badge {ruling}"><span aria-hidden="true">{_SIGNS[ruling]}</span> '
        f"{ruling.upper()}</span>"
    )
    about = [f"<b>{say(evidence.target)}</b>", time(evidence.made_at)]
    if evidence.attempt > 1:
        about.append(f"run {evidence.attempt:,} of this candidate on these examples")
    if evidence.candidates > 1:
        about.append(f"one of {evidence.candidates:,} candidates")
    detail = [say(line) for line in verdict.detail]
    if verdict.reports_only:
        detail.append("This gate only reports: the ruling stops nothing.")
    shown = "".join(f"<p>{line}</p>" for line in detail)
    return (
        f'<header><p class="about">{" &middot; ".join(about)}</p>'
        f"<h1>{badge} {say(verdict.headline)}</h1>{shown}{_arms(evidence, say)}"
        f"{_plot(evidence, verdict)}{_tiles(verdict.comparison)}</header>"
    )


def _arms(evidence: Evidence, say: Say) -> str:
    rows = [(say(name), bundle_html(bundle, say)) for name, bundle in evidence.arms.items()]
    if evidence.baseline.how != "fresh":
        is_live = LIVE in evidence.results.arms
        rows.append(("baseline", baseline_html(evidence.baseline, say, is_live=is_live)))
    return f'<dl class="arms">{"".join(f"<dt>{a}</dt><dd>{b}</dd>" for a, b in rows)}</dl>'


def _plot(evidence: Evidence, verdict: Verdict) -> str:
    """Draw what the gate has compared, against its limit."""
    gate = evidence.gate
    if verdict.comparison and gate.get("mode") != "threshold":
        picture, text = _difference(gate, verdict.comparison, _sure(evidence))
    else:
        found = _rate(gate, verdict)
        if not found:
            return ""
        picture, text = found
    return f"<figure>{picture}<figcaption>{text}</figcaption></figure>"


def _difference(gate: Mapping[str, Any], comparison: Comparison, sure: str) -> tuple[str, str]:
    wants_better = gate.get("mode") == "better"
    limit = 0.0 if wants_better else -100 * _number(gate, "margin", 0.05)
    lower, point, upper = (
        100 * value for value in (comparison.lower, comparison.difference, comparison.upper)
    )
    text = (
        f"Pass rate of the candidate minus that of live: {signed(point)} points. With {sure} "
        f"confidence it is at least {_apart(lower, limit)}, and with {sure} at most "
        f"{_apart(upper, limit)}; the limit is {signed(limit)}."
    )
    marks = [Mark(limit, f"limit {signed(limit)}", is_limit=True)]
    if not wants_better:
        marks.append(Mark(0.0, "same as live"))
    return interval(lower, point, upper, marks, text=text), text


def _sure(evidence: Evidence) -> str:
    """Return the confidence of the bounds: candidates that are tried together share the risk."""
    risk = 1 - _number(evidence.gate, "confidence", 0.95)
    return sureness(1 - risk / max(evidence.candidates, 1))


def _apart(value: float, limit: float) -> str:
    """Return `value` with as many digits as tell it from `limit`."""
    for digits in (1, 2):
        if signed(value, digits) != signed(limit, digits):
            return signed(value, digits)
    return signed(value, 3)


def _rate(gate: Mapping[str, Any], verdict: Verdict) -> tuple[str, str] | None:
    candidate = next((arm for arm in verdict.arms if arm.arm == CANDIDATE), None)
    if candidate is None or not candidate.n:
        return None
    floors = gate.get("floors")
    floor = _number(floors, "pass_rate", 0.0) if isinstance(floors, Mapping) else 0.0
    limit = 100 * (_number(gate, "threshold", 0.0) or floor)
    text = (
        f"Pass rate of the candidate: {percent(candidate.rate)}, "
        f"95% interval {percent(candidate.low)} to {percent(candidate.high)}"
    )
    text += f"; the limit is {limit:.1f}%." if limit else "."
    marks = [Mark(limit, f"limit {limit:.1f}%", is_limit=True)] if limit else []
    values = (100 * candidate.low, 100 * candidate.rate, 100 * candidate.high)
    return interval(*values, marks, text=text), text


def _number(table: Mapping[str, Any], key: str, default: float) -> float:
    value = table.get(key)
    return float(value) if isinstance(value, int | float) else default


def _tiles(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    tiles = (
        (BROKE, comparison.broke, "broke"),
        (FIXED, comparison.fixed, "fixed"),
        (PASSED, comparison.passed_both, "passed by both"),
        (FAILED, comparison.failed_both, "failed by both"),
    )
    shown = "".join(f'<li class="{kind}"><b>{n:,}</b> {word}</li>' for kind, n, word in tiles)
    groups = f" in {plural(comparison.groups, 'group')}" if comparison.groups else ""
    return f'<ul class="tiles">{shown}<li><b>{comparison.n:,}</b> pairs{groups}</li></ul>'


def _reasons(verdict: Verdict, rows: Rows, say: Say) -> str:
    if not verdict.reasons:
        return ""
    order = ("fail", "inconclusive", "")
    found = sorted(verdict.reasons, key=lambda reason: order.index(reason.rules))
    shown = "".join(_reason(reason, rows, say) for reason in found)
    return f'<section id="reasons"><h2>Why</h2><ul class="reasons">{shown}</ul></section>'


def _reason(reason: Reason, rows: Rows, say: Say) -> str:
    kind = reason.rules or "notice"
    links = ", ".join(_links(reason.examples, rows, say))
    about = f'<p class="ids">{links}</p>' if links else ""
    return (
        f'<li class="{kind}"><span class="rules">{_RULES[reason.rules]}</span> '
        f'<span class="code">{reason.code}</span><p>{say(reason.message)}</p>{about}</li>'
    )


def _links(examples: tuple[str, ...], rows: Rows, say: Say) -> Iterator[str]:
    for example_id in examples[:_MOST_LINKS]:
        yield rows.link(example_id, say)
    if len(examples) > _MOST_LINKS:
        yield f"and {len(examples) - _MOST_LINKS:,} more"
