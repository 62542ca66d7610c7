"""The files of LoRAs, read when two of them are to be compared.

A file is believed only where it still holds what the library knows of it; what could
not be read is remembered with the reason, and whoever compares has to do without.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from lorajax.adapters.adapter import read_adapter
from lorajax.errors import LorajaxError
from lorajax.library.duplicates.comparing import Weights, read_beside
from lorajax.library.duplicates.found import Copy

# Bytes of files that are kept in memory at a time; two are kept whatever their size.
_ROOM = 2**29


class Shelf:
    """Weights by content key; the least used ones are given back."""

    def __init__(self, copies: Mapping[str, Sequence[Copy]]) -> None:
        self._copies = copies
        self._read: OrderedDict[str, Weights] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self.unread: dict[str, str] = {}

    def weights(self, key: str) -> Weights | None:
        """The LoRA with this key, or None where no file of it is at hand."""
        if key in self._read:
            self._read.move_to_end(key)
            return self._read[key]
        for copy in self._copies.get(key, ()):
            if copy.missing or copy.path in self.unread:
                continue
            if (found := self._open(copy)) is not None:
                self._keep(key, found, copy.size)
                return found
        return None

    def _open(self, copy: Copy) -> Weights | None:
        try:
            adapter = read_adapter(Path(copy.path))
            # At once: when two are compared a file may be gone.
            found = Weights(adapter, read_beside(adapter))
        except LorajaxError as error:
            self.unread[copy.path] = error.message
            return None
        except OSError as error:
            self.unread[copy.path] = f"{copy.path}: cannot be read ({error.strerror})"
            return None
        if adapter.content_key != copy.key:
            self.unread[copy.path] = f"{copy.path}: it changed since it was indexed"
            return None
        return found

    def _keep(self, key: str, found: Weights, size: int) -> None:
        self._read[key], self._sizes[key] = found, size
        while len(self._read) > 2 and sum(map(self._sizes.get, self._read)) > _ROOM:  # type: ignore[arg-type]
            self._read.popitem(last=False)
