"""Writes the page of the commands from the application itself, while MkDocs builds.

MkDocs calls what begins with `on_`.
"""

import re
from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.core import TyperCommand, TyperGroup

from lorajax.cli import app

PAGE = "commands.md"
_CODE = re.compile(r"`[^`\n]+`")
HEAD = """\
# Commands

Written from the program itself: what `--help` says. What the JSON documents hold, and
what the exit codes mean, is in the [reference](reference.md#commands).
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page to what is built."""
    files.append(File.generated(config, PAGE, content=commands_page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Pipes in code in tables, which only GitHub wants to be escaped."""
    return _CODE.sub(lambda code: code[0].replace("\\|", "|"), markdown)


def commands_page() -> str:
    """Markdown with every command, its arguments and its options."""
    root = typer.main.get_command(app)
    parts = [part for path, command in _commands(root) for part in _part(path, command)]
    return "\n".join([HEAD, *parts])


def _commands(group: Any, path: str = "lorajax") -> Iterator[tuple[str, TyperCommand]]:
    """Every command that can be run, with the words that run it."""
    for name, command in group.commands.items():
        words = f"{path} {name}"
        if isinstance(command, TyperGroup):
            yield from _commands(command, words)
        else:
            yield words, command


def _part(path: str, command: TyperCommand) -> Iterator[str]:
    context = typer.Context(command, info_name=path)
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"## {path}\n"
    yield f"{command.help}\n"
    yield f"```text\n{path} {pieces}\n```\n"
    rows = [_row(parameter, context) for parameter in command.get_params(context)]
    if rows := [row for row in rows if row]:
        yield "\n".join(["| argument or option | means |", "|---|---|", *rows]) + "\n"


def _row(parameter: Any, context: typer.Context) -> str:
    """A row of the table; nothing for `--help`, which all have."""
    if "--help" in parameter.opts:
        return ""
    record = parameter.get_help_record(context)
    if record is None:  # an argument
        name, text = parameter.make_metavar(context), ""
    else:
        name, text = record
    return f"| `{_cell(name)}` | {_cell(text or '')} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
