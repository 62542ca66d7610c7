"""Training: start a run, watch it live, stop it, continue it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Button, ContentSwitcher, Input, OptionList, Select, Static

from lorajax.errors import LorajaxError
from lorajax.service import runs as service
from lorajax.service.configs import find_configs
from lorajax.service.curves import Curves, read_curves
from lorajax_tui.messages import RunRead, RunsListed, RunStarted, TaskFailed
from lorajax_tui.screens.frame import Frame
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.widgets.run_list import RunList
from lorajax_tui.widgets.run_view import RunView
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.runs import Run

_WATCH_SECONDS = 0.5
_LIST_SECONDS = 2.0


class TrainScreen(Frame):
    """Runs on the left, the chosen one on the right."""

    mode = "train"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New run"),
        Binding("s", "stop", "Stop"),
        Binding("c", "resume", "Continue"),
        Binding("l", "list", "Runs", show=False),
        Binding("escape", "list", "Runs", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.chosen: Path | None = None
        self._runs: list[Run] = []
        self._curves: dict[Path, Curves] = {}

    def body(self) -> Iterable[Widget]:
        choices = [(safe(c.name), str(c.path)) for c in find_configs()]
        yield Horizontal(
            Vertical(
                Vertical(
                    Select(choices, prompt="choose a configuration", id="config"),
                    Static(id="summary"),
                    Input(placeholder="training.steps=400 …", id="overrides"),
                    Button("Start", variant="primary", id="start"),
                    id="new",
                ),
                RunList(id="runs"),
                id="side",
            ),
            ContentSwitcher(Notice(id="notice"), RunView(id="run"), initial="notice"),
            id="columns",
        )

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#new").border_title = "New run"
        self.query_one(RunList).border_title = "Runs"
        config = self.query_one("#config", Select)
        self._configs = {str(c.path): c for c in find_configs()}
        if self._configs:
            config.value = next(iter(self._configs))
        self.query_one("#notice", Notice).say("Looking for runs …", kind="loading")
        self.query_one(RunList).focus()
        self._list()
        self.set_interval(_LIST_SECONDS, self._list)
        self.set_interval(_WATCH_SECONDS, self._watch_chosen)

    @on(Select.Changed, "#config")
    def _config_changed(self, event: Select.Changed) -> None:
        choice = self._configs.get(str(event.value))
        words = Text(safe(choice.summary) if choice else "", "dim")
        self.query_one("#summary", Static).update(words)

    @work(thread=True, exclusive=True, group="runs", exit_on_error=False)
    def _list(self) -> None:
        self.post_message(RunsListed(service.list_runs(self.lorajax.runs)))

    @on(RunsListed)
    def _show_runs(self, message: RunsListed) -> None:
        self._runs = message.runs
        paths = [run.path for run in message.runs]
        if self.chosen not in paths:
            self.chosen = paths[0] if paths else None
            self._watch_chosen()
        self.query_one(RunList).show(message.runs, self.chosen)
        if not paths:
            self._say_none()

    def _say_none(self) -> None:
        self.query_one("#columns > ContentSwitcher", ContentSwitcher).current = "notice"
        self.query_one("#notice", Notice).say(
            "No runs yet",
            "A run learns an embedding from a collection and evaluates it.",
            "Press n, choose a configuration, and start.",
        )

    def _watch_chosen(self) -> None:
        if self.chosen is not None and self.is_current:
            self._read(self.chosen)

    @work(thread=True, exclusive=True, group="read", exit_on_error=False)
    def _read(self, path: Path) -> None:
        run = service.read_run(path)
        curves = read_curves(path, self._curves.get(path))
        self._curves[path] = curves
        log = service.read_log(path) if not run.is_active else ""
        results = service.read_results(path) if not run.is_active else {}
        self.post_message(RunRead(run, curves, log, results))

    @on(RunRead)
    def _show_run(self, message: RunRead) -> None:
        if message.run.path == self.chosen:
            switcher = self.query_one("#columns > ContentSwitcher", ContentSwitcher)
            switcher.current = "run"
            self.query_one(RunView).show(message)

    @on(OptionList.OptionHighlighted, "#runs")
    def _run_chosen(self, event: OptionList.OptionHighlighted) -> None:
        if event.option.id is not None:
            self.chosen = Path(event.option.id)
            self._watch_chosen()

    def action_new(self) -> None:
        self.query_one("#config", Select).focus()

    def action_list(self) -> None:
        self.query_one(RunList).focus()

    @on(Input.Submitted, "#overrides")
    @on(Button.Pressed, "#start")
    def _start_pressed(self) -> None:
        config = self.query_one("#config", Select).value
        try:
            overrides = shlex.split(self.query_one("#overrides", Input).value)
        except ValueError as error:
            trouble = LorajaxError(f"overrides: {error}", "close the quotation mark")
            self.post_message(TaskFailed(trouble))
            return
        if isinstance(config, str):
            self._start(Path(config), overrides)

    @work(thread=True, group="start", exit_on_error=False)
    def _start(self, config: Path, overrides: list[str]) -> None:
        command = self.lorajax.train_command
        try:
            path = service.start_run(config, overrides, self.lorajax.runs, command)
        except LorajaxError as error:
            self.post_message(TaskFailed(error))
        else:
            self.post_message(RunStarted(path))

    def action_resume(self) -> None:
        if self.chosen is not None:
            self._resume(self.chosen)

    @work(thread=True, group="start", exit_on_error=False)
    def _resume(self, path: Path) -> None:
        try:
            service.resume_run(path, self.lorajax.train_command)
        except LorajaxError as error:
            self.post_message(TaskFailed(error))
        else:
            self.post_message(RunStarted(path))

    @on(RunStarted)
    def _run_started(self, message: RunStarted) -> None:
        self.chosen = message.path
        self._curves.pop(message.path, None)
        self.query_one(RunList).focus()
        self._list()
        self._watch_chosen()

    def action_stop(self) -> None:
        run = next((run for run in self._runs if run.path == self.chosen), None)
        if run is not None and run.is_active:
            self._stop(run.path)
            words = "It writes a checkpoint first; press c to continue it later."
            self.notify(words, title="Stopping the run", markup=False)

    @work(thread=True, group="stop", exit_on_error=False)
    def _stop(self, path: Path) -> None:
        service.stop_run(path)
