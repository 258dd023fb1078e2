"""`check --base` of 1,000 targets over 10,000 commits, beside `check --offline`."""

import subprocess
from pathlib import Path

from measure import FFTDEPLOY, Row, Size, environment, milliseconds, processes
from world import deployments

TARGETS, RELEASES, COMMITS = 1000, 3, 10_000


def repository(folder: Path, targets: int, commits: int) -> None:
    """Make the history by `git fast-import`, and a branch that changes one line of one target."""
    text = deployments(targets, RELEASES).encode()
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", folder], check=True)
    with subprocess.Popen(
        ["git", "fast-import", "--quiet"], stdin=subprocess.PIPE, cwd=folder
    ) as child:
        assert child.stdin
        for number in range(commits):
            said = b"%d" % number
            child.stdin.write(b"commit refs/heads/main\ncommitter A <a@example.com> ")
            child.stdin.write(
                b"%d +0000\ndata %d\n%s\n" % (1_700_000_000 + number, len(said), said)
            )
            if not number:
                child.stdin.write(b"M 100644 inline deployments.toml\ndata ")
                child.stdin.write(b"%d\n%s\n" % (len(text), text))
            child.stdin.write(
                b"M 100644 inline f%d\ndata %d\n%s\n" % (number % 50, len(said), said)
            )
    subprocess.run(["git", "reset", "--quiet", "--hard", "main"], cwd=folder, check=True)
    file = folder / "deployments.toml"
    file.write_text(file.read_text() + '\n[another.staging]\nmodel = "gpt-6-luna"\n')


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    """Return what the comparison with the base takes, over the check of the file alone."""
    where = folder / "many"
    targets, commits = size(TARGETS), size(COMMITS)
    repository(where, targets, commits)
    commands = {
        "offline": [FFTDEPLOY, "check", "--offline", "--quiet"],
        "base": [FFTDEPLOY, "check", "--offline", "--quiet", "--base", "main"],
    }
    found = processes(commands, runs, cwd=where, environ=environment(folder, OPENAI_API_KEY=""))
    return [
        Row(
            f"`check --base` / `check --offline`, {targets:,} targets, {commits:,} commits",
            found["base"] / found["offline"],
            3,
            note=f"{milliseconds(found['base'])}, {milliseconds(found['offline'])}",
        )
    ]
