"""A space as a map: every LoRA a dot, coloured by what is known of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input, Static

from lorajax.errors import LorajaxError
from lorajax.service.likeness import grouping as grouping_service
from lorajax.service.likeness import mapping
from lorajax.service.likeness.filter_line import parse_line
from lorajax_tui.asker import Asker
from lorajax_tui.messages import (
    ConditionsFitted,
    MapFailed,
    MapLoaded,
    NeighboursWanted,
)
from lorajax_tui.screens.filtered import Filtered
from lorajax_tui.themes import colours, palette
from lorajax_tui.widgets.details import Details
from lorajax_tui.widgets.legend import Legend
from lorajax_tui.widgets.map_words import about_map
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.widgets.scatter import Scatter
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.likeness.grouping import Grouping


class MapScreen(Filtered):
    """The map, the groups below it, and details of the chosen dot beside it."""

    mode = "map"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("escape", "clear_filter", "Clear", show=False),
        Binding("c", "colour", "Colour"),
        Binding("b", "space", "Base"),
        Binding("u", "project", "PCA or UMAP", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.map: mapping.SpaceMap | None = None
        self._spaces: list[mapping.Space] = []
        self._groupings: list[Grouping] = []
        self._wanted, self._asked = "", 0
        self._asker = Asker(lambda words: self.lorajax.question(words))

    def body(self) -> Iterable[Widget]:
        yield Horizontal(
            Vertical(
                self.filter_line("shown"),
                ContentSwitcher(
                    Notice(id="notice"),
                    Vertical(Scatter(id="scatter"), Legend(id="legend"), id="map"),
                    initial="notice",
                ),
                Static(id="about-map"),
                id="browse",
            ),
            Details(id="details"),
            id="columns",
        )

    def on_mount(self) -> None:
        super().on_mount()
        self.add_class("-notice")
        self.watch(self.app, "collection", self._load, init=False)
        self._load()

    def labels_changed(self) -> None:
        """Groups anew; what fits the line is asked for once that is shown."""
        self._load()

    def find(self, key: str) -> None:
        """Chooses a LoRA, in whatever space it lies."""
        self._wanted = key
        if self.map is not None and key in self.map.keys:
            return self._choose_wanted()
        collection, bases = self.lorajax.known, [one.base_model for one in self._spaces]
        base = collection.base_model(key) if collection is not None else None
        if base is not None and (not bases or base in bases):
            self.lorajax.remember(map_space=base)
        self._load()

    def _load(self) -> None:
        if self.map is None:
            self._say("Drawing the map …", kind="loading")
        # Nobody waits any longer for what is being drawn, or waits to be shown.
        self.workers.cancel_group(self, "map")
        self._asker.halt()
        self._asked += 1
        state = self.lorajax.state
        self._read(self._asked, state.map_space, state.map_method)

    def on_unmount(self) -> None:
        self._asker.end()

    @work(thread=True, exclusive=True, group="map", exit_on_error=False)
    def _read(self, asked: int, space: str, method: str) -> None:
        library = self.lorajax.library
        known: list[mapping.Space] = []
        try:
            known = mapping.spaces(library)
            names = {name for one in known for name in (one.name, one.base_model)}
            name = space if space in names else None
            if method == "umap" and mapping.has_umap():
                found = mapping.umap_in_process(library, name, self._asker.answer)
            else:
                found = mapping.map_space(library, name)
            groupings = grouping_service.groupings(library, found.keys)
            self.post_message(MapLoaded(asked, found, known, groupings))
        except LorajaxError as error:
            self.post_message(MapFailed(asked, error, known))

    @on(MapFailed)
    def _show_failure(self, message: MapFailed) -> None:
        if message.asked != self._asked:
            return
        self.map, self._spaces, self._wanted = None, message.spaces, ""
        self._say("No map yet", message.error.message, message.error.hint)

    def _say(self, title: str, text: str = "", hint: str = "", kind: str = "") -> None:
        self.query_one(ContentSwitcher).current = "notice"
        self.add_class("-notice")
        self.query_one("#about-map", Static).update("")
        self.query_one("#notice", Notice).say(title, text, hint, kind)

    @on(MapLoaded)
    def _show(self, message: MapLoaded) -> None:
        if message.asked != self._asked:
            return
        same = self.map is message.map
        self.map, self._spaces = message.map, message.spaces
        self._groupings = message.groupings
        self.query_one(ContentSwitcher).current = "map"
        self.remove_class("-notice")
        scatter = self.query_one(Scatter)
        if not same:
            scatter.show(self.map.positions, self.map.names)
        self._paint()
        self._describe(self.map)
        if self._wanted and self._wanted not in self.map.keys:
            words = "It has no vector in this space."
            self.notify(words, title="Not on the map", markup=False)
            self._wanted = ""
        self.focus_filtered()
        self.filtering = ConditionsFitted("")  # the collection may be another one
        self.refilter()

    def _choose_wanted(self) -> None:
        keys = self.map.keys if self.map is not None else ()
        if self._wanted in keys:
            scatter, place = self.query_one(Scatter), keys.index(self._wanted)
            if not scatter.lit[place]:
                self.query_one("#filter", Input).value = ""
            scatter.choose(place)
            self._wanted = ""

    def _describe(
        self, found: mapping.SpaceMap, error: LorajaxError | None = None
    ) -> None:
        """Says what is drawn, or why the filter cannot be read."""
        words = about_map(found)
        if error is not None:
            said = safe(f"{error.message}; {error.hint}")
            words = Text(said, colours(self.app)["warning"])
        self.query_one("#about-map", Static).update(words)

    @property
    def _grouping(self) -> Grouping | None:
        wanted = self.lorajax.state.map_by
        found = [one for one in self._groupings if one.by == wanted]
        return (found or self._groupings or [None])[0]

    def recolour(self) -> None:
        super().recolour()
        self._paint()

    def _paint(self) -> None:
        """Colours the dots by their groups; the largest groups get a colour each."""
        if self.map is None:
            return
        own_colours, chosen = palette(self.app), self._grouping
        others = "bright_black" if self.app.current_theme.ansi else "#808080"
        names = chosen.names[: len(own_colours)] if chosen is not None else ()
        place = {name: i for i, name in enumerate(names)}
        own = chosen.of if chosen is not None else ("",) * len(self.map.keys)
        groups = np.array(
            [place.get(name, len(own_colours)) for name in own], dtype=int
        )
        last = others if chosen is not None else own_colours[0]
        self.query_one(Scatter).paint(groups, [*own_colours, last])
        self.query_one(Legend).show(chosen, own_colours, others)

    def action_colour(self) -> None:
        """Colours by the next thing that is known."""
        ways = [one.by for one in self._groupings]
        if self._grouping is None:
            words = "Tags, labels, folders or variants would tell them apart."
            self.notify(words, title="Nothing to colour by", markup=False)
            return
        following = (ways.index(self._grouping.by) + 1) % len(ways)
        self.lorajax.remember(map_by=ways[following])
        self._paint()

    def action_space(self) -> None:
        """Draws the next space."""
        known, asked = self._spaces, self.lorajax.state.map_space
        if len(known) == 1:
            self.notify("All LoRAs lie in this space.", markup=False)
        elif known:
            fits = [asked in (one.name, one.base_model) for one in known]
            here = fits.index(True) if any(fits) else 0
            self.lorajax.remember(map_space=known[(here + 1) % len(known)].name)
            self._load()

    def action_project(self) -> None:
        """Changes between PCA and UMAP."""
        if not mapping.has_umap():
            words = "pip install 'lorajax[umap]'"
            self.notify(words, title="UMAP is not installed", markup=False)
            return
        method = "pca" if self.lorajax.state.map_method == "umap" else "umap"
        self.lorajax.remember(map_method=method)
        if method == "umap":
            self._say("Drawing the map …", "UMAP takes a while.", kind="loading")
        self._load()

    def filtered(self) -> Widget:
        return self.query_one(Scatter)

    def refilter(self) -> None:
        """Dims the dots that do not fit."""
        collection, asked = self.lorajax.known, parse_line(self.line)
        if self.map is None or collection is None:
            return
        if (fits := self.fits(asked.where)) is None:
            return
        keys = self.map.keys
        fitting = collection.keys_with(asked.text, fits.keys) if asked else set(keys)
        lit = np.array([key in fitting for key in keys], dtype=bool)
        self.query_one(Scatter).light(lit)
        if self.query_one(Scatter).cursor is None:
            self.look_closer()  # at nothing: the chosen one is dimmed or gone
        filtered = f"{int(lit.sum()):,} of {len(lit):,}" if asked else ""
        self.query_one("#shown", Static).update(filtered)
        self._describe(self.map, fits.error)
        self._choose_wanted()

    @on(Scatter.Chosen)
    def _walk(self, message: Scatter.Chosen) -> None:
        if self.map is not None:
            index = message.index
            wanted = NeighboursWanted(self.map.keys[index], self.map.names[index])
            self.post_message(wanted)

    @on(Scatter.Moved)
    def _moved(self) -> None:
        self.look_closer()

    def chosen_key(self) -> str | None:
        index = self.query_one(Scatter).cursor
        return self.map.keys[index] if self.map and index is not None else None
