"""The collection as one Arrow table: filtered and sorted without a row in Python."""

from __future__ import annotations

from collections.abc import Collection as Keys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from lorajax.service.likeness.filter_line import split_phrases

pc: Any = pyarrow.compute  # its functions come to be at import, unseen by checkers
SEARCHED = ("name", "base_model", "family", "tier", "tags")


@dataclass(frozen=True)
class View:
    """Some rows of the collection in an order; one is read when it is looked at.

    Attributes:
      table: every row, in that order.
      rows: which of them these are, ascending [n] int64.
    """

    table: pa.Table
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> dict[str, Any]:
        """One row by its place in the view."""
        return self.block(index, index + 1)[0]

    def block(self, start: int, end: int) -> list[dict[str, Any]]:
        """Some rows that follow one another, by their places in the view."""
        return self.table.take(pa.array(self.rows[start:end])).to_pylist()

    def place(self, key: str) -> int | None:
        """Where a LoRA is in the view, None for one that is not."""
        row = pc.index(self.table["key"], key).as_py()
        index = int(np.searchsorted(self.rows, row))
        return index if index < len(self) and self.rows[index] == row else None

    def names(self) -> list[str]:
        """What the rows are called."""
        return self.table["name"].take(pa.array(self.rows)).to_pylist()


class Collection:
    """A library's LoRAs, ready to be shown.

    Args:
      path: the library's file.
      columns: what `lorajax.service.collection.library.columns` returns.
    """

    def __init__(self, path: Path, columns: dict[str, list[Any]]) -> None:
        self.path = path
        table = _typed(pa.table(columns))
        words = [pc.cast(table[name], pa.string()) for name in SEARCHED]
        self._haystack = pc.utf8_lower(pc.binary_join_element_wise(*words, " "))
        self._table = table.append_column("sort_name", pc.utf8_lower(table["name"]))
        self._order: tuple[str, bool] | None = None
        self._sorted, self._sorted_haystack = self._table, self._haystack
        self._sort("sort_name", False)  # here, in the loading thread

    def widest(self, column: str) -> int:
        """How many characters the longest text of a column has."""
        return pc.max(pc.utf8_length(self._table[column])).as_py() or 0

    def __len__(self) -> int:
        return self._table.num_rows

    def keys_with(self, text: str, keys: Keys[str] | None = None) -> set[str]:
        """The content keys of some rows, or of all, that hold every word of a text."""
        held = _fitting(self._table, self._haystack, text, keys)
        return set(self._table["key"].take(held).to_pylist())

    def base_model(self, key: str) -> str | None:
        """The base model of a LoRA, None for one that is not here."""
        return self._value(key, "base_model")

    def name(self, key: str) -> str | None:
        """The name of a LoRA, None for one that is not here."""
        return self._value(key, "name")

    def _value(self, key: str, column: str) -> str | None:
        row = pc.index(self._table["key"], key).as_py()
        return self._table[column][row].as_py() if row >= 0 else None

    def view(
        self,
        text: str,
        column: str,
        descending: bool,
        keys: Keys[str] | None = None,
    ) -> View:
        """The rows that hold every word, in the order of a column.

        Args:
          text: parts of name, base model, family, tier or tags, in any case; those of
            several words in quotes.
          keys: content keys of the rows that may be among them; None is all.
        """
        self._sort("sort_name" if column == "name" else column, descending)
        held = _fitting(self._sorted, self._sorted_haystack, text, keys)
        return View(self._sorted, held)

    def _sort(self, column: str, descending: bool) -> None:
        """Keeps the table in the order last asked for; names break ties."""
        if self._order == (column, descending):
            return
        direction = "descending" if descending else "ascending"
        keys = [(column, direction), ("sort_name", "ascending")]
        keys = keys[:1] if column == "sort_name" else keys
        rows = pc.sort_indices(self._table, sort_keys=keys)
        self._sorted = self._table.take(rows)
        self._sorted_haystack = self._haystack.take(rows)
        self._order = (column, descending)


def _typed(table: pa.Table) -> pa.Table:
    """A column without a value has no type of its own; it gets that of texts."""
    fields = [
        field.with_type(pa.string()) if pa.types.is_null(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _fitting(
    table: pa.Table, haystack: pa.Array, text: str, keys: Keys[str] | None
) -> np.ndarray:
    """The rows [n] int64 of a table, with its haystack, that fit, ascending."""
    wanted = [pc.match_substring(haystack, x) for x in split_phrases(text.lower())]
    if keys is not None:
        some = pa.array(keys, pa.string())
        wanted.append(pc.is_in(table["key"], value_set=some))
    if not wanted:
        return np.arange(table.num_rows)
    return pc.indices_nonzero(reduce(pc.and_, wanted)).to_numpy().astype(np.int64)
