"""Pull requests to judge: a repository with a live model, and evidence of every kind about it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from scenes import (
    POLICY_FILE,
    SOON,
    V6,
    V7,
    V8,
    V9,
    V10,
    hold,
    past,
    row,
    table,
    write,
    write_profile,
)

from fftdeploy.cli.app import run
from fftdeploy.sandbox import STORY_NOW, Sandbox

ROOT = Path(__file__).parent.parent
EXAMPLES = Path("evals/triage.jsonl")
TARGET = "triage/production"
POLICY = """\
version = 1
order = ["staging", "production"]
allow_overrides = false

[environments.production]
from = ["staging"]
protected = true
soak = "24h"
min_runway = "10d"

[tasks.triage.gate]
examples = ["evals/triage.jsonl"]
slices = ["topic"]
max_age = "30d"

[[tasks.triage.gate.graders]]
type = "json_fields"
fields = { urgency = "exact", category = "exact", next_step = "casefold" }

[tasks.refunds]
owner = "support-ml"
"""


def git(*argv: str) -> str:
    ended = subprocess.run(["git", *argv], check=True, capture_output=True, text=True)
    return ended.stdout.strip()


def commit(message: str) -> None:
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", message)


def files() -> bytes:
    """Write what `main` has: v8 live after v6 and v7, v9 on hold; staging has had v9 and v10."""
    EXAMPLES.parent.mkdir(exist_ok=True)
    EXAMPLES.write_text((ROOT / EXAMPLES).read_text())
    Path(".fftdeploy").mkdir(exist_ok=True)
    Path(".fftdeploy/.gitignore").write_text("runs/\n")
    write_profile("short")
    return write(
        past("triage/staging", V7, V9, V10),
        past(TARGET, V6, V7, V8, holds=[hold(SOON)]),
        table("refunds/staging", "gpt-6-luna", [row(1, "gpt-6-luna", evidence="ab" * 16)]),
        policy=POLICY,
    )


@dataclass(frozen=True)
class Template:
    """A repository to copy, and the IDs of evidence made for it, by what it says."""

    folder: Path
    evidence: dict[str, str]


@contextmanager
def template(place: Path) -> Iterator[Template]:
    """Build the repository once, in `place`, with real evaluations against a sandbox."""
    home, folder, kept = place / "home", place / "repo", {}
    home.mkdir()
    folder.mkdir()
    identity = "[user]\n\tname = Ana\n\temail = ana@acme.example\n[init]\n\tdefaultBranch = main\n"
    (home / ".gitconfig").write_text(identity)
    with pytest.MonkeyPatch.context() as patch, Sandbox(now=lambda: STORY_NOW) as server:
        patch.setenv("HOME", str(home))
        patch.setenv("OPENAI_BASE_URL", server.url)
        patch.setenv("OPENAI_API_KEY", server.key)
        patch.setenv("FFTDEPLOY_NOW", STORY_NOW.isoformat())
        patch.chdir(folder)
        git("init", "--quiet", "--template=")
        files()
        commit("first")
        kept["pass"] = _evaluate(V10)
        kept["fail"] = _evaluate(V9)
        POLICY_FILE.write_text(POLICY.replace('slices = ["topic"]', "margin = 0.5"))
        kept["loose"] = _evaluate(V9)
        git("checkout", "--quiet", "--", ".")
        _keep_apart(folder)
        git("switch", "--quiet", "--create", "change")
        yield Template(folder, kept)


def _evaluate(model: str) -> str:
    before = {path.stem for path in Path(".fftdeploy/evidence/triage").glob("*.json")}
    assert run(["eval", TARGET, f"{model}@", "--quiet"]) in {0, 5, 7}
    after = {path.stem for path in Path(".fftdeploy/evidence/triage").glob("*.json")}
    return next(iter(after - before), "")


def _keep_apart(folder: Path) -> None:
    """Move evidence and logs out of the repository: a pull request brings what it brings."""
    apart = folder.parent / "made"
    shutil.copytree(folder / ".fftdeploy", apart)
    shutil.rmtree(folder / ".fftdeploy" / "evidence")
    shutil.rmtree(folder / ".fftdeploy" / "runs")


def bring(made: Path, evidence: str) -> Path:
    """Put evidence that was made elsewhere into the working directory."""
    name = f"evidence/triage/{evidence}.json"
    path = Path(".fftdeploy") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(made / name, path))
