"""Answers of earlier runs, found by the id of the request: the logs of these runs are the cache.

In memory an answer is three numbers, a piece of its id and where its line is.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from fftdeploy.evaluation.results import MISSING
from fftdeploy.evaluation.running import log_lines
from fftdeploy.evaluation.running.log_lines import Record
from fftdeploy.files import journal
from fftdeploy.times import CLOCK_SKEW


class AnswerCache:
    """The answers in some logs; an answer of an earlier one in `paths` goes first.

    What an outage has made, and what is older than `max_age` or from the future, is no answer.

    Raises:
        ConfigError: A line of a log is damaged, and is not the last one.
    """

    def __init__(
        self, paths: Sequence[Path], root: Path, now: datetime, max_age: timedelta
    ) -> None:
        self._oldest, self._newest = now - max_age, now + CLOCK_SKEW
        with ExitStack() as opened:
            files = [opened.enter_context(journal.open_reader(path, root=root)) for path in paths]
            self._logs = list(map(_IndexedLog, paths, files))
            self.close = opened.pop_all().close

    def __len__(self) -> int:
        """Return the number of lines, the unusable among them."""
        return sum(len(log.keys) for log in self._logs)

    def find(self, request_id: str) -> Record | None:
        """Return the answer to a request, None where none can be used."""
        for log in self._logs:
            for record in log.find(request_id):
                if record.output.mark != MISSING and self._oldest <= record.at <= self._newest:
                    return record
        return None


class _IndexedLog:
    """One log, its keys sorted."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        keys, places, numbers = array("Q"), array("Q"), array("Q")
        place = 0
        for number, line in enumerate(file, 1):
            if (key := log_lines.key(line, path, number)) is not None:
                keys.append(key)
                places.append(place)
                numbers.append(number)
            place += len(line)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self.keys, self._places, self._numbers = (
            array("Q", map(column.__getitem__, order)) for column in (keys, places, numbers)
        )

    def find(self, request_id: str) -> list[Record]:
        """Return the answers to a request, the newest first."""
        key = int(request_id[: log_lines.KEY_DIGITS], 16)
        found = []
        for index in range(bisect_left(self.keys, key), bisect_right(self.keys, key)):
            self._file.seek(self._places[index])
            line = self._file.readline()
            record = log_lines.read_record(line, self._path, self._numbers[index])
            if record.id == request_id:
                found.append(record)
        return found[::-1]
