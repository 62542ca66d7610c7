"""What keeps a screen at work until a test has seen it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lorajax.service.progress import Progress


@contextmanager
def holding(*functions: tuple[Any, str]) -> Iterator[Callable[[], None]]:
    """Makes functions wait: `with holding((module, "name")) as let_go:`."""
    gate = threading.Event()
    with pytest.MonkeyPatch.context() as patched:
        for module, name in functions:
            patched.setattr(module, name, _after(gate, getattr(module, name)))
        yield gate.set
    gate.set()


def _after(gate: threading.Event, call: Callable[..., Any]) -> Callable[..., Any]:
    def waiting(*args: Any, **more: Any) -> Any:
        gate.wait(30)
        return call(*args, **more)

    return waiting


class HeldJob:
    """An indexing that has come some way and stays there."""

    def __init__(self, dirs: Sequence[Path], library: Path) -> None:
        self._ended = threading.Event()

    def progress(self) -> Iterator[Progress]:
        note = "水彩/にじみ.safetensors"
        yield Progress("reading", 214, 800, note, "8.1 of 30.2 GB, 12/s, 48 s left")
        self._ended.wait(30)

    def report(self) -> dict[str, Any]:
        return {}

    def cancel(self) -> None:
        self._ended.set()
