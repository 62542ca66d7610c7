"""Files that say the same share one answer, and no others do."""

import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorajax.errors import NamingError
from lorajax.naming import resolve
from lorajax.naming.resolve import _kept, _resolve

Shapes = dict[str, tuple[int, ...]]
MIDDLE = "mid_block.attentions.0.transformer_blocks.0"
LAYOUT = {"version": 1, "groups": 1, "K": 1, "M": 2}


def pairs(modules: dict[str, tuple[int, int]], rank: int = 4) -> Shapes:
    """Dotted names of both factors."""
    shapes: Shapes = {}
    for name, (out, in_) in modules.items():
        shapes[f"{name}.lora_A.weight"] = (rank, in_)
        shapes[f"{name}.lora_B.weight"] = (out, rank)
    return shapes


def numbered(*widths: int) -> Shapes:
    shapes: Shapes = {}
    for i, width in enumerate(widths):
        shapes |= {f"unet:{i}:up": (width, 1), f"unet:{i}:down": (1, width)}
    return shapes


def layout(name: str) -> str:
    return json.dumps(LAYOUT | {"modules": [[name, [1280, 1280]]]})


# One square layer that SD 1 and SD 2 share: what the file says decides.
SHARED = pairs({f"unet.{MIDDLE}.attn1.to_q": (1280, 1280)})
FILES: list[Shapes] = [
    SHARED,
    pairs({f"unet.{MIDDLE}.attn2.to_k": (1280, 768)}),
    pairs({"text_encoder.text_model.encoder.layers.0.mlp.fc1": (3072, 768)}),
    pairs({"base_model.model.transformer.h.0.attn.c_attn": (2304, 768)}),
    numbered(320),
    numbered(320, 320),
    numbered(320) | {"<s1>": (768,), "sks": (768,)},
    {"superlora.g0.k0.core": (1280, 1280)},
    {"foo": (3, 3)},
]
VALUES = {
    "ss_base_model_version": ["sd_v1", "sd_v2", "flux1", "chroma", "", "x" * 700],
    "modelspec.architecture": ["stable-diffusion-xl-v1-base/lora", "flux-1-dev/lora"],
    "ss_base_model": ["sd_1.5", "sd_v2"],
    "unet": ['["CrossAttention"]', '["GEGLU"]', '["ResnetBlock2D"]', "[", '["Odd"]'],
    "text_encoder": ['["CLIPAttention"]', "{}"],
    "superlora": [layout(f"unet.{MIDDLE}.attn1.to_{part}") for part in "qk"],
    "sks": ["<embed>", "<embed> "],
    "ss_output_name": ["one", "two", "<embed>"],
}
CONFIG = {
    "base_model_name_or_path": ["gpt2", "distilgpt2", "runwayml/stable-diffusion-v1-5"],
    "peft_type": ["LORA", "VERA", None],
    "init_lora_weights": [True, "pissa", "gaussian"],
    "use_dora": [True, False, 1, "yes"],
    "use_qalora": [True, None],
    "r": [4, 8],
    "target_modules": [["to_q"], "all-linear"],
}


def choices(values: dict[str, list]) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries(
        {}, optional={field: st.sampled_from(found) for field, found in values.items()}
    )


def outcome(naming, *args) -> dict[str, object] | tuple[str, str | None]:
    """What naming says, be it a refusal."""
    try:
        return vars(naming(*args))
    except NamingError as error:
        return error.message, error.hint


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(FILES), choices(VALUES), choices(CONFIG))
def test_a_shared_answer_is_the_one_that_the_whole_file_gives(
    shapes: Shapes, metadata: dict[str, str], config: dict[str, object]
):
    """Nothing is left out of what naming reads, and nothing is mixed up."""
    expected = outcome(_resolve, shapes, metadata, config)
    assert outcome(resolve, shapes, metadata, config) == expected
    assert outcome(resolve, shapes, metadata, config) == expected


@pytest.fixture
def _empty():
    _kept.cache_clear()


@pytest.mark.usefixtures("_empty")
def test_files_that_differ_in_other_words_share_it():
    first = resolve(SHARED, {"ss_base_model_version": "sd_v1", "ss_output_name": "a"})
    again = resolve(
        dict(SHARED),
        {"ss_output_name": "b", "ss_base_model_version": "sd_v1", "ss_tag": "<embed>"},
        {"r": 4, "target_modules": ["to_q"], "use_dora": False},
    )
    assert again is first and _kept.cache_info().hits == 1


@pytest.mark.usefixtures("_empty")
def test_files_that_differ_in_what_is_read_do_not():
    one = {"ss_base_model_version": "sd_v1"}
    two = {"ss_base_model_version": "sd_v2"}
    for _ in range(2):
        assert resolve(SHARED, one).base_model == "sd1"
        assert resolve(SHARED, two).base_model == "sd2"
    wider = pairs({f"unet.{MIDDLE}.attn1.to_q": (1280, 1280)}, rank=8)
    turned = dict(reversed(SHARED.items()))
    for shapes, said in product([SHARED, wider, turned], [one, two]):
        assert resolve(shapes, said) is resolve(shapes, said)
    assert _kept.cache_info().currsize == 6


def test_classes_of_numbered_layers_are_told_apart():
    """The same number means another layer below other classes."""
    said = {"ss_base_model": "sd_1.5"}
    wide = {"unet:0:up": (2560, 1), "unet:0:down": (1, 320)}
    named = resolve(wide, said | {"unet": '["GEGLU"]'})
    assert next(iter(named.modules)).endswith("ff.net.0.proj")
    with pytest.raises(NamingError, match="over CrossAttention, found 1 layers"):
        resolve(wide, said | {"unet": '["CrossAttention"]'})
    below = {"CrossAttention": "attn1.to_q", "ResnetBlock2D": "resnets.0.conv1"}
    square = {"unet:0:up": (320, 1, 1, 1), "unet:0:down": (1, 320, 1, 1)}
    kernel = {"unet:0:up": (320, 1, 1, 1), "unet:0:down": (1, 320, 3, 3)}
    for name, shapes in zip(below, (square, kernel), strict=True):
        found = resolve(shapes, said | {"unet": json.dumps([name])})
        assert next(iter(found.modules)).endswith(below[name])


def test_a_token_is_no_token_in_the_next_file():
    shapes = numbered(320) | {"sks": (768,)}
    said = {"ss_base_model": "sd_1.5"}
    assert resolve(shapes, said | {"sks": "<embed>"}).side == ("sks",)
    with pytest.raises(NamingError, match="'sks'"):
        resolve(shapes, said)


def test_configurations_are_told_apart():
    shapes = FILES[3]
    assert resolve(shapes, {}, {"base_model_name_or_path": "gpt2"})
    with pytest.raises(NamingError, match="not supported yet"):
        resolve(shapes, {}, {"base_model_name_or_path": "gpt2", "use_qalora": True})


@pytest.mark.parametrize("shapes", [SHARED, FILES[7]])
def test_a_shared_answer_cannot_be_changed(shapes: Shapes):
    said = {"ss_base_model": "sd_1.5", "superlora": VALUES["superlora"][0]}
    naming = resolve(shapes, said)
    module = next(iter(naming.modules))
    for mapping in (naming.modules, naming.raw_modules, naming.modules[module]):
        with pytest.raises(TypeError):
            mapping["x"] = "y"  # pyright: ignore[reportIndexIssue]


@pytest.mark.usefixtures("_empty")
def test_a_huge_file_is_not_kept():
    names = {f"unet.{MIDDLE}.attn2.to_k": (1280, 768)}
    shapes = pairs(names) | {f"{'x' * 250}.{i}.bias": (1,) for i in range(2100)}
    assert len(resolve(shapes).side) == 2100
    assert _kept.cache_info().currsize == 0
