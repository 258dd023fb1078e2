"""Where an evaluation leaves things, from the folder of the policy."""

from pathlib import Path

from fftdeploy import files

FOLDER = Path(".fftdeploy")
"""Where everything is that an evaluation leaves behind; from the folder of the policy."""

EVIDENCE_FOLDER = FOLDER / "evidence"
"""Evidence, a folder for each task; it is committed."""

RUNS = FOLDER / "runs"
"""Logs with the outputs of models; git ignores them."""

PAGES = FOLDER / "pages"
"""Reports that were opened in a browser; git ignores them."""

MONITOR = FOLDER / "monitor"
"""What the looks at each target have found, counts and IDs without outputs; git ignores it."""


OF_ONE_MACHINE = (RUNS, MONITOR, PAGES)
"""What is never committed: it would count, or be read, where nobody has asked for it."""


def keep_out_of_git(root: Path) -> None:
    """Have git ignore what is for this machine alone; a file of the user's own is left as it is.

    Raises:
        ConfigError: Something else is in the way.
        DiskError: The disk refused.
    """
    from importlib import resources  # most commands leave nothing

    template = resources.files("fftdeploy") / "templates" / "gitignore"
    files.create(root / FOLDER / ".gitignore", template.read_bytes(), root=root)
