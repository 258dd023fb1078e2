"""Review: one model answer at a time, at the terminal; what is decided is written at once."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from unicodedata import east_asian_width

from fftdeploy.cli import editor
from fftdeploy.cli.session import Session
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.formats.document import text_problem
from fftdeploy.output.report import Block, Cell, Line, Report, Tone, line
from fftdeploy.output.streams import Output
from fftdeploy.output.text_difference import Piece, compare

Decision = Literal["accepted", "edited", "rejected", "skipped"]
WRITTEN: tuple[Decision, ...] = ("accepted", "edited", "rejected")
DECISIONS: tuple[Decision, ...] = (*WRITTEN, "skipped")

_REJECT = "[r]eject "
_PROMPT = f"[a]ccept [e]dit {_REJECT}[t]ags [s]kip [q]uit [?]"
_LEAST_WIDTH = 20


@dataclass(slots=True)
class Item:
    """One answer to review.  Its texts are untrusted."""

    example: Example
    """The input; where there is one, the reference that people have agreed on."""
    output: str
    reason: str = ""
    """Why the output is in question, one line."""
    draft: str = ""
    """What was edited and not taken: the next edit begins with it."""
    tags: list[str] = field(default_factory=list)
    """Added by the reviewer, for what is decided next."""
    called: str = "output"
    """What stands over it."""


class ReviewSource(Protocol):
    """Where answers come from, and where decisions about them go."""

    where: str
    """The files that decisions are written to, as they are shown."""
    help: Sequence[str]
    """What accept, edit, reject and tags do here, a line each."""
    rejects: bool
    """Whether there is anything that an output can be rejected in favour of."""
    has_written: bool
    """Whether the last `keep`, `reject` or `tag` has, even if it did not return."""

    def pending(self) -> Sequence[Item]:
        """Return what is left to review, in order."""

    def problem(self, item: Item, reference: str) -> str:
        """Say why `reference` can't be the agreed answer; "" if it can."""

    def keep(self, item: Item, reference: str) -> None:
        """Write `reference` as the agreed answer.

        Raises:
            ConflictError: The example was changed by somebody else.
            DiskError: The disk refused.
        """

    def reject(self, item: Item) -> None:
        """Write that the output is not the answer; raises as `keep` does."""

    def tag(self, item: Item) -> bool:
        """Write the tags of an example that exists; False where they wait for a decision."""


class Review:
    """One sitting."""

    def __init__(self, session: Session, task: str, source: ReviewSource) -> None:
        self.session = session
        self.task = task
        self.source = source
        self.counts: Counter[str] = Counter()

    def run(self) -> Report:
        """Ask about every answer, until the last one or until the reviewer leaves.

        Raises:
            ConflictError: An example was changed by somebody else.
            DiskError: The disk refused.
        """
        items = self.source.pending()
        self._note(len(items))
        try:
            for number, item in enumerate(items, 1):
                decision = self._decide(item, f"{number} of {len(items)}")
                if decision is None:
                    break
                if decision == "skipped":
                    self.counts["skipped"] += 1
        finally:
            self._note(len(items))
        return Report(data=self.session.data, body=self._summary(len(items)), next=self._next())

    def _decide(self, item: Item, place: str) -> Decision | None:
        """Show one answer and take one decision about it; None to leave."""
        output = self.session.output
        output.say(*blocks(item, place, output))
        prompt = _PROMPT if self.source.rejects else _PROMPT.replace(_REJECT, "")
        while True:
            key = output.answer(prompt)
            if key is None or key.lower() in {"q", "quit"}:
                return None
            decision = self._obey(item, key.lower())
            if decision is not None:
                return decision

    def _obey(self, item: Item, key: str) -> Decision | None:
        """Do what a key stands for; None where the same answer is asked about again."""
        match key:
            case "s" | "skip":
                return "skipped"
            case "r" | "reject" if self.source.rejects:
                self._count("rejected", lambda: self.source.reject(item))
                return "rejected"
            case "a" | "accept":
                return self._accept(item)
            case "e" | "edit":
                return self._edit(item)
            case "t" | "tags":
                self._tag(item)
            case _:
                self._say_help()
        return None

    def _accept(self, item: Item) -> Decision | None:
        if not item.output:
            self._say("there is no output to accept: e writes an answer")
            return None
        return self._keep(item, item.output, "accepted")

    def _edit(self, item: Item) -> Decision | None:
        start = item.draft or item.output or item.example.reference
        try:
            edited = editor.edit(start, self.session.environ)
        except editor.EditorError as error:
            self._say(f"{error}: nothing was taken")
            return None
        decision = self._keep(item, edited, "edited")
        if decision is None:
            item.draft = edited
            self._say("e goes on with what you have written")
        return decision

    def _keep(self, item: Item, reference: str, decision: Decision) -> Decision | None:
        if problem := self.source.problem(item, reference):
            self._say(f"this can't be the agreed answer: {problem}")
            return None
        self._count(decision, lambda: self.source.keep(item, reference))
        return decision

    def _count(self, decision: Decision, write: Callable[[], None]) -> None:
        """Write a decision and count it, even if a signal comes in between."""
        self.source.has_written = False
        try:
            write()
            self._say(decision)
        finally:
            if self.source.has_written:
                self.counts[decision] += 1
                self._say_kept()

    def _tag(self, item: Item) -> None:
        have = ", ".join((*item.example.tags, *item.tags)) or "none"
        said = self.session.output.answer(f"tags, with commas between (now: {have}):")
        new = [tag for part in (said or "").split(",") if (tag := part.strip())]
        if problem := next(filter(None, map(text_problem, new)), ""):
            self._say(f"a tag {problem}")
            return
        new = [tag for tag in dict.fromkeys(new) if tag not in {*item.example.tags, *item.tags}]
        item.tags += new
        if new and self.source.tag(item):
            self.counts["tagged"] += 1
            self._say_kept()
        elif new:
            self._say("they go with the answer that you accept or edit")

    def _say_kept(self) -> None:
        """Have whatever ends the command from here on say what it has written."""
        kept = sum(self.counts[decision] for decision in WRITTEN)
        what = f"{kept} decision{'' if kept == 1 else 's'}"
        if self.counts["tagged"]:
            what += " and tags"
        self.session.changed = f"{what} kept; the same command goes on from there"

    def _note(self, total: int) -> None:
        """Put the counts where every end of the command says them."""
        counts = {decision: self.counts[decision] for decision in DECISIONS}
        left = total - sum(counts[decision] for decision in WRITTEN)
        self.session.data.update(task=self.task, file=self.source.where, **counts, left=left)

    def _summary(self, total: int) -> tuple[Block, ...]:
        if not total:
            return (line(f"{self.task}: nothing to review"),)
        data = self.session.data
        said = ", ".join(f"{data[name]} {name}" for name in (*DECISIONS, "left"))
        return (line(f"{self.task}: {said}"),)

    def _next(self) -> str:
        changed = any(self.counts[name] for name in ("accepted", "edited", "tagged"))
        if not changed:
            return ""
        targets = self.session.workspace.deployments.targets
        environments = [environment for task, environment in targets if task == self.task]
        return f"fftdeploy eval {self.task}/{environments[-1] if environments else 'ENVIRONMENT'}"

    def _say(self, text: str) -> None:
        self.session.output.say(line(text))

    def _say_help(self) -> None:
        self.session.output.say(
            *(line(f"  {text}") for text in self.source.help),
            line("  s  skip: it comes again next time"),
            line("  q  quit: what was decided is kept; so it is after Ctrl-C"),
        )


def require_terminal(session: Session) -> None:
    """Refuse to review where nobody can be shown anything, or asked.

    Raises:
        UsageError: There is no terminal, or another format than text, or silence, was asked for.
    """
    output = session.output
    if output.is_interactive and not output.quiet:
        return
    raise UsageError(
        "review shows and asks: it needs a terminal, outside of CI",
        hint="run it at a terminal, without --json, --format or --quiet",
        code="no-terminal",
    )


def blocks(item: Item, place: str, output: Output) -> Iterator[Block]:
    """Show one answer: what was asked, what was said and what was agreed on.

    Every row of untrusted text has a bar before it, also where the terminal would break a line.
    """
    example = item.example
    tags = f"  tags: {', '.join(example.tags)}" if example.tags else ""
    yield line("")
    yield line(Cell(place, "strong"), f"  {example.id}{tags}")
    for turn in example.messages:
        yield line(Cell(f"{turn.get('role')}", "dim"))
        yield from quoted([Cell(said(turn))], output)
    said_, agreed = _compared(item, output)
    if agreed:
        yield line(Cell("reference", "strong"))
        yield from quoted(agreed, output)
    yield line(Cell(item.called, "strong"), Cell(f"  {item.reason}" if item.reason else "", "warn"))
    yield from quoted(said_, output)
    yield line("")


def quoted(cells: Iterable[Cell], output: Output) -> Iterator[Line]:
    """Return untrusted text as lines that fit the terminal, each with a bar before it."""
    width = max(shutil.get_terminal_size().columns - 3, _LEAST_WIDTH)
    row: list[Cell] = []
    left = width
    for cell in cells:
        for number, part in enumerate(output.clean(cell.text).split("\n")):
            if number:
                yield line(_BAR, *row)
                row, left = [], width
            rest = part
            while rest:
                piece = _fitting(rest, left)
                if not piece and row:
                    yield line(_BAR, *row)
                    row, left = [], width
                    continue
                row.append(Cell(piece or rest[0], cell.tone))
                left -= _columns(row[-1].text)
                rest = rest[len(row[-1].text) :]
    yield line(_BAR, *row)


_BAR = Cell("│ ", "dim")


def said(turn: Mapping[str, Any]) -> str:
    """Return what a message says: its text, or what there is instead as JSON."""
    content = turn.get("content")
    others = {key: turn[key] for key in turn if key not in {"role", "content"} and turn[key]}
    texts = [content] if isinstance(content, str) else []
    if content and not texts:
        others = {"content": content, **others}
    if others:
        texts.append(json.dumps(others, ensure_ascii=False))
    return "\n".join(texts)


def _compared(item: Item, output: Output) -> tuple[list[Cell], list[Cell]]:
    """Return output and reference, with what they differ in marked."""
    # A secret is taken out of the whole: in pieces it would not be known.
    said_, agreed = output.redact(item.output), output.redact(item.example.reference)
    if not item.output:
        return [Cell("(none)", "dim")], [Cell(agreed)] if agreed else []
    if not agreed:
        return [Cell(said_)], []
    ours, theirs = compare(said_, agreed)
    return _toned(ours, "bad"), _toned(theirs, "good")


def _toned(pieces: Iterable[Piece], tone: Tone) -> list[Cell]:
    return [Cell(piece.text, tone if piece.is_different else "") for piece in pieces]


def _fitting(text: str, columns: int) -> str:
    """Return as much of the beginning of `text` as `columns` of a terminal hold."""
    head = text[:columns]
    if head.isascii():
        return head
    while _columns(head) > columns:
        head = head[:-1]
    return head


def _columns(text: str) -> int:
    """Count the columns that a text may take: wide characters take two."""
    return sum(2 if east_asian_width(char) in "WFA" else 1 for char in text)
