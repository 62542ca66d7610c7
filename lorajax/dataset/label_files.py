"""Supervision that people write beside their LoRAs: triplets, rankings and labels.

The first two formats are those of the paper's public benchmark: triplets as JSON Lines
`{"anchor", "positive", "negative"}`, rankings as CSV `query_id,lora_id,rank` with
rank 1 the most alike. `labels.csv` (`lora_id,style`) names styles. Ids are the LoRAs'
names. All lie directly in the collection's folder: what lies in a folder below it,
such as the test triplets in a zoo's `truth/`, is never learned from.
"""

import csv
import json
import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Int

from lorajax.errors import DatasetError
from lorajax.formats.text import clean

ROLES = ("anchor", "positive", "negative")
COLUMNS = ("query_id", "lora_id", "rank")
LABELS, LABEL_COLUMNS = "labels.csv", ("lora_id", "style")
# Bytes: of triplets or of rankings, and of labels.
MAX_COMPARISONS, MAX_LABELS = 2**29, 2**26


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Label files directly in a collection's folder."""
    return sorted(folder.glob(pattern))


def read_triplets(path: Path, places: dict[str, int]) -> Int[np.ndarray, "t 3"]:
    """Triplets whose three ids are in the collection and differ.

    Args:
      places: name of a LoRA → its index.

    Raises:
      DatasetError: for a line that is not a triplet, naming the line.
    """
    rows: list[list[int]] = []
    for number, line in enumerate(_lines(path, MAX_COMPARISONS), start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
            ids = [str(document[role]) for role in ROLES]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DatasetError(
                f'{path}, line {number}: expected {{"anchor", "positive", "negative"}}',
                "one JSON object a line, ids are the LoRAs' names",
            ) from error
        if len(set(ids)) == len(ROLES) and all(name in places for name in ids):
            rows.append([places[name] for name in ids])
    return np.array(rows, np.int64).reshape(-1, 3)


def read_rankings(path: Path, places: dict[str, int]) -> Int[np.ndarray, "t 3"]:
    """All pairs of each ranking as triplets: the higher ranked is the positive.

    Raises:
      DatasetError: for missing columns or a rank that is no number.
    """
    triplets = [
        [query, better[1], worse[1]]
        for query, ranked in sorted(read_ranks(path, places).items())
        for better, worse in combinations(sorted((r, c) for c, r in ranked), 2)
        if better[0] < worse[0] and better[1] != worse[1]
    ]
    return np.array(triplets, np.int64).reshape(-1, 3)


def read_ranks(
    path: Path, places: dict[str, int]
) -> dict[int, list[tuple[int, float]]]:
    """Query → its candidates in the collection, each with its rank, as in the file.

    Raises:
      DatasetError: for missing columns or a rank that is no number.
    """
    ranked: dict[int, list[tuple[int, float]]] = {}
    for query, lora, rank in _ranking_rows(path):
        if query in places and lora in places and query != lora:
            ranked.setdefault(places[query], []).append((places[lora], rank))
    return ranked


def read_ids(path: Path, places: dict[str, int]) -> Int[np.ndarray, " ids"]:
    """The LoRAs that a list names, one a line; names of other collections are left out.

    Raises:
      DatasetError: where none of them is in the collection.
    """
    names = [line.strip() for line in _lines(path, MAX_LABELS)]
    found = sorted({places[name] for name in names if name in places})
    if not found:
        raise DatasetError(
            f"{path}: expected names of LoRAs of this collection, one a line, found "
            f"none among {sum(map(bool, names)):,}",
            "a LoRA's name is that of its file without the ending",
        )
    return np.array(found, np.int64)


def read_labels(path: Path) -> dict[str, str]:
    """LoRA → style; a LoRA whose style is left empty has none.

    Raises:
      DatasetError: for missing columns, or a LoRA that is given two styles.
    """
    labels: dict[str, str] = {}
    lines, hint = _lines(path, MAX_LABELS), "one style for each LoRA"
    for number, (lora, style) in _rows(path, lines, LABEL_COLUMNS, hint):
        style = clean(style)
        if style and labels.setdefault(lora, style) != style:
            raise DatasetError(
                f"{path}, line {number}: expected one style for {clean(lora)}, found "
                f"{labels[lora]} and {style}",
                "keep the line that is right",
            )
    return labels


def _ranking_rows(path: Path) -> Iterator[tuple[str, str, float]]:
    """Query, LoRA and rank of every line that is not blank."""
    lines, hint = _lines(path, MAX_COMPARISONS), "rank 1 is the most alike"
    for number, (query, lora, rank) in _rows(path, lines, COLUMNS, hint):
        try:
            place = float(rank)
        except ValueError:
            place = math.nan
        if not math.isfinite(place):
            raise DatasetError(
                f"{path}, line {number}: expected the columns {', '.join(COLUMNS)} "
                f"with a number as rank, found {clean(rank, 80)}",
                hint,
            )
        yield query, lora, place


def _rows(
    path: Path, lines: list[str], wanted: tuple[str, ...], hint: str
) -> Iterator[tuple[int, list[str]]]:
    """Line number and the wanted cells of every line that is not blank."""
    reader = csv.reader(lines)
    columns = ""
    try:
        header = next(reader, [])
        columns = ", ".join(header)
        places = [header.index(column) for column in wanted]
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, [row[place] for place in places]
    except (csv.Error, IndexError, ValueError) as error:
        raise DatasetError(
            f"{path}, line {reader.line_num}: expected the columns "
            f"{', '.join(wanted)}, "
            f"found {clean(columns) or 'none'} ({clean(str(error), 80)})",
            hint,
        ) from error


def _lines(path: Path, most: int) -> list[str]:
    """Lines as editors count them: characters that only Unicode calls a break stay."""
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
        text = raw.decode("utf-8-sig") if len(raw) <= most else None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not readable as UTF-8 text: {error}") from error
    if text is None:
        raise DatasetError(
            f"{path}: expected at most {most:,} bytes, found more",
            "keep the lines that name LoRAs of this collection",
        )
    return [line.removesuffix("\r") for line in text.split("\n")]
