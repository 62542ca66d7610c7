"""What is said of one LoRA, by whom; a person adds to it and takes it back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, ClassVar, cast

from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from lorajax.errors import LorajaxError
from lorajax.service.labels import labelling as service
from lorajax_tui.screens.frame import SHORT_OR_TALL, Candid
from lorajax_tui.themes import colours
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from pathlib import Path

    from lorajax_tui.app import LorajaxApp

_NAMED = 3  # as many as a toast holds
# A word is written, and what is said then is read, before the next one is.
_TURN = Lock()
Do = Callable[[], "service.Change | None"]


@dataclass
class _Read:
    """What is said of one LoRA, None where that cannot be read, and how it came to be.

    `word` is what a person had written, `undone` how a change was taken back,
    `complaint` why one was refused, and `is_said` whether one was made.
    """

    labelled: service.Labelled | None
    word: str
    undone: service.Change | None
    complaint: str
    is_said: bool


class LabelsScreen(Candid, ModalScreen[None]):
    """The labels of a LoRA with a line to write more.

    Args:
      key: its content key.
    """

    VERTICAL_BREAKPOINTS = SHORT_OR_TALL
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("ctrl+z", "undo", "Undo", priority=True),
        Binding("down", "scroll(1)", "Down", show=False),
        Binding("up", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key
        self._changes: deque[tuple[Do, str]] = deque()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Labels", classes="dialog-title")
            with VerticalScroll(can_focus=False):
                yield Static("Looking …", id="labels")
            yield Input(placeholder="style=ink", id="say")
            yield Static(id="complaint")
            yield Static(
                "field=value says it, field= says that nothing holds, -field takes "
                "your word back · Ctrl+Z undoes · Esc closes",
                classes="dialog-foot",
            )

    @property
    def _library(self) -> Path:
        return cast("LorajaxApp", self.app).library

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._do(lambda: None)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def _do(self, change: Do, word: str = "") -> None:
        """Changes what is said, by a word where it was written, after all before."""
        self._changes.append((change, word))
        # which a dialog that was left has no more
        self._do_oldest(cast("LorajaxApp", self.app))

    @work(thread=True, exit_on_error=False, group="labels")
    def _do_oldest(self, app: LorajaxApp) -> None:
        with _TURN:  # threads come to it in any order
            read = self._change(app.library, *self._changes.popleft())
            app.call_from_thread(self._tell, app, read)

    def _change(self, library: Path, change: Do, word: str) -> _Read:
        """Changes what is said and reads it anew."""
        undone, complaint = None, ""
        try:
            undone = change()
        except LorajaxError as error:
            complaint = f"{error.message} · {error.hint}".removesuffix(" · ")
        is_said = not complaint and (undone is not None or bool(word))
        try:
            (found,) = service.labelled(library, [self._key])
        except LorajaxError as error:
            return _Read(None, word, undone, complaint or error.message, is_said)
        return _Read(found, word, undone, complaint, is_said)

    @on(Input.Submitted)
    def _said(self, event: Input.Submitted) -> None:
        library, word = self._library, event.value
        if word.strip():
            self._do(lambda: _say(library, self._key, word.strip()), word)

    def action_undo(self) -> None:
        """Takes back what a person last said of any LoRA."""
        library = self._library
        self._do(lambda: _take_back(library))

    def _tell(self, app: LorajaxApp, read: _Read) -> None:
        """Tells what came of a change, also where the dialog was left meanwhile."""
        if read.is_said:
            app.words_said += 1
        if read.undone is not None:
            _say_undone(app, read.undone)
        if self in app.screen_stack:
            self._show(read)
        elif read.complaint:
            app.notify(safe(read.complaint), severity="error", markup=False)

    def _show(self, read: _Read) -> None:
        self.query_one("#complaint", Static).update(Text(safe(read.complaint)))
        shown = self.query_one("#labels", Static)
        if read.labelled is None:
            return shown.update(Text("Its labels cannot be read.", "dim"))
        line = self.query_one(Input)
        if not read.complaint and line.value == read.word:
            line.value = ""  # unless one writes on already
        title = Text(f"Labels of {safe(read.labelled.name)}")
        self.query_one(".dialog-title", Static).update(title)
        if not read.labelled.labels:
            return shown.update(Text("Nothing is said of it yet.", "dim"))
        shown.update(self._table(read.labelled))

    def _table(self, found: service.Labelled) -> Table:
        """Every label with its source; those that count in colour."""
        accent = colours(self.app)["accent"]
        table = Table.grid(padding=(0, 3, 0, 0))
        for one in found.labels:
            holds = one.value in found.holds.get(one.field, ())
            value = Text(safe(one.value) or "nothing", accent if holds else "dim")
            sure = "" if one.confidence is None else f" {one.confidence:.0%}"
            source = Text(f"{safe(one.source)}{sure}", "dim")
            table.add_row(Text(safe(one.field)), value, source)
        return table


def _say(library: Path, key: str, word: str) -> None:
    """Says a word of a LoRA, or takes it back."""
    if word.startswith("-") and len(word) > 1:
        field, _, value = word[1:].partition("=")
        service.change(library, [key], unsay=[(field, value or None)])
    else:
        service.change(library, [key], say=service.parse_words([word]))


def _say_undone(app: LorajaxApp, undone: service.Change) -> None:
    """It may have been said of another LoRA than that of the dialog."""
    changed = [*undone.removed, *undone.added]
    known = app.collection.name if app.collection is not None else {}.get
    names = {known(one.key) or one.key for one in changed}
    words = {f"-{one.field}={one.value}" for one in undone.removed}
    words |= {f"{one.field}={one.value}" for one in undone.added}
    title = f"Taken back of {', '.join(sorted(names)[:_NAMED])}"
    app.notify(safe(", ".join(sorted(words))), title=safe(title), markup=False)


def _take_back(library: Path) -> service.Change:
    undone = service.take_back(library)
    if undone is None:
        raise LorajaxError("nothing was said by you that could be taken back")
    return undone
