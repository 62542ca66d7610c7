"""The stored collection: entries, where their files lie, and their vectors.

Receives facts and vectors, hands out entries and columns. Keys are content keys; a
path is only an attribute, and one LoRA may lie at several. Every call that writes
commits before it returns, or with the transaction it is called in.
"""

import json
from collections.abc import Mapping
from dataclasses import astuple, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from lorajax.library.entry import DESCRIPTION, Entry, Facts, Place, Told
from lorajax.library.spaces import sketch_space
from lorajax.library.store.file_store import FileStore, read_told
from lorajax.library.store.leaving import ALL_PLACED, return_labels

_FACTS = [field.name for field in fields(Facts)]
_LISTS = ("warnings", "tags")
TABLE_COLUMNS = [
    "key",
    "name",
    "base_model",
    "family",
    "rank_min",
    "rank_max",
    "tier",
    "format",
    "dtype",
    "modules_mapped",
    "modules_total",
    "norm",
    "tags",
]
_MISSING_LORAS = """
SELECT DISTINCT key FROM paths AS gone WHERE missing AND NOT EXISTS (
  SELECT 1 FROM paths WHERE paths.key = gone.key AND NOT paths.missing
)
"""
# Who has a fingerprint had a sketch once: the row may be lost with a damaged page.
_WITHOUT_SKETCH = f"""
SELECT key FROM loras WHERE fingerprint != '' AND NOT EXISTS (
  SELECT 1 FROM vectors WHERE vectors.key = loras.key
  AND vectors.space = loras.base_model || '{sketch_space("")}'
)
"""


class Library(FileStore):
    """An open library: LoRAs by content key, their files and their vectors."""

    def upsert(
        self,
        key: str,
        facts: Facts,
        place: Place,
        vectors: Mapping[str, Float[np.ndarray, " e"]] | None = None,
    ) -> None:
        """Stores one file in one transaction: its facts, its place and its vectors.

        Tags among the facts are those of this file.

        Args:
          vectors: space → vector, those that are to be written.
        """
        with self.transaction():
            self._write_facts(key, facts)
            return_labels(self, key)
            self._write_place(key, replace(place, tags=facts.tags))
            for space, vector in (vectors or {}).items():
                self.write_vector(key, space, vector)

    def entries(self) -> list[Entry]:
        """Every LoRA of the library that a path leads to, by name."""
        paths: dict[str, list[tuple[str, int, str]]] = {}
        for key, *rest in self.query("SELECT key, path, missing, told FROM paths"):
            paths.setdefault(key, []).append(tuple(rest))
        columns = ", ".join(_FACTS)
        rows = self.query(f"SELECT key, {columns} FROM loras ORDER BY name, key")
        return [_entry(row, paths[row[0]]) for row in rows if row[0] in paths]

    def entry(self, key: str) -> Entry | None:
        """The LoRA with a content key, also without a path, or None."""
        columns = ", ".join(_FACTS)
        rows = self.query(f"SELECT key, {columns} FROM loras WHERE key = ?", key)
        paths = self.query("SELECT path, missing, told FROM paths WHERE key = ?", key)
        return _entry(rows[0], paths) if rows else None

    def columns(self, first: int | None = None) -> dict[str, list[Any]]:
        """The collection column by column, for a table: no object per LoRA.

        Besides plain facts it has `key`, `tags` as one text, and `missing`.

        Args:
          first: only as many, the first by name; None is all, in any order.
        """
        names = ", ".join(TABLE_COLUMNS)
        page = "" if first is None else f" ORDER BY LOWER(name) LIMIT {int(first)}"
        rows = self.query(f"SELECT {names} FROM loras WHERE {ALL_PLACED}{page}")
        columns: dict[str, list[Any]] = {name: [] for name in TABLE_COLUMNS}
        for name, values in zip(TABLE_COLUMNS, zip(*rows, strict=True), strict=False):
            columns[name] = list(values)
        columns["tags"] = [", ".join(_list(text)) for text in columns["tags"]]
        absent = {key for (key,) in self.query(_MISSING_LORAS)}
        columns["missing"] = [key in absent for key in columns["key"]]
        return columns

    def tiers(self) -> dict[str, tuple[str, str]]:
        """Content key to (tier, base model), for every LoRA, also without a path."""
        rows = self.query("SELECT key, tier, base_model FROM loras")
        return {key: (tier, base) for key, tier, base in rows}

    def outdated(self) -> set[str]:
        """The content keys of which less is kept than lorajax keeps now.

        An older one kept less, or a sketch was lost.
        """
        rows = self.query("SELECT key FROM loras WHERE description != ?", DESCRIPTION)
        return {key for (key,) in rows} | self.without_sketch()

    def without_sketch(self) -> set[str]:
        """The content keys of updates whose sketch was lost."""
        return {key for (key,) in self.query(_WITHOUT_SKETCH)}

    def _write_facts(self, key: str, facts: Facts) -> None:
        values = [*astuple(facts)[:-2], *(_as_json(facts, name) for name in _LISTS)]
        names = [*_FACTS, "description"]
        marks = ", ".join("?" * (len(names) + 1))
        changes = ", ".join(f"{name} = excluded.{name}" for name in names)
        self.execute(
            f"INSERT INTO loras (key, {', '.join(names)}) VALUES ({marks}) "
            f"ON CONFLICT(key) DO UPDATE SET {changes}",
            *(key, *values, DESCRIPTION),
        )


def _as_json(facts: Facts, name: str) -> str:
    return json.dumps(getattr(facts, name), ensure_ascii=False)


def _entry(row: tuple, paths: list[tuple[str, int, str]]) -> Entry:
    """An entry from a row of `loras` and its (path, missing, told)."""
    *plain, warnings, tags = row[1:]
    facts = Facts(*plain, warnings=tuple(_list(warnings)), tags=tuple(_list(tags)))
    ordered = sorted(paths, key=lambda place: (place[1], place[0]))
    missing = all(gone for _, gone, _ in ordered)
    told = read_told(ordered[0][2]) if ordered else Told()
    return Entry(row[0], facts, tuple(place[0] for place in ordered), missing, told)


def _list(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))
