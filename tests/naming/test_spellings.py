"""Raw module names of every trainer lead to one canonical name."""

import pytest

from lorajax.naming import table_of
from lorajax.naming.bases import TABLED, base_of
from lorajax.naming.layers import flat
from lorajax.naming.sgm import sgm_name
from lorajax.naming.spellings import layers_named
from lorajax.naming.stable_diffusion import SD1_UNET, SDXL_UNET

# From kohya's own table for SDXL, and from the LDM layout of SD 1.
SGM = {
    "sdxl": {
        "input_blocks_1_0_in_layers_2": "down_blocks.0.resnets.0.conv1",
        "input_blocks_3_0_op": "down_blocks.0.downsamplers.0.conv",
        "input_blocks_4_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
        "input_blocks_4_1_proj_in": "down_blocks.1.attentions.0.proj_in",
        "input_blocks_8_1_transformer_blocks_9_attn2_to_k": (
            "down_blocks.2.attentions.1.transformer_blocks.9.attn2.to_k"
        ),
        "middle_block_0_emb_layers_1": "mid_block.resnets.0.time_emb_proj",
        "middle_block_1_proj_out": "mid_block.attentions.0.proj_out",
        "middle_block_2_out_layers_3": "mid_block.resnets.1.conv2",
        "output_blocks_0_1_transformer_blocks_0_ff_net_0_proj": (
            "up_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj"
        ),
        "output_blocks_2_2_conv": "up_blocks.0.upsamplers.0.conv",
        "output_blocks_8_0_in_layers_2": "up_blocks.2.resnets.2.conv1",
    },
    "sd1": {
        "input_blocks_1_1_proj_in": "down_blocks.0.attentions.0.proj_in",
        "input_blocks_9_0_op": "down_blocks.2.downsamplers.0.conv",
        "output_blocks_2_1_conv": "up_blocks.0.upsamplers.0.conv",
        "output_blocks_5_2_conv": "up_blocks.1.upsamplers.0.conv",
        "output_blocks_11_1_proj_out": "up_blocks.3.attentions.2.proj_out",
    },
}


def canonical(base: str, raw: str) -> str | None:
    layers = layers_named(base, raw)
    return layers[0].pieces[0].module if layers else None


@pytest.mark.parametrize("base", SGM)
def test_sgm_names(base: str):
    for raw, name in SGM[base].items():
        assert canonical(base, f"lora_unet_{raw}") == f"unet.{name}"


@pytest.mark.parametrize("base", ["sd1", "sd2", "sdxl"])
def test_no_two_modules_share_a_spelling(base: str):
    """Every module has its kohya, dotted and sgm spelling, and none was overwritten."""
    for module in table_of(base).modules:
        assert canonical(base, flat(module.name)) == module.name
    unet = [m.name for m in table_of(base).modules if m.name.startswith("unet.")]
    layout = SDXL_UNET if base == "sdxl" else SD1_UNET
    sgm = {sgm_name(name.removeprefix("unet."), layout) for name in unet}
    assert len(sgm) == len(unet)


def test_text_encoders_are_numbered_for_sdxl_only():
    layer = "text_model_encoder_layers_0_mlp_fc1"
    name = "text_model.encoder.layers.0.mlp.fc1"
    assert canonical("sd1", f"lora_te_{layer}") == f"text_encoder.{name}"
    assert canonical("sdxl", f"lora_te1_{layer}") == f"text_encoder.{name}"
    assert canonical("sdxl", f"lora_te2_{layer}") == f"text_encoder_2.{name}"
    assert canonical("sd1", f"lora_te1_{layer}") is None


@pytest.mark.parametrize("base", TABLED)
def test_no_prefix_makes_another_module_of_a_name(base: str):
    """All that a base model's layers are called leads back to them, and only there."""
    for component in base_of(base).components:
        for prefix in component.prefixes:
            for name, layers in list(component.by_name.items())[::5]:
                assert layers_named(base, prefix + name) == layers, prefix + name
