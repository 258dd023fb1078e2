"""`.fftdeploy/runs/reviews/TASK.jsonl`: the inputs that a reviewer has rejected, by digest.

The digests are keyed with a random key that stays in the file: they say nothing to a reader who
has only them, and the folder is not committed.
"""

import hashlib
from pathlib import Path

from fftdeploy.errors import ConfigError
from fftdeploy.files import journal
from fftdeploy.files.disk import shown
from fftdeploy.files.folders import RUNS, keep_out_of_git
from fftdeploy.formats import strict_json

REVIEWS = RUNS / "reviews"
_VERSION = 1


class Rejected:
    """The rejected inputs of one task; nothing is written before there is one."""

    def __init__(self, root: Path, task: str, token: str) -> None:
        """Read the file, if there is one.

        `root` is the folder that `.fftdeploy` is in; `token`, 32 hex digits or more, the key of a
        new file.

        Raises:
            ConfigError: The file is damaged, or something else is in its way.
            DiskError: The disk refused.
        """
        self._root = root
        self._path = root / REVIEWS / f"{task}.jsonl"
        self._token = token
        self._digests: set[str] = set()
        if self._path.name in journal.listing(self._path.parent, root=root):
            self._read()

    def __contains__(self, key: str) -> bool:
        return self._digest(key) in self._digests

    def add(self, key: str, by: str, at: str) -> None:
        """Remember one input; DiskError where the disk refuses."""
        keep_out_of_git(self._root)
        with journal.open_journal(self._path, root=self._root) as log:
            log.drop_torn()
            if next(log.lines(), None) is None:
                log.append(strict_json.line({"v": _VERSION, "key": self._token}))
            self._read()  # the key may be that of another process, which came first
            log.append(strict_json.line({"digest": self._digest(key), "by": by, "at": at}))
        self._digests.add(self._digest(key))

    def _digest(self, key: str) -> str:
        return hashlib.blake2b(
            key.encode(), digest_size=16, key=bytes.fromhex(self._token)
        ).hexdigest()

    def _read(self) -> None:
        with journal.open_reader(self._path, root=self._root) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):  # what a kill leaves
                    continue
                try:
                    value = strict_json.loads(line.decode())
                    if number == 1 and value["v"] == _VERSION:
                        bytes.fromhex(value["key"])
                        self._token = value["key"]
                    else:
                        self._digests.add(value["digest"])
                except (KeyError, TypeError, ValueError):
                    raise ConfigError(
                        "a line of the list of rejected inputs is damaged",
                        hint=f"remove {shown(self._path)}: they will be asked again",
                        where=f"{shown(self._path)}:{number}",
                    ) from None
