"""The line of keys at the bottom."""

from __future__ import annotations

from rich.cells import cell_len
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

# Bound by the application: how to leave, and where all keys are told.
_EVERYBODYS = ("help", "quit")
_SPACES = 3  # before, between and after the words of a key
_PALETTE = "-command-palette"


class Keys(Footer):
    """The keys of a screen; the last of them give way where the line is too short."""

    def on_resize(self) -> None:
        self._fit()

    async def recompose(self) -> None:
        await super().recompose()
        self._fit()

    def _fit(self) -> None:
        keys = list(self.query(FooterKey))
        own = [
            k for k in keys if k.action not in _EVERYBODYS and not k.has_class(_PALETTE)
        ]
        room = self.size.width - sum(_width(key) for key in keys if key not in own)
        for key in own:
            room -= _width(key)
            key.display = room >= 0


def _width(key: FooterKey) -> int:
    edge = key.has_class(_PALETTE)  # a line stands before it
    return cell_len(key.key_display) + cell_len(key.description) + _SPACES + edge
