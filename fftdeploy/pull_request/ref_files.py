"""The files as a git ref has them, laid out in a folder of their own.

Contents come out of git byte for byte, through no filter, so that they are read exactly as the
files of the working tree are.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fftdeploy import files, git
from fftdeploy.errors import ConfigError, FftdeployError, UnansweredError, UsageError
from fftdeploy.evaluation.examples.raw_lines import lfs_oid
from fftdeploy.files import disk
from fftdeploy.files.folders import EVIDENCE_FOLDER
from fftdeploy.policy import policy, profiles
from fftdeploy.releases import deployments
from fftdeploy.workspace import Workspace

_EMPTY = b"version = 1\n"


class RefTree:
    """The folder of the deployments file, at any commit."""

    def __init__(self, repository: git.Repository, workspace: Workspace, place: Path) -> None:
        self.repository = repository
        self.workspace = workspace
        self.place = place
        spelled = repository.spell(workspace.folder)
        self.prefix = "" if spelled == "." else f"{spelled}/"
        self.file = workspace.snapshot.path.name
        self.evidence: dict[str, str] = {}
        """The evidence of the ref: its path from the folder -> the ID of its content."""
        self.unread: list[git.Held] = []
        """Folders that git has gone through, and that nobody has compared with their IDs yet."""
        self._held: dict[str, dict[str, git.Held]] = {}

    def held(self, commit: str) -> dict[str, git.Held]:
        """Return what `commit` has in the folder, by its path from there.

        It is to be believed once something was read since: that compares the folders.
        """
        if commit not in self._held:
            try:
                places = [self.prefix] if self.prefix else []
                found, folders = self.repository.listing(commit, *places)
            except UnansweredError as error:
                error.message = f"{self.file} cannot be looked for: {error.message}"
                raise
            self.unread += folders
            self._held[commit] = {
                name.removeprefix(self.prefix): held for name, held in found.items()
            }
        return self._held[commit]

    def settings(self, commit: str) -> list[str]:
        """List the profiles of `commit`."""
        files_in = [name for name in self.held(commit) if name.endswith(".toml")]
        return [name for name in files_in if name.rpartition("/")[0] == profiles.FOLDER]

    def evidence_at(self, commit: str) -> dict[str, str]:
        """Return the evidence of `commit`, with "" for the ID of what is no regular file."""
        below = f"{EVIDENCE_FOLDER}/"
        held = self.held(commit).items()
        return {n: one.content if one.is_file else "" for n, one in held if n.startswith(below)}

    def refuse_links(self, commit: str, names: Iterable[str], ref: str) -> None:
        """Refuse to judge by a file that is a link in `commit`, which messages call `ref`.

        Raises:
            ConfigError: One is.
        """
        for name in names:
            if self.is_linked(commit, name):
                raise ConfigError(
                    f"{ref} has a link where {name} should be a file",
                    hint="commit the file itself",
                    where=name,
                )

    def is_linked(self, commit: str, name: str) -> bool:
        """Tell whether a path, from the folder, leads through a link in `commit`."""
        held, path = self.held(commit), Path(name)
        parts = (name, *(part.as_posix() for part in path.parents))
        return any(part in held and not held[part].is_file for part in parts)

    def link_on_the_way(self, path: Path) -> str:
        """Return the first link between the top of the work tree and `path`; "" without one."""
        for step in (*reversed(path.parents), path):
            inside = step != self.repository.toplevel and self.repository.toplevel in step.parents
            if inside and step.is_symlink():
                return step.relative_to(self.repository.toplevel).as_posix()
        return ""

    def read(self, *wanted: tuple[str, list[str]]) -> list[dict[str, bytes | None]]:
        """Return files of commits, each by its name; None where a commit has no such file.

        All of it is one question to git, and so are the folders that are still unread.

        Raises:
            UnansweredError: A commit has one whose content is not in this clone.
        """
        places = {
            (commit, name): held
            for commit, names in wanted
            for name in names
            if (held := self.held(commit).get(name)) and held.is_file
        }
        found = self.repository.contents(list(places.values()), self.unread)
        self.unread = []
        contents = dict(zip(places, found, strict=True))
        for place, data in contents.items():
            if data and (oid := lfs_oid(data)):  # a pointer of Git LFS, which stands for a file
                present = self.present(place[1]) or b""
                is_same = hashlib.sha256(present).hexdigest() == oid
                large = present if is_same else self.repository.large_file(places[place], oid)
                contents[place] = large
        return [{name: contents.get((commit, name)) for name in names} for commit, names in wanted]

    def present(self, name: str) -> bytes | None:
        """Return a file of the working tree; None where there is none to be read."""
        folder = self.workspace.folder
        try:
            return files.read(folder / name, root=folder, max_bytes=2**30).data
        except FftdeployError:
            return None

    def write(self, under: str, contents: Mapping[str, bytes | None]) -> None:
        """Write files below the folder `under` of the place."""
        for name, data in contents.items():
            path = self.place / under / name
            if data is not None and not path.exists():
                disk.put_aside(path, data)

    def lay_out(
        self, under: str, contents: dict[str, bytes | None], *, whose: str = ""
    ) -> Workspace:
        """Write the files of a commit and open them as a workspace; `whose` names the commit.

        Raises:
            ConfigError: The deployments file is not valid.
        """
        self.write(under, {**contents, self.file: contents[self.file] or _EMPTY})
        folder = self.place / under
        snapshot = files.read(folder / self.file, root=folder)
        shown = self.workspace.shown
        try:
            parsed = deployments.parse(snapshot.data, shown)
        except ConfigError as error:
            whose = whose or f"the {under} of the base"
            error.message = f"{whose} is not valid itself: {error.message}"
            raise
        return Workspace(shown, folder, snapshot, parsed)


@dataclass(frozen=True)
class RefFiles:
    """The files as one ref has them."""

    ref: str
    commit: str
    workspace: Workspace
    _tree: RefTree

    def lay_out_evidence(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Put evidence, each named by task and ID, beside the other files; without what it lacks.

        All of it is one question to git.
        """
        names = {f"{EVIDENCE_FOLDER}/{task}/{evidence}.json" for task, evidence in wanted}
        there = sorted(names & self._tree.evidence.keys())
        self._tree.write("ref", *self._tree.read((self.commit, there)))


@contextmanager
def open_ref(workspace: Workspace, ref: str, environ: Mapping[str, str]) -> Iterator[RefFiles]:
    """Lay out deployments, policy and profiles as `ref` has them, for as long as they are used.

    Raises:
        UsageError: There is no repository, or this clone has no such commit.
        ConfigError: The deployments file of the ref is not valid.
    """
    repository = git.open_repository(workspace.folder, environ)
    commit = repository.commit_id(ref)
    with TemporaryDirectory(prefix="fftdeploy-ref-") as place:
        tree = RefTree(repository, workspace, Path(place).resolve())
        names = [tree.file, policy.FILE_NAME, *tree.settings(commit)]
        (contents,) = tree.read((commit, names))
        tree.refuse_links(commit, [tree.file], ref)
        tree.evidence = tree.evidence_at(commit)
        yield RefFiles(ref, commit, tree.lay_out("ref", contents, whose=ref), tree)


def refs_called(
    workspace: Workspace, words: Iterable[str], environ: Mapping[str, str]
) -> list[str]:
    """Name in full the branches and tags that are called as one of `words`, which are names."""
    full = [f"refs/{kind}/{word}" for word in words for kind in ("heads", "tags")]
    try:
        repository = git.open_repository(workspace.folder, environ)
        found = repository.ask("for-each-ref", "--format=%(refname)", *full).decode()
    except UsageError:  # nobody keeps versions, or they are of no use
        return []
    return [ref for ref in full if ref in found.splitlines()]
