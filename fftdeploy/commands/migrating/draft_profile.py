"""Draft a prompt for a model that was never tuned, from what reviewed examples show.

No model writes it: the same files give the same draft, and a person reads it before it is judged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fftdeploy import files
from fftdeploy.commands.context import Context, one_of
from fftdeploy.commands.migrating.migration import DraftedProfile, Migrated
from fftdeploy.errors import OK, ConflictError, InconclusiveError
from fftdeploy.evaluation.arms import label
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.examples.examples import Example
from fftdeploy.evaluation.examples.overlap import shown_in
from fftdeploy.evaluation.graders.proposed import AnswerShape, is_strict, shape_of
from fftdeploy.model_ids.retirement import replacement_for
from fftdeploy.names import plural
from fftdeploy.policy import profiles
from fftdeploy.policy.parameters import is_instruction
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.releases.rendering import paragraph, table
from fftdeploy.workspace import Workspace, select

if TYPE_CHECKING:
    from fftdeploy.commands.options.asking import MigrateOptions

_MOST_SHOTS = 8
_LONGEST = 2000
"""Characters of a question that is worth its tokens in every request."""
_COMMENT = """\
# A DRAFT, which no model wrote: made from {count} of {task} by
# `fftdeploy migrate --draft-profile`.  Read it, and say in `system` what the examples can't: what
# each value means, and which comes first where two fit.  The gate judges it like any other, without
# the examples that are its shots.
"""


def drafted(context: Context, options: "MigrateOptions") -> Migrated:
    """Draft prompts for the tasks that are named, or for those with a successor that has none.

    Raises:
        UsageError: There are no such targets, or more is asked for.
        ConfigError: A task has no gate, or its examples are not usable.
        ConflictError: There is such a file already, which is never overwritten.
        InconclusiveError: No example is reviewed.
        DiskError: The disk refused; the drafts before it are there.
    """
    for flag in ("plan", "record", "dry_run", "to", "commit"):
        given = getattr(options, flag)
        one_of({"--draft-profile": True, f"--{flag.replace('_', '-')}": given})
    place = context.workspace
    targets = select(place.deployments, options.targets)
    first = {one.task: one for one in reversed(targets) if options.targets or _lacks(place, one)}
    drafts = [_Draft(context, context.quality_bar(place, str(one)), one) for one in first.values()]
    if taken := [one.taken() for one in drafts if one.path.exists()]:
        raise taken[0]
    return Migrated(
        dry_run=False,
        targets=(),
        cost=None,
        diff="",
        drafts=tuple([one.write() for one in drafts]),
        outcome=OK,
        prices_on=None,
        within_days=options.within_days,
    )


def _lacks(place: Workspace, target: Target) -> bool:
    """Tell whether a task has examples, and a successor without a prompt."""
    task = place.policy.tasks.get(target.task)
    if task is None or task.gate is None:
        return False
    return not task.successors or not all(one.profile for one in task.successors)


class _Draft:
    """The draft of one task."""

    def __init__(self, context: Context, bar: QualityBar, target: Target) -> None:
        self.bar, self.target = bar, target
        self.task = bar.workspace.policy.tasks[bar.task]
        self.name = f"{bar.task}-draft"[:63]
        self.path = bar.workspace.profile_path(self.name)
        self.shown = context.shown(f"{profiles.FOLDER}/{self.name}.toml")

    @property
    def judge(self) -> str:
        """The line that has it judged, with a successor that has no prompt."""
        bare = [Bundle(one.model, one.provider) for one in self.task.successors if not one.profile]
        usual = Bundle(replacement_for(self.target.model) or "MODEL")
        word = label(replace(next(iter(bare), usual), profile=self.name))
        return f"fftdeploy migrate {self.bar.task} --to {word} --dry-run"

    def taken(self) -> ConflictError:
        message = f"{self.shown} is there already"
        return ConflictError(message, hint=self.judge, where=self.shown, code="exists")

    def write(self) -> DraftedProfile:
        reviewed = [one for one in self.bar.examples if one.reviewed_by]
        if not reviewed:
            raise InconclusiveError(
                f"no example of {self.bar.task} is reviewed: nobody has agreed to what it shows",
                hint=f"fftdeploy review {self.bar.task} --unreviewed",
                code="unreviewed",
            )
        shape = shape_of([each for one in reviewed for each in (one.reference, *one.others)])
        values = {one.id: {*self._values(one, shape)} for one in reviewed}
        shots = self._shots(reviewed, values)
        every = set[str]().union(*values.values())
        covered = set[str]().union(*(values[one.id] for one in shots))
        text = self._text(reviewed, shape, shots)
        root = self.bar.workspace.folder
        if not files.create(self.path, text.encode(), root=root):
            raise self.taken()
        return DraftedProfile(
            self.bar.task,
            self.name,
            self.shown,
            len(reviewed),
            tuple(one.id for one in shots),
            tuple(sorted(every - covered - {""})),
            self.judge,
        )

    def _values(self, example: Example, shape: AnswerShape) -> Iterator[str]:
        """Yield what a shot stands for: that there is one, its labels, and its slices."""
        yield ""
        for path, value in shape.labels_in(example.reference):
            yield f"{path}={value}" if path else value
        meta = example.meta
        yield from (f"{key}={meta[key]}" for key in self.bar.rules.slices if key in meta)

    def _shots(self, reviewed: Sequence[Example], values: dict[str, set[str]]) -> list[Example]:
        """Choose the fewest, and of those the shortest, that show all values, while any is left.

        None is one that must pass, and as many stay as the gate needs to let one candidate through.
        """
        must_pass = {*self.bar.rules.must_pass}
        pool = [one for one in reviewed if _question(one) and must_pass.isdisjoint(one.tags)]
        chosen: list[Example] = []
        shown: set[str] = set()
        while pool and len(chosen) < _MOST_SHOTS:
            best = max(pool, key=lambda one: (len(values[one.id] - shown), -len(_question(one))))
            pool.remove(best)
            if not (values[best.id] - shown and self._can_spare([*chosen, best])):
                break
            chosen.append(best)
            shown |= values[best.id]
        return chosen

    def _can_spare(self, chosen: Sequence[Example]) -> bool:
        examples = self.bar.examples
        asked = [_question(one) for one in chosen]
        places = shown_in(examples, "\n".join(asked), asked)
        must_pass = {*self.bar.rules.must_pass}
        if any(not must_pass.isdisjoint(examples.tags(place)) for place in places):
            return False  # another one of its group
        left = examples.without({examples.ids[place] for place in places})
        return not (self.bar.too_few(judged=left) or self.bar.shortage(left))

    def _text(
        self, reviewed: Sequence[Example], shape: AnswerShape, shots: Sequence[Example]
    ) -> str:
        told = "\n".join(filter(None, [self._instruction(reviewed), *shape.rules])) + "\n"
        count = plural(len(reviewed), "reviewed example")
        text = _COMMENT.format(count=count, task=self.bar.task)
        text += f"system = {paragraph(told)}\n"
        if shape.schema:
            schema = {"strict": is_strict(shape.schema), "schema": shape.schema}
            form = {"type": "json_schema", "json_schema": {"name": self.bar.task, **schema}}
            text += "\n" + table("[response_format]", form)
        for one in shots:
            shot = {"user": _question(one), "assistant": one.reference}
            text += "\n" + table("[[shots]]", shot)
        profiles.parse(text.encode(), self.name, self.shown)
        return text

    def _instruction(self, reviewed: Sequence[Example]) -> str:
        """Return what models are told today, by live's prompt or by all examples, or the policy."""
        live = self.bar.workspace.profile(self.target.profile) if self.target.profile else None
        if live and "system" in live.content:
            return str(live.content["system"]).strip()
        said = {one.messages[0]["content"] for one in reviewed if _has_instruction(one)}
        if len(said) == 1 and all(map(_has_instruction, reviewed)):
            return str(*said).strip()
        return self.task.description


def _has_instruction(example: Example) -> bool:
    first = example.messages[0]
    return is_instruction(first) and isinstance(first.get("content"), str)


def _question(example: Example) -> str:
    """Return what a user asks in a text of its own; "" where that is not all, or is long."""
    asked = [turn for turn in example.messages if not is_instruction(turn)]
    text = asked[0].get("content") if len(asked) == 1 and not example.tools else ""
    return text if isinstance(text, str) and len(text) <= _LONGEST else ""
