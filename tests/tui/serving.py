"""`lorajax-tui --serve` as a process."""

import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.tui.seats import answers, free_port, until


@asynccontextmanager
async def served(words: Sequence[str]) -> AsyncIterator[str]:
    """The application with some arguments; yields its `host:port`."""
    port = free_port()
    command = [sys.executable, "-m", "lorajax_tui", *words, "--serve"]
    process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL
    )
    place = f"127.0.0.1:{port}"
    try:
        await until(lambda: answers(f"http://{place}/"))
        yield place
    finally:
        process.terminate()
        process.wait(20)
