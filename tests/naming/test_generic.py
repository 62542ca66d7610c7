"""Base models without a table: named by their blocks, the same in every dialect."""

import pytest

from lorajax.errors import NamingError
from lorajax.naming import resolve
from lorajax.naming.bases import is_base_model
from tests.naming import written
from tests.naming.written import Weights, dotted, kohya

ATTENTION = {f"attn1.to_{part}": (2048, 2048) for part in ("q", "k", "v", "out.0")}
FEED_FORWARD = {"ff.net.0.proj": (8192, 2048), "ff.net.2": (2048, 8192)}


def blocks(
    shapes: Weights, count: int = 28, name: str = "transformer_blocks"
) -> Weights:
    return written.weights(written.Blocks(f"{name}.{{i}}.{{leaf}}", count, shapes))


LTX = blocks(ATTENTION | FEED_FORWARD)
BASE = "generic-transformer_blocks-28x2048"


@pytest.mark.parametrize("rank", [1, 4, 128])
@pytest.mark.parametrize("shapes", [ATTENTION, FEED_FORWARD, ATTENTION | FEED_FORWARD])
def test_neither_rank_nor_what_was_trained_changes_the_name(shapes: Weights, rank: int):
    naming = resolve(dotted(blocks(shapes), "transformer.", rank))
    assert naming.base_model == BASE and is_base_model(BASE)
    assert "has no table of modules" in naming.warnings[0]
    assert "named by their own blocks" in naming.evidence


@pytest.mark.parametrize("prefix", ["transformer.", "diffusion_model.", "", "x"])
def test_dialects_meet(prefix: str):
    shapes = kohya(LTX) if prefix == "x" else dotted(LTX, prefix)
    naming = resolve(shapes)
    assert naming.base_model == BASE and len(naming.modules) == 28 * 6
    assert list(naming.modules)[:2] == [
        "transformer_blocks.0.attn1_to_k",
        "transformer_blocks.0.attn1_to_out.0",
    ]
    numbers = [int(name.split(".")[1]) for name in naming.modules]
    assert numbers == sorted(numbers)


OTHERS = {
    "more blocks": blocks(ATTENTION, 42),
    "another width": blocks({"attn1.to_q": (1920, 1920)}),
    "another name": blocks(ATTENTION, name="visual_transformer_blocks"),
    "two kinds of blocks": blocks(ATTENTION) | blocks(ATTENTION, 40, "single_blocks"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_structures_have_other_names(case: str):
    naming = resolve(dotted(OTHERS[case], "transformer."))
    assert naming.base_model != BASE and naming.base_model.startswith("generic-")


def test_narrow_keys_and_values_do_not_hide_the_width():
    shapes = {"attn.q": (2304, 2304), "attn.k": (768, 2304), "attn.v": (768, 2304)}
    naming = resolve(dotted(blocks(shapes, 26, "layers"), "diffusion_model."))
    assert naming.base_model == "generic-layers-26x2304"


def test_known_names_of_other_widths_are_a_base_of_their_own():
    """As Wan's blocks in a model of another size, or Lumina's under Z-Image's names."""
    naming = resolve(kohya(written.wan(24, 2048, 8192)))
    assert naming.base_model == "generic-blocks-24x2048"
    naming = resolve(dotted(written.z_image(fused=False, h=2304, wide=9216)))
    assert naming.base_model == "generic-layers-30x2304"


def test_a_known_text_encoder_does_not_make_an_unknown_transformer_known():
    shapes = kohya(blocks(ATTENTION, 24, "joint_blocks")) | kohya(
        written.clip(), "lora_te1_"
    )
    naming = resolve(shapes, {"ss_base_model_version": "sdxl_base_v1-0"})
    assert naming.base_model == "generic-joint_blocks-24x2048"
    assert sum(name.startswith("text_encoder.") for name in naming.modules) == 72
    assert "which the file calls 'sdxl_base_v1-0'" in naming.warnings[0]


def test_families_beside_lora_show_their_widths_too():
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in blocks(ATTENTION):
        shapes[f"{layer}.lokr_w1"] = (16, 16)
        shapes[f"{layer}.lokr_w2"] = (128, 128)
    naming = resolve(shapes)
    assert naming.base_model == BASE and naming.family == "lokr"


def test_a_name_that_nobody_can_speak_becomes_a_hash():
    naming = resolve(dotted(blocks(ATTENTION, name="a/b c")))
    assert naming.base_model.endswith("-28x2048") and is_base_model(naming.base_model)
    assert "/" not in naming.base_model and " " not in naming.base_model


def test_without_blocks_there_is_no_structure():
    with pytest.raises(NamingError, match="or numbered blocks, found 'proj', 'gate'"):
        resolve(dotted({"proj": (8, 8), "gate": (8, 8)}))


def test_two_names_that_meet_are_two_updates():
    layers = blocks(ATTENTION)
    shapes = dotted(layers, "transformer.") | kohya(layers)
    with pytest.raises(NamingError, match="expected one update for transformer_blocks"):
        resolve(shapes)


@pytest.mark.parametrize(
    "name", ["generic-../../x-1x2", "generic-a b-1x2", "llama-../2", "llama-", "sd9"]
)
def test_what_is_no_name_of_a_base_model(name: str):
    """Bundles name folders after base models."""
    assert not is_base_model(name)


def test_an_alpha_without_factors_is_never_passed_over():
    """It could be the alpha of a module whose factors were misread."""
    shapes = kohya(LTX) | {"lora_unet_transformer_blocks_0_sparkle.alpha": ()}
    with pytest.raises(
        NamingError, match=r"found 1 that mean nothing .*sparkle\.alpha"
    ):
        resolve(shapes)


@pytest.mark.parametrize("number", ["٣", "x", "1" * 200])
def test_what_is_no_number_is_no_block(number: str):
    with pytest.raises(NamingError, match="or numbered blocks"):
        resolve(dotted({f"blocks.{number}.to_q": (8, 8)}))
