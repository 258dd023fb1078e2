"""Read and replace files so that a kill, a full disk or a colleague never costs a byte.

The only writers.  It may import the ground: `errors`, `names`, `times`.
"""

from fftdeploy.files.whole_files import (
    INIT_HINT,
    NAME,
    Replaced,
    Snapshot,
    check_writable,
    create,
    opened,
    put,
    read,
    refuse_checkout,
    replace,
    root_of,
)

__all__ = [
    "INIT_HINT",
    "NAME",
    "Replaced",
    "Snapshot",
    "check_writable",
    "create",
    "opened",
    "put",
    "read",
    "refuse_checkout",
    "replace",
    "root_of",
]
