"""Every screen stands in the table of what a command does in its place."""

import re
import sys
from pathlib import Path

import typer

ROOT = Path(__file__).parents[2]
if str(ROOT / "tui") not in sys.path:  # a checkout that was not installed
    sys.path.insert(0, str(ROOT / "tui"))

from lorajax.cli import app  # noqa: E402
from lorajax_tui.widgets.top_bar import SCREENS  # noqa: E402


def test_every_screen_has_commands_that_exist_and_print_json() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    rows = text.split("## Screens and commands")[1].split("\n## ")[0]
    for title in SCREENS.values():
        assert re.search(rf"^\| {title}\b", rows, re.M), title
    root = typer.main.get_command(app)
    said = [cell for row in rows.splitlines() for cell in row.split("|")[2:3]]
    named = [w for w in re.findall(r"`([^`]+)`", "".join(said)) if w[:2] != "--"]
    named.remove("metrics.jsonl")
    assert len(named) > 20
    for words in named:
        command = root
        for word in words.split():
            command = getattr(command, "commands", {}).get(word, command)
        assert not hasattr(command, "commands"), words
        assert "--json" in [o for one in command.params for o in one.opts], words
