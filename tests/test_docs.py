"""The documentation says what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest

from fftdeploy import errors

ROOT = pages.ROOT
README = ROOT / "README.md"
EVERY_PAGE = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("path", pages.PAGES)
def test_generated_pages_are_current(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == pages.PAGES[path]()


def test_the_tour_of_the_readme_is_what_its_commands_print() -> None:
    before = README.read_text(encoding="utf-8")

    assert pages.tour(before) == before


def test_every_failure_has_an_outcome_and_every_outcome_a_code_of_its_own() -> None:
    codes = [outcome.exit_code for outcome in errors.OUTCOMES]
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]

    assert codes == list(range(13))
    assert all(c.outcome in errors.OUTCOMES for c in classes)  # type: ignore[attr-defined]


def test_every_command_is_in_the_readme_and_on_the_page() -> None:
    table = README.read_text(encoding="utf-8")

    assert [name for name in pages.COMMANDS if f"`{name}" not in table] == []


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_commands_named_in_the_docs_exist() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in EVERY_PAGE)
    named = set(re.findall(r"`fftdeploy ([a-z]+)", text))

    assert named <= set(pages.COMMANDS)


def test_the_python_example_runs(tmp_path: Path) -> None:
    (tmp_path / "deployments.toml").write_text(
        'version = 1\n[triage.production]\nmodel = "gpt-6"\n'
    )
    code = "import fftdeploy; print(fftdeploy.resolve('triage/production'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout == "gpt-6\n"


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.findall(
        r"^python3 -m venv .*pytest$", README.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert len(commands) == 1
    assert commands[0] in script
