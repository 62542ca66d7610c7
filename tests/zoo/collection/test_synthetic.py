"""Files for load tests: readable, structured, and said to be synthetic."""

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from lorajax.adapters.adapter import read_adapter
from lorajax.adapters.algebra import inner
from lorajax.config.zoo import ZooSettings
from lorajax.zoo.collection import synthetic
from lorajax.zoo.collection.build import build_zoo, is_finished, read_truth

SETTINGS = ZooSettings(styles=6, loras_per_style=5, synthetic=True, captions=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "PER_FOLDER", 8)
        return build_zoo(SETTINGS, tmp_path_factory.mktemp("synthetic"))


def test_every_file_says_that_it_was_not_trained(folder):
    rows = read_truth(folder)["loras"]
    assert is_finished(folder)
    assert len(rows) == len({row["file"] for row in rows}) == 30
    for row in rows:
        with safe_open(folder / row["file"], "np") as file:
            assert "not a trained LoRA" in file.metadata()["lorajax_synthetic"]


def test_neighbours_share_a_style(folder):
    rows = read_truth(folder)["loras"]
    adapters = [read_adapter(folder / row["file"]) for row in rows]
    likeness = np.array(
        [
            [
                sum(inner(a.updates[m], b.updates[m]) for m in a.updates)
                / (a.norm * b.norm)
                for b in adapters
            ]
            for a in adapters
        ]
    )
    np.fill_diagonal(likeness, -1)
    styles = np.array([row["style"] for row in rows])
    assert (styles[likeness.argmax(1)] == styles).all()
    assert 0.2 < np.median(likeness.max(1)) < 0.95


def test_a_stopped_folder_is_completed_with_the_same_numbers(folder, monkeypatch):
    monkeypatch.setattr(synthetic, "PER_FOLDER", 8)
    path = folder / read_truth(folder)["loras"][11]["file"]
    before = load_file(path)
    path.unlink()
    build_zoo(SETTINGS, folder)
    after = load_file(path)
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        np.testing.assert_array_equal(after[key], tensor)
