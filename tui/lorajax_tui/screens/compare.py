"""Two LoRAs side by side: how alike they are, module by module."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, DataTable, Static
from textual.worker import Worker, WorkerState, get_current_worker

from lorajax.errors import LorajaxError
from lorajax.service.collection.previews import preview
from lorajax.service.likeness import comparing
from lorajax_tui.messages import Compared, CompareFailed
from lorajax_tui.reading_turn import reading_turn
from lorajax_tui.screens.frame import Frame
from lorajax_tui.themes import colours
from lorajax_tui.widgets.card import Card
from lorajax_tui.widgets.filling import fill
from lorajax_tui.widgets.meter import meter
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.widgets.strengths import short_block
from lorajax_tui.words import safe

_BAR, _NARROW_BAR = 16, 6
# Cells of a row beside the two bars and the name, and the least for the name.
_OTHERS, _LEAST = 40, 20
_TINY = 0.01
ORDERS = ("network", "alike", "strong")


class ModuleTable(DataTable[Text]):
    """The modules, one a row."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]


class CompareScreen(Frame):
    """Pictures and names above, a row for every module below.

    Args:
      first, second: content keys.
    """

    mode = "compare"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,v", "dismiss", "Back", key_display="Esc"),
        Binding("s", "sort", "Order"),
    ]

    def __init__(self, first: str, second: str) -> None:
        super().__init__()
        self._keys = (first, second)
        self._order = ORDERS[0]
        self.comparison: comparing.Comparison | None = None

    def body(self) -> Iterable[Widget]:
        yield ContentSwitcher(
            Notice(id="notice"),
            Vertical(
                Horizontal(
                    Card(id="first", classes="-anchor"),
                    Card(id="second", classes="-other"),
                    id="pair",
                ),
                Static(id="verdict"),
                ModuleTable(
                    cursor_type="row",
                    cursor_foreground_priority="renderable",
                    id="modules",
                ),
                id="compared",
            ),
            initial="notice",
        )

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Notice).say("Reading both files …", kind="loading")
        self._compare()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_rows)

    def recolour(self) -> None:
        self._show_rows()

    @work(thread=True, exit_on_error=False)
    def _compare(self) -> None:
        worker, library = get_current_worker(), self.lorajax.library
        with reading_turn() as is_wanted:
            if not is_wanted:
                return
            try:
                found = comparing.compare(
                    library, *self._keys, is_over=lambda: worker.is_cancelled
                )
            except LorajaxError as error:
                self.post_message(CompareFailed(error))
                return
        pictures = tuple(preview(entry) for entry in found.entries)
        self.post_message(Compared(found, pictures))

    @on(CompareFailed)
    def _show_failure(self, message: CompareFailed) -> None:
        error = message.error
        self.query_one(Notice).say("Nothing to compare", error.message, error.hint)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self._show_failure(CompareFailed(LorajaxError(str(event.worker.error))))

    @on(Compared)
    def _show(self, message: Compared) -> None:
        self.comparison = found = message.comparison
        cards = (self.query_one("#first", Card), self.query_one("#second", Card))
        for card, entry, pixels in zip(
            cards, found.entries, message.pictures, strict=True
        ):
            card.show(entry, pixels, named=True)
        self.query_one(ContentSwitcher).current = "compared"
        self._show_rows()
        self.query_one(ModuleTable).focus()

    def _show_rows(self) -> None:
        found = self.comparison
        if found is None:
            return
        self._show_verdict(found)
        table = self.query_one(ModuleTable)
        bar = _NARROW_BAR if self.has_class("-narrow") else _BAR
        labels = ("first".rjust(bar + 7), "alike", "second", "module")
        lines = []
        room = max(_LEAST, self.size.width - 2 * bar - _OTHERS)
        largest = max(max(pair.norms) for pair in found.modules) or 1.0
        for pair in self._ordered(found):
            left, right = (norm / largest for norm in pair.norms)
            second = meter(right, bar, colours(self.app), "accent")
            lines.append(
                [
                    self._mirrored(left, pair.norms[0], bar),
                    self._alike(pair.cosine),
                    second.append(f" {_number(pair.norms[1]):<6}", "dim"),
                    Text(short_module(pair.module, room)),
                ]
            )
        fill(table, [Text(label) for label in labels], lines, [None] * len(lines))

    def _ordered(self, found: comparing.Comparison) -> list[comparing.ModulePair]:
        pairs = list(found.modules)
        if self._order == "alike":
            pairs.sort(key=lambda pair: -2 if pair.cosine is None else -pair.cosine)
            pairs.sort(key=lambda pair: pair.cosine is None)
        elif self._order == "strong":
            pairs.sort(key=lambda pair: -max(pair.norms))
        return pairs

    def _mirrored(self, share: float, norm: float, bar: int) -> Text:
        """A norm and its bar, which grows to the left."""
        full = round(share * bar)
        found = colours(self.app)
        text = Text().append(f"{_number(norm):>6} ", "dim")
        text.append("━" * (bar - full), found["panel"])
        return text.append("━" * full, found["primary"])

    def _alike(self, cosine: float | None) -> Text:
        if cosine is None:
            return Text("only one", "dim")
        colour = "success" if cosine >= 0 else "error"
        line = meter(abs(cosine), 8, colours(self.app), colour)
        return line.append(f" {cosine:6.3f}")

    def _show_verdict(self, found: comparing.Comparison) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"cosine {found.cosine:.3f}", "bold")
        text.append(" of the whole", "dim")
        if found.mean_cosine is not None:
            text.append(f" · {found.mean_cosine:.3f}", "bold")
            text.append(" mean of modules", "dim")
        shared = sum(pair.cosine is not None for pair in found.modules)
        text.append(f" · {shared} of {len(found.modules)} in both", "dim")
        text.append(f" · by {self._order}", "dim")
        self.query_one("#verdict", Static).update(text)

    def action_sort(self) -> None:
        """By place in the network, by likeness, by strength."""
        following = (ORDERS.index(self._order) + 1) % len(ORDERS)
        self._order = ORDERS[following]
        self._show_rows()


def short_module(module: str, room: int) -> str:
    """A module's name: where it is too long, its block and what stands at its end."""
    name = safe(module)
    if len(name) <= room:
        return name
    stack, number = comparing.block_of(name)
    head = short_block(stack if number is None else f"{stack}.{number}")
    return f"{head}…{name[len(head) + 1 - room :]}"


def _number(norm: float) -> str:
    """Three digits, in at most six characters."""
    return f"{norm:.3g}" if norm >= _TINY or norm == 0 else f"{norm:.0e}"
