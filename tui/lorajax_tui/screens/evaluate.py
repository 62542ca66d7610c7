"""What runs and studies measured on styles that they never saw: tables and bars."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, DataTable, OptionList, Static, Tab, Tabs
from textual.worker import get_current_worker

from lorajax.errors import LorajaxError
from lorajax.service.learning.measured import list_measured
from lorajax_tui.asker import Asker
from lorajax_tui.messages import (
    Evaluated,
    EvaluateFailed,
    MeasuredListed,
    ReportWritten,
    TaskFailed,
)
from lorajax_tui.screens.frame import Frame
from lorajax_tui.widgets.measured_list import MeasuredList, about_table
from lorajax_tui.widgets.methods import Methods, metrics_of
from lorajax_tui.widgets.notice import Notice
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.learning.measured import Measured

EXPERIMENTS = {"all": "Everything", "1": "1 Tags", "2": "2 Raters", "3": "3 Rankings"}
FIRST = ("map@10", "triplet_accuracy")

Asked = tuple[Path, str, str | None]


class EvaluateScreen(Frame):
    """Runs and studies on the left, the chosen one's table on the right."""

    mode = "evaluate"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "experiment", "Experiment"),
        Binding("m", "metric", "Metric"),
        Binding("s", "sort", "Order"),
        Binding("a", "against", "Compare with"),
        Binding("h", "report", "HTML report"),
        Binding("r", "reload", "Reload", show=False),
        Binding("l,escape", "list", "Runs", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._measured: list[Measured] = []
        self._chosen: Path | None = None
        self._against: dict[Path, str] = {}
        self._metric, self._best_first = FIRST[0], True
        self._looked_at: Asked | None = None
        self._found: dict[Asked, dict[str, Any]] = {}

    def body(self) -> Iterable[Widget]:
        tabs = (Tab(name, id=f"experiment-{key}") for key, name in EXPERIMENTS.items())
        yield Horizontal(
            MeasuredList(id="measured"),
            Vertical(
                Tabs(*tabs, id="experiments"),
                Static(id="about-table"),
                ContentSwitcher(
                    Notice(id="notice"),
                    Methods(cursor_type="row", id="methods"),
                    initial="notice",
                ),
                id="evaluated",
            ),
            id="columns",
        )

    def on_mount(self) -> None:
        super().on_mount()
        question = self.lorajax.question
        self._tables, self._reports = Asker(question), Asker(question)
        self.query_one("#experiments").can_focus = False
        self.query_one(Notice).say("Looking for results …", kind="loading")
        self.query_one("#measured").focus()

    def on_unmount(self) -> None:
        self._tables.end()
        self._reports.end()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_table)

    def recolour(self) -> None:
        self.on_resize()

    def on_screen_resume(self) -> None:
        self._list()

    @work(thread=True, exclusive=True, group="measured", exit_on_error=False)
    def _list(self) -> None:
        self.post_message(MeasuredListed(list_measured(self.lorajax.runs)))

    @on(MeasuredListed)
    def _show_list(self, message: MeasuredListed) -> None:
        if message.measured == self._measured and self._measured:
            return
        known = set(self._measured)
        again = {one.path for one in message.measured if one not in known}
        self._found = {of: it for of, it in self._found.items() if of[0] not in again}
        self._measured = message.measured
        self.query_one(MeasuredList).show(self._measured, self._chosen)
        if not self._measured:
            self._say_none()

    def _say_none(self) -> None:
        self._say(
            "Nothing has been measured yet",
            "A run that has finished is measured on styles that it never saw.",
            "Press 5 to train one.",
        )

    def _say(self, title: str, text: str = "", hint: str = "", kind: str = "") -> None:
        self.query_one(ContentSwitcher).current = "notice"
        self.query_one(Notice).say(title, text, hint, kind)

    @on(OptionList.OptionHighlighted, "#measured")
    def _chosen_one(self, event: OptionList.OptionHighlighted) -> None:
        if event.option.id is not None:
            self._chosen = Path(event.option.id)
            self.after_rest(self._look)

    @on(Tabs.TabActivated)
    def _experiment_chosen(self) -> None:
        if self._asked != self._looked_at:  # the first tab is active from the start
            self.after_rest(self._look)

    @property
    def _asked(self) -> Asked | None:
        if self._chosen is None:
            return None
        tab = self.query_one(Tabs).active.removeprefix("experiment-") or "all"
        return self._chosen, tab, self._against.get(self._chosen)

    def _look(self) -> None:
        """Shows what is asked for; reckons it first where it is not known."""
        self._looked_at = asked = self._asked
        if asked is None:
            return
        self.query_one("#about-table", Static).update("")
        if asked in self._found:
            return self._show_table()
        self._say("Reckoning …", "Thousands of resamples tell what is by chance.")
        self.query_one(Notice).set_class(True, "-loading")
        self._ask(asked)

    @work(thread=True, exclusive=True, group="evaluate", exit_on_error=False)
    def _ask(self, asked: Asked) -> None:
        path, experiment, against = asked
        words = ["evaluate", str(path)]
        words += [] if experiment == "all" else ["--experiment", experiment]
        words += [] if against is None else ["--against", against]
        worker = get_current_worker()
        try:
            results = self._tables.answer(words)
            self.post_message(Evaluated(asked, results))
        except LorajaxError as error:
            if not worker.is_cancelled:  # else it was halted for another question
                self.post_message(EvaluateFailed(asked, error))

    @on(Evaluated)
    def _evaluated(self, message: Evaluated) -> None:
        self._found[message.asked] = message.results
        if message.asked == self._asked:
            self._show_table()

    @on(EvaluateFailed)
    def _failed(self, message: EvaluateFailed) -> None:
        if message.asked == self._asked:
            self._say("Nothing to show", message.error.message, message.error.hint)

    def _show_table(self) -> None:
        asked = self._asked
        if asked is None or asked not in self._found:
            return  # since this was wanted, something else is
        results = self._found[asked]
        rows = results.get("rows") or []
        if not rows:
            note = str(results.get("evaluation_note") or "")
            return self._say("Nothing was measured", note)
        metrics = metrics_of(rows)
        if self._metric not in metrics:
            self._metric = next((m for m in FIRST if m in metrics), metrics[0])
        against = str(results["against"])
        self.query_one("#about-table", Static).update(
            about_table(results, self._metric)
        )
        table = self.query_one(Methods)
        table.show(rows, self._metric, against, self._best_first)
        self.query_one(ContentSwitcher).current = "methods"

    def action_experiment(self) -> None:
        self.query_one(Tabs).action_next_tab()

    def action_metric(self) -> None:
        """Draws the next metric."""
        asked = self._asked
        if asked in self._found and (rows := self._found[asked].get("rows")):
            metrics = metrics_of(rows)
            place = metrics.index(self._metric) if self._metric in metrics else -1
            self._metric = metrics[(place + 1) % len(metrics)]
            self._show_table()

    def action_sort(self) -> None:
        """The best first, or the order in which they were measured."""
        self._best_first = not self._best_first
        if self._asked in self._found:
            self._show_table()

    @on(DataTable.RowSelected)
    def action_against(self) -> None:
        """Compares all methods with the one under the cursor."""
        method = self.query_one(Methods).method()
        if method is not None and self._chosen is not None:
            self._against[self._chosen] = method
            self._look()

    def action_list(self) -> None:
        self.query_one("#measured").focus()

    def action_reload(self) -> None:
        self._found.clear()
        self._list()
        self._look()

    def action_report(self) -> None:
        """Writes the page beside the results, and opens it."""
        if (asked := self._asked) is not None:
            self.notify(
                "It opens in your browser when it is written.",
                title="Writing the report",
                markup=False,
            )
            self._report(asked)

    @work(thread=True, exclusive=True, group="report", exit_on_error=False)
    def _report(self, asked: Asked) -> None:
        path, _, against = asked
        out = path / "report.html"
        words = ["report", str(path), "--out", str(out)]
        words += [] if against is None else ["--against", against]
        worker = get_current_worker()
        try:
            self._reports.answer(words)
        except LorajaxError as error:
            if not worker.is_cancelled:
                self.post_message(TaskFailed(error))
        else:
            self.post_message(ReportWritten(out))

    @on(ReportWritten)
    def _report_written(self, message: ReportWritten) -> None:
        self.notify(safe(str(message.path)), title="Report written", markup=False)
        self.app.open_url(message.path.absolute().as_uri())
