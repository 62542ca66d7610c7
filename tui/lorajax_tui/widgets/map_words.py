"""What is said of a map in the line below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from lorajax_tui.words import count, safe

if TYPE_CHECKING:
    from lorajax.service.likeness.mapping import SpaceMap


def about_map(found: SpaceMap) -> Text:
    """Its space, how many LoRAs it has, and how much the axes show."""
    base, basis, encoder = found.space.rsplit(":", 2)
    learned = "the base space" if encoder == "none" else f"{basis}:{encoder}"
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(safe(base), "bold")
    text.append(f" in {safe(learned)} · {count(len(found.keys), 'LoRA')} · ", "dim")
    if found.explained is None:
        return text.append("UMAP", "dim")
    first, second = found.explained
    return text.append(f"PCA → {first:.0%} ↑ {second:.0%}", "dim")
