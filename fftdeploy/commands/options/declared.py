"""What may be said to a command, declared once.

A field of an options record is an argument of a function of Python.  With `flag` or `argument` as
its metadata it is one of the command line, too, with the same help, range and default; lines that
people are told to type are written from it.
"""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import UTC, datetime, time
from inspect import get_annotations
from math import ceil
from pathlib import Path
from typing import Any, get_args

from fftdeploy.errors import UsageError
from fftdeploy.times import duration

_DECLARED = "said"


@dataclass(frozen=True, slots=True)
class Form:
    """How a value that is no text is typed."""

    read: Callable[[str, str], Any]
    """Takes what is typed, and the flag, for its error."""
    write: Callable[[Any], str] = str
    metavar: str = ""
    """What stands for such a value in the help."""


@dataclass(frozen=True, slots=True)
class Flag:
    """How a field is said on a command line."""

    help: str
    names: tuple[str, ...] = ()
    """None for those that follow from the field's; an argument has no flag at all."""
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    form: Form | None = None
    is_argument: bool = False


@dataclass(frozen=True, slots=True)
class DeclaredOption:
    """An option of a command: the argument of Python, and how it is said on a command line."""

    field: Field[Any]
    flag: Flag

    @property
    def name(self) -> str:
        """The argument of Python."""
        return self.field.name

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that say it; none for an argument."""
        if self.flag.is_argument:
            return ()
        return self.flag.names or (f"--{self.name.replace('_', '-')}",)

    @property
    def metavar(self) -> str:
        """What stands for its value in the help."""
        flag, kinds = self.flag, [self.field.type, *get_args(self.field.type)]
        if found := flag.metavar or (flag.form and flag.form.metavar):
            return found
        if flag.is_argument:
            return f"{self.name.upper()}{'...' * (Sequence[str] in kinds)}"
        usual = {int: "N", Path: "PATH"}
        by_name = next(each for each in self.flags if each.startswith("--")).rpartition("-")[2]
        return next((usual[kind] for kind in kinds if kind in usual), by_name.upper())

    @property
    def is_needed(self) -> bool:
        """Tell whether a line without it is none."""
        return self.field.default is MISSING

    def text(self, value: Any) -> str:
        """Return a value as it is typed; "" where there is none."""
        if value in (None, (), MISSING):
            return ""
        plain = f"{value:.15g}" if isinstance(value, float) else str(value)
        return self.flag.form.write(value) if self.flag.form else plain

    def words(self, value: Any) -> list[str]:
        """Return the words that say `value`; none where it need not be said."""
        usual = self.field.default
        if isinstance(value, bool):
            return [] if value == usual else [self.flags[0]]
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        values = value if is_list and not self.flag.form else [value]
        texts = [self.text(each) for each in values]
        if texts in ([], [self.text(usual)]):
            return []
        if self.flag.is_argument:
            return texts
        # A value that looks like a flag would be taken for one.
        pairs = ([f"{self.flags[0]}={t}"] if t[:1] == "-" else [self.flags[0], t] for t in texts)
        return [word for pair in pairs for word in pair]


def flag(
    says: str,
    *names: str,
    metavar: str | None = None,
    least: float | None = None,
    most: float | None = None,
    form: Form | None = None,
) -> Mapping[str, Flag]:
    """Declare a field to be a flag; without `names` it is called as the field.

    A flag without a value makes the opposite of the field's default: `--no-probe` is False.
    """
    return {_DECLARED: Flag(says, names, metavar, least, most, form)}


def argument(says: str, metavar: str | None = None) -> Mapping[str, Flag]:
    """Declare a field to be an argument of the command line."""
    return {_DECLARED: Flag(says, metavar=metavar, is_argument=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be said to every command."""

    file: str | Path | None = field(
        default=None, metadata=flag("Deployments file; default: the nearest one.", metavar="PATH")
    )

    def __post_init__(self) -> None:
        """Refuse what no command line can hold, nor a path or a question to git.

        Raises:
            UsageError: It is there.
        """
        for item in fields(self):
            value = getattr(self, item.name)
            values = value if isinstance(value, (tuple, list)) else (value,)
            if any("\0" in f"{each}" for each in values):
                raise UsageError(f"{item.name} has a NUL in it")

    def line(self, command: str, *more: str, without: Collection[str] = ()) -> str:
        """Return the command line that says the same, but for the fields `without`."""
        said = {
            option: option.words(getattr(self, option.name))
            for option in declared(type(self))
            if option.name not in without
        }
        arguments = [word for option, words in said.items() if not option.flags for word in words]
        flags = [word for option, words in said.items() if option.flags for word in words]
        if any(word.startswith("-") for word in arguments):
            return shlex.join(["fftdeploy", command, *flags, *more, "--", *arguments])
        return shlex.join(["fftdeploy", command, *arguments, *flags, *more])


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """What may be said to every command that changes the deployments file."""

    dry_run: bool = field(default=False, metadata=flag("Do everything but the write."))
    why: str | None = field(default=None, metadata=flag("The reason, one line.", metavar="TEXT"))
    by: str | None = field(default=None, metadata=flag("Who makes the change.", metavar="NAME"))
    commit: bool = field(default=False, metadata=flag("Commit the change, and nothing else."))
    approve: Callable[[Any], bool] | None = None
    """Is shown the result that would be; None where it is approved already."""


def declared(kind: type) -> list[DeclaredOption]:
    """List what may be typed: arguments, then flags, the record's own before its bases', `file`."""
    order: dict[str, int] = {}
    for base in kind.__mro__:
        for name in get_annotations(base):
            order.setdefault(name, len(order))

    def place(option: DeclaredOption) -> tuple[bool, bool, int]:
        is_flag = bool(option.flags)
        return is_flag, option.name == "file", order[option.name] if is_flag else 0

    found = (item for item in fields(kind) if _DECLARED in item.metadata)
    return sorted((DeclaredOption(item, item.metadata[_DECLARED]) for item in found), key=place)


def several(words: str | Sequence[str]) -> list[str]:
    """Return words as a list: a single one may be given as it is."""
    return [words] if isinstance(words, str) else [*words]


def _words(text: str, _: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def parse_wait(text: str, flag: str = "--wait") -> float:
    """Read a duration in seconds from `60s`, `10m` or `0`, or raise UsageError."""
    if text in {"0", "0s"}:
        return 0.0
    span = duration(text)
    if span is None:
        raise UsageError(f"{flag}: {text!a} is not a duration", hint="write 60s, 10m or 0")
    return span.total_seconds()


def parse_time(text: str, flag: str, *, day: time = time.min) -> datetime:
    """Read a time with an offset, or a day in UTC, at its time `day`; UsageError if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{flag}: {text!a} is not a time", hint="write 2026-11-21T08:30:00Z"
        ) from None
    if len(text) == 10:
        return datetime.combine(moment, day, UTC)
    if moment.tzinfo is None:
        raise UsageError(f"{flag}: {text} has no offset", hint="end it with Z for UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{flag}: {text} is outside of the calendar in UTC") from None


def _days(text: str, flag: str) -> int:
    span = duration(text)
    if span is None or not span.days:
        raise UsageError(f"{flag}: {text!a} is no number of days", hint="write 90d")
    return span.days


WORDS = Form(_words, lambda words: ",".join(several(words)), "LIST")
"""Several words, with commas between them."""
SPAN = Form(parse_wait, lambda seconds: f"{ceil(seconds)}s" if seconds else "0", "SPAN")
"""A wait, to the second: a part of one is said as a whole one."""
DAYS = Form(_days, lambda days: f"{days}d", "DAYS")
START = Form(parse_time, datetime.isoformat, "TIME")
"""A moment; of a day, its first."""
TEXT = Form(lambda text, _: text)
END = Form(lambda text, flag: parse_time(text, flag, day=time.max), datetime.isoformat, "TIME")
"""A moment; of a day, its last."""

TARGET = argument("TASK/ENVIRONMENT.")
TARGETS = argument("Targets, tasks, or globs such as '*/production'; default: all.")
OFFLINE = flag("Do not ask the API.")
