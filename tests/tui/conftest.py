"""An application over a small library, with fakes for what it starts."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT / "tui") not in sys.path:  # a checkout that was not installed
    sys.path.insert(0, str(ROOT / "tui"))

from lorajax.library import Library, index  # noqa: E402
from lorajax.service.collection.index_job import IndexJob  # noqa: E402
from lorajax_tui.app import LorajaxApp  # noqa: E402
from tests.library.fakes import FakeEmbedder, Reader, write_lora  # noqa: E402
from tests.tui.picturing import Snapshots  # noqa: E402
from tests.tui.questions import Answering  # noqa: E402

NAMES = [
    "Ink wash",
    "Ink line",
    "Oil 油絵",
    "[red]Clay",
    "Watercolour",
    "赛博朋克",
]
MakeApp = Callable[..., LorajaxApp]
NO_DUPLICATES = {"searched": 6, "groups": [], "relations": []}
NO_DUPLICATES |= {"changed": [], "unread": []}

FAKE_INDEX = """
import json, sys, time
for done in range(4):
    words = f"indexing: {done}/3 (1.2 of 3.4 GB, 2/s) · file-{done}.safetensors"
    print(words, file=sys.stderr, flush=True)
    time.sleep(20 if "slow" in sys.argv[1] else 0.05)
if "bad" in sys.argv[1]:
    sys.exit("it went wrong")
refused = [{"path": "x", "reason": "x.safetensors: [bold]truncated", "hint": ""}]
print(json.dumps({"added": 3, "refused": refused, "unembedded": 2}))
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library of six LoRAs of two base models, one without a vector."""
    facts: list[dict[str, Any]] = [
        {"rank_max": 4 * i, "rank_min": 4 * i} for i in range(len(NAMES))
    ]
    facts[4] |= {"base_model": "sdxl", "tags": ("soft", "ink")}
    facts[5] |= {"base_model": "sdxl", "tier": "operator"}
    folder = tmp_path / "loras"
    files = [
        write_lora(folder / f"{name}.safetensors", name, **more)
        for name, more in zip(NAMES, facts, strict=True)
    ]
    with Library.open(tmp_path / "library.sqlite") as opened:
        index(opened, files, Reader(), FakeEmbedder())
    return tmp_path / "library.sqlite"


@pytest.fixture
def make_app(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeApp:
    """Builds an application whose trainer and indexer are fakes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tui")]))
    trainer = str(ROOT / "tests" / "service" / "fake_trainer.py")

    def index_job(dirs: Sequence[Path], where: Path) -> IndexJob:
        command = [sys.executable, "-c", FAKE_INDEX]
        return IndexJob(dirs, where, command=command)

    def make(path: Path = library, **more: Any) -> LorajaxApp:
        more.setdefault("question", Answering(NO_DUPLICATES))
        app = LorajaxApp(
            path,
            runs=tmp_path / "runs",
            state_file=tmp_path / "state.json",
            train_command=(sys.executable, trainer),
            index_job=index_job,
            **more,
        )
        app.animation_level = "none"
        return app

    return make


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Snapshots:
    """Holds a screen against how it is kept: `await snapshot(pilot, "map-empty")`."""
    return Snapshots(bool(request.config.getoption("--update-snapshots")))
