"""The files of a library: where LoRAs lie, which were refused, which still wait.

A path leads to one LoRA. One that no path leads to any more is kept until
`forget_pathless`: its file may have another name by now, which is yet to be found.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from lorajax.library.entry import (
    DERIVED,
    SIDECAR,
    FileStamp,
    Place,
    Refusal,
    Told,
)
from lorajax.library.store.leaving import drop_pathless, keep_labels
from lorajax.library.store.vector_store import VectorStore
from lorajax.version import __version__

_PLACE = """
INSERT OR REPLACE INTO paths (
  path, key, size, mtime_ns, inode, missing, header, told, config, beside, tags
) VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)
"""
_FORGET_DERIVED = f"""
DELETE FROM labels WHERE key = ? AND source = ?
AND field IN ({", ".join("?" * len(DERIVED))})
"""
UNSEEN = FileStamp(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file of which only the header was read so far."""

    path: Path
    stamp: FileStamp
    name: str
    base_model: str
    format: str
    family: str
    modules_total: int


class FileStore(VectorStore):
    """The part of a library that keeps paths."""

    def key_at(self, path: Path) -> str | None:
        """The content key last seen at a path, or None."""
        rows = self.query("SELECT key FROM paths WHERE path = ?", str(path))
        return rows[0][0] if rows else None

    def stamps(self) -> dict[str, tuple[FileStamp, str]]:
        """Every known path with its stamp and the content key it had."""
        rows = self.query("SELECT path, size, mtime_ns, inode, key FROM paths")
        return {row[0]: (FileStamp(*row[1:4]), row[4]) for row in rows}

    def mark_missing(self, paths: Iterable[str]) -> None:
        """Remembers that files were not found; their LoRAs stay listed."""
        with self.transaction():
            marks = [(path,) for path in paths]
            self.execute_many("UPDATE paths SET missing = 1 WHERE path = ?", marks)
            if marks:
                self.grow_paths_revision()

    def mark_present(self, paths: Iterable[str]) -> None:
        """Takes back that files were missing."""
        with self.transaction():
            marks = [(path,) for path in paths]
            self.execute_many(
                "UPDATE paths SET missing = 0 WHERE path = ? AND missing", marks
            )
            if marks:
                self.grow_paths_revision()

    def forget_missing(self) -> int:
        """Removes missing paths, and LoRAs without any path; returns how many went.

        What was kept of LoRAs that had gone before is forgotten too.
        """
        with self.transaction():
            rows = self.query("SELECT path FROM paths WHERE missing")
            self.execute("DELETE FROM kept_labels")
            # A file of these may still turn up in a run beside this.
            self.forget_pathless()
            self._drop_paths([path for (path,) in rows])
            return drop_pathless(self)

    def forget_pathless(self) -> int:
        """Removes LoRAs that no path leads to; returns how many went.

        For the end of a run: before it, a file of theirs may still turn up. What a
        person said of them is kept, as it may after it.
        """
        with self.transaction():
            keep_labels(self)
            return drop_pathless(self)

    def add_place(self, key: str, place: Place) -> None:
        """Remembers a further file of a known LoRA."""
        with self.transaction():
            self._write_place(key, place)

    def drop_paths(self, paths: Iterable[str]) -> None:
        """Forgets paths whose LoRA lies elsewhere now."""
        with self.transaction():
            self._drop_paths(list(paths))

    def refuse(
        self, refusal: Refusal, stamp: FileStamp = UNSEEN, config: str = ""
    ) -> None:
        """Remembers a file that cannot be used, and forgets what it was before.

        Args:
          stamp, config: what it was; while it stays so it need not be read again,
            unless another version of lorajax does.
        """
        words = (refusal.path, refusal.reason, refusal.hint)
        with self.transaction():
            self.execute(
                "INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                *(*words, *stamp, config, __version__),
            )
            self.execute("DELETE FROM waiting WHERE path = ?", refusal.path)
            self._drop_paths([refusal.path])

    def refused(self) -> list[Refusal]:
        """The files that could not be read when they were last seen."""
        rows = self.query("SELECT path, reason, hint FROM refused ORDER BY path")
        return [Refusal(*row) for row in rows]

    def forget_refused(self, paths: Iterable[str]) -> None:
        """Forgets refused files that are not there any more."""
        with self.transaction():
            marks = [(path,) for path in paths]
            self.execute_many("DELETE FROM refused WHERE path = ?", marks)

    def wait_for(self, files: Iterable[Waiting]) -> None:
        """Remembers files whose weights are still to be read."""
        rows = [(str(path), *stamp, *rest) for path, stamp, *rest in map(_row, files)]
        with self.transaction():
            marks = ", ".join("?" * 9)
            self.execute_many(f"INSERT OR REPLACE INTO waiting VALUES ({marks})", rows)

    def waiting(self) -> list[Waiting]:
        """The files whose weights are still to be read, by path."""
        rows = self.query("SELECT * FROM waiting ORDER BY path")
        return [Waiting(Path(r[0]), FileStamp(*r[1:4]), *r[4:]) for r in rows]

    def stop_waiting(self, paths: Iterable[str]) -> None:
        """Forgets files that are not there any more or were read."""
        with self.transaction():
            marks = [(path,) for path in paths]
            self.execute_many("DELETE FROM waiting WHERE path = ?", marks)

    def _write_place(self, key: str, place: Place) -> None:
        """Points a path to a LoRA, and away from the one that lay there."""
        path = str(place.path)
        before = self.key_at(place.path)
        told = json.dumps(asdict(place.told), ensure_ascii=False)
        tags = json.dumps(place.tags, ensure_ascii=False)
        said = (place.header, told, place.config, place.beside, tags)
        self.execute(_PLACE, path, key, *place.stamp, *said)
        self.grow_paths_revision()
        for table in ("refused", "waiting"):
            self.execute(f"DELETE FROM {table} WHERE path = ?", path)
        if before not in (None, key):
            self.renew(str(before))
        self.renew(key)

    def _drop_paths(self, paths: list[str]) -> None:
        keys = [self.query("SELECT key FROM paths WHERE path = ?", p) for p in paths]
        self.execute_many("DELETE FROM paths WHERE path = ?", [(p,) for p in paths])
        if any(keys):
            self.grow_paths_revision()
        for key in {key for ((key,),) in filter(None, keys)}:
            self.renew(key)

    def renew(self, key: str) -> None:
        """Brings what a LoRA has of all its files up to date with them.

        Called inside a transaction, after one came, went or says something else. Labels
        that were derived of them go: `derive_labels` writes them again.
        """
        places = self.query("SELECT 1 FROM paths WHERE key = ? LIMIT 1", key)
        if places:  # else nobody sees it, and it goes or gets a path soon
            self.execute(_FORGET_DERIVED, key, SIDECAR, *DERIVED)
            self.write_text(key)

    def write_text(self, key: str) -> None:
        """Writes the tags and words of a LoRA, of all its files and sidecars."""
        places = self.query(
            "SELECT path, told, tags FROM paths WHERE key = ? ORDER BY path", key
        )
        if places:
            tags = dict.fromkeys(tag for *_, text in places for tag in json.loads(text))
            written = json.dumps(list(tags), ensure_ascii=False)
            self.execute("UPDATE loras SET tags = ? WHERE key = ?", written, key)
        rows = self.query("SELECT id, name, tags FROM loras WHERE key = ?", key)
        for id_, name, tags in rows:
            told = [read_told(text) for _, text, _ in places]
            words = dict.fromkeys(word for each in told for word in _words(each))
            self.execute("DELETE FROM texts WHERE rowid = ?", id_)
            self.execute(
                "INSERT INTO texts (rowid, name, tags, words, path) "
                "VALUES (?, ?, ?, ?, ?)",
                *(id_, name, "\n".join(json.loads(tags)), "\n".join(words)),
                "\n".join(path for path, *_ in places),
            )


def _row(file: Waiting) -> tuple:
    return tuple(getattr(file, field.name) for field in fields(Waiting))


def read_told(text: str) -> Told:
    """What is told of a LoRA at a path, from its JSON."""
    document = json.loads(text)
    words = tuple(document.pop("trigger_words", ()))
    return Told(**document, trigger_words=words)


def _words(told: Told) -> list[str]:
    said = (told.title, told.author, told.base_model, told.output_name)
    return [*filter(None, said), *told.trigger_words, told.description, told.usage]
