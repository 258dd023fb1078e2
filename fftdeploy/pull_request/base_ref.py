"""The files as a git ref has them: what a proposed change is compared with, and judged by.

Contents come out of git byte for byte, through no filter, and are laid out in a folder of their
own, so that they are read exactly as the files of the working tree are.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from fftdeploy import files, git
from fftdeploy.errors import ConfigError, FftdeployError, UnansweredError, UsageError
from fftdeploy.evaluation.examples.raw_lines import lfs_oid, meaning
from fftdeploy.files import disk
from fftdeploy.files.folders import EVIDENCE_FOLDER, OF_ONE_MACHINE
from fftdeploy.policy import policy, profiles
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.pull_request import second_files
from fftdeploy.pull_request.second_files import Elsewhere
from fftdeploy.releases import deployments
from fftdeploy.workspace import Workspace

_EMPTY = b"version = 1\n"


@dataclass(frozen=True)
class BaseRef:
    """A ref that changes are to be merged into, and where they parted from it."""

    ref: str
    commit: str
    parted: str
    """The newest commit that the ref and HEAD share."""
    tip: Workspace
    """The files at the ref."""
    fork: Workspace
    """The files where the two parted; the same as `tip` where nothing was merged since."""
    changed: tuple[str, ...]
    """Paths, from the folder, of the policy, examples and labels that HEAD or the work tree has
    changed."""
    _tree: "_Tree"
    _committed: git.Changes
    """What HEAD has otherwise than where it parted."""

    def has_evidence(self, task: str, evidence: str) -> bool:
        """Tell whether the ref has the evidence: whoever merged it vouches for it."""
        return bool(self._tree.evidence.get(f"{EVIDENCE_FOLDER}/{task}/{evidence}.json"))

    def lost_evidence(self) -> list[str]:
        """List the ref's evidence that is gone or another since the two parted, by its path."""
        before = self._tree.evidence_at(self.parted)

        def is_kept(name: str, content: str) -> bool:
            data = self._tree.present(name)
            if data is None:
                return name not in before  # a branch that is behind has removed nothing
            return any(_has_id(data, its_id) for its_id in (content, before.get(name)) if its_id)

        return [n for n, content in self._tree.evidence.items() if not is_kept(n, content)]

    def gained_evidence(self, task: str) -> Path:
        """Lay out what evidence about `task` was merged since the two parted; return its folder."""
        tree, below = self._tree, f"{EVIDENCE_FOLDER}/{task}/"
        gained = tree.evidence.keys() - tree.evidence_at(self.parted).keys()
        if names := sorted(name for name in gained if name.startswith(below)):
            tree.write("gained", *tree.read((self.commit, names)))
        return tree.place / "gained"

    def differs(self, path: str) -> bool:
        """Tell whether `path`, from the top, is not the regular file that it was at the parting."""
        top, repository = self._tree.repository.toplevel, self._tree.repository
        held = repository.held(self.parted, path).get(path)
        try:
            data = files.read(top / path, root=top).data
        except FftdeployError:
            return True
        return held is None or not held.is_file or not _has_id(data, held.content)

    def brought(self) -> list[str]:
        """List what HEAD has new or changed of what is for one machine alone, from the top.

        A link or a submodule may be in the place of a folder that it lies in.
        """
        folders = [f"{self._tree.prefix}{folder}/" for folder in OF_ONE_MACHINE]

        def is_mine(name: str) -> bool:
            return any(name.startswith(one) or one.startswith(f"{name}/") for one in folders)

        return sorted(n for n, (_, now) in self._committed.items() if now.mode and is_mine(n))

    def links(self) -> list[str]:
        """List what leads through a link, from the top: what is judged by, and what is exported.

        An export that was a link before is not the doing of this change.
        """
        tree, folder = self._tree, self._tree.workspace.folder
        names = [tree.file, policy.FILE_NAME, *_examples(self.tip, tree.workspace)]
        names += [f"{profiles.FOLDER}/{path.name}" for path in (folder / profiles.FOLDER).glob("*")]
        exports = (*self.tip.policy.exports, *tree.workspace.policy.exports)
        names += [name for name in exports if not tree.is_linked(self.parted, name)]
        names += map(str, (EVIDENCE_FOLDER, *OF_ONE_MACHINE))
        return sorted({found for name in names if (found := tree.link_on_the_way(folder / name))})

    def elsewhere(self) -> Elsewhere:
        """Say what the change does to deployments and policy files elsewhere in the tree.

        Raises:
            UnansweredError: This clone lacks a folder that may differ.
        """
        tree = self._tree
        commits = (self.parted, self.commit, self._committed)
        return second_files.compare(tree.repository, tree.workspace, *commits)

    def earlier(self, moment: datetime) -> Workspace | None:
        """Return the ref's deployments and profiles as they were; None where nobody can say.

        That is the case before its first commit, and in a shallow clone before its last.  When
        commits were made is their committer's word, which a merge on a server has from there.
        """
        tree, before = self._tree, f"--before={int(moment.timestamp())}"
        asked = ("rev-list", "-1", "--first-parent", before, self.commit)
        commit = tree.repository.ask(*asked, commit=self.commit).decode().strip()
        if not commit:
            return None
        (contents,) = tree.read((commit, [tree.file, *tree.settings(commit)]))
        if contents[tree.file] is None:
            return None
        try:
            return tree.lay_out(f"at-{commit[:12]}", contents)
        except ConfigError:
            return None

    def unshallow_line(self) -> str:
        """Return the line that fetches the rest of a shallow clone's history; "" in others."""
        return self._tree.repository.unshallow_line()

    def lay_out_evidence(self, task: str, folder: str = "") -> None:
        """Put the ref's evidence about `task`, or a folder of it, beside its other files."""
        below = f"{EVIDENCE_FOLDER}/{task}/{folder}"
        names = [name for name in self._tree.evidence if name.startswith(below)]
        self._tree.write("tip", *self._tree.read((self.commit, names)))

    def lay_out_profile(self, name: str) -> None:
        """Put a profile of the work tree beside the ref's files, where the ref has none."""
        path = f"{profiles.FOLDER}/{name}.toml"
        self._tree.write("tip", {path: self._tree.present(path)})


@dataclass(frozen=True)
class RefFiles:
    """The files as one ref has them."""

    ref: str
    commit: str
    workspace: Workspace
    _tree: "_Tree"

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
        tree = _Tree(repository, workspace, Path(place).resolve())
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


@contextmanager
def open_base(workspace: Workspace, ref: str, environ: Mapping[str, str]) -> Iterator[BaseRef]:
    """Lay out the files of `ref`, and of the commit where HEAD parted from it, for as long as used.

    Raises:
        UsageError: There is no repository, or this clone lacks a commit; the hint says what to
            fetch.
        ConfigError: The files of the ref are not valid.
    """
    repository = git.open_repository(workspace.folder, environ)
    commit = repository.commit_id(ref)
    parted = repository.merge_base(commit)
    with TemporaryDirectory(prefix="fftdeploy-base-") as place:
        tree = _Tree(repository, workspace, Path(place).resolve())
        settings = (tree.settings(each) for each in (commit, parted))
        names = list(dict.fromkeys((tree.file, policy.FILE_NAME, *chain(*settings))))
        committed, folders = repository.committed_since(parted)
        tree.unread += folders
        at_tip, at_fork = tree.read((commit, names), (parted, names))
        tree.refuse_links(commit, names, ref)
        tree.refuse_links(parted, names, parted[:12])
        tip = tree.lay_out("tip", at_tip)
        fork = tree.lay_out("fork", at_fork) if parted != commit else tip
        try:
            examples = _examples(tip, workspace)
        except ConfigError as error:
            error.message = f"{ref} is not valid itself: {error.message}"
            raise
        tree.refuse_links(commit, examples, ref)
        found = tree.read((commit, examples), (parted, examples))
        tree.write("tip", found[0])
        at_tip |= found[0]
        at_fork |= found[1]
        tree.evidence = tree.evidence_at(commit)
        judged = [policy.FILE_NAME, *examples]
        changed = [n for n in judged if not _says_one_of(tree.present(n), (at_tip[n], at_fork[n]))]
        yield BaseRef(ref, commit, parted, tip, fork, tuple(changed), tree, committed)


def _says_one_of(data: bytes | None, others: Iterable[bytes | None]) -> bool:
    """Tell whether a file says the same as another, whatever a checkout made of its line ends."""
    meant = [meaning(other) if other is not None else None for other in others]
    return (meaning(data) if data is not None else None) in meant


def _has_id(data: bytes, content: str) -> bool:
    unix = data.replace(b"\r\n", b"\n")
    return content in {git.blob_id(data, content), git.blob_id(unix, content)}


def _examples(*workspaces: Workspace) -> list[str]:
    """Name the files of examples, and of people's labels, of every task, from the folder."""
    found: dict[str, None] = {}
    for workspace in workspaces:
        for name, task in workspace.policy.tasks.items():
            found |= dict.fromkeys(task.monitor.examples)
            if task.gate is not None:
                found |= dict.fromkeys(task.gate.examples)
                found |= dict.fromkeys(_labels(workspace, name, task.gate))
    return list(found)


def _labels(workspace: Workspace, task: str, gate: GateRules) -> list[str]:
    """Name the files of labels that the judge of a gate is held against."""
    if gate.judge is None:
        return []
    from fftdeploy.evaluation.evidence.calibration import CalibrationFolder
    from fftdeploy.evaluation.judging import labels

    return [labels.path_of(gate), *CalibrationFolder(workspace.folder).labels(task)]


class _Tree:
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
