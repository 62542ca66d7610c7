"""The site: every command and option is on it, and nothing of it is fetched."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lorajax.cli import app

ROOT = Path(__file__).parents[2]
HOOK = ROOT / "docs" / "hooks" / "commands.py"


@pytest.fixture(scope="module")
def hook() -> Any:
    spec = importlib.util.spec_from_file_location("commands_hook", HOOK)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """What can be run, as `--help` lists it."""
    told = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
    if "Commands:" not in told:
        return [words]
    names = re.findall(r"^  ([\w-]+)  ", told.split("Commands:")[1], re.M)
    return [found for name in names for found in commands((*words, name))]


def test_every_command_and_option_of_the_help_is_on_the_page(hook: Any) -> None:
    sections = dict(re.findall(r"^## (.+)\n([^#]*)", hook.commands_page(), re.M))
    found = commands()
    assert {("index",), ("zoo", "build")} <= set(found)
    assert list(sections) == [" ".join(("lorajax", *words)) for words in found]
    for words in found:
        section = sections[" ".join(("lorajax", *words))]
        told = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "300"})
        options = set(
            re.findall(r"(?<![\w-])--[a-z][\w-]*", told.output.split("\n\n", 1)[1])
        )
        assert options - {"--help"} <= set(re.findall(r"--[a-z][\w-]*", section)), words


def test_a_command_that_is_added_is_on_the_page(
    hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = typer.Typer()

    @other.command()
    def frob(knob: int = typer.Option(3, help="How far a|b.")) -> None:
        """Turn it."""

    @other.command()
    def idle() -> None:
        """Do nothing."""

    monkeypatch.setattr(hook, "app", other)
    page = hook.commands_page()
    assert "## lorajax frob\n\nTurn it.\n" in page and "`--knob" in page
    assert "How far a\\|b. [default: 3] |" in page
    assert page.rstrip().endswith("lorajax idle [OPTIONS]\n```")


def test_pipes_are_unescaped_in_code_alone(hook: Any) -> None:
    text = "| `a\\|b` | c \\| d | `e` |"
    assert hook.on_page_markdown(text, page=None) == "| `a|b` | c \\| d | `e` |"


def test_the_site_builds_and_fetches_nothing(tmp_path: Path) -> None:
    command = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert tmp_path / "commands.html" in pages and len(pages) > 12
    fetched = re.compile(
        r"<(?:script|img|iframe)[^>]*src=\"?(?:https?:)?//|"
        r"<link[^>]*href=\"?(?:https?:)?//|url\(\"?(?:https?:)?//|@import"
    )
    for path in [*pages, *tmp_path.rglob("*.css")]:
        assert not fetched.search(path.read_text(encoding="utf-8")), path.name
    python = (tmp_path / "python.html").read_text(encoding="utf-8")
    for name in (
        "Bundle.embed",
        "LoraVectorizer.fit",
        "service.collection.library.neighbours",
    ):
        assert f'{name}"' in python or f"{name}&" in python, name
