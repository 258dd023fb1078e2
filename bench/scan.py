"""A scan of 100 MB of source, beside `git grep` for the same IDs; and one of a few files."""

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

from measure import FFTDEPLOY, Row, Size, environment, milliseconds, processes
from world import deployments, model_id

_FILES, _LINES = 4300, 333
_TARGETS = 20
_POLICY = 'version = 1\n\n[scan]\nignore = ["docs/**", "*.ipynb"]\n'
_WORDS = (
    *("import", "left:", "shift: 3", "draft:", "gpt-4", "model", "return self.value", "ft"),
    *("const x =", "function(arg) {", "# note: see", "microsoft:", "def f(a, b):", "}", "0x1f"),
)


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    files = size(_FILES)
    length = _source(folder, files)
    untuned = '\n[base.production]\nmodel = "gpt-6-luna"\n'
    (folder / "deployments.toml").write_text(deployments(_TARGETS, 3) + untuned)
    (folder / "fftdeploy.toml").write_text(_POLICY)
    ids = [model_id(number, n) for number in range(_TARGETS) for n in (1, 2, 3)]
    ids.append("gpt-6-luna")
    (folder / "ids").write_text("".join(f"{model}\n" for model in ids))
    environ = environment(folder)
    sides: dict[str, Sequence[str]] = {
        "scan": [FFTDEPLOY, "scan", "src"],
        "grep": ["git", "grep", "--line-number", "-F", "-f", "ids", "--", "src"],
        "hook": [FFTDEPLOY, "scan", *(f"src/0/{number}.py" for number in range(5))],
    }
    took = processes(sides, runs, cwd=folder, environ=environ)
    what = f"{length / 1e6:.3g} MB"
    note = f"{what} in {files:,} files, {len(ids)} IDs"
    beside = f"{milliseconds(took['scan'])}, `git grep -F -f` {milliseconds(took['grep'])}"
    return [
        Row(f"`scan` of {what} of source", took["scan"], 3, "s", note),
        Row("the same / `git grep -F -f` of its IDs", took["scan"] / took["grep"], note=beside),
        Row("`scan` of 5 files, as a commit hook does", took["hook"], 0.5, "s"),
    ]


def _source(folder: Path, files: int) -> int:
    """Write and track `files` that look like source, 23 kB each; return the bytes.

    Each hundredth file has an ID, on a line that a scan leaves out: both sides end with 0.
    """
    choose = random.Random(1)  # noqa: S311  the same text each time
    lines = [f"{' '.join(choose.choices(_WORDS, k=8))}\n" for _ in range(5000)]
    written = 0
    for number in range(files):
        text = "".join(choose.choices(lines, k=_LINES))
        if number % 100 == 0:
            text += f'MODEL = "{model_id(number // 100 % _TARGETS)}"  # fftdeploy: ignore\n'
        path = folder / "src" / str(number // 100) / f"{number % 100}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written += len(text)
    quick = ("-c", "core.compression=0", "-c", "core.fsync=none")
    subprocess.run(["git", *quick, "add", "src"], cwd=folder, check=True)
    return written
