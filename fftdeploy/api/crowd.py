"""One function on many items at once, on threads that never keep the process alive."""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

_Item = TypeVar("_Item", bound="Hashable")
_Result = TypeVar("_Result")


def each(
    items: Iterable[_Item], work: Callable[[_Item], _Result], concurrency: int
) -> dict[_Item, _Result]:
    """Run `work` on every item, `concurrency` at a time; the first failure is raised.

    The threads are daemons: one that hangs must not keep the process from ending.
    """
    order = list(items)
    todo = deque(order)
    done: SimpleQueue[tuple[_Item, _Result | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        while True:
            try:
                item = todo.popleft()
            except IndexError:
                return
            try:
                done.put((item, work(item), None))
            except BaseException as error:  # noqa: BLE001  raised again by the caller's thread
                done.put((item, None, error))

    for _ in range(min(concurrency, len(order))):
        threading.Thread(target=run, daemon=True, name="fftdeploy-proof").start()
    return _collect(order, done)


def _collect(
    order: Sequence[_Item],
    done: SimpleQueue[tuple[_Item, _Result | None, BaseException | None]],
) -> dict[_Item, _Result]:
    results: dict[_Item, Any] = {}
    for _ in order:
        item, result, error = done.get()
        if error is not None:
            raise error
        results[item] = result
    return {item: results[item] for item in order}
