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
# Reading a run of backslashes from its beginning alone takes time in proportion.
_BOUND = re.compile(r"(?<!\\)(\\*); ")
_END = re.compile(r"(?<!\\)\\+\Z")


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
    """Several values in one cell, parted by `; `; inside of them it is `\\; `.

    Backslashes before either are doubled.
    """
    *others, last = [_BOUND.sub(r"\1\1\\; ", value) for value in values] or [""]
    return "; ".join([*(_END.sub(r"\g<0>\g<0>", value) for value in others), last])


def parted(cell: str) -> list[str]:
    """The values in a cell."""
    values, begin = [""], 0
    for bound in _BOUND.finditer(cell):
        count = len(bound[1])
        values[-1] += cell[begin : bound.start()] + "\\" * (count // 2)
        if count % 2:
            values[-1] += "; "
        else:
            values.append("")
        begin = bound.end()
    values[-1] += cell[begin:]
    return values


def _inert(cell: Any) -> Any:
    is_computed = isinstance(cell, str) and _COMPUTED.match(cell)
    return f"'{cell}" if is_computed else cell
