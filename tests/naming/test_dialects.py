"""One name, one meaning: the rows of the dialect table hold apart."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorajax.errors import NamingError
from lorajax.formats import open_tensor_file, scan
from lorajax.naming import resolve
from lorajax.naming.dialects import parse_key

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
MEANINGS = {
    "lora_unet_mid_block_x.lora_up.weight": ("kohya", "lora_unet_mid_block_x", "up"),
    "lora_te1_text_model_x.lora_down.weight": (
        "kohya",
        "lora_te1_text_model_x",
        "down",
    ),
    "lora_unet_blocks_0_x.lora_A.weight": ("kohya", "lora_unet_blocks_0_x", "down"),
    "lora_unet_x.alpha": ("kohya", "lora_unet_x", "alpha"),
    "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight": (
        "peft",
        "transformer.h.0.attn.c_attn",
        "down",
    ),
    "base_model.model.x.y.lora_B.default.weight": ("peft", "x.y", "up"),
    "unet.base_model.model.x.y.lora_B.weight": ("peft", "x.y", "up"),
    "lin0.lora_A.weight": ("diffusers", "lin0", "down"),
    f"unet.{BLOCK}.to_q.lora_A.weight": ("diffusers", f"unet.{BLOCK}.to_q", "down"),
    f"unet.{BLOCK}.to_q.lora_B.default.weight": (
        "diffusers",
        f"unet.{BLOCK}.to_q",
        "up",
    ),
    f"unet.{BLOCK}.to_q.alpha": ("diffusers", f"unet.{BLOCK}.to_q", "alpha"),
    f"unet.{BLOCK}.to_q.lora.up.weight": (
        "diffusers 0.22",
        f"unet.{BLOCK}.to_q",
        "up",
    ),
    "text_encoder.x.self_attn.q_proj.lora_linear_layer.down.weight": (
        "diffusers 0.22",
        "text_encoder.x.self_attn.q_proj",
        "down",
    ),
    f"{BLOCK}.processor.to_q_lora.down.weight": (
        "diffusers attn-procs",
        f"{BLOCK}.to_q",
        "down",
    ),
    f"unet.{BLOCK}.processor.to_out_lora.up.weight": (
        "diffusers attn-procs",
        f"unet.{BLOCK}.to_out.0",
        "up",
    ),
    f"{BLOCK}.processor.to_v_lora.alpha": (
        "diffusers attn-procs",
        f"{BLOCK}.to_v",
        "alpha",
    ),
    f"unet.{BLOCK}.to_v.lora.alpha": ("diffusers 0.22", f"unet.{BLOCK}.to_v", "alpha"),
    "text_encoder.x.self_attn.to_out_lora.up.weight": (
        "diffusers attn-procs",
        "text_encoder.x.self_attn.out_proj",
        "up",
    ),
    "diffusion_model.blocks.0.x.lora_down.weight": (
        "kohya dotted",
        "diffusion_model.blocks.0.x",
        "down",
    ),
    "double_blocks.0.processor.qkv_lora1.up.weight": (
        "xlabs",
        "double_blocks.0.processor.qkv_lora1",
        "up",
    ),
    "unet:17:up": ("cloneofsimo", "unet:17", "up"),
    "lora_unet_x.hada_w1_a": ("kohya", "lora_unet_x", "hada_w1_a"),
    "lora_te_x.hada_t2": ("kohya", "lora_te_x", "hada_t2"),
    "lora_unet_x.lokr_w2": ("kohya", "lora_unet_x", "lokr_w2"),
    "lycoris_x.lokr_w1_b": ("kohya", "lycoris_x", "lokr_w1_b"),
    "base_model.model.x.y.hada_w2_b": ("peft", "x.y", "hada_w2_b"),
    "base_model.model.x.y.lokr_t2.default": ("peft", "x.y", "lokr_t2"),
    "diffusion_model.x.y.lokr_w1": ("kohya dotted", "diffusion_model.x.y", "lokr_w1"),
    "oft_unet_x.oft_blocks": ("kohya", "lora_unet_x", "oft_blocks"),
    "lycoris_x.oft_blocks": ("kohya", "lycoris_x", "oft_blocks"),
    "base_model.model.x.oft_R.weight": ("peft", "x", "oft_R"),
    "base_model.model.x.boft_s": ("peft", "x", "boft_s"),
    "lora_unet_x.on_input": ("kohya", "lora_unet_x", "on_input"),
    "base_model.model.x.ia3_l": ("peft", "x", "ia3_l"),
    "lora_unet_x.dora_scale": ("kohya", "lora_unet_x", "dora_scale"),
    "transformer.x.magnitude": ("kohya dotted", "transformer.x", "magnitude"),
    "base_model.model.x.lora_magnitude_vector": ("peft", "x", "magnitude"),
    "unet.x.lora_magnitude_vector.weight": ("diffusers", "unet.x", "magnitude"),
    "base_model.model.x.lora_E": ("peft", "x", "diagonal"),
    "lora_unet_x.lora_mid.weight": ("kohya", "lora_unet_x", "mid"),
    "lora_unet_x.diff": ("kohya", "lora_unet_x", "diff"),
}
FAMILIES = {
    "lora_unet_x.b1.weight": "GLoRA (LyCORIS)",
    "diffusion_model.x.set_weight": "replaced weights (ComfyUI)",
    "x.lambda_layer": "T-LoRA",
    "base_model.model.x.vera_lambda_b": "VeRA (PEFT)",
    "base_model.model.x.fourierft_spectrum": "FourierFT (PEFT)",
    "base_model.model.x.hra_u": "HRA (PEFT)",
    "base_model.model.x.bone_block": "MiSS (PEFT)",
    "base_model.model.x.oft_r": "OFT of PEFT before 0.16",
    "base_model.vblora_vector_bank": "VB-LoRA (PEFT)",
    **dict.fromkeys(
        (
            "base_model.model.x.lora_A.weight.absmax",
            "base_model.model.x.lora_B.default.weight.quant_state.bitsandbytes__nf4",
            "lora_unet_x.lora_down.qweight",
            "unet.x.lora_up.scale_weight",
            "lora_unet_x.lokr_w1.weight_scale",
        ),
        "quantised factors (bitsandbytes, GPTQ, …)",
    ),
}
SIDE = [
    "base_model.model.classifier.modules_to_save.dense.weight",
    "base_model.model.classifier.original_module.out_proj.bias",
    "base_model.model.roberta.encoder.layer.9.attention.self.value.base_layer.bias",
    "base_model.model.roberta.encoder.layer.9.output.LayerNorm.bias",
    "base_model.model.score.weight",
    "base_model.model.model.embed_tokens.lora_embedding_A",
    "double_blocks.0.img_attn.proj.lora_B.bias",
    "lora_unet_x.diff_b",
    "lora_unet_x.w_norm",
    "base_model.model.x.ranknum.default",
    "bundle_emb.token.clip_l",
    "<s1>",
    "base_model.model.model.layers.0.mlp.up_proj.base_layer.weight.nested_absmax",
    "base_model.model.lm_head.weight.quant_state.bitsandbytes__fp4",
    "base_model.model.model.layers.0.mlp.up_proj.SCB",
    *(f"base_model.model.x.{n}" for n in ("qweight", "qzeros", "scales", "g_idx")),
]


@pytest.mark.parametrize("key", MEANINGS)
def test_every_dialect_is_understood(key: str):
    (reading,) = parse_key(key)
    assert reading.kind == "factor"
    assert (reading.label, reading.module, reading.role) == MEANINGS[key]


@pytest.mark.parametrize("key", FAMILIES)
def test_every_family_is_recognised(key: str):
    (reading,) = parse_key(key)
    assert (reading.kind, reading.label) == ("family", FAMILIES[key])


@pytest.mark.parametrize("key", ["superlora.g0.k1.core", "superlora.g12.k0.a3"])
def test_factors_of_all_modules_together_are_known(key: str):
    (reading,) = parse_key(key)
    assert (reading.kind, reading.label) == ("joint", "superlora")


@pytest.mark.parametrize(
    "key", ["superlora.g00.k0.core", "superlora.g٣.k0.a0", "superlora.g0.k0.b1"]
)
def test_names_that_only_look_like_them_are_not(key: str):
    assert not parse_key(key)


@pytest.mark.parametrize("character", "\x7f\x1b\n\u202e")
def test_names_that_no_screen_may_show_mean_nothing(character: str):
    """A module of a model without a table keeps its name, wherever it is told."""
    honest, strange = "blocks.0.to_q", f"blocks.0.to{character}q"
    assert not parse_key(f"{strange}.lora_A.weight")
    shapes = {
        f"{name}.lora_{role}.weight": shape
        for name in (honest, strange)
        for role, shape in (("A", (4, 8)), ("B", (8, 4)))
    }
    with pytest.raises(NamingError, match="found 2 that mean nothing") as refusal:
        resolve(shapes)
    assert character not in str(refusal.value)


@pytest.mark.parametrize("key", SIDE)
def test_full_weights_go_aside(key: str):
    (reading,) = parse_key(key)
    assert reading.kind == "side"


@given(
    st.sampled_from([*MEANINGS, *FAMILIES]),
    st.lists(
        st.sampled_from(["unet", "blocks", "0", "lora", "attn", "to_q"]), max_size=3
    ),
)
def test_no_prefix_makes_a_name_ambiguous(key: str, words: list[str]):
    assert len(parse_key(".".join([*words, key]))) <= 1


def test_every_real_name_has_one_meaning():
    """All names of the real files; more of them where LORAJAX_REAL_LORAS is set."""
    committed = Path(__file__).parents[1] / "data" / "real"
    folders = [committed, os.environ.get("LORAJAX_REAL_LORAS", committed)]
    for path in scan(folders).files:
        for key in open_tensor_file(path).tensors:
            assert len(parse_key(key)) == 1, (path, key, json.dumps(parse_key(key)))
