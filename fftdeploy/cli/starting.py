"""The commands that need no file yet: init, schema, sandbox, demo."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.context import parse_time
from fftdeploy.output.report import Block, Cell, Raw, Report, line

_NEXT = "fftdeploy models, then fftdeploy promote triage/staging --job ftjob-... or --model ID"


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
    from fftdeploy.commands import init as initializing

    result = initializing.run(session, initializing.InitOptions(ci=ci))
    missing = {each.path: each.text for each in result.to_add}
    body: list[Block] = []
    for path in result.all:
        body.append(_written(path, is_new=path in result.wrote))
        if path in missing:
            rows = "".join(f"    {row}\n" for row in missing[path].splitlines())
            body += [line(Cell(f"  add to {path}:", "warn")), Raw(rows)]
    return Report(data=result, body=tuple(body), next=_NEXT)


def _written(path: str, *, is_new: bool) -> Block:
    return line(Cell("  wrote  ", "good") if is_new else Cell("  kept   ", "dim"), path)


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
    from fftdeploy.commands import schema as schemas

    result = schemas.run(session, schemas.SchemaOptions(which, write=write))
    if not write:
        shown = json.dumps(result.schemas[which] if which else result.schemas, indent=2)
        return Report(data=result, body=(Raw(f"{shown}\n"),))
    body: list[Block] = []
    for each in result.files:
        body.append(_written(each.path, is_new=each.is_new))
        if each.directive:
            body.append(line(f"  first line of {each.described}, for editors:  {each.directive}"))
    return Report(data=result, body=tuple(body))


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
    from fftdeploy.cli.demo import Demonstration, read_story

    return Demonstration(session, read_story(), folder).run()
