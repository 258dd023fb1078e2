"""Where the verdict on the report's page comes from, and how to check it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from fftdeploy.evaluation.arms import LIVE
from fftdeploy.evaluation.evidence.evidence import Baseline, Evidence, ExamplesFacts
from fftdeploy.formats import strict_json
from fftdeploy.names import OPENAI, plural
from fftdeploy.output.page.text import Say
from fftdeploy.releases.deployments import Bundle


def facts_section(evidence: Evidence, evidence_id: str, say: Say) -> str:
    """Return the section: everything that went into the verdict, and the command that checks it."""
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td>{value}</td></tr>'
        for name, value in _rows(evidence, evidence_id, say)
    )
    return (
        '<section id="facts"><h2>Where this comes from</h2>'
        f'<div class="scroll"><table class="facts"><tbody>{rows}</tbody></table></div></section>'
    )


def _rows(evidence: Evidence, evidence_id: str, say: Say) -> Iterator[tuple[str, str]]:
    yield "check it offline", f"<code>fftdeploy verify {say(evidence_id)}</code>"
    yield "evidence", _code(evidence_id, say)
    yield "made", f"{time(evidence.made_at)} by {say(evidence.tool)}"
    yield "asked", say(evidence.address)
    for name, bundle in evidence.arms.items():
        yield say(name), bundle_html(bundle, say)
    yield "baseline", baseline_html(evidence.baseline, say, is_live=LIVE in evidence.results.arms)
    yield "examples", _examples(evidence.examples, say)
    for path, sha in evidence.examples.files:
        yield "file", f"{say(path)}<br>{_code(sha, say)}"
    if evidence.examples.training:
        yield "training file", _training(evidence.examples.training, say)
    yield "run", _run(evidence, say)
    yield "kept answers", _cache(evidence.cache, say)
    for grader in evidence.graders:
        yield "grader", _content(grader, say)
    yield "hash of the graders", _code(evidence.graders_sha, say)
    yield "gate", _content(evidence.gate, say)
    yield "hash of the gate", _code(evidence.gate_sha, say)
    if evidence.prices:
        yield "prices", _content(evidence.prices, say)


def time(moment: datetime) -> str:
    """Return a moment in UTC, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def bundle_html(bundle: Bundle, say: Say) -> str:
    """Return a model with its profile and provider."""
    shown = f"<code>{say(bundle.model)}</code>"
    if bundle.profile:
        sha = (
            f' <span class="dim">({say(bundle.profile_sha[:12])})</span>'
            if bundle.profile_sha
            else ""
        )
        shown += f" with profile <code>{say(bundle.profile)}</code>{sha}"
    return shown + (f" at {say(bundle.provider)}" if bundle.provider != OPENAI else "")


def baseline_html(baseline: Baseline, say: Say, *, is_live: bool) -> str:
    """Say where the answers of the live arm come from."""
    if baseline.how == "recorded":
        when = f" {time(baseline.at)}" if baseline.at else ""
        return f"recorded{when}, in evidence {_code(baseline.evidence, say)}: the model is dead now"
    if baseline.how == "none" or not is_live:
        return f"none: {say(baseline.why)}" if baseline.why else "none"
    return "asked in the same run"


def _examples(facts: ExamplesFacts, say: Say) -> str:
    parts = [plural(facts.n, "example"), f"{facts.reviewed:,} reviewed by a person"]
    if facts.duplicates:
        parts.append(f"{plural(facts.duplicates, 'duplicate')} left out")
    return f"{', '.join(parts)}<br>{_code(facts.sha, say)}"


def _training(training: Mapping[str, Any], say: Say) -> str:
    found = ", ".join(f"{say(training.get(key))} {word}" for key, word in _OVERLAPS)
    return f"of these examples it has {found}<br>{_code(str(training.get('file_sha')), say)}"


_OVERLAPS = (("exact", "exactly"), ("near", "nearly"))


def _run(evidence: Evidence, say: Say) -> str:
    tried = (
        f"one of {evidence.candidates:,} candidates tried together; "
        if evidence.candidates > 1
        else ""
    )
    return (
        f"{tried}run {evidence.attempt:,} of this candidate on these examples; the examples have "
        f"decided {plural(evidence.used, 'time')}, this one included"
        f"{f'; its log is {_code(evidence.run, say)}' if evidence.run else ''}"
    )


def _cache(cache: Mapping[str, Any], say: Say) -> str:
    answers = cache.get("answers")
    kept = answers.items() if isinstance(answers, Mapping) else ()
    used = ", ".join(f"{say(arm)} {say(number)}" for arm, number in kept if number)
    shown = f"answers not asked anew: {used}" if used else "every answer was asked anew"
    age = cache.get("max_age_s")
    if not cache.get("reuse") or not isinstance(age, int):
        return shown
    return f"{shown}; an answer of the last {plural(age // 3600, 'hour')} would have been taken"


def _content(content: Mapping[str, Any], say: Say) -> str:
    """Return a table of settings, one a line, what is nested under its path."""
    return "<br>".join(f"{say(path)} = {say(value)}" for path, value in _flat(content, ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _flat(below, f"{path} {key}" if path else str(key))
    elif isinstance(value, str):
        yield path, value
    elif value is not None and value != []:
        yield path, strict_json.dumps(value)


def _code(text: str, say: Say) -> str:
    return f"<code>{say(text)}</code>"
