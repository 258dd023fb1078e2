"""Shows a GitHub job a command's summary, and sets outputs for the steps after it."""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fftdeploy.cli.session import Session
from fftdeploy.errors import FftdeployError, Outcome
from fftdeploy.files import journal
from fftdeploy.output.report import Raw, Report

_PLAIN = re.compile(r"[A-Za-z0-9._:#/+-]{0,256}")
"""All that an outcome, a model and evidence are made of; anything else is not written."""


def publish(session: Session, outcome: Outcome, end: Report | FftdeployError) -> None:
    """Append to the job summary and the step's outputs, where there is a job.

    What cannot be written is said, and changes nothing about how the command ends.
    """
    environ = session.environ
    data = end.data if isinstance(end, Report) else session.document()
    # What goes to a program has no place in a summary, which a person reads.
    is_read = isinstance(end, Report) and all(isinstance(block, Raw) for block in end.body)
    texts = {
        "GITHUB_STEP_SUMMARY": "" if is_read else session.output.summary(end),
        "GITHUB_OUTPUT": _outputs(outcome, data),
    }
    for variable, text in texts.items():
        if (path := environ.get(variable)) and text:
            try:
                journal.append_text(Path(path), text)
            except FftdeployError as error:
                session.output.note(f"warning: {variable}: {error.message}")


def _outputs(outcome: Outcome, data: Mapping[str, Any]) -> str:
    values = {
        "outcome": outcome.name,
        "exit_code": str(outcome.exit_code),
        **_promoted(data),
    }
    mark = f"end-{secrets.token_hex(8)}"
    return "".join(
        f"{key}<<{mark}\n{value}\n{mark}\n"
        for key, value in values.items()
        if isinstance(value, str) and _PLAIN.fullmatch(value)
    )


def _promoted(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was made live, or is proposed to be, and what was live before."""
    changes = data.get("changes")  # those of a report are what a request costs more or less
    proposed = changes if isinstance(changes, list) else ()
    made = [change for change in proposed if change["release"] is not None]
    if len(made) == 1:
        return {key: made[0][key] for key in ("model", "previous", "evidence")}
    parts = (data.get(key) for key in ("before", "after", "release"))
    before, after, release = (part if isinstance(part, dict) else {} for part in parts)
    return {
        "model": after.get("model") or data.get("model"),
        "previous": before.get("model"),
        "evidence": release.get("evidence") or data.get("evidence"),
    }
