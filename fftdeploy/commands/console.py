"""Whoever is told what goes on while a command runs, and may be asked."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Console(Protocol):
    """Whoever is told what goes on, and may be asked."""

    @property
    def is_interactive(self) -> bool:
        """Tell whether there is a person who can be asked."""

    @property
    def shows_progress(self) -> bool:
        """Tell whether a line that moves can be seen."""

    def note(self, text: str) -> None:
        """Take one line about what is going on."""

    def progress(self, text: str) -> None:
        """Take a line that replaces the last one of its kind."""

    def stop_progress(self) -> None:
        """Take that line away."""

    def leave_progress(self) -> None:
        """Go on below that line."""

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """Show, while it is entered, that one waits."""

    def ask(self, question: str) -> str:
        """Return a person's answer; "" where there is none."""


class Silence:
    """Nobody: nothing is said, nothing can be asked."""

    is_interactive = False
    shows_progress = False

    def note(self, text: str) -> None:
        """Drop `text`."""

    progress = note

    def stop_progress(self) -> None:
        """Do nothing: there is no such line."""

    leave_progress = stop_progress

    def waiting(self, what: str) -> AbstractContextManager[None]:  # noqa: ARG002 - as above
        """Show nothing."""
        return nullcontext()

    def ask(self, question: str) -> str:  # noqa: ARG002 - nobody hears it
        """Return no answer."""
        return ""
