"""The results of sandbox, demo and mcp, which go on while somebody is there.

Like review, where a person is asked, they are no functions of Python.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServedThing:
    """A model or a job of the sandbox."""

    id: str
    state: str


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the sandbox is, and what it serves."""

    url: str
    key: str
    control: str
    """Where faults, models and its clock are set."""
    models: tuple[ServedThing, ...]
    jobs: tuple[ServedThing, ...]


@dataclass(frozen=True, slots=True)
class ShownStep:
    """One step of the demo, and how it ended."""

    says: str
    command: str
    exit_code: int = 0
    output: str = ""


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """The story as it was played."""

    folder: str
    steps: tuple[ShownStep, ...]


@dataclass(frozen=True, slots=True)
class Assisted:
    """What an assistant was served, once it has left."""

    tools: tuple[str, ...]
    calls: int
