"""The levels of duplicates, each with how many groups it has, and what is related."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.widgets import Tab, Tabs

if TYPE_CHECKING:
    from lorajax.service.likeness.duplicates import Group, Ladder, Relation

ALL, RELATED = "all", "related"
TABS = {
    ALL: "All",
    "1": "1 file",
    "2": "2 weights",
    "3": "3 update",
    "4": "4 derived",
    "5": "5 near",
    RELATED: "Related",
}
_ID = "level-"


class LevelTabs(Tabs):
    """One level is chosen, or all, or what belongs together without being copies."""

    can_focus = False

    def __init__(self, **options: Any) -> None:
        tabs = (Tab(name, id=f"{_ID}{level}") for level, name in TABS.items())
        super().__init__(*tabs, **options)

    @property
    def level(self) -> str:
        """The chosen one's name in `TABS`."""
        return self.active.removeprefix(_ID) or ALL

    def count(self, ladder: Ladder | None) -> None:
        """Shows how many there are of each."""
        for level, name in TABS.items():
            number = len(of_level(ladder, level))
            label = f"{name} {number:,}" if number else name
            self.query_one(f"#{_ID}{level}", Tab).label = label


def of_level(ladder: Ladder | None, level: str) -> Sequence[Group | Relation]:
    """What a ladder has on a level, the groups that free most first."""
    if ladder is None:
        return ()
    if level == RELATED:
        return ladder.relations
    wanted = [group for group in ladder.groups if level in (ALL, str(group.level))]
    wanted.sort(key=lambda group: (group.level, -group.redundant_bytes))
    return wanted
