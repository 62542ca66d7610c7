"""A trainer that needs no jax, as a command."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The command of the fake trainer."""
    places = [str(ROOT), str(ROOT / "tui"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
    return sys.executable, str(Path(__file__).with_name("fake_trainer.py"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "base.yaml"
    path.write_text("# The usual road.\ntraining: {steps: 40}\n", encoding="utf-8")
    return path
