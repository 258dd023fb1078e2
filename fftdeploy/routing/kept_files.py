"""Reads the TOML files of an application, each once while it is the same one unchanged.

Standard library only until something fails.
"""

import os
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, NamedTuple

from fftdeploy import names
from fftdeploy.errors import ConfigError

if TYPE_CHECKING:
    from fftdeploy.formats.document import Document


class _Read(NamedTuple):
    stamp: tuple[int, ...]
    data: dict[str, Any]
    refused: ConfigError | None = None
    """Why it is not TOML: to find that out takes longer than to read one that is."""


_read: dict[str, _Read] = {}


def read_profile(
    path: str, place: tuple[str | int, ...], name: str | None
) -> dict[str, Any] | None:
    """Return what the profile `name` says, as a copy that the caller may change; None of none.

    Raises:
        ConfigError: It is not there, which is said of `place` in the file at `path`, or not valid.
    """
    if name is None:
        return None
    beside = os.path.join(os.path.dirname(path), "profiles", f"{name}.toml")
    if not os.path.lexists(beside):
        raise document_of(path).error(
            (*place, "profile"), f"there is no profiles/{name}.toml", "restore it from git"
        )
    content = load(beside)
    if content.keys() - {"system"} or type(content.get("system", "")) is not str:
        from fftdeploy.policy import profiles

        # What is read now is what is looked at: the file may be another one meanwhile.
        return dict(profiles.parse(read_bytes(beside), name, beside).content)
    return dict(content)


def load(path: str, wanted: bytes = b"") -> dict[str, Any]:
    """Return the parsed file at `path`, from memory while it is the same one unchanged.

    A file in which `wanted` does not occur is not parsed: it is as good as empty.

    Raises:
        ConfigError: It can't be read, or is not TOML.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    # Of the same size and within one tick of the clock it is still another inode; times that are
    # set by hand, as copies of a reproducible image have them, are not those of the change itself.
    stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    kept = _read.get(path)
    if kept is None or kept.stamp != stamp:
        if not S_ISREG(status.st_mode):
            raise ConfigError("this is not a regular file", where=path)
        raw = read_bytes(path)
        try:
            kept = _Read(stamp, _parse(raw, path) if wanted in raw else {})
        except ConfigError as error:
            kept = _Read(stamp, {}, error)
        _read[path] = kept
    if kept.refused is not None:
        from copy import copy

        raise copy(kept.refused)  # without the frames of whoever met it first
    return kept.data


def read_bytes(path: str) -> bytes:
    """Return a file's first 8 MiB and a byte, by which one that is too large is known."""
    try:
        with open(path, "rb") as stream:
            return stream.read(names.MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from None


def changed(path: str) -> ConfigError:
    """Build the error for a file that is in order when the words for its fault are looked for."""
    return ConfigError("it was another one a moment ago", where=path)


def _unreadable(path: str, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else "not a path"
    return ConfigError(f"cannot be read: {reason}", hint="--file names another", where=path)


def _parse(raw: bytes, path: str) -> dict[str, Any]:
    from fftdeploy.formats import toml_reader

    try:
        if len(raw) <= names.MAX_FILE_BYTES:
            return toml_reader.loads(raw.decode().removeprefix("\ufeff"))
    except ValueError:  # every way in which it is not TOML, or not text, is one
        pass
    from fftdeploy.formats import document  # it finds the line and the words; only failures pay

    return document.parse(raw, path).data


def document_of(path: str) -> "Document":
    """Read the file again for a message with a place."""
    from fftdeploy.formats import document

    return document.parse(read_bytes(path), path)
