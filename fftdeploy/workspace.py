"""The files a command works on: the deployments file, and policy and profiles beside it."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from fftdeploy import files, names
from fftdeploy.api.proof import Question
from fftdeploy.errors import ConfigError, UsageError
from fftdeploy.files.folders import EVIDENCE_FOLDER
from fftdeploy.formats.document import BOM
from fftdeploy.planning.bundles import PlanningFacts, live_bundle, refuse_without_file
from fftdeploy.planning.plan import Plan
from fftdeploy.policy import policy, profiles
from fftdeploy.policy.policy import Policy
from fftdeploy.policy.profiles import Profile
from fftdeploy.releases import deployments
from fftdeploy.releases.deployments import Bundle, Deployments, Target


@dataclass(frozen=True)
class Workspace:
    """One deployments file, read once; everything else is beside it and read when asked."""

    shown: str
    """How messages and diffs name the file."""
    folder: Path
    """The folder of the file; what is beside it may not lead out of it."""
    snapshot: files.Snapshot
    deployments: Deployments
    _profiles: dict[str, Profile | None] = field(default_factory=dict)
    _warn: Callable[[str], None] | None = None

    def unread(self) -> "Workspace":
        """Return this workspace as if nothing beside the file had been read yet."""
        return replace(self, _profiles={})

    def tolerating(self, warn: Callable[[str], None]) -> "Workspace":
        """Return this workspace for a rescue: a profile that is not valid counts as missing.

        `warn` is told so, once for each.
        """
        return replace(self.unread(), _warn=warn)

    @property
    def from_root(self) -> str:
        """The file's path from the repository's root."""
        return self.snapshot.real.relative_to(self.snapshot.root).as_posix()

    @property
    def patched(self) -> str:
        """The file's path as `git apply` takes it in the working directory."""
        return self.from_root if Path(self.shown).is_absolute() else self.shown

    @cached_property
    def policy(self) -> Policy:
        """The policy file's content; an absent file asks nothing, a broken one is an error."""
        path = self.folder / policy.FILE_NAME
        if not _exists(path):
            return Policy()
        snapshot = files.read(path, root=self.folder)
        found = policy.parse(snapshot.data, _beside(self.shown, policy.FILE_NAME))
        found.check_environments(self.deployments)
        return found

    def profile(self, name: str) -> Profile | None:
        """Return a profile as it is on disk now; None without a file, or ConfigError."""
        if name in self._profiles:
            return self._profiles[name]
        path, found = self.profile_path(name), None
        if _exists(path):
            shown = _beside(self.shown, f"{profiles.FOLDER}/{name}.toml")
            try:
                found = profiles.parse(files.read(path, root=self.folder).data, name, shown)
            except ConfigError as error:
                if self._warn is None:
                    raise
                self._warn(f"warning: {error.message} ({error.where})")
        self._profiles[name] = found
        return found

    def sha(self, name: str) -> str | None:
        """Return the hash of a profile's content now; None where its file is missing."""
        found = self.profile(name)
        return found.sha if found else None

    def facts(self, now: datetime) -> PlanningFacts:
        """Return what is planned by at a moment."""
        return PlanningFacts(self.deployments, self.policy, self.sha, now)

    def bundle(self, model: str, provider: str, profile: str | None) -> Bundle:
        """Return a bundle, its profile as it is on disk now; ConfigError where that has no file."""
        if profile:
            self.require_profile(profile)
        return Bundle(model, provider, profile, self.sha(profile) if profile else None)

    def fallbacks(self, task: str) -> list[Bundle]:
        """Return what applications go on with, by the policy; a profile of it may lack a file."""
        known = self.policy.tasks.get(task)
        return [live_bundle(said, self.sha) for said in known.fallback] if known else []

    def require_profile(self, name: str) -> None:
        """Refuse the name of a profile that has no file."""
        try:
            bundle = Bundle("", profile=name, profile_sha=self.sha(name))
            refuse_without_file(bundle, "name another one")
        except ConfigError as error:
            known = {path.stem for path in (self.folder / profiles.FOLDER).glob("*.toml")}
            error.hint = names.meant(name, known - {name}, error.hint, quoted=False)
            raise

    def endpoint(self, name: str | None) -> str:
        """Return the endpoint of a profile; `chat` without one."""
        found = self.profile(name) if name else None
        return found.endpoint if found else "chat"

    def question(
        self, name: str, bundle: Bundle, *, probe: bool = True, fresh: bool = False
    ) -> Question:
        """Ask about `bundle`, in the target called `name` or to be, the way it will be called."""
        target = self.deployments.find(name)
        return Question(
            bundle.model,
            self.endpoint(bundle.profile),
            probe,
            target.models.get(bundle.provider, frozenset()) if target else frozenset(),
            bundle.provider,
            environment=name.partition("/")[2],
            fresh=fresh,
        )

    def target(self, name: str) -> Target:
        """Return the target called `name`; UsageError with the nearest one without it."""
        full = self.deployments.full_name(name)
        found = self.deployments.find(full)
        if found is None:
            raise unknown_target(name, self.deployments)
        return found

    def in_order(self, targets: Iterable[Target]) -> list[Target]:
        """Sort targets for a person: tasks as the file has them, environments as the policy does.

        A policy that is not valid orders nothing: who needs it says what is wrong with it.
        """
        order: tuple[str, ...] = ()
        with suppress(ConfigError):
            order = self.policy.order
        places = {name: place for place, name in enumerate(order)}
        tasks: dict[str, list[Target]] = {}
        for target in targets:
            tasks.setdefault(target.task, []).append(target)
        return [
            target
            for same in tasks.values()
            for target in sorted(same, key=lambda one: places.get(one.environment, len(places)))
        ]

    def require_planned(self, name: str) -> None:
        """Refuse a target that is not in the file and that nobody has planned for."""
        task, _, environment = name.partition("/")
        if self.deployments.find(name) is not None or self.policy.knows(task, environment):
            return
        error = unknown_target(name, self.deployments)
        if self.policy.exists:
            is_planned = task in self.policy.tasks
            what = f"environment {environment!r}" if is_planned else f"task {task!r}"
            error.message += f", and the policy knows no {what}"
            every = dict.fromkeys((*self.deployments.names, *self.policy.planned))
            error.hint = names.target_meant(name, list(every))
        raise error

    def files_of(self, made: Plan) -> list[Path]:
        """Name the file, and what the new release of a plan names, which go into one commit."""
        release = made.new_release
        also = []
        if release and release.bundle.profile:
            also.append(self.profile_path(release.bundle.profile))
        if release and release.evidence:
            also.append(self.evidence_path(made.after.task, release.evidence))
        return [self.snapshot.real, *also]

    def with_data(self, data: bytes) -> "Workspace":
        """Return this workspace with other bytes in the deployments file; or ConfigError."""
        snapshot = self.snapshot._replace(data=data)
        return replace(self, snapshot=snapshot, deployments=deployments.parse(data, self.shown))

    def with_text(self, text: str) -> "Workspace":
        """Return this workspace with what is to be written; ConfigError where it is not valid."""
        try:
            return self.with_data(self.bytes_of(text))
        except ConfigError as error:
            said = f"the changed file could not be read: {error.message}; nothing was changed"
            error.message = said
            raise

    def bytes_of(self, text: str) -> bytes:
        """Encode a new text of the file, with the byte-order mark it had."""
        had_mark = self.snapshot.data.startswith(BOM.encode())
        return ((BOM if had_mark else "") + text).encode()

    def profile_path(self, name: str) -> Path:
        """Return where a profile's file is, or would be."""
        return self.folder / profiles.FOLDER / f"{name}.toml"

    def evidence_path(self, task: str, evidence: str) -> Path:
        """Return where evidence about `task` is, or would be."""
        return self.folder / EVIDENCE_FOLDER / task / f"{evidence}.json"


class Questions:
    """What is asked about the models of several targets: about each once, whoever has it."""

    def __init__(
        self, workspace: Workspace, targets: Iterable[Target], keyed: Callable[[str, str], str]
    ) -> None:
        """Take the targets; `keyed` is `Providers.keyed`."""
        self.workspace = workspace
        self.keyed = keyed
        self._users: dict[tuple[str, str], list[Target]] = {}
        for target in targets:
            for provider, models in target.models.items():
                is_live = {target.model} if provider == target.provider else frozenset[str]()
                for model in models | is_live:
                    self._users.setdefault((provider, model), []).append(target)
        self._project_models: dict[tuple[str, ...], frozenset[str]] = {}
        self._known: dict[tuple[str, str, str, str], Question] = {}

    def about(self, target: Target, bundle: Bundle) -> Question:
        """Return the question about `bundle`, the same for each target that asks the same."""
        environment = self.keyed(bundle.provider, target.environment)
        endpoint = self.workspace.endpoint(bundle.profile)
        key = (bundle.model, endpoint, bundle.provider, environment)
        if key not in self._known:
            self._known[key] = Question(
                bundle.model,
                endpoint,
                project_models=self._models(bundle.provider, bundle.model),
                provider=bundle.provider,
                environment=environment,
            )
        return self._known[key]

    def _models(self, provider: str, model: str) -> frozenset[str]:
        """Return the models of the releases there of all targets that have `model`."""
        users = self._users.get((provider, model), [])  # none has a fallback
        names = (provider, *map(str, users))
        if names not in self._project_models:  # most often many models have the same users
            every = (target.models[provider] for target in users)
            self._project_models[names] = frozenset().union(*every)
        return self._project_models[names]


def open_workspace(path: Path) -> Workspace:
    """Read the deployments file at `path`; ConfigError where that is none."""
    try:
        absolute = Path.cwd() / path
    except OSError:  # the working directory is gone, which matters to a relative path only
        absolute = path
    snapshot = files.read(absolute, root=files.root_of(absolute.parent), hint=files.INIT_HINT)
    shown = shown_path(absolute)
    return Workspace(shown, absolute.parent, snapshot, deployments.parse(snapshot.data, shown))


def unknown_target(name: str, known: Deployments) -> UsageError:
    """Build the error for a target that the file does not have."""
    hint = names.target_meant(name, known.names)
    return UsageError(f"there is no target {name}", hint=hint, code="unknown-target")


def select(known: Deployments, patterns: Iterable[str]) -> list[Target]:
    """Return the targets that any of `patterns` names, a string being one, in the file's order.

    A pattern is a target, a task, a bare environment where there is one task, or a glob
    such as `*/production`.

    Raises:
        UsageError: A pattern that matches nothing.
    """
    from fnmatch import fnmatchcase

    names = {str(target): target for target in known.targets.values()}
    called: dict[str, set[str]] = {name: {name} for name in names}
    has_one_task = len(known.tasks()) == 1
    for name, target in names.items():
        for word in (target.task, *([target.environment] if has_one_task else ())):
            called.setdefault(word, set()).add(name)
    chosen: set[str] = set()
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in patterns:
        found = called.get(pattern, set())
        if "*" in pattern:
            found = {name for name in names if fnmatchcase(name, pattern)}
        if not found:
            raise unknown_target(pattern, known)
        chosen |= found
    return [target for name, target in names.items() if not patterns or name in chosen]


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None


def shown_path(path: Path) -> str:
    """Name a file the way a person in the working directory would."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _beside(shown: str, name: str) -> str:
    return str(Path(shown).parent / name)
