"""Reads what commits and the index have, byte for byte, and never by git's word alone.

Git compares no folder below the top with its ID when it goes through it; that is done here.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

from fftdeploy.errors import UnansweredError, UsageError
from fftdeploy.git.process import LITERAL, ask, last_line
from fftdeploy.git.unanswered import SHORT, Clone, Held, object_id

_NO_MODE = "000000"
_COMMIT, _TREE = b"commit", b"tree"
_MISSING = (b"", b"")
_RAW = ("--raw", "-z", "--no-abbrev", "--no-renames", "--ignore-submodules=none")
_ROOTS = "git log --oneline --max-parents=0 HEAD {}"
_FULL_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""Git takes it for the commit, whatever else is called so."""

Changes = Mapping[str, tuple[Held, Held]]
"""What differs, by its path: as it was, and as it is; without a mode where there is nothing."""


class Objects(Clone):
    """The objects of a clone; every question is put to git again."""

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
            if self.is_shallow:
                raise self.too_short(f"where HEAD and {commit[:SHORT]} parted")
            what = f"HEAD and {commit[:SHORT]} have no commit in common"
            raise UnansweredError(what, hint=_ROOTS.format(commit), code="no-base")
        base = answer.stdout.decode().strip()
        # Git believes the commits that it goes along: one that holds another's content is a way
        # to a base that these two do not share.
        ways = ("rev-list", "--boundary", commit, "HEAD", "--not", base)
        between = self.ask(*ways, commit=commit).decode().replace("-", "").split()
        found, said = self._objects([base, *between])
        for each, (kind, _) in zip([base, *between], found, strict=True):
            if kind != _COMMIT:
                what = f"the commit {each[:SHORT]} is not in this clone, or damaged"
                hint = self.line(each, said + each.encode())
                raise UnansweredError(what, hint=hint, code="no-commit")
        return base

    def commit_or_none(self, ref: str) -> str | None:
        """Return the ID of the commit that `ref` names; None where it names none.

        Raises:
            UsageError: Several things have that name: git would take a tag for a branch.
            UnansweredError: It names something else, or a commit that this clone has lost.
        """
        verify = ("rev-parse", "--verify", "--quiet", "--end-of-options")
        aloud = [word for word in verify if word != "--quiet"]  # of a name of several refs it warns
        english = {**self.environ, "LC_ALL": "C"}
        commit = ref if ref.startswith(":/") else f"{ref}^{{commit}}"  # that finds nothing else
        peel = ("-c", "core.warnAmbiguousRefs=true", *aloud, commit)
        answer = self._run(*peel, environ=english)
        if b"is ambiguous" in answer.stderr and ref != "HEAD" and not _FULL_ID.fullmatch(ref):
            raise self.several(ref, is_id=b"short object ID" in answer.stderr)
        found = answer.stdout.decode().strip()
        if answer.returncode == 0:
            return found if _FULL_ID.fullmatch(found) else None  # `^HEAD` is all but HEAD
        named = (self.ask_if_any(*verify, ref) or "").strip()
        if not _FULL_ID.fullmatch(named):
            return None
        kind = self._run("cat-file", "-t", f"{named}^{{}}").stdout.decode().strip()
        if kind not in {"", "commit"}:
            raise self.no_commit(ref, kind)
        if named == ref:  # git takes any ID for one that is here
            return None
        what = f"the commit of {ref!a}, {named[:SHORT]}, is not in this clone, or damaged"
        raise UnansweredError(what, hint=self.line(named, answer.stderr), code="no-commit")

    def spell(self, path: Path) -> str:
        """Write `path` as git does, from the top of the work tree."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.toplevel):
            raise UsageError(f"{str(path)!a} is not in the git repository {self.toplevel}")
        return real.relative_to(self.toplevel).as_posix()

    def contents(self, wanted: Sequence[Held], folders: Sequence[Held] = ()) -> list[bytes]:
        """Return regular files byte for byte; one process, no text conversion, no filter.

        Git believes the folders that it goes through: the `folders` that have led here are read
        and compared with their IDs first.

        Raises:
            UnansweredError: The content of one of all these is not in this clone, or is damaged.
        """
        every = [*{held.content: held for held in folders}.values(), *wanted]
        if not every:
            return []
        found, said = self._objects([held.content for held in every])
        for held, (kind, _) in zip(every, found, strict=True):
            if not kind or (kind == _TREE) is not held.is_folder:
                raise self.not_here(held, said)
        return [data for _, data in found[len(every) - len(wanted) :]]

    def _objects(self, ids: Sequence[str]) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return kind and content of each, nothing of what has another ID, and what git says."""
        asked = "".join(f"{each}\n" for each in ids).encode()
        answer = self._run("cat-file", "--batch", stdin=asked)
        found = [*_batch(answer.stdout)]
        found += [_MISSING] * (len(ids) - len(found))  # it ended early
        pairs = zip(ids, found, strict=True)
        return [
            (kind, data) if object_id(data, each, kind) == each else _MISSING
            for each, (kind, data) in pairs
        ], answer.stderr

    def sizes(self, wanted: Sequence[Held]) -> list[int]:
        """Return how many bytes regular files have; one process.

        Raises:
            UnansweredError: One of them is not in this clone.
        """
        asked = "".join(f"{held.content}\n" for held in wanted).encode()
        answer = self._run("cat-file", "--batch-check=%(objectsize)", stdin=asked)
        found = answer.stdout.split(b"\n")
        for held, size in zip(wanted, found, strict=False):
            if not size.isdigit():
                raise self.not_here(held, answer.stderr)
        return [int(size) for size in found[: len(wanted)]]

    def held(self, commit: str, *places: str) -> dict[str, Held]:
        """Return what `commit` has at and below `places`, from the top; all of it without any.

        Raises:
            UnansweredError: This clone does not have all of its folders, or a damaged one.
        """
        files, folders = self.listing(commit, *places)
        self.contents((), folders)
        return files

    def listing(self, commit: str, *places: str) -> tuple[dict[str, Held], list[Held]]:
        """List what `held` returns, and the folders read for it, which `contents` is to compare.

        Raises:
            UnansweredError: This clone does not have all of its folders.
        """
        command = (LITERAL, "ls-tree", "-r", "-t", "-z", "--full-tree", commit, "--", *places)
        answer = self._run(*command)
        if answer.returncode:
            what = f"{ascii(', '.join(places))[1:-1] or 'the tree'} of {commit[:SHORT]}"
            problem = f"{what} is not in this clone, or not all of it ({last_line(answer.stderr)})"
            hint = self.line(commit, answer.stderr)
            raise UnansweredError(problem, hint=hint, code="not-here")
        found = listed(answer.stdout)
        every = [Held(commit, path, mode, content) for (mode, _, content), path in found]
        files = {held.path: held for held in every if not held.is_folder}
        return files, [held for held in every if held.is_folder]

    def staged(self, path: Path) -> dict[int, Held]:
        """Return the versions of `path` that could not be merged, by stage: base, ours, theirs."""
        found = self.ask(LITERAL, "ls-files", "-u", "-z", "--", self.spell(path))
        return {
            int(stage): Held("", name, mode, content)
            for (mode, content, stage), name in listed(found)
        }

    def tracked(self, *patterns: str) -> list[Held]:
        """List what the index has that any of `patterns` matches, which are git's, links too."""
        found = listed(self.ask("ls-files", "-z", "--stage", "--", *patterns))
        return [Held("", path, mode, content) for (mode, content, _), path in found]

    def changed_since(self, commit: str, *patterns: str) -> Changes:
        """Return what the index has otherwise than `commit`.

        `patterns` are git's; without any it is about all files.

        The cost is that of the difference, whatever the size of the tree.

        Raises:
            UnansweredError: This clone lacks a folder of the commit that may differ.
        """
        command = ("diff-index", "--cached", *_RAW, commit, "--", *patterns)
        answer = self.ask(*command, commit=commit)
        return {before.path: (before, after) for before, after in _changes(answer, commit)}

    def committed_since(self, commit: str) -> tuple[Changes, list[Held]]:
        """Return what HEAD has otherwise than `commit`, and the folders as `listing` does.

        Its cost is that of the difference.

        Raises:
            UnansweredError: This clone lacks a folder of either that may differ.
        """
        named = ("-c", "core.warnAmbiguousRefs=false")  # of HEAD, which a branch may be called, too
        command = (*named, "diff-tree", "-r", "-t", *_RAW, commit, "HEAD", "--")
        answer = self._run(*command)
        if answer.returncode or answer.stderr.strip():
            # It compares nothing with a commit that is damaged; `ls-tree` says so.
            head = self.commit_id("HEAD")
            for each in (commit, head):
                self.ask("ls-tree", each, commit=each)
        if answer.returncode:
            raise self.failed("diff-tree", answer.stderr, f"{commit} {head}")
        every = list(_changes(answer.stdout, commit))
        files = [pair for pair in every if not any(held.is_folder for held in pair)]
        folders = [held for pair in every for held in pair if held.is_folder]
        return {before.path: (before, after) for before, after in files}, folders

    def ask(self, *arguments: str, commit: str = "") -> bytes:
        """Return git's answer to a question that has one, about `commit` where it is about one.

        Raises:
            UnansweredError: It gave none.
        """
        answer = self._run(*arguments)
        if answer.returncode:
            raise self._failed(arguments, answer, commit)
        return answer.stdout

    def ask_if_any(self, *arguments: str) -> str | None:
        """Return git's answer; None where it says no, which is a status of 1.

        Raises:
            UnansweredError: It said neither.
        """
        answer = self._run(*arguments)
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
        return ask(self.toplevel, arguments, environ or self.environ, self.timeout_s, stdin)


def listed(answer: bytes) -> Iterator[tuple[list[str], str]]:
    """Yield the words of each entry of `ls-tree` or `ls-files --stage`, and its path."""
    for entry in answer.split(b"\0"):
        words, _, name = entry.partition(b"\t")
        if name:
            yield words.decode().split(" "), os.fsdecode(name)


def _changes(answer: bytes, commit: str) -> Iterator[tuple[Held, Held]]:
    """Yield both versions out of the answer of `diff-index` or `diff-tree` about `commit`."""
    words = answer.split(b"\0")
    for entry, name in zip(words[::2], words[1::2], strict=False):
        path, said = os.fsdecode(name), entry.decode().removeprefix(":").split(" ")
        modes = ["" if mode == _NO_MODE else mode for mode in said[:2]]
        yield Held(commit, path, modes[0], said[2]), Held("", path, modes[1], said[3])


def _batch(answer: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kinds and contents out of the answer of `cat-file --batch`."""
    place = 0
    while (end := answer.find(b"\n", place)) >= 0:
        words = answer[place:end].split(b" ")
        place = end + 1
        if len(words) != 3 or not words[2].isdigit():  # "NAME missing"
            yield b"", b""
            continue
        size = int(words[2])
        yield words[1], answer[place : place + size]
        place += size + 1
