"""Answers of production: those that a reviewer takes become new examples."""

import hashlib
import json
import secrets
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from fftdeploy import files
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.examples import reviewed
from fftdeploy.evaluation.examples.example_lines import (
    REFERENCE_KEYS,
    Example,
    LineError,
    parse_line,
)
from fftdeploy.evaluation.examples.examples import open_examples
from fftdeploy.evaluation.examples.overlap import users_say
from fftdeploy.evaluation.examples.production import ProductionRequest, RequestShapeError
from fftdeploy.evaluation.review import openai_evals
from fftdeploy.evaluation.review.differing import MAX_CHARS, MAX_KEPT, InputSample
from fftdeploy.evaluation.review.fidelity import Fidelity, FidelityCount
from fftdeploy.evaluation.review.import_file import ImportFile
from fftdeploy.evaluation.review.key_traces import has_key
from fftdeploy.evaluation.review.queue import Reviewer, ReviewItem, ReviewQueue
from fftdeploy.evaluation.review.rejected import Rejected
from fftdeploy.names import plural
from fftdeploy.policy.grader_types import LOOKUP
from fftdeploy.workspace import shown_path

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # none that is read for another
_NO_ANSWER = "?"
_NO_EXAMPLE = "no input that an example can hold"
MAX_ALL = 256 * 1024 * 1024
"""Characters of all requests together where none is to be passed over."""


class Requests(ReviewQueue):
    """Answers of production, which become examples at the end of a file."""

    help: Sequence[str] = (
        "a  accept: the output becomes the agreed answer of a new example",
        "e  edit: what you write becomes it",
        "r  reject: no example, and it is not asked again on this machine",
        "t  tags: for the example that it becomes",
    )

    def __init__(
        self,
        bar: QualityBar,
        reviewer: Reviewer,
        source: Path,
        to: Path | None,
        most: int | None,
        ranked: Callable[[ProductionRequest], tuple[int, str]] | None = None,
    ) -> None:
        """Take the requests that are no examples and were not rejected, each input once.

        `most` inputs that differ are picked, None for all.  `ranked` ranks a request, those of the
        highest rank come first, and says why.

        Raises:
            ConfigError: The source, or the examples, are missing or damaged, located.
            DiskError: The disk refused.
        """
        super().__init__(bar, reviewer)
        self._path = Path.cwd() / to if to else self.root / bar.rules.examples[0]
        self.where = shown_path(self._path)
        self._rejected = Rejected(self.root, bar.task, secrets.token_hex(32))
        self._source, self._most = source, most
        self._ranked = ranked or (lambda _: (0, ""))
        self.fidelity: Fidelity | None = None
        """How recorded verdicts compare with those of graders here; None where there are none."""
        named = dict(self.paths)
        named.setdefault(self._path, self.where)
        # A first review may be what makes the file.
        there = [each for each in named.items() if each[0].exists() or each[0].is_symlink()]
        check = bar.grading.reference_problem
        examples = open_examples(there, root=self.root, item=self.item, check=check)
        self._ids = set(examples.ids)
        # The hash of a file whose inputs are known.
        self._known = dict(examples.files).get(named[self._path], "")
        opened = self._opened()
        self.left_out = opened.left_out
        """How many requests are not asked about, by reason."""
        self.items = self._chosen(opened, {example.input_key for example in examples})
        self.read = opened.read
        """How many requests the source has."""
        self._note(opened)

    def _opened(self) -> ImportFile:
        return ImportFile(Path.cwd() / self._source, str(self._source))

    def _chosen(self, source: ImportFile, known: Collection[str]) -> list[ReviewItem]:
        """Read the source through; return what is asked about of it."""
        chosen: list[ProductionRequest] = []
        same = "the same input as another"
        for _, sample in sorted(self._samples(source, known).items(), reverse=True):
            if self._most is None:
                chosen += sample.all()
            else:
                picked, like, spare = sample.pick(self._most - len(chosen))
                chosen += picked
                self.left_out["nearly like another that is asked about"] += like
                self.left_out[f"not among the {self._most} that differ most"] += spare
            self.left_out[same] += sample.repeated
            self.left_out["not drawn: there are more than are compared"] += sample.undrawn
        every: dict[str, ReviewItem] = {}
        for request in chosen:  # an input that has moved may also be there as one that has not
            example = self._example(request)
            every.setdefault(example.input_key, self._item(request, example))
        self.left_out[same] += len(chosen) - len(every)
        return [*every.values()]

    def _samples(
        self, source: ImportFile, known: Collection[str]
    ) -> dict[int, InputSample[ProductionRequest]]:
        """Keep, by rank, what is neither an example nor was rejected."""
        limits = (sys.maxsize, MAX_ALL) if self._most is None else (MAX_KEPT, MAX_CHARS)
        samples: dict[int, InputSample[ProductionRequest]] = {}
        has_verdicts = False
        for request in source.rows():
            has_verdicts = has_verdicts or bool(request.verdicts)
            try:
                example = self._example(request)
            except ConfigError as error:
                if not request.is_converted:
                    raise
                if not self.left_out[_NO_EXAMPLE]:
                    self.notes.append(f"{error.where}: {error.message}")
                self.left_out[_NO_EXAMPLE] += 1
                continue
            key = example.input_key
            if key in known:
                self.left_out["an example already"] += 1
            elif key in self._rejected:
                self.left_out["rejected before"] += 1
            else:
                size = len(key) + len(request.output)
                sample = samples.setdefault(self._ranked(request)[0], InputSample(*limits))
                sample.add(key, users_say(example.messages), request, size)
        if has_verdicts or source.criteria:
            self.fidelity = self._compared(source.criteria)
        return samples

    def _compared(self, criteria: Sequence[Any]) -> Fidelity | None:
        """Grade the recorded outputs again, by the graders of the source if it has some."""
        rules, why_not, policy = list(self.bar.rules.graders), {}, []
        if criteria:
            rules = []
            for criterion in criteria:
                try:
                    rule, text = openai_evals.converted(criterion, self.bar.task)
                except RequestShapeError as error:
                    why_not[openai_evals.name_of(criterion)] = str(error)
                else:
                    rules.append(rule)
                    policy.append(text)
            # Where the answers are that the graders of the source compare with.
            found = (LOOKUP.fullmatch(str(rule.options.get("reference"))) for rule in rules)
            keys = {match[1] for match in found if match} - {*REFERENCE_KEYS}
            if len(keys) == 1 and "reference" not in (self.item or {}):
                (key,) = keys
                setting = f'item = {{ reference = "{key}" }} in the gate'
                told = f"say {setting}, and it is the agreed answer"
                self.notes.append(f"its graders compare with item.{key}: {told}")
        count = FidelityCount(rules, why_not)
        for request in self._opened().rows():
            if request.verdicts and request.output:
                with suppress(ConfigError):  # it was counted
                    example = self._parsed(request, self._as_it_stands(request))
                    is_agreed = bool(self._agreed(request))
                    count.add(example, request.output, request.verdicts, is_agreed=is_agreed)
        return count.result("\n\n".join(policy))

    def _note(self, source: ImportFile) -> None:
        """Say what was read, what of it was left out, and of which a key may be a part."""
        self.left_out = +self.left_out  # what was never counted is no reason
        rows = plural(source.read, "row")
        what = f"{rows} of {' and '.join(sorted(source.formats))}" if source.read else "no rows"
        self.notes.append(f"{self._source}: {what}")
        if self.left_out:
            reasons = "; ".join(f"{count} ({why})" for why, count in self.left_out.most_common())
            self.notes.append(f"left out: {reasons}")
        if with_keys := sum(map(_has_key, self.items)):
            self.notes.append(
                f"{with_keys} of {len(self.items)} have something in them that looks like a key or "
                "a password: what is accepted is committed"
            )

    def add_unreviewed(self, *, is_rehearsal: bool) -> int:
        """Append what can be an example as it stands, reviewed by nobody; return how many.

        What is left out joins `left_out`: an answer is not known or can't be the agreed one, or
        something in it looks like a key, which nobody would see before it is kept.

        Raises:
            ConflictError: The file is locked.
            DiskError: The disk refused.
        """
        _, day = self.reviewer.stamp()
        added: list[tuple[str, dict[str, Any]]] = []
        for item in self.items:
            if why := self._why_not(item):
                self.left_out[why] += 1
                continue
            content = self._with_id(self._as_it_stands(item.home), day)
            added.append((item.example.input_key, content))
        if added and not is_rehearsal:
            self._append(added, "all of it was added to")
        return len(added)

    def _why_not(self, item: ReviewItem) -> str:
        """Say why a request can't be an example as it stands; "" if it can."""
        request: ProductionRequest = item.home
        agreed = item.example.reference
        if not (agreed or request.output):
            return "no answer is known"
        if request.mark and not agreed:
            return f"its answer is {request.mark}"
        if _has_key(item):
            return "something in it looks like a key or a password"
        try:
            example = self._parsed(request, self._as_it_stands(request))
        except ConfigError:
            return "its answer can't be an agreed one"
        if self.bar.grading.reference_problem(example):
            return "its answer can't pass the task's graders"
        return ""

    def _problem(self, item: ReviewItem, reference: str) -> str:
        try:
            example = self._example(item.home, reference)
        except ConfigError as error:
            return error.message
        return self.bar.grading.reference_problem(example)

    def _keep(self, item: ReviewItem, reference: str) -> None:
        request: ProductionRequest = item.home
        at, day = self.reviewer.stamp()
        content = request.example(reference, self._item_key(request))
        if reference == item.example.reference:
            content = self._as_it_stands(request)
        content = self._with_id(content, day, item.tags)
        content |= {"reviewed_by": self.reviewer.name, "reviewed_at": at}
        self._append([(item.example.input_key, content)], "this input was added to")

    def _with_id(
        self, content: dict[str, Any], day: str, tags: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Give an example an ID, and its tags, behind what it is about."""
        said: dict[str, Any] = {
            key: content.pop(key) for key in ("tags", "meta", "group") if key in content
        }
        if every := list(dict.fromkeys([*(said.get("tags") or []), *tags])):
            said["tags"] = every
        while True:  # no colleague makes it on another branch on the same day
            made = f"r-{day}-{''.join(secrets.choice(_LETTERS) for _ in range(6))}"
            if made not in self._ids:
                break
        self._ids.add(made)
        return {**content, "id": made, **said}

    def _reject(self, item: ReviewItem) -> None:
        """Remember the input."""
        self._rejected.add(item.example.input_key, self.reviewer.name, self.reviewer.stamp()[0])
        self.has_written = True

    def _tag(self, item: ReviewItem) -> bool:
        """Leave the tags for the decision: there is no example yet."""
        del item
        return False

    def _append(self, added: Sequence[tuple[str, dict[str, Any]]], lost: str) -> None:
        """Add examples, each with its input, but for inputs that a colleague has added."""

        def appended(data: bytes) -> bytes | None:
            taken: set[str] = set()
            if hashlib.sha256(data).hexdigest() != self._known:
                rows = (row.decode() for row in reviewed.lines(data) if row.strip())
                taken = {parse_line(row, "", "", self.item).input_key for row in rows}
            new = [content for key, content in added if key not in taken]
            if not new:
                return None
            data = reviewed.appended(data, *new)
            self._known = hashlib.sha256(data).hexdigest()
            return data

        files.create(self._path, b"", root=self.root)
        self.change(self._path, appended, lost)

    def _example(self, request: ProductionRequest, reference: str = "") -> Example:
        """Return the example that a request would be; without a reference, its input counts."""
        reference = reference or _NO_ANSWER  # not the output: one that can't be agreed on is odd
        return self._parsed(request, request.example(reference, self._item_key(request)))

    def _as_it_stands(self, request: ProductionRequest) -> dict[str, Any]:
        """Return an example with the answer that the source has: the agreed one, or the output."""
        agreed = self._agreed(request)
        if agreed and "item" in request.content:  # several may be agreed on
            return dict(request.content)
        return request.example(agreed or request.output, self._item_key(request))

    def _parsed(self, request: ProductionRequest, content: Mapping[str, Any]) -> Example:
        text = json.dumps(content, ensure_ascii=False)
        try:
            return parse_line(text, request.place, request.place, self.item)
        except LineError as error:
            raise ConfigError(error.message, hint=error.hint, where=request.place) from None

    def _item(self, request: ProductionRequest, example: Example) -> ReviewItem:
        asked = replace(example, reference=self._agreed(request))
        reason = "; ".join(filter(None, [request.mark, self._ranked(request)[1]]))
        item = ReviewItem(asked, request.output, reason, home=request)
        if not request.output and asked.reference:  # a test says what is right, and has no output
            item.output, item.called = asked.reference, "answer"
        if _has_key(item):
            item.reason = "; ".join(filter(None, [reason, "something in it looks like a key"]))
        return item

    def _agreed(self, request: ProductionRequest) -> str:
        """Return what the source says is right; "" where it says nothing."""
        if "item" not in request.content:
            return request.agreed
        agreed = request.content["item"].get(self._item_key(request)) or ""
        return agreed if isinstance(agreed, str) else json.dumps(agreed, ensure_ascii=False)

    def _item_key(self, request: ProductionRequest) -> str:
        """Return the key that holds the reference of an evals item."""
        item: Mapping[str, Any] = request.content.get("item", {})
        if self.item and "reference" in self.item:
            return self.item["reference"]
        return next((key for key in REFERENCE_KEYS if key in item), REFERENCE_KEYS[0])


def _has_key(item: ReviewItem) -> bool:
    return has_key(json.dumps([item.home.content, item.output], ensure_ascii=False))
