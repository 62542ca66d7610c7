"""Files of LoRAs are read one at a time, and only for who still waits.

Who browses faster than files are read, or on a disk that hangs, fills neither the
memory nor the few threads, which everything that is slow shares and which the
application waits for at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from textual.worker import get_current_worker

READING = Lock()  # weights
PICTURES = Lock()  # which do not wait for weights
_SECONDS = 0.25


@contextmanager
def reading_turn(turn: Lock = READING) -> Iterator[bool]:
    """Waits for the turn to read, in the thread of a worker.

    Yields:
      False where the worker has been cancelled: nobody waits for what would be read.
    """
    worker = get_current_worker()
    while not turn.acquire(timeout=_SECONDS):
        if worker.is_cancelled:
            yield False
            return
    try:
        yield not worker.is_cancelled
    finally:
        turn.release()
