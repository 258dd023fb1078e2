"""The commands that need no file yet: init, schema, sandbox, demo."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.context import one_of
from fftdeploy.commands.options.declared import parse_time
from fftdeploy.commands.options.looking import InitOptions, SchemaOptions
from fftdeploy.output.report import Block, Cell, Raw, Report, line

if TYPE_CHECKING:
    from fftdeploy.commands.init import Initialized

_MOST_FOUND = 10
_ACTS = ("whole", "migration", "watching")
"""The stories of `demo` in their order."""


@command(
    "init",
    InitOptions,
    """
    fftdeploy init
    fftdeploy init --task invoices --env dev,production --examples answers.jsonl
    fftdeploy init --live gpt-6-luna --ci github
    fftdeploy init --example
    """,
)
def init(
    session: Session,
    options: InitOptions,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Report:
    """Show what was written, and what was found."""
    from fftdeploy.commands import init as initializing

    result = initializing.run(session, replace(options, ask=not yes))
    return Report(data=result, body=tuple(_initialized(result)), next=result.next)


def _initialized(result: "Initialized") -> Iterator[Block]:
    if result.rewrote:
        yield line(Cell("  rewrote ", "good"), result.rewrote)
    for path in result.all:
        yield _written(path, is_new=path in result.wrote)
    for each in result.to_add:
        yield line(Cell(f"  add to {each.path}:", "warn"))
        yield Raw("".join(f"    {row}\n" for row in each.text.splitlines()))
    if "fftdeploy.toml" in result.wrote:
        yield line(f"gate of {result.task}, inferred from {result.examples}:")
        yield from (line(f"  {each}") for each in result.inferred)
        yield from (line(Cell("  not judged: ", "warn"), each) for each in result.not_judged)
    for found in result.found[:_MOST_FOUND]:
        yield line(Cell("  found  ", "warn"), f"{found.model}  {', '.join(found.places[:3])}")
    if result.found:
        target = f"{result.task}/{result.environments[-1]}"
        model = result.found[0].model
        yield line(f'is it live? fftdeploy adopt {target} --model {model} --why "TEXT"')


def _written(path: str, *, is_new: bool) -> Block:
    return line(Cell("  wrote  ", "good") if is_new else Cell("  kept   ", "dim"), path)


@command(
    "schema",
    SchemaOptions,
    """
    fftdeploy schema deployments
    fftdeploy schema output
    fftdeploy schema --write
    """,
)
def schema(session: Session, options: SchemaOptions) -> Report:
    """Print the schemas, or say where they were written."""
    from fftdeploy.commands import schema as schemas

    result = schemas.run(session, options)
    if not options.write:
        which = options.which
        shown = json.dumps(result.schemas[which] if which else result.schemas, indent=2)
        return Report(data=result, body=(Raw(f"{shown}\n"),))
    body: list[Block] = []
    for each in result.files:
        body.append(_written(each.path, is_new=each.is_new))
        if each.directive:
            body.append(line(f"  first line of {each.described}, for editors:  {each.directive}"))
    return Report(data=result, body=tuple(body))


@command(
    "sandbox",
    examples="""
    fftdeploy sandbox
    fftdeploy sandbox --port 0 --now 2026-11-21T08:30:00Z
    """,
)
def sandbox(
    session: Session,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Port on 127.0.0.1; 0 picks a free one.",
        ),
    ] = 8089,
    now: Annotated[
        str | None,
        typer.Option(
            "--now", metavar="TIME", help="Stop its clock at a time: 2026-11-21T08:30:00Z."
        ),
    ] = None,
) -> Report:
    """Serve until it is stopped."""
    from fftdeploy.cli.serving import serve

    return serve(session, port, parse_time(now, "--now") if now else None)


@command(
    "demo",
    examples="""
    fftdeploy demo
    fftdeploy demo --short
    fftdeploy demo --act 2
    fftdeploy demo --step --dir ./fftdeploy-demo
    """,
)
def demo(
    session: Session,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="PATH",
            help="Empty folder for the repository; default: a temporary one.",
        ),
    ] = None,
    short: Annotated[
        bool, typer.Option("--short", help="One screen: promote, stop a bad model, roll back.")
    ] = False,
    act: Annotated[
        int,
        typer.Option(
            "--act",
            metavar="N",
            min=1,
            max=len(_ACTS),
            help="2: off models that end; 3: watch one.",
        ),
    ] = 1,
    step: Annotated[bool, typer.Option("--step", help="Wait for Enter after each step.")] = False,
) -> Report:
    """Play one of the stories."""
    from fftdeploy.cli.demo import Demonstration, read_story

    one_of({"--short": short, f"--act {act}": act > 1})
    story = read_story("short" if short else _ACTS[act - 1])
    return Demonstration(session, story, folder, waits=step).run()
