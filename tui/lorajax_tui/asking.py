"""Questions to other processes that are halted when nobody waits any longer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual.worker import get_current_worker

if TYPE_CHECKING:
    from lorajax.service.asking import Question


class Asking:
    """Asks in threads of workers, which cannot be stopped themselves.

    Cancel the workers, then `halt`: a question that begins meanwhile is halted too.

    Args:
      start: what puts a question.
    """

    def __init__(self, start: Callable[[Sequence[str]], Question]) -> None:
        self._start = start
        self._running: set[Question] = set()

    def __call__(self, words: Sequence[str]) -> Any:
        """What a command answers.

        Raises:
          LorajaxError: where it failed or was halted.
        """
        question = self._start(words)
        self._running.add(question)
        try:
            if get_current_worker().is_cancelled:
                question.halt()
            return question.answer()
        finally:
            self._running.discard(question)

    def halt(self) -> None:
        """Ends the processes of all questions."""
        for question in tuple(self._running):
            question.halt()
