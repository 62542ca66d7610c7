"""Groups above, the files of the chosen one below, and why the chosen file is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import DataTable, Static

from lorajax_tui.themes import colours
from lorajax_tui.widgets.found_table import FoundTable
from lorajax_tui.widgets.found_words import evidence_of, head_of
from lorajax_tui.widgets.member_table import MemberTable

if TYPE_CHECKING:
    from lorajax.service.likeness.duplicates import Group, Member, Relation


class LadderView(Vertical):
    """What was found, to be looked through."""

    class Chosen(Message):
        """Another file is chosen."""

    def compose(self) -> ComposeResult:
        yield FoundTable(id="found")
        yield Static(id="group-head")
        yield MemberTable(id="members")
        yield Static(id="evidence")

    def on_resize(self, event: events.Resize) -> None:
        """Gives the columns the present width; what is shown comes before its room."""
        self.query_one(FoundTable).fit(event.size.width)
        if (group := self.group) is not None:
            self.query_one(MemberTable).show(group.members, event.size.width)

    def show(self, found: Sequence[Group | Relation], width: int) -> None:
        """Shows groups in a width; the cursors stay where they are still there."""
        self.query_one(FoundTable).show(found, width)
        if not self.query_one(MemberTable).has_focus:
            self.query_one(FoundTable).focus()

    @property
    def group(self) -> Group | Relation | None:
        """What is chosen of the groups."""
        return self.query_one(FoundTable).chosen()

    @property
    def member(self) -> Member | None:
        """The chosen file of the chosen group."""
        return self.query_one(MemberTable).chosen()

    def action_groups(self) -> None:
        """Goes back from the files of a group to the groups."""
        self.query_one(FoundTable).focus()

    @on(DataTable.RowSelected, "#found")
    def _into_group(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.query_one(MemberTable).focus()

    @on(DataTable.RowHighlighted, "#found")
    def _group_chosen(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        group = self.group
        if group is not None:
            head = head_of(group, colours(self.app))
            self.query_one("#group-head", Static).update(head)
            self.query_one(MemberTable).show(group.members, self.size.width)

    @on(DataTable.RowHighlighted, "#members")
    def _member_chosen(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        group, member = self.group, self.member
        if group is not None and member is not None:
            words = evidence_of(group, member, colours(self.app))
            self.query_one("#evidence", Static).update(words)
            self.post_message(self.Chosen())
