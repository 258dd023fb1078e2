"""Answers of earlier runs, found by the id of the request: the logs of these runs are the cache.

In memory an answer is three numbers, a piece of its id and where its line is.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fftdeploy.evaluation.results import MISSING
from fftdeploy.evaluation.running import log_lines
from fftdeploy.evaluation.running.log_lines import Record
from fftdeploy.files import journal


class AnswerCache:
    """The answers in some logs; an answer of an earlier one in `paths` goes first.

    What an outage has made, and what is older than `oldest` or newer than `newest`, is no answer.

    Raises:
        ConfigError: A line of a log is damaged, and is not the last one.
    """

    def __init__(
        self, paths: Sequence[Path], root: Path, oldest: datetime, newest: datetime
    ) -> None:
        self._logs: list[_IndexedLog] = []
        self._oldest, self._newest = oldest, newest
        try:
            for path in paths:
                self._logs.append(_IndexedLog(path, root))
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """Return the number of lines, the unusable among them."""
        return sum(len(log) for log in self._logs)

    def find(self, request_id: str) -> Record | None:
        """Return the answer to a request, None where none can be used."""
        for log in self._logs:
            for record in log.find(request_id):
                if record.output.mark != MISSING and self._oldest <= record.at <= self._newest:
                    return record
        return None

    def close(self) -> None:
        """Close the logs."""
        for log in self._logs:
            log.close()


class _IndexedLog:
    """One log, its keys sorted."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path = path
        self._file = journal.open_reader(path, root=root)
        self._keys, self._places, self._numbers = array("Q"), array("Q"), array("Q")
        try:
            self._index()
        except BaseException:
            self.close()
            raise

    def _index(self) -> None:
        keys, places, numbers = array("Q"), array("Q"), array("Q")
        place = 0
        for number, line in enumerate(self._file, 1):
            if (key := log_lines.key(line, self._path, number)) is not None:
                keys.append(key)
                places.append(place)
                numbers.append(number)
            place += len(line)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = array("Q", (keys[index] for index in order))
        self._places = array("Q", (places[index] for index in order))
        self._numbers = array("Q", (numbers[index] for index in order))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, request_id: str) -> list[Record]:
        """Return the answers to a request, the newest first."""
        key = int(request_id[: log_lines.KEY_DIGITS], 16)
        index = bisect_left(self._keys, key)
        found = []
        while index < len(self._keys) and self._keys[index] == key:
            self._file.seek(self._places[index])
            line = self._file.readline()
            record = log_lines.read_record(line, self._path, self._numbers[index])
            if record.id == request_id:
                found.append(record)
            index += 1
        return found[::-1]

    def close(self) -> None:
        self._file.close()
