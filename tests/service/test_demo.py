"""The demonstration shows its own collection; the slow test beside it runs it whole."""

import sys
from pathlib import Path

import pytest

from lorajax.errors import ConfigError
from lorajax.service import demo
from lorajax.training.fit import Stopped
from tests.conftest import TINY


def test_another_collection_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "train", lambda *_: pytest.fail("trained"))
    with pytest.raises(ConfigError, match="the demo's own collection") as caught:
        demo.run_demo(TINY, [f"collection.path={tmp_path}"], lambda event: None)
    assert "lorajax train" in caught.value.hint


def test_a_demo_that_was_stopped_is_gone_on_with_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Stopped("checkpoints/demo: stopped at step 7 of 20", "train it")

    monkeypatch.setattr(demo, "train", stopped)
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(Path(".venv/bin/python").absolute()))
    with pytest.raises(Stopped, match="stopped at step 7 of 20") as caught:
        demo.run_demo(TINY, ["training.margin=0.1"], lambda event: None)
    place = str(Path(".venv/bin/lorajax"))
    expected = f"{place} demo {TINY} training.margin=0.1"
    assert caught.value.hint == f"the same command goes on from there: {expected}"
