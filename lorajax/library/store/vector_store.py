"""The vectors of a library: which LoRA has one in which space.

A vector belongs to one space; one that is written anew gets a new row, so that whoever
follows the table sees every change as new and removed rows.
"""

import sqlite3
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lorajax.errors import LibraryError
from lorajax.library.entry import EMBEDDABLE_TIERS
from lorajax.library.spaces import NO_ENCODER, WHOLE_SKETCH, parse_space
from lorajax.library.store.database import Database
from lorajax.library.store.schema import unusable
from lorajax.library.vectors import Matrix, open_matrix, vectors_folder
from lorajax.library.vectors.rows import ID_OF, KEY_OF, put_vector
from lorajax.library.vectors.table import WidthError

_TIERS = ", ".join(f"'{tier}'" for tier in sorted(EMBEDDABLE_TIERS))
_WITHOUT_VECTOR = f"""
SELECT COUNT(*) FROM loras WHERE base_model = ? AND tier IN ({_TIERS}) AND EXISTS (
  SELECT 1 FROM paths WHERE paths.key = loras.key AND NOT paths.missing
) AND NOT EXISTS (
  SELECT 1 FROM vectors WHERE vectors.key = loras.key AND vectors.space = ?
)
"""
# Sketches are no space that people compare in, and stay whatever the model is.
_DROP_OTHERS = f"""
DELETE FROM vectors WHERE space != ? AND space NOT LIKE '%:{WHOLE_SKETCH}:%'
AND key IN (SELECT key FROM loras WHERE base_model = ?)
"""
_SPACES = f"""
SELECT space, COUNT(*) FROM vectors WHERE space NOT LIKE '%:{WHOLE_SKETCH}:%'
GROUP BY space
"""
_SPACES_OF = f"""
SELECT space FROM vectors WHERE key = ? AND space NOT LIKE '%:{WHOLE_SKETCH}:%'
ORDER BY id
"""
_VECTOR_OF = "SELECT vector FROM vectors WHERE space = ? AND key = ?"


class VectorStore(Database):
    """The part of a library that keeps vectors."""

    def spaces(self) -> dict[str, int]:
        """Every space with the number of its vectors."""
        return dict(self.query(_SPACES))

    def keys_in(self, space: str) -> set[str]:
        """The content keys that have a vector in a space."""
        rows = self.query("SELECT key FROM vectors WHERE space = ?", space)
        return {key for (key,) in rows}

    def spaces_of(self, key: str) -> list[str]:
        """The spaces in which a LoRA has a vector, the newest vector last."""
        return [space for (space,) in self.query(_SPACES_OF, key)]

    def vector(self, space: str, key: str) -> Float[np.ndarray, " e"]:
        """The vector of one LoRA as it is stored.

        Raises:
          LibraryError: when it has none in the space, as after it was just removed.
        """
        rows = self.query(_VECTOR_OF, space, key)
        if not rows:
            raise LibraryError(
                f"expected a vector of the LoRA {key} in space {space}, found none",
                "it was just removed or written anew: try again",
            )
        return np.frombuffer(rows[0][0], dtype="<f4")

    def unit_rows(self, space: str) -> tuple[list[str], Float[np.ndarray, "n e"]]:
        """Content keys and unit vectors of a whole space, row by row.

        The rows are mapped from disk where none was removed, and are not to be written.

        Raises:
          LibraryError: when the space holds no vector.
        """
        matrix = self.matrix(space)
        known = dict(self.query("SELECT id, key FROM vectors WHERE space = ?", space))
        # Another process may have removed some since the matrix was opened.
        there = np.array([id_ in known for id_ in matrix.ids.tolist()])
        keys = [known[id_] for id_ in matrix.ids[there].tolist()]
        return keys, matrix.rows if there.all() else matrix.rows[there]

    def vectors(self, space: str) -> tuple[list[str], Float[np.ndarray, "n e"]]:
        """Content keys and vectors of a whole space as they are stored, in memory.

        For those whose lengths mean something, as of whole sketches, and for export;
        whoever only compares takes `unit_rows`.

        Raises:
          LibraryError: when the space holds no vector.
        """
        rows = self.query("SELECT key, vector FROM vectors WHERE space = ?", space)
        if not rows:
            raise _empty(space)
        keys = [key for key, _ in rows]
        if len({len(blob) for _, blob in rows}) > 1:
            raise _uneven(self.path, space)
        joined = b"".join(map(itemgetter(1), rows))
        flat = np.frombuffer(joined, dtype="<f4")
        return keys, flat.reshape(len(keys), -1)

    def matrix(self, space: str) -> Matrix:
        """The unit vectors of one space as a matrix on disk, brought up to date.

        Raises:
          LibraryError: when the space holds no vector.
        """
        try:
            found = open_matrix(self._connection, self.vectors_folder, space)
        except WidthError as error:
            raise _uneven(self.path, space) from error
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error
        if found is None:
            raise _empty(space)
        return found

    @property
    def vectors_folder(self) -> Path:
        """Where the matrices lie: caches that may be deleted at any time."""
        return vectors_folder(self.path)

    def vector_id(self, space: str, key: str) -> int | None:
        """The id of a LoRA's vector in a space, or None."""
        found = self.query(ID_OF, space, key)
        return found[0][0] if found else None

    def keys_of(self, ids: Iterable[int]) -> list[str | None]:
        """The content keys of vectors, None where one was removed meanwhile."""
        found = [self.query(KEY_OF, id_) for id_ in ids]
        return [row[0][0] if row else None for row in found]

    def newest_id(self) -> int:
        """The id of the vector that was written last of those that are there."""
        ((newest,),) = self.query("SELECT COALESCE(MAX(id), 0) FROM vectors")
        return newest

    def current_space(self, base_model: str) -> str | None:
        """The space in which LoRAs of a base model are compared now."""
        return self.get_meta(f"space:{base_model}")

    def set_current_space(self, base_model: str, space: str) -> None:
        """Makes a space the one that searches of its base model use."""
        self.set_meta(f"space:{base_model}", space)

    def switch_space(self, base_model: str, space: str) -> int:
        """Makes a space current once a run has filled it.

        Where every present LoRA of the base model has a vector in it, vectors in
        spaces that are no base model's current one are deleted for this base model.

        Returns:
          How many present LoRAs of the base model have no vector in the space.
        """
        self.set_current_space(base_model, space)
        with self.transaction():
            ((without,),) = self.query(_WITHOUT_VECTOR, base_model, space)
            if without == 0 and self.execute(_DROP_OTHERS, space, base_model):
                self.grow_revision()
        return without

    def write_vector(
        self, key: str, space: str, vector: Float[np.ndarray, " e"]
    ) -> None:
        """Stores a vector of a LoRA that is known, in place of an older one."""
        with self.transaction():
            put_vector(self._connection, space, key, vector)
            self.grow_revision()


def _empty(space: str) -> LibraryError:
    name = parse_space(space)
    bundle = "" if name.encoder == NO_ENCODER else " --model BUNDLE"
    return LibraryError(
        f"no LoRA of {name.base_model} in this library has a vector in space {space}",
        f"bring some in with `lorajax index FOLDER{bundle}`",
    )


def _uneven(path: Path, space: str) -> LibraryError:
    return LibraryError(
        f"{path}: vectors of different lengths in space {space}",
        "index again with --refit",
    )
