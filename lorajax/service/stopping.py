"""Being asked to stop: by Ctrl-C, by a signal, or by a file in the run's folder."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil

STOP_FILE = "stop"
SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")


class StopRequest:
    """Asked after every small piece of work; a second Ctrl-C ends at once.

    A stop file from before this process was meant for another one and is removed; one
    that was written while this process was starting counts. Work without a folder of
    its own hears signals alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / STOP_FILE if folder else None
        self._asked = False
        born = psutil.Process().create_time()
        if self._file and self._file.exists() and self._file.stat().st_mtime < born:
            self._file.unlink()

    def __call__(self) -> bool:
        return self._asked or (self._file is not None and self._file.exists())

    def clear(self) -> None:
        """The request was heard: the next process must not obey it again."""
        if self._file:
            self._file.unlink(missing_ok=True)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True


@contextmanager
def listening(folder: Path | None = None) -> Iterator[StopRequest]:
    """Turns signals into a polite request while the body runs.

    Signals reach the main thread only; elsewhere the stop file is the way.
    """
    request = StopRequest(folder)
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in SIGNALS:
            number = getattr(signal, name, None)
            if number is not None:
                before[number] = signal.signal(number, request.handle)
    try:
        yield request
    finally:
        request.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
