"""Work on threads that never keep the process alive."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from concurrent.futures import Future

_Item = TypeVar("_Item", bound="Hashable")
_Result = TypeVar("_Result")


def begin(work: Callable[..., _Result], *arguments: Any) -> Future[_Result]:
    """Run `work` on a daemon thread of its own: one that hangs must not keep the process."""
    from concurrent.futures import Future

    future: Future[_Result] = Future()
    future.set_running_or_notify_cancel()  # what runs cannot be cancelled

    def run() -> None:
        try:
            future.set_result(work(*arguments))
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="fftdeploy").start()
    return future


def each(
    items: Iterable[_Item], work: Callable[[_Item], _Result], concurrency: int
) -> dict[_Item, _Result]:
    """Run `work` on every item, `concurrency` at a time; the first failure is raised."""
    from concurrent.futures import as_completed

    order = list(items)
    todo = deque(order)
    results: dict[_Item, _Result] = {}

    def run() -> None:
        while todo:
            try:
                item = todo.popleft()
            except IndexError:  # another thread was faster
                return
            results[item] = work(item)

    for worker in as_completed([begin(run) for _ in order[:concurrency]]):
        worker.result()
    return {item: results[item] for item in order}
