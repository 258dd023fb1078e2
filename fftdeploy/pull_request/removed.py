"""Finds what a change takes away that a later rollback, or a reviewer, would look for."""

from collections.abc import Iterator
from pathlib import Path

from fftdeploy.planning.finding import Finding
from fftdeploy.policy import profiles
from fftdeploy.pull_request.base_ref import BaseRef
from fftdeploy.workspace import Workspace


def removed_records(workspace: Workspace, base: BaseRef, shown: str) -> Iterator[Finding]:
    """List evidence that is gone, and prompts that are not what a release was live with any more.

    `shown` is how findings name the deployments file.
    """
    beside = Path(shown).parent
    for name in sorted(base.lost_evidence()):
        message = f"evidence {Path(name).stem[:12]} is gone or another: records are only added to"
        yield Finding("record-removed", "error", name, message, hint="bring it back")
    for profile, users in sorted(_prompts(base).items()):
        if workspace.sha(profile) != base.tip.sha(profile):
            name = f"{profiles.FOLDER}/{profile}.toml"
            message = f"profile {profile} was changed in place: {users} was live with it"
            hint = "a prompt is changed by a new file and a promotion"
            yield Finding("profile-changed", "error", name, message, str(beside / name), 1, hint)


def _prompts(base: BaseRef) -> dict[str, str]:
    """Return the profiles that a release of the base was live with as they are, and which one."""
    found: dict[str, str] = {}
    for target in base.tip.deployments.targets.values():
        for release in target.releases:
            name, sha = release.bundle.profile, release.bundle.profile_sha
            if name is not None and name not in found and base.tip.sha(name) == sha:
                found[name] = f"release {release.n} of {target}"
    return found
