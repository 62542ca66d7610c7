"""Files as LyCORIS saves them, against what LyCORIS adds to the outputs of a layer.

Its `get_diff_weight` is no oracle: that of LoHa and LoKr multiplies by the scale twice,
while the forward pass, which is what was trained, does so once.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lycoris.modules.base import LycorisBaseModule
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.dylora import DyLoraModule
from lycoris.modules.full import FullModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from safetensors.torch import save_file
from torch import nn

from lorajax.adapters import Update, read_adapter
from lorajax.adapters.alpha import Alpha
from lorajax.adapters.families import FAMILIES
from tests.peers.comparing import (
    BASE,
    CONV,
    POINT,
    SQUARE,
    TALL,
    WIDE,
    assert_same,
    assert_update,
    layers,
    randomise,
    write_base,
)

ALL = (WIDE, TALL, SQUARE, CONV, POINT)
Made = dict[str, LycorisBaseModule]
Changes = dict[str, np.ndarray]


def make(
    kind: type, names: tuple[str, ...] = ALL, size: float = 0.5, **how
) -> tuple[Made, Changes, Changes]:
    """A module for every layer with random parameters, what each adds, and to what."""
    own, made, added, before = layers(), {}, {}, {}
    for name in names:
        module = kind(kohya(name), own[name], 1.0, **how).eval()
        randomise(module, size)
        if hasattr(module, "dora_scale"):
            with torch.no_grad():
                module.dora_scale.abs_().add_(1)
        bare = copy.deepcopy(own[name])
        module.apply_to()
        made[name], before[name] = module, bare.weight.detach().numpy()
        added[name] = response(own[name], before[name].shape)
        added[name] -= response(bare, before[name].shape)
    return made, added, before


def response(layer: nn.Module, shape: tuple[int, ...]) -> np.ndarray:
    """The weight that a layer acts with, from its outputs for single inputs."""
    inputs = torch.eye(shape[1])
    if len(shape) > 2:
        middle = [size // 2 for size in shape[2:]]
        pictures = torch.zeros(shape[1], shape[1], *shape[2:])
        pictures[(..., *middle)] = inputs
        inputs = pictures
    with torch.no_grad():
        outputs = layer(inputs) - layer(torch.zeros_like(inputs))
    # A convolution answers a single point with its kernel, turned around.
    turned = outputs.flip(list(range(2, len(shape))))
    return turned.transpose(0, 1).numpy()


def kohya(name: str) -> str:
    return "lora_unet_" + name.removeprefix("unet.").replace(".", "_")


def save(made: Made, folder: Path) -> Path:
    network = nn.Module()
    for name, module in made.items():
        network.add_module(kohya(name), module)
    path = folder / "made.safetensors"
    tensors = {k: v.detach().contiguous() for k, v in network.state_dict().items()}
    save_file(tensors, path, {"ss_base_model_version": BASE})
    return path


EXACT = {
    "LoCon": (LoConModule, {"lora_dim": 4, "alpha": 2}),
    "LoCon, Tucker": (LoConModule, {"lora_dim": 4, "alpha": 2, "use_tucker": True}),
    "LoCon, rsLoRA": (LoConModule, {"lora_dim": 4, "alpha": 2, "rs_lora": True}),
    "LoCon, scalar": (LoConModule, {"lora_dim": 4, "alpha": 2, "use_scalar": True}),
    "LoCon, alpha 0": (LoConModule, {"lora_dim": 4, "alpha": 0}),
    "LoHa": (LohaModule, {"lora_dim": 3, "alpha": 2}),
    "LoHa, Tucker": (LohaModule, {"lora_dim": 3, "alpha": 2, "use_tucker": True}),
    "LoHa, scalar": (LohaModule, {"lora_dim": 3, "alpha": 2, "use_scalar": True}),
    "LoKr": (LokrModule, {"lora_dim": 2, "alpha": 1, "factor": 8}),
    "LoKr, both": (
        LokrModule,
        {"lora_dim": 2, "alpha": 1, "factor": 8, "decompose_both": True},
    ),
    "LoKr, Tucker": (
        LokrModule,
        {"lora_dim": 2, "alpha": 1, "factor": 8, "use_tucker": True},
    ),
    "LoKr, whole": (
        LokrModule,
        {"lora_dim": 2, "alpha": 1, "factor": 8, "full_matrix": True},
    ),
    "LoKr, unbalanced": (
        LokrModule,
        {"lora_dim": 2, "alpha": 1, "factor": 4, "unbalanced_factorization": True},
    ),
    "LoKr, scalar": (LokrModule, {"lora_dim": 2, "alpha": 1, "use_scalar": True}),
}


@pytest.mark.parametrize("case", EXACT)
def test_updates(tmp_path: Path, case: str):
    kind, how = EXACT[case]
    made, added, _ = make(kind, **how)
    assert_same(save(made, tmp_path), added)


def test_whole_differences_and_their_biases(tmp_path: Path):
    made, added, _ = make(FullModule)
    adapter = assert_same(save(made, tmp_path), added)
    assert adapter.family == "full" and len(adapter.side) == len(ALL)
    assert adapter.ranks[WIDE] == 64


def test_norms_lie_aside(tmp_path: Path):
    made, added, _ = make(LoConModule, (WIDE,), lora_dim=4, alpha=2)
    norm = NormModule("lora_unet_up_blocks_0_resnets_0_norm1", nn.GroupNorm(4, 64))
    randomise(norm)
    network = {**made, "unet.up_blocks.0.resnets.0.norm1": norm}
    adapter = assert_same(save(network, tmp_path), added)
    assert len(adapter.side) == 2 and adapter.family == "lora"


def test_dylora_of_all_its_blocks(tmp_path: Path):
    """LyCORIS divides alpha by the number of blocks: here a block is one pair."""
    made, _, _ = make(DyLoraModule, lora_dim=4, alpha=2, block_size=1)
    whole = {
        name: module.get_diff_weight(rank=3)[0].detach().numpy()
        for name, module in made.items()
    }
    assert_same(save(made, tmp_path), whole)


DECOMPOSED = ("LoCon", "LoCon, Tucker", "LoHa", "LoHa, Tucker", "LoKr", "LoKr, whole")


@pytest.mark.parametrize("case", DECOMPOSED)
@pytest.mark.parametrize("on_output", [True, False])
def test_dora(tmp_path: Path, case: str, on_output: bool):
    kind, how = EXACT[case]
    made, added, before = make(kind, weight_decompose=True, wd_on_out=on_output, **how)
    path = save(made, tmp_path)
    adapter = read_adapter(path)
    assert adapter.family.endswith("+dora")
    axis = "out" if on_output else "in"
    assert {m.axis for m in adapter.magnitudes.values()} == {axis}
    assert_same(path, added, write_base(tmp_path, before), "direction")


OPERATORS = {
    "OFT": (DiagOFTModule, {"lora_dim": 4}),
    "OFT, rescaled": (DiagOFTModule, {"lora_dim": 4, "rescaled": True}),
    "OFT, constrained": (DiagOFTModule, {"lora_dim": 4, "constraint": 0.01}),
    "BOFT": (ButterflyOFTModule, {"lora_dim": 8}),
    "BOFT, rescaled": (ButterflyOFTModule, {"lora_dim": 8, "rescaled": True}),
    "BOFT, constrained": (ButterflyOFTModule, {"lora_dim": 8, "constraint": 0.01}),
    "(IA)³, inputs": (IA3Module, {"train_on_input": True}),
    "(IA)³, outputs": (IA3Module, {"train_on_input": False}),
}


@pytest.mark.parametrize("case", OPERATORS)
def test_operators(tmp_path: Path, case: str):
    kind, how = OPERATORS[case]
    made, added, before = make(kind, size=0.2, **how)
    path = save(made, tmp_path)
    alone = read_adapter(path)
    assert not alone.updates and set(alone.operators) == set(ALL)
    assert alone.family == case.split(",")[0].lower().replace("(ia)³", "ia3")
    assert_same(path, added, write_base(tmp_path, before), "operator")


def test_families_mixed_in_one_file(tmp_path: Path):
    kinds = (
        (LoConModule, WIDE, {"lora_dim": 4, "alpha": 2}),
        (LohaModule, TALL, {"lora_dim": 3, "alpha": 2}),
        (LokrModule, SQUARE, {"lora_dim": 2, "alpha": 1, "factor": 8}),
        (FullModule, CONV, {}),
    )
    found = [make(kind, (name,), **how) for kind, name, how in kinds]
    made = {name: module for own, _, _ in found for name, module in own.items()}
    added = {name: change for _, own, _ in found for name, change in own.items()}
    adapter = assert_same(save(made, tmp_path), added)
    assert adapter.family == "lora+loha+lokr+full"


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv3d])
@pytest.mark.parametrize("tucker", [False, True])
def test_convolutions_of_other_axes(kind: Callable, tucker: bool):
    """No known base model has them, so tensors alone are compared."""
    module = LoConModule("x", kind(6, 10, 3), 1.0, 4, 2, use_tucker=tucker)
    randomise(module)
    roles = {"lora_up": "up", "lora_down": "down", "lora_mid": "mid"}
    state = {key: value.detach().numpy() for key, value in module.state_dict().items()}
    arrays = {
        role: state[f"{name}.weight"]
        for name, role in roles.items()
        if f"{name}.weight" in state
    }
    update = FAMILIES["lora"].build(arrays, Alpha(float(state["alpha"])))
    assert isinstance(update, Update)
    assert_update(update, module.get_diff_weight()[0].detach().numpy())
