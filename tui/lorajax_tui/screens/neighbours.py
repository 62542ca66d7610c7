"""What is near a LoRA, and walking from one to the next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, DataTable, Static

from lorajax.errors import LorajaxError
from lorajax.service.likeness.filter_line import parse_line
from lorajax.service.likeness.searching import Query, search
from lorajax_tui.messages import NeighboursFailed, NeighboursFound
from lorajax_tui.screens.filtered import Filtered
from lorajax_tui.widgets.details import Details
from lorajax_tui.widgets.near_table import NearTable
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.widgets.trail import Lora, Step, Trail
from lorajax_tui.words import safe

SHOWN = 50
_HASH = 6  # signs of a hash that tell spaces apart


class NeighboursScreen(Filtered):
    """The nearest LoRAs of one, with a trail of where one came from."""

    mode = "neighbours"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "back", "Back"),
        Binding("plus,equals_sign", "more", "More like it", key_display="+"),
        Binding("minus", "less", "Less like it", key_display="-"),
        Binding("w", "why", "Why"),
        Binding("slash", "filter", "Filter"),
        Binding("escape", "clear_filter", "Clear", show=False),
        Binding("p", "pin", "Pin", show=False),
        Binding("v", "compare", "Compare"),
        Binding("r", "reload", "Reload", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.trail: list[Step] = []
        self._space: str | None = None
        self._step: Step | None = None  # whose neighbours are shown

    def body(self) -> Iterable[Widget]:
        yield Horizontal(
            Vertical(
                Trail(id="trail"),
                self.filter_line("query"),
                ContentSwitcher(
                    Notice(id="notice"), NearTable(id="near"), initial="notice"
                ),
                id="browse",
            ),
            Details(id="details"),
            id="columns",
        )

    def on_mount(self) -> None:
        super().on_mount()
        self._say(
            "No LoRA is chosen yet",
            "Neighbours are the LoRAs whose weights do nearly the same.",
            "Press 1, choose a LoRA, and press Enter.",
        )
        self.watch(self.app, "collection", self.refilter, init=False)

    def begin(self, key: str, name: str) -> None:
        """Starts a new trail at a LoRA."""
        self.trail = [Step((Lora(key, name),))]
        self._look()

    def _go_on(self, step: Step) -> None:
        self.trail.append(step)
        self._look()

    def action_reload(self) -> None:
        self.lorajax.load_collection()

    def action_walk(self) -> None:
        """Goes on to the neighbour under the cursor."""
        if (chosen := self._chosen()) is not None:
            self._go_on(Step((chosen,)))

    def action_more(self) -> None:
        """Looks for what is like the LoRA under the cursor as well."""
        if (chosen := self._chosen()) is not None:
            self._go_on(self.trail[-1].more(chosen))

    def action_less(self) -> None:
        """Looks for what is less like the LoRA under the cursor."""
        if (chosen := self._chosen()) is not None:
            self._go_on(self.trail[-1].less(chosen))

    def action_back(self) -> None:
        """Goes back along the trail; at its start, to the library."""
        if len(self.trail) > 1:
            self.trail.pop()
            self._look()
        else:
            self.lorajax.action_go("library")

    def compared_with(self) -> str | None:
        """The pinned LoRA; without one, that whose neighbours are shown."""
        known = self.trail[-1].like[0].key if self.trail else None
        return self.lorajax.pinned or known

    def chosen_key(self) -> str | None:
        chosen = self._chosen()
        return chosen.key if chosen is not None else None

    def _chosen(self) -> Lora | None:
        if self.query_one(ContentSwitcher).current != "near":
            return None
        if self._step != self.trail[-1]:
            return None  # its neighbours are on their way
        return self.query_one(NearTable).chosen()

    def filtered(self) -> Widget:
        return self.query_one(NearTable)

    def refilter(self) -> None:
        if self.trail:
            self.after_rest(self._look)

    @property
    def _asked(self) -> tuple[Step, str]:
        return self.trail[-1], self.line

    def _look(self) -> None:
        """Looks for what the end of the trail and the filter ask for."""
        self.query_one(Trail).show(self.trail)
        if self._step is None:  # else what was found before stays that long
            self._say("Looking for neighbours …", kind="loading")
        self._find(*self._asked)

    def recolour(self) -> None:
        super().recolour()
        if self.trail:
            self._look()

    @work(thread=True, exclusive=True, group="near", exit_on_error=False)
    def _find(self, step: Step, line: str) -> None:
        filters = parse_line(line)
        like, unlike = (tuple(x.key for x in side) for side in (step.like, step.unlike))
        query = Query(like, unlike, filters.where, filters.text, k=SHOWN)
        try:
            found = search(self.lorajax.library, query)
        except LorajaxError as error:
            self.post_message(NeighboursFailed((step, line), error))
        else:
            self.post_message(NeighboursFound((step, line), found))

    @on(NeighboursFound)
    def _show(self, message: NeighboursFound) -> None:
        found = message.results
        if not self.trail or message.asked != self._asked:
            return
        if self._step != message.asked[0]:
            self.remove_class("-details")  # who goes on looks at what is near
        self._space, self._step = found.space, message.asked[0]
        if not found.matches:
            if parse_line(message.asked[1]):
                return self._say("Nothing fits", "No neighbour does.", "Esc clears.")
            return self._say("It is alone", "No other LoRA is in its space yet.")
        base, basis, encoder = str(found.space).rsplit(":", 2)
        learned = "the base space"
        if encoder != "none":
            learned = f"space {basis[:_HASH]}:{encoder[:_HASH]}"
        words = " ".join((f"{found.searched:,} of {base} in {learned}", *found.notes))
        self.query_one("#query", Static).update(Text(safe(words)))
        self.query_one(NearTable).show(found.matches)
        self.query_one(ContentSwitcher).current = "near"
        self.remove_class("-notice")
        self.focus_filtered()

    @on(NeighboursFailed)
    def _show_failure(self, message: NeighboursFailed) -> None:
        if self.trail and message.asked == self._asked:
            self._say("Nothing to compare", message.error.message, message.error.hint)

    def _say(self, title: str, text: str = "", hint: str = "", kind: str = "") -> None:
        self.query_one(ContentSwitcher).current = "notice"
        self.add_class("-notice")
        self.query_one("#query", Static).update("")
        self.query_one("#notice", Notice).say(title, text, hint, kind)

    def action_why(self) -> None:
        """Says which parts of the weights make up the similarity."""
        from lorajax_tui.screens.why import WhyScreen

        if (chosen := self._chosen()) is not None:
            start = self.trail[-1].like[0]
            self.app.push_screen(WhyScreen(start.key, chosen.key, self._space))

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self.action_walk()

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        self.look_closer()
