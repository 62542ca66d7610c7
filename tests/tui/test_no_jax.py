"""The application's own process never imports jax, whatever a person presses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from lorajax.library import Library, index
from lorajax.service.collection.describing import describe
from lorajax.service.collection.library import BUNDLE
from tests.library.fakes import FakeEmbedder
from tests.tui.conftest import ROOT

REAL = ROOT / "tests" / "data" / "real"
CODE = """
import asyncio, sys
from pathlib import Path
from lorajax_tui.app import LorajaxApp
from lorajax_tui.screens.why import WhyScreen
from lorajax_tui.widgets.top_bar import SCREENS
from tests.tui.driving import opened, screen_text, until

async def walk(folder):
    runs, state = folder / "runs", folder / "state.json"
    app = LorajaxApp(folder / "library.sqlite", runs, state)
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        for dialog in ("o", "e", "i", "x", "question_mark"):
            await pilot.press(dialog, "escape")
        for number in range(len(SCREENS), 0, -1):
            await pilot.press(str(number))
            await pilot.pause(0.1)
        await pilot.press("enter")
        await until(pilot, lambda: "similarity" in screen_text(pilot).lower())
        await pilot.press("w")
        assert isinstance(app.screen, WhyScreen)
        await until(pilot, lambda: "Reading both" not in screen_text(pilot), 60)
        print(screen_text(pilot))

asyncio.run(walk(Path(sys.argv[1])))
heavy = {"jax", "flax", "optax", "orbax", "sklearn"} & set(sys.modules)
sys.exit(", ".join(heavy) or 0)
"""


def test_no_key_imports_jax(tmp_path: Path) -> None:
    names = ("lora_disney", "lora_disney_inpainting")
    files = [Path(shutil.copy(REAL / f"{n}.safetensors", tmp_path)) for n in names]

    class Embedder(FakeEmbedder):
        def embed(self, adapter: object) -> np.ndarray:
            return np.eye(4, dtype="f4")[0]

    (tmp_path / "bundle").mkdir()
    with Library.open(tmp_path / "library.sqlite") as library:
        index(library, files, describe, Embedder("trained"))
        library.set_meta(BUNDLE, str(tmp_path / "bundle"))
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tui")])
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    # The process that was asked went as far as the bundle, which needs jax.
    assert "bundle" in done.stdout
