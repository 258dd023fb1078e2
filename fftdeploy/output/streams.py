"""The two streams of a command: data on stdout, messages on stderr, both made safe."""

import os
import re
import sys
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, Literal, TextIO

from fftdeploy.errors import DiskError, FftdeployError, Outcome
from fftdeploy.output import clean as cleaning
from fftdeploy.output.report import Block, Raw, Report, line
from fftdeploy.output.terminal import ProgressLine, columns, is_terminal, shown_in, takes_color

Format = Literal["text", "json", "markdown", "github"]
COMMENT_LIMIT = 64_000
"""Characters; GitHub takes 65,536 in a comment, and the marker and the cut need some."""
SUMMARY_LIMIT = 200_000
"""Characters, at most 800 kB; GitHub drops a summary of more than 1 MiB whole."""

_COLORS = {"error": "1;31", "hint": "36", "next": "1", "warning": "33"}
"""Words that messages begin with, and how they are styled."""


_JOINT = "   "
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class ClosedPipeError(Exception):
    """Whoever read our stdout has gone away."""


class Output:
    """Writes the results and messages of one command.

    Nothing reaches a stream but through `clean`; `secrets` are taken out of all of it.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        form: Format = "text",
        quiet: bool = False,
        color: bool | None = None,
        secrets: Collection[str] = (),
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.form = form
        self.quiet = quiet
        self.secrets = secrets
        self._environ = environ
        self._color = color
        # Python has no stream at all where its parent closed the descriptor.
        self._stdout: TextIO | None = stdout or sys.stdout
        self._stderr: TextIO | None = stderr or sys.stderr
        self._line = ProgressLine(self._write_error)
        for stream in (self._stdout, self._stderr):
            # Printing may never fail after the file was replaced, whatever the locale says.
            if reconfigure := getattr(stream, "reconfigure", None):
                with suppress(OSError):  # what failed in somebody else's hands fails again
                    reconfigure(errors="backslashreplace")

    @property
    def is_interactive(self) -> bool:
        """Tell whether a person can be asked: text on a terminal, outside of CI."""
        in_ci = any(self._environ.get(name) for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI"))
        terminals = is_terminal(sys.stdin) and is_terminal(self._stderr)
        return self.form == "text" and terminals and not in_ci

    @property
    def at_terminal(self) -> bool:
        """Tell whether results go to a terminal, where names are short and a row fits a line."""
        return self.form == "text" and is_terminal(self._stdout)

    @property
    def can_redraw(self) -> bool:
        """Tell whether results go to a terminal on which they can be replaced."""
        return self.at_terminal and self._environ.get("TERM") != "dumb"

    @property
    def shows_progress(self) -> bool:
        """Tell whether there is a terminal on which a line can move."""
        is_plain = self._environ.get("TERM") == "dumb" or not is_terminal(self._stderr)
        return not (self.quiet or self.form != "text" or is_plain)

    def report(self, command: str, report: Report) -> None:
        """Print the end of a command that did not fail.

        Raises:
            DiskError: stdout could not be written.
            ClosedPipeError: Its reader is gone.
        """
        self.stop_progress()
        if self.form == "json":
            text = self._json(command, report.outcome, report.data, report.findings)
        elif self.form == "markdown":
            text = self.comment(command, report) if report.comment else self._markdown(report.body)
        else:
            text = self._text(report.body, self._stdout)
        if self.form == "github":
            from fftdeploy.output.markup import annotations

            text = "".join(f"{self.redact(item)}\n" for item in annotations(report)) + text
        following = report.next if self.form == "text" and not self.quiet else ""
        is_joined = bool(following) and self._has_room_behind(text, f"next: {following}")
        self._write(f"{text.rstrip()}{_JOINT}" if is_joined else text)
        if following:
            self.note(f"next: {following}")  # a line to copy is never broken

    def redraw(self, *blocks: Block) -> None:
        """Show `blocks` in place of what the terminal shows."""
        self._line.erase()
        self._write("\x1b[H\x1b[2J" + self._text(blocks, self._stdout))

    def end_redrawing(self) -> None:
        """Leave the last picture as it is: a terminal has written `^C` below it.

        Not on stdout, which a signal in the midst of a picture has closed.
        """
        if is_terminal(self._stderr):
            self._write_error("\r\x1b[K")

    def error(
        self,
        command: str,
        outcome: Outcome,
        error: FftdeployError,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Print a failure: the JSON document if that was asked for, and two lines on stderr.

        It is the failure that counts: stdout is written if it can be.
        """
        self.stop_progress()
        self.message(f"error: {_placed(error)}")
        for detail in error.details:
            self.message(f"  {detail}")
        for hint in error.hint.splitlines():
            self.message(f"hint: {hint}")
        if error.changed:
            self.message(f"note: {error.changed}")
        text = self._error_text(command, outcome, error, data or {})
        with suppress(DiskError, ClosedPipeError):
            self._write(text)

    def _has_room_behind(self, text: str, following: str) -> bool:
        """Tell whether a line fits behind the last one of `text`, on one screen for both."""
        if not (self.at_terminal and is_terminal(self._stderr)):
            return False
        from rich.cells import cell_len

        last = _STYLE.sub("", text).rstrip().rpartition("\n")[2]
        return bool(last) and cell_len(last + _JOINT + following) <= columns(self._environ)

    def _error_text(
        self, command: str, outcome: Outcome, error: FftdeployError, data: Mapping[str, Any]
    ) -> str:
        """Return what stdout says of a failure; nothing in text, where stderr says it all."""
        if self.form == "json":
            said = {
                "code": error.code,
                "message": error.message,
                "where": error.where or None,
                "hint": error.hint or None,
                "changed": error.changed or None,
                "details": list(error.details),
            }
            return self._json(command, outcome, {"error": said, **data}, ())
        if self.form == "github":
            from fftdeploy.output.markup import error_annotation

            path, _, rest = error.where.partition(":")
            number = rest.partition(":")[0]
            is_place = path.endswith(".toml") and number.isdecimal()
            place = (path, int(number)) if is_place else ()
            return self.redact(error_annotation(error.code, error.message, *place)) + "\n"
        if self.form == "markdown":
            return self._error_line(outcome, error)
        return ""

    def _error_line(self, outcome: Outcome, error: FftdeployError) -> str:
        return f"**error** ({outcome.name}): {self._escaped(_placed(error))}\n"

    def comment(self, command: str, end: Report | FftdeployError) -> str:
        """Return what a pull request's comment says, behind a marker to find it again by."""
        return f"<!-- fftdeploy:{command} -->\n{self.summary(end, COMMENT_LIMIT)}"

    def summary(self, end: Report | FftdeployError, limit: int = SUMMARY_LIMIT) -> str:
        """Return what a CI job's summary says of a command's end."""
        if isinstance(end, Report):
            return self._markdown(end.comment or end.body, limit)
        hint = line(f"hint: {end.hint}") if end.hint else line("")
        return f"{self._error_line(end.outcome, end)}\n{self._markdown((hint,), limit)}"

    def say(self, *blocks: Block) -> None:
        """Print messages on stderr, unless `--quiet`."""
        if not self.quiet and blocks:
            with self._line.lock:
                self._line.erase()
                self._write_error(self._text(blocks, self._stderr))

    def message(self, text: str) -> None:
        """Print one line on stderr, whatever the flags."""
        shown = self._shown(self._stderr, text).replace("\n", " ")
        word, colon, rest = shown.partition(":")
        if colon and word in _COLORS and self._use_color(self._stderr):
            shown = f"\x1b[{_COLORS[word]}m{word}:\x1b[0m{rest}"
        self._write_error(shown + "\n")

    def note(self, text: str) -> None:
        """Print one line about what is going on, unless `--quiet`."""
        if not self.quiet:
            with self._line.lock:
                self._line.erase()
                self.message(text)

    def progress(self, text: str) -> None:
        """Show `text` as a line that replaces the last one; nothing off a terminal."""
        if self.shows_progress:
            shown = cleaning.one_line(self._shown(self._stderr, text))
            self._line.show(shown[: max(columns(self._environ) - 1, 0)])

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """Show on a terminal, while it is entered, that one waits, once that takes long."""
        return self._line.waiting(what) if self.shows_progress else nullcontext()

    def stop_progress(self) -> None:
        """Take the progress line away for good."""
        self._line.stop()

    def leave_progress(self) -> None:
        """Go on below the progress line."""
        self._line.leave()

    def ask(self, question: str) -> str:
        """Ask a person one question on stderr; "" at the end of input.

        What was typed or pasted before the question was seen is no answer to it.
        """
        import termios

        with suppress(termios.error, ValueError):  # it is no terminal, or closed
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        return self.answer(question) or ""

    def answer(self, question: str) -> str | None:
        """Ask a person one question on stderr; None at the end of input."""
        self._line.erase()
        self._write_error(self.clean(question) + " ")
        try:
            said = sys.stdin.readline()
        except UnicodeDecodeError:
            return ""
        except BaseException:  # Ctrl-C: what is said about it gets a line of its own
            self._write_error("\n")
            raise
        if not said:
            self._write_error("\n")
        return said.strip() if said else None

    def abandon_stdout(self) -> None:
        """Give up a stdout that failed under somebody else's hands."""
        if self._stdout is not None:
            self._abandon(self._stdout)

    def clean(self, text: str) -> str:
        """Make `text` fit to be printed."""
        return cleaning.clean(text, self.secrets)

    def redact(self, text: str) -> str:
        """Take secrets out of `text`."""
        return cleaning.redact(text, self.secrets)

    def _escaped(self, text: str) -> str:
        return cleaning.markdown(text, self.secrets)

    def _markdown(self, blocks: tuple[Block, ...], limit: int | None = None) -> str:
        from fftdeploy.output import markup

        return markup.markdown(blocks, plain=self.clean, escape=self._escaped, limit=limit)

    def _text(self, blocks: tuple[Block, ...], stream: TextIO | None) -> str:
        if all(isinstance(block, Raw) for block in blocks):
            return "".join(block.text for block in blocks if isinstance(block, Raw))
        from fftdeploy.output import text

        width = columns(self._environ) if is_terminal(stream) else None
        color = self._use_color(stream)
        clean = partial(self._shown, stream)
        return text.render(blocks, width=width, color=color, clean=clean)

    def _shown(self, stream: TextIO | None, text: str) -> str:
        return shown_in(self.clean(text), stream)

    def _json(self, command: str, outcome: Outcome, data: Mapping[str, Any], findings: Any) -> str:
        document = {
            "schema": f"fftdeploy.{command}/1",
            "outcome": outcome.name,
            "exit_code": outcome.exit_code,
            "retry": outcome.retry,
            **data,
        }
        if findings:
            document["findings"] = [finding.as_json() for finding in findings]
        return cleaning.json_document(document, self.secrets)

    def _use_color(self, stream: TextIO | None) -> bool:
        return takes_color(stream, self._environ) if self._color is None else self._color

    def _write(self, text: str) -> None:
        if not text:
            return
        if self._stdout is None:
            raise ClosedPipeError
        try:
            self._stdout.write(text)
            self._stdout.flush()
        except BrokenPipeError:
            self._abandon(self._stdout)
            raise ClosedPipeError from None
        except OSError as error:
            self._abandon(self._stdout)
            raise DiskError(f"{error.strerror} writing to stdout") from None
        except BaseException:  # a signal: what is left would block the last flush again
            self._abandon(self._stdout)
            raise

    def _write_error(self, text: str) -> None:
        if self._stderr is None:
            return
        try:
            self._stderr.write(text)
            self._stderr.flush()
        except OSError:  # there is nowhere left to say it
            self._abandon(self._stderr)

    @staticmethod
    def _abandon(stream: TextIO) -> None:
        """Point a dead stream at nothing, so that the interpreter's last flush is silent."""
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def _placed(error: FftdeployError) -> str:
    """Return what is wrong and where, which is told once."""
    is_told = error.message.endswith(error.where)  # every text ends with ""
    return error.message if is_told else f"{error.message} ({error.where})"
