"""What a command costs before it has done anything: whole processes."""

from pathlib import Path

from measure import FFTDEPLOY, PYTHON, Row, Size, environment, milliseconds, processes
from world import deployments


def bench(folder: Path, runs: int, _size: Size) -> list[Row]:
    (folder / "deployments.toml").write_text(deployments(3, 3))
    commands = {
        "pass": [PYTHON, "-c", "pass"],
        "tomllib": [PYTHON, "-c", "import tomllib"],
        "resolve": [FFTDEPLOY, "resolve", "task-00001/production"],
        "status": [FFTDEPLOY, "status", "--offline"],
        "help": [FFTDEPLOY, "--help"],
    }
    took = processes(commands, runs, cwd=folder, environ=environment(folder))
    note = {name: milliseconds(seconds) for name, seconds in took.items()}
    bare, parser = f"`python -c pass` {note['pass']}", f"`import tomllib` {note['tomllib']}"
    return [
        Row(
            "`resolve` / `python -c 'import tomllib'`",
            took["resolve"] / took["tomllib"],
            1.15,
            note=f"{note['resolve']}, {parser}",
        ),
        Row(
            "`status --offline` / `python -c pass`",
            took["status"] / took["pass"],
            18,
            note=f"{note['status']}, {bare}",
        ),
        Row(
            "`--help` / `python -c pass`",
            took["help"] / took["pass"],
            12,
            note=f"{note['help']}, {bare}",
        ),
    ]
