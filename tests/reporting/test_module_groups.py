"""Groups of modules in words."""

import pytest

from lorajax.naming.bases import TABLED, base_of
from lorajax.reporting.module_groups import group_modules

BLOCK = "transformer.transformer_blocks.{}.attn.add_q_proj"


@pytest.mark.parametrize(
    ("module", "group"),
    [
        (
            "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v",
            "unet up blocks, attn2 value",
        ),
        (
            "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
            "unet mid block, attn1 output",
        ),
        ("unet.down_blocks.2.resnets.1.conv2", "unet down blocks, convolutions"),
        ("unet.down_blocks.0.attentions.1.proj_in", "unet down blocks, proj in"),
        ("transformer.context_embedder", "transformer, context embedder"),
        ("model.layers.3.self_attn.k_proj", "model layers, self attn key"),
        ("model.layers.3.mlp.gate_proj", "model layers, feed-forward"),
    ],
)
def test_a_group_says_where_and_what(module: str, group: str) -> None:
    assert group_modules([module]) == {module: group}


def test_long_stacks_are_cut_in_thirds_of_their_depth() -> None:
    names = [BLOCK.format(i) for i in range(9)]
    found = group_modules(names)
    words = [found[name].split()[1] for name in names]
    assert words == ["early"] * 3 + ["middle"] * 3 + ["late"] * 3
    assert found[names[0]] == "transformer early transformer blocks, attn query"


@pytest.mark.parametrize("base_model", TABLED)
def test_every_module_has_a_group_and_groups_are_few(base_model: str) -> None:
    modules = [module.name for module in base_of(base_model).table.modules]
    found = group_modules(modules)
    assert set(found) == set(modules)
    assert len(set(found.values())) <= 120
    assert all(not any(c in "._" for c in group) for group in found.values())
