"""The table of the collection: 100,000 rows, of which only the visible are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual_fastdatatable import ArrowBackend, DataTable

from lorajax_tui.themes import colours
from lorajax_tui.widgets.columns import Colours, ColumnSpec, fitting

_ARROWS = {True: " ▼", False: " ▲"}


class ViewBackend(ArrowBackend):
    """Rows of an Arrow table, turned into styled cells when they are looked at."""

    def __init__(
        self, view: pa.Table, specs: Sequence[ColumnSpec], colours: Colours
    ) -> None:
        super().__init__(view)
        self.specs, self._colours = specs, colours
        self._rows: dict[int, dict[str, Any]] = {}  # those that were looked at

    @property
    def columns(self) -> Sequence[str]:
        return [spec.label for spec in self.specs]

    @property
    def column_count(self) -> int:
        return len(self.specs)

    @property
    def column_content_widths(self) -> list[int]:
        return [spec.width for spec in self.specs]

    def row(self, index: int) -> dict[str, Any]:
        if index not in self._rows:
            self._rows[index] = self.data.slice(index, 1).to_pylist()[0]
        return self._rows[index]

    def get_row_at(self, index: int) -> Sequence[Any]:
        row = self.row(index)
        return [spec.cell(row, self._colours) for spec in self.specs]

    def get_cell_at(self, row_index: int, column_index: int) -> Any:
        return self.specs[column_index].cell(self.row(row_index), self._colours)


class CollectionTable(DataTable):
    """The collection, one LoRA a row; the name column takes the width that is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Neighbours"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "scroll_home", "First", show=False),
        Binding("G", "scroll_end", "Last", show=False),
        Binding("tab", "app.focus_next", "Focus next", show=False),
        Binding("shift+tab", "app.focus_previous", "Focus previous", show=False),
    ]

    def __init__(self, **options: Any) -> None:
        self._view: pa.Table | None = None
        self._sort: tuple[str, bool] = ("name", False)
        super().__init__(cursor_type="row", render_markup=False, **options)

    base_width = 8
    chosen: tuple[str, ...] = ()

    def show_view(self, view: pa.Table, column: str, descending: bool) -> None:
        """Shows other rows; the cursor stays on its LoRA where that is among them."""
        key = self.key_at_cursor()
        self._view, self._sort = view, (column, descending)
        self._rebuild()
        found = view["key"].index(key).as_py() if key else -1
        self.move_cursor(row=max(0, found))
        self._highlight_row(self.cursor_row)

    def choose_columns(self, names: tuple[str, ...]) -> None:
        """Shows these columns; none means those that suit the width."""
        self.chosen = names
        if self._view is not None:
            self._rebuild()

    def shown_columns(self) -> tuple[str, ...]:
        """The names of the columns that are shown now or were chosen."""
        return self.chosen or tuple(spec.name for spec in self._specs())

    def key_at_cursor(self) -> str | None:
        """The content key of the LoRA under the cursor."""
        row = self.row_at_cursor()
        return row["key"] if row else None

    def row_at_cursor(self) -> dict[str, Any] | None:
        """What the table knows of the LoRA under the cursor."""
        if not isinstance(self.backend, ViewBackend) or not self.row_count:
            return None
        return self.backend.row(min(self.cursor_row, self.row_count - 1))

    def column_name(self, index: int) -> str:
        """The Arrow column that a shown column sorts by."""
        return self._specs()[index].name

    def on_click(self, event: events.Click) -> None:
        """A double click does what Enter does."""
        if event.chain == 2 and event.style.meta.get("row", -1) >= 0:
            self.action_select_cursor()

    def on_resize(self, event: events.Resize) -> None:
        if self._view is not None:
            self._rebuild()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if isinstance(self.backend, ViewBackend):
            self._rebuild()  # another theme has other colours

    def _specs(self) -> list[ColumnSpec]:
        # the scrollbar's two cells are kept free, so that columns do not jump
        bar = 2 * (not self.show_vertical_scrollbar)
        return fitting(max(0, self.size.width - bar), self.base_width, self.chosen)

    def _rebuild(self) -> None:
        """Gives the table its rows and columns anew, for the present width."""
        assert self._view is not None
        specs = self._specs()
        self.backend = ViewBackend(self._view, specs, colours(self.app))
        self._column_labels = [self._label(spec) for spec in specs]
        self._column_widths = [spec.width for spec in specs]
        self._ordered_columns = None
        self._update_count += 1
        self._clear_caches()
        self._update_dimensions([])
        self.refresh()

    def _label(self, spec: ColumnSpec) -> str | Text:
        column, descending = self._sort
        arrow = _ARROWS[descending] if spec.name == column else ""
        right = "right" if spec.label in ("Rank", "Modules", "Norm") else "left"
        return Text(spec.label + arrow, justify=right, no_wrap=True)
