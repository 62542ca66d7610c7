"""LoRAs that a person names, read from their files: the library keeps no modules."""

import os
from pathlib import Path

from lorajax.adapters.adapter import Adapter, check_vector, read_adapter
from lorajax.errors import LibraryError
from lorajax.library import Entry, Library, find
from lorajax.library.entry import file_named


def read_named(library: Library, name: str) -> Adapter:
    """The LoRA of a content key, a name, a part of a name, or a path, with its updates.

    A file that is named by its path need not be in the library.

    Raises:
      LibraryError: where nothing or several LoRAs fit, and for a file that is gone or
        has changed since it was indexed.
      LorajaxError: where it cannot be read, and for one of tier `operator`.
    """
    file = file_named(name)
    entry = library.entry(name)
    if entry is None and file:
        return _read(file)
    return read_entry(entry or find(library, name))


def read_entry(entry: Entry) -> Adapter:
    """The LoRA of an entry, from the first of its files that is there.

    Raises:
      LibraryError: where all of them are gone, or it has changed since it was indexed.
      LorajaxError: where it cannot be read, and for one of tier `operator`.
    """
    file = file_of(entry)
    adapter = _read(file)
    if adapter.content_key != entry.key:
        raise LibraryError(
            f"{file}: its weights have changed since it was indexed",
            "run `lorajax index` on its folder",
        )
    return adapter


def file_of(entry: Entry) -> Path:
    """The first file of an entry that is there.

    Raises:
      LibraryError: where none is.
    """
    for path in entry.paths:
        # os.path, for Path.is_file raises where a disk is away or closed to us.
        if os.path.isfile(path):
            return Path(path)
    raise LibraryError(
        f"{entry.name}: its file is gone from {entry.path or 'the library'}, or its "
        "disk is away",
        "bring it back, or index the folder where it lies now",
    )


def _read(file: Path) -> Adapter:
    adapter = read_adapter(file)
    check_vector(adapter)
    return adapter
