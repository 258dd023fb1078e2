"""The modules of the package that one promotion enters: `python bench/entered.py`.

A module is entered when one of its functions runs: to be imported is not enough, nor what it calls
while it is.  `__init__` files and the ground that everything speaks in (`errors`, `names`, `times`)
are not counted.
"""

import inspect
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

import fftdeploy
from fftdeploy.sandbox import STORY_NOW, Sandbox

ROOT = Path(fftdeploy.__file__).parent
GROUND = {"errors", "names", "times"}
V8 = "ft:gpt-4.1-mini-2025-04-14:acme:triage-v8:BbCc8"
V9 = "ft:gpt-4.1-mini-2025-04-14:acme:triage-v9:CdEf9"
FILE = f"""version = 1

[triage.production]
model = "{V8}"
releases = [
  {{ n = 1, model = "{V8}", at = 2026-11-01T09:00:00Z, by = "ana", via = "model" }},
]
"""


def main() -> None:
    """Promote once against a sandbox, in a process that counts, and list what it counted."""
    if len(sys.argv) > 1:
        count(sys.argv[1:])
        return
    with tempfile.TemporaryDirectory() as folder, Sandbox(now=lambda: STORY_NOW) as server:
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        Path(folder, "deployments.toml").write_text(FILE)
        environ = {
            **os.environ,
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": server.key,
            "FFTDEPLOY_NOW": STORY_NOW.isoformat(),
        }
        line = ["promote", "production", "--model", V9, "--why", "x", "--by", "ana", "--yes"]
        command = [sys.executable, str(Path(__file__).resolve()), *line]
        subprocess.run(command, cwd=folder, env=environ, check=True)


def count(argv: list[str]) -> None:
    """Run a command line, and print on stderr which modules ran it."""
    entered: Counter[str] = Counter()

    def look(frame: FrameType, event: str, _: object) -> None:
        name, flags = frame.f_code.co_filename, frame.f_code.co_flags
        is_ours = flags & inspect.CO_OPTIMIZED and name.startswith(str(ROOT))
        if event == "call" and is_ours and not is_importing(frame):
            entered[".".join(Path(name).relative_to(ROOT).with_suffix("").parts)] += 1

    from fftdeploy.cli.app import run

    threading.setprofile(look)  # requests go out on threads of their own
    sys.setprofile(look)
    code = run(argv)
    sys.setprofile(None)
    found = sorted(name for name in entered if name not in GROUND and "__init__" not in name)
    print(f"exit {code}; {len(found)} modules:", *found, sep="\n  ", file=sys.stderr)


def is_importing(frame: FrameType | None) -> bool:
    """Tell whether a call is one of a module that is being imported."""
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


if __name__ == "__main__":
    main()
