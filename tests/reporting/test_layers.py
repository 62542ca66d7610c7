"""Layer weights, and the places of modules in the base model."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lorajax.config.encoder import EncoderSettings
from lorajax.encoder.embedder import initial_encoder, params_state
from lorajax.naming.bases import BASE_MODELS, table_of
from lorajax.projection.basis import BasisFacts
from lorajax.projection.features import Features, normalised
from lorajax.reporting.blocks import labels_of, panels_of, place_of
from lorajax.reporting.layer_weights import layer_shares
from lorajax.reporting.layers import layers_section
from tests.reporting.reading import read

MODULES = ("unet.mid_block.resnets.0.conv1", "unet.down_blocks.0.resnets.1.conv1", "x")
FACTS = BasisFacts("gram_pca", "imaginary", 8, "none", MODULES, (8, 8, 8))


def made(seed: int, **changes: object) -> tuple:
    settings = EncoderSettings(
        width=8, layers=1, heads=2, ffn=8, **{"start": "random", **changes}
    )
    rng = np.random.default_rng(seed)
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 0]] * 9, bool)
    scores = rng.normal(size=(36, 3, 8)).astype("f4") * mask[..., None]
    lengths = np.ones(3, "f4")
    return initial_encoder(settings, 3, 8, lengths, seed), Features(scores, mask)


@pytest.mark.parametrize("start", ["random", "geometry"])
@pytest.mark.parametrize("layer_weights", ["mlp", "mean"])
@pytest.mark.parametrize("positions", [True, False])
def test_the_parts_add_up_to_the_embedding(
    start: str, layer_weights: str, positions: bool
) -> None:
    encoder, features = made(
        1, start=start, layer_weights=layer_weights, positions=positions
    )
    state = params_state(encoder.graph, encoder.params)
    model = nnx.merge(encoder.graph, state)
    seen = normalised(features, encoder.settings.normalise, encoder.lengths)
    weights, parts = model.parts(jnp.asarray(seen.scores), jnp.asarray(seen.mask))
    pooled = np.asarray(parts).sum(1)
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, encoder.embed(features), atol=1e-5)
    np.testing.assert_allclose(np.asarray(weights).sum(1), 1.0, atol=1e-5)


def test_shares_are_means_over_loras_and_channels() -> None:
    encoder, features = made(2)
    found = layer_shares(encoder, features, FACTS)
    model = nnx.merge(encoder.graph, params_state(encoder.graph, encoder.params))
    seen = normalised(features, "unit", encoder.lengths)
    weights, _ = model.parts(jnp.asarray(seen.scores), jnp.asarray(seen.mask))
    of_lora = np.asarray(weights).mean(2)
    np.testing.assert_allclose(found.shares, of_lora.mean(0), atol=1e-6)
    live = features.mask.sum(1)
    for module in range(3):
        own = features.mask[:, module]
        expected = (of_lora[own, module] * live[own]).mean()
        assert found.ratios[module] == pytest.approx(expected, abs=1e-5)
    assert found.learned and found.loras == 36 and found.channels > 0
    assert found.shares.sum() == pytest.approx(1)


def test_without_learned_weights_lengths_of_contributions_are_told() -> None:
    encoder, features = made(3, layer_weights="mean", normalise="none")
    scale = np.array([1, 9, 1], "f4")[:, None]
    louder = Features(features.scores * scale, features.mask)
    found = layer_shares(encoder, louder, FACTS)
    assert not found.learned and found.channels == 0
    assert found.ratios.argmax() == 1


def test_a_module_that_no_lora_has_is_drawn_as_nothing() -> None:
    encoder, features = made(4)
    mask = features.mask.copy()
    mask[:, 1], mask[:, 0] = False, True
    found = layer_shares(encoder, Features(features.scores, mask), FACTS)
    assert np.isnan(found.ratios[1])
    assert "no LoRA has it" in layers_section({"run": found}, {}).body


def test_names_of_modules_lead_to_blocks_and_parts() -> None:
    attention = "unet.down_blocks.1.attentions.0.transformer_blocks.2.attn1.to_out.0"
    place = place_of(attention)
    assert (place.panel, place.block) == ("unet", "down_blocks")
    assert place.numbers == (1, 0, 2) and place.part == "attn1.to_out.0"
    assert place_of("unet.up_blocks.2.upsamplers.0.conv").part == "sampler conv"
    text = place_of("text_encoder.text_model.encoder.layers.3.mlp.fc1")
    assert (text.panel, text.numbers) == ("text_encoder layers", (3,))
    assert place_of("nothing").part == "nothing"


@pytest.mark.parametrize("base_model", BASE_MODELS)
def test_every_module_has_a_cell_of_its_own(base_model: str) -> None:
    names = [module.name for module in table_of(base_model).modules]
    panels = panels_of(names, names)
    cells = [number for panel in panels.values() for number in panel.cells.values()]
    assert sorted(cells) == list(range(len(names)))
    for panel in panels.values():
        labels = labels_of(panel)
        assert len(set(labels.values())) == len(panel.rows)


def test_blocks_come_in_the_order_of_the_base_model() -> None:
    names = [module.name for module in table_of("lorajax-zoo-1").modules]
    panel = panels_of(names[::-1], names)["unet"]
    blocks = [block for block, _ in panel.rows]
    assert blocks == ["down_blocks", "mid_block", "up_blocks"]
    assert panel.parts.index("conv2") < panel.parts.index("attn1.to_k")


def test_a_heat_map_is_a_table_with_labels() -> None:
    encoder, features = made(5)
    section = layers_section(
        {"<b>": layer_shares(encoder, features, FACTS)}, {"other": "no file."}
    )
    found = read(section.body)
    assert "Left out: other: no file." in found.text
    assert found.count["b"] == 0 and "<b>" in found.text
    assert found.rows[0] == ["unet", "conv1"]
    assert [row[0] for row in found.rows[1:3]] == ["mid_block 0", "down_blocks 0.1"]
