"""One run of a command: what it works on, its clock, whom it asks and whom it tells."""

import math
import os
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fftdeploy.api import providers
from fftdeploy.api.asked_hosts import AskedHosts
from fftdeploy.api.asking import Asker, Clock, system_clock
from fftdeploy.api.end_dates import find_shutdown
from fftdeploy.api.hosts import has_openais_dates, is_local, secret_parts, without_secrets
from fftdeploy.api.providers import Providers
from fftdeploy.api.readiness import Readiness, Shutdown
from fftdeploy.api.settings import Settings, kind_at, lack, secrets_of, settings
from fftdeploy.commands.console import Console, Silence
from fftdeploy.commands.options.declared import parse_time
from fftdeploy.errors import AuthError, ConfigError, FftdeployError, UsageError
from fftdeploy.formats.document import text_problem
from fftdeploy.model_ids import retirement
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.routing.runtime import FILE_VARIABLE, find_file
from fftdeploy.workspace import Workspace, open_workspace, shown_path

if TYPE_CHECKING:
    from fftdeploy.evaluation.arms import AskedHost
    from fftdeploy.evaluation.evidence.quality_bar import QualityBar

NOW_VARIABLE = "FFTDEPLOY_NOW"


@dataclass(frozen=True, slots=True)
class Api:
    """Whom was asked, and which setting says so."""

    address: str
    source: str = field(metadata={"key": "from"})


@dataclass(frozen=True, slots=True)
class HostView:
    """One host that was asked, and with the key of which variable; None for none."""

    provider: str
    address: str
    source: str = field(metadata={"key": "from"})
    key: str | None


@dataclass(kw_only=True)
class Context:
    """What every command has; made from the common flags and the environment."""

    command: str
    environ: Mapping[str, str]
    console: Console = field(default_factory=Silence)
    file: Path | None = None
    from_root: bool = False
    """Whether findings name files from the repository's root, as annotations do."""
    api: Api | None = None
    """Whom was asked first, once somebody was."""
    hosts: tuple[HostView, ...] = ()
    """Everybody that was asked."""
    hidden: list[str] = field(default_factory=list)
    """What is known by now that may never be shown; whoever shows something has the same list."""
    asks_nobody: bool = False
    """Whether nothing may be sent, so that only what the files know can be typed."""
    known: object = None
    """What the command's result would say by now: told even if it fails from here on."""
    changed: str = ""
    """Set once the deployments file was replaced: what it holds now."""

    @cached_property
    def workspace(self) -> Workspace:
        """The deployments file and what is beside it, read once."""
        path = Path(find_file(self.file, self.environ))
        try:
            return open_workspace(path)
        except ConfigError as error:
            if error.code == "merge-conflict":
                from fftdeploy.pull_request import conflict

                conflict.explain(error, path, self.environ, self.file_option)
            raise

    def workspace_if_any(self) -> Workspace | None:
        """Return the files; None before there are any, where none was named."""
        try:
            return self.workspace
        except ConfigError as error:
            if error.code != "no-file":
                raise
        return None

    @property
    def file_option(self) -> str:
        """How a command of a hint names the file that this run was told to take."""
        return f" --file {shlex.quote(str(self.file))}" if self.file else ""

    @property
    def place(self) -> str:
        """How findings name the file: as it is shown, or from the root for GitHub's sake."""
        return self.workspace.from_root if self.from_root else self.workspace.shown

    def shown(self, path: str) -> str:
        """Name a file of the repository, spelled from its root, as `place` names the file."""
        return path if self.from_root else shown_path(self.workspace.snapshot.root / path)

    def about(self, path: str) -> Self:
        """Return this run, with the same conversation, about another file of the repository."""
        return self.again(file=self.workspace.snapshot.root / path)

    def again(self, workspace: Workspace | None = None, **more: Any) -> Self:
        """Return a run with the same conversation, as one that has just begun.

        It reads the files anew, unless it is given a `workspace`; `more` are other fields.
        """
        other = replace(self, known=None, changed="", **more)
        other.__dict__.update({k: v for k, v in self.__dict__.items() if k in {"clock", "_hosts"}})
        if workspace is not None:
            other.__dict__["workspace"] = workspace
        return other

    @cached_property
    def clock(self) -> Clock:
        """The system's clock, or one that `FFTDEPLOY_NOW` sets to rehearse at a local server.

        Raises:
            UsageError: It is not a time, or the API address is not on this machine: a date that
                can be chosen would open freezes and hide retirements.
        """
        system, text = system_clock(), self.environ.get(NOW_VARIABLE)
        if not text:
            return system
        _require_rehearsal(self.environ, self.environ.get("OPENAI_BASE_URL", ""))
        moment = parse_time(text, NOW_VARIABLE)
        return Clock(now=lambda: moment, monotonic=system.monotonic, sleep=system.sleep)

    def now(self) -> datetime:
        """Return the moment in UTC, whole seconds: the server's once it was asked."""
        hosts = self.__dict__.get("_hosts")
        moment: datetime = hosts.now() if hosts else self.clock.now()
        return moment.astimezone(UTC).replace(microsecond=0)

    @property
    def secrets(self) -> list[str]:
        """What may never be shown or written: the keys of every provider, in addresses too."""
        with suppress(FftdeployError):  # it is told where the providers are needed
            for variable in self.providers.key_variables():
                known = secrets_of(self.environ, variable)
                self.hidden += [form for form in known if form not in self.hidden]
            for name in self.providers.known:
                known = secret_parts(self.providers.get(name).base_url)
                self.hidden += [part for part in known if part not in self.hidden]
        return self.hidden

    @cached_property
    def providers(self) -> Providers:
        """What the user's own file, which may lie in no checkout, says of the hosts."""
        checkouts = [self.workspace.folder] if "workspace" in self.__dict__ else []
        with suppress(OSError):  # the working directory is gone
            checkouts.append(Path.cwd())
        return providers.read(self.environ, checkouts)

    def require_provider(self, name: str) -> None:
        """Refuse a provider that is named on the command line, and that nothing is known of."""
        try:
            self.providers.get(name)
        except AuthError as error:
            raise UsageError(error.message, hint=error.hint, code=error.code) from None

    def can_ask(self, provider: str, environment: str) -> bool:
        """Tell whether there is anything to ask a provider with about what serves there."""
        return not lack(self.environ, self.providers, provider, environment)

    def can_ask_about(self, target: Target) -> bool:
        """Tell whether there is anything to ask about what is live in a target with."""
        return self.can_ask(target.provider, target.environment)

    def lacking(self, targets: Iterable[Target]) -> str:
        """Say which keys lack to ask about what is live in `targets`; "" where none does."""
        environ, known = self.environ, self.providers
        said = (lack(environ, known, each.provider, each.environment) for each in targets)
        return ", ".join(dict.fromkeys(filter(None, said)))

    def take_shutdowns(self) -> None:
        """Look dates up in the newer table of shutdowns that the user has given, if there is one.

        Raises:
            ConfigError: That table is not valid, not there, or within a checkout.
            DiskError: The disk or the permissions refused.
        """
        retirement.use(None)
        if not self.environ.get(retirement.VARIABLE):
            return
        from fftdeploy import files

        path = Path(self.environ[retirement.VARIABLE]).absolute()
        named = self.file or self.environ.get(FILE_VARIABLE)
        checkouts = [Path(named).absolute().parent] if named else []
        files.refuse_checkout(path, [*checkouts, Path.cwd()], "move it out of the repository")
        hint = f"set {retirement.VARIABLE} again, or unset it"
        snapshot = files.read(path, root=Path(path.anchor), hint=hint)
        given = retirement.parse(snapshot.data, str(path))
        if given.as_of >= retirement.table().as_of:
            retirement.use(given)
            return
        older = f"{retirement.VARIABLE} names a {given.dated}, older than the one that comes along"
        self.console.note(f"note: {older}: that is used")

    def note_old_table(self, sources: Iterable[str | None]) -> None:
        """Say that dates are from an old table, if any of those shown is."""
        if any(source and source.startswith(retirement.table().dated) for source in sources):
            age = retirement.table().age(self.now().date())
            if age:
                newer = f"a newer one can be named in {retirement.VARIABLE}"
                self.console.note(f"note: {age}: {newer}")

    def prover(
        self, *, wait_s: float = 0.0, concurrency: int = 16, is_plain: bool = False
    ) -> AskedHosts:
        """Return the conversations with the hosts; each says which address it asks.

        The first who wants them says whether they go over the SDK or, where `is_plain`, without.
        """
        if not 0 <= wait_s < math.inf:
            raise UsageError(f"--wait: {wait_s} is not a duration", hint="write 60s, 10m or 0")
        if "_hosts" not in self.__dict__:
            asker = Asker(
                self.clock,
                wait_s=wait_s,
                say=self.console.note,
                progress=self.console.progress,
                waiting=partial(self.console.waiting, "asking the API"),
            )
            _ = self.secrets
            self.__dict__["_hosts"] = AskedHosts(
                self.environ,
                self.providers,
                asker,
                self._tell,
                concurrency=concurrency,
                is_plain=is_plain,
            )
        hosts: AskedHosts = self.__dict__["_hosts"]
        return hosts

    def _tell(self, asked: Settings) -> None:
        _require_rehearsal(self.environ, asked.base_url)
        where = asked.base_url, asked.base_url_source
        self.api = self.api or Api(*where)
        self.hosts += (HostView(asked.provider.name, *where, asked.key_source or None),)
        self.console.note(asked.describe())

    def host(self, bundle: Bundle, environment: str) -> "AskedHost":
        """Return whom evidence about a bundle has to be from."""
        from fftdeploy.evaluation.arms import UNKNOWN_HOST, AskedHost

        if not self.can_ask(bundle.provider, environment):
            return UNKNOWN_HOST
        config = settings(self.environ, self.providers.get(bundle.provider), environment)
        kind = config.kind
        identity: Mapping[str, str] = {}
        answered_as = ""
        hosts: AskedHosts | None = self.__dict__.get("_hosts")
        if hosts and (asked := hosts.asked(bundle.provider, environment)):
            kind = kind or asked.connection.kind
            identity = asked.identity(bundle.model)
            answered_as = asked.answered_as(bundle.model)
        address = without_secrets(config.base_url)
        return AskedHost(address, str(kind or ""), identity, answered_as)

    def quality_bar(self, workspace: Workspace, target: str) -> "QualityBar":
        """Return what the policy of `workspace` asks of candidates of `target`."""
        from fftdeploy import git
        from fftdeploy.evaluation.evidence.quality_bar import QualityBar

        def restoring(path: Path) -> str:
            return git.restoring_line(workspace.folder, path, self.environ)

        return QualityBar(workspace, target, now=self.now, host=self.host, restoring=restoring)

    def shutdown(self, what: Bundle | Target, known: Readiness | None) -> Shutdown | None:
        """Return when a model ends: as its host has said, or else, where that counts, OpenAI."""
        if known and known.where:
            return known.shutdown
        kind = None
        with suppress(FftdeployError):  # what is wrong with them is told where they are needed
            kind = kind_at(self.environ, self.providers.get(what.provider))
        by_table = has_openais_dates(kind, what.provider)
        return find_shutdown(what.model, None, by_table)

    def close(self) -> None:
        """Let go of the connections and the progress line."""
        self.console.stop_progress()
        if hosts := self.__dict__.pop("_hosts", None):
            hosts.close()


def _require_rehearsal(environ: Mapping[str, str], address: str) -> None:
    """Refuse a date of one's own where what is asked is not on this machine."""
    if environ.get(NOW_VARIABLE) and not is_local(address):
        raise UsageError(
            f"{NOW_VARIABLE} is for rehearsals: it needs OPENAI_BASE_URL on this machine",
            hint=f"unset {NOW_VARIABLE}",
        )


def require_offset(moment: datetime, flag: str) -> datetime:
    """Return a moment that says of which zone it is; UsageError where it does not."""
    if moment.tzinfo is None:
        raise UsageError(f"{flag}: {moment} has no offset", hint="give it a time zone, such as UTC")
    return moment


def actor_name(context: Context, asked: str | None, folder: Path | None = None) -> str:
    """Return who makes a change: `--by`, the CI's actor, git's e-mail, or the OS user.

    `folder` is where git is asked; None for that of the deployments file.

    Raises:
        UsageError: The first of them that there is is not one line of text.
    """
    environ = context.environ
    if asked is not None:
        return _actor("--by", asked)
    for variable in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
        if name := environ.get(variable):
            return _actor(variable, name)
    from fftdeploy import git

    if email := git.user_email(folder or context.workspace.folder, environ):
        return _actor("git's user.email", email)
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def _actor(source: str, name: str) -> str:
    if problem := text_problem(name):
        raise UsageError(f"{source} {problem}", hint="add --by NAME", code="by")
    return name


def require_page(path: str | Path, hint: str) -> None:
    """Refuse a name that is none of a page."""
    if Path(path).suffix not in {".html", ".htm"}:
        raise UsageError(f"{Path(path).name!a} is no page", hint=hint)


def one_of(flags: Mapping[str, object]) -> None:
    """Refuse flags that exclude each other."""
    given = [name for name, value in flags.items() if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", hint="give one of them")
