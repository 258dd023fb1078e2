"""Two changes that met in `deployments.toml`: what each side did, and the line that settles it.

The published side is kept whole, and the changes of the other are made again on top of it, by the
commands that made them: so each is checked against what is live now, evidence included.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from fftdeploy import git
from fftdeploy.errors import ConfigError, UnansweredError, UsageError
from fftdeploy.files.folders import EVIDENCE_FOLDER
from fftdeploy.git import Repository
from fftdeploy.releases import deployments
from fftdeploy.releases.deployments import Bundle, Deployments, Hold, Release, Target
from fftdeploy.workspace import shown_path

_EMPTY = b"version = 1\n"
_BASE, _OURS, _THEIRS = 1, 2, 3  # stages of the index
_MAINLINE = "refs/remotes/origin/HEAD"
_FINISH = {
    "a merge": "git commit --no-edit",
    "a rebase": "git rebase --continue",
    "a cherry-pick": "git cherry-pick --continue",
    "a revert": "git revert --continue",
}
_PATHSPEC = re.compile(r"[:*?\[\\]")


class Conflict(NamedTuple):
    """The three versions of a file that git could not merge."""

    base: Deployments
    ours: Deployments
    theirs: Deployments
    takes_ours: bool
    """Whether `ours` is the side to keep; in a rebase that is the branch rebased onto."""
    under_way: str
    """`a merge`, `a rebase`, ...; anything else needs no command to go on."""

    @property
    def kept(self) -> Deployments:
        """The side that is published."""
        return self.ours if self.takes_ours else self.theirs

    @property
    def redone(self) -> Deployments:
        """The side whose changes are made again."""
        return self.theirs if self.takes_ours else self.ours

    def both_changed(self) -> list[str]:
        """Name the targets that the two sides changed in two ways."""
        theirs = set(changed(self.base, self.theirs))
        met = [name for name in changed(self.base, self.ours) if name in theirs]
        return [name for name in met if self.ours.find(name) != self.theirs.find(name)]


def explain(error: ConfigError, path: Path, environ: Mapping[str, str], option: str) -> None:
    """Add to the error of a conflicted file which changes met, and what settles it.

    Without a repository, or where a version of the file can't be read, the error stays as it is;
    where git cannot say, it says so, and what to fetch.

    Args:
        error: What the reader said.
        path: The file, as the user would write it.
        environ: The user's environment.
        option: ` --file PATH` where the commands of the hint need it, or "".
    """
    try:
        found = _read(git.open_repository(path.parent, environ), path)
    except UnansweredError as unanswered:
        error.details = (f"which changes met is not known: {unanswered.message}",)
        error.hint = unanswered.hint
        return
    except (UsageError, ConfigError):
        return
    if found is not None:
        met = found.both_changed()
        if met:
            error.message += f": both sides changed {_listed(met)}"
        elif new := _new(found):
            error.message += f": {_listed(new)} are new: keep both"
        error.details = tuple(_sides(found, met))
        error.hint = " && ".join(_settling(found, shown_path(path.absolute()), option))


def changed(before: Deployments, after: Deployments) -> list[str]:
    """Name the targets that differ in what is live, in their releases or in their holds."""
    names = dict.fromkeys(map(str, [*after.targets.values(), *before.targets.values()]))
    return [name for name in names if before.find(name) != after.find(name)]


def summary(before: Target | None, after: Target | None) -> str:
    """Say in a few words what became of a target: its newest release, or else its holds."""
    if after is None:
        return "removed"
    if release := _new_release(before, after):
        return _release_words(release)
    if before is not None and before.top != after.top:
        return f"without release {before.top}"
    if before is None or _live(before) != _live(after):
        return f"{_live(after)}, written by hand"
    if before.canary and not after.canary:
        return f"canary {before.canary.model} taken off"
    return next((_hold_words(hold) for hold in _new_holds(before, after)), "rewritten")


def last_change(target: Target) -> str:
    """Say who made live what is live in `target`, as far as its releases know."""
    if target.newest is None:
        return "no release says who made it live"
    by_hand = "" if target.newest.bundle.model == target.model else "written by hand since "
    return by_hand + _release_words(target.newest)


def again(before: Target | None, after: Target, kept: Target | None) -> Iterator[list[str]]:
    """Yield the commands that make the change from `before` to `after` on top of `kept`.

    What `kept` says already is not done twice, and what was taken away is not taken away.
    """
    holds = _new_holds(before, after)
    there = kept.holds if kept else ()
    for hold in holds:
        if hold.lifted is not None and _is_held(hold.model, there, hold.lifted):
            yield ["unhold", str(after), hold.model, "--why", str(hold.lifted_why)]
    if before and before.canary and not after.canary and _live(before) == _live(after):
        if kept and kept.canary:
            yield ["rollback", str(after)]
            return
    elif (before is None or _bundle(before) != _bundle(after)) and (
        kept is None or _live(kept) != _live(after) or kept.canary != after.canary
    ):
        yield _release_again(before, after, kept)
    for hold in holds:
        if hold.lifted is None and not _is_held(hold.model, there, hold.since):
            until = ["--until", f"{hold.until:%Y-%m-%dT%H:%M:%SZ}"] if hold.until else []
            yield ["hold", str(after), hold.model, *until, "--why", hold.why]


def _is_held(model: str, holds: Sequence[Hold], at: datetime) -> bool:
    return any(hold.model == model and hold.is_active(at) for hold in holds)


def _release_again(before: Target | None, after: Target, kept: Target | None) -> list[str]:
    release = _new_release(before, after)
    why = ["--why", release.why] if release and release.why else []
    back = _way_back(before, after)
    if back is not None and kept is not None and back in kept.by_number:
        return ["rollback", str(after), "--to", str(back), *why]
    made = after.canary if release and release.canary and after.canary else after
    source = ["--job", release.job] if release and release.job else ["--model", made.model]
    profile = ["--profile", made.profile] if made.profile else []
    if kept is not None and kept.profile and not profile:
        profile = ["--no-profile"]
    part = ["--canary", str(release.canary)] if release and release.canary else []
    created = [] if kept else ["--create"]
    return ["promote", str(after), *source, *profile, *part, *created, *why]


def _new_release(before: Target | None, after: Target) -> Release | None:
    """Return the release on top, if `before` has not got it or an even newer one."""
    old = before.releases[0] if before and before.releases else None
    newest = after.releases[0] if after.releases else None
    is_new = newest is not None and newest != old and (old is None or newest.n >= old.n)
    return newest if is_new else None


def _way_back(before: Target | None, after: Target) -> int | None:
    """Return the release of `before` that a rollback, or a revert, has gone back to."""
    old = before.newest if before else None
    release = _new_release(before, after)
    if old is None:
        return None
    if release is not None:
        is_back = release.to is not None and release.via == "rollback" and release.to <= old.n
        return release.to if is_back else None
    return after.newest.n if after.newest and after.newest.n < old.n else None


def _read(repository: Repository, path: Path) -> Conflict | None:
    """Read the three versions out of git's index; None where it has no such conflict."""
    staged = {stage: held for stage, held in repository.staged(path).items() if held.is_file}
    if not staged.keys() >= {_OURS, _THEIRS}:
        return None
    read = dict(zip(staged, repository.contents(list(staged.values())), strict=True))
    under_way = repository.under_way()
    # A merge is usually of the published branch into one's own; on that branch it is the reverse.
    # All other operations bring a change to what is there.
    takes_ours = under_way != "a merge"
    if not takes_ours and (mainline := repository.commit_or_none(_MAINLINE)) is not None:
        is_published = ("merge-base", "--is-ancestor", "HEAD", mainline)
        takes_ours = repository.ask_if_any(*is_published) is not None
    stages = (read.get(_BASE, _EMPTY), read[_OURS], read[_THEIRS])
    sides = [deployments.parse(side) for side in stages]
    return Conflict(sides[0], sides[1], sides[2], takes_ours, under_way)


def _new(found: Conflict) -> list[str]:
    """Name the new targets, where both sides have one."""
    sides = [
        [name for name in changed(found.base, side) if found.base.find(name) is None]
        for side in (found.ours, found.theirs)
    ]
    return [*sides[0], *sides[1]] if all(sides) else []


def _sides(found: Conflict, met: list[str]) -> Iterator[str]:
    """Yield one line for each change that met another, or that has to be made again."""
    both = set(met)
    for label, side in (("ours", found.ours), ("theirs", found.theirs)):
        is_kept = side is found.kept
        for name in changed(found.base, side):
            if not is_kept or not met or name in both:
                what = summary(found.base.find(name), side.find(name))
                yield f"{label} ({'keep' if is_kept else 'make again'}): {name} {what}"


def _settling(found: Conflict, shown: str, option: str) -> Iterator[str]:
    """Yield the commands that settle the conflict, in their order.

    They are typed as one line, so that none runs after one that failed, and none asks: a question
    would take the rest of what is pasted for its answer.
    """
    literal = ["--literal-pathspecs"] if _PATHSPEC.search(shown) else []
    side = "--ours" if found.takes_ours else "--theirs"
    yield shlex.join(["git", *literal, "checkout", side, "--", shown])
    added = [shown]
    for name in changed(found.base, found.redone):
        after = found.redone.find(name)
        if after is None:
            continue
        for command in again(found.base.find(name), after, found.kept.find(name)):
            yield f"fftdeploy {shlex.join(command)}{option} --yes"
        if after.newest and after.newest.evidence:
            added[1:] = [str(Path(shown).parent / EVIDENCE_FOLDER)]
    yield shlex.join(["git", *literal, "add", "--", *added])
    if found.under_way in _FINISH:
        yield _FINISH[found.under_way]


def _release_words(release: Release) -> str:
    why = f": {release.why}" if release.why else ""
    part = f" on {release.canary} %" if release.canary else ""
    made = f"release {release.n} -> {release.bundle}{part}"
    return f"{made} by {release.by}, {_moment(release.at)}{why}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%MZ}"


def _new_holds(before: Target | None, after: Target) -> list[Hold]:
    """Return the holds that were added or lifted, newest first."""
    old = frozenset(before.holds if before else ())
    return [hold for hold in after.holds if hold not in old]


def _hold_words(hold: Hold) -> str:
    if hold.lifted is not None:
        return f"hold on {hold.model} lifted by {hold.lifted_by}, {_moment(hold.lifted)}"
    return f"hold on {hold.model} by {hold.by}, {_moment(hold.since)}: {hold.why}"


def _live(target: Target) -> Bundle:
    """Return what a target's own lines say, which is no profile's content."""
    return Bundle(target.model, target.provider, target.profile)


def _bundle(target: Target) -> tuple[Bundle, object]:
    """Return what makes two versions of a target differ in what is live, or was made so again."""
    return _live(target), target.releases[:1]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
