"""Where a review takes answers from: requests of production, or the failures of a run."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fftdeploy import files
from fftdeploy.cli.quality import QualityBar
from fftdeploy.cli.reviewing import Item
from fftdeploy.cli.session import Session
from fftdeploy.disk import shown
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation import reviewed
from fftdeploy.evaluation.example_lines import Example, LineError, parse_line
from fftdeploy.evaluation.examples import ExampleSet, open_examples
from fftdeploy.evaluation.production import MAX_BYTES, Request, read_requests
from fftdeploy.evaluation.rejected import Rejected
from fftdeploy.evaluation.reviewed import Review

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # none that is read for another
_NO_ANSWER = "?"


@dataclass(slots=True)
class _Asked(Item):
    """A request of production."""

    request: Request | None = None


class Requests:
    """Answers of production, which become examples at the end of a file."""

    help = (
        "a  accept: the output becomes the agreed answer of a new example",
        "e  edit: what you write becomes it",
        "r  reject: no example, and it is not asked again on this machine",
        "t  tags: for the example that it becomes",
    )

    def __init__(
        self, session: Session, bar: QualityBar, source: Path, to: Path | None, by: str
    ) -> None:
        """Open the file of requests and what there is of examples.

        Raises:
            ConfigError: One of the files is missing or damaged, located.
            DiskError: The disk refused.
        """
        self.session, self.bar, self.by = session, bar, by
        folder = bar.workspace.folder
        self._path = to or folder / bar.rules.examples[0]
        self.where = shown(self._path) if to else _shown(bar, bar.rules.examples[0])
        self.has_written = False
        self._rejected = Rejected(folder, bar.task, secrets.token_hex(32))
        self._requests = self._read(source)
        self._ids: set[str] = set()

    def pending(self) -> Sequence[Item]:
        """Return the requests that are no examples and were not rejected, each input once."""
        examples = self._examples()
        self._ids = set(examples.ids)
        seen = {example.input_key for example in examples}
        items = []
        for request in self._requests:
            example = self._example(request, request.output or _NO_ANSWER)
            key = example.input_key
            if key not in seen and key not in self._rejected:
                seen.add(key)
                items.append(self._item(request, example))
        return items

    def problem(self, item: Item, reference: str) -> str:
        """Say why `reference` can't be the agreed answer; "" if it can."""
        try:
            example = self._example(_request(item), reference)
        except ConfigError as error:
            return error.message
        return self.bar.grading.reference_problem(example)

    def keep(self, item: Item, reference: str) -> None:
        """Append the example; raises ConflictError and DiskError."""
        request, now = _request(item), self.session.now()
        content = request.example(reference, self._item_key(request))
        said = {key: content.pop(key) for key in ("tags", "meta", "group") if key in content}
        content["id"] = self._new_id(f"{now:%Y%m%d}")
        if tags := list(dict.fromkeys([*(said.get("tags") or []), *item.tags])):
            said["tags"] = tags
        content |= {**said, "reviewed_by": self.by, "reviewed_at": _time(now)}
        self._write(lambda data: reviewed.appended(data, content))
        self._ids.add(content["id"])

    def reject(self, item: Item) -> None:
        """Remember the input; raises DiskError."""
        self.has_written = False
        self._rejected.add(item.example.input_key, self.by, _time(self.session.now()))
        self.has_written = True

    def tag(self, item: Item) -> bool:
        """Leave the tags for the decision: there is no example yet."""
        del item
        return False

    def _write(self, change: Callable[[bytes], bytes | None]) -> None:
        folder = self.bar.workspace.folder
        files.create(self._path, b"", root=folder)
        _changed(self, self._path, folder, change)

    def _examples(self) -> ExampleSet:
        """Open the examples that there are: a first review may be what makes the file."""
        bar, folder = self.bar, self.bar.workspace.folder
        paths = [(folder / path, _shown(bar, path)) for path in bar.rules.examples]
        if all(path != self._path for path, _ in paths):
            paths.append((self._path, self.where))
        there = [(path, name) for path, name in paths if path.exists() or path.is_symlink()]
        check = bar.grading.reference_problem
        return open_examples(there, root=folder, item=bar.rules.item, check=check)

    def _read(self, source: Path) -> list[Request]:
        path = Path.cwd() / source
        hint = "--from names a JSONL file of requests"
        snapshot = files.read(path, root=Path(path.anchor), hint=hint, max_bytes=MAX_BYTES)
        return read_requests(snapshot.data, shown(source))

    def _example(self, request: Request, reference: str) -> Example:
        content = request.example(reference, self._item_key(request))
        text = json.dumps(content, ensure_ascii=False)
        try:
            return parse_line(text, request.place, request.place, self.bar.rules.item)
        except LineError as error:
            raise ConfigError(error.message, hint=error.hint, where=request.place) from None

    def _item(self, request: Request, example: Example) -> Item:
        agreed = request.content.get("item", {}).get(self._item_key(request), "")
        return _Asked(
            _with_reference(example, agreed if isinstance(agreed, str) else json.dumps(agreed)),
            output=request.output,
            reason=request.mark,
            request=request,
        )

    def _item_key(self, request: Request) -> str:
        return _reference_key(request.content.get("item", {}), self.bar.rules.item)

    def _new_id(self, day: str) -> str:
        """Make an ID that no colleague makes on another branch on the same day."""
        while True:
            made = f"r-{day}-{''.join(secrets.choice(_LETTERS) for _ in range(6))}"
            if made not in self._ids:
                return made


@dataclass(slots=True)
class _Failed(Item):
    """An example that an answer of the run has failed."""

    path: Path = Path()
    number: int = 0
    """Of its line."""
    row: bytes = b""
    """Its line as it is now."""


class Failures:
    """Answers of a run that did not pass, each to an example that is there already."""

    help = (
        "a  accept: the model is right; its output becomes the agreed answer",
        "e  edit: what you write becomes the agreed answer",
        "r  reject: the agreed answer stands, and you have reviewed it",
        "t  tags: added to the example",
    )
