"""FLUX.1 in whole files, with its text encoders, and what only resembles it."""

import pytest

from lorajax.errors import NamingError
from lorajax.naming import resolve, table_of
from lorajax.naming.spellings import layers_anywhere
from tests.naming import written
from tests.naming.written import Weights, dotted, kohya

WHOLE = written.FLUX_NATIVE
PLAIN = {name: shape for name, shape in WHOLE.items() if "mod" not in name}


def test_a_file_of_kohya():
    shapes = kohya(WHOLE)
    assert len(shapes) == 912
    naming = resolve(shapes, {"ss_base_model_version": "flux1"})
    assert (naming.base_model, naming.format) == ("flux", "kohya")
    assert naming.family == "lora"
    assert list(naming.modules) == [m.name for m in table_of("flux").modules[:494]]
    assert not naming.unmapped and not naming.warnings
    query = naming.modules["transformer.transformer_blocks.0.attn.to_q"]
    assert query["up"] == "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight"


@pytest.mark.parametrize("prefix", ["lora_te3_", "lora_te2_"])
def test_its_text_encoders(prefix: str):
    """CLIP and T5 come behind the transformer; OneTrainer counts T5 as the second."""
    shapes = kohya(WHOLE) | kohya(written.clip(), "lora_te1_")
    naming = resolve(shapes | kohya(written.t5(), prefix))
    assert len(naming.modules) == 494 + 72 + 168 and not naming.unmapped
    names = list(naming.modules)
    assert names[494].startswith("text_encoder.text_model.encoder.layers.0.")
    assert names[-1] == "text_encoder_2.encoder.block.23.layer.1.DenseReluDense.wo"


def test_layers_outside_the_blocks_have_places_too():
    shapes = kohya(WHOLE | {"img_in": (3072, 64), "final_layer.linear": (64, 3072)})
    naming = resolve(shapes)
    assert naming.base_model == "flux" and not naming.unmapped
    assert naming.raw_modules["transformer.proj_out"] == "lora_unet_final_layer_linear"


ENCODERS = "sdxl and sd3-medium and sd3.5-medium and sd3.5-large and flux"


@pytest.mark.parametrize(
    "said",
    ["flux", "flux1", "flux-1-dev/lora", "Flux.1-dev", "FLUX.1-schnell", "flux_dev"],
)
def test_declared_names(said: str):
    """CLIP alone could be another model's as well; the file's word decides."""
    shapes = kohya(written.clip(), "lora_te1_")
    with pytest.raises(NamingError, match=ENCODERS):
        resolve(shapes)
    naming = resolve(shapes, {"modelspec.architecture": said})
    assert naming.base_model == "flux"
    assert "the file's own word decides against sdxl, " in naming.evidence


def test_a_word_that_means_several_lists_those():
    shapes = kohya(written.clip(), "lora_te1_")
    with pytest.raises(NamingError, match=ENCODERS):
        resolve(shapes, {"ss_base_model_version": "wan2.1"})
    naming = resolve(shapes, {"ss_base_model_version": "sd3.5-large"})
    assert naming.base_model == "sd3.5-large"


def test_a_file_from_the_hub_names_its_base():
    config = {"base_model_name_or_path": "black-forest-labs/FLUX.1-dev"}
    naming = resolve(dotted(WHOLE, "base_model.model."), {}, config)
    assert naming.base_model == "flux" and not naming.warnings


def test_stable_diffusion_shares_no_transformer_name_with_it():
    for module in table_of("flux").modules:
        shared = layers_anywhere(module.name).keys() & {"sd1", "sd2", "sdxl"}
        assert not shared or "text_model" in module.name


def test_names_of_hunyuan_video_are_told_from_its():
    """Equal widths everywhere; the names of the feed-forward layers differ."""
    layers = {
        name.replace("mlp.0", "mlp.fc1").replace("mlp.2", "mlp.fc2"): shape
        for name, shape in PLAIN.items()
    }
    assert resolve(kohya(layers)).base_model == "hunyuan-video"


def test_one_block_more_is_hunyuan_videos():
    shapes = kohya(WHOLE) | kohya({"double_blocks.19.img_attn.qkv": (9216, 3072)})
    naming = resolve(shapes, {"ss_base_model_version": "flux1"})
    assert naming.base_model == "hunyuan-video" and not naming.unmapped
    assert naming.warnings == (
        "the file calls its base 'flux1', its tensors belong to hunyuan-video",
    )


CLAIMS = {
    "chroma": ("chroma", False),
    "chroma/lora": ("chroma", False),
    "hunyuan_video": ("hunyuan-video", False),
    "flux-2-dev": ("flux", True),
    "flux.2-klein-4b": ("flux", True),
    "something-else": ("flux", False),
}


@pytest.mark.parametrize("said", CLAIMS)
def test_relatives_of_the_same_widths_are_told_apart_by_what_they_say(said: str):
    """Without modulations FLUX.1, Chroma and HunyuanVideo look alike."""
    base, contradicts = CLAIMS[said]
    naming = resolve(kohya(PLAIN), {"modelspec.architecture": said})
    assert naming.base_model == base
    assert bool(naming.warnings) == contradicts


def test_chroma_has_no_modulations():
    naming = resolve(kohya(WHOLE), {"modelspec.architecture": "chroma"})
    assert naming.base_model == "flux" and naming.warnings


STRANGE: dict[str, tuple[Weights, str]] = {
    "two widths at once": (
        WHOLE | {"double_blocks.3.img_attn.proj": (4096, 4096)},
        "1 of 304 modules do not fit flux: expected [3072, 3072] for "
        "'lora_unet_double_blocks_3_img_attn_proj', found [4096, 4096]",
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_modules_of_other_widths_are_refused(case: str):
    layers, message = STRANGE[case]
    with pytest.raises(NamingError) as refusal:
        resolve(kohya(layers), {"ss_base_model_version": "flux1"})
    assert message in refusal.value.message
