"""Tables as CSV: for spreadsheets of people, with names that strangers chose.

A mark says that it is UTF-8, which spreadsheets need. A cell that one would compute
gets a `'` before it, which is taken off again when the table is read.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_COMPUTED = re.compile(r"'*[=+\-@\t\r]")
_BETWEEN = re.compile(r"(?<!\\); ")


def write_csv(out: Path, names: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a table; names of files need not be text, and are written as they are."""
    with out.open("w", -1, "utf-8-sig", "surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in rows:
            writer.writerow([_inert(cell) for cell in row])


def meant(cell: str) -> str:
    """What was written to a cell."""
    return cell[1:] if cell.startswith("'") and _COMPUTED.match(cell) else cell


def joined(values: Iterable[str]) -> str:
    """Several values in one cell, parted by `; `; inside of them it is `\\; `."""
    return "; ".join(value.replace("; ", "\\; ") for value in values)


def parted(cell: str) -> list[str]:
    """The values in a cell."""
    return [value.replace("\\; ", "; ") for value in _BETWEEN.split(cell)]


def _inert(cell: Any) -> Any:
    is_computed = isinstance(cell, str) and _COMPUTED.match(cell)
    return f"'{cell}" if is_computed else cell
