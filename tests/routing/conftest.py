"""Each test begins with nothing read and nothing answered."""

from collections.abc import Iterator
from typing import Any

import pytest

from fftdeploy.routing import kept_files, routes, runtime


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Forget what earlier tests of this process were answered."""
    memories: tuple[dict[Any, Any], ...] = (
        kept_files._read, runtime._answered, routes._kept, routes._told,
    )  # fmt: skip
    for memory in memories:
        memory.clear()
    yield
    for memory in memories:
        memory.clear()
