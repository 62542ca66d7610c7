"""Indexing beside a screen: a folder is asked for, a process works, a line tells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.worker import Worker

from lorajax.errors import LorajaxError
from lorajax_tui.messages import (
    IndexFailed,
    IndexFinished,
    IndexProgressed,
    TaskFailed,
)
from lorajax_tui.screens.browse import Browse
from lorajax_tui.widgets.index_strip import IndexStrip
from lorajax_tui.words import count, safe

if TYPE_CHECKING:
    from lorajax.service.collection.index_job import IndexJob

_COUNTS = ("added", "updated", "moved", "copies", "reread", "missing", "unchanged")


class Indexing(Browse):
    """A screen with an `IndexStrip` that brings the library up to date.

    Subclasses bind keys to its actions `index` and `refused`.
    """

    _job: IndexJob | None = None  # its process, which comes to be in a thread
    _is_indexing = False
    _is_stopped = False  # by a person's wish

    def action_index(self) -> None:
        from lorajax_tui.screens.index_dialog import IndexDialog, StopDialog

        if not self._is_indexing:
            dialog = IndexDialog(self.lorajax.state.folder)
            self.app.push_screen(dialog, self._start_index)
        else:
            self.app.push_screen(StopDialog(), self._stop_index)

    def _start_index(self, folder: Path | None) -> None:
        if folder is None:
            return
        self._is_indexing, self._is_stopped = True, False
        self.lorajax.remember(folder=str(folder))
        self.query_one(IndexStrip).begin("indexing: looking for files …")
        self._run_index(folder)

    def _stop_index(self, stop: bool | None) -> None:
        if stop and self._is_indexing:
            self._is_stopped = True
            if self._job is not None:
                self._job.cancel()

    @work(thread=True, exclusive=True, group="index", exit_on_error=False)
    def _run_index(self, folder: Path) -> None:
        """Watches the indexing process, which is one of its own."""
        self._job = job = self.lorajax.index_job([folder], self.lorajax.library)
        if self._is_stopped:  # before there was a process
            job.cancel()
        try:
            for progress in job.progress():
                self.post_message(IndexProgressed(progress))
            self.post_message(IndexFinished(job.report()))
        except LorajaxError as error:
            self.post_message(IndexFailed(error))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group == "index" and event.worker.is_finished:
            self._job, self._is_indexing = None, False
            self.query_one(IndexStrip).display = False  # also where nobody foresaw it

    def on_unmount(self) -> None:
        self._stop_index(True)

    @on(IndexProgressed)
    def _show_progress(self, message: IndexProgressed) -> None:
        self.query_one(IndexStrip).show(message.progress)

    @on(IndexFinished)
    def _index_finished(self, message: IndexFinished) -> None:
        self.query_one(IndexStrip).display = False
        report = message.report
        words = [f"{report[name]:,} {name}" for name in _COUNTS if report.get(name)]
        refused = report.get("refused") or []
        self.notify(
            safe(", ".join(words) or "nothing new"), title="Indexed", markup=False
        )
        if isinstance(refused, list) and refused:
            self._say_refused(refused)
        if left := report.get("unembedded"):
            title = f"{count(left, 'LoRA')} without a vector in the new space"
            words = "Index their folders too."
            self.notify(words, title=title, severity="warning", timeout=12)
        self.lorajax.load_collection()

    def _say_refused(self, refused: list[object]) -> None:
        title = f"{count(len(refused), 'file')} could not be read"
        words = "Press x to see which, and why."
        self.notify(words, title=title, severity="warning", timeout=12, markup=False)

    def action_refused(self) -> None:
        from lorajax_tui.screens.refused import RefusedScreen

        self.app.push_screen(RefusedScreen())

    @on(IndexFailed)
    def _index_failed(self, message: IndexFailed) -> None:
        self.query_one(IndexStrip).display = False
        if self._is_stopped:
            words = "What has been indexed stays."
            self.notify(words, title="Indexing was stopped", markup=False)
        else:
            self.post_message(TaskFailed(message.error))
        self.lorajax.load_collection()
