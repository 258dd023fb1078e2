"""The report of one evaluation as a page: one file that opens from disk and asks for nothing.

What is on it are values, made here; how they look, and the only script and style, is the template.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from itertools import groupby
from typing import Any

from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.evidence.evidence import Evidence, read_verdict
from fftdeploy.evaluation.gate.wording import p_cell, sureness
from fftdeploy.evaluation.patterns.told import Told
from fftdeploy.evaluation.patterns.what_changed import (
    FailureCause,
    Shift,
    WhatChanged,
    compared_fields,
)
from fftdeploy.evaluation.results import ExampleText
from fftdeploy.evaluation.verdict import Comparison, Verdict
from fftdeploy.formats import strict_json
from fftdeploy.names import plural
from fftdeploy.output.page.rows import MOST_ROWS, Rows
from fftdeploy.output.page.tables import Confusions, costs, fields, percent
from fftdeploy.output.page.template import MOST_CHARACTERS, Say, Template, load
from fftdeploy.output.words import apart, signed

_MOST_LINKS = 50
_MOST_SLICES = 200
_SNIPPET = 90
"""Characters of what was asked, beside a pattern."""
_ROOM = 0.25
"""Beyond the outermost value of the drawing, as a share of the whole: labels are written there."""
_SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
_RULES = {"fail": "stops it", "inconclusive": "leaves it open", "": "to know"}


def report_page(
    evidence: Evidence,
    evidence_id: str,
    texts: Iterable[ExampleText] | None,
    told: Told,
    *,
    redact: bool = False,
    secrets: Collection[str] = (),
) -> str:
    """Return the page of `evidence` as HTML in UTF-8.

    Args:
        evidence: What is reported.
        evidence_id: Its ID.
        texts: Texts of its examples in any order, read once; None where the log is gone.
        told: What these tell, as far as it may be shown.
        redact: Leave out every input, agreed answer and output.
        secrets: Taken out of any text.

    Raises:
        ConfigError: The evidence's verdict is not one.
    """
    say = Say(secrets)
    verdict = read_verdict(evidence.verdict)
    results = evidence.results
    rows = Rows(results, verdict, say, shows_texts=texts is not None and not redact)
    arms = [arm for arm in (CANDIDATE, LIVE) if arm in results.arms]
    confusions = Confusions(compared_fields(evidence.graders, results.fields), arms)
    for text in texts or ():
        rows.keep(text)
        confusions.add(text)
    values = {
        **_header(evidence, verdict),
        "changed": _changed(told.what_changed, rows),
        "weak_spots": ", ".join(told.weak_spots),
        "reasons": {"every": list(_reasons(verdict, rows))} if verdict.reasons else None,
        "examples": rows.section(),
        "is_redacted": redact,
        "has_log": texts is not None,
        "most_characters": MOST_CHARACTERS,
        "most_rows": MOST_ROWS,
        "fields": fields(results, verdict, [] if redact else confusions.tables()),
        "slices": _slices(verdict),
        "costs": costs(verdict),
        **_origin(evidence, evidence_id),
    }
    return _template().filled(values, say)


@cache
def _template() -> Template:
    return load("report.html", FORMATS)


def _header(evidence: Evidence, verdict: Verdict) -> dict[str, Any]:
    said = {reason.message for reason in verdict.reasons}  # which have a section of their own
    return {
        "evidence": evidence,
        "verdict": verdict,
        "detail": [text for text in verdict.detail if text.removeprefix("also: ") not in said],
        "ruling": "ON RECORD" if evidence.is_record else verdict.ruling.upper(),
        "sign": "" if evidence.is_record else _SIGNS[verdict.ruling],
        "kind": "record" if evidence.is_record else verdict.ruling,
        "is_again": evidence.attempt > 1,
        "is_one_of_many": evidence.candidates > 1,
        "models": [
            {
                "arm": arm.arm,
                "model": evidence.arms[arm.arm],
                "sha": (evidence.arms[arm.arm].profile_sha or "")[:12],
                "figures": arm,
            }
            for arm in verdict.arms
            if arm.arm in evidence.arms
        ],
        "live_answers": _live_answers(evidence),
        "plot": _plot(evidence, verdict),
    }


def _live_answers(evidence: Evidence) -> dict[str, Any]:
    """Say where the answers of the live arm come from."""
    baseline, is_live = evidence.baseline, LIVE in evidence.results.arms
    said = "asked in the same run"
    if baseline.how == "recorded":
        when = f" {_moment(baseline.at)}" if baseline.at else ""
        said = f"recorded{when}, in evidence {baseline.evidence}: the model is dead now"
    elif baseline.how == "none" or not is_live:
        said = f"none: {baseline.why}" if baseline.why else "none"
    return {"said": said, "is_news": baseline.how != "fresh"}


def _plot(evidence: Evidence, verdict: Verdict) -> dict[str, Any] | None:
    """Draw what the gate has compared, against its limit."""
    gate = evidence.gate
    if verdict.comparison and gate["mode"] != "threshold":
        return _difference(evidence, verdict.comparison)
    candidate = verdict.candidate
    if not candidate.n:
        return None
    limit = float(gate["threshold"] or gate["floors"].get("pass_rate") or 0)
    marks = [("limit", 100 * limit, f"limit {percent(limit)}")] if limit else []
    values = [100 * value for value in (candidate.low, candidate.rate, candidate.high)]
    return _drawing(values, marks) | {
        "rate": {"arm": candidate, "limit": limit},
        "difference": None,
    }


def _difference(evidence: Evidence, found: Comparison) -> dict[str, Any]:
    gate = evidence.gate
    wants_better = gate["mode"] == "better"
    limit = 0.0 if wants_better else -100 * gate["margin"]
    values = [100 * value for value in (found.lower, found.difference, found.upper)]
    same = [] if wants_better else [("zero", 0.0, "same as live")]
    drawing = _drawing(values, [("limit", limit, f"limit {signed(limit)}"), *same])
    # Candidates that are tried together share the risk.
    risk = (1 - gate["confidence"]) / max(evidence.candidates, 1)
    least, most = apart(values[0], limit), apart(values[2], limit)
    said = {"sure": sureness(1 - risk), "least": least, "most": most, "limit": signed(limit)}
    return drawing | {"rate": None, "difference": said}


def _drawing(values: Sequence[float], marks: Sequence[tuple[str, float, str]]) -> dict[str, Any]:
    """Place bounds, point and marks in percent of the width: labels keep their size."""
    every = [*values, *(value for _, value, _ in marks)]
    room = (max(every) - min(every)) * _ROOM or 1.0
    left, span = min(every) - room, max(every) - min(every) + 2 * room

    def at(value: float) -> str:
        return f"{100 * (value - left) / span:.2f}%"

    return {
        "zones": [at(value) for kind, value, _ in marks if kind == "limit"],
        "marks": [
            {"kind": kind, "at": at(value), "label": label, "row": str(14 + 18 * row)}
            for row, (kind, value, label) in enumerate(marks)
        ],
        "low": {"at": at(values[0]), "shown": signed(values[0])},
        "point": {"at": at(values[1]), "shown": signed(values[1])},
        "high": {"at": at(values[2]), "shown": signed(values[2])},
    }


def _reasons(verdict: Verdict, rows: Rows) -> Iterator[dict[str, Any]]:
    for reason in sorted(verdict.reasons, key=lambda reason: [*_RULES].index(reason.rules)):
        more = len(reason.examples) - _MOST_LINKS
        yield {
            "kind": reason.rules or "notice",
            "rules": _RULES[reason.rules],
            "code": reason.code,
            "message": reason.message,
            "about": {
                "links": [rows.link(example_id) for example_id in reason.examples[:_MOST_LINKS]],
                "more": f"and {more:,} more" if more > 0 else "",
            }
            if reason.examples
            else None,
        }


def _changed(found: WhatChanged, rows: Rows) -> dict[str, Any] | None:
    """Return why answers fail, and which values became which, by field."""
    if not found.causes and not found.shifts:
        return None
    most = max((one.count for one in found.shifts), default=1)
    causes = [
        {"cause": one, "bar": percent(one.count / one.answers), "example": _for_one(one, rows)}
        for one in found.causes
    ]
    fields = [
        {
            "name": field or "the whole answer",
            "pairs": [
                {"shift": one, "bar": percent(one.count / most), "example": _for_one(one, rows)}
                for one in each
            ],
        }
        for field, each in groupby(found.shifts, key=lambda shift: shift.field)
    ]
    before = "live" if found.against == LIVE else "agreed"
    every = {"every": causes} if causes else None
    return {"causes": every, "fields": fields, "before": before}


def _for_one(pattern: Shift | FailureCause, rows: Rows) -> dict[str, str]:
    """Return the example of a pattern: a link to its row, and the beginning of what was asked."""
    asked = " ".join(pattern.example.input[: 2 * _SNIPPET].split())
    more = "…" if len(asked) > _SNIPPET else ""
    return {**rows.link(pattern.example.id), "asked": f"{asked[:_SNIPPET]}{more}"}


def _slices(verdict: Verdict) -> dict[str, Any] | None:
    parts = [part for part in verdict.slices if part.kind == "slice"]
    parts.sort(key=lambda part: (not part.is_harmed, part.is_small, part.key, -part.n, part.value))
    rest = max(0, len(parts) - _MOST_SLICES)
    return {"parts": parts[:_MOST_SLICES], "rest": rest} if parts else None


def _origin(evidence: Evidence, evidence_id: str) -> dict[str, Any]:
    """Return what the evidence does not say as it is shown."""
    kept, age = evidence.cache["answers"].items(), evidence.cache["max_age_s"]
    return {
        "id": evidence_id,
        "files": [{"path": path, "hash": sha} for path, sha in evidence.examples.files],
        "kept": ", ".join(f"{arm} {number}" for arm, number in kept if number),
        "age": age // 3600 if evidence.cache["reuse"] else None,
    }


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


_COUNTED = ("duplicate", "example", "group", "hour", "other", "slice", "time")


def _settings(content: Mapping[str, Any]) -> str:
    """Return a table of settings, one a line, what is nested under its path."""
    return "\n".join(f"{path} = {value}" for path, value in _flat(content, ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _flat(below, f"{path} {key}" if path else str(key))
    elif isinstance(value, str):
        yield path, value
    elif value is not None and value != []:
        yield path, strict_json.dumps(value)


FORMATS: Mapping[str, Callable[[Any], object]] = {
    "moment": _moment,
    "percent": percent,
    "points": lambda share: signed(100 * share),
    "p": p_cell,
    "settings": _settings,
    **{f"{noun}s": partial(plural, noun=noun) for noun in _COUNTED},
}
