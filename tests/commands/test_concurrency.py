"""Eight release jobs at once, each promoting into its own targets: nothing is lost."""

import subprocess
import sys
import tomllib
from pathlib import Path

from command_line import Command
from scenes import V8, V9

from fftdeploy.sandbox import Sandbox

PROCESSES, PROMOTIONS = 8, 5
"""`docs/faults.md` has the figures of 25 promotions each."""
# The SDK is imported once and the jobs are forked from there: 8 imports take longer than the rest.
JOBS = """
import os, sys
import openai
from fftdeploy.cli.app import run

processes, promotions, *models = sys.argv[1:]
children = []
for task in range(int(processes)):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        worst = 0
        for turn in range(int(promotions)):
            model = models[turn % 2]
            worst = max(worst, run(["promote", f"t{task}/staging", "--model", model, "--yes"]))
        os._exit(worst)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def test_C2_no_promotion_of_another_target_is_lost(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    file = repo / "deployments.toml"
    tables = [f'[t{task}.staging]\nmodel = "gpt-6-luna"\n' for task in range(PROCESSES)]
    file.write_text("version = 1\n\n" + "\n".join(tables))

    done = subprocess.run(
        [sys.executable, "-c", JOBS, str(PROCESSES), str(PROMOTIONS), V8, V9],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == f"{[0] * PROCESSES}\n", done.stderr
    found = tomllib.loads(file.read_text())
    numbers = [len(found[f"t{task}"]["staging"]["releases"]) for task in range(PROCESSES)]
    lost = PROCESSES * (PROMOTIONS + 1) - sum(numbers)
    print(f"{PROCESSES * PROMOTIONS} promotions, {lost} lost")
    assert lost == 0
    assert [path.name for path in repo.iterdir() if path.name.startswith(".fft")] == []
    assert command("check", "--offline").code == 0
