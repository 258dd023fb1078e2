"""Init: the files a repository needs, written beside what is there and never over it."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import fftdeploy
from fftdeploy import files
from fftdeploy.commands import schema_files, setup_facts, setup_texts
from fftdeploy.commands.context import Context, actor_name
from fftdeploy.commands.door import door
from fftdeploy.commands.setup_facts import InitOptions, SetupFacts, WrittenModel
from fftdeploy.errors import ConfigError, FftdeployError, UsageError
from fftdeploy.evaluation.examples.examples import open_examples
from fftdeploy.evaluation.graders.proposed import ProposedBar, propose
from fftdeploy.formats import document
from fftdeploy.output.results import UNPRINTED
from fftdeploy.planning.plan import Actor
from fftdeploy.policy import policy
from fftdeploy.releases import deployments, guessed_shapes, rendering
from fftdeploy.releases.deployments import Deployments
from fftdeploy.workspace import shown_path

_PLAIN = re.compile(r"( --file [A-Za-z0-9._/][A-Za-z0-9._/-]*)?")


class _Wanted(NamedTuple):
    """One file to write; `to_add` is what a person adds by hand where there is one already."""

    path: Path
    template: str
    """A file of `templates/`, or the name of a schema."""
    to_add: bool = False


@dataclass(frozen=True, slots=True)
class ToAdd:
    """What a person adds to a file that was there already."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Initialized:
    """The files of a repository, each written or kept, with what is left to be done by hand."""

    folder: str
    wrote: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    to_add: tuple[ToAdd, ...] = ()
    rewrote: str | None = None
    """The deployments file, where it said the same in another shape."""
    task: str = ""
    environments: tuple[str, ...] = ()
    examples: str = ""
    inferred: tuple[str, ...] = ()
    """What the examples have in common, from which the gate was made."""
    not_judged: tuple[str, ...] = ()
    """What that gate can't tell; a person has to look at it."""
    found: tuple[WrittenModel, ...] = ()
    """Fine-tunes that are written down in the repository, where nothing is said to be live."""
    all: tuple[str, ...] = field(default=(), metadata=UNPRINTED)
    """Files written and kept, in their order."""
    next: str = field(default="", metadata=UNPRINTED)


def run(context: Context, options: InitOptions) -> Initialized:
    """Write the files a repository needs; what exists is kept and named.

    Raises:
        UsageError: Something that was said can't be meant.
        ConfigError: A file would be outside of the folder, or behind a link; the examples are
            not valid; or the deployments file has another shape and is not to be rewritten.
        DiskError: The disk refused; what was written before is complete and stays.
    """
    setup_facts.require_options(options)
    return _Init(context, options).run()


init = door(run, InitOptions)


class _Init:
    """One run of `init`."""

    def __init__(self, context: Context, options: InitOptions) -> None:
        self.context, self.options = context, options
        self.path = schema_files.deployments_path(context)
        self.folder, self.root = self.path.parent, files.root_of(self.path.parent)
        self.option = _file_option(self.path, self.root)
        if options.ci is not None and not _PLAIN.fullmatch(self.option):
            name = self.option.removeprefix(" --file ")
            raise UsageError(
                f"--ci: {name!a} can't stand in a workflow unquoted",
                hint="leave out --ci, and write the workflow by hand",
            )
        self.result = Initialized(str(self.folder))
        self.rules = _policy(self.folder)
        """The policy that was there before."""

    def run(self) -> Initialized:
        known = self._known()
        tasks = tuple(self.rules.tasks) if self.rules else ()
        facts = setup_facts.decide(self.context, self.options, known, tasks)
        actor = Actor(actor_name(self.context, None, self.folder), self.context.now())
        path = self._examples(facts)
        bar = self._proposed(path)
        examples = path.relative_to(self.folder).as_posix()
        policy_text = setup_texts.policy_text(self._template, facts, bar, examples)
        task_text = setup_texts.task_text(self._template, facts, bar, examples)
        self._write(
            _Wanted(self.path, ""), setup_texts.deployments_text(self._template, facts, actor)
        )
        self._write(_Wanted(self.folder / policy.FILE_NAME, ""), policy_text)
        self._add_missing(facts, known, task_text, examples)
        for wanted in self._wanted(facts):
            is_schema = wanted.path.suffix == ".json"
            name = wanted.template
            text = schema_files.content(name) if is_schema else self._template(name)
            self._write(wanted, text.replace("@WATCHED@", self._watched()))
        return replace(
            self.result,
            task=facts.task,
            environments=facts.environments,
            examples=examples,
            inferred=bar.seen,
            not_judged=bar.not_judged,
            found=facts.found if not facts.live else (),
            next=self._next(facts),
        )

    def _next(self, facts: SetupFacts) -> str:
        """Return the first step, by what the file says is live; none before the policy is whole."""
        if any(each.path == policy.FILE_NAME for each in self.result.to_add):
            return ""
        written = deployments.parse(files.read(self.path, root=self.root).data)
        found = {name: written.find(f"{facts.task}/{name}") for name in facts.environments}
        live = {name: target.model for name, target in found.items() if target and target.model}
        return _next(facts, live)

    def _known(self) -> Deployments | None:
        """Return the deployments file that is there; None for none.

        One in a shape that people guess first is rewritten if a person says so.

        Raises:
            ConfigError: It is not valid: nothing that is written beside it could be used.
        """
        if not os.path.lexists(self.path):
            return None
        snapshot = files.read(self.path, root=self.root)
        try:
            return deployments.parse(snapshot.data, shown_path(self.path))
        except ConfigError as error:
            if error.code != "shape":
                raise
            found = document.parse(snapshot.data, "")
            meant = guessed_shapes.guess(found, self.options.task or "")
            if meant is None or not meant.text or not self._may_rewrite(meant.lines):
                raise
        files.replace(snapshot, meant.text.encode())
        shown = _shown(self.path, self.folder, self.root)
        self.context.known = self.result = replace(self.result, rewrote=shown)
        return deployments.parse(meant.text.encode())

    def _may_rewrite(self, lines: tuple[str, ...]) -> bool:
        console = self.context.console
        if self.options.rewrite or not (self.options.ask and console.is_interactive):
            return self.options.rewrite
        console.note(f"{shown_path(self.path)} is to be written so:")
        for line in lines:
            console.note(f"  {line}")
        return console.ask("rewrite it? [y/N]").lower() in {"y", "yes"}

    def _examples(self, facts: SetupFacts) -> Path:
        """Return the file of the examples, written first where it is ours or lies elsewhere.

        Raises:
            ConfigError: The file that was named is not there.
        """
        ours = self.folder / "evals" / f"{facts.task}.jsonl"
        gate = self.rules.gate(facts.task) if self.rules else None
        there = self.folder / gate.examples[0] if gate else ours
        if facts.examples is None and there != ours and there.is_file():
            return there
        if facts.examples is None:
            template = "triage.jsonl" if facts.is_example else "example.jsonl"
            self._write(_Wanted(ours, template), self._template(template))
            return ours
        named = (Path.cwd() / facts.examples).resolve()
        if named.is_relative_to(self.folder.resolve()):
            return self.folder / named.relative_to(self.folder.resolve())
        found = files.read(named, root=named.parent, hint="--examples names a file")
        self._write(_Wanted(ours, ""), found.data.decode(errors="surrogateescape"))
        return ours

    def _proposed(self, path: Path) -> ProposedBar:
        found = open_examples([(path, shown_path(path))], root=self.folder, now=self.context.now())
        if not len(found):
            raise ConfigError("there is no example", where=shown_path(path), code="examples")
        return propose(found)

    def _wanted(self, facts: SetupFacts) -> Iterator[_Wanted]:
        """Yield the files that are the same whatever they are about."""
        if facts.is_example:
            profile = f"{setup_texts.EXAMPLE_PROFILE}.toml"
            yield _Wanted(self.folder / "profiles" / profile, profile)
        yield _Wanted(self.folder / ".fftdeploy" / ".gitignore", "gitignore")
        for name in schema_files.NAMES:
            yield _Wanted(schema_files.path_of(self.folder, name), name)
        if self.options.ci == "github":
            yield _Wanted(self.root / ".github" / "workflows" / "fftdeploy.yml", "github.yml")
        if self.options.ci == "gitlab":
            yield _Wanted(self.root / ".gitlab" / "fftdeploy.yml", "gitlab.yml")
            yield _Wanted(self.root / ".gitlab-ci.yml", "gitlab-root.yml", to_add=True)
        if self.options.ci is not None:
            yield _Wanted(self.root / ".pre-commit-config.yaml", "pre-commit.yaml", to_add=True)

    def _watched(self) -> str:
        names = _watched(self.path)
        return "".join(f"|{re.escape(name)}" for name in names).replace("'", "''")

    def _template(self, name: str) -> str:
        text = resources.files(fftdeploy).joinpath("templates", name).read_text(encoding="utf-8")
        return text.replace("@VERSION@", fftdeploy.__version__).replace("@FILE@", self.option)

    def _write(self, wanted: _Wanted, text: str) -> None:
        shown = _shown(wanted.path, self.folder, self.root)
        inside = self.folder if wanted.path.is_relative_to(self.folder) else self.root
        result = replace(self.result, all=(*self.result.all, shown))
        if files.create(wanted.path, text.encode(errors="surrogateescape"), root=inside):
            result = replace(result, wrote=(*result.wrote, shown))
        else:
            result = replace(result, kept=(*result.kept, shown))
            if wanted.to_add and not _says(wanted.path, text, inside):
                result = replace(result, to_add=(*result.to_add, ToAdd(shown, text)))
        self.context.known = self.result = result

    def _add_missing(
        self, facts: SetupFacts, known: Deployments | None, task: str, examples: str
    ) -> None:
        """Say what the two TOML files lack of what was asked for, where they were there already."""
        lacks: list[ToAdd] = []
        for environment, model in facts.live.items():
            target = f"{facts.task}/{environment}"
            if known is not None and known.find(target) is None:
                line = f'fftdeploy adopt {target} --model {model} --why "TEXT"\n'
                lacks.append(ToAdd(files.NAME, line))
        if policy.FILE_NAME in self.result.kept:
            rules = self.rules
            gate = rules.gate(facts.task) if rules else None
            missing = [each for each in facts.environments if rules and each not in rules.order]
            if rules and rules.order and missing:
                order = rendering.value([*dict.fromkeys((*facts.environments, *rules.order))])
                lacks.append(ToAdd(policy.FILE_NAME, f"order = {order}\n"))
            if rules and (gate is None or examples not in gate.examples):
                is_there = facts.task in rules.tasks
                instead = f"# in place of every table of tasks.{facts.task}:\n" * is_there
                lacks.append(ToAdd(policy.FILE_NAME, instead + task))
        self.result = replace(self.result, to_add=(*self.result.to_add, *lacks))


def _next(facts: SetupFacts, live: Mapping[str, str]) -> str:
    """Return the first step that is left: the gate of the last, or a model where there is none."""
    *before, last = facts.environments
    evaluation = f"fftdeploy eval {facts.task}/{last}"
    if not before:
        return f"{evaluation} ID"  # nothing is promoted into it without evidence
    first = f"fftdeploy promote {facts.task}/{before[0]} --model ID"
    for above, environment in pairwise(facts.environments):
        if above in live and environment not in live:
            is_last = environment == last
            return evaluation if is_last else f"fftdeploy promote {facts.task}/{environment}"
    if before[-1] not in live:
        return first
    return evaluation if live[before[-1]] != live[last] else first


def _file_option(deployments: Path, root: Path) -> str:
    """Return the ` --file` that commands started at `root` need, if they need one."""
    place = deployments.relative_to(root).as_posix() if deployments.is_relative_to(root) else ""
    return f" --file {place}" if place not in {"", files.NAME} else ""


def _watched(deployments: Path) -> list[str]:
    """Name the files that `check` reads and that are not called as they usually are."""
    found = [] if deployments.name == files.NAME else [deployments.name]
    if named := _policy(deployments.parent):
        gates = [task.gate for task in named.tasks.values() if task.gate is not None]
        examples = [name for gate in gates for name in gate.examples]
        found += [name for name in examples if not name.startswith("evals/") and name.isprintable()]
    return list(dict.fromkeys(found))


def _policy(folder: Path) -> policy.Policy | None:
    """Return the policy as it is on the disk; None where there is none.

    Raises:
        ConfigError: It is not valid.
    """
    path = folder / policy.FILE_NAME
    if not os.path.lexists(path):
        return None
    return policy.parse(files.read(path, root=folder).data, shown_path(path))


def _says(path: Path, text: str, root: Path) -> bool:
    """Tell whether somebody has added `text` already, as far as its telling line says."""
    telling = max((row.strip() for row in text.splitlines() if "fftdeploy" in row), key=len)
    try:
        return telling.encode() in files.read(path, root=root).data
    except FftdeployError:
        return False


def _shown(path: Path, folder: Path, root: Path) -> str:
    return path.relative_to(folder if path.is_relative_to(folder) else root).as_posix()
