"""The settings one by one: what a form shows, refuses, and writes."""

from pathlib import Path

import pytest

from lorajax.config import load_job
from lorajax.errors import ConfigError
from lorajax.service.learning import settings as service
from lorajax.service.learning.configs import SHIPPED, find_configs

KNOWN = {one.key: one for one in service.settings()}


def test_every_setting_says_what_it_expects() -> None:
    assert KNOWN["training.steps"].expects == "a whole number from 1"
    assert KNOWN["training.margin"].expects == "a number above 0 to 2"
    assert KNOWN["training.gradient_clip"].expects == "a number above 0, or nothing"
    assert KNOWN["encoder.start"].choices == ("random", "geometry")
    assert KNOWN["evaluation.teacher"].choices[0] == ""
    assert KNOWN["training.metric_learning"].kind == "switch"
    assert KNOWN["training.losses.triplet"].default == "1"
    assert KNOWN["training.losses.triplet"].group == "training.losses"
    assert KNOWN["training.warmup"].help.startswith("share of all steps with a rising")
    assert "run.resume" not in KNOWN


@pytest.mark.parametrize("choice", find_configs(SHIPPED), ids=lambda c: c.name)
def test_what_is_saved_is_what_was_read(choice, tmp_path: Path) -> None:
    values = service.read_settings(choice.path)
    assert service.problems(values) == {}
    saved = service.save_settings(values, tmp_path / "mine.yaml")
    assert load_job(saved) == load_job(choice.path)


def test_overrides_give_the_edited_values(tmp_path: Path) -> None:
    plain = tmp_path / "plain.yaml"
    plain.write_text("# Plain.\n")
    before = service.read_settings(plain)
    edits = {
        "training.losses.listnet": "0.5",
        "training.gradient_clip": "",
        "collection.path": "C:/my loras: new",
    }
    after = before | edits
    words = service.overrides(after, before)
    assert service.read_settings(plain, words) == after
    assert "training.losses.triplet=1" in words  # else it would become 0
    assert service.overrides(before, before) == []


def test_problems_stand_at_their_settings() -> None:
    values = {key: one.default for key, one in KNOWN.items()}
    assert service.problems(values) == {}
    wrong = {
        "training.steps": "many",
        "training.mixture": "[0, 0, 0]",
        "encoder.width": "10",
        "training.margin": "[",
        "zoo.families": "{lorra: 1}",
    }
    found = service.problems(values | wrong)
    assert found["training.steps"] == "expected a whole number from 1"
    assert "three weights" in found["training.mixture"]
    assert "not a multiple" in found["encoder.width"]
    assert found["encoder.heads"] == found["encoder.width"]
    assert set(found) == {*wrong, "encoder.heads"}


def test_nothing_wrong_and_nothing_old_is_written(tmp_path: Path) -> None:
    values = {key: one.default for key, one in KNOWN.items()}
    with pytest.raises(ConfigError, match=r"training.steps: expected a whole number"):
        service.save_settings(values | {"training.steps": "0"}, tmp_path / "a.yaml")
    assert not (tmp_path / "a.yaml").exists()
    service.save_settings(values, tmp_path / "deep" / "b.yaml", "Plain.")
    assert find_configs(tmp_path)[0].summary == "Plain."
    with pytest.raises(ConfigError, match="it exists already"):
        service.save_settings(values, tmp_path / "deep" / "b.yaml")
