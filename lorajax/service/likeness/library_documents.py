"""What the library holds as plain documents: a list, one LoRA, refused files."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorajax.library import Library, find
from lorajax.library.labels import effective, read_labels
from lorajax.service.collection.library import library_path, refused
from lorajax.service.likeness.comparing import strengths
from lorajax.service.likeness.duplicates import copies_of
from lorajax.service.likeness.filter_line import fitting


def loras_document(path: Path | None, where: str = "") -> dict[str, Any]:
    """`loras`, a row each with `tags` as a list, of those that fit, by name.

    Raises:
      LibraryError: where there is no library, and for conditions that cannot be read.
    """
    with Library.open(path, create=False) as library, library.snapshot():
        table = library.columns()
        tags = dict(library.query("SELECT key, tags FROM loras"))
    table["tags"] = [json.loads(tags[key]) for key in table["key"]]
    lines = zip(*table.values(), strict=True)
    rows = (dict(zip(table, line, strict=True)) for line in lines)
    kept = fitting(path, where) if where else None
    found = [row for row in rows if kept is None or row["key"] in kept]
    found.sort(key=lambda row: (row["name"].lower(), row["key"]))
    return {"library": str(library_path(path)), "where": where, "loras": found}


def lora_document(path: Path | None, name: str, blocks: bool = False) -> dict[str, Any]:
    """One LoRA: its facts, what is said of it, its files and its copies.

    Args:
      name: a content key, a name, a part of a name, or a path.
      blocks: whether its file is read for where in the network it is strong.

    Raises:
      LorajaxError: where nothing or several LoRAs fit, and for a file that cannot be
        read where blocks are wanted.
    """
    with Library.open(path, create=False) as library, library.snapshot():
        entry = library.entry(name) or find(library, name)
        held = effective(read_labels(library, keys={entry.key}))
    copies = copies_of(path, entry.key)
    strong = strengths(path, entry.key) if blocks else ()
    return {
        "key": entry.key,
        **asdict(entry.facts),
        "paths": list(entry.paths),
        "missing": entry.missing,
        "told": asdict(entry.told),
        "holds": {
            field: [label.value for label in found]
            for (_, field), found in held.items()
        },
        "copies": [{"key": c.key, "name": c.name, "path": c.path} for c in copies],
        "blocks": [asdict(one) for one in strong],
    }


def refused_document(path: Path | None) -> dict[str, Any]:
    """`refused`: the files that could not be read when they were last seen."""
    found = [asdict(one) for one in refused(path)]
    return {"library": str(library_path(path)), "refused": found}
