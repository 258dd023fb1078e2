"""Where an evaluation leaves things, from the folder of the policy."""

from pathlib import Path

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
