"""Init: the files a repository needs, written beside what is there and never over it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import fftdeploy
from fftdeploy import files, names
from fftdeploy.commands import schema_files
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import Options, door
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.output.results import UNPRINTED
from fftdeploy.policy import policy

CI = ("github", "gitlab")
_PLAIN = re.compile(r"( --file [A-Za-z0-9._/][A-Za-z0-9._/-]*)?")


class _Wanted(NamedTuple):
    """One file to write; `to_add` is what a person adds by hand where there is one already."""

    path: Path
    template: str
    """A file of `templates/`, or the name of a schema."""
    to_add: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOptions(Options):
    """What may be said to `init`."""

    ci: str | None = None
    """`github` or `gitlab`: also write a workflow and a pre-commit hook."""


@dataclass(frozen=True, slots=True)
class ToAdd:
    """What a person adds to a file that was there already."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Initialized:
    """The files of a repository, each written or kept, with what is left to be done by hand."""

    folder: str
    wrote: tuple[str, ...]
    kept: tuple[str, ...]
    to_add: tuple[ToAdd, ...]
    all: tuple[str, ...] = field(metadata=UNPRINTED)
    """Both, in their order."""


def run(context: Context, options: InitOptions) -> Initialized:
    """Write the files a repository needs; what exists is kept and named.

    Raises:
        UsageError: `ci` is not one this knows.
        ConfigError: A file would be outside of the folder, or behind a link.
        DiskError: The disk refused; what was written before is complete and stays.
    """
    if options.ci is not None and options.ci not in CI:
        raise UsageError(**names.not_one_of("--ci", options.ci, CI))
    deployments = schema_files.deployments_path(context)
    folder, root = deployments.parent, files.root_of(deployments.parent)
    option = _file_option(deployments, root)
    if options.ci is not None and not _PLAIN.fullmatch(option):
        raise UsageError(
            f"--ci: {option.removeprefix(' --file ')!a} can't stand in a workflow unquoted",
            hint="run fftdeploy init without --ci, and write the workflow by hand",
        )
    watched = "".join(f"|{re.escape(name)}" for name in _watched(deployments)).replace("'", "''")
    result = Initialized(str(folder), (), (), (), ())
    for wanted in _wanted(deployments, root, options.ci):
        is_schema = wanted.path.suffix == ".json"
        name = wanted.template
        text = schema_files.content(name) if is_schema else _template(name, option)
        text = text.replace("@WATCHED@", watched)
        context.known = result = _write(result, wanted, text, folder=folder, root=root)
    return result


init = door(run, InitOptions)


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
    so_far: Initialized, wanted: _Wanted, text: str, *, folder: Path, root: Path
) -> Initialized:
    shown = _shown(wanted.path, folder, root)
    inside = folder if wanted.path.is_relative_to(folder) else root
    result = replace(so_far, all=(*so_far.all, shown))
    if files.create(wanted.path, text.encode(), root=inside):
        return replace(result, wrote=(*result.wrote, shown))
    result = replace(result, kept=(*result.kept, shown))
    if wanted.to_add and not _says(wanted.path, text, inside):
        result = replace(result, to_add=(*result.to_add, ToAdd(shown, text)))
    return result


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
