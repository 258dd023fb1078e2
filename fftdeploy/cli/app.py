"""The Typer application, its common flags, and the one boundary that turns failures into exits."""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from itertools import pairwise
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from typer.models import OptionInfo

import fftdeploy
from fftdeploy import errors
from fftdeploy.cli import completion, flags, signals
from fftdeploy.cli.command_groups import COMMANDS, GroupedHelp
from fftdeploy.cli.completion import FORMATS
from fftdeploy.commands.options.declared import Options, WriteOptions
from fftdeploy.errors import DeclinedError, FftdeployError, Outcome
from fftdeploy.names import not_one_of, undecoded
from fftdeploy.output.report import Report
from fftdeploy.output.streams import ClosedPipeError, Format, Output

if TYPE_CHECKING:
    from fftdeploy.cli.session import Session

PIPE_CLOSED = 141
_ROOT_FLAGS = frozenset({"-h", "--help", "--version"})
"""What stands in the place of a command, and needs none of them."""

app = typer.Typer(
    name="fftdeploy",
    cls=GroupedHelp,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""Promote and roll back fine-tuned models, with proof that each one answers.

    \b
    Examples:
      fftdeploy demo               the whole story, without a key
      fftdeploy status             what is live everywhere
      fftdeploy promote triage/staging --job ftjob-abc123
      fftdeploy rollback triage/production --why "refund tickets misrouted"

    Exit codes: 0 is done; docs/reference/exit-codes.md says what each other means.
    """,
)


@dataclass(frozen=True, slots=True)
class ChangeFlags:
    """How a person takes part in a change of the deployments file."""

    diff: bool
    yes: bool


def _option(kind: Any, default: Any, *names: str, **about: Any) -> tuple[Any, Any]:
    """Return the annotation and the default of a flag."""
    return Annotated[kind, typer.Option(*names, **about)], default


def _format(value: str | None) -> str | None:
    if value is not None and value not in FORMATS:
        wrong = not_one_of("", value, FORMATS)
        raise typer.BadParameter("; ".join(filter(None, wrong.values())).strip())
    return value


_Declared = dict[str, tuple[Any, Any]]
"""Flags by the names of their parameters: the annotation, and the default."""
_COMMON: _Declared = {
    "form": _option(
        str | None,
        None,
        "--format",
        help="text, json, markdown or github; default: text, in GitHub Actions github.",
        callback=_format,
        metavar="FORMAT",
    ),
    "as_json": _option(bool, False, "--json", help="The same as --format json."),
    "quiet": _option(bool, False, "--quiet", "-q", help="Results and errors only."),
    "no_color": _option(bool, False, "--no-color", help="No colours."),
}
_CHANGE: _Declared = {
    "diff": _option(bool, False, "--diff", help="Show the file's diff, too."),
    "yes": _option(bool, False, "--yes", "-y", help="Do not ask."),
}


def command(
    name: str, options: type[Options] = Options, examples: str = "", more: str = ""
) -> Callable[[Callable[..., Report]], None]:
    """Register a command: a function of its `Session`, its options, and how they are shown.

    Its parameters behind those are flags of the command line alone; a command that writes the
    deployments file takes `ChangeFlags` before them.  The flags of the options and the common ones
    are added, so that no command can lack one.  The help is the summary, `more`, and the examples.
    """
    changes, says = issubclass(options, WriteOptions), options is not Options

    def register(function: Callable[..., Report]) -> None:
        own = [*inspect.signature(function).parameters.values()][1 + says + changes :]
        *said, file = flags.parameters(options)
        parameters = [
            *said,
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
            *_parameters(_CHANGE if changes else {}),
            file,
            *_parameters(_COMMON),
        ]
        typed = [  # a `--` may stand before others
            p.name for p in parameters if isinstance(get_args(p.annotation)[1], OptionInfo)
        ]

        def invoke(**values: Any) -> None:
            _refuse_flags_as_values(name, (values[option] for option in typed))
            common = {key: values.pop(key) for key in _COMMON} | {"file": values["file"]}
            _invoke(name, common, partial(report, values))

        def report(values: dict[str, Any], session: "Session") -> Report:
            made: list[Any] = [flags.made(options, values)][:says]
            if changes:
                made.append(ChangeFlags(**{key: values.pop(key) for key in _CHANGE}))
            return function(session, *made, **values)

        cast("Any", invoke).__signature__ = inspect.Signature(parameters)
        invoke.__annotations__ = {p.name: p.annotation for p in parameters}
        shown = f"\b\nExamples:\n{indent(inspect.cleandoc(examples), '  ')}"
        invoke.__doc__ = "\n\n".join((COMMANDS[name].summary, inspect.cleandoc(more), shown))
        app.command(name)(invoke)

    return register


def _parameters(declared: _Declared) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for key, (kind, default) in declared.items()
    ]


def _refuse_flags_as_values(name: str, values: Iterable[object]) -> None:
    """Refuse a line that lacks a value: Typer takes the next flag for it, `--why --yes`."""
    flag = next((one for one in values if isinstance(one, str) and one.startswith("--")), "")
    if flag:
        raise typer.BadParameter(f"{flag} stands where fftdeploy {name} takes a value")


def _invoke(name: str, common: Mapping[str, Any], run: "Callable[[Session], Report]") -> None:
    from fftdeploy.cli.session import open_session

    is_read = name in {"resolve", "schema"}  # by a program, which reads the same everywhere
    usual: Format = "github" if _is_github_job() and not is_read else "text"
    session = open_session(
        name,
        os.environ,
        file=common["file"],
        form="json" if common["as_json"] else common["form"] or usual,
        quiet=common["quiet"],
        no_color=common["no_color"],
    )
    try:
        code = exit_code(session, run)
    finally:
        session.close()
    raise typer.Exit(code)


def _is_github_job() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _publish(session: "Session", outcome: Outcome, end: Report | FftdeployError) -> None:
    if _is_github_job():
        from fftdeploy.cli import surfaces

        surfaces.publish(session, outcome, end)


def exit_code(session: "Session", run: "Callable[[Session], Report]") -> int:
    """Run a command, print its end whatever that is, and return its exit code."""
    try:
        session.take_shutdowns()
        report = run(session)
        if session.output.form == "json" or _is_github_job():  # nobody else reads it
            report = replace(report, data=session.document(report.data))
        session.output.report(session.command, report)
        _publish(session, report.outcome, report)
        session.close()
    except DeclinedError as error:
        session.output.message(error.message)
        return error.outcome.exit_code
    except FftdeployError as error:
        error.changed = error.changed or session.changed
        session.output.error(session.command, error.outcome, error, session.document())
        _publish(session, error.outcome, error)
        return error.outcome.exit_code
    except ClosedPipeError:
        if session.changed:
            session.output.message(f"note: {session.changed}")
        return PIPE_CLOSED
    except signals.Stopped as stop:
        return _stopped(session.output, session.command, stop, session.changed, session.document())
    except Exception as error:  # noqa: BLE001 - the boundary: whatever is left is a bug
        return _bug(session.output, session.command, error, session.changed)
    return report.outcome.exit_code


def _stopped(
    output: Output,
    command: str,
    stop: signals.Stopped,
    changed: str = "",
    data: Mapping[str, Any] | None = None,
) -> int:
    """Say what stopped the command, and what state that leaves things in."""
    outcome = Outcome(128 + stop.number, "stopped", "", "")
    state = "; nothing was changed" if data is not None and not changed else ""
    error = FftdeployError(f"stopped by {stop}{state}", code="stopped")
    error.changed = changed
    output.error(command, outcome, error, data)
    return outcome.exit_code


def stopped_early(argv: Sequence[str], stop: signals.Stopped) -> int:
    """Say what stopped a command line before its command began."""
    return _stopped(_plain_output(argv), _name(argv), stop, data={})


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    if version:
        typer.echo(fftdeploy.__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(errors.USAGE.exit_code)


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; every failure ends here."""
    with signals.raised():
        try:
            _require_text(argv)
            is_completing = completion.VARIABLE in os.environ
            if is_completing or {*argv[:1]} - _ROOT_FLAGS:
                _register(argv)
            with completion.offered(app) if is_completing else nullcontext():
                return int(app(args=list(argv), prog_name="fftdeploy", standalone_mode=False) or 0)
        except typer.TyperException as error:
            return _usage(argv, error)
        except typer.Abort:
            return 130
        except signals.Stopped as stop:
            return stopped_early(argv, stop)
        except (SystemExit, OSError) as error:
            return _unprinted(_plain_output(argv), error)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever is left is a bug
            return _bug(_plain_output(argv), _name(argv), error)


def _require_text(argv: Sequence[str]) -> None:
    if word := undecoded(argv):
        raise typer.BadParameter(f"{word[:80]!a} is not UTF-8")


def _register(argv: Sequence[str]) -> None:
    """Import the command that is called, or all of them where any may be meant.

    Importing and building all of them costs more than most of them take to run; the help lists
    their summaries without.
    """
    called = COMMANDS.get(argv[0]) if argv else None
    for module in [called.module] if called else {each.module: 0 for each in COMMANDS.values()}:
        import_module(f"fftdeploy.cli.{module}")
    order = list(COMMANDS)
    app.registered_commands.sort(key=lambda info: order.index(info.name or ""))


def _name(argv: Sequence[str]) -> str:
    """Return the command's name for the JSON document's schema."""
    return argv[0] if argv and argv[0] in COMMANDS else "usage"


def _usage(argv: Sequence[str], error: typer.TyperException) -> int:
    from fftdeploy.cli.usage import usage_error

    _register(())  # all of them: any may be meant
    built: Any = typer.main.get_command(app)
    failure = usage_error(argv, built.commands, error)
    _plain_output(argv).error(_name(argv), failure.outcome, failure)
    return failure.outcome.exit_code


def _unprinted(output: Output, error: SystemExit | OSError) -> int:
    """End what Typer prints itself: help, the version, completions.

    It leaves completions by `SystemExit`, and by one with code 1 when its reader is gone.
    """
    if isinstance(error, SystemExit) and error.code != 1:
        return int(error.code or 0)
    output.abandon_stdout()
    if isinstance(error, SystemExit | BrokenPipeError):
        return PIPE_CLOSED
    output.message(f"error: {error.strerror} writing to stdout")
    return errors.IO.exit_code


def _bug(output: Output, command: str, error: Exception, changed: str = "") -> int:
    from fftdeploy.cli.bugs import write_report

    path = write_report(error, output.redact)
    failure = FftdeployError(
        f"unexpected {type(error).__name__}",
        hint=f"please report it with {path}" if path else "please report it",
        code="bug",
    )
    failure.changed = changed
    output.error(command, errors.BUG, failure)
    return errors.BUG.exit_code


def _plain_output(argv: Sequence[str]) -> Output:
    """Return an output for what fails before, or outside of, a session."""
    from fftdeploy.api.settings import secrets_of

    as_json = {"--json", "--format=json"} & {*argv} or ("--format", "json") in pairwise(argv)
    form: Format = "json" if as_json else "text"
    return Output(os.environ, form=form, secrets=secrets_of(os.environ))
