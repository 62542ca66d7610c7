"""Training: start a run, watch it live, stop it, continue it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, OptionList, Select
from textual.worker import Worker, WorkerState

from lorajax.errors import LorajaxError
from lorajax.service.learning import runs as service
from lorajax_tui.messages import (
    FormReady,
    RunContinued,
    RunRead,
    RunsListed,
    RunsRead,
    RunStarted,
    TaskFailed,
)
from lorajax_tui.run_reader import RunReader
from lorajax_tui.screens.frame import Frame
from lorajax_tui.widgets.new_run import NewRun
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.widgets.run_list import RunList
from lorajax_tui.widgets.run_view import RunView
from lorajax_tui.widgets.runs_view import RunsView
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.learning.configs import ConfigChoice
    from lorajax.service.learning.runs import Run
    from lorajax_tui.screens.settings import Edited

_WATCH_SECONDS = 0.5
_LIST_SECONDS = 2.0


class TrainScreen(Frame):
    """Runs on the left, the chosen one on the right."""

    mode = "train"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New run"),
        Binding("e", "edit", "Settings"),
        Binding("s", "stop", "Stop or pause"),
        Binding("c", "resume", "Continue"),
        Binding("o", "log", "Log"),
        Binding("l", "list", "Runs", show=False),
        Binding("escape", "list", "Runs, and no marks", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.chosen: Path | None = None
        self._runs: list[Run] = []
        self._asked = 0  # for lists of runs, so far
        self._reader = RunReader()

    def body(self) -> Iterable[Widget]:
        yield Horizontal(
            Vertical(
                NewRun(id="new"),
                RunList(id="runs"),
                id="side",
            ),
            ContentSwitcher(
                Notice(id="notice"),
                RunView(id="run"),
                RunsView(id="several"),
                initial="notice",
            ),
            id="columns",
        )

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(RunList).border_title = "Runs"
        self._say("Looking for runs …", kind="loading")
        self.query_one(RunList).focus()
        self._list()
        self.set_interval(_LIST_SECONDS, self._list_again)
        self.set_interval(_WATCH_SECONDS, self._watch_chosen)

    def _list_again(self) -> None:
        if not self.is_at_work("runs"):
            self._list()

    def _list(self) -> None:
        self._asked += 1
        self._read_list(self._asked)

    @work(thread=True, exclusive=True, group="runs", exit_on_error=False)
    def _read_list(self, asked: int) -> None:
        runs = service.list_runs(self.lorajax.runs)
        self.post_message(RunsListed(runs, asked))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        is_lost = event.worker.group == "runs" and event.state is WorkerState.ERROR
        if is_lost and not self._runs:
            where = safe(str(self.lorajax.runs))
            hint = "It is tried again every two seconds."
            self._say("The runs cannot be read", where, hint, "error")

    @on(RunsListed)
    def _show_runs(self, message: RunsListed) -> None:
        if message.asked < self._asked:
            return  # of before the run that has been started since
        self._runs = message.runs
        paths = [run.path for run in message.runs]
        if self.chosen not in paths:
            self.chosen = paths[0] if paths else None
            self._watch_chosen()
        self.query_one(RunList).show(message.runs, self.chosen)
        if not paths:
            self._say(
                "No runs yet",
                "A run learns an embedding from a collection and evaluates it.",
                "Press n, choose a configuration, and start.",
            )

    def _say(self, title: str, text: str = "", hint: str = "", kind: str = "") -> None:
        self._switch("notice")
        self.query_one("#notice", Notice).say(title, text, hint, kind)

    def _watch_chosen(self) -> None:
        if not self.is_current or self.chosen is None:
            return
        marked = self.query_one(RunList).marked
        if len(marked) > 1:
            self._read_several(tuple(marked))
        else:
            self._read(self.chosen)

    @work(thread=True, exclusive=True, group="read", exit_on_error=False)
    def _read(self, path: Path) -> None:
        for read in self._reader.read(path):
            self.post_message(read)

    @work(thread=True, exclusive=True, group="read", exit_on_error=False)
    def _read_several(self, paths: tuple[Path, ...]) -> None:
        if read := self._reader.read(*paths):
            self.post_message(RunsRead(read))

    @on(RunRead)
    def _show_run(self, message: RunRead) -> None:
        several = len(self.query_one(RunList).marked) > 1
        runs = self._runs  # which were listed up to two seconds ago
        self._runs = [message.run if r.path == message.run.path else r for r in runs]
        if message.run.path == self.chosen and not several:
            self._switch("run")
            self.query_one(RunView).show(message)

    @on(RunsRead)
    def _show_several(self, message: RunsRead) -> None:
        if [one.run.path for one in message.runs] == self.query_one(RunList).marked:
            self._switch("several")
            self.query_one(RunsView).show(message.runs)

    @on(RunList.Marked)
    def _marked(self) -> None:
        self._watch_chosen()

    def _switch(self, name: str) -> None:
        self.query_one("#columns > ContentSwitcher", ContentSwitcher).current = name

    @on(OptionList.OptionHighlighted, "#runs")
    def _run_chosen(self) -> None:
        # what is under the cursor now, which may have been moved on since
        option = self.query_one(RunList).highlighted_option
        if option is not None and option.id is not None:
            self.chosen = Path(option.id)
            self.after_rest(self._watch_chosen)

    def recolour(self) -> None:
        self._list()
        self._watch_chosen()

    def action_new(self) -> None:
        self.query_one("#config", Select).focus()

    def action_list(self) -> None:
        """Goes to the runs; there it takes all marks away."""
        runs = self.query_one(RunList)
        if runs.has_focus:
            runs.unmark()
        runs.focus()

    def action_log(self) -> None:
        """Shows what the chosen run said."""
        from lorajax_tui.screens.log import LogScreen

        if self.chosen is not None:
            self.app.push_screen(LogScreen(self.chosen))

    def action_edit(self) -> None:
        self.query_one(NewRun).ask(edit=True)

    @on(NewRun.Wanted)
    def _run_wanted(self, message: NewRun.Wanted) -> None:
        if message.edit:
            self._open_form(message.config, message.overrides)
        else:
            self._start(message.config.path, message.overrides)

    @work(thread=True, exclusive=True, group="form", exit_on_error=False)
    def _open_form(self, config: ConfigChoice, overrides: tuple[str, ...]) -> None:
        """Reads the settings in a thread: it imports what checks them."""
        from lorajax.service.learning.settings import read_settings

        try:
            base = read_settings(config.path)
            values = read_settings(config.path, overrides)
        except LorajaxError as error:
            self.post_message(TaskFailed(error))
        else:
            self.post_message(FormReady(config, base, values))

    @on(FormReady)
    def _show_form(self, message: FormReady) -> None:
        from lorajax_tui.screens.settings import SettingsScreen

        if not self.is_active:  # a form is open already, or one has gone elsewhere
            return
        read = (message.config.name, message.base, message.values)
        done = partial(self._edited, message.config.path)
        self.app.push_screen(SettingsScreen(*read, done))

    def _edited(self, config: Path, edited: Edited) -> None:
        """Takes over what the form made of a configuration."""
        if edited.saved is not None:
            self.notify(safe(str(edited.saved)), title="Saved", markup=False)
        self.query_one(NewRun).take(edited.saved or config, edited.overrides)
        if edited.start:
            self._start(config, edited.overrides)

    @work(thread=True, group="start", exit_on_error=False)
    def _start(self, config: Path, overrides: Sequence[str]) -> None:
        command = self.lorajax.train_command
        try:
            path = service.start_run(config, overrides, self.lorajax.runs, command)
        except LorajaxError as error:
            self.post_message(TaskFailed(error))
        else:
            self.post_message(RunStarted(path))

    def action_resume(self) -> None:
        """Continues the chosen run; that it is on its way is said at once."""
        path = self.chosen
        if path is None or self.is_at_work(group := f"resume {path}"):
            return  # once is enough
        run = next((run for run in self._runs if run.path == path), None)
        if run is not None and run.is_resumable:
            words = "It goes on from its last checkpoint."
            self.notify(words, title=f"Continuing {safe(path.name)}", markup=False)
        work = partial(self._resume, path)
        self.run_worker(work, thread=True, group=group, exit_on_error=False)

    def _resume(self, path: Path) -> None:
        try:
            service.resume_run(path, self.lorajax.train_command)
        except LorajaxError as error:
            self.post_message(TaskFailed(error))
        else:
            self.post_message(RunContinued(path))

    @on(RunStarted)
    def _run_started(self, message: RunStarted) -> None:
        self.chosen = message.path
        self.query_one(RunList).focus()
        self._look_anew(message.path)

    @on(RunContinued)
    def _run_continued(self, message: RunContinued) -> None:
        """The choice stays: a person may have gone on to another run meanwhile."""
        self._look_anew(message.path)

    def _look_anew(self, path: Path) -> None:
        self._reader.forget(path)
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
