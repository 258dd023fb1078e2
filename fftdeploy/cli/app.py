"""The Typer application, its common flags, and the one boundary that turns failures into exits."""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from typer.models import OptionInfo

import fftdeploy
from fftdeploy import errors
from fftdeploy.api.settings import secrets_of
from fftdeploy.cli import completion, signals
from fftdeploy.cli.command_groups import COMMANDS, GroupedHelp
from fftdeploy.cli.completion import FORMATS
from fftdeploy.cli.session import Session, open_session
from fftdeploy.errors import DeclinedError, FftdeployError, Outcome
from fftdeploy.names import not_one_of, undecoded
from fftdeploy.output.report import Report
from fftdeploy.output.streams import ClosedPipeError, Format, Output

PIPE_CLOSED = 141

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
    """The flags of every command that changes the deployments file."""

    dry_run: bool
    diff: bool
    why: str | None
    by: str | None
    yes: bool
    commit: bool


@dataclass(frozen=True, slots=True)
class LimitFlags:
    """`--max-usd` and `--max-requests` of a command, each with its own help.

    A command's parameter `limits` that is annotated with it is both of them, as options.
    """

    usd: str
    requests: str
    least_usd: float | None = 0.0
    most_requests: int | None = None
    """Where the command line says nothing."""

    def declared(self) -> "_Declared":
        """Return them by their names."""
        usd = typer.Option("--max-usd", min=self.least_usd, help=self.usd)
        counted = f"{self.requests} Retries are not counted."
        requests = typer.Option("--max-requests", min=1, help=counted)
        return {
            "max_usd": (Annotated[float | None, usd], None),
            "max_requests": (Annotated[int | None, requests], self.most_requests),
        }


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
    "file": _option(
        Path | None,
        None,
        "--file",
        help="Deployments file; default: the nearest one.",
        metavar="PATH",
    ),
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
    "dry_run": _option(bool, False, "--dry-run", help="Do everything but the write."),
    "diff": _option(bool, False, "--diff", help="Show the file's diff, too."),
    "why": _option(str | None, None, "--why", help="The reason, one line.", metavar="TEXT"),
    "by": _option(str | None, None, "--by", help="Who makes the change.", metavar="NAME"),
    "yes": _option(bool, False, "--yes", "-y", help="Do not ask."),
    "commit": _option(bool, False, "--commit", help="Commit the change, and nothing else."),
}


def command(name: str, *, changes: bool = False) -> Callable[[Callable[..., Report]], None]:
    """Register a command that takes a `Session`, maybe `ChangeFlags` and limits, and its own flags.

    The common flags are added to its signature, so that no command can lack one.
    """

    def register(function: Callable[..., Report]) -> None:
        own: list[inspect.Parameter] = []
        limits: _Declared = {}
        for parameter in inspect.signature(function, eval_str=True).parameters.values():
            if parameter.name == "limits":
                limits = get_args(parameter.annotation)[1].declared()
                own += _parameters(limits)
            elif parameter.name not in {"session", "change"}:
                own.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        added = _parameters({**(_CHANGE if changes else {}), **_COMMON})

        def invoke(**values: Any) -> None:
            _refuse_flags_as_values(name, (values[option] for option in options))
            common = {key: values.pop(key) for key in _COMMON}
            if changes:
                flags = {key: values.pop(key) for key in _CHANGE}
                values["change"] = ChangeFlags(**flags)
            if limits:
                values["limits"] = {key: values.pop(key) for key in limits}
            _invoke(name, function, common, values)

        parameters = [*own, *added]
        options = [  # a `--` may stand before others
            p.name for p in parameters if isinstance(get_args(p.annotation)[1], OptionInfo)
        ]
        cast("Any", invoke).__signature__ = inspect.Signature(parameters)
        invoke.__annotations__ = {p.name: p.annotation for p in parameters}
        invoke.__doc__ = function.__doc__
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


def _invoke(
    name: str, function: Callable[..., Report], common: Mapping[str, Any], values: dict[str, Any]
) -> None:
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
        code = exit_code(session, function, values)
    finally:
        session.close()
    raise typer.Exit(code)


def _is_github_job() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _publish(session: Session, outcome: Outcome, end: Report | FftdeployError) -> None:
    if _is_github_job():
        from fftdeploy.cli import surfaces

        surfaces.publish(session, outcome, end)


def exit_code(session: Session, function: Callable[..., Report], values: dict[str, Any]) -> int:
    """Run a command, print its end whatever that is, and return its exit code."""
    try:
        session.take_shutdowns()
        report = function(session, **values)
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
            _register(argv)
            is_completing = completion.VARIABLE in os.environ
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
    """Import the command that is called, or all of them where the line starts with none.

    Importing and building all of them costs more than most of them take to run.
    """
    called = COMMANDS.get(argv[0]) if argv else None
    for module in [called] if called else dict.fromkeys(COMMANDS.values()):
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
    as_json = {"--json", "--format=json"} & {*argv} or ("--format", "json") in pairwise(argv)
    form: Format = "json" if as_json else "text"
    return Output(os.environ, form=form, secrets=secrets_of(os.environ))
