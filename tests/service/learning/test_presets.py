"""The zoo's recipes: found by name, kept out of the runs, of the sizes they say."""

from pathlib import Path

import numpy as np
import pytest

from lorajax.config import load_job
from lorajax.config.zoo import ZooSettings
from lorajax.service.learning.configs import SHIPPED, find_configs, preset
from lorajax.zoo.benchmark.parts import split_by_style
from lorajax.zoo.collection.recipes import make_recipes


def test_a_recipe_is_found_by_name_and_a_file_is_taken_as_it_is(tmp_path):
    assert preset(Path("bench")) == SHIPPED / "zoo" / "bench.yaml"
    assert preset(Path("no-such-recipe")) == Path("no-such-recipe")
    own = tmp_path / "bench"
    own.write_text("zoo: {styles: 3}\n", encoding="utf-8")
    assert preset(own) == own


def test_a_collection_of_a_recipes_name_does_not_hide_the_recipe(tmp_path, monkeypatch):
    """`zoo build bench --out bench` must go on when it is said again."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()
    assert preset(Path("bench")) == SHIPPED / "zoo" / "bench.yaml"


def test_recipes_are_not_offered_as_runs():
    names = [choice.name for choice in find_configs()]
    assert "base" in names
    assert not any(name.startswith("zoo/") for name in names)


@pytest.mark.parametrize(
    ("name", "styles", "loras"),
    [("bench", 250, 1500), ("paper", 233, 699), ("scale", 5000, 100_000)],
)
def test_recipes_have_the_sizes_they_are_known_for(name, styles, loras):
    zoo = load_job(preset(Path(name)), []).zoo
    assert zoo.styles >= styles
    assert zoo.styles * zoo.loras_per_style >= loras
    assert zoo.synthetic == (name == "scale")


def test_the_papers_recipe_splits_as_the_paper_does():
    """549 LoRAs to train and select on, 150 of other styles to evaluate with."""
    zoo = load_job(preset(Path("paper")), []).zoo
    styles = [recipe.style.name for recipe in make_recipes(zoo)]
    rng = np.random.default_rng(0)
    split = split_by_style(styles, zoo.test_share, zoo.validation_share, rng)
    assert len(split.train) + len(split.validation) == 549
    assert len(split.test) == 150


def test_the_demo_is_what_a_run_without_a_collection_trains():
    assert load_job(preset(Path("demo")), []).zoo == ZooSettings()
