"""Files of examples, and how they are opened."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from fftdeploy.evaluation.examples.examples import Example, ExampleSet, open_examples

Table = dict[str, Any]


def chat(asked: str = "q", agreed: str = "a", **beside: Any) -> Table:
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": agreed}]
    return {"messages": messages, **beside}


def put(folder: Path, content: str | bytes | Iterable[Table], name: str = "suite.jsonl") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        content = "".join(f"{json.dumps(line)}\n" for line in content).encode()
    path.write_bytes(content)
    return path


def opened(
    path: Path,
    *more: Path,
    item: dict[str, str] | None = None,
    check: Callable[[Example], str] | None = None,
    now: datetime | None = None,
) -> ExampleSet:
    root = path.parent
    paths = [(each, str(each.relative_to(root))) for each in (path, *more)]
    return open_examples(paths, root=root, item=item, check=check, now=now)


def one(folder: Path, line: Table, **options: Any) -> Example:
    examples = opened(put(folder, [line]), **options)
    assert len(examples) == 1
    return examples.read(0)
