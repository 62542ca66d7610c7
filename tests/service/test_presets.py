"""The zoo's recipes: found by name, kept out of the runs, of the sizes they say."""

from pathlib import Path

import pytest

from lorajax.config import load_job
from lorajax.service.configs import SHIPPED, find_configs, preset


def test_a_recipe_is_found_by_name_and_a_file_is_taken_as_it_is(tmp_path):
    assert preset(Path("bench")) == SHIPPED / "zoo" / "bench.yaml"
    assert preset(Path("no-such-recipe")) == Path("no-such-recipe")
    own = tmp_path / "bench"
    own.write_text("zoo: {styles: 3}\n", encoding="utf-8")
    assert preset(own) == own


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
    held = round(zoo.test_share * zoo.styles) * zoo.loras_per_style
    assert (held, zoo.styles * zoo.loras_per_style - held) == (150, 549)
