"""Names and shapes → base model and canonical modules, in every dialect."""

import json
from math import prod

import pytest

from lorajax.errors import NamingError
from lorajax.naming import Module, resolve, table_of
from lorajax.naming.bases import TABLED
from lorajax.naming.layers import flat
from lorajax.naming.sgm import sgm_name
from lorajax.naming.stable_diffusion import SDXL_UNET

Shapes = dict[str, tuple[int, ...]]


def pair(module: Module) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of (up, down) of rank 4."""
    ones = (1,) * (len(module.shape) - 2)
    return (module.shape[0], 4, *ones), (4, *module.shape[1:])


def kohya(base: str, part: str = "") -> Shapes:
    shapes: Shapes = {}
    te = {"text_encoder.": "lora_te1." if base == "sdxl" else "lora_te."}
    te |= {"text_encoder_2.": "lora_te2.", "unet.": "lora_unet."}
    for module in table_of(base).modules:
        if part in module.name:
            start = next(p for p in te if module.name.startswith(p))
            key = flat(module.name.replace(start, te[start], 1))
            up, down = pair(module)
            shapes |= {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down}
            shapes[f"{key}.alpha"] = ()
    return shapes


def dotted(base: str, up: str, down: str, prefix: str = "", part: str = "") -> Shapes:
    shapes: Shapes = {}
    for module in table_of(base).modules:
        if part in module.name:
            shapes[f"{prefix}{module.name}{up}"] = pair(module)[0]
            shapes[f"{prefix}{module.name}{down}"] = pair(module)[1]
    return shapes


@pytest.mark.parametrize("base", ["sd1", "sd2", "sdxl", "lorajax-zoo-1"])
def test_kohya_files_of_every_base(base: str):
    naming = resolve(kohya(base))
    assert naming.base_model == base and naming.format == "kohya"
    assert list(naming.modules) == [m.name for m in table_of(base).modules]
    assert all(
        set(roles) == {"up", "down", "alpha"} for roles in naming.modules.values()
    )
    assert not naming.unmapped and not naming.side and not naming.warnings


LANGUAGE = ("gpt2", "xlm-roberta-base", "llama-16x2048-8192", "t5-small", "bart-base")


@pytest.mark.parametrize("base", [*TABLED, *LANGUAGE])
def test_dotted_files_of_every_base(base: str):
    """Also of those that nothing but their word tells from another."""
    shapes = dotted(base, ".lora_B.weight", ".lora_A.weight")
    naming = resolve(shapes, {"ss_base_model_version": base})
    assert (naming.base_model, naming.format) == (base, "diffusers")
    assert len(naming.modules) == len(table_of(base)) and not naming.unmapped


@pytest.mark.parametrize("base", ["gpt2", "roberta-base", "distilbert-base"])
def test_peft_files_of_language_models(base: str):
    shapes = dotted(
        base, ".lora_B.default.weight", ".lora_A.default.weight", "base_model.model."
    )
    shapes["base_model.model.score.weight"] = (2, 768)
    naming = resolve(shapes, {}, {"base_model_name_or_path": base, "peft_type": "LORA"})
    assert (naming.base_model, naming.format) == (base, "peft")
    assert naming.side == ("base_model.model.score.weight",)
    first = next(iter(naming.modules))
    assert naming.raw_modules[first] == first


@pytest.mark.parametrize("base", ["sd1", "lorajax-zoo-1"])
def test_peft_files_without_their_component(base: str):
    shapes = {
        key.replace("unet.", "base_model.model."): shape
        for key, shape in dotted(
            base, ".lora_B.weight", ".lora_A.weight", "", "unet."
        ).items()
    }
    assert resolve(shapes).base_model == base


def test_three_generations_of_diffusers_name_the_same_modules():
    new = dotted("sd1", ".lora_B.weight", ".lora_A.weight", "", ".attn1.to_q")
    middle = dotted("sd1", ".lora.up.weight", ".lora.down.weight", "", ".attn1.to_q")
    old = {
        key.removeprefix("unet.").replace(
            ".attn1.to_q.lora.", ".attn1.processor.to_q_lora."
        ): shape
        for key, shape in middle.items()
    }
    metadata = {"ss_base_model_version": "sd_1.5"}  # attn1 alone fits SD 2 as well
    namings = [resolve(shapes, metadata) for shapes in (new, middle, old)]
    assert [list(n.modules) for n in namings] == [list(namings[0].modules)] * 3
    assert [n.format for n in namings] == [
        "diffusers",
        "diffusers 0.22",
        "diffusers attn-procs",
    ]


def sgm(part: str = "attentions") -> Shapes:
    shapes: Shapes = {}
    for module in table_of("sdxl").modules:
        if module.name.startswith("unet.") and part in module.name:
            raw = flat(sgm_name(module.name.removeprefix("unet."), SDXL_UNET))
            shapes[f"lora_unet_{raw}.lora_up.weight"] = pair(module)[0]
            shapes[f"lora_unet_{raw}.lora_down.weight"] = pair(module)[1]
    return shapes


def test_sdxl_under_sgm_names():
    naming = resolve(sgm(""))
    assert naming.base_model == "sdxl" and len(naming.modules) == 788


def test_of_two_copies_the_sgm_names_are_dropped():
    naming = resolve(kohya("sdxl", "attentions") | sgm())
    assert len(naming.modules) == 722 and len(naming.unmapped) == 722
    assert not any("input_blocks" in raw for raw in naming.raw_modules.values())


def test_two_updates_of_one_module_are_refused():
    shapes = dotted("sd1", ".lora_B.weight", ".lora_A.weight", "", ".attn2.")
    shapes |= kohya("sd1", ".attn2.")
    with pytest.raises(NamingError, match="expected one update for unet"):
        resolve(shapes)


def test_flat_convolutions_and_one_by_one_linear_layers_fit():
    shapes = {
        key: shape[:2] if "lora_up" in key else (shape[0], prod(shape[1:]))
        for key, shape in kohya("sd1", "unet.").items()
        if not key.endswith("alpha")
    }
    assert resolve(shapes).base_model == "sd1"


def test_the_evidence_says_what_was_seen():
    evidence = resolve(kohya("sd2", "unet.")).evidence
    assert evidence == (
        "278 of 278 modules agree in name and shape, cross-attention reads width 1024, "
        "unknown variant (the base model or one trained further)"
    )


def test_shapes_outweigh_what_the_file_says():
    naming = resolve(kohya("sd1"), {"ss_base_model_version": "sdxl_base_v1-0"})
    assert naming.base_model == "sd1"
    assert naming.warnings == (
        "the file calls its base 'sdxl_base_v1-0', its tensors belong to sd1",
    )


def test_what_the_file_says_decides_between_equals():
    shapes = kohya("sd1", ".attn1.to_q")
    with pytest.raises(NamingError, match="belong to sd1 and sd2"):
        resolve(shapes)
    for said, base in [("sd_v2_v", "sd2"), ("sd_v1", "sd1")]:
        assert resolve(shapes, {"ss_base_model_version": said}).base_model == base


def test_deep_transformers_mean_sdxl_without_cross_attention():
    shapes = kohya("sdxl", ".attn1.to_q")
    assert resolve(shapes).base_model == "sdxl"


def test_the_zoo_is_never_called_stable_diffusion():
    for part in ("attn2.to_k", "mid_block", "conv1"):
        assert resolve(kohya("lorajax-zoo-1", part)).base_model == "lorajax-zoo-1"


def test_modules_outside_the_table_are_counted():
    shapes = kohya("sd1") | {
        "lora_unet_conv_in.lora_up.weight": (320, 4, 1, 1),
        "lora_unet_conv_in.lora_down.weight": (4, 4, 3, 3),
    }
    naming = resolve(shapes)
    assert naming.unmapped == ("lora_unet_conv_in",) and len(naming.modules) == 350


PAIR: Shapes = {"x.lora_up.weight": (4, 2), "x.lora_down.weight": (2, 4)}
LINEAR = {".lora_A.weight": (4, 64), ".lora_B.weight": (64, 4)}


def peft(module: str) -> Shapes:
    return {f"base_model.model.{module}{end}": shape for end, shape in LINEAR.items()}


REFUSED: dict[str, tuple[Shapes, str]] = {
    "C3A": (
        kohya("sd1", ".attn1.to_q") | {"lora_unet_x.c3a_kernel": (2, 2, 2)},
        "found C3A (PEFT), which is recognised but not supported yet",
    ),
    "GLoRA": (
        kohya("sd1") | {"lora_unet_x.a1.weight": (2, 1)},
        "found GLoRA (LyCORIS), whose update is a function of the base model's weights",
    ),
    "T-LoRA": (
        kohya("sd1") | {"lora_unet_x.lambda_layer": (1, 2)},
        "found T-LoRA, whose update is counted from an initial state",
    ),
    "VeRA": (
        peft("a.b") | {"base_model.model.a.b.vera_lambda_d": (4,)},
        "found VeRA (PEFT), whose tensors are placed or completed by torch's random",
    ),
    "textual inversion": ({"emb_params": (8, 768)}, "found a textual inversion"),
    "SDXL inversion": (
        {"clip_l": (4, 768), "clip_g": (4, 1280)},
        "found a textual inversion",
    ),
    "token": ({"<style>": (768,)}, "found a textual inversion"),
    "checkpoint": (
        {"model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)},
        "found the full weights of a Stable Diffusion checkpoint",
    ),
    "U-Net": (
        {"down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3)},
        "found the full weights of a U-Net",
    ),
    "VAE": ({"encoder.down.0.block.0.conv1.weight": (1,)}, "full weights of a VAE"),
    "language model": ({"model.layers.0.mlp.up_proj.weight": (2, 2)}, "language model"),
    "nothing": ({"foo": (3, 3)}, "expected LoRA tensors"),
    "norms alone": ({"lora_unet_x.diff": (320,)}, "expected LoRA tensors"),
    "strange key": (
        kohya("sd1") | {"lora_unet_x.sparkle": (2, 2)},
        "found 1 that mean nothing or two things: 'lora_unet_x.sparkle'",
    ),
    "strange alpha": (
        kohya("sd1") | {"lora_unet_sparkle.alpha": ()},
        "'lora_unet_sparkle.alpha'",
    ),
    "unknown": (
        peft("a.b.c"),
        "expected modules of a known base model, or numbered blocks, found 'a.b.c'",
    ),
    "another width": (
        {
            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
            f".lora_{half}.weight": shape
            for half, shape in {"up": (96, 4), "down": (4, 512)}.items()
        },
        "found [96, 512]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_what_was_found(case: str):
    shapes, message = REFUSED[case]
    with pytest.raises(NamingError) as refusal:
        resolve(shapes)
    assert message in refusal.value.message
    assert "\n" not in str(refusal.value)


CONFIGS = {
    "VB-LoRA": ({"peft_type": "VBLORA"}, "VB-LoRA (PEFT), which"),
    "HRA": ({"peft_type": "HRA"}, "HRA (PEFT), whose update is a function of"),
    "unheard of": ({"peft_type": "SPARKLE"}, "SPARKLE (PEFT), which"),
    "QALoRA": ({"use_qalora": True}, "found QALoRA (PEFT)"),
    "PiSSA": ({"init_lora_weights": "pissa_niter_4"}, "started by pissa_niter_4"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configurations_that_change_the_meaning_are_refused(case: str):
    config, message = CONFIGS[case]
    with pytest.raises(NamingError) as refusal:
        resolve(peft("transformer.h.0.attn.c_proj"), {}, config)
    assert message in refusal.value.message


def test_an_alpha_whose_factors_were_removed_changes_nothing():
    shapes = kohya("sd1", "unet.") | {
        key: () for key in kohya("sd1", "text_encoder.") if key.endswith(".alpha")
    }
    naming = resolve(shapes)
    assert len(naming.modules) == 278 and not naming.unmapped


def test_a_declared_base_cannot_paint_the_screen():
    config = {"base_model_name_or_path": "evil\x1b[31m\u202e\n" + "x" * 500}
    with pytest.raises(NamingError) as refusal:
        resolve(peft("a.b.c"), {}, config)
    assert refusal.value.message.isprintable() and len(refusal.value.message) < 300


def test_a_derived_model_of_the_same_layout_is_accepted():
    shapes = dotted("gpt2", ".lora_B.weight", ".lora_A.weight", "base_model.model.")
    config = {"base_model_name_or_path": "someone/my-gpt2-finetune"}
    assert resolve(shapes, {}, config).base_model == "gpt2"


def test_numbered_modules_follow_the_walk_of_the_model():
    """GEGLU between the attentions, the middle block last, keys before queries."""
    shapes: Shapes = {}
    widths = [320] * 2 + [640] * 2 + [1280] * 2 + [1280] * 3 + [640] * 3 + [320] * 3
    for i, width in enumerate([*widths, 1280]):
        sides = [(width, width)] * 4 + [(8 * width, width)]
        sides += [(width, width), (width, 768), (width, 768), (width, width)]
        for j, (out, in_) in enumerate(sides):
            shapes[f"unet:{9 * i + j}:up"] = (out, 1)
            shapes[f"unet:{9 * i + j}:down"] = (1, in_)
    for i in range(48):
        shapes[f"text_encoder:{i}:up"] = (768, 1)
        shapes[f"text_encoder:{i}:down"] = (1, 768)
    metadata = {
        "unet": json.dumps(["GEGLU", "Attention", "CrossAttention"]),
        "text_encoder": '["CLIPAttention"]',
    }
    naming = resolve(shapes | {"sks": (768,)}, metadata | {"sks": "<embed>"})
    block = "unet.down_blocks.0.attentions.0.transformer_blocks.0"
    assert naming.modules[f"{block}.ff.net.0.proj"]["up"] == "unet:4:up"
    middle = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    assert naming.modules[middle]["down"] == "unet:135:down"
    layer = "text_encoder.text_model.encoder.layers.0.self_attn"
    assert naming.modules[f"{layer}.k_proj"]["up"] == "text_encoder:0:up"
    assert naming.modules[f"{layer}.q_proj"]["up"] == "text_encoder:2:up"
    assert naming.side == ("sks",) and naming.format == "cloneofsimo"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "expected unet layers in the order of Stable Diffusion 1 or 2"),
        ({"unet": '["Mystery"]'}, "found Mystery"),
    ],
)
def test_numbers_that_fit_no_walk_are_refused(metadata: dict[str, str], message: str):
    shapes: Shapes = {"unet:0:up": (99, 1), "unet:0:down": (1, 99)}
    with pytest.raises(NamingError) as refusal:
        resolve(shapes, metadata)
    assert message in refusal.value.message


@pytest.mark.parametrize("number", ["x", "٣", "007", "1" * 200])
def test_what_is_no_number_is_no_numbered_module(number: str):
    shapes: Shapes = {"unet:0:up": (99, 1), "unet:0:down": (1, 99)}
    shapes |= {f"unet:{number}.lora_A.weight": (1, 9)}
    with pytest.raises(NamingError, match="expected unet layers in the order"):
        resolve(shapes)
