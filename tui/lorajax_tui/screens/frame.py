"""What every screen shares: the bar at the top, the keys at the bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from lorajax_tui.messages import TaskFailed
from lorajax_tui.widgets.keys import Keys
from lorajax_tui.widgets.top_bar import Tab, TopBar
from lorajax_tui.words import count, safe

if TYPE_CHECKING:
    from lorajax_tui.app import LorajaxApp
    from lorajax_tui.collection import Collection

# Longer than a typist takes from key to key, so that none waits for what comes then.
REST_SECONDS = 0.15
WIDE = 110
NARROW_OR_WIDE = [(0, "-narrow"), (WIDE, "-wide")]
SHORT_OR_TALL = [(0, "-short"), (30, "-tall"), (40, "-high")]


class Candid:
    """A screen with workers; textual tells of a failed one only to its screen."""

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            app = cast("LorajaxApp", event.worker.node.app)
            app.say_unforeseen(event.worker.error)

    def is_at_work(self, group: str) -> bool:
        """Whether a worker of a group has not ended: a timer then leaves it alone."""
        workers = cast("Screen[None]", self).workers
        mine = (one for one in workers if one.node is self and one.group == group)
        return any(not one.is_finished for one in mine)


class Frame(Candid, Screen[None]):
    """A main screen; subclasses give `mode` and `body`."""

    mode: ClassVar[str]
    AUTO_FOCUS = ""  # a focused input would swallow the keys in the footer
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = NARROW_OR_WIDE
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = SHORT_OR_TALL

    def __init__(self) -> None:
        super().__init__()
        self._resting: dict[Callable[[], None], Timer] = {}

    @property
    def lorajax(self) -> LorajaxApp:
        return cast("LorajaxApp", self.app)

    def compose(self) -> ComposeResult:
        yield TopBar(self.mode)
        yield from self.body()
        yield Keys()

    def body(self) -> Iterable[Widget]:
        raise NotImplementedError

    def on_mount(self) -> None:
        self.watch(self.app, "collection", self._name_library)
        self.watch(self.app, "theme", self._theme_changed, init=False)

    def _theme_changed(self) -> None:
        self.call_after_refresh(self.recolour)  # the theme's variables come later

    def recolour(self) -> None:
        """Shows anew what has the theme's colours in its words."""

    def _name_library(self, collection: Collection | None) -> None:
        path = str(self.lorajax.library)
        known = f"{count(len(collection), 'LoRA')} · " if collection is not None else ""
        self.query_one(TopBar).say(known + path)

    def after_rest(self, call: Callable[[], None]) -> None:
        """Calls once the cursor has rested a moment: a held key loads nothing.

        Each call waits for itself: another one puts it off no longer.
        """
        if call in self._resting:
            self._resting[call].stop()
        self._resting[call] = self.set_timer(REST_SECONDS, call)

    @on(Tab.Clicked)
    def _go(self, event: Tab.Clicked) -> None:
        self.lorajax.action_go(event.mode)

    @on(TaskFailed)
    def _say_failure(self, message: TaskFailed) -> None:
        error = message.error
        self.notify(
            safe(error.hint), title=safe(error.message), severity="error", markup=False
        )
