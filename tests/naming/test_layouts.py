"""Diffusion transformers: every module of a whole file has its canonical place."""

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from lorajax.errors import NamingError
from lorajax.naming import resolve, table_of
from tests.naming import written
from tests.naming.written import Shapes, Weights, dotted, kohya, parameters, xlabs

KEYS = Path(__file__).parents[1] / "data" / "keys"


def without(layers: Weights, *words: str) -> Weights:
    return {n: s for n, s in layers.items() if not any(word in n for word in words)}


def only(layers: Weights, *words: str) -> Weights:
    return {n: s for n, s in layers.items() if any(word in n for word in words)}


class Target(NamedTuple):
    """What a trainer updates by default: modules and parameters per rank as logged."""

    base_model: str
    layers: Weights
    modules: int
    parameters: int
    canonical: int
    prefix: str = "lora_unet_"


FLUX_ATTENTION = only(written.FLUX_SPLIT, ".attn.")
TARGETS = {
    "FLUX.1 fused": Target("flux", written.FLUX_NATIVE, 304, 4_786_176, 494),
    "FLUX.1 without modulation": Target(
        "flux", without(written.FLUX_NATIVE, "mod"), 228, 3_502_080, 418
    ),
    "FLUX.1 split": Target(
        "flux", written.FLUX_SPLIT, 494, 5_369_856, 494, "lora_transformer_"
    ),
    "FLUX.1 attention": Target("flux", FLUX_ATTENTION, 266, 1_634_304, 266),
    "FLUX.2 dev": Target("flux2-dev", written.flux2(8, 48, 6144), 160, 992 * 6144, 192),
    "FLUX.2 klein 4B": Target(
        "flux2-klein-4b", written.flux2(5, 20, 3072), 80, 470 * 3072, 100
    ),
    "FLUX.2 klein 9B": Target(
        "flux2-klein-9b", written.flux2(8, 24, 4096), 112, 632 * 4096, 144
    ),
    "SD3 medium": Target("sd3-medium", written.sd3(24, 1536), 237, 1_671_168, 333),
    "SD3.5 large": Target("sd3.5-large", written.sd3(38, 2432), 377, 4_212_224, 529),
    "Wan 14B": Target("wan-14b", written.wan(40, 5120, 13824), 400, 4_792_320, 400),
    "Wan 14B of a picture": Target(
        "wan-14b", written.wan(40, 5120, 13824, picture=True), 480, 5_611_520, 480
    ),
    "Wan 1.3B": Target("wan-1.3b", written.wan(30, 1536, 8960), 300, 1_367_040, 300),
    "Wan 5B": Target("wan-5b", written.wan(30, 3072, 14336), 300, 2_519_040, 300),
    "HunyuanVideo": Target("hunyuan-video", written.HUNYUAN, 240, 3_686_400, 440),
    "Qwen-Image": Target("qwen-image", written.QWEN, 720, 6_635_520, 720),
    "Z-Image": Target("z-image", written.z_image(fused=False), 210, 2_188_800, 210),
}


@pytest.mark.parametrize("case", TARGETS)
def test_counts_that_trainers_log(case: str):
    target = TARGETS[case]
    assert len(target.layers) == target.modules
    assert parameters(target.layers) == target.parameters
    naming = resolve(kohya(target.layers, target.prefix))
    assert naming.base_model == target.base_model
    assert len(naming.modules) == target.canonical
    assert not naming.unmapped and not naming.warnings
    places = table_of(target.base_model).positions
    assert list(naming.modules) == sorted(naming.modules, key=places.__getitem__)


@pytest.mark.parametrize("case", TARGETS)
def test_the_same_names_with_dots(case: str):
    target = TARGETS[case]
    underscored = resolve(kohya(target.layers, target.prefix))
    naming = resolve(dotted(target.layers, "diffusion_model."))
    assert list(naming.modules) == list(underscored.modules)
    assert naming.rows == underscored.rows


@pytest.mark.parametrize("prefix", ["", "transformer.", "base_model.model."])
def test_what_stands_in_front(prefix: str):
    layers = TARGETS["Wan 1.3B"].layers
    naming = resolve(dotted(layers, prefix))
    assert naming.base_model == "wan-1.3b" and len(naming.modules) == 300


def meets(one: Shapes, other: Shapes) -> set[str]:
    """The canonical modules of both, which must be the same; their rows cover all."""
    first, second = resolve(one), resolve(other)
    assert first.base_model == second.base_model
    shapes = {m.name: m.shape for m in table_of(first.base_model).modules}
    for naming in (first, second):
        for module, rows in naming.rows.items():
            assert sum(stop - start for start, stop in rows) == shapes[module][0]
    return set(first.modules) ^ set(second.modules)


def test_two_codes_of_one_model_meet():
    assert not meets(
        kohya(written.FLUX_NATIVE), dotted(written.FLUX_SPLIT, "transformer.")
    )
    assert not meets(
        dotted(written.z_image(fused=True), "diffusion_model."),
        dotted(written.z_image(fused=False), "transformer."),
    )
    assert not meets(
        kohya(written.wan(30, 1536, 8960)),
        dotted(written.wan_diffusers(30, 1536, 8960), "transformer."),
    )
    qkv = {f"attn.{part}" for part in ("add_q_proj", "add_k_proj", "add_v_proj")}
    qkv |= {f"attn.{p}" for p in ("to_q", "to_k", "to_v", "to_out.0", "to_add_out")}
    named = resolve(xlabs(written.FLUX_XLABS))
    assert {m.split(".", 3)[3] for m in named.modules} == qkv


def test_rows_of_fused_layers():
    naming = resolve(kohya(written.FLUX_NATIVE))
    block = "transformer.single_transformer_blocks.3"
    raw = "lora_unet_single_blocks_3_linear1"
    parts = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
    assert [naming.rows[f"{block}.{part}"] for part in parts] == [
        ((0, 3072),),
        ((3072, 6144),),
        ((6144, 9216),),
        ((9216, 21504),),
    ]
    assert {naming.raw_modules[f"{block}.{part}"] for part in parts} == {raw}
    assert f"{block}.proj_out" not in naming.rows
    text = "transformer.transformer_blocks.0.attn.add_v_proj"
    assert naming.rows[text] == ((6144, 9216),)
    assert naming.raw_modules[text] == "lora_unet_double_blocks_0_txt_attn_qkv"


FINAL = {"final_layer.adaLN_modulation.1": (6144, 3072)}


def test_shift_and_scale_change_places():
    naming = resolve(kohya(written.FLUX_NATIVE | FINAL))
    assert naming.rows["transformer.norm_out.linear"] == ((3072, 6144), (0, 3072))
    split = {"norm_out.linear": (6144, 3072)}
    naming = resolve(dotted(written.FLUX_SPLIT | split, "transformer."))
    assert "transformer.norm_out.linear" not in naming.rows
    naming = resolve(kohya(written.sd3(24, 1536)))
    last = "transformer.transformer_blocks.23.norm1_context.linear"
    assert naming.rows[last] == ((1536, 3072), (0, 1536))
    assert last.replace("23", "22") not in naming.rows


def test_one_update_fused_and_split_in_one_file_is_two():
    shapes = kohya(written.FLUX_NATIVE) | dotted(
        only(written.FLUX_SPLIT, "blocks.0.attn.to_q"), "transformer."
    )
    with pytest.raises(NamingError, match=r"one update for transformer\..*attn\.to_q"):
        resolve(shapes)


def test_the_second_attention_tells_sd3_5_medium_from_sd3():
    layers = written.sd3(24, 1536)
    attention = only(layers, "attn.")
    with pytest.raises(NamingError, match=r"sd3-medium and sd3\.5-medium"):
        resolve(kohya(attention))
    said = {"modelspec.architecture": "stable-diffusion-3-medium/lora"}
    assert resolve(kohya(attention), said).base_model == "sd3-medium"
    second = {f"joint_blocks.{i}.x_block.attn2.qkv": (4608, 1536) for i in range(13)}
    naming = resolve(kohya(attention | second))
    assert naming.base_model == "sd3.5-medium" and not naming.unmapped
    assert "transformer.transformer_blocks.12.attn2.to_v" in naming.modules


def test_two_experts_in_one_file():
    """diffusers writes Wan's pair for high and low noise into one file."""
    layers = written.wan_diffusers(40, 5120, 13824)
    shapes = dotted(layers, "transformer.") | dotted(layers, "transformer_2.")
    naming = resolve(shapes)
    assert naming.base_model == "wan-14b" and len(naming.modules) == 800


@pytest.mark.parametrize(
    ("prefix", "case"),
    [
        ("lora_unet__", "Wan 14B"),
        ("Hunyuan_video_I2V_lora_", "HunyuanVideo"),
        ("lycoris_", "Qwen-Image"),
    ],
)
def test_prefixes_of_single_trainers(prefix: str, case: str):
    target = TARGETS[case]
    naming = resolve(kohya(target.layers, prefix))
    assert naming.base_model == target.base_model and not naming.unmapped
    assert len(naming.modules) == target.canonical


def keys(name: str) -> Shapes:
    text = gzip.decompress((KEYS / f"{name}.json.gz").read_bytes())
    return {key: tuple(shape) for key, shape in json.loads(text).items()}


QWEN_SAYS = {"modelspec.architecture": "Qwen-Image/lora"}
LISTS = {
    # Raw modules, canonical modules, tensors beside them.
    "flux_lora_kohya": ("flux", "kohya", 304, 494, 0),
    "flux_lora_diffusers": ("flux", "diffusers", 494, 494, 0),
    "flux_lora_aitoolkit": ("flux", "diffusers", 228, 418, 0),
    "flux_xlabs": ("flux", "xlabs", 12, 24, 0),
    "flux_control_lora": ("flux", "diffusers", 314, 504, 466),
    "flux_dora_onetrainer": ("flux", "kohya", 506, 506, 0),
    "qwen_image_diffusers": ("qwen-image", "kohya dotted", 3, 3, 0),
}


@pytest.mark.parametrize("name", LISTS)
def test_key_lists_of_real_files(name: str):
    base, dialect, raw, canonical, side = LISTS[name]
    shapes = keys(name)
    naming = resolve(shapes, QWEN_SAYS if base == "qwen-image" else {})
    assert (naming.base_model, naming.format) == (base, dialect)
    assert len(set(naming.raw_modules.values())) == raw
    assert len(naming.modules) == canonical and not naming.unmapped
    assert len(naming.side) == side
    assert naming.family == ("lora+dora" if "dora" in name else "lora")
    read = {key for roles in naming.modules.values() for key in roles.values()}
    assert read | set(naming.side) == set(shapes)


def test_a_widened_first_layer_is_a_module_of_its_own():
    """Depth and Canny read 64 more inputs: no other LoRA updates that weight."""
    naming = resolve(keys("flux_control_lora"))
    assert (
        naming.modules["transformer.x_embedder.128"]["down"] == "img_in.lora_A.weight"
    )
    usual = resolve(kohya(written.FLUX_NATIVE | {"img_in": (3072, 64)}))
    assert "transformer.x_embedder" in usual.modules


def test_all_real_flux_lists_share_their_modules():
    whole = set(resolve(keys("flux_lora_kohya")).modules)
    assert whole == set(resolve(keys("flux_lora_diffusers")).modules)
    for name in ("flux_lora_aitoolkit", "flux_xlabs"):
        assert set(resolve(keys(name)).modules) < whole
    assert whole < set(resolve(keys("flux_control_lora")).modules)


def test_few_attention_layers_are_ambiguous():
    with pytest.raises(NamingError) as refusal:
        resolve(keys("qwen_image_diffusers"))
    assert refusal.value.message.endswith(
        "flux and flux2-klein-4b and hunyuan-video and qwen-image"
    )
    assert "ss_base_model_version" in (refusal.value.hint or "")


def test_all_attention_layers_are_not():
    """Blocks end where those of one model do: 19 and 38, 20 and 40, or 60."""
    assert resolve(dotted(FLUX_ATTENTION)).base_model == "flux"
    naming = resolve(dotted(only(written.QWEN, ".attn.")))
    assert naming.base_model == "qwen-image" and "unknown variant" in naming.evidence
    naming = resolve(kohya(only(written.FLUX_NATIVE, "double_blocks")))
    assert naming.base_model == "flux"
    assert "its blocks end where those of flux do" in naming.evidence


def oft(layers: Weights, blocks: int = 4) -> Shapes:
    """kohya's OFT for FLUX.1, where fused modules keep their parts apart."""
    found: Shapes = {}
    for layer, (out, in_) in layers.items():
        name = "oft_unet_" + layer.replace(".", "_")
        parts = [out]
        if "qkv" in layer or "linear1" in layer:
            parts = [in_] * 3 + [out - 3 * in_] * (out > 3 * in_)
        found[f"{name}.alpha"] = ()
        for i, part in enumerate(parts):
            side = part // blocks
            found[f"{name}.oft_blocks.{i}"] = (blocks, side, side)
    return found


def test_kohyas_oft_keeps_the_parts_of_fused_modules_apart():
    shapes = oft(without(written.FLUX_NATIVE, "mod"))
    naming = resolve(shapes)
    assert (naming.base_model, naming.family) == ("flux", "oft")
    assert len(naming.modules) == 418 and not naming.rows and not naming.unmapped
    assert naming.modules["transformer.single_transformer_blocks.2.proj_mlp"] == {
        "oft_blocks": "oft_unet_single_blocks_2_linear1.oft_blocks.3",
        "alpha": "oft_unet_single_blocks_2_linear1.alpha",
    }
    read = [key for roles in naming.modules.values() for key in roles.values()]
    assert set(read) == set(shapes)
    name = "oft_unet_single_blocks_2_linear1.oft_blocks"
    whole = {name: (3, 7168, 7168)}
    parts = [f"{name}.{i}" for i in range(4)]
    fused = {k: s for k, s in shapes.items() if k not in parts} | whole
    assert len(resolve(fused).rows) == 4
    two = {k: s for k, s in shapes.items() if k not in parts[2:]}
    two[parts[1]] = (4, 4608, 4608)
    with pytest.raises(NamingError, match=r"oft_blocks\.0 to oft_blocks\.3 for"):
        resolve(two)


@pytest.mark.parametrize("inputs", [True, False])
def test_channels_that_lie_on_either_side_of_a_fused_module(inputs: bool):
    """(IA)³ of LyCORIS: one vector, and a number in the file tells the side."""
    shapes: Shapes = {}
    for layer, (out, in_) in only(written.FLUX_NATIVE, "qkv", "linear1").items():
        name = "lycoris_" + layer.replace(".", "_")
        shapes[f"{name}.weight"] = (in_ if inputs else out,)
        shapes[f"{name}.on_input"] = ()
    naming = resolve(shapes, {"ss_base_model_version": "flux1"})
    assert (naming.base_model, naming.family) == ("flux", "ia3")
    assert len(naming.modules) == len(naming.rows) == 19 * 6 + 38 * 4
    key = "lycoris_double_blocks_0_img_attn_qkv.weight"
    with pytest.raises(NamingError, match="found 3000 channels"):
        resolve(shapes | {key: (3000,)}, {"ss_base_model_version": "flux1"})
