"""Runs that are killed lose nothing, and readers never notice (the short version)."""

import os
from pathlib import Path

import pytest

from benchmarks.kills import kill_and_resume
from tests.library.fakes import write_lora

ROOT = Path(__file__).parents[3]
INDEX = """
import sys, time
from pathlib import Path
from lorajax.library import Heading, Library, Words, index
from lorajax.service.progress import Progress, progress_line
from tests.library.fakes import FakeEmbedder, Reader

def tell(step):
    print(progress_line(Progress(step.stage, step.done, step.total, step.name)),
          flush=True)
    time.sleep(0.003)

def glance(path):
    return Heading(path.stem, "sd15", "kohya", "lora", 1)

print("scanning: 0/0", flush=True)
folder = Path(sys.argv[1])
with Library.open(Path(sys.argv[2])) as library:
    index(library, sorted(folder.glob("*.safetensors")), Reader(), FakeEmbedder(),
          tell, [folder], glance=glance, words=lambda path: Words())
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is told by another number")
def test_five_kills_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    names = [f"{i:04}.safetensors" for i in range(200)]
    sources = [write_lora(tmp_path / "pool" / name, name) for name in names]
    figures = kill_and_resume(
        sources, tmp_path / "work", kills=5, grow=30, index=INDEX, delay=0.4
    )
    killed = sum(figures[name] for name in figures if name.startswith("killed"))
    assert killed + figures.get("ended before", 0) == 5
    assert figures["LoRAs in the end"] > 100
    assert figures["looks of two readers"] > 0
