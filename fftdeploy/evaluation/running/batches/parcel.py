"""The requests of one batch: cut from those of an arm, in a file on their way out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from fftdeploy.api.batches import MAX_BYTES, MAX_REQUESTS, request_line
from fftdeploy.evaluation.running.log_lines import BatchNote
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.evaluation.running.run import Run

_ID_DIGITS = 24


@dataclass(slots=True)
class Parcel:
    """Requests to one model, at most as many and as large as a batch may be."""

    arm: str
    endpoint: str
    file: BinaryIO
    first: int
    end: int
    requests: int = 0
    size: int = 0

    def add(self, place: int, line: bytes) -> None:
        """Add a request, which is about the answer at a later place."""
        self.file.write(line)
        self.end = place + 1
        self.requests += 1
        self.size += len(line)


class Packer:
    """Packs requests of one run into parcels; `scratch` makes their files.

    `path_of` tells what the host of an arm calls an endpoint.
    """

    def __init__(self, path_of: Callable[[str, str], str], scratch: Callable[[], BinaryIO]) -> None:
        self.parcels: list[Parcel] = []
        self._path_of = path_of
        self._scratch = scratch

    def add(self, ask: Ask) -> None:
        """Pack a request; those of an arm come one after the other, in the order of places."""
        path = self._path_of(ask.arm, ask.endpoint)
        line = request_line(custom_id(ask), path, ask.body)
        last = self.parcels[-1] if self.parcels else None
        is_full = last and (last.requests == MAX_REQUESTS or last.size + len(line) > MAX_BYTES)
        if last is None or last.arm != ask.arm or is_full:
            last = Parcel(ask.arm, ask.endpoint, self._scratch(), ask.place, ask.place)
            self.parcels.append(last)
        last.add(ask.place, line)

    def close(self) -> None:
        """Let go of the files."""
        for parcel in self.parcels:
            parcel.file.close()


def custom_id(ask: Ask) -> str:
    """Return what a request is called within its batch: where its answer goes, and its own ID."""
    return f"{ask.place}-{ask.id[:_ID_DIGITS]}"


def ask_for(name: str, note: BatchNote, run: Run) -> Ask | None:
    """Return the request of a batch that is called so; None where it has none of that name."""
    digits = name.partition("-")[0]
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 12):
        return None
    place = int(digits)
    if not (note.covers(note.arm, place) and run.expects(note.arm, place)):
        return None
    ask = run.ask(note.arm, place)
    return ask if custom_id(ask) == name else None


def is_as_sent(line: bytes, note: BatchNote, run: Run, path_of: Callable[[str], str]) -> bool:
    """Whether a line of a file of requests is the one that we would send, or none of ours.

    Answers to what is none of ours are never taken.
    """
    try:
        said = json.loads(line)
        name = said["custom_id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    ask = ask_for(name, note, run) if isinstance(name, str) else None
    if ask is None:
        return isinstance(name, str)
    wanted = json.loads(request_line(name, path_of(ask.endpoint), ask.body))
    return bool(said == wanted)
