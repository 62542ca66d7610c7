"""The collection: filter, sort, look closer, bring it up to date."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input, Static
from textual_fastdatatable import DataTable

from lorajax.errors import LorajaxError
from lorajax.service.likeness.filter_line import fitting, parse_line
from lorajax_tui.messages import (
    ConditionsFitted,
    NeighboursWanted,
)
from lorajax_tui.screens.indexing import Indexing
from lorajax_tui.widgets.collection_table import CollectionTable
from lorajax_tui.widgets.details import Details
from lorajax_tui.widgets.index_strip import IndexStrip
from lorajax_tui.widgets.notice import Notice

if TYPE_CHECKING:
    from lorajax_tui.collection import Collection

SORTABLE = (
    "name",
    "base_model",
    "family",
    "rank_max",
    "tier",
    "modules_mapped",
    "norm",
)


class LibraryScreen(Indexing):
    """A table of every LoRA, with details beside it."""

    mode = "library"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("escape", "clear_filter", "Clear", show=False),
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse the order", key_display="S", show=False),
        Binding("i", "index", "Index"),
        Binding("o", "columns", "Columns", show=False),
        Binding("x", "refused", "Refused files", show=False),
        Binding("r", "reload", "Reload", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._column, self._descending = "name", False
        self._fitted = ConditionsFitted("")

    def body(self) -> Iterable[Widget]:
        yield Horizontal(
            Vertical(
                Horizontal(
                    Input(placeholder="Filter: /", id="filter", compact=True),
                    Static(id="shown"),
                    id="filter-line",
                ),
                ContentSwitcher(
                    Notice(id="notice"), CollectionTable(id="table"), initial="notice"
                ),
                IndexStrip(id="strip"),
                id="browse",
            ),
            Details(id="details"),
            id="columns",
        )

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#notice", Notice).say("Opening the library …", kind="loading")
        chosen = self.lorajax.state.columns
        self.query_one(CollectionTable).chosen = tuple(filter(None, chosen.split(",")))
        self.watch(self.app, "first_page", self._show_page)
        self.watch(self.app, "collection", self._show_collection)
        self.watch(self.app, "trouble", self._show_trouble)

    def _show_page(self, page: Collection | None) -> None:
        """What can be seen at once, until all is read and can be searched."""
        if page is None or not len(page) or self.lorajax.collection is not None:
            return
        table = self.query_one(CollectionTable)
        table.base_width = page.widest("base_model")
        self._switch("table")
        table.show_view(page.view("", "name", False), "name", False)
        table.focus()
        self.query_one("#shown", Static).update("reading …", layout=False)

    def _show_collection(self, collection: Collection | None) -> None:
        if collection is None:
            return
        if not len(collection):
            return self._say_empty()
        self._fitted = ConditionsFitted("")  # of the former collection
        self.query_one(CollectionTable).base_width = collection.widest("base_model")
        self._show_view()
        if not isinstance(self.focused, Input):
            self.query_one(CollectionTable).focus()

    def _show_trouble(self, trouble: LorajaxError | None) -> None:
        if trouble is None:
            return
        if not self.lorajax.library.exists():
            return self._say_empty()
        self._switch("notice")
        notice = self.query_one("#notice", Notice)
        notice.say(
            "This library cannot be opened", trouble.message, trouble.hint, "error"
        )

    def _say_empty(self) -> None:
        self._switch("notice")
        self.query_one("#notice", Notice).say(
            "Your library is empty",
            "lorajax reads LoRA files where they lie and remembers what they are.",
            "Press i and name a folder with .safetensors files.",
        )

    def _switch(self, name: str) -> None:
        self.query_one(ContentSwitcher).current = name
        self.set_class(name == "notice", "-notice")

    def _show_view(self) -> None:
        """Filters and sorts anew."""
        collection = self.lorajax.collection
        if collection is None:
            return
        line = self.query_one("#filter", Input).value
        asked = parse_line(line)
        if asked.where and asked.where != self._fitted.where:
            self._fit(asked.where)
            return
        keys = self._fitted.keys if asked.where else None
        view = collection.view(asked.text, self._column, self._descending, keys)
        filtered = f"{len(view):,} of {len(collection):,}" if asked else ""
        # its width is fixed, so that a letter lays nothing out anew
        self.query_one("#shown", Static).update(filtered, layout=False)
        if not len(view):
            self._switch("notice")
            notice, error = self.query_one("#notice", Notice), self._fitted.error
            if asked.where and error is not None:
                return notice.say("Nothing fits", error.message, error.hint)
            return notice.say("Nothing fits", f"No LoRA has “{line}”.", "Esc clears.")
        self._switch("table")
        table = self.query_one(CollectionTable)
        table.show_view(view, self._column, self._descending)

    @work(thread=True, exclusive=True, group="conditions", exit_on_error=False)
    def _fit(self, where: str) -> None:
        """Asks the library for the LoRAs that fit; plain words need no asking."""
        try:
            keys = fitting(self.lorajax.library, where)
            self.post_message(ConditionsFitted(where, keys))
        except LorajaxError as error:
            self.post_message(ConditionsFitted(where, error=error))

    @on(ConditionsFitted)
    def _conditions_fitted(self, message: ConditionsFitted) -> None:
        if message.where == parse_line(self.query_one("#filter", Input).value).where:
            self._fitted = message
            self._show_view()

    @on(Input.Changed, "#filter")
    def _filter_changed(self) -> None:
        if self.lorajax.collection is not None and len(self.lorajax.collection):
            self._show_view()

    @on(Input.Submitted, "#filter")
    def _filter_submitted(self) -> None:
        self.query_one(CollectionTable).focus()

    def action_filter(self) -> None:
        self.query_one("#filter", Input).focus()

    def action_clear_filter(self) -> None:
        self.query_one("#filter", Input).value = ""
        self.query_one(CollectionTable).focus()

    def action_sort(self) -> None:
        """Sorts by the next column."""
        following = (SORTABLE.index(self._column) + 1) % len(SORTABLE)
        self._sort_by(SORTABLE[following], SORTABLE[following] == "norm")

    def action_reverse(self) -> None:
        self._sort_by(self._column, not self._descending)

    @on(DataTable.HeaderSelected)
    def _header_clicked(self, event: DataTable.HeaderSelected) -> None:
        column = self.query_one(CollectionTable).column_name(event.column_index)
        again = column == self._column and not self._descending
        if column in SORTABLE:
            self._sort_by(column, again)

    def _sort_by(self, column: str, descending: bool) -> None:
        self._column, self._descending = column, descending
        self._show_view()

    def action_columns(self) -> None:
        """Asks which columns to show."""
        from lorajax_tui.screens.columns_dialog import ColumnsDialog

        table = self.query_one(CollectionTable)
        self.app.push_screen(ColumnsDialog(table.shown_columns()), self._show_columns)

    def _show_columns(self, names: tuple[str, ...] | None) -> None:
        if names is not None:
            self.lorajax.remember(columns=",".join(names))
            self.query_one(CollectionTable).choose_columns(names)

    def action_reload(self) -> None:
        self.lorajax.load_collection()

    def _walk(self) -> None:
        row = self.query_one(CollectionTable).row_at_cursor()
        if row is not None and self.query_one(ContentSwitcher).current == "table":
            self.post_message(NeighboursWanted(row["key"], row["name"]))

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self._walk()

    def chosen_key(self) -> str | None:
        return self.query_one(CollectionTable).key_at_cursor()

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        self.look_closer()
