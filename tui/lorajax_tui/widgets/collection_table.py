"""The table of the collection: 100,000 rows, of which only the visible are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pyarrow as pa
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region
from textual.strip import Strip
from textual_fastdatatable import ArrowBackend, DataTable

from lorajax_tui.collection import View
from lorajax_tui.themes import colours
from lorajax_tui.widgets.columns import Colours, ColumnSpec, fitting

_BLOCK = 64  # rows read at once: one by one, a screen of them takes ten times as long
_ARROWS = {True: " ▼", False: " ▲"}


class ViewBackend(ArrowBackend):
    """Rows of a view, turned into styled cells when they are looked at."""

    def __init__(
        self, view: View, specs: Sequence[ColumnSpec], colours: Colours
    ) -> None:
        super().__init__(pa.table({"row": view.rows}))
        self.view, self.specs, self._colours = view, specs, colours
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
            start = index - index % _BLOCK
            self._rows |= enumerate(self.view.block(start, start + _BLOCK), start)
        return self._rows[index]

    def get_row_at(self, index: int) -> Sequence[Any]:
        row = self.row(index)
        return [spec.cell(row, self._colours) for spec in self.specs]

    def segments(
        self, index: int, under: Style, over: Style, console: Console
    ) -> Iterator[Segment]:
        """A row as it is written."""
        for spec, text in zip(self.specs, self.get_row_at(index), strict=True):
            written = under + console.get_style(text.style)
            for word, own in _words(text, spec.width, console):
                yield Segment(word, (written + own if own else written) + over)

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
        self._view: View | None = None
        self._sort: tuple[str, bool] = ("name", False)
        self._drawn: LRUCache[tuple[Any, ...], Strip] = LRUCache(1000)
        super().__init__(cursor_type="row", render_markup=False, **options)

    base_width = 8
    chosen: tuple[str, ...] = ()

    def show_view(self, view: View, column: str, descending: bool) -> None:
        """Shows other rows; the cursor stays on its LoRA where that is among them."""
        key = self.key_at_cursor()
        self._view, self._sort = view, (column, descending)
        self._rebuild()
        found = view.place(key) if key else None
        self.move_cursor(row=found or 0)
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

    def render_lines(self, crop: Region) -> list[Strip]:
        self._base_style = self.rich_style  # which takes as long as a row
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        below = y + self.scroll_offset.y if y >= self.header_height else y
        left = self.scroll_offset.x
        return self._render_line(below, left, left + self.size.width, self._base_style)

    def _render_line(self, y: int, x1: int, x2: int, base_style: Style) -> Strip:
        """A row in one go: the layout of its cells by Rich, one by one, takes five
        times as long, and every letter of a filter makes a screen of rows anew."""
        row, backend = y - self.header_height, self.backend
        if not isinstance(backend, ViewBackend) or row not in range(self.row_count):
            return super()._render_line(y, x1, x2, base_style)
        looks = row == self.cursor_row, row == self.hover_row
        key = (row, x1, x2, *looks, base_style, self._look())
        if key not in self._drawn:
            under = self._get_row_style(row, base_style)
            style, over = self._styles(*looks)
            line = backend.segments(row, under + style, over, self.app.console)
            # for the mouse, which points at rows here
            strip = Strip(line).simplify().apply_meta({"row": row, "column": 0})
            self._drawn[key] = strip.adjust_cell_length(x2, under).crop(x1)
        return self._drawn[key]

    def _look(self) -> tuple[Any, ...]:
        """What the looks of all rows hang on."""
        seen = self._pseudo_class_state, self.show_cursor, self._show_hover_cursor
        return *seen, self._update_count

    def _clear_caches(self) -> None:
        super()._clear_caches()
        self._drawn.clear()

    def _styles(self, cursor: bool, hover: bool) -> tuple[Style, Style]:
        """What goes under and over the style of a row's own text."""
        return self._get_styles_to_render_cell(
            False,
            False,
            False,
            hover,
            cursor,
            False,
            self.show_cursor,
            self._show_hover_cursor,
            False,
            self.cursor_foreground_priority == "css",
            self.cursor_background_priority == "css",
        )

    def _specs(self) -> list[ColumnSpec]:
        # room for the scrollbar is kept free, so that columns do not jump
        return fitting(max(0, self.outer_size.width - 2), self.base_width, self.chosen)

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


def _words(
    text: Text, width: int, console: Console
) -> Iterator[tuple[str, Style | None]]:
    """A text of one line in a cell of this width, a column free at either side."""
    text.truncate(width, overflow="ellipsis")
    free, right = width - text.cell_len, text.justify == "right"
    before, after = " " * (1 + free * right), " " * (1 + free * (not right))
    if not text.spans:
        yield before + text.plain + after, None
        return
    yield before, None
    for segment in text.render(console):
        yield segment.text, segment.style
    yield after, None
