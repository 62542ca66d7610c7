"""The collection: filter, sort, look closer, bring it up to date."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static
from textual_fastdatatable import DataTable

from lorajax.errors import LorajaxError
from lorajax.service.likeness.filter_line import parse_line
from lorajax_tui.messages import ConditionsFitted, NeighboursWanted
from lorajax_tui.screens.filtered import Filtered
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


class LibraryScreen(Filtered, Indexing):
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

    def body(self) -> Iterable[Widget]:
        yield Horizontal(
            Vertical(
                self.filter_line("shown"),
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
        self.focus_filtered()
        self.query_one("#shown", Static).update("reading …", layout=False)

    def _show_collection(self, collection: Collection | None) -> None:
        if collection is None:
            return
        if not len(collection):
            return self._say_empty()
        self.filtering = ConditionsFitted("")  # what fitted the former collection
        self.query_one(CollectionTable).base_width = collection.widest("base_model")
        self.refilter()
        self.focus_filtered()

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

    def filtered(self) -> Widget:
        return self.query_one(CollectionTable)

    def refilter(self) -> None:
        """Filters and sorts anew."""
        collection, asked = self.lorajax.collection, parse_line(self.line)
        if not collection or (fits := self.fits(asked.where)) is None:
            return
        order = self._column, self._descending
        view = collection.view(asked.text, *order, fits.keys)
        filtered = f"{len(view):,} of {len(collection):,}" if asked else ""
        # its width is fixed, so that a letter lays nothing out anew
        self.query_one("#shown", Static).update(filtered, layout=False)
        if not len(view):
            self._switch("notice")
            notice, error = self.query_one("#notice", Notice), fits.error
            if error is not None:
                return notice.say("Nothing fits", error.message, error.hint)
            words = f"No LoRA has “{self.line}”."
            return notice.say("Nothing fits", words, "Esc clears.")
        self._switch("table")
        self.query_one(CollectionTable).show_view(view, *order)

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
        self.refilter()

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

    def _chosen(self) -> dict[str, Any] | None:
        if self.query_one(ContentSwitcher).current != "table":
            return None  # nobody sees the rows
        return self.query_one(CollectionTable).row_at_cursor()

    @on(DataTable.RowSelected)
    def _walk(self) -> None:
        if (row := self._chosen()) is not None:
            self.post_message(NeighboursWanted(row["key"], row["name"]))

    def chosen_key(self) -> str | None:
        row = self._chosen()
        return row["key"] if row is not None else None

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        self.look_closer()
