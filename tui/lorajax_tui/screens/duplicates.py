"""Which files one of them can stand for, why, and what only belongs together.

Nothing is ever deleted or moved, here or by anything that is called from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, DataTable, Static, Tabs

from lorajax.errors import LorajaxError
from lorajax_tui.messages import NeighboursWanted
from lorajax_tui.screens.ladder_search import LadderSearch
from lorajax_tui.widgets.details import Details
from lorajax_tui.widgets.found_words import about_ladder
from lorajax_tui.widgets.index_strip import IndexStrip
from lorajax_tui.widgets.ladder_view import LadderView
from lorajax_tui.widgets.level_tabs import ALL, RELATED, LevelTabs, of_level
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.words import count, safe

if TYPE_CHECKING:
    from lorajax.service.likeness.duplicates import Group, Relation
    from lorajax_tui.collection import Collection

PLAN = "duplicates.csv"


class DuplicatesScreen(LadderSearch):
    """Groups above, the files of the chosen one below, details beside them."""

    mode = "duplicates"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "level(1)", "Level"),
        Binding("escape,backspace", "groups", "Groups", show=False),
        Binding("v", "compare", "Compare"),
        Binding("w", "plan", "Write a list"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._of: Collection | None = None

    def body(self) -> Iterable[Widget]:
        yield Horizontal(
            Vertical(
                LevelTabs(id="levels"),
                Static(id="about-found"),
                ContentSwitcher(
                    Notice(id="notice"),
                    LadderView(id="ladder"),
                    initial="notice",
                ),
                IndexStrip(id="strip"),
                id="browse",
            ),
            Details(id="details"),
            id="columns",
        )

    def on_mount(self) -> None:
        super().on_mount()
        self._say("Opening the library …", kind="loading")
        self.watch(self.app, "collection", self._collection_changed)
        self.watch(self.app, "trouble", self._show_trouble)
        self.watch(self.app, "theme", self._redraw, init=False)

    def on_resize(self) -> None:
        self._redraw()

    def _redraw(self) -> None:
        if self.ladder is not None:
            self.call_after_refresh(self.show_ladder)

    def _collection_changed(self, collection: Collection | None) -> None:
        if collection is None:
            return
        if self._of is None and len(collection):
            self._of = collection
            self.action_search()
        elif not len(collection):
            self._say_empty()
        else:
            self._tell()

    def action_search(self) -> None:
        """Looks for duplicates anew, in the collection as it is now."""
        collection = self.lorajax.collection
        if collection is not None and len(collection):
            self._of = collection
            super().action_search()

    def _show_trouble(self, trouble: LorajaxError | None) -> None:
        if trouble is None or self.ladder is not None:
            return
        if self.lorajax.library.exists():
            self.show_failure(trouble)
        else:
            self._say_empty()

    def _say_empty(self) -> None:
        self._say(
            "Your library is empty",
            "Duplicates are looked for among the LoRAs that were indexed.",
            "Press 1, then i, and name a folder with .safetensors files.",
        )

    def show_failure(self, error: LorajaxError) -> None:
        title = "Duplicates cannot be looked for"
        self._say(title, error.message, error.hint, "error")

    def _say(self, title: str, text: str = "", hint: str = "", kind: str = "") -> None:
        self.query_one(ContentSwitcher).current = "notice"
        self.add_class("-notice")
        self.query_one("#notice", Notice).say(title, text, hint, kind)

    def show_ladder(self) -> None:
        """Shows the groups of the chosen level, or why there are none."""
        self._tell()
        found = self.found()
        if self.ladder is None:
            if self.is_searching:
                words = "Files and weights first, then what the updates do."
                return self._say("Looking for duplicates …", words, kind="loading")
            return self._say("Stopped", "Nothing was found yet.", "r looks again.")
        if not found:
            return self._say_none()
        self.remove_class("-notice")
        self.query_one(ContentSwitcher).current = "ladder"
        view, width = self.query_one(LadderView), self.query_one("#browse").size.width
        view.show(found, width)

    def _say_none(self) -> None:
        assert self.ladder is not None
        if self.is_searching:
            return self._say("None so far", "It is still looked for.", kind="loading")
        if not self.is_whole:
            return self._say("None so far", "It was stopped.", "r looks again.")
        if self._level == ALL:
            loras = count(self.ladder.searched, "LoRA")
            return self._say(
                "No duplicates", f"Each of {loras} is an update of its own."
            )
        self._say("None of these", "The other levels have some.", "x goes on to them.")

    @property
    def _level(self) -> str:
        return self.query_one(LevelTabs).level

    def found(self) -> Sequence[Group | Relation]:
        """What the chosen level has."""
        return of_level(self.ladder, self._level)

    def action_level(self, by: int) -> None:
        """Goes to the next level, or to the one before."""
        tabs = self.query_one(LevelTabs)
        tabs.action_next_tab() if by > 0 else tabs.action_previous_tab()

    @on(Tabs.TabActivated)
    def _level_chosen(self) -> None:
        if self.ladder is not None:
            self.show_ladder()

    def _tell(self) -> None:
        """Counts what each level has, and says what was looked at."""
        self.query_one(LevelTabs).count(self.ladder)
        is_old = self._of is not self.lorajax.collection
        words = about_ladder(self.ladder, self.is_whole or self.is_searching, is_old)
        self.query_one("#about-found", Static).update(words)

    @on(LadderView.Chosen)
    def _member_chosen(self) -> None:
        self.look_closer()

    @on(DataTable.RowSelected, "#members")
    def _walk(self) -> None:
        member = self.query_one(LadderView).member
        if member is not None:
            self.post_message(NeighboursWanted(member.key, member.name))

    def action_groups(self) -> None:
        """Goes back from the files of a group to the groups."""
        self.query_one(LadderView).action_groups()

    def chosen_key(self) -> str | None:
        member = self.query_one(LadderView).member
        return member.key if member is not None and self.found() else None

    def compared_with(self) -> str | None:
        """The pinned LoRA; without one, the first of the group that is another."""
        group, chosen = self.query_one(LadderView).group, self.chosen_key()
        if self.lorajax.pinned is not None or group is None:
            return self.lorajax.pinned
        others = (one.key for one in group.members if one.key != chosen)
        return next(others, chosen)

    def action_compare(self) -> None:
        """Compares the chosen file with the one that would be kept."""
        if self.compared_with() == self.chosen_key() is not None:
            words = "Their weights are the same: there is nothing to compare."
            self.notify(words, title="The same weights", markup=False)
        else:
            super().action_compare()

    def action_plan(self) -> None:
        """Asks where to write the list of the groups that are shown."""
        from lorajax.service.likeness.duplicates import write_plan
        from lorajax_tui.screens.plan_dialog import PlanDialog

        ladder = self.ladder
        groups = tuple(self.found()) if self._level != RELATED else ()
        if ladder is None or not groups:
            words = "Choose a level that has groups."
            self.notify(words, title="There is nothing to list", markup=False)
            return
        listed = replace(ladder, groups=groups)
        dialog = PlanDialog(
            len(groups),
            lambda path: write_plan(listed, path),
            Path.cwd() / PLAN,
            self._plan_written,
        )
        self.app.push_screen(dialog)

    def _plan_written(self, path: Path, rows: int) -> None:
        words = f"{count(rows, 'row')} in {safe(str(path))}. Nothing was touched."
        self.notify(words, title="Written", markup=False)
