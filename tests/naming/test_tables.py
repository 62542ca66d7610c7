"""Module tables have the counts and sizes that trainers log."""

from itertools import pairwise
from math import prod
from pathlib import Path

import pytest

from lorajax.errors import NamingError
from lorajax.naming import BASE_MODELS, ModuleTable, table_of
from lorajax.naming.bases import TABLED, base_of

# Modules and Σ(in + out), the parameters per rank, as kohya's trainers report them.
SIZES = {
    ("sd1", "attentions"): (192, 423_936),
    ("sd1", "unet."): (278, 1_050_816),
    ("sd1", "text_encoder."): (72, 165_888),
    ("sd2", "attentions"): (192, 432_128),
    ("sd2", "text_encoder."): (138, 423_936),
    ("sdxl", "attentions"): (722, 2_659_840),
    ("sdxl", "unet."): (788, 3_074_240),
    ("sdxl", "text_encoder."): (72, 165_888),
    ("sdxl", "text_encoder_2."): (192, 903_168 - 165_888),
    ("flux", "transformer_blocks."): (494, 5_369_856),
    ("flux", "single_transformer_blocks."): (228, 2_451_456),
    ("flux", "text_encoder."): (72, 165_888),
    ("sd3-medium", "text_encoder_2."): (192, 903_168 - 165_888),
    ("llama-32x4096-14336", "layers."): (224, 2_621_440),
    ("llama-32x4096-11008", "layers."): (224, 2_498_560),
    ("llama-28x3584-18944", "layers."): (196, 2_523_136),
}


def parameters(table: ModuleTable, part: str) -> tuple[int, int]:
    chosen = [module for module in table.modules if part in module.name]
    return len(chosen), sum(m.shape[0] + prod(m.shape[1:]) for m in chosen)


@pytest.mark.parametrize(("base", "part"), SIZES)
def test_counts_and_sizes(base: str, part: str):
    assert parameters(table_of(base), part) == SIZES[base, part]


@pytest.mark.parametrize(
    ("base", "count"), [("gpt2", 48), ("roberta-base", 72), ("distilbert-base", 36)]
)
def test_language_models_have_all_their_linear_layers(base: str, count: int):
    assert len(table_of(base)) == count


@pytest.mark.parametrize("base", BASE_MODELS)
def test_names_are_unique_also_when_dots_are_underscores(base: str):
    table = table_of(base)
    assert table.base_model == base
    underscored = {name.replace(".", "_") for name in table.positions}
    assert len(table.positions) == len(underscored) == len(table)


def test_known_places():
    shapes = {m.name: m.shape for m in table_of("sd1").modules}
    assert shapes["unet.up_blocks.1.resnets.2.conv1"] == (1280, 1920, 3, 3)
    assert shapes["unet.up_blocks.3.resnets.0.conv_shortcut"] == (320, 960, 1, 1)
    block = "unet.mid_block.attentions.0.transformer_blocks.0"
    assert shapes[f"{block}.attn2.to_k"] == (1280, 768)
    assert shapes[f"{block}.ff.net.0.proj"] == (10240, 1280)


def test_known_places_of_flux():
    """Shapes that a public file of diffusers has, at rank 32."""
    modules = table_of("flux").modules
    assert modules[0].name == "transformer.transformer_blocks.0.norm1.linear"
    last = "transformer.single_transformer_blocks.37.proj_out"
    assert modules[493].name == last
    shapes = {m.name.removeprefix("transformer."): m.shape for m in modules}
    assert shapes["transformer_blocks.0.norm1_context.linear"] == (18432, 3072)
    assert shapes["transformer_blocks.18.attn.to_add_out"] == (3072, 3072)
    assert shapes["transformer_blocks.7.ff_context.net.0.proj"] == (12288, 3072)
    assert shapes["single_transformer_blocks.0.proj_mlp"] == (12288, 3072)
    assert shapes["single_transformer_blocks.37.proj_out"] == (3072, 15360)
    assert shapes["norm_out.linear"] == (6144, 3072)


def test_an_unknown_base_lists_the_known():
    with pytest.raises(NamingError, match=r"expected .*sd1, sd2, sdxl.*found 'sd9'"):
        table_of("sd9")


@pytest.mark.parametrize("base", TABLED)
def test_rows_of_every_layer_are_shared_out(base: str):
    """Each row of each weight belongs to one canonical module, and none is left."""
    shapes = {module.name: module.shape for module in table_of(base).modules}
    for component in base_of(base).components:
        for layer in component.layers:
            out, *in_ = layer.shape
            spans = []
            for piece in layer.pieces:
                assert shapes[f"{component.name}.{piece.module}"] == piece.shape
                assert list(piece.shape[1:]) == in_
                rows = piece.rows or ((0, out),)
                assert sum(stop - start for start, stop in rows) == piece.shape[0]
                spans += rows
            assert sorted(spans)[0][0] == 0 and sorted(spans)[-1][1] == out
            assert all(a[1] == b[0] for a, b in pairwise(sorted(spans)))


def test_the_docs_name_every_base_model_with_a_table():
    text = (Path(__file__).parents[2] / "docs" / "bases.md").read_text(encoding="utf-8")
    assert [base for base in TABLED if f"`{base}`" not in text] == []
