"""The benchmarks run: each group once, in a tiny size, and nothing is judged by the clock."""

import subprocess
import sys
from pathlib import Path

import pytest
from run import BENCHES

BENCH = Path(__file__).parent.parent / "bench"
# A process of 300 MB starts a small one, which says what it has held, and what getrusage says.
STARTED = (
    "import resource\n"
    "from measure import most_mb\n"
    "print(most_mb(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
)
STARTER = (
    "import subprocess, sys\n"
    "held = b'x' * 300_000_000\n"
    "subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
)


@pytest.mark.parametrize("name", BENCHES)
def test_a_group_runs(name: str) -> None:
    done = subprocess.run(
        [sys.executable, BENCH / "run.py", "--tiny", "--only", name],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]

    assert done.returncode == 0, done.stderr
    assert rows, done.stdout
    for what, bar, figure, verdict, note in rows:
        assert (bar, verdict) == ("", ""), what
        assert "nan" not in figure or note != "|", f"{what}: what it lacks is said"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands a peak down")
def test_memory_is_that_of_the_process_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTER, STARTED],
        cwd=BENCH,
        capture_output=True,
        text=True,
        check=True,
    )
    own, inherited = map(float, done.stdout.split())

    print(f"{own:.0f} MB; control, getrusage: {inherited:.0f} MB")
    assert own < 100
    assert inherited > 280
