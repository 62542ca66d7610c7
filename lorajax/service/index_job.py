"""Indexing as a process of its own, for screens that must stay responsive.

The process is `python -m lorajax index DIR… --library FILE --json`: it prints progress
lines on standard error and one JSON report on standard output. Ending it loses
nothing: every file is committed by itself.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from lorajax.errors import LibraryError
from lorajax.service.processes import be_nice, environment
from lorajax.service.progress import Progress, parse_progress

COMMAND = (sys.executable, "-m", "lorajax", "index")
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
        words = [*command, *map(str, dirs), "--library", str(library), "--json"]
        # A file, not a pipe: nobody reads the report before the process has ended, and
        # a process that has filled a pipe waits for its reader for ever.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [*words, *bundle],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment(os.environ),
        )
        self._words: list[str] = []
        with suppress(psutil.NoSuchProcess):
            be_nice(psutil.Process(self._process.pid))

    def progress(self) -> Iterator[Progress]:
        """Yields progress until the process ends; other lines are kept as messages."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = parse_progress(line)
            if found is not None:
                yield found
            elif line.strip():
                self._words.append(line.strip())

    def report(self) -> dict[str, Any]:
        """The report of the finished process, as `lorajax index --json` prints it.

        Raises:
          LibraryError: with what the process said, when it failed.
        """
        self._process.communicate()
        with self._output:
            self._output.seek(0)
            output = self._output.read()
        try:
            document = json.loads(output)
        except ValueError:
            document = None
        if isinstance(document, dict):
            return document
        said = " ".join(self._words[-_MESSAGE_LINES:]) or "it said nothing"
        raise LibraryError(
            f"indexing failed (exit code {self._process.returncode}): {said}",
            "what was indexed before is kept; try again",
        )

    def cancel(self) -> None:
        """Ends the process; what it has indexed so far is kept."""
        if self._process.poll() is None:
            self._process.terminate()
