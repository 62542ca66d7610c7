"""Processes of their own beside a person's work."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from lorajax.service.processes import start_detached

WAIT = "import time; print('here'); time.sleep(60)"
OWN = Path("/proc/self/autogroup")
SHARED = Path("/proc/sys/kernel/sched_autogroup_enabled")


def among_sessions() -> bool:
    """Whether this system shares the processors out among sessions."""
    return SHARED.exists() and SHARED.read_text("ascii").strip() == "1"


@pytest.fixture
def waiting(tmp_path: Path):
    """A detached process that waits, its words in `log.txt`."""
    process = start_detached([sys.executable, "-c", WAIT], tmp_path / "log.txt")
    yield process
    process.kill()
    process.wait(10)


def test_a_detached_process_says_its_words_to_the_log(
    waiting: psutil.Process, tmp_path: Path
) -> None:
    end = time.monotonic() + 30
    while not (tmp_path / "log.txt").read_text("utf-8"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert (tmp_path / "log.txt").read_text("utf-8") == "here\n"


@pytest.mark.skipif(os.name == "nt", reason="niceness is of Unix")
def test_other_work_goes_before_a_detached_process(waiting: psutil.Process) -> None:
    assert os.getsid(waiting.pid) == waiting.pid
    assert waiting.nice() == 10


@pytest.mark.skipif(not among_sessions(), reason="no sharing among sessions")
def test_other_sessions_go_before_that_of_a_detached_process(
    waiting: psutil.Process,
) -> None:
    # Says nothing where this process is in no group of sessions.
    own = OWN.read_text("ascii").split()
    found = Path(f"/proc/{waiting.pid}/autogroup").read_text("ascii").split()
    assert found[1:] == ["nice", "10"] and found[0] not in own
