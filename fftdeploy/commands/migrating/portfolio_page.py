"""What the page of a migration says: one row a target for a manager, then each of them."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from fftdeploy.commands.evaluate import Evaluated
from fftdeploy.commands.migrating.migration import Migrated, Migration, Successor, verdict_words
from fftdeploy.evaluation.arms import LIVE, label
from fftdeploy.evaluation.gate.wording import listed
from fftdeploy.evaluation.verdict import ArmResult
from fftdeploy.model_ids.model_names import shown_names
from fftdeploy.names import plural
from fftdeploy.output.page.page import FORMATS
from fftdeploy.output.page.template import Say, load

_STATES = {
    "estimated": ("not compared", "fftdeploy migrate {name} --dry-run"),
    "recorded": ("on record", "nothing: its answers are on record"),
    "nothing-to-do": ("successor", "nothing: what is live is the only successor"),
    "no-gate": ("no gate", "add a gate with examples"),
    "under-way": ("under way", "come back when the batches are over"),
    "planned": ("", "review the change below, and make it"),
    "changed": ("", "nothing: it is live in the file"),
}
"""What is said of a target that nothing has stopped: a verdict, where none was made, and a step."""


def page_of(result: Migrated, now: datetime, secrets: Collection[str]) -> str:
    """Return the page about a migration, as HTML that needs no script; without `secrets`."""
    bundles = [one.live for one in result.targets]
    bundles += [each.bundle for one in result.targets for each in one.successors]
    names = shown_names(bundle.model for bundle in bundles)
    rows = [_row(one, f"t{place}", names) for place, one in enumerate(result.targets, 1)]
    moved = sum(one.state in {"changed", "planned"} for one in result.targets)
    own = {
        "targets": lambda rows: plural(len(rows), "target"),
        "requests": lambda count: plural(count, "request"),
        "usd": lambda usd: f"{usd:.2f}" if usd >= 1 else f"{usd:.4f}",
    }
    values = {
        "made_at": now,
        "is_dry": result.dry_run,
        "headline": f"{moved} of {plural(len(rows), 'target')} can move to a successor",
        "cost": result.cost,
        "prices_on": result.prices_on,
        "rows": rows,
        "diff": result.diff,
    }
    return load("portfolio.html", {**FORMATS, **own}).filled(values, Say(secrets))


def _row(one: Migration, place: str, names: Mapping[str, str]) -> dict[str, Any]:
    made = [each for each in one.successors if each.evaluation]
    shown = one.shortfall.bundle if one.shortfall else None
    best = next((each for each in made if shown in {None, each.bundle}), None)
    found = best.evaluation if best else None
    days = one.shutdown.runway_days
    verdict, to_do = _STATES.get(one.state, ("not compared", ""))
    return {
        "place": place,
        "name": one.target,
        "live": label(one.live, names[one.live.model]),
        "live_id": label(one.live),
        "days": "" if days is None else days,
        "ends": one.shutdown.words(),
        "examples": one.examples,
        "successor": label(best.bundle, names[best.bundle.model]) if best else "",
        "before": _measures(found.verdict.arm(LIVE) if found else None),
        "after": _measures(found.verdict.candidate if found else None),
        **_changes(found),
        "verdict": verdict_words(found.verdict) if found else verdict,
        "kind": found.verdict.ruling if found else "record",
        "to_do": one.problem.hint or one.problem.message
        if one.problem and one.state != "under-way"
        else to_do.format(name=one.target),
        "compared": {"rows": list(map(_successor, one.successors))} if one.successors else None,
        "said": [{"label": word, "text": text} for word, text in _said(one)],
    }


def _successor(each: Successor) -> dict[str, Any]:
    found, known = each.evaluation, each.readiness
    why = known.message or known.state if known else "not asked"
    why = f"on hold: {each.hold.why or ''}" if each.hold else why
    why = f"ends {each.ends}" if each.ends else why
    return {
        "name": label(each.bundle),
        **_measures(found.verdict.candidate if found else None),
        **_changes(found),
        "verdict": verdict_words(found.verdict) if found else why,
        "evidence": found.stored.short if found else "",
    }


def _measures(arm: ArmResult | None) -> dict[str, str]:
    if arm is None:
        return {"rate": "", "usd": "", "p95": ""}
    p95 = arm.p95_latency_ms
    return {
        "rate": f"{arm.rate:.1%}",
        "usd": str(arm.cost),
        "p95": "" if p95 is None else f"{p95:,}",
    }


def _changes(found: Evaluated | None) -> dict[str, Any]:
    compared = found.verdict.comparison if found else None
    if compared is None:
        return {"fixed": "", "broke": ""}
    return {"fixed": compared.fixed, "broke": compared.broke}


def _said(one: Migration) -> Iterator[tuple[str, str]]:
    """Yield what stops a target, and how far its closest successor falls short."""
    if short := one.shortfall:
        yield "Closest:", f"{label(short.bundle)}; {short.headline}"
        yield from (("Lost on:", part) for part in short.parts)
        yield from [("Look at:", listed(short.examples))] if short.examples else []
        yield from [("What settles it:", short.settling)] if short.settling else []
    if one.problem:
        yield "Stays:" if one.state != "under-way" else "Waits:", one.problem.message
        yield from (("", detail) for detail in one.problem.details)
    if one.change and one.change.commit:
        yield "Committed as", one.change.commit
