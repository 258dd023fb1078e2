"""Plays `python3`, `pip`, `fftdeploy` and `gh` for the steps of a workflow, and keeps a log.

It is copied to the name that it plays, and runs without site-packages.  What `gh` finds and how
`fftdeploy` ends is in files of the folder DOUBLE.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path


def main() -> int:
    name, argv, folder = Path(sys.argv[0]).name, sys.argv[1:], Path(os.environ["DOUBLE"])
    body = [_body(word) for word in argv[1:] if word.endswith(".md")] if name == "gh" else []
    call = {
        "name": name,
        "argv": argv,
        "cwd": str(Path.cwd()),
        "secrets": [each for each in ("GH_TOKEN", "OPENAI_API_KEY") if os.environ.get(each)],
        "body": "".join(body),
    }
    with (folder / "calls.jsonl").open("a") as log:
        log.write(json.dumps(call) + "\n")
    if name == "python3":
        shutil.copytree(folder / "venv", Path(argv[-1]) / "bin")
    if name == "fftdeploy":
        return _fftdeploy(folder, argv)
    if name == "gh":
        return _gh(folder, argv)
    return 0


def _body(word: str) -> str:
    return Path(word.removeprefix("body=@")).read_text()


def _fftdeploy(folder: Path, argv: list[str]) -> int:
    ends = json.loads((folder / "fftdeploy.json").read_text())
    if "comment" in ends and "--comment" in argv:
        Path(argv[argv.index("--comment") + 1]).write_text(ends["comment"])
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as output:
        output.write(f"outcome={ends['outcome']}\nexit_code<<end\n{ends['code']}\nend\n")
    print(ends.get("out", ""))
    return int(ends["code"])


def _gh(folder: Path, argv: list[str]) -> int:
    answers = json.loads((folder / "gh.json").read_text())
    asked = " ".join(argv[:2])
    if asked in answers.get("refuses", []):
        print("gh: Resource not accessible by integration (HTTP 403)", file=sys.stderr)
        return 1
    if "--jq" in argv:
        query = argv[argv.index("--jq") + 1]
        given = json.dumps(answers[asked])
        return subprocess.run(["jq", "-r", query], input=given, text=True, check=False).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
