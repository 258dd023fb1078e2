"""Init: the files a repository needs, written beside what is there and never over it."""

import os
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import pairwise
from pathlib import Path

import fftdeploy
from fftdeploy import files
from fftdeploy.commands import schema_files, setup_facts
from fftdeploy.commands.context import Context, actor_name
from fftdeploy.commands.door import door
from fftdeploy.commands.options.looking import InitOptions
from fftdeploy.commands.setup_facts import SetupFacts, WrittenModel
from fftdeploy.errors import ConfigError, FftdeployError, UsageError
from fftdeploy.evaluation.graders.proposed import ProposedBar, propose
from fftdeploy.formats import document
from fftdeploy.output.results import UNPRINTED
from fftdeploy.planning import plan
from fftdeploy.planning.plan import Actor
from fftdeploy.policy import policy
from fftdeploy.releases import deployments, edit, guessed_shapes
from fftdeploy.releases.deployments import Bundle, Deployments, Target
from fftdeploy.releases.rendering import table, value
from fftdeploy.workspace import shown_path

Template = Callable[[str], str]
"""Returns a file of `templates/`."""

_EXAMPLE_PROFILE = "triage-long"
"""The prompt for models that nobody has tuned, in the example."""
_ADOPTED_WHY = "live when fftdeploy was set up"
_WIDTH = 100
_PLAIN = re.compile(r"( --file [A-Za-z0-9._/][A-Za-z0-9._/-]*)?")


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
        # The ` --file` that commands started at the root need, if they need one.
        is_inside = self.path.is_relative_to(self.root)
        place = self.path.relative_to(self.root).as_posix() if is_inside else ""
        self.option = f" --file {place}" if place not in {"", files.NAME} else ""
        if options.ci is not None and not _PLAIN.fullmatch(self.option):
            raise UsageError(
                f"--ci: {place!a} can't stand in a workflow unquoted",
                hint="leave out --ci, and write the workflow by hand",
            )
        self.result = Initialized(str(self.folder))
        self.rules = _policy(self.folder)
        """The policy that was there before."""

    def run(self) -> Initialized:
        known = self._known()
        facts = setup_facts.decide(self.context, self.options, known, self.rules)
        actor = Actor(actor_name(self.context, None, self.folder), self.context.now())
        path = self._examples(facts)
        now = self.context.now()
        bar = propose(setup_facts.examples_at(path, shown_path(path), self.folder, now))
        examples = path.relative_to(self.folder).as_posix()
        said = policy_text(self._template, facts, bar, examples)
        task_text = _task_text(self._template, facts, bar, examples)
        self._write(self.path, deployments_text(self._template, facts, actor))
        self._write(self.folder / policy.FILE_NAME, said)
        self._add_missing(facts, known, task_text, examples)
        self._write_others(facts)
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
        """Return the first step that is left, by what the file says is live.  "" for none."""
        if any(each.path == policy.FILE_NAME for each in self.result.to_add):
            return ""
        written = deployments.parse(files.read(self.path, root=self.root).data)
        found = {name: written.find(f"{facts.task}/{name}") for name in facts.environments}
        live = {name: target.model for name, target in found.items() if target and target.model}
        *before, last = facts.environments
        evaluation = f"fftdeploy eval {facts.task}/{last}"
        if not before:
            return f"{evaluation} ID"  # nothing is promoted into it without evidence
        first = f"fftdeploy promote {facts.task}/{before[0]} --model ID"
        for above, environment in pairwise(facts.environments):
            if above in live and environment not in live:
                is_last = environment == last
                return evaluation if is_last else f"fftdeploy promote {facts.task}/{environment}"
        is_ahead = before[-1] in live and live[before[-1]] != live[last]
        return evaluation if is_ahead else first

    def _known(self) -> Deployments | None:
        """Return the deployments file that is there; None for none.

        One in a shape that people guess first is rewritten if a person says so.
        """
        if not os.path.lexists(self.path):
            above = (up / files.NAME for up in self.folder.parents if up.is_relative_to(self.root))
            if other := next(filter(os.path.lexists, above), None):
                self.context.console.note(
                    f"warning: {shown_path(other)} is there already: "
                    "what runs in this folder asks the new file now"
                )
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
        self.context.known = self.result = replace(self.result, rewrote=self._shown(self.path))
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
        """Return the file of the examples, written first where it is ours or lies elsewhere."""
        ours = self.folder / "evals" / f"{facts.task}.jsonl"
        if facts.examples is None:
            gate = self.rules.gate(facts.task) if self.rules else None
            there = self.folder / gate.examples[0] if gate else ours
            if there != ours and there.is_file():
                return there
            template = "triage.jsonl" if facts.is_example else "example.jsonl"
            self._write(ours, self._template(template))
            return ours
        named = (Path.cwd() / facts.examples).resolve()
        if named.is_relative_to(self.folder.resolve()):
            return self.folder / named.relative_to(self.folder.resolve())
        found = files.read(named, root=named.parent, hint="--examples names a file")
        self._write(ours, found.data.decode(errors="surrogateescape"))
        return ours

    def _write_others(self, facts: SetupFacts) -> None:
        """Write the files that are the same whatever they are about."""
        wanted = {self.folder / ".fftdeploy" / ".gitignore": "gitignore"}
        if facts.is_example:
            profile = f"{_EXAMPLE_PROFILE}.toml"
            wanted = {self.folder / "profiles" / profile: profile, **wanted}
        for path, name in wanted.items():
            self._write(path, self._template(name))
        for name in schema_files.NAMES:
            self._write(schema_files.path_of(self.folder, name), schema_files.content(name))
        if self.options.ci == "github":
            path = self.root / ".github" / "workflows" / "fftdeploy.yml"
            self._write(path, self._template("github.yml"))
        if self.options.ci == "gitlab":
            self._write(self.root / ".gitlab" / "fftdeploy.yml", self._template("gitlab.yml"))
            self._write_or_add(".gitlab-ci.yml", "gitlab-root.yml")
        if self.options.ci is not None:
            self._write_or_add(".pre-commit-config.yaml", "pre-commit.yaml")

    def _template(self, name: str) -> str:
        text = resources.files(fftdeploy).joinpath("templates", name).read_text(encoding="utf-8")
        if "@WATCHED@" in text:  # what `check` reads and is not called as it usually is
            names = [] if self.path.name == files.NAME else [self.path.name]
            there = _policy(self.folder)
            tasks = there.tasks.values() if there else ()
            gates = [task.gate for task in tasks if task.gate is not None]
            examples = [name for gate in gates for name in gate.examples if name.isprintable()]
            names += [name for name in examples if not name.startswith("evals/")]
            names += [name for name in (there.exports if there else ()) if name.isprintable()]
            watched = "".join(f"|{re.escape(name)}" for name in dict.fromkeys(names))
            text = text.replace("@WATCHED@", watched.replace("'", "''"))
        return text.replace("@VERSION@", fftdeploy.__version__).replace("@FILE@", self.option)

    def _shown(self, path: Path) -> str:
        inside = self.folder if path.is_relative_to(self.folder) else self.root
        return path.relative_to(inside).as_posix()

    def _write(self, path: Path, text: str) -> bool:
        """Write a file unless it is there; tell whether it was written."""
        shown = self._shown(path)
        inside = self.folder if path.is_relative_to(self.folder) else self.root
        result = replace(self.result, all=(*self.result.all, shown))
        is_new = files.create(path, text.encode(errors="surrogateescape"), root=inside)
        if is_new:
            result = replace(result, wrote=(*result.wrote, shown))
        else:
            result = replace(result, kept=(*result.kept, shown))
        self.context.known = self.result = result
        return is_new

    def _write_or_add(self, name: str, template: str) -> None:
        """Write a file of the root, or say what a person adds to the one that is there."""
        path, text = self.root / name, self._template(template)
        if self._write(path, text):
            return
        telling = max((row.strip() for row in text.splitlines() if "fftdeploy" in row), key=len)
        with suppress(FftdeployError):
            if telling.encode() in files.read(path, root=self.root).data:
                return  # somebody has added it already
        added = ToAdd(self._shown(path), text)
        self.context.known = self.result = replace(self.result, to_add=(*self.result.to_add, added))

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
        if (rules := self.rules) and policy.FILE_NAME in self.result.kept:
            missing = [each for each in facts.environments if each not in rules.order]
            if rules.order and missing:
                order = value([*dict.fromkeys((*facts.environments, *rules.order))])
                lacks.append(ToAdd(policy.FILE_NAME, f"order = {order}\n"))
            gate = rules.gate(facts.task)
            if gate is None or examples not in gate.examples:
                is_there = facts.task in rules.tasks
                instead = f"# in place of every table of tasks.{facts.task}:\n" * is_there
                lacks.append(ToAdd(policy.FILE_NAME, instead + task))
        self.result = replace(self.result, to_add=(*self.result.to_add, *lacks))


def _policy(folder: Path) -> policy.Policy | None:
    """Return the policy as it is on the disk; None where there is none."""
    path = folder / policy.FILE_NAME
    if not os.path.lexists(path):
        return None
    return policy.parse(files.read(path, root=folder).data, shown_path(path))


def deployments_text(template: Template, facts: SetupFacts, actor: Actor) -> str:
    """Return the deployments file; what is live is a release that nobody has proved yet."""
    record = f'fftdeploy adopt {facts.task}/{facts.last} --model ID --why "live since October"'
    hint = f"\n# Is something live already? Record it as the first release:\n#   {record}"
    text = _filled(template("deployments.toml"), {"LIVE": "" if facts.live else hint})
    for environment in facts.environments:
        if model := facts.live.get(environment):
            found = document.parse(text.encode(), "deployments.toml")
            target = Target(facts.task, environment, model=model)
            made = plan.plan_adoption(target, Bundle(model), replace(actor, why=_ADOPTED_WHY))
            text = edit.rewrite(found, None, made.after)
    return text


def policy_text(template: Template, facts: SetupFacts, bar: ProposedBar, examples: str) -> str:
    """Return the policy: the last environment is protected, and the task has a gate."""
    before = facts.environments[-2:-1]
    source = f"from = {value(before)}".ljust(23) + "# a model comes from here, with its prompt"
    words = {
        "ORDER": value(facts.environments),
        "LAST": facts.last,
        "FROM": source if before else "",
        "BLOCK": _task_text(template, facts, bar, examples),
    }
    return _filled(template("fftdeploy.toml"), words)


def _task_text(template: Template, facts: SetupFacts, bar: ProposedBar, examples: str) -> str:
    """Return the tables of the task: what it is, its gate and its graders."""
    gate, is_example = f"tasks.{facts.task}.gate", facts.is_example
    seen = [f"Inferred from {examples}, {bar.seen[0]}.", *(f"- {each}." for each in bar.seen[1:])]
    if facts.examples is None and not is_example:
        seen = [
            f"{examples} has {bar.seen[0].partition(':')[0]} to start with: replace them by yours,",
            "and what is below with what `fftdeploy init --examples FILE` infers from those.",
        ]
    seen += [f"NOT JUDGED: {each}." for each in bar.not_judged]
    # What `size` needs to be told: a candidate, where none comes from elsewhere.
    candidate = " live" if facts.last in facts.live else " MODEL"
    if any(environment in facts.live for environment in facts.environments[-2:-1]):
        candidate = ""
    described = '# description = "what goes in, and what comes out"'
    if is_example:
        described = 'description = "Customer message in; urgency, category and next step out"'
    profile = _EXAMPLE_PROFILE if is_example else f"{facts.task}-long"
    successors = f'successors = [{{ model = "gpt-6-luna", profile = "{profile}" }}]'
    commented = "" if is_example else "# "
    words = {
        "TASK": facts.task,
        "SIZE": f"fftdeploy size {facts.task}/{facts.last}{candidate}",
        "DESCRIPTION": described,
        "SUCCESSORS": f"{commented}{successors}   # for `migrate`, once a model ends",
        "SEEN": "\n".join(
            textwrap.fill(line, _WIDTH, initial_indent="# ", subsequent_indent="#   ")
            for line in seen
        ),
        "EXAMPLES": value([examples]),
        "MUST_PASS": f"must_pass = {value(bar.must_pass or ['edge-case'])}",
        "SLICES": _slices(bar.slices),
        "GRADERS": "\n".join(table(f"[[{gate}.graders]]", each) for each in bar.graders),
    }
    return _filled(template("task.toml"), words)


def _slices(keys: Sequence[str]) -> str:
    """Return the line of the slices, commented out where there are none."""
    line = f"slices = {value(keys or ['language'])}"
    return f"{(line if keys else f'# {line}'):<27} # keys of `meta`, each value watched on its own"


def _filled(text: str, words: Mapping[str, str]) -> str:
    """Return `text` with its `@WORD@`s; a line that is nothing else goes where one is empty."""

    def fill(found: re.Match[str]) -> str:
        said = words.get(found[1], found[0])
        return said.rstrip("\n") + found[2] if said else ""

    return re.sub(r"@([A-Z_]+)@(\n?)", fill, text)
