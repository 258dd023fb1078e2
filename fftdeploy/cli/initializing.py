"""Init: the files a repository needs, written beside what is there and never over it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import fftdeploy
from fftdeploy import files
from fftdeploy.cli import schema_files
from fftdeploy.cli.session import Session
from fftdeploy.errors import ConfigError, FftdeployError, UsageError
from fftdeploy.output.report import Block, Cell, Raw, Report, line
from fftdeploy.policy import policy
from fftdeploy.routing.runtime import FILE_VARIABLE

CI = ("github", "gitlab")
_PLAIN = re.compile(r"( --file [A-Za-z0-9._/][A-Za-z0-9._/-]*)?")
_NEXT = "fftdeploy models, then fftdeploy promote triage/staging --job ftjob-... or --model ID"


class _Wanted(NamedTuple):
    """One file to write; `to_add` is what a person adds by hand where there is one already."""

    path: Path
    template: str
    """A file of `templates/`, or the name of a schema."""
    to_add: bool = False


def initialize(session: Session, ci: str | None) -> Report:
    """Write what is missing; what exists is kept and named.

    Raises:
        UsageError: `ci` is not one this knows.
        ConfigError: A file would be outside of the folder, or behind a link.
        DiskError: The disk refused; what was written before is complete and stays.
    """
    if ci is not None and ci not in CI:
        raise UsageError(f"--ci {ci!a} is not one of {', '.join(CI)}")
    deployments = _deployments_path(session)
    folder, root = deployments.parent, files.root_of(deployments.parent)
    option = _file_option(deployments, root)
    if ci is not None and not _PLAIN.fullmatch(option):
        raise UsageError(
            f"--ci: {option.removeprefix(' --file ')!a} can't stand in a workflow unquoted",
            hint="run fftdeploy init without --ci, and write the workflow by hand",
        )
    watched = "".join(f"|{re.escape(name)}" for name in _watched(deployments)).replace("'", "''")
    session.data.update(folder=str(folder), wrote=[], kept=[], to_add=[])
    body: list[Block] = []
    for wanted in _wanted(deployments, root, ci):
        is_schema = wanted.path.suffix == ".json"
        name = wanted.template
        text = schema_files.content(name) if is_schema else _template(name, option)
        text = text.replace("@WATCHED@", watched)
        body += _write(session.data, wanted, text, folder=folder, root=root)
    return Report(data=session.data, body=tuple(body), next=_NEXT)


def write_schemas(session: Session, which: str | None) -> Report:
    """Write the schema of one of the two files, or of both, for editors.

    Raises:
        UsageError: `which` describes no file.
        ConfigError: It would be outside of the folder, or behind a link.
        DiskError: The disk refused.
    """
    if which is not None and which not in schema_files.NAMES:
        raise UsageError(f"--write: {which!r} describes no file", hint="fftdeploy schema --write")
    deployments = _deployments_path(session)
    chosen = [which] if which else schema_files.NAMES
    made = {name: schema_files.MAKERS[name]() for name in chosen}
    session.data.update(schemas=made, wrote=[])
    body: list[Block] = []
    for name in chosen:
        written, said = schema_files.write(deployments, name)
        path = schema_files.path_of(deployments.parent, name)
        shown = path.relative_to(deployments.parent).as_posix()
        session.data["wrote"] += [shown] if written else []
        body += said
    return Report(data=session.data, body=tuple(body))


def _deployments_path(session: Session) -> Path:
    named = session.file or session.environ.get(FILE_VARIABLE) or files.NAME
    try:
        return Path.cwd() / named
    except OSError:
        raise ConfigError(
            "the working directory is gone or unreadable", hint="cd to the repository"
        ) from None


def _file_option(deployments: Path, root: Path) -> str:
    """Return the ` --file` that commands started at `root` need, if they need one."""
    place = deployments.relative_to(root).as_posix() if deployments.is_relative_to(root) else ""
    return f" --file {place}" if place not in {"", files.NAME} else ""


def _watched(deployments: Path) -> list[str]:
    """Name the files that `check` reads and that are not called as they usually are."""
    found = [] if deployments.name == files.NAME else [deployments.name]
    folder = deployments.parent
    with suppress(FftdeployError):  # a policy that is none names nothing
        named = policy.parse(files.read(folder / policy.FILE_NAME, root=folder).data)
        gates = [task.gate for task in named.tasks.values() if task.gate is not None]
        examples = [name for gate in gates for name in gate.examples]
        found += [name for name in examples if not name.startswith("evals/") and name.isprintable()]
    return list(dict.fromkeys(found))


def _wanted(deployments: Path, root: Path, ci: str | None) -> Iterator[_Wanted]:
    folder = deployments.parent
    yield _Wanted(deployments, "deployments.toml")
    yield _Wanted(folder / "fftdeploy.toml", "fftdeploy.toml")
    yield _Wanted(folder / "evals" / "example.jsonl", "example.jsonl")
    yield _Wanted(folder / ".fftdeploy" / ".gitignore", "gitignore")
    for name in schema_files.NAMES:
        yield _Wanted(schema_files.path_of(folder, name), name)
    if ci == "github":
        yield _Wanted(root / ".github" / "workflows" / "fftdeploy.yml", "github.yml")
    if ci == "gitlab":
        yield _Wanted(root / ".gitlab" / "fftdeploy.yml", "gitlab.yml")
        yield _Wanted(root / ".gitlab-ci.yml", "gitlab-root.yml", to_add=True)
    if ci is not None:
        yield _Wanted(root / ".pre-commit-config.yaml", "pre-commit.yaml", to_add=True)


def _write(
    data: dict[str, Any], wanted: _Wanted, text: str, *, folder: Path, root: Path
) -> Iterator[Block]:
    shown = _shown(wanted.path, folder, root)
    inside = folder if wanted.path.is_relative_to(folder) else root
    if files.create(wanted.path, text.encode(), root=inside):
        data["wrote"].append(shown)
        yield line(Cell("  wrote  ", "good"), shown)
        return
    data["kept"].append(shown)
    yield line(Cell("  kept   ", "dim"), shown)
    if wanted.to_add and not _says(wanted.path, text, inside):
        data["to_add"].append({"path": shown, "text": text})
        yield line(Cell(f"  add to {shown}:", "warn"))
        yield Raw("".join(f"    {row}\n" for row in text.splitlines()))


def _says(path: Path, text: str, root: Path) -> bool:
    """Tell whether somebody has added `text` already, as far as its telling line says."""
    telling = max((row.strip() for row in text.splitlines() if "fftdeploy" in row), key=len)
    try:
        return telling.encode() in files.read(path, root=root).data
    except FftdeployError:
        return False


def _shown(path: Path, folder: Path, root: Path) -> str:
    return path.relative_to(folder if path.is_relative_to(folder) else root).as_posix()


def _template(name: str, option: str) -> str:
    text = resources.files(fftdeploy).joinpath("templates", name).read_text(encoding="utf-8")
    return text.replace("@VERSION@", fftdeploy.__version__).replace("@FILE@", option)
