"""Export: what is live, in the formats of gateways, flags and infrastructure."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from fftdeploy import files
from fftdeploy.api.readiness import ModelFacts, find_shutdown
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import Options, door
from fftdeploy.errors import FINDING, OK, ConfigError, Outcome, UsageError
from fftdeploy.model_ids.retirement import replacement_for
from fftdeploy.names import OPENAI, not_one_of
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning import bundles
from fftdeploy.planning.finding import Finding
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.routing.exports import (
    EXPORTS,
    WRITERS,
    ExportedModel,
    ExportedTarget,
    left_out,
)
from fftdeploy.workspace import Workspace, shown_path

KINDS = tuple(WRITERS)
_OLDER = 10
"""Most releases of a target, beside what is live, that a flag has as variants."""
_ALWAYS = datetime.min.replace(tzinfo=UTC)
"""A hold that is not lifted blocks then: what is written does not change with the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions(Options):
    """What may be said to `export`."""

    kind: str = field(kw_only=False)
    """`litellm`, `flagd`, `dotenv`, `configmap`, `tfvars` or `json`."""
    output: str | Path | None = None
    """Write to this file, for those who read it whole or not at all."""
    check: bool = False
    """Only find out whether `output` is what would be written."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What is live, as a program reads it that is not ours."""

    kind: str
    path: str | None
    """The file that was written, or looked at."""
    text: str
    current: bool | None = field(default=None, metadata=OMITTED)
    """With `check`: whether the file is what would be written."""
    findings: tuple[Finding, ...] = field(default=(), metadata=UNPRINTED)

    @property
    def outcome(self) -> Outcome:
        """A file that is not current is exit code 12."""
        return FINDING if self.current is False else OK


def run(context: Context, options: ExportOptions) -> Exported:
    """Write what is live in one of the formats; the two files and the profiles decide it alone.

    Raises:
        UsageError: There is no such format, nothing to check, or the file is no such export.
        ConfigError: A file is not valid, or two targets would have the same variables.
        DiskError: The file could not be read or written.
    """
    kind, check = options.kind, options.check
    if kind not in WRITERS:
        raise UsageError(**not_one_of("format", kind, KINDS))
    if check and options.output is None:
        raise UsageError("--check needs the file", hint=f"fftdeploy export {kind} -o FILE --check")
    targets = _targets(context.workspace)
    text, found = WRITERS[kind](targets), tuple(_left_out(kind, targets))
    for each in found:
        context.console.note(f"warning: {each.subject}: {each.message}")
    if options.output is None:
        return Exported(kind, None, text, findings=found)
    path = Path.cwd() / options.output
    shown = shown_path(path)
    if check:
        is_current = path.exists() and files.read(path, root=path.parent).data == text.encode()
        stale = () if is_current else (_stale(kind, shown),)
        return Exported(kind, shown, text, is_current, (*stale, *found))
    _require_export(kind, path, context.workspace.folder)
    files.put(path, text.encode())
    return Exported(kind, shown, text, findings=found)


export = door(run, ExportOptions)


def _left_out(kind: str, targets: list[ExportedTarget]) -> Iterator[Finding]:
    for subject, message in left_out(kind, targets):
        yield Finding("export-left-out", "notice", subject, message)


def _require_export(kind: str, path: Path, folder: Path) -> None:
    """Refuse to write over, or among, what is no export of this format.

    Raises:
        UsageError: It is that.
    """
    shown, real = shown_path(path), path.resolve()
    is_ours = {".git", ".fftdeploy"} & {*map(str.lower, real.parts)} or (
        (folder / "profiles").resolve() in real.parents or real.suffix in {".toml", ".jsonl"}
    )
    if is_ours:
        raise UsageError(f"{shown} is no place for an export", hint="--output names another file")
    if os.path.lexists(path) and not _is_export(kind, path):
        problem = f"{shown} is there, and is no export of {kind}"
        raise UsageError(problem, hint="remove it, or name another file with --output")


def _is_export(kind: str, path: Path) -> bool:
    try:
        text = files.read(path, root=path.parent).data.decode()
    except ValueError:
        return False
    return not text or bool(re.fullmatch(EXPORTS[kind], text))


def _stale(kind: str, path: str) -> Finding:
    hint = f"fftdeploy export {kind} -o {path}"
    message = f"{path} is not what the files say"
    return Finding("export-stale", "error", path, message, path, hint=hint)


def _targets(workspace: Workspace) -> list[ExportedTarget]:
    """Collect all targets, by name: in whatever order they stand, what is written is the same."""
    chosen = sorted(workspace.deployments.targets.values(), key=str)
    found = [_Export(workspace, target).whole() for target in chosen]
    names: dict[str, str] = {}
    for one in found:
        if names.setdefault(one.variable, one.name) != one.name:
            both = f"{names[one.variable]} and {one.name}"
            raise ConfigError(f"{both} would have the same variables", hint="rename one of them")
    return found


class _Export:
    """One target's models, each with what is to be known of it."""

    def __init__(self, workspace: Workspace, target: Target) -> None:
        self._workspace = workspace
        self._target = target
        self._task = workspace.policy.tasks.get(target.task)

    def whole(self) -> ExportedTarget:
        target, sha = self._target, self._workspace.sha
        live, tried = bundles.live_bundle(target, sha), bundles.tried_bundle(target, sha)
        newest = target.newest if bundles.is_recorded(target, live) else None
        row = target.canary_release
        return ExportedTarget(
            name=str(target),
            live=self._model(live, newest.n if newest else None, "live"),
            canary=self._model(tried, row.n if row else None, "canary") if tried else None,
            weight=target.canary.weight if target.canary else 0,
            older=tuple(islice(self._older(live), _OLDER)),
            fallback=tuple(
                self._model(
                    self._workspace.bundle(said.model, said.provider, said.profile),
                    None,
                    "fallback",
                )
                for said in (self._task.fallback if self._task else ())
            ),
        )

    def _older(self, live: Bundle) -> Iterator[ExportedModel]:
        """Yield the newest release of each model and prompt that can be gone back to as it was."""
        seen = {live}
        for release in self._target.made_live:
            bundle = release.bundle
            is_whole = not bundle.profile or self._sha(bundle.profile) == bundle.profile_sha
            if bundle not in seen and is_whole and not self._target.hold_on(bundle, _ALWAYS):
                yield self._model(bundle, release.n, "")
            seen.add(bundle)

    def _sha(self, profile: str) -> str | None:
        return self._workspace.sha(profile)

    def _model(self, bundle: Bundle, release: int | None, role: str) -> ExportedModel:
        """Return a model with its prompt; of dates those count that need no question."""
        if bundle.profile:
            self._workspace.require_profile(bundle.profile)
        profile = self._workspace.profile(bundle.profile) if bundle.profile else None
        ends = find_shutdown(ModelFacts(bundle.model), None, bundle.provider == OPENAI)
        named = [one.model for one in (self._task.successors if self._task else ())]
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
