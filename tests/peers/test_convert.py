"""Files of kohya's trainer and of LyCORIS, converted, as PEFT itself loads them."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from peft import PeftModel
from safetensors.numpy import save_file

from lorajax.adapters import read_adapter, with_base
from lorajax.export.convert import convert_file
from lorajax.export.convert.kronecker import split
from lorajax.formats import open_tensor_file
from tests.peers.comparing import BASE, assert_update, write_base
from tests.peers.test_peft import ALL, canonical, network, weights_of

# A rank and an alpha for every module, so that patterns are needed.
RANKS = {name: 2 + i for i, name in enumerate(ALL)}


def lora(shape: tuple[int, ...], rank: int) -> dict[str, np.ndarray]:
    out, in_, *window = shape
    ones = [1] * len(window)
    return {
        "lora_up.weight": some(out, rank, *ones),
        "lora_down.weight": some(rank, in_, *window),
    }


def dora(shape: tuple[int, ...], rank: int) -> dict[str, np.ndarray]:
    magnitudes = 1 + np.abs(some(shape[0], *(1 for _ in shape[1:])))
    return lora(shape, rank) | {"dora_scale": magnitudes}


def loha(shape: tuple[int, ...], rank: int) -> dict[str, np.ndarray]:
    out, in_ = shape[0], int(np.prod(shape[1:]))
    return {
        **{f"hada_w{i}_a": some(out, rank) * i for i in (1, 2)},
        **{f"hada_w{i}_b": some(rank, in_) / i for i in (1, 2)},
    }


def lokr(shape: tuple[int, ...], rank: int) -> dict[str, np.ndarray]:
    """The smaller sides in a whole matrix, the larger in a pair or whole as well."""
    (p, s), (q, t) = (split(side, 8) for side in shape[:2])
    window = shape[2:]
    own = {"lokr_w1": some(p, q)}
    if 2 * rank >= max(s, t):
        return own | {"lokr_w2": some(s, t, *window)}
    return own | {"lokr_w2_a": some(s, rank), "lokr_w2_b": some(rank, t, *window)}


def some(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return (0.3 * rng.standard_normal(shape)).astype("f4")


@pytest.mark.parametrize("family", [lora, dora, loha, lokr])
def test_peft_merges_what_the_file_says(tmp_path: Path, family):
    before = weights_of(network(ALL))
    tensors = {}
    for name, rank in RANKS.items():
        short = name.removeprefix("unet.")
        raw = "lora_unet_" + short.replace(".", "_")
        own = family(before[short].shape, rank)
        tensors |= {f"{raw}.{role}": array for role, array in own.items()}
        tensors[f"{raw}.alpha"] = np.array(7 - rank, "f4")
    source = tmp_path / "own.safetensors"
    save_file(tensors, source, {"ss_base_model_version": BASE})
    folder = Path(convert_file(source, "peft", tmp_path / "peft").out).parent
    with warnings.catch_warnings():
        # A key that is missing or left over is no more than a warning to PEFT.
        warnings.simplefilter("error")
        model = PeftModel.from_pretrained(network(ALL), str(folder)).double()
    merged = weights_of(model.merge_and_unload())
    adapter = read_adapter(source)
    if family is dora:
        base = open_tensor_file(write_base(tmp_path, canonical(before)))
        adapter = with_base(adapter, base)
    assert set(adapter.updates) == set(ALL)
    for name, update in adapter.updates.items():
        short = name.removeprefix("unet.")
        assert_update(update, merged[short] - before[short])
