"""Indexing as a process of its own, for screens that must stay responsive.

The process is `python -m lorajax index DIR… --library FILE --json`: it prints progress
lines on standard error and one JSON report on standard output. Ending it loses
nothing: every file is committed by itself.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lorajax.errors import LibraryError
from lorajax.service.asking import COMMAND as LORAJAX
from lorajax.service.asking import Question
from lorajax.service.progress import Progress

COMMAND = (*LORAJAX, "index")
_MESSAGE_LINES = 3


class IndexJob:
    """A running indexing process."""

    def __init__(
        self,
        dirs: Sequence[Path],
        library: Path,
        model: Path | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        bundle = ["--model", str(model)] if model else []
        words = [*map(str, dirs), "--library", str(library), *bundle]
        self._question = Question(words, command)

    def progress(self) -> Iterator[Progress]:
        """Yields progress until the process ends; other lines are kept as messages."""
        return self._question.progress()

    def report(self) -> dict[str, Any]:
        """The report of the finished process, as `lorajax index --json` prints it.

        Raises:
          LibraryError: with what the process said, when it failed.
        """
        code, output = self._question.end()
        try:
            document = json.loads(output)
        except ValueError:
            document = None
        if isinstance(document, dict):
            return document
        said = " ".join(self._question.said[-_MESSAGE_LINES:]) or "it said nothing"
        raise LibraryError(
            f"indexing failed (exit code {code}): {said}",
            "what was indexed before is kept; try again",
        )

    def cancel(self) -> None:
        """Ends the process; what it has indexed so far is kept."""
        self._question.halt()
