"""Files of the user's own lie outside of every checkout: no change may bring them along."""

import os
from collections.abc import Iterable
from pathlib import Path

from fftdeploy.errors import ConfigError
from fftdeploy.files.whole_files import root_of


def refuse_checkout(path: Path, checkouts: Iterable[Path], hint: str) -> None:
    """Refuse a file that lies in the work tree of one of `checkouts`, itself or what it links to.

    Raises:
        ConfigError: It does.
    """
    for root in map(root_of, checkouts):
        if not os.path.lexists(root / ".git"):
            continue
        real = Path(os.path.realpath(path)), Path(os.path.realpath(root))
        if path.is_relative_to(root) or real[0].is_relative_to(real[1]):
            raise ConfigError(
                f"it lies in the checkout {root}, where any change could bring another along",
                hint=hint,
                where=str(path),
                code="in-checkout",
            )
