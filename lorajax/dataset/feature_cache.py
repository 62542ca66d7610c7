"""The feature cache: scores of a LoRA file, computed once per content and basis.

Receives content keys and `Features`, hands the features out again wherever the file
lies by now. Records lie row by row in one data file, and an index says which row is
whose. A record is on the disk before its key is committed; a record that does not
match its checksum counts as missing and is written anew. `feature_folders` opens it.

The data file only ever grows, by plain writes at its end; nothing is mapped for
writing. `mapped` maps the rows committed at that moment, so a map stays good while
the file grows, and later rows need a new one.
"""

import errno
import os
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
from jaxtyping import Int

from lorajax.dataset.feature_index import FeatureIndex, readable_errors
from lorajax.dataset.feature_records import checksum, packed, unpacked
from lorajax.errors import DatasetError
from lorajax.projection.features import Features

_BATCH_BYTES, _BATCH_SECONDS = 2**24, 2.0


@dataclass(frozen=True)
class Known:
    """What a cache holds, and how often it helped since it was opened.

    Attributes:
      records: LoRAs in it.
      bytes: size of their records.
      asked: keys that `missing` was asked for.
      found: those of them that had a record.
    """

    records: int
    bytes: int
    asked: int
    found: int


class FeatureCache:
    """An open cache of one basis, for one thread; a context manager that closes it.

    What is put waits until there is a batch of it, `flush`, `close`, or a call that
    hands out records.
    """

    def __init__(
        self, folder: Path, index: FeatureIndex, data: FileIO, record: np.dtype
    ) -> None:
        self.folder = folder
        self.record = record
        self._index = index
        self._data = data
        self._waiting: dict[str, bytes] = {}
        self._waiting_since = 0.0
        self._checked: set[int] = set()
        self._asked = self._found = 0

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._data.close()
            self._index.close()

    def __enter__(self) -> "FeatureCache":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        self.flush()
        return self._index.rows()

    def known(self) -> Known:
        """What it holds, and how many keys it knew."""
        records = len(self)
        size = records * self.record.itemsize
        return Known(records, size, self._asked, self._found)

    def missing(self, keys: Sequence[str]) -> list[int]:
        """Places in `keys` of those without a sound record."""
        known = self._waiting.keys() | self._sound_places(keys)
        missing = [i for i, key in enumerate(keys) if key not in known]
        self._asked += len(keys)
        self._found += len(keys) - len(missing)
        return missing

    def put(self, key: str, features: Features) -> None:
        """Keeps the features of one LoRA, unless its key is known.

        Raises:
          DatasetError: where a score is not finite.
        """
        shape = (1, *self.record["scores"].shape)
        if features.scores.shape != shape or features.mask.shape != shape[:2]:
            found = (features.scores.shape, features.mask.shape)
            raise ValueError(f"expected scores {shape} and their mask, found {found}")
        record = packed(features)
        if not np.isfinite(record["scale"]).all():
            raise DatasetError(
                f"LoRA {key}: expected finite scores, found NaN or infinity",
                "leave this file out: its weights are damaged",
            )
        self._waiting_since = self._waiting_since if self._waiting else time.monotonic()
        self._waiting.setdefault(key, record.tobytes())
        if self._is_batch():
            self.flush()

    def put_many(self, keys: Sequence[str], features: Features) -> None:
        """Keeps the features of several LoRAs."""
        for i, key in zip(range(len(features)), keys, strict=True):
            self.put(key, features[i : i + 1])

    def flush(self) -> None:
        """Writes what waits; then it outlives this process, whatever becomes of it."""
        if not self._waiting:
            return
        with readable_errors(self.folder), self._index.writing():
            known = self._sound_places(self._waiting)
            self._write({k: r for k, r in self._waiting.items() if k not in known})
        self._waiting.clear()

    def places(self, keys: Sequence[str]) -> Int[np.ndarray, " b"]:
        """Row numbers of the keys in `mapped`.

        Raises:
          DatasetError: where a key has no sound record.
        """
        self.flush()
        places = self._sound_places(keys)
        _refuse_unknown(keys, places)
        return np.array([places[key] for key in keys], dtype=np.intp)

    def mapped(self) -> np.memmap:
        """All records committed by now, read from the disk as they are touched.

        `feature_records.unpacked` turns some of its rows into features. Rows whose
        number is not from `places` may be damaged.
        """
        self.flush()
        return self._map()

    def read(self, keys: Sequence[str]) -> Features:
        """The features of LoRAs, in the order of their keys; one may come twice.

        Raises:
          DatasetError: where a key has no sound record.
        """
        self.flush()
        found = self._index.find(keys)
        _refuse_unknown(keys, found)
        places = np.array([found[key][0] for key in keys], dtype=np.intp)
        records = self.mapped()[places]
        sums = {
            key: checksum(r.tobytes()) for key, r in zip(keys, records, strict=True)
        }
        sound = {key for key, crc in sums.items() if crc == found[key][1]}
        self._checked -= {found[key][0] for key in found.keys() - sound}
        _refuse_unknown(keys, sound)
        return unpacked(records)

    def _is_batch(self) -> bool:
        size = len(self._waiting) * self.record.itemsize
        age = time.monotonic() - self._waiting_since
        return size >= _BATCH_BYTES or age >= _BATCH_SECONDS

    def _map(self) -> np.memmap:
        rows = self._index.rows()
        with readable_errors(self.folder):
            expected, found = rows * self.record.itemsize, os.stat(self._data.fileno())
            if found.st_size < expected:
                raise OSError(f"expected {expected} bytes, found {found.st_size}")
            return np.memmap(self._data, self.record, "r", shape=(rows,))

    def _sound_places(self, keys: Iterable[str]) -> dict[str, int]:
        """Places of the keys whose record is what was written.

        A row is checked once per open cache, for a sound one is not written again.
        """
        found = self._index.find(keys)
        if doubtful := {row for row in found.values() if row[0] not in self._checked}:
            rows = np.asarray(self._map())
            sums = {(place, checksum(rows[place].tobytes())) for place, _ in doubtful}
            self._checked |= {place for place, _ in sums & doubtful}
        return {key: p for key, (p, _) in found.items() if p in self._checked}

    def _write(self, records: dict[str, bytes]) -> None:
        """Writes records at the end, or over the damaged record of the same key."""
        places = {key: place for key, (place, _) in self._index.find(records).items()}
        end = self._index.rows()
        for key, record in records.items():
            place = places.get(key, end)
            end += key not in places
            self._data.seek(place * len(record))
            if self._data.write(record) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._index.write(key, place, checksum(record))
        os.fsync(self._data.fileno())


def _refuse_unknown(keys: Sequence[str], known: Container[str]) -> None:
    for key in keys:
        if key not in known:
            raise DatasetError(
                f"LoRA {key}: expected a sound record in the feature cache, found none",
                "put them first: `missing` says which keys need it",
            )
