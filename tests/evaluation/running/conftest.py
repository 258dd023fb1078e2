"""The sandbox that runs ask, with the clock that everybody has."""

from collections.abc import Iterator

import pytest

from fftdeploy.sandbox import Sandbox


@pytest.fixture
def api() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server
