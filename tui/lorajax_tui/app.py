"""lorajax-tui [--library PATH] [--runs PATH] [--serve]: the terminal application.

It shows its first screen within a second, also with 100,000 LoRAs: jax is never
imported here, and everything slow happens in threads or in processes of their own.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.worker import Worker, WorkerState, get_current_worker

from lorajax.errors import LorajaxError
from lorajax.service.asking import Question
from lorajax.service.collection import library as service
from lorajax.service.collection.index_job import IndexJob
from lorajax_tui.collection import Collection
from lorajax_tui.messages import (
    CollectionFailed,
    CollectionLoaded,
    MapWanted,
    NeighboursWanted,
    PageLoaded,
)
from lorajax_tui.modes import MODES
from lorajax_tui.options import read_options
from lorajax_tui.screens.frame import Frame
from lorajax_tui.state import State, default_state_file, load_state, save_state
from lorajax_tui.themes import SUMI, WASHI
from lorajax_tui.widgets.top_bar import SCREENS
from lorajax_tui.words import safe

FIRST_ROWS = 200  # a screen of them; a hundred thousand take a second to be read
_ANEW_SECONDS = 5.0  # longer than any timer waits that tries again
_KEYS = 3  # as many keys for one thing as help names


class LorajaxApp(App[None]):
    """Browse a collection, walk its neighbours, watch training.

    Args:
      library: the library file to show.
      runs: the folder of training runs.
      state_file: where choices are remembered.
      train_command: what starts a run; None is the real trainer.
      index_job: what starts indexing.
      question: what puts a question to a process of its own.
    """

    TITLE = "lorajax"
    CSS_PATH = "app.tcss"
    MODES: ClassVar[dict[str, Any]] = MODES
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go('library')", "Library", show=False),
        Binding("2", "go('neighbours')", "Neighbours", show=False),
        Binding("3", "go('map')", "Map", show=False),
        Binding("4", "go('label')", "Label", show=False),
        Binding("5", "go('train')", "Train", show=False),
        Binding("6", "go('evaluate')", "Evaluate", show=False),
        Binding("7", "go('duplicates')", "Duplicates", show=False),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+q", "quit", show=False, priority=True),  # over dialogs, too
    ]
    collection: reactive[Collection | None] = reactive(None, init=False)
    first_page: reactive[Collection | None] = reactive(None, init=False)
    trouble: reactive[LorajaxError | None] = reactive(None, init=False)
    pinned: reactive[str | None] = reactive(None, init=False)
    words_said: reactive[int] = reactive(0, init=False)  # of labels, since the start

    def __init__(
        self,
        library: Path,
        runs: Path = Path("checkpoints"),
        state_file: Path | None = None,
        train_command: Sequence[str] | None = None,
        index_job: Callable[[Sequence[Path], Path], IndexJob] = IndexJob,
        question: Callable[[Sequence[str]], Question] = Question,
    ) -> None:
        super().__init__()
        self.library, self.runs = library, runs
        self._state_file = state_file or default_state_file()
        self.state: State = load_state(self._state_file)
        self._command = train_command
        self.index_job = index_job
        self.question = question
        self._unforeseen: dict[str, float] = {}

    @property
    def known(self) -> Collection | None:
        """The collection, or what of it has been read so far."""
        return self.collection or self.first_page

    @property
    def train_command(self) -> Sequence[str]:
        from lorajax.service.learning.runs import TRAIN

        return self._command or TRAIN

    def on_mount(self) -> None:
        for theme in (SUMI, WASHI):
            self.register_theme(theme)
        known = self.state.theme in self.available_themes
        self.theme = self.state.theme if known else SUMI.name
        self.theme_changed_signal.subscribe(self, self._theme_changed)
        screen = self.state.screen
        self.switch_mode(screen if screen in SCREENS else "library")
        self.load_collection()

    def _theme_changed(self, theme: Any) -> None:
        self.remember(theme=self.theme)

    def remember(self, **changes: str) -> None:
        """Changes what is remembered and writes it down."""
        self.state = replace(self.state, **changes)
        save_state(self._state_file, self.state)

    @work(thread=True, exclusive=True, group="collection", exit_on_error=False)
    def load_collection(self) -> None:
        """Reads the library in a thread; what is seen first, first."""
        worker = get_current_worker()
        try:
            if self.collection is None:
                page = service.columns(self.library, FIRST_ROWS)
                self.post_message(PageLoaded(Collection(self.library, page)))
            columns = service.columns(self.library)
            message = CollectionLoaded(Collection(self.library, columns))
        except LorajaxError as error:
            message = CollectionFailed(error)
        if not worker.is_cancelled:  # else it is being read anew
            self.post_message(message)

    @on(PageLoaded)
    def _page_loaded(self, message: PageLoaded) -> None:
        self.first_page = message.page

    @on(CollectionLoaded)
    def _collection_loaded(self, message: CollectionLoaded) -> None:
        if self.collection is None:
            # What the application is made of stays: the garbage collector need not walk
            # through it, for 80 ms, while a person types. Once, or garbage would stay.
            gc.freeze()
        self.trouble = None
        self.collection = message.collection

    @on(CollectionFailed)
    def _collection_failed(self, message: CollectionFailed) -> None:
        self.trouble = message.error

    @on(NeighboursWanted)
    def _show_neighbours(self, message: NeighboursWanted) -> None:
        self.action_go("neighbours")
        self.call_after_refresh(self._begin_trail, message.key, message.name)

    def _begin_trail(self, key: str, name: str) -> None:
        from lorajax_tui.screens.neighbours import NeighboursScreen

        main = self.screen_stack[0]
        if isinstance(main, NeighboursScreen):
            main.pop_until_active()  # a comparison may have been left open over it
            main.begin(key, name)

    @on(MapWanted)
    def _show_on_map(self, message: MapWanted) -> None:
        self.action_go("map")
        self.call_after_refresh(self._find_on_map, message.key)

    def _find_on_map(self, key: str) -> None:
        from lorajax_tui.screens.map import MapScreen

        main = self.screen_stack[0]
        if isinstance(main, MapScreen):
            main.pop_until_active()
            main.find(key)

    def action_go(self, mode: str) -> None:
        """Shows a main screen."""
        if self.current_mode != mode and not self.screen.is_modal:
            self.switch_mode(mode)
            self.remember(screen=mode)

    def pin(self, key: str | None) -> None:
        """Keeps a LoRA, on every screen, to compare others with it."""
        self.pinned = key
        if key is None:
            self.notify("Nothing is pinned.", title="Let go", markup=False)
            return
        name = self.known.name(key) if self.known is not None else None
        words = f"v compares another with {safe(name or 'it')}."
        self.notify(words, title="Pinned", markup=False)

    def action_help(self) -> None:
        """Shows the keys of this screen."""
        from lorajax_tui.screens.help import HelpScreen

        if isinstance(self.screen, Frame):
            self.push_screen(HelpScreen(self.screen.mode, self._keys()))

    def _keys(self) -> list[tuple[str, str]]:
        """Every key that works now: the screen's, then everybody's, then the list's."""
        order = {self.screen: 0, self: 1}
        active = sorted(
            self.screen.active_bindings.values(), key=lambda b: order.get(b.node, 2)
        )
        keys: dict[str, list[str]] = {}
        for binding in (found.binding for found in active if found.enabled):
            shown = self.get_key_display(binding)
            if binding.description and shown not in keys.setdefault(
                binding.description, []
            ):
                keys[binding.description].append(shown)
        return [(" ".join(shown[:_KEYS]), words) for words, shown in keys.items()]

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.say_unforeseen(event.worker.error)

    def say_unforeseen(self, error: BaseException | None) -> None:
        """Says what nobody foresaw; what goes on is said once."""
        words = safe(f"{type(error).__name__}: {error}")
        last, self._unforeseen[words] = self._unforeseen.get(words), time.monotonic()
        if last is None or self._unforeseen[words] - last > _ANEW_SECONDS:
            title = "Something went wrong"
            self.notify(words, title=title, severity="error", markup=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `lorajax-tui`."""
    options = read_options(arguments)
    if options.serve:
        return _serve(options)
    app = LorajaxApp(service.library_path(options.library), options.runs)
    app.run()


def _serve(options: argparse.Namespace) -> None:
    try:
        from lorajax_tui.serving import HOST, check_port, serve
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: expected textual-serve, found no {error.name}\n"
            "hint:  pip install 'lorajax[serve]'"
        )
    words = ["--runs", str(options.runs)]
    words += ["--library", str(options.library)] if options.library else []
    try:
        check_port(options.port)
    except OSError as error:
        sys.exit(
            f"error: expected a free port, found {HOST}:{options.port}: "
            f"{os.strerror(error.errno or 0)}\n"
            "hint:  choose another one with --port"
        )
    print(f"lorajax is at http://{HOST}:{options.port} (Ctrl+C ends it)", flush=True)
    serve(words, options.port)
