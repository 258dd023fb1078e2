"""Answers of earlier runs, found by the id of the request: the logs of these runs are the cache.

In memory an answer is two numbers, a piece of its id and where its line begins.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fftdeploy import journal
from fftdeploy.evaluation.results import MISSING
from fftdeploy.evaluation.running.log_lines import ID_PREFIX, Record, read_record

_KEY_DIGITS = 16


class AnswerCache:
    """The answers in some logs; an answer of an earlier one in `paths` goes first.

    What an outage has made, and what is older than `oldest`, is no answer.
    """

    def __init__(self, paths: Sequence[Path], root: Path, oldest: datetime) -> None:
        self._logs: list[_IndexedLog] = []
        self._oldest = oldest
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
                if record.output.mark != MISSING and record.at >= self._oldest:
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
        keys, places = array("Q"), array("Q")
        place = 0
        start = len(ID_PREFIX)
        for line in self._file:
            if line.startswith(ID_PREFIX) and line.endswith(b"\n"):
                try:
                    keys.append(int(line[start : start + _KEY_DIGITS], 16))
                except ValueError:
                    continue  # damaged, but nobody asks for it
                finally:
                    place += len(line)
                places.append(place - len(line))
            else:
                place += len(line)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = array("Q", (keys[index] for index in order))
        self._places = array("Q", (places[index] for index in order))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, request_id: str) -> list[Record]:
        """Return the answers to a request, the newest first."""
        key = int(request_id[:_KEY_DIGITS], 16)
        index = bisect_left(self._keys, key)
        found = []
        while index < len(self._keys) and self._keys[index] == key:
            self._file.seek(self._places[index])
            # The number of a line is not known here; its place in the file will do.
            record = read_record(self._file.readline(), self._path, self._places[index])
            if record.id == request_id:
                found.append(record)
            index += 1
        return found[::-1]

    def close(self) -> None:
        self._file.close()
