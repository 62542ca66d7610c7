"""Asking one thing at a time of a process of its own, which nobody outlives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from textual.worker import get_current_worker

from lorajax.errors import LorajaxError

if TYPE_CHECKING:
    from lorajax.service.asking import Question


class Asker:
    """The question that a screen waits for; a new one halts the one before.

    Args:
      start: starts a process for a question.
    """

    def __init__(self, start: Callable[[Sequence[str]], Question]) -> None:
        self._start = start
        self._question: Question | None = None
        self._is_over, self._turn = False, Lock()

    def answer(self, words: Sequence[str]) -> Any:
        """Asks, and waits for the answer; for threads of workers.

        Raises:
          LorajaxError: where it was refused, failed or was halted.
        """
        return self._begin(words).answer()

    def halt(self) -> None:
        """Halts what is asked, once the worker that asks has been cancelled."""
        with self._turn:
            self._halt()

    def end(self) -> None:
        """Halts what is asked; from now on nothing is."""
        with self._turn:
            self._is_over = True
            self._halt()

    def _begin(self, words: Sequence[str]) -> Question:
        with self._turn:
            if self._is_over or get_current_worker().is_cancelled:
                raise LorajaxError("nobody waits for the answer any longer")
            self._halt()
            self._question = self._start(words)
            return self._question

    def _halt(self) -> None:
        if self._question is not None:
            self._question.halt()
