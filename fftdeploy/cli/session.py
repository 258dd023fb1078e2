"""A command's run as its flags and streams make it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from fftdeploy.api.settings import secrets_of
from fftdeploy.commands.context import Context
from fftdeploy.output.results import as_json
from fftdeploy.output.streams import Format, Output


@dataclass(kw_only=True)
class Session(Context):
    """One run of a command whose end is printed."""

    output: Output

    def document(self, result: object = None) -> dict[str, Any]:
        """Return the JSON of a result, or of what is known by now; whom was asked is part of it."""
        found = self.known if result is None else result
        asked = {"api": as_json(self.api), "hosts": as_json(self.hosts)} if self.api else {}
        document = as_json(found) if found is not None else {}
        if (findings := getattr(found, "findings", None)) is not None:
            document = {**document, "findings": as_json(findings)}
        return {**asked, **document}


def open_session(
    command: str,
    environ: Mapping[str, str],
    *,
    file: Path | None,
    form: Format,
    quiet: bool,
    no_color: bool,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> Session:
    """Start a run of `command`, which prints on the process's streams unless others are given."""
    hidden = secrets_of(environ)
    output = Output(
        environ,
        form=form,
        quiet=quiet,
        color=False if no_color else None,
        secrets=hidden,
        stdout=stdout,
        stderr=stderr,
    )
    return Session(
        command=command,
        environ=environ,
        console=output,
        output=output,
        hidden=hidden,
        file=file,
        from_root=form == "github",
    )
