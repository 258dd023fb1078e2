"""The commands that need no file yet: init, schema, sandbox, demo."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.context import parse_time
from fftdeploy.errors import UsageError
from fftdeploy.names import nearest
from fftdeploy.output.report import Raw, Report

_SCHEMAS = ("deployments", "policy", "output")


@command("init")
def init(
    session: Session,
    ci: Annotated[
        str | None,
        typer.Option("--ci", help="Also write a workflow and a pre-commit hook: github or gitlab."),
    ] = None,
) -> Report:
    """Write the files a repository needs; what exists is kept.

    \b
    Examples:
      fftdeploy init
      fftdeploy init --ci github
    """
    from fftdeploy.cli.initializing import initialize

    return initialize(session, ci)


@command("schema")
def schema(
    session: Session,
    which: Annotated[
        str | None, typer.Argument(help="deployments, policy or output; default: all three.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write those of the two files beside them, for editors.")
    ] = False,
) -> Report:
    """Print the JSON Schemas of the two files and of the JSON output.

    \b
    Examples:
      fftdeploy schema deployments
      fftdeploy schema output
      fftdeploy schema --write
    """
    from fftdeploy.commands.schema import output_schema
    from fftdeploy.output.schema import toml_files

    if which is not None and which not in _SCHEMAS:
        near = nearest(which, list(_SCHEMAS))
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(_SCHEMAS)}"
        raise UsageError(f"there is no schema {which!a}", hint=hint)
    if write:
        from fftdeploy.cli.initializing import write_schemas

        return write_schemas(session, which)
    makers = {
        "deployments": toml_files.deployments,
        "policy": toml_files.policy,
        "output": output_schema,
    }
    made = {name: makers[name]() for name in ([which] if which else _SCHEMAS)}
    session.data["schemas"] = made
    shown = json.dumps(made[which] if which else made, indent=2)
    return Report(data=session.data, body=(Raw(f"{shown}\n"),))


@command("sandbox")
def sandbox(
    session: Session,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one.")
    ] = 8089,
    now: Annotated[
        str | None, typer.Option("--now", help="Stop its clock at a time: 2026-11-21T08:30:00Z.")
    ] = None,
) -> Report:
    """Serve a local OpenAI-compatible API, to try without a key.

    \b
    Examples:
      fftdeploy sandbox
      fftdeploy sandbox --port 0 --now 2026-11-21T08:30:00Z
    """
    from fftdeploy.cli.serving import serve

    return serve(session, port, parse_time(now, "--now") if now else None)


@command("demo")
def demo(
    session: Session,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="Empty folder for the repository; default: a temporary one."),
    ] = None,
) -> Report:
    """Watch the whole story in a git repository, without a key.

    \b
    Examples:
      fftdeploy demo
      fftdeploy demo --dir ./fftdeploy-demo
    """
    from fftdeploy.cli.demonstrating import Demonstration

    return Demonstration(session, folder).run()
