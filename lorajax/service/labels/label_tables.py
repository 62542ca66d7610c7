"""The collection and its labels as tables: CSV, JSON Lines, Parquet; a LoRA a row."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lorajax.errors import LibraryError, LorajaxError
from lorajax.formats.csv_tables import joined, meant, parted, write_csv
from lorajax.formats.text import clean
from lorajax.library import Library
from lorajax.library.clusters import kept_clusters
from lorajax.library.labels import (
    TAG,
    change_each,
    check_value,
    derive_labels,
    effective,
    is_field,
    read_labels,
)
from lorajax.library.store.leaving import PLACED
from lorajax.library.store.library import TABLE_COLUMNS

LABEL = "label:"
Row = dict[str, Any]
_MAX_TABLE = 2**28
_NAMES = ("key", "path", "name", "lora_id")
_COMPUTED = ("missing", "paths", "cluster", "cluster_name", "space", "vector")


@dataclass(frozen=True)
class Imported:
    """What came in: labels, and LoRAs that got them.

    Attributes:
      unknown: rows that name no LoRA here.
      passed_over: columns that are no fields.
    """

    labels: int
    loras: int
    unknown: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


def collection_rows(
    path: Path | None = None, vectors: bool = False
) -> tuple[list[Row], list[str]]:
    """The collection as rows: facts, labels, cluster, paths; and the label fields.

    Label fields are called `label:<field>` and hold what counts, parted by `; `.
    """
    with Library.open(path, create=False) as library:
        derive_labels(library)
        with library.snapshot():
            rows, fields = _collected(library, vectors)
    rows.sort(key=lambda row: (row["name"], row["key"]))
    return rows, fields


def export_collection(
    out: Path, path: Path | None = None, vectors: bool = False
) -> int:
    """Writes the collection as `.csv`, `.jsonl` or `.parquet`; returns how many rows.

    Args:
      vectors: adds `space` and `vector` columns; not to a CSV.

    Raises:
      LorajaxError: for another ending or an unwritable place.
    """
    if out.suffix not in _WRITERS:
        raise LorajaxError(
            f"{out}: expected an ending of {', '.join(_WRITERS)}, "
            f"found {out.suffix or 'none'}"
        )
    if vectors and out.suffix == ".csv":
        raise LorajaxError(
            f"{out}: expected .parquet or .jsonl for vectors, found .csv",
            "or write vectors alone with: lorajax embed PATH --out X.csv",
        )
    rows, fields = collection_rows(path, vectors)
    names = [*TABLE_COLUMNS, "missing", "paths", "cluster", "cluster_name", *fields]
    names += ["space", "vector"] if vectors else []
    part = out.with_name(f"{out.name}.part")
    try:
        _WRITERS[out.suffix](part, names, rows)
        part.replace(out)
    except OSError as error:
        raise LorajaxError(f"{out}: cannot be written: {error.strerror}") from error
    return len(rows)


def import_table(table: Path, path: Path | None = None) -> Imported:
    """Takes labels from a CSV or JSON Lines file, as a person's words.

    Its LoRAs stand in `key`, `path`, `name` or `lora_id`. Every column `label:<field>`
    is a field, and where there is none every other column whose name can be one.
    Columns that cannot be one are passed over.
    Several values are parted by `; `. Empty cells say nothing, and neither do values
    that hold already. One undo takes back all.

    Raises:
      LibraryError: for a file that is neither, or names no LoRA.
    """
    says: dict[str, list[tuple[str, str]]] = {}
    unknown: list[str] = []
    passed_over: dict[str, None] = {}
    with Library.open(path, create=False) as library:
        held = effective(read_labels(library))
        for row in _read_table(table):
            key = _named(library, row)
            if key is None:
                unknown.append(clean(str(next(iter(row.values()), "")), 120))
                continue
            chosen = _chosen(row)
            passed_over |= {clean(n, 60): None for n in chosen if not is_field(n)}
            for field, values in _said(chosen).items():
                # As a person's word it would be written: others spell it otherwise.
                before = {
                    check_value(field, one.value) for one in held.get((key, field), ())
                }
                fresh = [v for v in values if field != TAG or v not in before]
                if fresh and set(values) != before:
                    says.setdefault(key, []).extend((field, one) for one in fresh)
        change_each(library, says)
    return Imported(
        sum(map(len, says.values())), len(says), tuple(unknown), tuple(passed_over)
    )


def _collected(library: Library, vectors: bool) -> tuple[list[Row], list[str]]:
    columns = library.columns()
    lists = {key: i for i, key in enumerate(columns["key"])}
    rows: list[Row] = [
        {name: columns[name][i] for name in (*TABLE_COLUMNS, "missing")}
        for i in range(len(lists))
    ]
    for row in rows:
        row["paths"] = []
        row["cluster"], row["cluster_name"] = None, None
    for key, place in library.query("SELECT key, path FROM paths ORDER BY path"):
        rows[lists[key]]["paths"].append(place)
    fields: set[str] = set()
    labels = [label for label in read_labels(library) if label.key in lists]
    for (key, field), held in effective(labels).items():
        rows[lists[key]][f"{LABEL}{field}"] = [label.value for label in held]
        fields.add(f"{LABEL}{field}")
    for base in sorted(set(columns["base_model"])):
        kept = kept_clusters(library, base)
        for one in kept.clusters if kept else ():
            for key in filter(lists.__contains__, one.members):
                row = rows[lists[key]]
                row["cluster"], row["cluster_name"] = one.number, one.name or None
    if vectors:
        _add_vectors(library, rows, lists)
    return rows, sorted(fields)


def _add_vectors(library: Library, rows: list[Row], places: dict[str, int]) -> None:
    for base in sorted({row["base_model"] for row in rows}):
        space = library.current_space(base)
        if space not in library.spaces():
            continue
        for key, vector in zip(*library.vectors(str(space)), strict=True):
            if key in places:
                rows[places[key]] |= {"space": space, "vector": vector}


def _read_table(table: Path) -> Iterator[Row]:
    hint = "one LoRA a row, with a column name, path, key or lora_id"
    try:
        if table.stat().st_size > _MAX_TABLE:
            raise LibraryError(f"{table}: expected at most {_MAX_TABLE:,} bytes", hint)
        lines = table.read_text(encoding="utf-8-sig").split("\n")
        if table.suffix == ".csv":
            for row in csv.DictReader(lines, strict=True):
                yield {k: meant(v) if isinstance(v, str) else v for k, v in row.items()}
        elif table.suffix == ".jsonl":
            for line in filter(str.strip, lines):
                document = json.loads(line)
                if not isinstance(document, dict):
                    raise ValueError("a line is no object")
                yield document
        else:
            raise LibraryError(
                f"{table}: expected .csv or .jsonl, found {table.suffix or 'none'}"
            )
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise LibraryError(
            f"{table}: expected a table of labels ({clean(str(error), 80)})", hint
        ) from error


def _named(library: Library, row: Row) -> str | None:
    """The LoRA that a row is about, None where the library has none by its names."""
    words = [str(row[column]) for column in _NAMES if row.get(column)]
    if not words:
        raise LibraryError(
            f"expected a column {', '.join(_NAMES[:-1])} or {_NAMES[-1]}, found "
            f"{clean(', '.join(map(str, islice(row, 8))), 120)}"
        )
    for statement in (
        "SELECT key FROM loras WHERE key = ?",
        "SELECT key FROM paths WHERE path = ?",
        f"SELECT key FROM loras WHERE name = ? AND {PLACED}",
    ):
        for word in words:
            found = library.query(statement, word)
            if len(found) == 1:
                return found[0][0]
    return None


def _chosen(row: Row) -> Row:
    """The cells of a row that labels are looked for in."""
    named = {str(name): value for name, value in row.items() if name is not None}
    chosen = {
        name.removeprefix(LABEL): value
        for name, value in named.items()
        if name.startswith(LABEL)
    }
    if not chosen:
        passed_over = {*_NAMES, *TABLE_COLUMNS, *_COMPUTED}
        chosen = {n: v for n, v in named.items() if n not in passed_over}
    return chosen


def _said(chosen: Row) -> dict[str, list[str]]:
    """The fields among these cells and their values, without empty ones."""
    found: dict[str, list[str]] = {}
    for field, value in chosen.items():
        if not is_field(field):
            continue
        values = value if isinstance(value, list) else parted(str(value or ""))
        if said := [one for one in (check_value(field, str(v)) for v in values) if one]:
            found[field] = said
    return found


def _write_csv(out: Path, names: list[str], rows: list[Row]) -> None:
    told = ([row.get(name) for name in names] for row in rows)
    write_csv(
        out,
        names,
        ([joined(c) if isinstance(c, list) else c for c in cells] for cells in told),
    )


def _write_jsonl(out: Path, names: list[str], rows: list[Row]) -> None:
    with out.open("w", encoding="utf-8") as file:
        for row in rows:
            found = {name: row.get(name) for name in names}
            text = json.dumps(found, ensure_ascii=False, default=np.ndarray.tolist)
            file.write(f"{text}\n")


def _write_parquet(out: Path, names: list[str], rows: list[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [row.get(name) for row in rows] for name in names}
    pq.write_table(pa.table(columns), out)


_WRITERS: dict[str, Callable[[Path, list[str], list[Row]], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
