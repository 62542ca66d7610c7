"""The feature cache: several processes, and their sudden end."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dataset.cached import made, opened, same

CHILD = """
import sys
from pathlib import Path
import numpy as np
from lorajax.dataset.feature_folders import open_cache
from lorajax.projection.features import Features
assert "jax" not in sys.modules
root, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with open_cache(root, "ba515", 24, 32) as cache:
    for i in range(count):
        scores = np.random.default_rng(i).standard_normal((1, 24, 32)).astype("f4")
        features = Features(scores, np.ones((1, 24), bool))
        cache.put(f"{name}-{i}", features)
        cache.put(f"both-{i}", features)
        if i % 3 == 0:
            cache.flush()
            print(i, flush=True)
"""


def started(root: Path, *names: str, count: int) -> list[subprocess.Popen[str]]:
    """Processes that put `<name>-<i>` and `both-<i>` and print what they flushed."""
    command = [sys.executable, "-c", CHILD, str(root)]
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen([*command, n, str(count)], stdin=pipe, stdout=pipe, text=True)
        for n in names
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return children


def killed(child: subprocess.Popen[str], after: float) -> int:
    """Kills a process; returns how many of its own LoRAs it had flushed by then."""
    time.sleep(after)
    child.kill()
    lines, _ = child.communicate()
    flushed = [line for line in lines.splitlines(True) if line.endswith("\n")]
    return int(flushed[-1]) + 1 if flushed else 0


def test_killed_writers_lose_nothing_that_was_flushed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng, most = random.Random(0), 0
    for turn in range(4):
        names = [f"{turn}a", f"{turn}b"]
        children = started(tmp_path, *names, count=10**6)
        flushed = [killed(child, rng.uniform(0, 0.15)) for child in children]
        most = max(most, *flushed)
        with opened(tmp_path) as cache:
            for name, count in [*zip(names, flushed, strict=True), ("both", most)]:
                keys = [f"{name}-{i}" for i in range(count)]
                assert same(cache.read(keys), made(*range(count)))
                assert len(set(cache.places(keys))) == count
    assert most > 0
    assert not caplog.records  # nothing was made anew


def test_two_processes_write_at_once_and_share_a_row(tmp_path: Path) -> None:
    children = started(tmp_path, "a", "b", count=150)
    assert [child.communicate()[0].split()[-1] for child in children] == ["147"] * 2
    names = [f"{name}-{i}" for name in ("a", "b", "both") for i in range(150)]
    with opened(tmp_path) as cache:
        assert len(cache) == len(names)
        assert sorted(cache.places(names)) == list(range(len(names)))
        assert same(cache.read(names), made(*range(150), *range(150), *range(150)))
