"""Whether a candidate may ship: examples, graders, runs, statistics, the gate and its evidence."""

from pathlib import Path

EVIDENCE_FOLDER = Path(".fftdeploy") / "evidence"
"""Where evidence is committed, a folder for each task; from the folder of the policy."""
