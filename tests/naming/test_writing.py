"""Names that are written, against the names that trainers are known to write."""

import pytest

from lorajax.errors import NamingError
from lorajax.naming.bases import TABLED, table_of
from lorajax.naming.spellings import layers_named
from lorajax.naming.writing import spelled

BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
DOUBLE, SINGLE = (
    "transformer.transformer_blocks.3",
    "transformer.single_transformer_blocks",
)


@pytest.mark.parametrize(
    ("base", "module", "name"),
    [
        ("sd1", f"unet.{BLOCK}", f"lora_unet_{BLOCK.replace('.', '_')}"),
        (
            "sdxl",
            f"unet.{BLOCK}",
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
        ),
        ("flux", f"{DOUBLE}.attn.to_k", "lora_unet_double_blocks_3_img_attn_qkv"),
        (
            "flux",
            f"{DOUBLE}.attn.to_add_out",
            "lora_unet_double_blocks_3_txt_attn_proj",
        ),
        ("flux", f"{SINGLE}.7.proj_mlp", "lora_unet_single_blocks_7_linear1"),
        ("flux", f"{SINGLE}.7.proj_out", "lora_unet_single_blocks_7_linear2"),
        ("flux", "transformer.x_embedder.384", "lora_unet_img_in"),
        (
            "flux",
            "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q",
            "lora_te3_encoder_block_0_layer_0_SelfAttention_q",
        ),
        (
            "hunyuan-video",
            f"{DOUBLE}.ff.net.0.proj",
            "lora_unet_double_blocks_3_img_mlp_fc1",
        ),
        (
            "sd3-medium",
            f"{DOUBLE}.attn.add_q_proj",
            "lora_unet_joint_blocks_3_context_block_attn_qkv",
        ),
        (
            "wan-14b",
            "transformer.blocks.0.attn1.to_q",
            "lora_unet_blocks_0_self_attn_q",
        ),
        (
            "sdxl",
            "text_encoder_2.text_model.encoder.layers.0.mlp.fc1",
            "lora_te2_text_model_encoder_layers_0_mlp_fc1",
        ),
    ],
)
def test_kohya_names(base: str, module: str, name: str):
    assert spelled(base, "kohya")[module].name == name


def test_dotted_names():
    layer = spelled("flux", "diffusers")["transformer.x_embedder.128"]
    assert (layer.name, layer.local) == ("transformer.x_embedder", "x_embedder")
    layer = spelled("sdxl", "peft")[f"unet.{BLOCK}"]
    assert (layer.name, layer.local) == (f"base_model.model.{BLOCK}", BLOCK)


@pytest.mark.parametrize("base", TABLED)
@pytest.mark.parametrize("dialect", ["kohya", "diffusers"])
def test_every_name_leads_back_to_its_module(base: str, dialect: str):
    layers = spelled(base, dialect)
    for module, layer in layers.items():
        meant = layers_named(base, layer.name)
        assert any(module in [p.module for p in m.pieces] for m in meant), module
    lost = {m.name for m in table_of(base).modules} - layers.keys()
    assert all(name.startswith("transformer_2.") for name in lost)
    assert not lost or (base, dialect) == ("wan-14b", "kohya")


def test_a_base_without_a_table_is_refused():
    with pytest.raises(NamingError, match="found llama-3-8b"):
        spelled("llama-3-8b", "kohya")
