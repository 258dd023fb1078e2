"""Review: one model answer at a time, at the terminal."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any
from unicodedata import east_asian_width

from fftdeploy.cli import editor
from fftdeploy.cli.session import Session
from fftdeploy.commands.review import Reviewed, tally
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.review.fidelity import Fidelity
from fftdeploy.evaluation.review.queue import DECISIONS, Decision, ReviewItem, ReviewQueue
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Line, Report, Tone, line
from fftdeploy.output.streams import Output
from fftdeploy.output.text_difference import Piece, compare

_REJECT = "[r]eject "
_PROMPT = f"[a]ccept [e]dit {_REJECT}[t]ags [s]kip [q]uit [?]"
_LEAST_WIDTH = 20


class Review:
    """One sitting: shows each answer of a queue, and takes a decision about it."""

    def __init__(self, session: Session, task: str, queue: ReviewQueue) -> None:
        self.session, self.task, self.queue = session, task, queue

    def run(self) -> Report:
        """Ask about every answer, until the last one or until the reviewer leaves.

        Raises:
            ConflictError: An example was changed by somebody else.
            DiskError: The disk refused.
        """
        opened = tally(self.session, self.queue)
        self.session.output.say(*fidelity_lines(opened.fidelity))
        for place, item in self.queue:
            if not self._is_decided(item, place):
                break
        result = tally(self.session, self.queue)
        counts = [f"{getattr(result, name)} {name}" for name in (*DECISIONS, "left")]
        said = ", ".join(counts) if self.queue.items else "nothing to review"
        return Report(data=result, body=(line(f"{self.task}: {said}"),), next=self._next())

    def _is_decided(self, item: ReviewItem, place: str) -> bool:
        """Show one answer and take one decision about it; False to leave."""
        output = self.session.output
        output.say(*_blocks(item, place, output))
        prompt = _PROMPT if self.queue.rejects else _PROMPT.replace(_REJECT, "")
        while True:
            key = output.answer(prompt)
            if key is None or key.lower() in {"q", "quit"}:
                return False
            try:
                if self._obey(item, key.lower()):
                    return True
            finally:  # whatever ends the command from here on says what is written
                tally(self.session, self.queue)

    def _obey(self, item: ReviewItem, key: str) -> bool:
        """Do what a key stands for; False where the same answer is asked about again."""
        match key:
            case "s" | "skip":
                self.queue.decide(item, "skipped")
                return True
            case "r" | "reject" if self.queue.rejects:
                return self._decide(item, "rejected")
            case "a" | "accept" if item.output:
                return self._decide(item, "accepted", item.output)
            case "a" | "accept":
                self._say("there is no output to accept: e writes an answer")
            case "e" | "edit":
                return self._edit(item)
            case "t" | "tags":
                self._tag(item)
            case _:
                self._say(
                    *(f"  {text}" for text in self.queue.help),
                    "  s  skip: it comes again next time",
                    "  q  quit: what was decided is kept; so it is after Ctrl-C",
                )
        return False

    def _edit(self, item: ReviewItem) -> bool:
        start = item.draft or item.output or item.example.reference
        try:
            edited = editor.edit(start, self.session.environ)
        except editor.EditorError as error:
            self._say(f"{error}: nothing was taken")
            return False
        is_taken = self._decide(item, "edited", edited)
        if not is_taken:
            item.draft = edited
            self._say("e goes on with what you have written")
        return is_taken

    def _decide(self, item: ReviewItem, decision: Decision, reference: str = "") -> bool:
        problem = self.queue.decide(item, decision, reference)
        self._say(f"this can't be the agreed answer: {problem}" if problem else decision)
        return not problem

    def _tag(self, item: ReviewItem) -> None:
        have = ", ".join((*item.example.tags, *item.tags)) or "none"
        said = self.session.output.answer(f"tags, with commas between (now: {have}):")
        if why := self.queue.tag(item, said or ""):
            self._say(why)

    def _next(self) -> str:
        if not any(self.queue.counts[name] for name in ("accepted", "edited", "tagged")):
            return ""
        workspace = self.session.workspace
        every = workspace.deployments.targets.values()
        targets = workspace.in_order([target for target in every if target.task == self.task])
        return f"fftdeploy eval {targets[-1] if targets else f'{self.task}/ENVIRONMENT'}"

    def _say(self, *texts: str) -> None:
        self.session.output.say(*map(line, texts))


def brought_in(result: Reviewed, *, is_rehearsal: bool) -> Report:
    """Show what a file has brought: what was added, and how far its graders are the same here."""
    added = plural(result.added or 0, "example")
    said = f"{added} would be added" if is_rehearsal else f"{added} added, reviewed by nobody yet"
    body = [line(f"{result.task}: {said} ({result.file})"), *fidelity_lines(result.fidelity)]
    follow = f"fftdeploy review {result.task} --unreviewed"
    return Report(data=result, body=tuple(body), next="" if is_rehearsal else follow)


def fidelity_lines(fidelity: Fidelity | None) -> Iterator[Line]:
    """Say how often graders here say again what was recorded, and show those that were made."""
    if fidelity is None:
        return
    for one in fidelity.graders:
        share = f"{one.agreed} of {one.compared} ({100 * one.agreed / one.compared:.1f} %)"
        elsewhere = f"; not at {', '.join(one.differs_at)}" if one.differs_at else ""
        yield line(f"{one.name}: the recorded verdict again in {share}{elsewhere}")
    for name, why in fidelity.not_converted.items():
        yield line(Cell(f"{name}: not compared: {why}", "warn"))
    if fidelity.policy:
        yield line("its graders, for the gate in fftdeploy.toml:")
        yield from (line(f"  {row}") for row in fidelity.policy.splitlines())


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


def _blocks(item: ReviewItem, place: str, output: Output) -> Iterator[Block]:
    """Show one answer: what was asked, what was said and what was agreed on.

    Every row of untrusted text has a bar before it, also where the terminal would break a line.
    """
    example = item.example
    tags = f"  tags: {', '.join(example.tags)}" if example.tags else ""
    yield line("")
    yield line(Cell(place, "strong"), f"  {example.id}{tags}")
    for turn in example.messages:
        yield line(Cell(f"{turn.get('role')}", "dim"))
        yield from _quoted([Cell(_said(turn))], output)
    said_, agreed = _compared(item, output)
    if agreed:
        yield line(Cell("reference", "strong"))
        yield from _quoted(agreed, output)
    yield line(Cell(item.called, "strong"), Cell(f"  {item.reason}" if item.reason else "", "warn"))
    yield from _quoted(said_, output)
    yield line("")


def _quoted(cells: Iterable[Cell], output: Output) -> Iterator[Line]:
    """Yield untrusted text as lines that fit the terminal, each with a bar before it.

    They are broken between words, where one ends in their second half.
    """
    width = max(shutil.get_terminal_size().columns - 3, _LEAST_WIDTH)
    row: list[Cell] = []
    taken = 0
    for char, tone in ((char, cell.tone) for cell in cells for char in output.clean(cell.text)):
        if char == "\n":
            yield _barred(row)
            row, taken = [], 0
            continue
        row.append(Cell(char, tone))
        taken += _columns(row[-1])
        if taken > width:
            last = len(row) - 1
            ends = (n for n in range(last, last // 2, -1) if " " in {row[n].text, row[n - 1].text})
            end = next(ends, last)
            yield _barred(row[:end])
            row = row[end:]
            taken = sum(map(_columns, row))
    yield _barred(row)


def _columns(char: Cell) -> int:
    return 2 if east_asian_width(char.text) in "WFA" else 1  # a wide one may take two


def _barred(row: Iterable[Cell]) -> Line:
    """Return characters as one line, those of one tone in one piece."""
    runs = groupby(row, key=lambda cell: cell.tone)
    return line(Cell("│ ", "dim"), *(Cell("".join(map(str, run)), tone) for tone, run in runs))


def _said(turn: Mapping[str, Any]) -> str:
    """Return what a message says: its text, or what there is instead as JSON."""
    content = turn.get("content")
    others = {key: turn[key] for key in turn if key not in {"role", "content"} and turn[key]}
    texts = [content] if isinstance(content, str) else []
    if content and not texts:
        others = {"content": content, **others}
    if others:
        texts.append(json.dumps(others, ensure_ascii=False))
    return "\n".join(texts)


def _compared(item: ReviewItem, output: Output) -> tuple[list[Cell], list[Cell]]:
    """Return output and reference, with what they differ in marked."""
    # A secret is taken out of the whole: in pieces it would not be known.
    said_, agreed = output.redact(item.output), output.redact(item.example.reference)
    if not item.output:
        return [Cell("(none)", "dim")], [Cell(agreed)] if agreed else []
    if agreed in {"", said_}:  # it is shown once
        return [Cell(said_)], []
    ours, theirs = compare(said_, agreed)
    return _toned(ours, "bad"), _toned(theirs, "good")


def _toned(pieces: Iterable[Piece], tone: Tone) -> list[Cell]:
    return [Cell(piece.text, tone if piece.is_different else "") for piece in pieces]
