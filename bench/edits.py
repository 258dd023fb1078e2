"""A promotion's own work in large files, in this process: no SDK import and no request.

That is: read and parse, plan, check the layout and the disk, edit and prove, diff, replace.  It is
timed in CPU seconds: nothing in it waits but two fsyncs.
"""

import gc
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from measure import Row, Size, milliseconds, rounds
from world import deployments, model_id

from fftdeploy import files
from fftdeploy.planning import bundles, plan
from fftdeploy.policy.policy import Policy
from fftdeploy.releases import edit, text_diff
from fftdeploy.workspace import open_workspace

_NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def promote(path: Path, task: str, model: str) -> None:
    """Do what `promote` does but for the conversation with the API."""
    workspace = open_workspace(path)
    key = (task, "production")
    target = workspace.deployments.find("/".join(key))
    assert target
    policy = Policy()
    facts = bundles.PlanningFacts(workspace.deployments, policy, workspace.sha, _NOW)
    source = bundles.choose_source(facts, key, model=model)
    actor = plan.Actor("ana@acme.example", _NOW, "bench")
    made = plan.plan_promotion(
        target, key, source, policy.rules("production"), workspace.sha, actor
    )
    document = workspace.deployments.document
    assert not edit.layout_error(document, target)
    files.check_writable(workspace.snapshot)
    text = edit.rewrite(document, made.before, made.after)
    assert text_diff.unified(document.text, text, workspace.patched)
    files.replace(workspace.snapshot, workspace.bytes_of(text))


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    targets = size(1000)
    parse, work, length = _timed(folder, targets, 10, runs)
    rows = [
        Row(
            f"promote in {targets:,} targets x 10 releases / one `tomllib` parse",
            work / parse,
            4,
            note=f"{milliseconds(work)}, parse {milliseconds(parse)}, {length / 1e6:.2g} MB",
        )
    ]
    counts = [size(count) for count in (10, 100, 1000, 5000)]
    scaled = {count: _timed(folder, count, 5, min(runs, max(3, runs // 3))) for count in counts}
    for count, (parse, work, length) in scaled.items():
        rows.append(
            Row(
                f"promote in {count:,} targets x 5 releases, for each target",
                work / count * 1e6,
                unit="us",
                note=f"{milliseconds(work)}, {work / parse:.2f} x parse, {length / 1e6:.2g} MB",
            )
        )
    small, large = (scaled[count][1] / scaled[count][0] for count in (counts[1], counts[-1]))
    note = f"work / parse at {counts[-1]:,} targets over that at {counts[1]}; linear is 1"
    return [*rows, Row("promote: growth beyond the file's own", large / small, 1.2, note=note)]


def _timed(folder: Path, targets: int, releases: int, runs: int) -> tuple[float, float, int]:
    """Return median CPU seconds of a parse and of a promotion, and the size in bytes.

    The target is the last one, which is the dearest; the collector is as patient as the console
    script makes it, for both.
    """
    path, body = folder / "deployments.toml", deployments(targets, releases)
    parses, works = [], []
    gc.set_threshold(50_000)
    for number, is_counted in enumerate(rounds(runs)):
        text = f"# {number}\n{body}"  # nothing is known of it from the run before
        path.write_text(text)
        started = time.process_time()
        tomllib.loads(text)
        parsed = time.process_time()
        promote(path, f"task-{targets - 1:05}", model_id(0, 99))
        if is_counted:
            works.append(time.process_time() - parsed)
            parses.append(parsed - started)
    return median(parses), median(works), len(body)
