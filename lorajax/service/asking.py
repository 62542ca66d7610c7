"""Asking a process of its own: what would import jax beside a screen, and halt it.

The question is a command line of lorajax with `--json`, the answer its document.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import psutil

from lorajax.errors import LorajaxError
from lorajax.service.processes import be_nice, environment
from lorajax.service.progress import OnProgress, Progress, parse_progress

COMMAND = (sys.executable, "-m", "lorajax")
_MESSAGE_LINES = 2
_ERROR, _HINT = "error: ", "hint:"


class Question:
    """A command that is running for its answer.

    Args:
      words: the command with its options, without `--json`.

    Attributes:
      said: its lines that were no progress, complete once it has ended.
    """

    def __init__(self, words: Sequence[str], command: Sequence[str] = COMMAND) -> None:
        # A file takes the answer: a process that has filled a pipe which nobody reads
        # yet waits for ever.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [*command, *words, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment(os.environ),
        )
        self.said: list[str] = []
        with suppress(psutil.NoSuchProcess):
            be_nice(psutil.Process(self._process.pid))

    def progress(self) -> Iterator[Progress]:
        """Yields progress until the process ends."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := parse_progress(line):
                yield found
            elif line.strip():
                self.said.append(line.strip())

    def end(self) -> tuple[int, bytes]:
        """Waits for the process: its exit code and what it printed."""
        for _ in self.progress():
            pass
        with self._output, self._process:
            code = self._process.wait()
            self._output.seek(0)
            return code, self._output.read()

    def answer(self) -> Any:
        """Waits for the document that the command prints.

        Raises:
          LorajaxError: with what it said, where it failed or was halted.
        """
        code, output = self.end()
        if code:
            raise _refusal(self.said, code)
        return json.loads(output)

    def halt(self) -> None:
        """Ends the process."""
        if self._process.poll() is None:
            self._process.terminate()


def ask(
    words: Sequence[str],
    on_progress: OnProgress = lambda progress: None,
    command: Sequence[str] = COMMAND,
) -> Any:
    """What a command answers; waits for it.

    Args:
      words: the command with its options, without `--json`.

    Raises:
      LorajaxError: with what it said, where it failed.
    """
    question = Question(words, command)
    for event in question.progress():
        on_progress(event)
    return question.answer()


def _refusal(said: Sequence[str], code: int) -> LorajaxError:
    """What a command said in its last lines, as an error with its hint."""
    hint = next((w for w in said if w.startswith(_HINT)), "").removeprefix(_HINT)
    plain = [line for line in said if not line.startswith(_HINT)]
    message = " ".join(plain[-_MESSAGE_LINES:]).removeprefix(_ERROR)
    return LorajaxError(message or f"it ended with exit code {code}", hint.strip())
