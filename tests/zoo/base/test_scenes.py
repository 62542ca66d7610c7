"""Scenes: seeded, bounded, and saying in words what they show."""

import numpy as np
import pytest

from lorajax.zoo.base.scenes import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    TOKENS,
    WORDS,
    Content,
    Scenes,
    captions,
    draw,
    sample_scenes,
    tokenise,
)


def one_object(shape: str, colour: str, background: str) -> Scenes:
    return Scenes(
        shape=np.array([[SHAPES.index(shape), -1]]),
        colour=np.array([[[*COLOURS].index(colour), 0]]),
        size=np.array([[1, 0]]),
        place=np.array([0]),
        background=np.array([[*BACKGROUNDS].index(background)]),
        jitter=np.zeros((1, 2, 3)),
    )


def test_a_seed_repeats_its_scenes():
    first, again, other = (
        draw(sample_scenes(np.random.default_rng(seed), 8)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pictures_are_float32_within_their_range():
    pictures = draw(sample_scenes(np.random.default_rng(0), 200))
    assert pictures.dtype == np.float32
    assert pictures.shape == (200, 32, 32, 3)
    assert pictures.min() >= -1
    assert pictures.max() <= 1


@pytest.mark.parametrize("shape", [s for s in SHAPES if s != "ring"])
def test_the_middle_has_the_objects_colour_and_the_corner_the_backgrounds(shape):
    picture = draw(one_object(shape, "red", "gray"))[0]
    np.testing.assert_allclose((picture[16, 16] + 1) / 2, COLOURS["red"], atol=1e-6)
    corner = BACKGROUNDS["gray"][0]
    np.testing.assert_allclose((picture[0, 0] + 1) / 2, corner, atol=1e-6)


def test_a_ring_is_open_in_the_middle():
    picture = draw(one_object("ring", "red", "gray"))[0]
    assert np.allclose(picture[16, 16], picture[0, 0], atol=1e-6)


def test_shapes_differ():
    drawn = [draw(one_object(shape, "red", "gray")) for shape in SHAPES]
    for i, a in enumerate(drawn):
        for b in drawn[:i]:
            assert abs(a - b).mean() > 0.01


def test_captions_fit_and_name_only_the_content():
    content = Content(("ring", "star"), ("red",), ("sea",))
    texts = captions(sample_scenes(np.random.default_rng(0), 50, content))
    words = {word for text in texts for word in text.split()}
    assert words & {*SHAPES, *COLOURS, *BACKGROUNDS} == {"ring", "star", "red", "sea"}
    assert max(len(text.split()) for text in texts) == TOKENS


def test_tokens_are_read_back_and_unknown_words_drop_out():
    tokens = tokenise(["large red ring left sea", "unheard sea", ""])
    assert [WORDS[i] for i in tokens[0, :5]] == ["large", "red", "ring", "left", "sea"]
    assert tokens[0, 5:].tolist() == [0, 0, 0]
    assert tokens[1].tolist()[:2] == [WORDS.index("sea"), 0]
    assert not tokens[2].any()
