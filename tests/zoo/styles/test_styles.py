"""Styles: pure, graded, distinct, with names that give nothing away."""

import numpy as np
import pytest

from lorajax.zoo.base.scenes import WORDS, draw, sample_scenes
from lorajax.zoo.styles.attributes import ATTRIBUTES, FAMILIES
from lorajax.zoo.styles.styles import apply_style, make_styles

PICTURES = draw(sample_scenes(np.random.default_rng(0), 12))


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_is_pure_visible_and_graded(name):
    attribute = ATTRIBUTES[name]
    before = PICTURES.copy()
    weak, strong = attribute(PICTURES, 0.5), attribute(PICTURES, 1.0)
    np.testing.assert_array_equal(PICTURES, before)
    np.testing.assert_array_equal(strong, attribute(PICTURES, 1.0))
    assert weak.dtype == strong.dtype == np.float32
    assert 0.01 < abs(weak - PICTURES).mean() < abs(strong - PICTURES).mean()


def test_a_picture_looks_the_same_alone_and_in_a_batch():
    for style in make_styles(40, seed=1):
        alone = apply_style(style, PICTURES[2:3])
        np.testing.assert_allclose(apply_style(style, PICTURES)[2:3], alone, atol=1e-5)


def test_styles_are_distinct_compositions_of_different_families():
    styles = make_styles(300, seed=0)
    family = {a.__name__: name for name, fs in FAMILIES.items() for a in fs}
    assert len({style.name for style in styles}) == 300
    assert len({style.attributes for style in styles}) == 300
    assert not {style.name for style in styles} & {*WORDS, *ATTRIBUTES}
    for style in styles:
        families = [family[tag] for tag in style.tags]
        assert len(set(families)) == len(families) in (2, 3)


def test_a_longer_list_of_styles_begins_with_the_shorter():
    assert make_styles(60, seed=5)[:24] == make_styles(24, seed=5)
    assert make_styles(24, seed=6) != make_styles(24, seed=5)


def test_shared_attributes_make_styles_alike():
    """Pictures of styles sharing an attribute are nearer than those of strangers."""
    styles = make_styles(60, seed=0)
    looks = [apply_style(style, PICTURES) for style in styles]
    sharing, strange = [], []
    for i, a in enumerate(styles):
        for j, b in enumerate(styles[:i]):
            distance = np.sqrt(((looks[i] - looks[j]) ** 2).mean())
            (sharing if {*a.tags} & {*b.tags} else strange).append(distance)
    assert np.mean(sharing) < 0.95 * np.mean(strange)


def test_styled_pictures_stay_within_their_range():
    for style in make_styles(40, seed=2):
        pictures = apply_style(style, PICTURES)
        assert np.isfinite(pictures).all()
        assert abs(pictures).max() <= 1
