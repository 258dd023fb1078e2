"""One commit for `--commit`: the only git call that runs the user's hooks and signing."""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fftdeploy.errors import DiskError, UsageError
from fftdeploy.git.process import TIMEOUT_S, absolute_path, executable, must
from fftdeploy.git.repository import Repository, open_repository

COMMIT_TIMEOUT_S = 600.0  # hooks may run a test suite, signing may wait for a finger on a token
# Set while a hook runs; they would point git at another repository or index than the one asked.
_REDIRECTING = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX"),
        *("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"),
    }
)


def check_committable(
    file: Path,
    others: Iterable[Path],
    environ: Mapping[str, str],
    *,
    secrets: Collection[str] = (),
) -> Repository:
    """Find everything that would make `commit` fail, before anything is written.

    Args:
        file: The file that is about to be changed; it may be new to git, but not modified.
        others: Further files that go into the commit; they may be new, modified or yet to come.
        environ: The user's environment.
        secrets: Values that no child may see.

    Raises:
        UsageError: Why it cannot be committed.
    """
    repository = open_repository(file.parent, environ)
    name = ascii(file.name)[1:-1]
    problem, hint = "", "finish that first, or leave out --commit"
    if under_way := repository.under_way():
        problem = f"{under_way} is under way in {repository.toplevel}"
    elif (repository.git_dir / "index.lock").exists():
        problem = f"another git process is at work in {repository.toplevel} (index.lock)"
    elif repository.is_modified(file):
        problem, hint = f"{name} has uncommitted changes", "commit or discard them first"
    elif ignored := [
        path
        for path in (file, *others)
        if not repository.is_tracked(path) and repository.is_ignored(path)
    ]:
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
            must(top, ("add", "--intent-to-add", "--", *new), child, repository.timeout_s)
        command = ("commit", "--quiet", "--only", f"--message={message}", "--", *names)
        must(top, command, child, timeout_s)
    except BaseException:
        # Stopped once HEAD had moved, git leaves the file staged as it was before.
        with suppress(UsageError, DiskError):
            undone = dict.fromkeys((names[0], *new))
            must(top, ("reset", "--quiet", "--", *undone), child, repository.timeout_s)
        raise
    return repository.short_head()


def pushing_line(repository: Repository) -> str:
    """Return the line that pushes the branch; "" without a branch, or a remote to push it to.

    Raises:
        UnansweredError: Git does not say.
    """
    remotes = repository.ask("remote").decode().split()
    branch = (repository.ask_if_any("symbolic-ref", "--short", "--quiet", "HEAD") or "").strip()
    if not remotes or not branch:
        return ""
    if repository.ask_if_any("config", "--get", f"branch.{branch}.merge"):
        return "git push"
    remote = "origin" if "origin" in remotes else remotes[0]
    return shlex.join(["git", "push", "-u", remote, branch])


def commit_environ(environ: Mapping[str, str], secrets: Collection[str]) -> dict[str, str]:
    """Return the user's environment for hooks: no API keys, nothing that redirects git."""
    kept = {
        name: value
        for name, value in environ.items()
        if not _names_a_key(name.upper())
        and name not in _REDIRECTING
        and not any(secret and secret in value for secret in secrets)
    }
    return kept | {"PATH": absolute_path(environ), "GIT_TERMINAL_PROMPT": "0"}


def create_repository(
    folder: Path, name: str, email: str, environ: Mapping[str, str]
) -> Repository:
    """Make `folder` a repository with an identity of its own and a branch called `main`.

    Raises:
        UsageError: There is no git.
        DiskError: git refused; `folder` may hold part of a `.git`.
    """
    executable(environ)
    child = commit_environ(environ, ())
    must(folder, ("init", "--quiet", "--initial-branch=main"), child, TIMEOUT_S)
    for key, value in (("name", name), ("email", email)):
        must(folder, ("config", f"user.{key}", value), child, TIMEOUT_S)
    return open_repository(folder, environ)


def _names_a_key(name: str) -> bool:
    # Headers may hold an Authorization of its own; whoever knows a webhook may write to it.
    if name in {"OPENAI_CUSTOM_HEADERS", "FFTDEPLOY_WEBHOOK_URL"}:
        return True
    return "API_KEY" in name or ("OPENAI" in name and ("KEY" in name or "TOKEN" in name))
