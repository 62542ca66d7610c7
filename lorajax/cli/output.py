"""What commands print: results on standard output, all else on standard error."""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from lorajax.errors import LorajaxError
from lorajax.service.progress import (
    OnProgress,
    at_most_every,
    progress_line,
    with_pace,
)
from lorajax.service.progress import Progress as Event

PLAIN_LINE_SECONDS = 5.0
PIPED_WIDTH = 200
MIN_WIDTH = 12
_GAP = "  "
_LINE_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
# Control characters (with the escapes that terminals obey), direction marks, halves
# of characters: names and messages may come from strangers' files.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
stdout = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
stderr = Console(stderr=True, highlight=False)


def one_line(text: str) -> str:
    """The text as one line that moves no cursor, turns no direction and is UTF-8."""
    return _UNSAFE.sub("", _LINE_BREAKS.sub(" ", text))


def say(text: str, style: str = "") -> None:
    """Prints a line of text as it is: markup in untrusted names stays inert."""
    stdout.print(Text(one_line(text), style))


def note(text: str, style: str = "dim") -> None:
    """Prints a line beside the result, on standard error."""
    stderr.print(Text(one_line(text), style), soft_wrap=True)


def print_json(document: Any) -> None:
    """The one JSON document of a `--json` command: ASCII, and null for no number."""
    text = json.dumps(_strict(document), indent=2, allow_nan=False, default=str)
    print(text)


def _strict(value: Any) -> Any:
    """The document with None in place of NaN and Inf, which are no JSON."""
    if isinstance(value, dict):
        return {key: _strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(
    columns: list[str], rows: list[list[str]], numbers: set[str], path: str = ""
) -> None:
    """A table of plain text, a row a line; where it is too wide, the widest give way.

    Args:
      numbers: columns that are aligned to the right, and never cut.
      path: the column that gives way before all others, from its left.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    for place in _giving_way(columns, widths, numbers, path):
        widths[place] -= 1

    def line(cells: list[str]) -> str:
        fitted = (
            _fitted(cell, width, name in numbers, name == path)
            for name, cell, width in zip(columns, cells, widths, strict=True)
        )
        return _GAP.join(fitted).rstrip()

    stdout.print(Text(line(columns), "bold"), soft_wrap=True)
    # By rich, a hundred thousand of them would take minutes.
    stdout.file.writelines(f"{line(row)}\n" for row in rows)


def _giving_way(
    columns: list[str], widths: list[int], numbers: set[str], path: str
) -> Iterator[int]:
    """Columns that lose a cell each, until all fit; not those that are short already.

    Where all are, lines run over: nothing is left out.
    """
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - stdout.width
    while over > 0:
        long = [
            (name == path, width, -place)
            for place, (name, width) in enumerate(zip(columns, widths, strict=True))
            if width > MIN_WIDTH and name not in numbers
        ]
        if not long:
            return
        yield -max(long)[2]
        over -= 1


def _fitted(text: str, width: int, is_number: bool, is_path: bool) -> str:
    """A cell of a width; of a path the end is seen, of all else the beginning."""
    if is_path:
        text = _cut(text[::-1], width)[::-1]
    elif not is_number:
        text = _cut(text, width)
    space = " " * (width - cell_len(text))
    return space + text if is_number else text + space


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…"


@contextmanager
def failing_politely() -> Iterator[None]:
    """Errors for people become one line each and exit code 1."""
    try:
        yield
    except LorajaxError as error:
        note(f"error: {error.message}", "bold red")
        if error.hint:
            note(f"hint:  {error.hint}", "")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        note("interrupted", "bold red")
        raise typer.Exit(130) from None


@contextmanager
def showing_progress() -> Iterator[OnProgress]:
    """A bar with count, rate and time left on a terminal, plain lines elsewhere."""
    if not stderr.is_terminal:
        yield plain_lines()
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[aside]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
        console=stderr,
        transient=False,
    ) as bars:
        yield _bar_updater(bars)


def plain_lines() -> OnProgress:
    """Prints progress as lines with rate and time left, not too many of them."""
    return with_pace(at_most_every(PLAIN_LINE_SECONDS, _print_line))


def _print_line(event: Event) -> None:
    print(one_line(progress_line(event)), file=sys.stderr, flush=True)


def _bar_updater(bars: Progress) -> Callable[[Event], None]:
    tasks: dict[str, Any] = {}

    def update(event: Event) -> None:
        words = one_line(event.note)
        if not event.total or (event.total == 1 and words):
            bars.print(Text(f"{event.stage}  {words}".rstrip(), "dim"))
            return
        if event.stage not in tasks:
            tasks[event.stage] = bars.add_task(
                event.stage, total=event.total, note="", rate="", aside=""
            )
        task = tasks[event.stage]
        speed = bars.tasks[bars.task_ids.index(task)].speed
        rate = f"{speed:.1f}/s" if speed else ""
        bars.update(
            task,
            completed=event.done,
            total=event.total,
            note=words,
            rate=rate,
            aside=one_line(event.aside),
        )

    return update
