"""Targets of the task triage, released at 9 on the first days of November."""

from pathlib import Path


def row(n: int, model: str, rest: str = 'via = "model"') -> str:
    return (
        f'  {{ n = {n}, model = "{model}", at = 2026-11-{n:02}T09:00:00Z, by = "ci", {rest} }},\n'
    )


def target(name: str, *models: str) -> str:
    rows = "".join(row(n, model) for n, model in reversed(list(enumerate(models, start=1))))
    return f'\n[triage.{name}]\nmodel = "{models[-1]}"\nreleases = [\n{rows}]\n'


def document(*targets: str) -> str:
    return "version = 1\n" + "".join(targets)


def production(*models: str) -> str:
    """Return a document in which `models` were live one after the other, the last one now."""
    return document(target("production", *models))


def write(repo: Path, *targets: str) -> Path:
    path = repo / "deployments.toml"
    path.write_text(document(*targets), encoding="utf-8")
    return path
