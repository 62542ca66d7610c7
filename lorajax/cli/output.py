"""What commands print: results on standard output, all else on standard error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from lorajax.errors import LorajaxError
from lorajax.service.progress import OnProgress, at_most_every, progress_line
from lorajax.service.progress import Progress as Event

PLAIN_LINE_SECONDS = 5.0
PIPED_WIDTH = 200
MIN_PATH = 12
stdout = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
stderr = Console(stderr=True, highlight=False)


def say(text: str, style: str = "") -> None:
    """Prints a line of text as it is: markup in untrusted names stays inert."""
    stdout.print(Text(text, style))


def note(text: str, style: str = "dim") -> None:
    """Prints a line beside the result, on standard error."""
    stderr.print(Text(text, style), soft_wrap=True)


def print_json(document: Any) -> None:
    """The one JSON document of a `--json` command."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def print_table(
    columns: list[str], rows: list[list[str]], numbers: set[str], path: str = ""
) -> None:
    """A table of plain text, a row a line.

    Args:
      numbers: columns that are aligned to the right.
      path: the column that gives way on a narrow screen, from its left.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    widths = [
        max(cell_len(text) for text in (column, *(row[i] for row in rows)))
        for i, column in enumerate(columns)
    ]
    room = stdout.width - sum(width + 2 for width in widths)
    for column, width in zip(columns, widths, strict=True):
        least = MIN_PATH if column == path else width
        justify = "right" if column in numbers else "left"
        table.add_column(column, justify=justify, no_wrap=True, min_width=least)
    for row in rows:
        cells = [
            _from_the_left(cell, max(width + room, MIN_PATH)) if name == path else cell
            for name, cell, width in zip(columns, row, widths, strict=True)
        ]
        table.add_row(*map(Text, cells))
    stdout.print(table)


def _from_the_left(text: str, width: int) -> str:
    """The end of a path tells more than its beginning."""
    cut = text
    while cell_len(cut) > width:
        cut = "…" + cut[2:] if cut.startswith("…") else "…" + cut[1:]
    return cut


@contextmanager
def failing_politely() -> Iterator[None]:
    """Errors for people become one line each and exit code 1."""
    try:
        yield
    except LorajaxError as error:
        stderr.print(Text(f"error: {error.message}", "bold red"), soft_wrap=True)
        if error.hint:
            stderr.print(Text(f"hint:  {error.hint}"), soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        note("interrupted", "bold red")
        raise typer.Exit(130) from None


@contextmanager
def showing_progress() -> Iterator[OnProgress]:
    """A bar with count, rate and time left on a terminal, plain lines elsewhere."""
    if not stderr.is_terminal:
        yield at_most_every(PLAIN_LINE_SECONDS, _print_line)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=stderr,
        transient=False,
    ) as bars:
        yield _bar_updater(bars)


def _print_line(event: Event) -> None:
    print(progress_line(event), file=sys.stderr, flush=True)


def _bar_updater(bars: Progress) -> Callable[[Event], None]:
    tasks: dict[str, Any] = {}

    def update(event: Event) -> None:
        if not event.total or (event.total == 1 and event.note):
            bars.print(Text(f"{event.stage}  {event.note}".rstrip(), "dim"))
            return
        if event.stage not in tasks:
            tasks[event.stage] = bars.add_task(
                event.stage, total=event.total, note="", rate=""
            )
        task = tasks[event.stage]
        speed = bars.tasks[bars.task_ids.index(task)].speed
        rate = f"{speed:.1f}/s" if speed else ""
        bars.update(
            task, completed=event.done, total=event.total, note=event.note, rate=rate
        )

    return update
