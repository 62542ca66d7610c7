"""Asking a process of its own: what would import jax beside a screen, and halt it.

The question is a command line of lorajax with `--json`, the answer its document.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil

from lorajax.errors import LorajaxError
from lorajax.service.processes import be_nice, environment
from lorajax.service.progress import OnProgress, parse_progress

COMMAND = (sys.executable, "-m", "lorajax")
_MESSAGE_LINES = 2
_ERROR, _HINT = "error: ", "hint:"


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
    # A file takes the answer: a process that has filled a pipe which nobody reads yet
    # waits for ever.
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            [*command, *words, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment(os.environ),
        ) as process,
    ):
        with suppress(psutil.NoSuchProcess):
            be_nice(psutil.Process(process.pid))
        said = _listen(process, on_progress)
        if process.wait():
            raise _refusal(said, process.returncode)
        output.seek(0)
        return json.loads(output.read())


def _listen(process: subprocess.Popen[str], on_progress: OnProgress) -> list[str]:
    """Passes progress on until the process ends; other lines are what it said."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if found := parse_progress(line):
            on_progress(found)
        elif line.strip():
            said.append(line.strip())
    return said


def _refusal(said: Sequence[str], code: int) -> LorajaxError:
    """What a command said in its last lines, as an error with its hint."""
    hint = next((w for w in said if w.startswith(_HINT)), "").removeprefix(_HINT)
    plain = [line for line in said if not line.startswith(_HINT)]
    message = " ".join(plain[-_MESSAGE_LINES:]).removeprefix(_ERROR)
    return LorajaxError(message or f"it ended with exit code {code}", hint.strip())
