"""Arrows point down only, each library has one door, and tests mirror the folders."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from checkout import ROOT

import fftdeploy
from fftdeploy import errors

PACKAGE = Path(fftdeploy.__file__).parent

# Top to bottom: a folder imports from those below it, never from above or beside.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("commands", "sandbox"),
    ("telling",),
    ("output",),
    ("pull_request", "routing", "monitoring"),
    ("evaluation",),
    ("workspace",),
    ("planning",),
    ("policy",),
    ("releases",),
    ("api",),
    ("model_ids",),
    ("formats",),
    ("files", "git"),
    ("errors", "names", "times"),
)
# The same within the evaluation, for it is a third of the code; "" is what lies in it by itself.
EVALUATION = (
    ("review",),
    ("judging",),
    ("running",),
    ("patterns",),
    ("evidence",),
    ("gate",),
    ("graders",),
    ("examples",),
    ("",),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

# A module of a library -> where it may be imported, whenever.
DOORS = {
    "openai": {"api.client.sdk", "api.client.applications"},
    "httpx2": {"api.client"},
    "aiohttp": {"api.client.plain"},
    "yarl": {"api.client.plain"},
    "rich": {"output"},
    "typer": {"cli"},
    "tomlkit": {"releases.rendering"},
    "tomllib": {"formats"},
    "yaml": {"evaluation.review.promptfoo_tests"},
    "subprocess": {"git"},
    "socket": {"sandbox", "api.client"},
    "http": {"sandbox"},
}
# The demo runs the commands that it shows, as a person would; a reviewer has an editor; what
# applications are given is of the SDK's type.
ALSO = {
    ("openai", "routing.client"),
    ("subprocess", "cli.demo"),
    ("subprocess", "cli.editor"),
}

WRITES = {
    "write_text",
    "write_bytes",
    "rename",
    "replace",
    "unlink",
    "mkdir",
    "symlink_to",
    "touch",
}
MAY_WRITE = {"files.whole_files", "files.disk"}


@cache
def modules() -> dict[str, ast.Module]:
    """Return what each module says, parsed once, by those who run these tests only."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = ast.parse(path.read_text())
    return found


@cache
def imported(tree: ast.Module) -> list[tuple[str, bool]]:
    """List the full names that a module imports, and whether it does so only when called."""
    return list(_imported(tree))


def _imported(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    late = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.FunctionDef) or _is_for_types(block)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((f"{node.module}.{alias.name}", id(node) in late) for alias in node.names)


def _is_for_types(block: ast.AST) -> bool:
    return isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"


def own(name: str) -> str:
    """Return the module of this package that the import of `name` loads; "" for another's."""
    parts = name.split(".")
    if parts[0] != "fftdeploy":
        return ""
    while len(parts) > 1 and ".".join(parts[1:]) not in modules():
        parts.pop()
    return ".".join(parts[1:]) or "__init__"


@cache
def edges() -> set[tuple[str, str, bool]]:
    return {
        (name, target, late)
        for name, tree in modules().items()
        for library, late in imported(tree)
        if (target := own(library)) and target != name
    }


def folder(name: str) -> str:
    """Return where a module lies, seen from the package's root; its own name if there."""
    return name.partition(".")[0]


def test_every_module_has_a_layer() -> None:
    assert {folder(name) for name in modules()} - {"__init__"} == RANK.keys()


def test_the_root_has_few_modules_and_a_folder_is_seen_at_a_glance() -> None:
    in_folders = Counter(path.parent for path in PACKAGE.rglob("*.py"))

    assert in_folders.pop(PACKAGE) <= 6
    assert in_folders.pop(PACKAGE / "cli") > 16  # one a command and more, until they part
    assert in_folders.pop(PACKAGE / "commands") > 16  # one a command, too
    assert max(in_folders.values()) <= 16


def test_arrows_point_down() -> None:
    # The version and the name of the package are everybody's, and it shows what is on offer.
    upwards = {
        (name, target)
        for name, target, _ in edges()
        if "__init__" not in {name, target}
        and folder(name) != folder(target)
        and RANK[folder(name)] >= RANK[folder(target)]
    }
    assert upwards == set()


def test_arrows_point_down_within_the_evaluation() -> None:
    rank = {name: number for number, names in enumerate(EVALUATION) for name in names}

    def room(name: str) -> str:
        return name.split(".")[1] if name.count(".") > 1 else ""

    folders = {room(name) for name in modules() if name.startswith("evaluation.")}
    inside = [
        (name, target)
        for name, target, _ in edges()
        if name.startswith("evaluation.") and target.startswith("evaluation.")
    ]

    assert rank.keys() == folders
    assert len(inside) > 50
    assert [edge for edge in inside if rank[room(edge[0])] > rank[room(edge[1])]] == []


def test_the_picture_is_the_imports() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)
    drawn: dict[str, set[str]] = {name: set() for name in re.findall(r"(\w+)\[", picture)}
    for name, target in re.findall(r"(\w+) --> (\w+)", picture):
        drawn[name].add(target)
    everybodys = {"__init__", "__main__", *LAYERS[-1]}
    arrows = {(folder(name), folder(target)) for name, target, _ in edges()}
    arrows = {(a, b) for a, b in arrows if a != b and not everybodys & {a, b}}

    def below(name: str, *, but: str = "") -> set[str]:
        """Return what is reached from a folder, its arrow to `but` left out."""
        near = drawn[name] - {but}
        return near.union(*(below(target) for target in near))

    assert drawn.keys() == RANK.keys() - everybodys
    assert {(a, b) for a, b in arrows if b not in below(a)} == set(), "imports that are not drawn"
    assert {(a, b) for a in drawn for b in drawn[a]} <= arrows, "arrows that are no import"
    assert [(a, b) for a in drawn for b in drawn[a] if b in below(a, but=b)] == [], "said twice"


def test_no_cycles() -> None:
    """Imports that are late, or for types, count as well; the root has the version."""
    below: dict[str, set[str]] = {name: set() for name in modules()}
    for name, target, _ in edges():
        if target in below and target != "__init__":
            below[name].add(target)
    while leaves := {name for name, targets in below.items() if not targets}:
        below = {name: targets - leaves for name, targets in below.items() if name not in leaves}
    assert below == {}


@pytest.mark.parametrize("library", DOORS)
def test_each_library_has_one_door(library: str) -> None:
    users = {
        name
        for name, tree in modules().items()
        for imports, _ in imported(tree)
        if imports.partition(".")[0] == library and (library, name) not in ALSO
    }
    doors = DOORS[library]
    assert {
        name for name in users if not any(f"{name}.".startswith(f"{d}.") for d in doors)
    } == set()


def test_the_sdk_is_imported_late() -> None:
    early = [
        (name, ast.dump(node))
        for name, tree in modules().items()
        if name.startswith("api.client")
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(library in ast.dump(node) for library in ("'openai", "'httpx2", "client.plain"))
    ]
    assert early == []


def test_the_sandbox_is_imported_by_its_commands_only() -> None:
    users = {name for name, target, _ in edges() if target.partition(".")[0] == "sandbox"}
    users = {name for name in users if not name.startswith("sandbox")}
    assert {name.partition(".")[0] for name in users} <= {"cli"}
    assert len(users) <= 2, users


def written(tree: ast.Module) -> set[str]:
    """Name the calls of a module that write to the disk."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else ast.unparse(called)
        module = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
        modes = [arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)]
        # `replace` is a string's, a date's and a dataclass's method too: a path's takes one.
        if name == "replace" and (len(node.args) != 1 or module == ""):
            continue
        if name in WRITES or (name == "open" and modes and set(str(modes[0])) & set("wax+")):
            found.add(f"{name}({', '.join(map(ast.unparse, node.args))})")
    return found


def test_only_files_and_disk_write() -> None:
    writers = {
        name: calls
        for name, tree in modules().items()
        if (calls := written(tree)) and name not in MAY_WRITE
    }
    # The demo makes a temporary repository, and `bugs` a temporary file by `tempfile`.
    writers = {name: calls for name, calls in writers.items() if not name.startswith("cli.demo")}
    assert writers == {}


def test_every_failure_has_an_outcome_and_no_two_share_a_code() -> None:
    failures = errors.FftdeployError.__subclasses__()
    outcomes = {failure.outcome for failure in failures}

    assert len(failures) == len(outcomes) >= 8
    assert outcomes < {*errors.OUTCOMES, errors.DECLINED}
    assert errors.BUG not in outcomes
    for one, other in combinations(errors.OUTCOMES, 2):
        assert one.exit_code != other.exit_code
        assert one.name != other.name


def test_failures_are_defined_in_one_module() -> None:
    names = {failure.__name__ for failure in errors.FftdeployError.__subclasses__()}
    defined = {
        (module, node.name)
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & names
    }
    assert {module for module, _ in defined} == {"errors"}  # finer than an outcome


def test_a_class_name_means_one_thing() -> None:
    names = Counter(
        node.name
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_tests_lie_in_the_folders_of_the_package_and_import_no_test() -> None:
    tests = ROOT / "tests"
    texts = [path.read_text(encoding="utf-8") for path in tests.rglob("*.py")]
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    imports = re.compile(r"^ *(?:from|import) (\w+)", re.MULTILINE)
    names = {name for text in texts for name in imports.findall(text)}

    assert [path for path in folders if path == Path() or not (PACKAGE / path).is_dir()] == [
        Path("project")
    ]
    assert {"pytest", "command_line", "checkout"} <= names
    assert [name for name in names if name.startswith(("test_", "tests", "conftest"))] == []


def test_modules_are_read_in_one_go() -> None:
    long = {
        path.name: lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long.keys() <= {"edit.py"}
    assert max(long.values(), default=0) < 600


def test_functions_fit_on_a_screen() -> None:
    long = {
        f"{module}.{node.name}"
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno > 75
    }
    assert long == set()
