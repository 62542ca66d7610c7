"""What screens share on which one LoRA of many is chosen: its details beside them."""

from __future__ import annotations

import os
import time
from typing import ClassVar

from textual import events, on, work
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import get_current_worker

from lorajax.errors import LorajaxError
from lorajax.service.collection import library as service
from lorajax_tui.messages import (
    CopiesFound,
    EntryLoaded,
    MapWanted,
    PictureLoaded,
    StrengthsFailed,
    StrengthsLoaded,
    TaskFailed,
)
from lorajax_tui.reading_turn import PICTURES, reading_turn
from lorajax_tui.screens.frame import WIDE, Frame
from lorajax_tui.widgets.details import Details

# Weights are read for a LoRA that was looked at this long, and only if they are small.
_LOOK_SECONDS = 0.25
MAX_WEIGHTS = 2**28


class Browse(Frame):
    """A screen with `Details`; subclasses say which LoRA is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "details", "Details"),
        Binding("p", "pin", "Pin", show=False),
        Binding("v", "compare", "Compare", show=False),
        Binding("m", "map", "On the map", show=False),
        Binding("e", "labels", "Labels", show=False),
    ]

    _list: Widget | None = None  # where a LoRA was last chosen

    def chosen_key(self) -> str | None:
        """The content key of the chosen LoRA."""
        raise NotImplementedError

    def action_details(self) -> None:
        """Hides the details; where the screen is narrow, shows them instead."""
        if self.has_class("-notice"):
            return  # there are none
        is_narrow = self.has_class("-narrow")
        self.toggle_class("-details" if is_narrow else "-no-details")
        # textual would take the focus from what is hidden and give it to nobody.
        if is_narrow and self.has_class("-details"):
            self.set_focus(self.query_one(Details))
        elif not isinstance(self.focused, Input):
            self.set_focus(self._list)

    def on_resize(self) -> None:
        """Details that have the focus stay in sight where the screen becomes narrow."""
        if self.app.size.width < WIDE and isinstance(self.focused, Details):
            self.add_class("-details")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """What has the focus is seen: details that stand in its place go."""
        if isinstance(event.widget, Details):
            return
        self.remove_class("-details")
        if not isinstance(event.widget, Input):
            self._list = event.widget

    def action_map(self) -> None:
        """Shows where the chosen LoRA lies."""
        if (key := self.chosen_key()) is not None:
            self.post_message(MapWanted(key))

    def action_labels(self) -> None:
        """Shows what is said of the chosen LoRA, to add to it or take it back."""
        from lorajax_tui.screens.labels import LabelsScreen

        if (key := self.chosen_key()) is not None:
            self.app.push_screen(LabelsScreen(key))

    def compared_with(self) -> str | None:
        """The content key that the chosen LoRA is compared with: the pinned one."""
        return self.lorajax.pinned

    def action_pin(self) -> None:
        """Keeps the chosen LoRA to compare others with it; once more lets it go."""
        key = self.chosen_key()
        if key is not None:
            self.lorajax.pin(None if key == self.lorajax.pinned else key)

    def action_compare(self) -> None:
        """Compares the chosen LoRA with the pinned one, module by module."""
        from lorajax_tui.screens.compare import CompareScreen

        chosen, other = self.chosen_key(), self.compared_with()
        if chosen is None or other is None or chosen == other:
            words = "Press p on one LoRA, then v on another."
            self.notify(words, title="Nothing to compare with", markup=False)
        else:
            self.app.push_screen(CompareScreen(other, chosen))

    def recolour(self) -> None:
        self.look_closer()

    def look_closer(self) -> None:
        """Loads what is known of the chosen LoRA, once it has been so for a moment."""
        self.after_rest(self._load_chosen)

    def _load_chosen(self) -> None:
        if (key := self.chosen_key()) is not None:
            self._read_entry(key)
        else:
            self.query_one(Details).show(None)

    @work(thread=True, exclusive=True, group="entry", exit_on_error=False)
    def _read_entry(self, key: str) -> None:
        """Facts at once, then its copies, the picture, and the weights."""
        from lorajax.service.likeness.duplicates import copies_of

        worker, library = get_current_worker(), self.lorajax.library
        try:
            entry = service.entry(library, key)
            self.post_message(EntryLoaded(key, entry))
            if entry is None or worker.is_cancelled:
                return
            if copies := copies_of(library, key):
                self.post_message(CopiesFound(key, copies))
        except LorajaxError as error:
            self.post_message(TaskFailed(error))
        else:
            self._read_picture(entry)
            self._read_strengths(entry)

    def _read_picture(self, entry: service.Entry) -> None:
        """Reads the picture in the same thread; its disk may hang."""
        from lorajax.service.collection.previews import preview

        if PICTURES.locked():  # it may take long: that of another one goes
            self.post_message(PictureLoaded(entry.key, None))
        with reading_turn(PICTURES) as is_wanted:
            if is_wanted:
                self.post_message(PictureLoaded(entry.key, preview(entry)))

    def _read_strengths(self, entry: service.Entry) -> None:
        """Reads the weights in the same thread, when no other one does."""
        from lorajax.service.likeness import comparing

        time.sleep(_LOOK_SECONDS)
        with reading_turn() as is_wanted:
            if not is_wanted or not _is_light(entry):
                return
            try:
                found = comparing.strengths(self.lorajax.library, entry.key)
                self.post_message(StrengthsLoaded(entry.key, found))
            except LorajaxError as error:
                self.post_message(StrengthsFailed(entry.key, error))

    @on(EntryLoaded)
    def _show_entry(self, message: EntryLoaded) -> None:
        if message.key == self.chosen_key():
            self.query_one(Details).show(message.entry)

    @on(PictureLoaded)
    def _show_picture(self, message: PictureLoaded) -> None:
        if message.key == self.chosen_key():
            self.query_one(Details).show_picture(message.pixels)

    @on(CopiesFound)
    def _show_copies(self, message: CopiesFound) -> None:
        if message.key == self.chosen_key():
            self.query_one(Details).show_copies(message.copies)

    @on(StrengthsLoaded)
    def _show_strengths(self, message: StrengthsLoaded) -> None:
        if message.key == self.chosen_key():
            self.query_one(Details).show_strengths(message.strengths)

    @on(StrengthsFailed)
    def _show_no_strengths(self, message: StrengthsFailed) -> None:
        if message.key == self.chosen_key():
            self.query_one(Details).show_no_strengths(message.error)


def _is_light(entry: service.Entry) -> bool:
    """Whether its weights can be compared, are there, and are quickly read."""
    if entry.facts.norm is None or entry.missing:
        return False
    try:
        # os.path, for Path.is_file raises where a disk is away or closed to us.
        is_file = os.path.isfile(entry.path)
        return is_file and os.path.getsize(entry.path) <= MAX_WEIGHTS
    except OSError:
        return False  # gone in between
