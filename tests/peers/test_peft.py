"""Adapters as PEFT saves them, against the weights that PEFT merges."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import (
    AdaLoraConfig,
    BOFTConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    get_peft_model,
)
from peft.tuners.boft.layer import BOFTLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from lorajax.adapters.alpha import Alpha
from lorajax.adapters.oft import build_oft
from tests.peers.comparing import (
    BASE,
    CONV,
    POINT,
    SQUARE,
    TALL,
    WIDE,
    assert_same,
    layers,
    randomise,
    write_base,
)

LINEAR = (WIDE, TALL, SQUARE)
ALL = (*LINEAR, CONV, POINT)
GPT2 = ("transformer.h.0.attn.c_attn", "transformer.h.0.mlp.c_proj")


class Network(nn.Module):
    """Layers at their places in the tree of a model, which never runs."""

    def __init__(self, named: dict[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in named.items():
            place: nn.Module = self
            *path, last = name.split(".")
            for step in path:
                if not hasattr(place, step):
                    place.add_module(step, nn.Module())
                place = getattr(place, step)
            place.add_module(last, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def network(names: tuple[str, ...]) -> Network:
    """In double precision, so that differences of merged weights are exact."""
    own = layers()
    tree = Network({name.removeprefix("unet."): own[name] for name in names})
    return tree.double()


def saved(
    model: Network,
    config,
    folder: Path,
    size: float = 0.1,
    base: str = BASE,
) -> tuple[Path, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The file, what merging adds to every layer, and the weights before it."""
    before = weights_of(model)
    tuned = get_peft_model(model, config).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad and "ranknum" not in name:
                noise = torch.randn(parameter.shape, generator=generator)
                around = 1.0 if any(word in name for word in AROUND_ONE) else 0.0
                parameter.copy_(around + size * noise.abs())
    tuned.peft_config["default"].base_model_name_or_path = base
    tuned.save_pretrained(str(folder))
    merged = weights_of(tuned.merge_and_unload())
    changed = {name: merged[name] - weight for name, weight in before.items()}
    return folder / "adapter_model.safetensors", changed, before


AROUND_ONE = ("magnitude", "ia3_l", "boft_s")


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {
        name.removesuffix(".weight"): parameter.detach().numpy().copy()
        for name, parameter in model.named_parameters()
        if name.endswith(".weight")
    }


def canonical(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"unet.{name}": array for name, array in found.items()}


def suffixes(names: tuple[str, ...]) -> list[str]:
    return [name.removeprefix("unet.") for name in names]


def lora(names=ALL, **how) -> LoraConfig:
    return LoraConfig(target_modules=suffixes(names), init_lora_weights=False, **how)


EXACT = {
    "LoRA": lora(r=4, lora_alpha=6),
    "LoRA, rsLoRA": lora(r=4, lora_alpha=6, use_rslora=True),
    "LoRA, patterns": lora(
        r=4, lora_alpha=6, rank_pattern={"net.2": 2}, alpha_pattern={"attn2.to_k": 3}
    ),
    "LoHa": LoHaConfig(target_modules=suffixes(ALL), r=3, alpha=2),
    "LoHa, Tucker": LoHaConfig(
        target_modules=suffixes(ALL), r=3, alpha=2, use_effective_conv2d=True
    ),
    "LoKr": LoKrConfig(target_modules=suffixes(ALL), r=2, alpha=3),
    "LoKr, Tucker": LoKrConfig(
        target_modules=suffixes(ALL), r=2, alpha=3, use_effective_conv2d=True
    ),
    "LoKr, both": LoKrConfig(
        target_modules=suffixes(ALL), r=1, alpha=3, decompose_both=True
    ),
    "LoKr, both whole": LoKrConfig(
        target_modules=suffixes(LINEAR), r=64, alpha=3, decompose_factor=8
    ),
    "AdaLoRA": AdaLoraConfig(
        target_modules=suffixes(LINEAR),
        init_r=6,
        target_r=4,
        lora_alpha=3,
        total_step=9,
    ),
}


@pytest.mark.parametrize("case", EXACT)
def test_updates(tmp_path: Path, case: str):
    config = EXACT[case]
    names = ALL if len(config.target_modules) == len(ALL) else LINEAR
    path, changed, _ = saved(network(names), config, tmp_path)
    assert_same(path, canonical(changed))


def test_adalora_after_pruning(tmp_path: Path):
    """Of the first six pairs four are left: alpha is still divided by six."""
    config = AdaLoraConfig(
        target_modules=suffixes((WIDE,)),
        init_r=6,
        target_r=4,
        lora_alpha=3,
        total_step=9,
    )
    model = network((WIDE,))
    tuned = get_peft_model(model, config)
    randomise(tuned.base_model.model.get_submodule(WIDE.removeprefix("unet.")).lora_A)
    layer = tuned.base_model.model.get_submodule(WIDE.removeprefix("unet."))
    for part in (layer.lora_A, layer.lora_B, layer.lora_E):
        randomise(part)
    kept = [True, False, True, True, False, True]
    with torch.no_grad():
        layer.lora_E["default"][~torch.tensor(kept)] = 0
    expected = layer.get_delta_weight("default").detach().numpy()
    name = f"{WIDE.removeprefix('unet.')}.lora_E"
    tuned.peft_config["default"].rank_pattern = {name: kept}
    tuned.peft_config["default"].base_model_name_or_path = BASE
    tuned.save_pretrained(str(tmp_path))
    adapter = assert_same(tmp_path / "adapter_model.safetensors", {WIDE: expected})
    assert adapter.family == "adalora" and adapter.ranks[WIDE] == 4


def test_dora(tmp_path: Path):
    config = lora(r=4, lora_alpha=6, use_dora=True)
    path, changed, before = saved(network(ALL), config, tmp_path)
    base = write_base(tmp_path, canonical(before))
    adapter = assert_same(path, canonical(changed), base, "direction")
    assert adapter.family == "lora+dora"


def test_butterflies_of_several_stages():
    """PEFT builds them on a GPU only: its permutations and rotations, put together."""
    m, n, b = 3, 8, 4
    torch.manual_seed(0)
    blocks = 0.3 * torch.randn(m, n, b, b, dtype=torch.double)
    scales = 1 + 0.1 * torch.randn(16, 1, dtype=torch.double)
    weight = torch.randn(16, n * b, dtype=torch.double)
    rotation = torch.eye(n * b, dtype=torch.double)
    for i in range(m):
        order = BOFTLayer.block_butterfly_perm(None, n * b, n >> i, b // 2, m - 1)
        turned = torch.block_diag(*BOFTLayer.cayley_batch(None, blocks[i]))
        placed = BOFTLayer.perm2mat(None, order).double()
        rotation = placed @ turned @ placed.T @ rotation
    expected = (rotation @ weight.T).T * scales - weight
    arrays = {"boft_R": blocks.numpy(), "boft_s": scales.numpy()}
    found = build_oft(arrays, Alpha()).delta_weight(weight.numpy())
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


OPERATORS = {
    "OFT": OFTConfig(
        target_modules=suffixes(ALL), r=0, oft_block_size=8, use_cayley_neumann=False
    ),
    "OFT, series": OFTConfig(target_modules=suffixes(ALL), r=0, oft_block_size=8),
    "OFT, long series": OFTConfig(
        target_modules=suffixes(ALL), r=8, oft_block_size=0, num_cayley_neumann_terms=7
    ),
    "OFT, short series": OFTConfig(
        target_modules=suffixes(ALL), r=8, oft_block_size=0, num_cayley_neumann_terms=3
    ),
    "OFT, shared": OFTConfig(
        target_modules=suffixes(LINEAR), r=0, oft_block_size=8, block_share=True
    ),
    "BOFT": BOFTConfig(target_modules=suffixes(ALL), boft_block_size=8),
    "(IA)³": IA3Config(
        target_modules=suffixes(ALL), feedforward_modules=suffixes((WIDE, CONV))
    ),
}


@pytest.mark.parametrize("case", OPERATORS)
def test_operators(tmp_path: Path, case: str):
    config = OPERATORS[case]
    names = ALL if len(config.target_modules) == len(ALL) else LINEAR
    path, changed, before = saved(network(names), config, tmp_path, size=0.05)
    base = write_base(tmp_path, canonical(before))
    assert_same(path, canonical(changed), base, "operator")


GPT2_CONFIGS = {
    "LoRA": LoraConfig(target_modules=list(GPT2), r=4, fan_in_fan_out=True),
    "DoRA": LoraConfig(
        target_modules=list(GPT2), r=4, fan_in_fan_out=True, use_dora=True
    ),
    "(IA)³": IA3Config(
        target_modules=list(GPT2), feedforward_modules=[GPT2[1]], fan_in_fan_out=True
    ),
}


@pytest.mark.parametrize("case", GPT2_CONFIGS)
def test_weights_that_lie_transposed(tmp_path: Path, case: str):
    model = Network({GPT2[0]: Conv1D(2304, 768), GPT2[1]: Conv1D(768, 3072)}).double()
    config = GPT2_CONFIGS[case]
    path, changed, before = saved(model, config, tmp_path, 0.02, "gpt2")
    expected = {name: change.T for name, change in changed.items()}
    base = None if case == "LoRA" else write_base(tmp_path, before)
    tier = {"LoRA": "exact", "DoRA": "direction"}.get(case, "operator")
    assert_same(path, expected, base, tier)
