"""What the files of a new repository are to say: as asked for, found there, or usual."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from fftdeploy import names
from fftdeploy.commands.context import Context
from fftdeploy.commands.options.declared import several
from fftdeploy.commands.options.looking import InitOptions
from fftdeploy.commands.scan import written_models
from fftdeploy.errors import ConfigError, FftdeployError, UsageError
from fftdeploy.evaluation.examples.examples import ExampleSet, open_examples
from fftdeploy.planning import bundles
from fftdeploy.policy.policy import Policy
from fftdeploy.releases.deployments import Deployments
from fftdeploy.releases.guessed_shapes import USUAL_TASK, task_of

CI = ("github", "gitlab")
_FIRST, _LAST = "staging", "production"
_STAGES = (
    {"dev", "develop", "development"},
    {"test", "testing", "qa", "uat"},
    {"stage", "staging", "preview"},
    {"preprod", "pre-prod", "canary", "beta"},
    {"prod", "production", "live"},
)
"""What environments are usually called, in the order of promotion."""
_SAYS_NO_TASK = {"example", "examples", "data", "train", "test", "eval", "evals", "reviewed"}
_MOST_PLACES = 3
_BETWEEN = re.compile(r"\s*,\s*|\s+")
"""What stands between environments: commas, blanks or both."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class WrittenModel:
    """A fine-tune that is written down in the repository, and where."""

    model: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetupFacts:
    """What the files are to say."""

    task: str
    environments: tuple[str, ...]
    live: Mapping[str, str]
    """Model by environment."""
    examples: Path | None
    """The file that was named; None for one of ours."""
    is_example: bool
    found: tuple[WrittenModel, ...] = field(default=())

    @property
    def last(self) -> str:
        """The environment that is protected."""
        return self.environments[-1]


_TUNED = "ft:gpt-4.1-mini-2025-04-14:acme:triage-"
EXAMPLE = SetupFacts(
    USUAL_TASK,
    (_FIRST, _LAST),
    {_FIRST: f"{_TUNED}v10:DeFg0", _LAST: f"{_TUNED}v8:BbCc8"},
    examples=None,
    is_example=True,
)
"""What `--example` is short for: models that the sandbox has, of which the first is better."""


def require_options(options: InitOptions) -> None:
    """Refuse what can't be meant.

    Raises:
        UsageError: `ci` is not one this knows, or `example` comes with what it stands for.
    """
    if options.ci is not None and options.ci not in CI:
        raise UsageError(**names.not_one_of("--ci", options.ci, CI))
    beside = {"--task": options.task, "--env": options.env, "--live": options.live}
    given = [flag for flag, said in {**beside, "--examples": options.examples}.items() if said]
    if options.example and given:
        raise UsageError(
            f"--example has a task, models and examples of its own: leave out {given[0]}",
            hint="fftdeploy init --example",
        )


def decide(
    context: Context, options: InitOptions, known: Deployments | None, rules: Policy | None
) -> SetupFacts:
    """Return what is asked for, and for the rest what was found or a person answers.

    `known` is the deployments file, where there is a valid one: its tasks and environments count,
    and so do those of the policy, its `rules`.

    Raises:
        UsageError: Something that was said or answered is not a name, a model or a target.
    """
    if options.example:
        return EXAMPLE
    return _Deciding(context, options, known, rules).facts()


class _Deciding:
    """The few questions of `init`, and their answers."""

    def __init__(
        self,
        context: Context,
        options: InitOptions,
        known: Deployments | None,
        rules: Policy | None,
    ) -> None:
        self.context, self.options, self.known = context, options, known
        self.tasks = tuple(rules.tasks) if rules else ()
        self.order = rules.order if rules else ()
        self.asks = options.ask and context.console.is_interactive
        self.said = [_pair(each) for each in several(options.live)]
        self.found: dict[str, list[str]] = {}
        if not (known or options.live):
            with suppress(UsageError):  # git that can't say which files there are is no obstacle
                self.found = written_models(context)

    def facts(self) -> SetupFacts:
        task = self._task()
        environments = self._environments()
        live = self._live(task, environments)
        examples = self.options.examples
        if examples is None:
            question = "agreed answers as JSONL: a path, or Enter for a few to replace?"
            examples = self._ask(question, self._readable)
        found = tuple(WrittenModel(model, tuple(at)) for model, at in self.found.items())
        where = Path(examples) if examples else None
        return SetupFacts(task, environments, live, where, is_example=False, found=found)

    def _ask(self, question: str, read: Callable[[str], A], usual: str = "") -> A:
        """Return what `read` makes of the answer; one that it refuses is asked for again."""
        if not self.asks:
            return read(usual)
        console = self.context.console
        while True:
            answer = console.ask(f"{question} [{usual}]" if usual else question) or usual
            try:
                return read(answer)
            except FftdeployError as error:
                if answer == usual:
                    raise
                place = f"{error.where}: " if error.where not in error.message else ""
                console.note(f"  {place}{error.message}" + f" ({error.hint})" * bool(error.hint))

    def _readable(self, path: str) -> str:
        """Return the path of a file of examples, "" for none; ConfigError where it is none."""
        if path:
            where = (Path.cwd() / path).resolve()
            examples_at(where, path, where.parent, self.context.now())
        return path

    def _task(self) -> str:
        if self.options.task:
            return _of_flag("--task", _name, self.options.task)
        named = [target.partition("/")[0] for target, _ in self.said if "/" in target]
        named += self.known.tasks() if self.known else []
        if self.options.examples is not None:
            stem = Path(self.options.examples).stem.lower()
            named += [] if stem in _SAYS_NO_TASK or names.name_problem(stem) else [stem]
        named += self.tasks
        models = [*(model for _, model in self.said), *self.found]
        return self._ask("the task?", _name, (named or [task_of(models)])[0])

    def _environments(self) -> tuple[str, ...]:
        if self.options.env:
            return _of_flag("--env", _names, self.options.env)
        named = [target.rpartition("/")[2] for target, _ in self.said if target]
        named += (
            [target.environment for target in self.known.targets.values()] if self.known else []
        )
        if self.order and {*named} <= {*self.order}:
            return self.order  # the policy has said it
        usual = sorted(dict.fromkeys(named), key=_stage)  # the order in which they usually are
        if not usual:
            usual = [_FIRST, _LAST]
        elif len(usual) == 1:
            is_late = _stage(usual[0]) > _stage(_FIRST)
            usual = [_FIRST, *usual] if is_late else [*usual, _LAST]
        question = "its environments, in the order of promotion?"
        return self._ask(question, _names, ",".join(usual))

    def _live(self, task: str, environments: tuple[str, ...]) -> dict[str, str]:
        if not self.said and not self.known:
            self.said = self._answered_live(environments[-1])
        live: dict[str, str] = {}
        for target, model in self.said:
            of_task, slash, environment = target.rpartition("/")
            environment = environment or environments[-1]
            if (slash and of_task != task) or environment not in environments:
                every = [f"{task}/{each}" for each in environments]
                raise UsageError(
                    f"--live: there is no target {target}",
                    hint=names.meant(target, every, f"there are: {', '.join(every)}", quoted=False),
                )
            if environment in live:
                raise UsageError(f"--live names two models for {task}/{environment}")
            there = self.known.find(f"{task}/{environment}") if self.known else None
            if there and there.model and there.model != model:
                raise UsageError(
                    f"--live: {task}/{environment} has {there.model} live, not {model}",
                    hint=f"fftdeploy promote {task}/{environment} --model {model}",
                )
            bundles.require_model_id(model)
            live[environment] = model
        return live

    def _answered_live(self, environment: str) -> list[tuple[str, str]]:
        """Ask what is live; what is written down in the repository is offered by number."""
        if not self.asks:
            return []
        offered = [*self.found]
        for number, model in enumerate(offered, 1):
            places = ", ".join(self.found[model][:_MOST_PLACES])
            self.context.console.note(f"  {number}  {model}  {places}")
        kinds = "a number, a model ID" if offered else "a model ID"

        def read(answer: str) -> str:
            if offered and answer.isdecimal():
                if not 0 < int(answer) <= len(offered):
                    raise UsageError(f"the numbers go from 1 to {len(offered)}")
                return offered[int(answer) - 1]
            if answer:
                bundles.require_model_id(answer)
            return answer

        question = f"what is live in {environment}: {kinds}, or Enter for nothing?"
        model = self._ask(question, read)
        return [("", model)] if model else []


def examples_at(path: Path, shown: str, root: Path, now: datetime) -> ExampleSet:
    """Open a file of examples.

    Raises:
        ConfigError: It can't be read, or has none.
    """
    found = open_examples([(path, shown)], root=root, now=now)
    if not len(found):
        raise ConfigError("there is no example", where=shown, code="examples")
    return found


def _pair(said: str) -> tuple[str, str]:
    """Take `[TARGET=]MODEL` apart: no ID has a `=`."""
    target, _, model = said.rpartition("=")
    return target, model


def _of_flag(flag: str, read: Callable[[B], A], said: B) -> A:
    """Read what a flag says, and refuse in its name what can't be meant."""
    try:
        return read(said)
    except UsageError as error:
        raise UsageError(f"{flag}: {error.message}") from None


def _name(word: str) -> str:
    if problem := names.name_problem(word):
        raise UsageError(problem)
    return word


def _names(said: str | Sequence[str]) -> tuple[str, ...]:
    listed = _BETWEEN.split(said.strip()) if isinstance(said, str) else said
    every = tuple(_name(each.strip()) for each in listed)
    if len(set(every)) < len(every):
        raise UsageError(f"an environment is named twice: {', '.join(every)}")
    return every


def _stage(environment: str) -> int:
    found = (place for place, names in enumerate(_STAGES) if environment in names)
    return next(found, 1)
