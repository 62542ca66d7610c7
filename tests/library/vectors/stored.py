"""A table of vectors that tests write to, and what searching it must find."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lorajax.library.store.schema import connect
from lorajax.library.vectors import Matrix, open_matrix, vectors_folder
from lorajax.library.vectors.rows import put_vector

SPACE = "sd1:basis:encoder"


def unit_rows(count: int, width: int = 12, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass
class Stored:
    """A library file with vectors, and the same vectors in a dictionary beside it."""

    path: Path
    truth: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connection = connect(self.path, create=True)
        self.connection.execute("PRAGMA foreign_keys = OFF")  # vectors without LoRAs

    @property
    def folder(self) -> Path:
        return vectors_folder(self.path)

    def put(self, rows: np.ndarray, first: int = 0, space: str = SPACE) -> None:
        """Writes rows under the keys k<first>, k<first + 1>, …"""
        self.connection.execute("BEGIN")
        for i, row in enumerate(rows, first):
            put_vector(self.connection, space, f"k{i}", row)
            if space == SPACE:
                self.truth[f"k{i}"] = row
        self.connection.execute("COMMIT")

    def drop(self, *numbers: int) -> None:
        for i in numbers:
            self.connection.execute("DELETE FROM vectors WHERE key = ?", (f"k{i}",))
            del self.truth[f"k{i}"]

    def open(self) -> Matrix:
        matrix = open_matrix(self.connection, self.folder, SPACE)
        assert matrix is not None
        return matrix

    def check(self) -> Matrix:
        """A matrix that was just opened holds the truth, and nothing else."""
        matrix = self.open()
        assert len(matrix) == len(self.truth)
        keys = dict(self.connection.execute("SELECT id, key FROM vectors"))
        living = np.flatnonzero(matrix.alive)
        found = {keys[matrix.ids[row]]: matrix.rows[row] for row in living.tolist()}
        assert found.keys() == self.truth.keys()
        for key, row in self.truth.items():
            np.testing.assert_allclose(found[key], row, atol=1e-6)
        return matrix

    def files(self, suffix: str = ".rows") -> list[Path]:
        return sorted(self.folder.glob("*" + suffix))

    def close(self) -> None:
        self.connection.close()


def copy_of(source: sqlite3.Connection, path: Path) -> Path:
    """A copy of an open library, as a backup program makes it."""
    target = sqlite3.connect(path)
    source.backup(target)
    target.close()
    return path
