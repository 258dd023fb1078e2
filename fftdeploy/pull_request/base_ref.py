"""What a proposed change is compared with, and judged by: a git ref, and where HEAD left it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from fftdeploy import files, git
from fftdeploy.errors import ConfigError, FftdeployError
from fftdeploy.evaluation.examples.raw_lines import meaning
from fftdeploy.files.folders import EVIDENCE_FOLDER, OF_ONE_MACHINE
from fftdeploy.policy import policy, profiles
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.policy.policy import Policy
from fftdeploy.pull_request import second_files
from fftdeploy.pull_request.ref_files import RefTree
from fftdeploy.pull_request.second_files import Elsewhere
from fftdeploy.workspace import Workspace


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
    _tree: RefTree
    _committed: git.Changes
    """What HEAD has otherwise than where it parted."""

    @property
    def policies(self) -> list[Policy]:
        """The ref's policy, and that of where the two parted, unless it was not valid then."""
        found = [self.tip.policy]
        with suppress(ConfigError):
            found.append(self.fork.policy)
        return found

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
        tree = RefTree(repository, workspace, Path(place).resolve())
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
