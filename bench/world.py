"""Deployment files of any size, and a sandbox process that knows their models."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

KEY = "sk-sandbox"
NOW = "2026-11-21T08:30:00+00:00"
SUCCESSORS = ("successor-1", "successor-2", "successor-3")
"""Models for which no shutdown date is known."""


def model_id(number: int, release: int = 1) -> str:
    return f"ft:gpt-4.1-mini-2025-04-14:acme:bench-{number:05}:r{release:03}"


def deployments(targets: int, releases: int = 1) -> str:
    """Return a file of `targets` targets in as many tasks, with a model of their own each."""
    return "version = 1\n" + "".join(_target(number, releases) for number in range(targets))


def long_past(releases: int) -> str:
    """Return a file of one target with a release of each of many models, a minute apart."""
    first = datetime.fromisoformat(NOW) - timedelta(days=1, minutes=releases)
    rows = "".join(
        f'  {{ n = {n}, model = "{model_id(n)}", at = {first + timedelta(minutes=n):%FT%TZ}, '
        f'by = "ana@acme.example", via = "model", why = "PR #{n}" }},\n'
        for n in range(releases, 0, -1)
    )
    live = model_id(releases)
    return f'version = 1\n\n[task-00000.production]\nmodel = "{live}"\nreleases = [\n{rows}]\n'


def _target(number: int, releases: int) -> str:
    rows = "".join(_release(number, n) for n in range(releases, 0, -1))
    return (
        f'\n[task-{number:05}.production]\nmodel = "{model_id(number, releases)}"\n'
        f"releases = [\n{rows}]\n"
    )


def _release(number: int, n: int) -> str:
    return (
        f'  {{ n = {n}, model = "{model_id(number, n)}", at = 2026-10-{n:02}T09:12:04Z, '
        f'by = "ana@acme.example", via = "job", job = "ftjob-{number:05}r{n:03}", '
        f'why = "PR #{number}" }},\n'
    )


@dataclass
class Server:
    """A sandbox in a process of its own."""

    url: str
    stdin: IO[str]
    stdout: IO[str]

    def ask(self, question: str) -> Any:
        """Send one line and return the answer."""
        self.stdin.write(question + "\n")
        self.stdin.flush()
        return json.loads(self.stdout.readline())

    def counts(self) -> dict[str, int]:
        """Return requests and connections since the last call."""
        found: dict[str, int] = self.ask("counts")
        return found

    def environ(self) -> dict[str, str]:
        """Return the variables that point a command at this server."""
        return {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": KEY, "FFTDEPLOY_NOW": NOW}


@contextmanager
def serving(models: int, delay_s: float = 0.0) -> Iterator[Server]:
    """Serve `models` models, each answer after `delay_s`."""
    command = [sys.executable, str(Path(__file__).with_name("server.py")), str(models)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        server = Server(json.loads(process.stdout.readline()), process.stdin, process.stdout)
        server.ask(f"delay {delay_s}")
        try:
            yield server
        finally:
            process.stdin.close()  # the server ends with its input
            process.wait(10)
