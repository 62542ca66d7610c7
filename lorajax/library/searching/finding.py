"""The LoRA that a person means: by path, by name, by a part of a name."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from lorajax.errors import LibraryError
from lorajax.library.entry import Entry, file_named, placed
from lorajax.library.store import Library
from lorajax.library.store.leaving import ALL_PLACED

_NAMES = f"SELECT key, name FROM loras WHERE {ALL_PLACED} ORDER BY name, key"
_CANDIDATES_SHOWN = 5
# Among more names than these it would take seconds to find what a typo meant.
_NAMES_COMPARED = 20_000


def find(library: Library, name: str) -> Entry:
    """The entry that a person means: by path, by name, by a part of a name.

    Raises:
      LibraryError: when nothing or more than one LoRA fits; it lists candidates.
    """
    key = library.key_at(placed(file_named(name) or Path(name)))
    known = library.entry(key) if key else None
    return known or _find_by_name(library, name)


def _find_by_name(library: Library, name: str) -> Entry:
    """The one entry with exactly this name, or else with this part in its name."""
    names = library.query(_NAMES)
    exact = [key for key, known in names if name in (known, key)]
    wanted = name.casefold()
    keys = exact or [key for key, known in names if wanted in known.casefold()]
    if not keys:
        raise LibraryError(
            f"no LoRA of the library is called {name!r}",
            _advice(name, [known for _, known in names]),
        )
    # Entries are heavy: of many that fit only those that are shown are read.
    shown = filter(None, map(library.entry, keys[:_CANDIDATES_SHOWN]))
    found = list(shown)
    if len(keys) == 1 and found:
        return found[0]
    raise LibraryError(
        f"{name!r} fits {len(keys)} LoRAs of the library: {_listed(found, len(keys))}",
        "give the full name, or the path of the file",
    )


def _advice(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names[:_NAMES_COMPARED], n=3)
    meant = f"did you mean {', '.join(near)}? " if near else ""
    return f"{meant}give a part of a name, or the path of a file"


def _listed(shown: Sequence[Entry], count: int) -> str:
    """A few candidates; with paths where names alone do not tell them apart."""
    same_name = len({entry.name for entry in shown}) < len(shown)
    words = [entry.path if same_name else entry.name for entry in shown]
    more = count - len(shown)
    return ", ".join(words) + (f" and {more} more" if more else "")
