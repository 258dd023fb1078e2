"""Answers of production: those that a reviewer takes become new examples."""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
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
from fftdeploy.evaluation.examples.examples import ExampleSet, open_examples
from fftdeploy.evaluation.examples.production import MAX_BYTES, ProductionRequest, read_requests
from fftdeploy.evaluation.examples.rejected import Rejected
from fftdeploy.evaluation.review.source import Reviewer, ReviewItem, ReviewSource
from fftdeploy.workspace import shown_path

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # none that is read for another
_NO_ANSWER = "?"


class Requests(ReviewSource):
    """Answers of production, which become examples at the end of a file."""

    help: Sequence[str] = (
        "a  accept: the output becomes the agreed answer of a new example",
        "e  edit: what you write becomes it",
        "r  reject: no example, and it is not asked again on this machine",
        "t  tags: for the example that it becomes",
    )

    def __init__(self, bar: QualityBar, reviewer: Reviewer, source: Path, to: Path | None) -> None:
        """Open the file of requests and what there is of examples.

        Raises:
            ConfigError: One of the files is missing or damaged, located.
            DiskError: The disk refused.
        """
        super().__init__(bar, reviewer)
        first = bar.rules.examples[0]
        self._path = Path.cwd() / to if to else self.root / first
        self.where = shown_path(self._path)
        self._rejected = Rejected(self.root, bar.task, secrets.token_hex(32))
        self._requests = self._read(source)
        self._ids: set[str] = set()
        self._known = ""  # hash of the file whose inputs are known

    def pending(self) -> Sequence[ReviewItem]:
        """Return the requests that are no examples and were not rejected, each input once."""
        examples = self._examples()
        self._ids = set(examples.ids)
        self._known = dict(examples.files).get(dict(self.paths).get(self._path, self.where), "")
        seen = {example.input_key for example in examples}
        items = []
        for request in self._requests:
            example = self._example(request, request.output or _NO_ANSWER)
            key = example.input_key
            if key not in seen and key not in self._rejected:
                seen.add(key)
                items.append(self._item(request, example))
        return items

    def problem(self, item: ReviewItem, reference: str) -> str:
        """Say why `reference` can't be the agreed answer; "" if it can."""
        try:
            example = self._example(_request(item), reference)
        except ConfigError as error:
            return error.message
        return self.bar.grading.reference_problem(example)

    def keep(self, item: ReviewItem, reference: str) -> None:
        """Append the example."""
        request, (at, day) = _request(item), self.reviewer.stamp()
        content = request.example(reference, self._item_key(request))
        said: dict[str, Any] = {
            key: content.pop(key) for key in ("tags", "meta", "group") if key in content
        }
        if tags := list(dict.fromkeys([*(said.get("tags") or []), *item.tags])):
            said["tags"] = tags
        made = self._new_id(day)
        content |= {"id": made, **said, "reviewed_by": self.reviewer.name, "reviewed_at": at}
        self._ids.add(made)
        files.create(self._path, b"", root=self.root)
        self.change(
            self._path,
            lambda data: self._appended(data, content, item.example.input_key),
            lost="this input was added to",
        )

    def reject(self, item: ReviewItem) -> None:
        """Remember the input."""
        self._rejected.add(item.example.input_key, self.reviewer.name, self.reviewer.stamp()[0])
        self.has_written = True

    def tag(self, item: ReviewItem) -> bool:
        """Leave the tags for the decision: there is no example yet."""
        del item
        return False

    def _appended(self, data: bytes, content: Mapping[str, Any], key: str) -> bytes | None:
        """Add an example; None where a colleague has added its input since the file was read."""
        if hashlib.sha256(data).hexdigest() != self._known:
            rows = (row.decode() for row in reviewed.lines(data) if row.strip())
            if any(parse_line(row, "", "", self.item).input_key == key for row in rows):
                return None
        new = reviewed.appended(data, content)
        self._known = hashlib.sha256(new).hexdigest()
        return new

    def _examples(self) -> ExampleSet:
        """Open the examples that there are: a first review may be what makes the file."""
        paths = [*self.paths]
        if all(path != self._path for path, _ in paths):
            paths.append((self._path, self.where))
        there = [(path, name) for path, name in paths if path.exists() or path.is_symlink()]
        return open_examples(
            there, root=self.root, item=self.item, check=self.bar.grading.reference_problem
        )

    def _read(self, source: Path) -> list[ProductionRequest]:
        path = Path.cwd() / source
        hint = "--from names a JSONL file of requests"
        snapshot = files.read(path, root=Path(path.anchor), hint=hint, max_bytes=MAX_BYTES)
        return read_requests(snapshot.data, str(source))

    def _example(self, request: ProductionRequest, reference: str) -> Example:
        content = request.example(reference, self._item_key(request))
        text = json.dumps(content, ensure_ascii=False)
        try:
            return parse_line(text, request.place, request.place, self.item)
        except LineError as error:
            raise ConfigError(error.message, hint=error.hint, where=request.place) from None

    def _item(self, request: ProductionRequest, example: Example) -> ReviewItem:
        agreed = request.content.get("item", {}).get(self._item_key(request), "")
        text = agreed if isinstance(agreed, str) else json.dumps(agreed, ensure_ascii=False)
        asked = replace(example, reference=text)
        return ReviewItem(asked, request.output, request.mark, home=request)

    def _item_key(self, request: ProductionRequest) -> str:
        """Return the key that holds the reference of an evals item."""
        item: Mapping[str, Any] = request.content.get("item", {})
        if self.item and "reference" in self.item:
            return self.item["reference"]
        return next((key for key in REFERENCE_KEYS if key in item), REFERENCE_KEYS[0])

    def _new_id(self, day: str) -> str:
        """Make an ID that no colleague makes on another branch on the same day."""
        while True:
            made = f"r-{day}-{''.join(secrets.choice(_LETTERS) for _ in range(6))}"
            if made not in self._ids:
                return made


def _request(item: ReviewItem) -> ProductionRequest:
    assert isinstance(item.home, ProductionRequest)  # noqa: S101  they come from `pending`
    return item.home
