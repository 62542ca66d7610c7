"""Likeness from pictures: styles are found, content falls out, absence is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorajax.pictures.descriptor import BLOCKS, block_sizes, describe, opponent
from lorajax.pictures.image_encoder import open_image_encoder
from lorajax.pictures.likeness import (
    Descriptions,
    describe_set,
    similarity,
    split_half_correlation,
    split_half_noise,
)
from lorajax.zoo.base.scenes import captions, draw, sample_scenes
from lorajax.zoo.styles.styles import apply_style, make_styles
from tests.pictures.onnx_models import GREY, SPREAD, WEIGHTS, write_encoder

CAPTIONS, STYLES, EACH = 12, 10, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set as LoRAs would draw it: styles laid over scenes, with pixel noise."""
    root = tmp_path_factory.mktemp("set")
    (root / "behaviour").mkdir()
    rng = np.random.default_rng(0)
    scenes = sample_scenes(rng, CAPTIONS)
    rows = [{"text": t, "half": 1 + i % 2} for i, t in enumerate(captions(scenes))]
    index = {"version": 1, "captions": rows, "seed": 0}
    (root / "behaviour" / "behaviour.json").write_text(json.dumps(index))
    for style in make_styles(STYLES, 0):
        styled = apply_style(style, draw(scenes))
        for i in range(EACH):
            noisy = np.clip(styled + rng.normal(0, 0.05, styled.shape), -1, 1)
            strip = np.concatenate(np.round((noisy + 1) * 127.5), axis=1)
            image = Image.fromarray(strip.astype(np.uint8))
            image.save(root / "behaviour" / f"{style.name}-{i}.png")
    return root


@pytest.fixture(scope="module")
def descriptions(folder: Path) -> Descriptions:
    names = [f"{style.name}-{i}" for style in make_styles(STYLES, 0) for i in range(3)]
    return describe_set(folder, [*names, "without-picture"])


def test_nearest_is_of_the_same_style(descriptions: Descriptions) -> None:
    for half in (1, 2):
        likeness = similarity(descriptions, half)[:-1, :-1]
        np.fill_diagonal(likeness, -2)
        nearest = likeness.argmax(1) // EACH
        assert (nearest == np.arange(STYLES * EACH) // EACH).mean() > 0.95


def test_an_encoder_replaces_our_measures(folder: Path, tmp_path: Path) -> None:
    """A strip's pictures, in their order, by mean colours and one matrix."""
    file = write_encoder(tmp_path / "tiny.onnx", ("n", 3, 32, 32))
    encoder = open_image_encoder(file, GREY, SPREAD, threads=1)
    names = [f"{style.name}-0" for style in make_styles(STYLES, 0)]
    found = describe_set(folder, [*names, "without-picture"], encoder=encoder)
    for i, name in enumerate(names):
        with Image.open(folder / "behaviour" / f"{name}.png") as image:
            strip = np.asarray(image, "f8") / 255
        means = np.stack([p.mean((0, 1)) for p in np.split(strip, CAPTIONS, axis=1)])
        expected = (means - 0.5) / 0.25 @ WEIGHTS
        np.testing.assert_allclose(found.descriptors[i], expected, atol=1e-4)
    assert found.blocks == (5,) and not found.descriptors[-1].any()
    likeness = similarity(found, 1)[:-1, :-1]
    np.testing.assert_allclose(np.diag(likeness), 1, atol=1e-5)


def test_halves_agree(descriptions: Descriptions) -> None:
    first, second = (similarity(descriptions, half) for half in (1, 2))
    assert split_half_correlation(first, second) > 0.9
    assert 0 < split_half_noise(first, second) < 0.15
    assert split_half_noise(first, first) == 0.0


def test_a_lora_without_pictures_is_like_nothing(descriptions: Descriptions) -> None:
    likeness = similarity(descriptions, 1)
    assert not descriptions.present[-1] and descriptions.present[:-1].all()
    assert not likeness[-1].any() and not likeness[:, -1].any()
    np.testing.assert_allclose(np.diag(likeness)[:-1], 1, atol=1e-5)


def test_a_subset_can_stand_for_all(descriptions: Descriptions) -> None:
    some = np.arange(len(descriptions.names)) < 18
    likeness = similarity(descriptions, 1, reference=some)
    changed = descriptions.descriptors.copy()
    changed[18:] *= 7  # what others look like does not touch the subset
    other = replace(descriptions, descriptors=changed)
    again = similarity(other, 1, reference=some)
    np.testing.assert_allclose(likeness[:18, :18], again[:18, :18], atol=1e-6)


def test_a_set_without_any_picture_says_nothing(folder: Path) -> None:
    nothing = similarity(describe_set(folder, ["x", "y"]), 1)
    assert nothing.shape == (2, 2) and not nothing.any()
    assert split_half_noise(nothing, nothing) == 0.0
    assert np.isnan(split_half_correlation(nothing, nothing))


def test_copies_have_no_spread_to_divide_by(folder: Path) -> None:
    name = f"{make_styles(STYLES, 0)[0].name}-0"
    assert np.isfinite(similarity(describe_set(folder, [name, name]), 1)).all()


def test_blocks_are_finite_and_as_wide_as_they_say() -> None:
    rng = np.random.default_rng(1)
    for pictures in (
        np.zeros((2, 32, 32, 3)),
        np.ones((2, 32, 32, 3)),
        rng.random((2, 32, 32, 3)),
    ):
        values = describe(pictures)
        assert values.shape == (2, sum(block_sizes())) and np.isfinite(values).all()


def test_spectrum_and_texture_tell_direction_and_scale() -> None:
    rows, columns = np.mgrid[:32, :32]
    waves = [np.sin(2 * np.pi * x * 4 / 32) for x in (columns, rows)]
    waves.append(np.sin(2 * np.pi * columns * 10 / 32))
    planes = opponent(np.stack([(w[..., None] + 1) / 2 * np.ones(3) for w in waves]))
    power = BLOCKS["spectrum"](planes).reshape(3, -1, 4)
    peaks = [np.unravel_index(p.argmax(), p.shape) for p in power]
    assert peaks[0][0] == peaks[1][0] < peaks[2][0]  # rings: coarse, coarse, fine
    assert peaks[0][1] == peaks[2][1] != peaks[1][1]  # sectors: across, down, across
    energy = BLOCKS["texture"](planes)
    assert energy[0, 0] > energy[0, 2] and energy[1, 0] < energy[1, 2]


def test_descriptions_do_not_depend_on_company() -> None:
    pictures = np.random.default_rng(2).random((3, 32, 32, 3))
    np.testing.assert_allclose(
        describe(pictures)[1:2], describe(pictures[1:2]), rtol=1e-5
    )
