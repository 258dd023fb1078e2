"""Questions about a repository, put to git in an environment that starts nothing."""

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from subprocess import CompletedProcess

from fftdeploy.errors import DiskError, UnansweredError, UsageError
from fftdeploy.git.process import INERT, LITERAL, QUIET, TIMEOUT_S, last_line, question_environ, run
from fftdeploy.git.unanswered import Clone, Held, blob_id

_NO_MODE = "000000"
_VERSIONS = 200
"""How far back a version of a file is looked for."""
_UNDER_WAY = {
    "rebase-merge": "a rebase",  # it may stop at a merge or a pick of its own
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}


_FULL_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""Git takes it for the commit, whatever else is called so."""


class Repository(Clone):
    """A git work tree; every question is put to git again."""

    def text(self, ref: str, path: Path) -> bytes | None:
        """Return what `path` held at `ref`, byte for byte; None where there was no such file.

        Raises:
            UnansweredError: This clone does not have `ref`, or not what it holds there.
        """
        commit = self.commit_id(ref)
        held = self._held(commit, path)
        return self.contents([held])[0] if held.is_file else None

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
        staged = self.ask(LITERAL, "ls-files", "-z", "--stage", "--", self.spell(path))
        if not held.is_file or [entry[1] for entry in _listed(staged)] != [held.content]:
            return True
        try:
            present = path.read_bytes()
        except OSError:
            return True
        if blob_id(present, held.content) == held.content:
            return False
        return _unix(present) != _unix(self.contents([held])[0])

    def is_tracked(self, path: Path) -> bool:
        """Say whether the index knows `path`."""
        return bool(self.ask(LITERAL, "ls-files", "-z", "--", self.spell(path)))

    def is_ignored(self, path: Path) -> bool:
        """Say whether a `.gitignore` keeps `path`, which need not exist, out of commits."""
        # This one refuses literal pathspecs; it expands nothing, and `./` hides a leading `:`.
        found = self.ask_if_any("check-ignore", "--quiet", "--", f"./{self.spell(path)}")
        return found is not None

    def under_way(self) -> str:
        """Name the merge or rebase that somebody has yet to finish; "" if there is none."""
        found = (what for name, what in _UNDER_WAY.items() if (self.git_dir / name).exists())
        return next(found, "a merge with conflicts" if self.ask("ls-files", "-u", "-z") else "")

    def has_identity(self, environ: Mapping[str, str]) -> bool:
        """Say whether git would know whom to write down as author and committer."""
        kinds = ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")
        return all(self._run("var", kind, environ=environ).returncode == 0 for kind in kinds)

    def spell(self, path: Path) -> str:
        """Write `path` as git does, from the top of the work tree."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.toplevel):
            raise UsageError(f"{str(path)!a} is not in the git repository {self.toplevel}")
        return real.relative_to(self.toplevel).as_posix()

    def commit_id(self, ref: str) -> str:
        """Return the full ID of the commit that `ref` names.

        Raises:
            UnansweredError: This clone does not have it.
        """
        found = self.commit_or_none(ref)
        if found is None:
            raise self.no_commit(ref)
        return found

    def merge_base(self, commit: str) -> str:
        """Return the newest commit that `commit` and HEAD share.

        Raises:
            UnansweredError: There is none in this clone, or it lacks one of those in between.
        """
        answer = self._run("merge-base", commit, "HEAD")
        if answer.stderr.strip() or answer.returncode not in {0, 1}:
            # It goes on without the commits that it cannot read; `rev-list` does not.
            head = self.commit_id("HEAD")
            self.ask("rev-list", "--count", f"{commit}...{head}", commit=f"{commit} {head}")
        if answer.returncode not in {0, 1}:
            raise self.failed("merge-base", answer.stderr, f"{commit} {head}")
        if answer.returncode:
            raise self.no_merge_base(commit)
        return answer.stdout.decode().strip()

    def contents(self, wanted: Sequence[Held]) -> list[bytes]:
        """Return regular files byte for byte; one process, no text conversion, no filter.

        Raises:
            UnansweredError: The content of one of them is not in this clone, or is damaged.
        """
        if not wanted:
            return []
        asked = "".join(f"{held.content}\n" for held in wanted).encode()
        answer = self._run("cat-file", "--batch", stdin=asked)
        found = list(_batch(answer.stdout))
        for held, data in zip_longest(wanted, found[: len(wanted)]):
            if data is None or blob_id(data, held.content) != held.content:
                raise self.not_here(held, answer.stderr)
        return [data for data in found if data is not None]

    def held(self, commit: str, *places: str) -> dict[str, Held]:
        """Return what `commit` has at and below `places`, from the top; all of it without any.

        Raises:
            UnansweredError: This clone does not have all of its folders.
        """
        command = (LITERAL, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *places)
        answer = self._run(*command)
        if answer.returncode:
            raise self.no_folder(commit, ", ".join(places), answer.stderr)
        listed = _listed(answer.stdout)
        return {path: Held(commit, path, mode, content) for mode, _, content, path in listed}

    def staged(self, path: Path) -> dict[int, Held]:
        """Return the versions of `path` that could not be merged, by stage: base, ours, theirs."""
        found = self.ask(LITERAL, "ls-files", "-u", "-z", "--", self.spell(path))
        return {
            int(stage): Held("", name, mode, content)
            for mode, content, stage, name in _listed(found)
        }

    def tracked(self, *patterns: str) -> list[Held]:
        """List what the index has that any of `patterns` matches, which are git's, links too."""
        listed = _listed(self.ask("ls-files", "-z", "--stage", "--", *patterns))
        return [Held("", path, mode, content) for mode, content, _, path in listed]

    def changed_since(self, commit: str, *patterns: str) -> dict[str, tuple[Held, Held]]:
        """Return what the index has otherwise than `commit`: both versions, by their path.

        `patterns` are git's; without any it is about all files.

        The cost is that of the difference, whatever the size of the tree.

        Raises:
            UnansweredError: This clone lacks a folder of the commit that may differ.
        """
        command = ("diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames")
        answer = self.ask(
            *command, "--ignore-submodules=none", commit, "--", *patterns, commit=commit
        )
        found, words = {}, answer.split(b"\0")
        for entry, name in zip(words[::2], words[1::2], strict=False):
            path, said = os.fsdecode(name), entry.decode().removeprefix(":").split(" ")
            modes = ["" if mode == _NO_MODE else mode for mode in said[:2]]
            before, after = Held(commit, path, modes[0], said[2]), Held("", path, modes[1], said[3])
            found[path] = before, after
        return found

    def _held(self, commit: str, path: Path) -> Held:
        spelled = self.spell(path)
        return self.held(commit, spelled).get(spelled) or Held(commit, spelled)

    def commit_or_none(self, ref: str) -> str | None:
        """Return the ID of the commit that `ref` names; None where it names none.

        Raises:
            UsageError: Several things have that name: git would take a tag for a branch.
            UnansweredError: It names one that this clone has lost.
        """
        verify = ("rev-parse", "--verify", "--quiet", "--end-of-options")
        aloud = [word for word in verify if word != "--quiet"]  # of a name of several refs it warns
        answer = self._run("-c", "core.warnAmbiguousRefs=true", *aloud, f"{ref}^{{commit}}")
        if b" is ambiguous" in answer.stderr and not _FULL_ID.fullmatch(ref):
            whole = f"refs/remotes/{ref}" if "/" in ref else f"refs/heads/{ref}"
            raise UsageError(
                f"{ref!a} is the name of several refs here, a tag perhaps",
                hint=f"write the whole name, such as {shlex.quote(whole)}",
                code="ambiguous-ref",
            )
        if answer.returncode == 0:
            return answer.stdout.decode().strip()
        named = (self.ask_if_any(*verify, ref) or "").strip()
        if named in {"", ref} or self._run("cat-file", "-t", named).stdout in {
            b"blob\n",
            b"tree\n",
        }:
            return None
        raise self.lost_commit(ref, named, answer.stderr)

    def ask(self, *arguments: str, commit: str = "") -> bytes:
        """Return git's answer to a question that has one, about `commit` where it is about one.

        Raises:
            UnansweredError: It gave none.
        """
        answer = self._run(*arguments)
        if answer.returncode:
            raise self._failed(arguments, answer, commit)
        return answer.stdout

    def ask_if_any(self, *arguments: str, environ: Mapping[str, str] | None = None) -> str | None:
        """Return git's answer; None where it says no, which is a status of 1.

        Raises:
            UnansweredError: It said neither.
        """
        answer = self._run(*arguments, environ=environ)
        if answer.returncode > 1 or answer.returncode < 0:
            raise self._failed(arguments, answer)
        return os.fsdecode(answer.stdout) if answer.returncode == 0 else None

    def _failed(
        self, arguments: Sequence[str], answer: CompletedProcess[bytes], commit: str = ""
    ) -> UnansweredError:
        question = next(word for word in arguments if not word.startswith("-"))
        return self.failed(question, answer.stderr, commit)

    def _run(
        self, *arguments: str, environ: Mapping[str, str] | None = None, stdin: bytes = b""
    ) -> CompletedProcess[bytes]:
        environ = question_environ(self.environ) if environ is None else environ
        command = (*QUIET, *INERT, *arguments)
        return run(self.toplevel, command, environ, self.timeout_s, stdin=stdin)


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


def _listed(answer: bytes) -> Iterator[tuple[str, str, str, str]]:
    """Yield the three words of each entry of `ls-tree` or `ls-files --stage`, and its path."""
    for entry in answer.split(b"\0"):
        words, _, name = entry.partition(b"\t")
        if name:
            first, second, third = words.decode().split(" ")
            yield first, second, third, os.fsdecode(name)


def _batch(answer: bytes) -> Iterator[bytes | None]:
    """Yield the contents out of the answer of `cat-file --batch`, None for what is not there."""
    place = 0
    while (end := answer.find(b"\n", place)) >= 0:
        words = answer[place:end].split(b" ")
        place = end + 1
        if len(words) != 3 or not words[2].isdigit():  # "NAME missing"
            yield None
            continue
        size = int(words[2])
        yield answer[place : place + size] if words[1] == b"blob" else None
        place += size + 1
