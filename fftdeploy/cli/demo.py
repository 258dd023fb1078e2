"""Demo: the story as real commands in a real repository, against a sandbox of its own."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import fftdeploy
from fftdeploy import files, git
from fftdeploy.api import providers
from fftdeploy.cli.session import Session
from fftdeploy.commands import monitor
from fftdeploy.commands.context import NOW_VARIABLE, Context
from fftdeploy.commands.options.asking import MonitorOptions
from fftdeploy.commands.screens import Demonstrated, ShownStep
from fftdeploy.errors import DiskError, FftdeployError, UsageError
from fftdeploy.formats import toml_reader
from fftdeploy.output.report import Block, Cell, Patch, Raw, Report, line
from fftdeploy.releases import deployments
from fftdeploy.sandbox import Model, Sandbox, Skill, World

EXAMPLES = "triage.jsonl"
"""The template whose lines are the reviewed examples of the story."""
_STEP_TIMEOUT_S = 60.0
_OWN_KEY = "LLAMA_KEY"
"""The variable with the key of the team's own host."""
_OWN = World().with_models(Model("triage-8b", Skill(6)))
"""What that host serves: a sandbox stands in for it."""
_KEPT = frozenset(
    {
        *("PATH", "HOME", "LANG", "TMPDIR", "TERM", "COLUMNS", "NO_COLOR", "FORCE_COLOR"),
        *("LC_ALL", "LC_CTYPE", "PYTHONIOENCODING"),
        *("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "VIRTUAL_ENV"),
    }
)


class Step(NamedTuple):
    """One step of the story, as `templates/story.toml` has and explains it."""

    at: datetime
    command: str
    says: str = ""
    exit_code: int = 0
    deleted: str = ""
    path: str = ""
    examples: int = 0
    adds: str = ""
    commit: str = ""
    hidden: bool = False
    days: int = 0
    like: Mapping[str, str] = MappingProxyType({})


class Story(NamedTuple):
    """What is told, and what is live and on hold in production in the end."""

    opening: str
    author: tuple[str, str]
    steps: tuple[Step, ...]
    live: Mapping[str, str]
    held: frozenset[str]
    patches: int = 0
    """Commits of the file that are shown in the end."""
    following: str = "fftdeploy sandbox"
    """The command that tells what comes next."""


@cache
def read_story(name: str = "whole") -> Story:
    """Return a story that the package has: an act by its name, `whole` the first, or `short`."""
    told = toml_reader.loads(_template("story.toml"))
    story = told[name]
    steps = tuple(Step(**step) for step in story["steps"])
    end = story["end"]
    held = frozenset(end.get("held", ()))
    more = {name: story[name] for name in ("patches", "following") if name in story}
    return Story(story["opening"], told["author"], steps, end["live"], held, **more)


def _template(name: str) -> str:
    return resources.files(fftdeploy).joinpath("templates", name).read_text(encoding="utf-8")


class Demonstration:
    """One run of `demo`."""

    def __init__(
        self, session: Session, story: Story, folder: Path | None, *, waits: bool = False
    ) -> None:
        """Take the story, where to put its repository, and whether Enter leads to the next step.

        Raises:
            UsageError: The folder is in use, or nobody is there to press Enter.
        """
        self.session, self.story, self.waits = session, story, waits
        if waits and not session.output.is_interactive:
            raise UsageError("--step needs a terminal", hint="fftdeploy demo", code="no-terminal")
        self.folder = _empty_folder(folder)
        self.file = self.folder / files.NAME
        self.body: list[Block] = []
        """What is shown in the end; nothing where everything was shown as it happened."""
        self.is_live = session.output.form == "text"
        self.wrong: list[str] = []
        self.steps: list[ShownStep] = []
        session.known = self._result()

    def run(self) -> Report:
        """Tell the story and leave the repository behind.

        Raises:
            UsageError: There is no git.
            FftdeployError: A step did not end as the story tells it.
        """
        with (
            Sandbox() as sandbox,
            Sandbox(_OWN) as self.own,
            tempfile.TemporaryDirectory() as folder,
        ):
            self.providers = Path(folder) / providers.FILE_NAME
            self._say(line(Cell(self.story.opening, "strong")))
            self._say(line(f"repository {self.folder}, all on this machine"))
            environ = self._environ(self.story.steps[0].at, sandbox)
            try:
                repository = git.create_repository(self.folder, *self.story.author, environ)
            except UsageError as error:
                raise UsageError(
                    f"the demo needs git: {error.message}", hint="install git", code="no-git"
                ) from None
            for step in self.story.steps:
                if not step.hidden:
                    says = f"{step.at:%Y-%m-%d}  {step.says}" if step.says else ""
                    self._type(says, step.command)
                if step.command.startswith("fftdeploy "):
                    self._play(step, sandbox)
                else:
                    self._change(step, repository, self._environ(step.at, sandbox))
                if self.waits and not step.hidden:  # without words of its own it goes with another
                    self.session.output.ask("-- Enter --")
        if count := self.story.patches:
            shown = ("--patch", "--oneline", "--unified=0", "--no-color", "--no-textconv")
            asked = ("log", *shown, f"--max-count={count}", "--", files.NAME)
            patches = repository.ask(*asked).decode(errors="replace")
            log = f"git log -p --oneline -U0 -n {count} {files.NAME}"
            self._type("What the reviewers saw, newest first:", log, patches)
        self._check_end()
        if self.wrong:
            raise FftdeployError(
                f"the story went wrong: {self.wrong[0]}",
                hint=f"please report it with this output; the repository is {self.folder}",
                code="bug",
            )
        told = f"Every step ended as told. What comes next: {self.story.following}"
        self._say(line(""), line(Cell(told, "good")))
        following = f"cd {shlex.quote(str(self.folder))} && fftdeploy status --offline"
        return Report(data=self._result(), body=tuple(self.body), next=following)

    def _result(self) -> Demonstrated:
        return Demonstrated(str(self.folder), tuple(self.steps))

    def _change(self, step: Step, repository: git.Repository, environ: Mapping[str, str]) -> None:
        """Do what somebody does by hand."""
        path = self.folder / step.path
        if step.commit:
            found = [each for each in self.folder.rglob("*") if each.is_file() and _is_ours(each)]
            git.commit(repository, sorted(found), f"{step.commit}\n", environ)
        elif step.examples:
            lines = _template(EXAMPLES).splitlines(keepends=True)
            data = "".join(lines[: step.examples]).encode()
            if not files.create(path, data, root=self.folder):
                files.put(path, data)
        elif step.adds:
            path = self.providers if step.path == providers.FILE_NAME else path
            before = path.read_text() if path.exists() else ""
            text = step.adds.replace("@OWN@", self.own.url)
            files.put(path, f"{before}{text}".encode())
            self.steps[-1] = replace(self.steps[-1], output=text)
            self._say(Raw(self.session.output.clean(text)))

    def _play(self, step: Step, sandbox: Sandbox) -> None:
        """Run one command at its moment, and compare how it ended with the story."""
        for back in range(step.days, 0, -1):
            self._look(step.at - timedelta(days=back), sandbox)
        for each in (sandbox, self.own):
            each.set_now(step.at)
        if step.deleted:
            sandbox.remove(step.deleted)
        for model, like in step.like.items():
            sandbox.change(model, like=like)
        code, output = self._run(step, self._environ(step.at, sandbox))
        if not step.hidden:
            self.steps[-1] = replace(self.steps[-1], exit_code=code, output=output)
        self.session.known = self._result()
        if code:
            self._say(line(Cell(f"exit {code}", "warn")))
        if code != step.exit_code:
            self.wrong.append(f"`{step.command}` ended with {code}, not {step.exit_code}")

    def _look(self, at: datetime, sandbox: Sandbox) -> None:
        """Look at what is live on another day, as a scheduled job would; nothing is shown."""
        sandbox.set_now(at)
        context = Context(command="monitor", environ=self._environ(at, sandbox), file=self.file)
        try:
            monitor.run(context, MonitorOptions("triage/production"))
        finally:
            context.close()

    def _run(self, step: Step, environ: Mapping[str, str]) -> tuple[int, str]:
        """Run a command of the story: straight onto our stdout if that is for people."""
        _, *arguments = shlex.split(step.command)
        is_live = self.is_live and not step.hidden
        try:
            ended = subprocess.run(
                [sys.executable, "-P", "-m", "fftdeploy", *arguments],
                cwd=self.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=None if is_live else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                timeout=_STEP_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.wrong.append(f"`{step.command}` did not end within {_STEP_TIMEOUT_S:g} s")
            return -1, ""
        output = ended.stdout or ""
        if output and not step.hidden:
            self._say(Raw(self.session.output.clean(output)))
        return ended.returncode, output

    def _environ(self, at: datetime, sandbox: Sandbox) -> dict[str, str]:
        """Return what a command of the story may see: nothing of who runs the demo, or when."""
        moment = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        kept = {name: value for name, value in self.session.environ.items() if name in _KEPT}
        if self.providers.exists():
            kept |= {providers.VARIABLE: str(self.providers), _OWN_KEY: self.own.key}
        return kept | {
            "OPENAI_BASE_URL": sandbox.url,
            "OPENAI_API_KEY": sandbox.key,
            NOW_VARIABLE: moment,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": moment,
            "GIT_COMMITTER_DATE": moment,
        }

    def _type(self, says: str, command: str, patch: str = "") -> None:
        """Show what is said and typed, with the patches that git answers."""
        self.steps.append(ShownStep(says, command, output=patch))
        self.session.known = self._result()
        said = (line(Cell(f"# {says}", "dim")),) if says else ()
        self._say(line(""), *said, line(Cell(f"$ {command}", "strong")))
        if patch:
            self._say(Patch(patch))

    def _say(self, *blocks: Block) -> None:
        if self.is_live:
            self.session.output.report("demo", Report(body=blocks))
        else:
            self.body += blocks

    def _check_end(self) -> None:
        """Compare what the file says in the end with the story."""
        found = deployments.parse(self.file.read_bytes()).targets
        live: Mapping[str, str] = {str(target): target.model for target in found.values()}
        held = frozenset(hold.model for hold in found["triage", "production"].holds)
        if (live, held) != (self.story.live, self.story.held):
            self.wrong.append(f"{files.NAME} says {live}, on hold {sorted(held)}")


def _is_ours(path: Path) -> bool:
    """Tell whether a commit of everything takes a file: not git's own, and no answers."""
    return ".git" not in path.parts and "runs" not in path.parts


def _empty_folder(asked: Path | None) -> Path:
    """Return the folder of the story, made now if need be.

    Raises:
        UsageError: It exists and is not empty.
        DiskError: It can't be made.
    """
    try:
        if asked is None:
            return Path(tempfile.mkdtemp(prefix="fftdeploy-demo-")).resolve()
        asked.mkdir(parents=True, exist_ok=True)
        if any(asked.iterdir()):
            raise UsageError(f"{str(asked)!a} is not empty", hint="name a new folder with --dir")
        return asked.resolve()
    except FileExistsError:
        raise UsageError(f"{str(asked)!a} is a file", hint="name a new folder with --dir") from None
    except OSError as error:
        raise DiskError(f"{error.strerror} making {str(asked or 'a folder')!a}") from None
