"""One run of a command: what it works on, its clock, whom it asks and whom it tells."""

import math
import os
import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from fftdeploy.api import providers
from fftdeploy.api.asking import Clock, system_clock
from fftdeploy.api.hosts import Kind, is_loopback
from fftdeploy.api.settings import Settings, has_key, kind_at, settings
from fftdeploy.errors import ConfigError, FftdeployError, UsageError
from fftdeploy.formats.document import text_problem
from fftdeploy.routing.runtime import find_file
from fftdeploy.workspace import Workspace, open_workspace, shown_path

if TYPE_CHECKING:
    from fftdeploy.api.proof import Prover
    from fftdeploy.evaluation.evidence.quality_bar import AskedHost, QualityBar

NOW_VARIABLE = "FFTDEPLOY_NOW"


@dataclass(frozen=True, slots=True)
class Api:
    """Whom was asked, and which setting says so."""

    address: str
    source: str = field(metadata={"key": "from"})


class Console(Protocol):
    """Whoever is told what goes on, and may be asked."""

    @property
    def is_interactive(self) -> bool:
        """Tell whether there is a person who can be asked."""

    @property
    def shows_progress(self) -> bool:
        """Tell whether a line that moves can be seen."""

    def note(self, text: str) -> None:
        """Take one line about what is going on."""

    def progress(self, text: str) -> None:
        """Take a line that replaces the last one of its kind."""

    def stop_progress(self) -> None:
        """Take that line away."""

    def leave_progress(self) -> None:
        """Go on below that line."""

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """Show, while it is entered, that one waits."""

    def ask(self, question: str) -> str:
        """Return a person's answer; "" where there is none."""


class Silence:
    """Nobody: nothing is said, nothing can be asked."""

    is_interactive = False
    shows_progress = False

    def note(self, text: str) -> None:
        """Drop `text`."""

    progress = note

    def stop_progress(self) -> None:
        """Do nothing: there is no such line."""

    leave_progress = stop_progress

    def waiting(self, what: str) -> AbstractContextManager[None]:  # noqa: ARG002 - as above
        """Show nothing."""
        return nullcontext()

    def ask(self, question: str) -> str:  # noqa: ARG002 - nobody hears it
        """Return no answer."""
        return ""


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
    """Whom was asked, once somebody was."""
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
        other = replace(self, file=self.workspace.snapshot.root / path, known=None, changed="")
        other.__dict__.update({k: v for k, v in self.__dict__.items() if k in {"clock", "_prover"}})
        return other

    @cached_property
    def clock(self) -> Clock:
        """The system's clock, or a rehearsal's."""
        return rehearsal_clock(self.environ) or system_clock()

    def now(self) -> datetime:
        """Return the moment in UTC, whole seconds: the server's once it was asked."""
        prover = self.__dict__.get("_prover")
        moment: datetime = prover.now() if prover else self.clock.now()
        return moment.astimezone(UTC).replace(microsecond=0)

    @cached_property
    def secrets(self) -> list[str]:
        """What may never be shown or written."""
        return secrets_of(self.environ)

    @property
    def has_key(self) -> bool:
        """Tell whether there is anything to ask the API with."""
        return has_key(self.environ)

    @cached_property
    def settings(self) -> Settings:
        """Where to ask and as whom; what `prover` refuses is refused here.

        A file of the user's says what kind of host it is, and may lie in no checkout.
        """
        checkouts = [self.workspace.folder] if "workspace" in self.__dict__ else []
        with suppress(OSError):  # the working directory is gone
            checkouts.append(Path.cwd())
        return settings(self.environ, providers.read(self.environ, checkouts))

    def prover(
        self, *, wait_s: float = 0.0, concurrency: int = 16, is_plain: bool = False
    ) -> "Prover":
        """Return the conversation with the API, and say which address it asks.

        The first who wants it says whether it goes over the SDK or, where `is_plain`, without.

        Raises:
            AuthError: The key is missing or malformed.
            ConfigError: The address may not be used.
        """
        if not 0 <= wait_s < math.inf:
            raise UsageError(f"--wait: {wait_s} is not a duration", hint="write 60s, 10m or 0")
        if "_prover" not in self.__dict__:
            config = self.settings
            from fftdeploy.api.client.connection import Connection
            from fftdeploy.api.proof import Prover

            self.api = Api(config.base_url, config.base_url_source)
            self.console.note(config.describe())
            waiting = partial(self.console.waiting, "asking the API")
            with waiting():  # its client takes half a second to import
                connection = Connection(
                    config, max_connections=max(concurrency, 4), is_plain=is_plain
                )
            self.__dict__["_prover"] = Prover(
                connection,
                clock=self.clock,
                wait_s=wait_s,
                concurrency=concurrency,
                say=self.console.note,
                progress=self.console.progress,
                waiting=waiting,
            )
        prover: Prover = self.__dict__["_prover"]
        return prover

    def host(self) -> "AskedHost":
        """Return whom evidence has to be about."""
        from fftdeploy.evaluation.evidence.quality_bar import AskedHost

        if not self.has_key:
            return AskedHost()
        prover = self.__dict__.get("_prover")
        kind = (prover.connection if prover else self.settings).kind
        return AskedHost(self.settings.base_url, str(kind or ""))

    def quality_bar(self, workspace: Workspace, target: str) -> "QualityBar":
        """Return what the policy of `workspace` asks of the candidates of `target`.

        Raises:
            ConfigError: The task has no gate.
        """
        from fftdeploy import git
        from fftdeploy.evaluation.evidence.quality_bar import QualityBar

        def restoring(path: Path) -> str:
            return git.restoring_line(workspace.folder, path, self.environ)

        return QualityBar(workspace, target, now=self.now, host=self.host, restoring=restoring)

    @cached_property
    def kind_unasked(self) -> Kind | None:
        """The kind of the host as far as it is known without a question; None on this machine."""
        with suppress(FftdeployError):  # what is wrong with them is told where they are needed
            return self.settings.kind
        return kind_at(self.environ)

    def close(self) -> None:
        """Let go of the connection and the progress line."""
        self.console.stop_progress()
        if prover := self.__dict__.pop("_prover", None):
            prover.connection.close()


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """Return the key in every form in which something might quote it, the longest first.

    A short one, such as a sandbox's "test", may be part of an honest model ID.
    """
    import json
    from base64 import b64encode
    from urllib.parse import quote

    key = environ.get("OPENAI_API_KEY", "").strip()
    raw = os.fsencode(key)
    forms = {key, json.dumps(key)[1:-1], quote(raw, safe=""), b64encode(raw).decode().rstrip("=")}
    if len(key) >= 20:
        forms.add(key[:12])
    return sorted((form for form in forms if len(form) >= 8), key=len, reverse=True)


def rehearsal_clock(environ: Mapping[str, str]) -> Clock | None:
    """Return the clock that `FFTDEPLOY_NOW` sets, for a rehearsal against a local server.

    Raises:
        UsageError: It is not a time, or the API address is not on this machine: a date that
            can be chosen would open freezes and hide retirements.
    """
    text = environ.get(NOW_VARIABLE)
    if not text:
        return None
    from urllib.parse import urlsplit

    try:
        host = urlsplit(environ.get("OPENAI_BASE_URL", "")).hostname or ""
    except ValueError:  # not an address at all
        host = ""
    if not is_loopback(host):
        raise UsageError(
            f"{NOW_VARIABLE} is for rehearsals: it needs OPENAI_BASE_URL on this machine",
            hint=f"unset {NOW_VARIABLE}",
        )
    moment = parse_time(text, NOW_VARIABLE)
    system = system_clock()
    return Clock(now=lambda: moment, monotonic=system.monotonic, sleep=system.sleep)


def parse_time(text: str, flag: str, *, day: time = time.min) -> datetime:
    """Read a time with an offset, or a day in UTC, which stands for its time `day`.

    Raises:
        UsageError: It is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{flag}: {text!a} is not a time", hint="write 2026-11-21T08:30:00Z"
        ) from None
    if len(text) == 10:
        return datetime.combine(moment, day, UTC)
    if moment.tzinfo is None:
        raise UsageError(f"{flag}: {text} has no offset", hint="end it with Z for UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{flag}: {text} is outside of the calendar in UTC") from None


def require_offset(moment: datetime, flag: str) -> datetime:
    """Return a moment that says of which zone it is.

    Raises:
        UsageError: It does not.
    """
    if moment.tzinfo is None:
        raise UsageError(f"{flag}: {moment} has no offset", hint="give it a time zone, such as UTC")
    return moment


def actor_name(context: Context, asked: str | None) -> str:
    """Return who makes a change: `--by`, the CI's actor, git's e-mail, or the OS user.

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

    email = git.user_email(context.workspace.folder, environ)
    return _actor("git's user.email", email) if email else _os_user()


def _actor(source: str, name: str) -> str:
    if problem := text_problem(name):
        raise UsageError(f"{source} {problem}", hint="add --by NAME", code="by")
    return name


def _os_user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def one_of(flags: Mapping[str, object]) -> None:
    """Refuse flags that exclude each other.

    Raises:
        UsageError: More than one of them is given.
    """
    given = [name for name, value in flags.items() if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", hint="give one of them")
