"""FLUX.1's fused modules are read; its split ones and its relatives are refused."""

import pytest

from lorajax.errors import NamingError
from lorajax.naming import resolve, table_of
from lorajax.naming.spellings import spellings

Shapes = dict[str, tuple[int, ...]]

# Layer → (out, in), as public files have them.
DOUBLE = {
    "attn.qkv": (9216, 3072),
    "attn.proj": (3072, 3072),
    "mlp.0": (12288, 3072),
    "mlp.2": (3072, 12288),
    "mod.lin": (18432, 3072),
}
SINGLE = {
    "linear1": (21504, 3072),
    "linear2": (3072, 15360),
    "modulation.lin": (9216, 3072),
}
SPLIT = {
    "attn.to_q": (3072, 3072),
    "attn.add_k_proj": (3072, 3072),
    "norm1_context.linear": (18432, 3072),
    "ff.net.0.proj": (12288, 3072),
}


def layers(doubles: int = 19, singles: int = 38) -> Shapes:
    """Dotted layers → weight shapes, in the order in which trainers sort them."""
    found = {
        f"double_blocks.{i}.{stream}_{layer}": shape
        for i in range(doubles)
        for stream in ("img", "txt")
        for layer, shape in DOUBLE.items()
    }
    return found | {
        f"single_blocks.{i}.{layer}": shape
        for i in range(singles)
        for layer, shape in SINGLE.items()
    }


def clip(name: str = "text_model.encoder.layers.{}.mlp.fc1") -> Shapes:
    return {name.format(i): (3072, 768) for i in range(12)}


def kohya(weights: Shapes, prefix: str = "lora_unet") -> Shapes:
    found: Shapes = {}
    for layer, (out, in_) in weights.items():
        name = f"{prefix}_{layer.replace('.', '_')}"
        found[f"{name}.alpha"] = ()
        found[f"{name}.lora_down.weight"] = (16, in_)
        found[f"{name}.lora_up.weight"] = (out, 16)
    return found


def dotted(weights: Shapes, prefix: str = "") -> Shapes:
    found: Shapes = {}
    for layer, (out, in_) in weights.items():
        found[f"{prefix}{layer}.lora_A.weight"] = (16, in_)
        found[f"{prefix}{layer}.lora_B.weight"] = (out, 16)
    return found


def test_a_file_of_kohya():
    shapes = kohya(layers())
    assert len(shapes) == 912
    naming = resolve(shapes, {"ss_base_model_version": "flux1"})
    assert (naming.base_model, naming.format, naming.family) == (
        "flux",
        "kohya",
        "lora",
    )
    assert list(naming.modules) == [m.name for m in table_of("flux").modules[:304]]
    assert not naming.unmapped and not naming.warnings
    qkv = naming.modules["transformer.double_blocks.0.img_attn.qkv"]
    assert qkv["up"] == "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight"


@pytest.mark.parametrize(
    "prefix", ["", "transformer.", "diffusion_model.", "base_model.model."]
)
def test_fused_names_with_dots(prefix: str):
    naming = resolve(dotted(layers(), prefix))
    assert naming.base_model == "flux" and len(naming.modules) == 304


def test_its_text_encoders():
    """CLIP comes behind the transformer; T5 is counted, without a place."""
    t5 = {f"encoder.block.{i}.layer.0.SelfAttention.q": (4096, 4096) for i in range(24)}
    shapes = kohya(layers()) | kohya(clip(), "lora_te1") | kohya(t5, "lora_te3")
    naming = resolve(shapes)
    assert len(naming.modules) == 316 and len(naming.unmapped) == 24
    assert list(naming.modules)[304].startswith("text_encoder.text_model.encoder")


def test_layers_outside_the_blocks_are_counted():
    shapes = kohya(layers() | {"img_in": (3072, 64), "final_layer.linear": (64, 3072)})
    naming = resolve(shapes)
    assert naming.base_model == "flux" and len(naming.modules) == 304
    assert naming.unmapped == ("lora_unet_img_in", "lora_unet_final_layer_linear")


@pytest.mark.parametrize(
    "said",
    ["flux", "flux1", "flux-1-dev/lora", "Flux.1-dev", "FLUX.1-schnell", "flux_dev"],
)
def test_declared_names(said: str):
    """The text encoder alone could be SDXL's as well; the file's word decides."""
    shapes = kohya(clip(), "lora_te1")
    with pytest.raises(NamingError, match="belong to sdxl and flux"):
        resolve(shapes)
    assert resolve(shapes, {"modelspec.architecture": said}).base_model == "flux"


def test_a_file_from_the_hub_names_its_base():
    config = {"base_model_name_or_path": "black-forest-labs/FLUX.1-dev"}
    naming = resolve(dotted(layers(), "base_model.model."), {}, config)
    assert naming.base_model == "flux" and not naming.warnings


def test_stable_diffusion_shares_no_transformer_name_with_it():
    flux = set(spellings("flux"))
    for base in ("sd1", "sd2", "sdxl", "gpt2", "distilbert-base"):
        assert all("text_model" in name for name in flux & set(spellings(base)))


REFUSED: dict[str, tuple[Shapes, str]] = {
    "split by diffusers": (
        dotted(
            {
                f"transformer_blocks.{i}.{k}": s
                for i in range(19)
                for k, s in SPLIT.items()
            }
            | {
                f"single_transformer_blocks.{i}.attn.to_k": (3072, 3072)
                for i in range(38)
            },
            "transformer.",
        ),
        "a LoRA for FLUX in diffusers' split layers (flux1), which is not",
    ),
    "split, double blocks alone": (
        dotted({"transformer_blocks.0.attn.to_q": (3072, 3072)}, "transformer."),
        "a LoRA for FLUX in diffusers' split layers, Stable Diffusion 3 or Qwen-Image ",
    ),
    "split, beside a larger text encoder": (
        dotted({"single_transformer_blocks.0.attn.to_k": (3072, 3072)}, "transformer.")
        | dotted(clip(), "text_encoder."),
        "a LoRA for FLUX in diffusers' split layers (flux1), which",
    ),
    "XLabs": (
        {
            "double_blocks.0.processor.qkv_lora1.down.weight": (16, 3072),
            "double_blocks.0.processor.qkv_lora1.up.weight": (9216, 16),
        },
        "a LoRA for FLUX.1 (XLabs)",
    ),
    "HunyuanVideo without modulation": (
        kohya(
            {
                name.replace("mlp.0", "mlp.fc1").replace("mlp.2", "mlp.fc2"): shape
                for name, shape in layers(20, 40).items()
                if "mod" not in name
            }
        ),
        "a LoRA for HunyuanVideo",
    ),
    "HunyuanVideo, attention alone": (
        kohya({k: s for k, s in layers(20, 0).items() if "attn" in k}),
        "a LoRA for HunyuanVideo or another relative of FLUX.1",
    ),
    "FLUX.2 of another width": (
        kohya({"double_blocks.0.img_attn.qkv": (18432, 6144)}),
        "do not fit flux: expected [9216, 3072] for "
        "'lora_unet_double_blocks_0_img_attn_qkv', found [18432, 6144]",
    ),
    "Stable Diffusion 3 with its text encoders": (
        kohya({"joint_blocks.0.x_block.attn.qkv": (4608, 1536)})
        | kohya(clip(), "lora_te1"),
        "a LoRA for Stable Diffusion 3",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_only_resembles_it_is_refused(case: str):
    shapes, message = REFUSED[case]
    with pytest.raises(NamingError) as refusal:
        resolve(shapes, {"ss_base_model_version": "flux1"})
    assert message in refusal.value.message


@pytest.mark.parametrize(
    "said", ["chroma", "chroma/lora", "flux-2-dev", "flux_2_klein_4b", "hunyuan_video"]
)
def test_relatives_of_the_same_widths_are_refused_by_their_name(said: str):
    shapes = kohya({k: s for k, s in layers().items() if "mod" not in k})
    assert resolve(shapes).base_model == "flux"
    with pytest.raises(NamingError, match=f"a LoRA for {said}, which is not supported"):
        resolve(shapes, {"modelspec.architecture": said})


def test_another_models_layers_beside_its_own_are_refused():
    shapes = kohya(layers()) | kohya({"double_blocks.19.img_attn.qkv": (9216, 3072)})
    with pytest.raises(NamingError, match=r"relative of FLUX\.1"):
        resolve(shapes)
