"""The options of a command as parameters of Typer, and back."""

from collections.abc import Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from fftdeploy.commands.options.declared import DeclaredOption, Options, declared


def parameters(kind: type[Options]) -> list[Parameter]:
    """Return what may be typed of options, in the order of the help."""
    return [
        Parameter(
            option.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if option.is_needed else _usual(option),
            annotation=Annotated[_kind(option), _info(option)],
        )
        for option in declared(kind)
    ]


def made(kind: type[Options], typed: dict[str, Any]) -> Options:
    """Return the options that were typed, and take them out of `typed`.

    Raises:
        UsageError: What was typed is not of the form that its flag takes.
    """
    values: dict[str, Any] = {}
    for option in declared(kind):
        value, form = typed.pop(option.name), option.flag.form
        if value is None or value == _usual(option):
            continue
        if form:
            value = form.read(value, option.flags[0])
        elif isinstance(usual := option.field.default, bool):
            value = not usual
        values[option.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def _usual(option: DeclaredOption) -> Any:
    """Return what Typer is told to be the default, which the help shows."""
    usual = option.field.default
    if isinstance(usual, bool):
        return False
    return option.text(usual) or None if option.flag.form or isinstance(usual, Sequence) else usual


def _kind(option: DeclaredOption) -> Any:
    """Return the type that Typer reads: several words only where they are words of the shell."""
    kinds = [option.field.type, *get_args(option.field.type)]
    kinds += [each for kind in kinds for each in get_args(kind)]
    if bool in kinds:
        return bool
    plain: Any = next((one for one in (Path, str, int, float) if one in kinds), str)
    plain = str if option.flag.form else plain
    if not option.flag.form and any(get_origin(kind) is Sequence for kind in kinds):
        plain = list.__class_getitem__(plain)
    return plain if option.is_needed or _usual(option) is not None else plain | None


def _info(option: DeclaredOption) -> Any:
    flag = option.flag
    if flag.is_argument:
        return typer.Argument(help=flag.help, metavar=option.metavar)
    about: Mapping[str, Any] = {"min": flag.least, "max": flag.most}
    metavar = None if _kind(option) is bool else option.metavar
    return typer.Option(*option.flags, help=flag.help, metavar=metavar, **about)
