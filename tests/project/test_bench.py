"""What the benchmarks measure is what they say."""

import subprocess
import sys

import pytest
from checkout import ROOT

BENCH = ROOT / "bench"
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
