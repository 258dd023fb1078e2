"""Collects what is live, and what may be asked besides, as the formats write it."""

from datetime import UTC, datetime
from functools import partial

from fftdeploy.api.end_dates import find_shutdown
from fftdeploy.errors import ConfigError
from fftdeploy.model_ids.retirement import replacement_for
from fftdeploy.names import OPENAI
from fftdeploy.planning import bundles
from fftdeploy.policy.policy import Task
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.routing.exports import ExportedModel, ExportedTarget
from fftdeploy.workspace import Workspace

_OLDER = 10
"""Most releases of a target, beside what is live, that a flag has as variants."""
_ALWAYS = datetime.min.replace(tzinfo=UTC)
"""A hold that is not lifted blocks then: what is written does not change with the time."""


def exported_targets(workspace: Workspace) -> list[ExportedTarget]:
    """Collect all targets, by name: in whatever order they stand, what is written is the same."""
    chosen = sorted(workspace.deployments.targets.values(), key=str)
    found = [_exported(workspace, target) for target in chosen]
    names: dict[str, str] = {}
    for one in found:
        if names.setdefault(one.variable, one.name) != one.name:
            both = f"{names[one.variable]} and {one.name}"
            raise ConfigError(f"{both} would have the same variables", hint="rename one of them")
    return found


def _exported(workspace: Workspace, target: Target) -> ExportedTarget:
    """Return all that may answer for a target, each with what is to be known of it."""
    task, sha = workspace.policy.tasks.get(target.task), workspace.sha
    live, tried = bundles.live_bundle(target, sha), bundles.tried_bundle(target, sha)
    newest, row = target.newest, target.canary_release
    known = partial(_model, workspace, task)
    older, seen = [], {live}
    for release in target.made_live:  # the newest of each model and prompt that is still as it was
        bundle = release.bundle
        is_whole = not bundle.profile or sha(bundle.profile) == bundle.profile_sha
        if bundle not in seen and is_whole and not target.hold_on(bundle, _ALWAYS):
            older.append(known(bundle, release.n, ""))
        seen.add(bundle)
    number = newest.n if newest and bundles.is_recorded(target, live) else None
    return ExportedTarget(
        name=str(target),
        live=known(live, number, "live"),
        canary=known(tried, row.n if row else None, "canary") if tried else None,
        weight=target.canary.weight if target.canary else 0,
        older=tuple(older[:_OLDER]),
        fallback=tuple(
            known(workspace.bundle(said.model, said.provider, said.profile), None, "fallback")
            for said in (task.fallback if task else ())
            if not target.hold_on(bundles.live_bundle(said, sha), _ALWAYS)
        ),
    )


def _model(
    workspace: Workspace, task: Task | None, bundle: Bundle, release: int | None, role: str
) -> ExportedModel:
    """Return a model with its prompt; of dates those count that need no question."""
    if bundle.profile:
        workspace.require_profile(bundle.profile)
    profile = workspace.profile(bundle.profile) if bundle.profile else None
    ends = find_shutdown(bundle.model, None, bundle.provider == OPENAI)
    named = [one.model for one in (task.successors if task else ())]
    named += [replacement_for(bundle.model)] if bundle.provider == OPENAI else []
    return ExportedModel(
        bundle.model,
        bundle.provider,
        bundle.profile,
        profile.content if profile else {},
        release,
        ends.date if ends else None,
        next((name for name in named if ends and name not in {"", bundle.model}), None),
        role,
    )
