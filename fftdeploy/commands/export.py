"""Export: what is live, in the formats of gateways, flags and infrastructure."""

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.exporting.exported_targets import exported_targets
from fftdeploy.commands.exporting.places import ExportPlace, declared_places
from fftdeploy.commands.options.looking import ExportOptions
from fftdeploy.errors import FINDING, OK, FftdeployError, Outcome, UsageError
from fftdeploy.names import not_one_of
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning.finding import Finding
from fftdeploy.policy.policy import FILE_NAME
from fftdeploy.routing.exports import FORMATS, ExportedTarget, left_out
from fftdeploy.workspace import shown_path


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """What is live, as a program reads it that is not ours."""

    kind: str
    path: str | None
    """The file that was written, or looked at."""
    text: str
    current: bool | None = field(default=None, metadata=OMITTED)
    """With `check`: whether the file is what would be written."""
    written: bool | None = field(default=None, metadata=OMITTED)
    """Without: whether it was written; it was not where it said the same already."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, or looked at."""

    files: tuple[ExportedFile, ...]
    findings: tuple[Finding, ...] = field(default=(), metadata=UNPRINTED)

    @property
    def outcome(self) -> Outcome:
        """A file that is not current is exit code 12."""
        return FINDING if any(each.current is False for each in self.files) else OK


def run(context: Context, options: ExportOptions) -> Exported:
    """Write what is live in one of the formats; the two files and the profiles decide it alone.

    Raises:
        UsageError: There is no such format, nothing to write or check, or a file is no such export.
        ConfigError: A file is not valid, or two targets would have the same variables.
        DiskError: A file could not be read or written.
    """
    places, workspace = _places(context, options), context.workspace
    targets = exported_targets(workspace)
    kinds = [one.kind for one in places] or [str(options.kind)]
    texts = {kind: FORMATS[kind].write(targets) for kind in dict.fromkeys(kinds)}
    stale = {one: why for one in places if (why := one.stale(texts[one.kind]))}
    if options.check:
        made = [
            ExportedFile(one.kind, one.shown, texts[one.kind], current=one not in stale)
            for one in places
        ]
        return Exported(tuple(made), tuple(stale.values()))
    for one in stale:
        one.require(workspace.folder)
    written = dict.fromkeys(one.kind for one in stale) if places else texts
    found = _left_out(context, written, targets)
    _put(list(stale), texts)
    made = [
        ExportedFile(one.kind, one.shown, texts[one.kind], written=one in stale) for one in places
    ]
    return Exported(tuple(made or [ExportedFile(kinds[0], None, texts[kinds[0]])]), found)


def _put(due: list[ExportPlace], texts: Mapping[str, str]) -> None:
    """Write all of them; where the disk refuses one, say what was written before that."""
    for count, one in enumerate(due):
        try:
            one.put(texts[one.kind])
        except FftdeployError as error:
            written = ", ".join(each.shown for each in due[:count])
            error.details += (f"written before that: {written or 'nothing'}",)
            error.hint = error.hint or one.hint
            raise


def _left_out(
    context: Context, kinds: Iterable[str], targets: list[ExportedTarget]
) -> tuple[Finding, ...]:
    """Tell what the formats that are written can't say, in one line of all targets alike."""
    said = [each for kind in kinds for each in left_out(kind, targets)]
    whom: dict[str, list[str]] = {}
    for target, message in said:
        whom.setdefault(message, []).append(target)
    for message, names in whom.items():
        context.console.note(f"warning: {', '.join(names)}: {message}")
    return tuple(Finding("export-left-out", "notice", *each) for each in said)


export = door(run, ExportOptions)


def _places(context: Context, options: ExportOptions) -> list[ExportPlace]:
    """Return where to write, or what to look at; none where it is only printed."""
    kind, output = options.kind, options.out
    if kind is not None and kind not in FORMATS:
        raise UsageError(**not_one_of("format", kind, list(FORMATS)))
    if kind is None:
        named, why = context.workspace.policy.exports, "--out needs a kind"
        if output is None and named:
            return declared_places(context, named, context.file_option)
        why = why if output else f"no kind is said, and {FILE_NAME} declares no [exports]"
        raise UsageError(why, hint="fftdeploy export flagd -o FILE")
    if output is None:
        if options.check:
            hint = f"fftdeploy export {kind} -o FILE --check"
            raise UsageError("--check needs the file", hint=hint)
        return []
    path, top = Path.cwd() / output, context.workspace.snapshot.root
    # Below the top of the repository folders are made; the way there may be a link.
    root = top if Path(os.path.realpath(path.parent)).is_relative_to(top) else path.parent
    shown = shown_path(path)
    hint = f"fftdeploy export {kind} -o {shlex.quote(shown)}{context.file_option}"
    return [ExportPlace(kind, path, root, shown, hint)]
