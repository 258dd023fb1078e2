"""Ask git about the repository and, for `--commit`, make one commit.

The only git subprocess.  Questions run in a fixed environment with everything switched off that
a repository's own configuration could start; no call ever goes to the network.  Only `commit`
runs the user's hooks and signing, and API keys are taken out of its environment.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fftdeploy.errors import DiskError, UsageError

_VERSIONS = 200
"""How far back a version of a file is looked for."""
TIMEOUT_S = 5.0
COMMIT_TIMEOUT_S = 600.0  # hooks may run a test suite, signing may wait for a finger on a token

_KEPT = (
    *("HOME", "LANG", "LANGUAGE", "TMPDIR", "XDG_CONFIG_HOME", "EMAIL"),
    *("GIT_CEILING_DIRECTORIES", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM"),
)
# Set while a hook runs; they would point git at another repository or index than the one asked.
_REDIRECTING = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX"),
        *("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"),
    }
)
_QUIET = ("--no-pager",)
_LITERAL = "--literal-pathspecs"
_INERT = (
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.untrackedCache=false"),
)
_UNDER_WAY = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
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
        commit = self._ask(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
        )
        if commit is None:
            raise UsageError(
                f"git has no commit {ref!a} here",
                hint="a shallow clone may lack it: git fetch",
            )
        # `cat-file blob` runs no text conversion, no filter and no external diff.
        return self._ask("cat-file", "blob", f"{commit.decode().strip()}:{self.spell(path)}")

    def head_text(self, path: Path) -> bytes | None:
        """Return what `path` holds in the last commit; None without one."""
        return self._ask("cat-file", "blob", f"HEAD:{self.spell(path)}")

    def short_head(self) -> str:
        """Return the abbreviated ID of the last commit; "" without one."""
        return (self._ask("rev-parse", "--short", "--verify", "HEAD") or b"").decode().strip()

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
        staged = self._ask("cat-file", "blob", f":{self.spell(path)}")
        return staged != committed or _unix(present) != _unix(committed)

    def is_tracked(self, path: Path) -> bool:
        """Say whether the index knows `path`."""
        return bool(self._ask(_LITERAL, "ls-files", "-z", "--", self.spell(path)))

    def is_ignored(self, path: Path) -> bool:
        """Say whether a `.gitignore` keeps `path`, which need not exist, out of commits."""
        # This one refuses literal pathspecs; it expands nothing, and `./` hides a leading `:`.
        return self._ask("check-ignore", "--quiet", "--", f"./{self.spell(path)}") is not None

    def under_way(self) -> str:
        """Name the merge or rebase that somebody has yet to finish; "" if there is none."""
        found = (what for name, what in _UNDER_WAY.items() if (self.git_dir / name).exists())
        return next(found, "a merge with conflicts" if self._ask("ls-files", "-u", "-z") else "")

    def has_identity(self, environ: Mapping[str, str]) -> bool:
        """Say whether git would know whom to write down as author and committer."""
        kinds = ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")
        return all(self._ask("var", kind, environ=environ) is not None for kind in kinds)

    def spell(self, path: Path) -> str:
        """Write `path` as git does, from the top of the work tree."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.toplevel):
            raise UsageError(f"{str(path)!a} is not in the git repository {self.toplevel}")
        return real.relative_to(self.toplevel).as_posix()

    def _ask(self, *arguments: str, environ: Mapping[str, str] | None = None) -> bytes | None:
        """Return git's answer; None where it says no, which is what a status above 0 means."""
        environ = _question_environ(self.environ) if environ is None else environ
        command = (*_QUIET, *_INERT, *arguments)
        answer = _run(self.toplevel, command, environ, self.timeout_s)
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
    quiet = _question_environ(environ)
    answer = _run(folder, (*_QUIET, *_INERT, *arguments), quiet, timeout_s)
    lines = os.fsdecode(answer.stdout).splitlines()
    if answer.returncode or len(lines) != 3 or lines[0] != "true":
        why = f": {_last_line(answer.stderr)}" if answer.stderr.strip() else ""
        raise UsageError(f"{str(folder)!a} is not in a git work tree{why}")
    return Repository(Path(lines[2]), Path(lines[1]), environ, timeout_s)


def user_email(
    folder: Path, environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> str | None:
    """Return git's `user.email`, inside of a repository or not; None if there is none to be had."""
    arguments = (*_QUIET, *_INERT, "config", "--get", "user.email")
    try:
        answer = _run(folder, arguments, _question_environ(environ), timeout_s)
    except UsageError:
        return None
    email = answer.stdout.decode(errors="replace").strip()
    return email if answer.returncode == 0 and email and email.isprintable() else None


def check_committable(
    file: Path,
    others: Iterable[Path],
    environ: Mapping[str, str],
    *,
    secrets: Collection[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> Repository:
    """Find everything that would make `commit` fail, before anything is written.

    Args:
        file: The file that is about to be changed; it may be new to git, but not modified.
        others: Further files that go into the commit; they may be new, modified or yet to come.
        environ: The user's environment.
        secrets: Values that no child may see.
        timeout_s: For each question to git, seconds.

    Raises:
        UsageError: Why it cannot be committed.
    """
    repository = open_repository(file.parent, environ, timeout_s=timeout_s)
    name = ascii(file.name)[1:-1]
    problem, hint = "", "finish that first, or leave out --commit"
    if under_way := repository.under_way():
        problem = f"{under_way} is under way in {repository.toplevel}"
    elif (repository.git_dir / "index.lock").exists():
        problem = f"another git process is at work in {repository.toplevel} (index.lock)"
    elif repository.is_modified(file):
        problem, hint = f"{name} has uncommitted changes", "commit or discard them first"
    elif ignored := [path for path in (file, *others) if _is_kept_out(repository, path)]:
        problem = f"{str(ignored[0])!a} is ignored by git"
        hint = f"git check-ignore -v {shlex.quote(str(ignored[0]))}"
    elif not repository.has_identity(commit_environ(environ, secrets)):
        problem, hint = "git does not know who you are", "git config user.email you@example.com"
    if problem:
        raise UsageError(f"--commit: {problem}", hint=hint)
    return repository


def commit(
    repository: Repository,
    paths: Sequence[Path],
    message: str,
    environ: Mapping[str, str],
    *,
    secrets: Collection[str] = (),
    timeout_s: float = COMMIT_TIMEOUT_S,
) -> str:
    """Commit exactly `paths` and return the short commit ID; what else is staged stays staged.

    Hooks and signing run as for any commit of the user, without `secrets` and API keys.

    Raises:
        DiskError: git refused, or did not finish within `timeout_s`; there is no commit, the
            files are as they were.
    """
    child = commit_environ(environ, secrets)
    names = [repository.spell(path) for path in paths]
    new = [name for name, path in zip(names, paths, strict=True) if not repository.is_tracked(path)]
    top = repository.toplevel
    try:
        if new:
            _must(top, ("add", "--intent-to-add", "--", *new), child, repository.timeout_s)
        command = ("commit", "--quiet", "--only", f"--message={message}", "--", *names)
        _must(top, command, child, timeout_s)
    except BaseException:
        if new:
            with suppress(UsageError, DiskError):
                _must(top, ("reset", "--quiet", "--", *new), child, repository.timeout_s)
        raise
    return repository.short_head()


def commit_environ(environ: Mapping[str, str], secrets: Collection[str]) -> dict[str, str]:
    """Return the user's environment for hooks: no API keys, nothing that redirects git."""
    kept = {
        name: value
        for name, value in environ.items()
        if not _names_a_key(name.upper())
        and name not in _REDIRECTING
        and not any(secret and secret in value for secret in secrets)
    }
    return kept | {"PATH": _absolute_path(environ), "GIT_TERMINAL_PROMPT": "0"}


def find_version(
    folder: Path, path: Path, is_wanted: Callable[[bytes], bool], environ: Mapping[str, str]
) -> str | None:
    """Return the newest commit that holds `path` with content that `is_wanted`, abbreviated.

    None where no commit of this clone has it, or there is no repository to ask.
    """
    with suppress(UsageError):  # no git, or no repository: nobody kept versions
        repository = open_repository(folder, environ)
        arguments = ("rev-list", f"--max-count={_VERSIONS}", "HEAD", "--", str(path))
        for commit in (repository._ask(*arguments) or b"").decode().split():  # noqa: SLF001
            data = repository.text(commit, path)
            if data is not None and is_wanted(data):
                return commit[:12]
    return None


def _is_kept_out(repository: Repository, path: Path) -> bool:
    return not repository.is_tracked(path) and repository.is_ignored(path)


def _must(folder: Path, arguments: Sequence[str], environ: Mapping[str, str], limit: float) -> None:
    try:
        answer = _run(folder, (*_QUIET, _LITERAL, *arguments), environ, limit, detached=False)
    except UsageError as error:
        raise DiskError(error.message, hint=error.hint) from error
    if answer.returncode:
        words = _last_line(answer.stderr) or _last_line(answer.stdout) or "no reason given"
        raise DiskError(f"git {arguments[0]} failed: {words}")


def _run(
    folder: Path,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    timeout_s: float,
    *,
    detached: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    """Run git to its end, or to ours.

    A detached child has a session of its own, so that it and what it has started can be ended
    together; a commit stays in the terminal's, where signing may have to ask.
    """
    command = (_git(environ), "-C", str(folder), *arguments)
    try:
        child = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=detached,
        )
    except OSError as error:
        raise UsageError(f"git cannot be run: {error.strerror}") from error
    with child:
        try:
            out, err = child.communicate(timeout=timeout_s)
        except BaseException as error:
            _end(child, detached)
            if isinstance(error, subprocess.TimeoutExpired):
                raise UsageError(f"git did not answer in {timeout_s:g} s") from error
            raise
    return subprocess.CompletedProcess(command, child.returncode, out, err)


def _end(child: subprocess.Popen[bytes], detached: bool) -> None:
    if detached:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        return
    child.terminate()  # git removes its lock files on this one
    try:
        child.wait(2.0)
    except subprocess.TimeoutExpired:
        child.kill()


def _git(environ: Mapping[str, str]) -> str:
    """Find git on the absolute part of PATH: an empty entry would run a `git` of the checkout."""
    for folder in _absolute_path(environ).split(os.pathsep):
        candidate = os.path.join(folder, "git")  # noqa: PTH118  PATH is text
        if folder and os.path.isfile(candidate) and os.access(candidate, os.X_OK):  # noqa: PTH113
            return candidate
    raise UsageError("there is no git on PATH", hint="install git, or leave out --commit")


def _absolute_path(environ: Mapping[str, str]) -> str:
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if os.path.isabs(folder))  # noqa: PTH117


def _question_environ(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value for name, value in environ.items() if name in _KEPT or name.startswith("LC_")
    }
    fixed = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    # In a partial clone a mere question would fetch what is missing.
    offline = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
    return kept | fixed | offline | {"PATH": _absolute_path(environ)}


def _names_a_key(name: str) -> bool:
    if name == "OPENAI_CUSTOM_HEADERS":  # it may hold an Authorization of its own
        return True
    return "API_KEY" in name or ("OPENAI" in name and ("KEY" in name or "TOKEN" in name))


def _unix(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def _last_line(output: bytes) -> str:
    """Return the last line that says something, fit for a message."""
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    text = lines[-1].strip() if lines else ""
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def create_repository(
    folder: Path, name: str, email: str, environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> Repository:
    """Make `folder` a repository with an identity of its own and a branch called `main`.

    Raises:
        UsageError: There is no git.
        DiskError: git refused; `folder` may hold part of a `.git`.
    """
    _git(environ)
    child = commit_environ(environ, ())
    _must(folder, ("init", "--quiet", "--initial-branch=main"), child, timeout_s)
    for key, value in (("name", name), ("email", email)):
        _must(folder, ("config", f"user.{key}", value), child, timeout_s)
    return open_repository(folder, environ, timeout_s=timeout_s)


def patches(repository: Repository, path: Path, *, context: int) -> str:
    """Return the commits that touched `path`, newest first, each with its subject and patch."""
    arguments = ("log", "--patch", "--oneline", "--no-color", "--no-ext-diff", "--no-textconv")
    command = (*_QUIET, *_INERT, *arguments, f"--unified={context}", "--", repository.spell(path))
    quiet = _question_environ(repository.environ)
    answer = _run(repository.toplevel, command, quiet, repository.timeout_s)
    if answer.returncode:
        raise DiskError(f"git log failed: {_last_line(answer.stderr)}")
    return answer.stdout.decode(errors="replace")
