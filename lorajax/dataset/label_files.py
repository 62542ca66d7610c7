"""Supervision that people write beside their LoRAs: triplet and ranking files.

The formats are those of the paper's public benchmark: triplets as JSON Lines
`{"anchor", "positive", "negative"}`, rankings as CSV `query_id,lora_id,rank` with
rank 1 the most alike. Ids are the LoRAs' names.
"""

import csv
import json
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Int

from lorajax.errors import DatasetError

ROLES = ("anchor", "positive", "negative")
COLUMNS = ("query_id", "lora_id", "rank")


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Label files directly in a collection's folder."""
    return sorted(folder.glob(pattern))


def read_triplets(path: Path, places: dict[str, int]) -> Int[np.ndarray, "t 3"]:
    """Triplets whose three ids are in the collection.

    Args:
      places: name of a LoRA → its index.

    Raises:
      DatasetError: for a line that is not a triplet, naming the line.
    """
    rows: list[list[int]] = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            document = json.loads(line)
            ids = [str(document[role]) for role in ROLES]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DatasetError(
                f'{path}, line {number}: expected {{"anchor", "positive", "negative"}}',
                "one JSON object a line, ids are the LoRAs' names",
            ) from error
        if all(name in places for name in ids):
            rows.append([places[name] for name in ids])
    return np.array(rows, np.int64).reshape(-1, 3)


def read_rankings(path: Path, places: dict[str, int]) -> Int[np.ndarray, "t 3"]:
    """All pairs of each ranking as triplets: the higher ranked is the positive.

    Raises:
      DatasetError: for missing columns or a rank that is no number.
    """
    ranked: dict[int, list[tuple[float, int]]] = {}
    for number, row in enumerate(csv.DictReader(_lines(path)), start=2):
        try:
            query, lora = str(row["query_id"]), str(row["lora_id"])
            rank = float(row["rank"])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{path}, line {number}: expected the columns {', '.join(COLUMNS)} "
                f"with a number as rank, found {list(row)}",
                "rank 1 is the most alike",
            ) from error
        if query in places and lora in places:
            ranked.setdefault(places[query], []).append((rank, places[lora]))
    triplets = [
        [query, better[1], worse[1]]
        for query, candidates in sorted(ranked.items())
        for better, worse in combinations(sorted(candidates), 2)
        if better[0] < worse[0]
    ]
    return np.array(triplets, np.int64).reshape(-1, 3)


def _lines(path: Path) -> Iterable[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not readable as UTF-8 text: {error}") from error
