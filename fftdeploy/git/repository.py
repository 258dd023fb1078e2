"""Questions about a repository, put to git in an environment that starts nothing."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fftdeploy.errors import UsageError
from fftdeploy.git.objects import Objects
from fftdeploy.git.process import INERT, LITERAL, QUIET, TIMEOUT_S, ask, last_line, run
from fftdeploy.git.unanswered import Held, blob_id

_VERSIONS = 200
"""How far back a version of a file is looked for."""
_UNDER_WAY = {
    "rebase-merge": "a rebase",  # it may stop at a merge or a pick of its own
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}


class Repository(Objects):
    """A git work tree; every question is put to git again."""

    def text(self, ref: str, path: Path) -> bytes | None:
        """Return what `path` held at `ref`, byte for byte; None where there was no such file.

        Raises:
            UnansweredError: This clone does not have `ref`, or not what it holds there.
        """
        commit, spelled = self.commit_id(ref), self.spell(path)
        files, folders = self.listing(commit, spelled)
        held = files.get(spelled)
        wanted = [held] if held is not None and held.is_file else []
        return next(iter(self.contents(wanted, folders)), None)

    def short_head(self) -> str:
        """Return the abbreviated ID of the last commit; "" without one."""
        found = self.ask_if_any("rev-parse", "--short", "--verify", "--quiet", "HEAD")
        return (found or "").strip()

    def is_modified(self, path: Path) -> bool:
        """Say whether a file of the last commit differs now, staged or not.

        Line ends do not count: `core.autocrlf` changes them.  Bytes are compared here, because
        git would run the clean filters of the repository's configuration for it.

        Raises:
            UnansweredError: This clone does not have what the commit has.
        """
        head = self.commit_or_none("HEAD")
        held = self._held(head, path) if head is not None else None
        if held is None or not held.mode:
            return False
        staged = self.tracked(f":(top,literal){held.path}")
        if not held.is_file or [one.content for one in staged] != [held.content]:
            return True
        try:
            present = path.read_bytes()
        except OSError:
            return True
        if blob_id(present, held.content) == held.content:
            return False
        return _unix(present) != _unix(self.contents([held])[0])

    def is_committed(self, path: Path) -> bool:
        """Say whether the last commit has `path` as it is now.

        Raises:
            UnansweredError: This clone does not have what the commit has.
        """
        head = self.commit_or_none("HEAD")
        return bool(head and self._held(head, path).mode) and not self.is_modified(path)

    def is_tracked(self, path: Path) -> bool:
        """Say whether the index knows `path`."""
        return bool(self.ask(LITERAL, "ls-files", "-z", "--", self.spell(path)))

    def is_ignored(self, path: Path) -> bool:
        """Say whether a `.gitignore` keeps `path`, which need not exist, out of commits."""
        # This one refuses literal pathspecs; it expands nothing, and `./` hides a leading `:`.
        found = self.ask_if_any("check-ignore", "--quiet", "--", f"./{self.spell(path)}")
        return found is not None

    def not_ignored(self, paths: Iterable[Path]) -> list[Path]:
        """Return what of `paths` goes into commits, by its real folder."""
        real = [path.parent.resolve() / path.name for path in paths]
        return [one for one in real if self.is_tracked(one) or not self.is_ignored(one)]

    def under_way(self) -> str:
        """Name the merge or rebase that somebody has yet to finish; "" if there is none."""
        found = (what for name, what in _UNDER_WAY.items() if (self.git_dir / name).exists())
        return next(found, "a merge with conflicts" if self.ask("ls-files", "-u", "-z") else "")

    def has_identity(self, environ: Mapping[str, str]) -> bool:
        """Say whether git would know whom to write down as author and committer."""
        answers = (
            run(self.toplevel, (*QUIET, *INERT, "var", kind), environ, self.timeout_s)
            for kind in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")
        )
        return all(answer.returncode == 0 for answer in answers)

    def _held(self, commit: str, path: Path) -> Held:
        spelled = self.spell(path)
        return self.held(commit, spelled).get(spelled) or Held(commit, spelled)


def open_repository(
    folder: Path, environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> Repository:
    """Find the work tree that `folder` is in.

    Raises:
        UsageError: There is no git, no work tree, or no answer within `timeout_s`; reason in the
            message.  Whoever can do without git makes that one warning.
    """
    arguments = ("rev-parse", "--is-inside-work-tree", "--absolute-git-dir", "--show-toplevel")
    answer = ask(folder, arguments, environ, timeout_s)
    lines = os.fsdecode(answer.stdout).splitlines()
    if answer.returncode or len(lines) != 3 or lines[0] != "true":
        # Where the way out is a command, git writes it on the last line, below the reason.
        said = answer.stderr
        reason, command = (last_line(part) for part in (said.strip().partition(b"\n")[0], said))
        hint = "git init"
        if command.startswith("git config "):
            hint = command
        elif any((place / ".git").exists() for place in (folder, *folder.parents)):
            hint = "put .git right, or clone it again"
        what = f"{str(folder)!a} is not in a git work tree"
        raise UsageError(f"{what}: {reason}" if reason else what, hint=hint)
    top = Path(lines[2])
    if not (top / ".git").exists():  # no question could be put there
        problem = f"git takes {lines[2]!a} for the work tree of {str(folder)!a}"
        raise UsageError(problem, hint="git config --unset core.worktree")
    return Repository(top, Path(lines[1]), environ, timeout_s)


def user_email(folder: Path, environ: Mapping[str, str]) -> str | None:
    """Return git's `user.email`, inside of a repository or not; None if there is none to be had."""
    try:
        answer = ask(folder, ("config", "--get", "user.email"), environ)
    except UsageError:
        return None
    return (os.fsdecode(answer.stdout).strip() or None) if answer.returncode == 0 else None


def find_version(
    folder: Path, path: Path, is_wanted: Callable[[bytes], bool], environ: Mapping[str, str]
) -> str | None:
    """Return the newest commit that holds `path` with content that `is_wanted`, abbreviated.

    None where no commit of this clone has it, or there is no repository to ask.

    Raises:
        UnansweredError: A version in question is not in this clone, or may be older than it.
    """
    try:
        repository = open_repository(folder, environ)
    except UsageError:  # no git, or no repository: nobody kept versions
        return None
    if (head := repository.commit_or_none("HEAD")) is None:
        return None
    command = ("rev-list", f"--max-count={_VERSIONS}", head, "--", str(path))
    for commit in repository.ask(*command, commit=head).decode().split():
        data = repository.text(commit, path)
        if data is not None and is_wanted(data):
            return commit[:12]
    if repository.is_shallow:
        raise repository.too_short(f"a version of {repository.spell(path)} that is asked for")
    return None


def _unix(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")
