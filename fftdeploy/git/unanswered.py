"""Questions that git did not answer: the error, and the line that makes them answerable.

"It is not in that tree" is an answer.  "It is in the tree, and its content is not in this clone"
is none, and neither is a failure of git; nothing may be judged by them.
"""

import hashlib
import os
import re
import shlex
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fftdeploy.errors import UnansweredError, UsageError
from fftdeploy.git.process import TIMEOUT_S, ask, last_line

_REGULAR = ("100644", "100755")  # and neither links, 120000, nor submodules, 160000

_FOLDER = "040000"
_ID = re.compile(rb"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b")
_PLAIN_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PART_OF_ID = re.compile(r"(?=[a-f]*[0-9])[0-9a-f]{7,}")
_NOTHING = re.compile("0{40}(?:0{24})?")
_NO_REMOTE = "git fsck --full"
SHORT = 12
_SHA1_DIGITS = 40


class Held(NamedTuple):
    """A path as a commit has it, or the index; it says nothing of whether its content is here."""

    commit: str
    """The full ID; "" for the index."""
    path: str
    """From the top of the work tree."""
    mode: str = ""
    """As git writes it; "" where there is nothing of that name."""
    content: str = ""
    """The ID of the content."""

    @property
    def is_file(self) -> bool:
        """Tell whether it is a regular file, and neither a link nor a submodule."""
        return self.mode in _REGULAR

    @property
    def is_folder(self) -> bool:
        """Tell whether it is a tree, and no submodule, which is a folder on the disk."""
        return self.mode == _FOLDER


class Clone(NamedTuple):
    """Where a repository is, and what it would take to complete it; asked only after a failure."""

    toplevel: Path
    """Its root, symbolic links followed."""
    git_dir: Path
    """Where its index and state are; not `.git` in a linked work tree or a submodule."""
    environ: Mapping[str, str]
    timeout_s: float = TIMEOUT_S

    def not_here(self, held: Held, said: bytes) -> UnansweredError:
        """Build the error for a file that a commit has, and whose content cannot be read."""
        what = f"{ascii(held.path)[1:-1]} of {held.commit[:SHORT] or 'the index'}"
        if self._damaged(held.content) or b".pack" in said:
            problem = f"{what} cannot be read: git's copy of it, {held.content}, is damaged"
        else:
            problem = f"{what} is not in this clone: it is in the tree, and its content is not here"
        hint = self.line(held.commit, said + held.content.encode())
        return UnansweredError(problem, hint=hint, code="not-here")

    def large_file(self, held: Held, oid: str) -> bytes:
        """Return what Git LFS keeps for a pointer to the SHA-256 `oid`.

        Raises:
            UnansweredError: It is not here, or damaged.
        """
        path = self._common_dir / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() == oid:
            return data
        what = f"{ascii(held.path)[1:-1]} of {held.commit[:SHORT]}"
        raise UnansweredError(
            f"{what} is a Git LFS pointer: the file itself is not here",
            hint=f"git lfs fetch {self._remote() or 'origin'} {held.commit}, or git lfs pull",
            code="lfs-pointer",
        )

    def failed(self, question: str, said: bytes, commit: str) -> UnansweredError:
        """Build the error for a question that failed; `commit` is what it was about, or ""."""
        about = f" about {commit[:SHORT]}" if commit else ""
        why = last_line(said) or "no reason given"
        hint = self.line(commit, said) if commit else _NO_REMOTE
        return UnansweredError(f"git {question} failed{about}: {why}", hint=hint, code="git-failed")

    def no_commit(self, ref: str, kind: str = "") -> UnansweredError:
        """Build the error for a `ref` that names no commit of this clone, but a `kind` perhaps."""
        shallow = " (it is shallow; fetch-depth: 0 in CI)" if self.is_shallow else ""
        what = f"git has no commit {ref!a} here{shallow}"
        if kind:
            what, hint = f"{ref!a} is a {kind} here, and no commit", self._any_ref()
        elif _NOTHING.fullmatch(ref):
            what = f"{ref!a} stands for no commit: that of a branch which is new, or gone"
            hint = self._any_ref()
        elif (".." in ref or ref.startswith("^")) and not ref.startswith(":"):
            end = ref.rpartition("..")[2].lstrip(".^") or "HEAD"
            what, hint = f"{ref!a} is a range, and not one commit", f"name one, such as {end}"
        else:
            hint = self._ref_line(ref)
        return UnansweredError(what, hint=hint, code="no-commit")

    def several(self, ref: str, *, is_id: bool) -> UsageError:
        """Build the error for a `ref` that is the name of several, or how several IDs begin."""
        if is_id:
            what, hint = f"{ref!a} is how several IDs begin", f"git rev-parse --disambiguate={ref}"
            return UsageError(what, hint=hint, code="ambiguous-ref")
        likely = ("remotes/", "heads/") if "/" in ref else ("heads/", "remotes/")
        full = [f"refs/{kind}{ref}" for kind in (*likely, "tags/", "")]
        full.append(f"refs/remotes/{ref}/HEAD")
        listed = self._refs(*full)
        found = [name for name in full if name in listed] or full[:1]
        what = f"{ref!a} is the name of several refs here: {', '.join(map(_shown, found))}"
        hint = f"write the whole name, such as {shlex.quote(_shown(found[0]))}"
        return UsageError(what, hint=hint, code="ambiguous-ref")

    def too_short(self, where: str) -> UnansweredError:
        """Build the error for what lies before the first commit of a shallow clone."""
        what = f"this clone does not reach back to {where} (it is shallow; fetch-depth: 0 in CI)"
        return UnansweredError(what, hint=self.unshallow_line(), code="no-base")

    def unshallow_line(self) -> str:
        """Return the line that fetches the rest of the history; "" where none is missing."""
        return f"git fetch --unshallow {self._remote()}".rstrip() if self.is_shallow else ""

    @property
    def is_shallow(self) -> bool:
        """Tell whether the clone ends before the first commit."""
        return (self._common_dir / "shallow").exists()

    def line(self, commit: str, said: bytes) -> str:
        """Return the line that brings the objects of `commit`, or of all that is damaged here.

        An object that is there and cannot be read is in the way of one that is fetched.
        """
        remote = self._remote()
        if not remote:
            return _NO_REMOTE
        if b".pack" in said:
            again = shlex.quote(f"../{self.toplevel.name}-again")
            return f'git clone "$(git remote get-url {remote})" {again}'
        found = dict.fromkeys(name.decode() for name in _ID.findall(said))
        broken = [str(path) for name in found if (path := self._damaged(name)) is not None]
        remove = f"rm -f {shlex.join(broken)} && " if broken else ""
        return f"{remove}git fetch --refetch --no-filter {remote} {commit}".rstrip()

    def _ref_line(self, ref: str) -> str:
        remotes = self._remotes()
        remote, _, branch = ref.partition("/")
        if remote not in remotes:
            remote, branch = self._remote(), ref
        if not remote:
            return self._any_ref()
        fetch = self.unshallow_line() or f"git fetch {remote}"
        if not _PLAIN_REF.fullmatch(branch) or branch == "HEAD":
            return fetch
        if _COMMIT.fullmatch(branch):  # it may be a lost one, which git believes to have
            return fetch if self.is_shallow else self.line(branch, b"")
        if _PART_OF_ID.fullmatch(branch):  # which no server can be asked for
            return fetch
        place = f"refs/remotes/{remote}/{branch}" if branch != ref else branch
        return f"{fetch} {branch}:{place}"

    def _any_ref(self) -> str:
        """Return the line that lists what can be named, or brings about the first of it."""
        return "git branch --all" if self._refs("refs/") else "git add --all && git commit"

    def _refs(self, *patterns: str) -> list[str]:
        return self._lines("for-each-ref", "--format=%(refname)", *patterns)

    def _remote(self) -> str:
        """Name the remote that promised what is missing, or else the usual one; "" for none."""
        remotes = self._remotes()
        promised = [name for name, keys in remotes.items() if "promisor" in keys]
        usual = ["origin"] if "origin" in remotes else []
        return next(iter([*promised, *usual, *remotes]), "")

    def _remotes(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for entry in self._lines("config", "--name-only", "--get-regexp", r"^remote\..*\."):
            name, _, key = entry.removeprefix("remote.").rpartition(".")
            if _PLAIN_REF.fullmatch(name):
                found.setdefault(name, set()).add(key)
        return {name: keys for name, keys in found.items() if "url" in keys}

    def _lines(self, *command: str) -> list[str]:
        answer = ask(self.toplevel, command, self.environ, self.timeout_s)
        return os.fsdecode(answer.stdout).splitlines()

    def _damaged(self, name: str) -> Path | None:
        """Return the file that holds an object on its own, if it does not hold that object."""
        path = self._common_dir / "objects" / name[:2] / name[2:]
        try:
            data = zlib.decompress(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, zlib.error):
            return path
        return None if _hash(data, name) == name else path

    @property
    def _common_dir(self) -> Path:
        """Where objects are: a linked work tree has a `git_dir` of its own without them."""
        try:
            return self.git_dir / (self.git_dir / "commondir").read_text().strip()
        except OSError:
            return self.git_dir


def _shown(name: str) -> str:
    return ascii(name)[1:-1]


def blob_id(data: bytes, like: str) -> str:
    """Return the ID that git gives a content, by the hash that makes IDs as long as `like`."""
    return object_id(data, like, b"blob")


def object_id(data: bytes, like: str, kind: bytes) -> str:
    """Return the ID of an object of any kind, as `blob_id` does of a content."""
    return _hash(b"%b %d\0" % (kind, len(data)) + data, like)


def _hash(data: bytes, like: str) -> str:
    algorithm = "sha1" if len(like) == _SHA1_DIGITS else "sha256"
    return hashlib.new(algorithm, data).hexdigest()
