"""Questions about a repository, put to git in an environment that starts nothing."""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fftdeploy.errors import DiskError, UsageError
from fftdeploy.git.process import INERT, LITERAL, QUIET, TIMEOUT_S, last_line, question_environ, run

_REGULAR = ("100644", "100755")  # and neither links, 120000, nor submodules, 160000
_VERSIONS = 200
"""How far back a version of a file is looked for."""
_UNDER_WAY = {
    "rebase-merge": "a rebase",  # it may stop at a merge or a pick of its own
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}


class Repository(NamedTuple):
    """A git work tree; every question is put to git again."""

    toplevel: Path
    """Its root, symbolic links followed."""
    git_dir: Path
    """Where its index and state are; not `.git` in a linked work tree or a submodule."""
    environ: Mapping[str, str]
    timeout_s: float = TIMEOUT_S

    def text(self, ref: str, path: Path) -> bytes | None:
        """Return what `path` held at `ref`, byte for byte; None where it did not exist.

        Raises:
            UsageError: This clone does not have `ref`.
        """
        # `cat-file blob` runs no text conversion, no filter and no external diff.
        return self.ask("cat-file", "blob", f"{self.commit_id(ref)}:{self.spell(path)}")

    def head_text(self, path: Path) -> bytes | None:
        """Return what `path` holds in the last commit; None without one."""
        return self.ask("cat-file", "blob", f"HEAD:{self.spell(path)}")

    def short_head(self) -> str:
        """Return the abbreviated ID of the last commit; "" without one."""
        return (self.ask("rev-parse", "--short", "--verify", "HEAD") or b"").decode().strip()

    def is_modified(self, path: Path) -> bool:
        """Say whether a file of the last commit differs now, staged or not.

        Line ends do not count: `core.autocrlf` changes them.  Bytes are compared here, because
        git would run the clean filters of the repository's configuration for it.
        """
        committed = self.head_text(path)
        if committed is None:
            return False
        try:
            present = path.read_bytes()
        except OSError:
            return True
        staged = self.ask("cat-file", "blob", f":{self.spell(path)}")
        return staged != committed or _unix(present) != _unix(committed)

    def is_tracked(self, path: Path) -> bool:
        """Say whether the index knows `path`."""
        return bool(self.ask(LITERAL, "ls-files", "-z", "--", self.spell(path)))

    def is_ignored(self, path: Path) -> bool:
        """Say whether a `.gitignore` keeps `path`, which need not exist, out of commits."""
        # This one refuses literal pathspecs; it expands nothing, and `./` hides a leading `:`.
        return self.ask("check-ignore", "--quiet", "--", f"./{self.spell(path)}") is not None

    def under_way(self) -> str:
        """Name the merge or rebase that somebody has yet to finish; "" if there is none."""
        found = (what for name, what in _UNDER_WAY.items() if (self.git_dir / name).exists())
        return next(found, "a merge with conflicts" if self.ask("ls-files", "-u", "-z") else "")

    def has_identity(self, environ: Mapping[str, str]) -> bool:
        """Say whether git would know whom to write down as author and committer."""
        kinds = ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")
        return all(self.ask("var", kind, environ=environ) is not None for kind in kinds)

    def spell(self, path: Path) -> str:
        """Write `path` as git does, from the top of the work tree."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.toplevel):
            raise UsageError(f"{str(path)!a} is not in the git repository {self.toplevel}")
        return real.relative_to(self.toplevel).as_posix()

    def commit_id(self, ref: str) -> str:
        """Return the full ID of the commit that `ref` names.

        Raises:
            UsageError: This clone does not have it.
        """
        found = self.ask(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
        )
        if found is None:
            raise UsageError(f"git has no commit {ref!a} here", hint=self._fetch_hint(ref))
        return found.decode().strip()

    def merge_base(self, commit: str) -> str:
        """Return the newest commit that `commit` and HEAD share.

        Raises:
            UsageError: There is none in this clone.
        """
        found = self.ask("merge-base", commit, "HEAD")
        if found is None:
            what = f"this clone does not reach back to where HEAD and {commit[:12]} parted"
            raise UsageError(what, hint=self._fetch_hint(""))
        return found.decode().strip()

    def blobs(self, specs: Sequence[str]) -> list[bytes | None]:
        """Return files byte for byte, each `COMMIT:PATH` or `:STAGE:PATH`; None where it is none.

        One process; no text conversion, no filter.  A name with a line end is not found.
        """
        wanted = [spec for spec in specs if "\n" not in spec]
        asked = "".join(f"{spec}\n" for spec in wanted).encode(errors="surrogateescape")
        answer = self.ask("cat-file", "--batch", stdin=asked) if wanted else b""
        found = dict(zip(wanted, _batch(answer or b""), strict=False))
        return [found.get(spec) for spec in specs]

    def entries(self, commit: str, folder: Path) -> dict[str, str]:
        """Return what `commit` has below `folder`: its path from the top -> the ID of its content.

        What is no regular file, a link or a submodule, has "" in the place of an ID.
        """
        spelled = self.spell(folder)
        below = [] if spelled == "." else ["--", f"{spelled}/"]
        answer = self.ask(LITERAL, "ls-tree", "-r", "-z", "--full-tree", commit, *below)
        found = {}
        for entry in (answer or b"").split(b"\0"):
            mode_kind_id, _, name = entry.partition(b"\t")
            if name:
                mode, _, content = mode_kind_id.decode().split(" ")
                found[os.fsdecode(name)] = content if mode in _REGULAR else ""
        return found

    def _fetch_hint(self, ref: str) -> str:
        if self.ask("rev-parse", "--is-shallow-repository") == b"true\n":
            return "this clone is shallow: git fetch --unshallow, or fetch-depth: 0 in CI"
        branch = "" if ref.startswith("-") else ref.removeprefix("origin/")
        return f"git fetch origin {shlex.quote(branch)}" if branch else "git fetch"

    def ask(
        self, *arguments: str, environ: Mapping[str, str] | None = None, stdin: bytes = b""
    ) -> bytes | None:
        """Return git's answer; None where it says no, which is what a status above 0 means."""
        environ = question_environ(self.environ) if environ is None else environ
        command = (*QUIET, *INERT, *arguments)
        answer = run(self.toplevel, command, environ, self.timeout_s, stdin=stdin)
        return answer.stdout if answer.returncode == 0 else None


def open_repository(
    folder: Path, environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> Repository:
    """Find the work tree that `folder` is in.

    Raises:
        UsageError: There is no git, no work tree, or no answer within `timeout_s`; reason in the
            message.  Whoever can do without git makes that one warning.
    """
    arguments = ("rev-parse", "--is-inside-work-tree", "--absolute-git-dir", "--show-toplevel")
    quiet = question_environ(environ)
    answer = run(folder, (*QUIET, *INERT, *arguments), quiet, timeout_s)
    lines = os.fsdecode(answer.stdout).splitlines()
    if answer.returncode or len(lines) != 3 or lines[0] != "true":
        why = f": {last_line(answer.stderr)}" if answer.stderr.strip() else ""
        raise UsageError(f"{str(folder)!a} is not in a git work tree{why}")
    return Repository(Path(lines[2]), Path(lines[1]), environ, timeout_s)


def user_email(
    folder: Path, environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> str | None:
    """Return git's `user.email`, inside of a repository or not; None if there is none to be had."""
    arguments = (*QUIET, *INERT, "config", "--get", "user.email")
    try:
        answer = run(folder, arguments, question_environ(environ), timeout_s)
    except UsageError:
        return None
    email = answer.stdout.decode(errors="replace").strip()
    return email if answer.returncode == 0 and email and email.isprintable() else None


def find_version(
    folder: Path, path: Path, is_wanted: Callable[[bytes], bool], environ: Mapping[str, str]
) -> str | None:
    """Return the newest commit that holds `path` with content that `is_wanted`, abbreviated.

    None where no commit of this clone has it, or there is no repository to ask.
    """
    with suppress(UsageError):  # no git, or no repository: nobody kept versions
        repository = open_repository(folder, environ)
        arguments = ("rev-list", f"--max-count={_VERSIONS}", "HEAD", "--", str(path))
        for commit in (repository.ask(*arguments) or b"").decode().split():
            data = repository.text(commit, path)
            if data is not None and is_wanted(data):
                return commit[:12]
    return None


def patches(repository: Repository, path: Path, *, context: int) -> str:
    """Return the commits that touched `path`, newest first, each with its subject and patch."""
    arguments = ("log", "--patch", "--oneline", "--no-color", "--no-ext-diff", "--no-textconv")
    command = (*QUIET, *INERT, *arguments, f"--unified={context}", "--", repository.spell(path))
    quiet = question_environ(repository.environ)
    answer = run(repository.toplevel, command, quiet, repository.timeout_s)
    if answer.returncode:
        raise DiskError(f"git log failed: {last_line(answer.stderr)}")
    return answer.stdout.decode(errors="replace")


def _unix(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def _batch(answer: bytes) -> Iterator[bytes | None]:
    """Yield the contents out of the answer of `cat-file --batch`, None for what is no file."""
    place = 0
    while (end := answer.find(b"\n", place)) >= 0:
        words = answer[place:end].split(b" ")
        place = end + 1
        if len(words) != 3 or not words[2].isdigit():  # "NAME missing", "NAME ambiguous"
            yield None
            continue
        size = int(words[2])
        yield answer[place : place + size] if words[1] == b"blob" else None
        place += size + 1
