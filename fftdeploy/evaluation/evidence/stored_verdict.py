"""Reads the verdict that evidence has stored as a `Verdict`: that shape or an error."""

from collections.abc import Mapping
from typing import Any, cast

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.formats import json_shapes


def read_verdict(stored: Mapping[str, Any]) -> Verdict:
    """Return what `Verdict.as_json` has written.

    Raises:
        ConfigError: It is not that: a key too many or too few, or a value of another kind.
    """
    try:
        return cast("Verdict", json_shapes.read(Verdict, stored))
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(
            "the verdict in this evidence has another shape than fftdeploy gives it",
            hint="check it: fftdeploy verify",
            code="evidence",
        ) from None
