"""Results of the library as plain documents, in the shape that scripts rely on."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorajax.service.collection.library import IndexReport, library_path, present_bases

# What became of the files that could be read.
READ = ("added", "updated", "unchanged", "moved", "copies", "reread")


def report_document(report: IndexReport, library: Path | None) -> dict[str, Any]:
    """What an indexing run did, and what the library holds now.

    `read` counts the files of this run that could be used, `readable` the LoRAs of the
    whole library that are present.
    """
    bases = present_bases(library)
    return {
        "library": str(library_path(library)),
        **asdict(report),
        "read": sum(getattr(report, name) for name in READ),
        "readable": sum(bases.values()),
        "base_models": bases,
    }
