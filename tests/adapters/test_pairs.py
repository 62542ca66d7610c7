"""Cores between the pairs of a LoRA, pruned pairs, and whole differences."""

from pathlib import Path

import numpy as np
import pytest

from lorajax.adapters import DenseUpdate, LowRankUpdate, Update, read_adapter
from lorajax.adapters.alpha import Alpha
from lorajax.adapters.families import FAMILIES
from lorajax.errors import AdapterError
from tests.adapters.assertions import assert_behaves, close
from tests.adapters.zoo_files import (
    CONV,
    SHAPES,
    SQUARE,
    WIDE,
    kohya,
    lora,
    pair,
    write,
    write_peft,
)

RAW = WIDE.removeprefix("unet.")


def tucker(
    shape: tuple[int, ...], rank: int, inner: int | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """up, mid and down of a convolution, and their product by einsum."""
    rng = np.random.default_rng(0)
    out, in_, *kernel = shape
    ones, inner = (1,) * len(kernel), inner or rank
    up = rng.standard_normal((out, rank, *ones)).astype("f4")
    mid = rng.standard_normal((rank, inner, *kernel)).astype("f4")
    down = rng.standard_normal((inner, in_, *ones)).astype("f4")
    weight = np.einsum(
        "oi,ij...,jn->on...",
        up.reshape(out, rank).astype("f8"),
        mid.astype("f8"),
        down.reshape(inner, in_).astype("f8"),
    )
    return {"up": up, "mid": mid, "down": down}, weight.reshape(out, -1)


@pytest.mark.parametrize("shape", [(6, 5, 3), (6, 5, 3, 2), (6, 5, 2, 3, 2)])
def test_cores_of_any_number_of_axes(shape: tuple[int, ...]):
    arrays, weight = tucker(shape, 3, 2)
    update = FAMILIES["lora"].build(arrays, Alpha(4.0))
    assert isinstance(update, LowRankUpdate) and update.rank == 3
    assert_behaves(update, 4 / 2 * weight, 0)


@pytest.mark.parametrize("kernel", [(3,), (3, 3), (2, 3, 3)])
def test_pairs_of_any_number_of_axes(kernel: tuple[int, ...]):
    rng = np.random.default_rng(0)
    up = rng.standard_normal((6, 2, *(1 for _ in kernel)))
    down = rng.standard_normal((2, 5, *kernel))
    update = FAMILIES["lora"].build({"up": up, "down": down}, Alpha())
    assert isinstance(update, Update)
    assert_behaves(
        update, np.einsum("oi,in->on", up.reshape(6, 2), down.reshape(2, -1)), 0
    )


def test_a_file_with_cores_and_without(tmp_path: Path):
    arrays, weight = tucker(SHAPES[CONV], 4)
    names = {
        "up": "lora_up.weight",
        "mid": "lora_mid.weight",
        "down": "lora_down.weight",
    }
    named = {names[role]: array for role, array in arrays.items()}
    plain, dense = lora(WIDE)
    tensors = kohya(named, CONV, 2.0) | kohya(plain, WIDE, 2.0)
    adapter = read_adapter(write(tmp_path / "style.safetensors", tensors))
    assert (adapter.family, adapter.tier) == ("lora", "exact")
    assert adapter.ranks == {CONV: 4, WIDE: 4}
    assert_behaves(adapter.updates[CONV], weight / 2, 0)
    assert_behaves(adapter.updates[WIDE], dense / 2, 0)


def test_cores_of_other_ranks_are_refused(tmp_path: Path):
    arrays, _ = tucker(SHAPES[CONV], 4)
    arrays["mid"] = arrays["mid"][:3]
    named = {f"lora_{role}.weight": array for role, array in arrays.items()}
    path = write(tmp_path / "style.safetensors", kohya(named, CONV))
    with pytest.raises(AdapterError, match=r"with a core mid .* found down \[4, 128"):
        read_adapter(path)


def adalora(kept: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """PEFT's tensors with `kept` pairs left, and their product."""
    up, down = pair(WIDE, kept)
    diagonal = np.arange(1, kept + 1, dtype="f4")[:, None]
    tensors = {f"{RAW}.lora_A": down, f"{RAW}.lora_B": up, f"{RAW}.lora_E": diagonal}
    return tensors, up.astype("f8") @ (diagonal * down)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 3, "init_r": 6}, 3 / (6 + 1e-5)),
        ({"lora_alpha": 0, "init_r": 6}, 4 / (6 + 1e-5)),
        ({"lora_alpha": -1}, 4 / (4 + 1e-5)),
        ({"init_r": 6, "alpha_pattern": {}}, 8 / (6 + 1e-5)),
    ],
)
def test_adalora_divides_by_the_rank_it_began_with(
    tmp_path: Path, config: dict, scale: float
):
    tensors, weight = adalora(4)
    adapter = read_adapter(write_peft(tmp_path, tensors, peft_type="ADALORA", **config))
    assert (adapter.family, adapter.ranks[WIDE]) == ("adalora", 4)
    assert_behaves(adapter.updates[WIDE], scale * weight, 0)


def test_a_module_that_lost_all_its_pairs_is_dead(tmp_path: Path):
    tensors, _ = adalora(4)
    gone = SQUARE.removeprefix("unet.")
    tensors |= {
        f"{gone}.lora_A": np.zeros((0, 64), "f4"),
        f"{gone}.lora_B": np.zeros((64, 0), "f4"),
        f"{gone}.lora_E": np.zeros((0, 1), "f4"),
    }
    adapter = read_adapter(write_peft(tmp_path, tensors, peft_type="ADALORA"))
    assert adapter.dead == (SQUARE,) and set(adapter.updates) == {WIDE}
    assert adapter.ranks[SQUARE] == 0


@pytest.mark.parametrize(("field", "value"), [("init_r", 0), ("init_r", "six")])
def test_a_rank_that_is_none_is_refused(tmp_path: Path, field: str, value: object):
    tensors, _ = adalora(4)
    path = write_peft(tmp_path, tensors, peft_type="ADALORA", **{field: value})
    with pytest.raises(AdapterError, match="expected a rank from 1"):
        read_adapter(path)


def test_whole_differences(tmp_path: Path):
    """Matrices are updates; those of norms and biases are vectors, and lie aside."""
    rng = np.random.default_rng(0)
    whole = {
        name: rng.standard_normal(SHAPES[name]).astype("f4") for name in (CONV, WIDE)
    }
    tensors = kohya({"diff": whole[CONV], "diff_b": np.ones(64, "f4")}, CONV)
    tensors |= kohya({"diff": whole[WIDE]}, WIDE, 5.0)
    norm = "unet.up_blocks.0.resnets.0.norm1"
    tensors |= kohya({"diff": np.ones(64, "f4"), "diff_b": np.ones(64, "f4")}, norm)
    tensors |= kohya(
        {"w_norm": np.ones(64, "f4"), "b_norm": np.ones(64, "f4")}, f"{norm}b"
    )
    adapter = read_adapter(write(tmp_path / "full.safetensors", tensors))
    assert (adapter.family, adapter.tier) == ("full", "exact")
    assert len(adapter.side) == 5 and not adapter.unmapped
    assert adapter.ranks == {CONV: 64, WIDE: 64}
    for name, weight in whole.items():
        assert isinstance(adapter.updates[name], DenseUpdate)
        assert_behaves(adapter.updates[name], weight.reshape(len(weight), -1), 0)


def test_a_module_of_two_kinds_is_refused(tmp_path: Path):
    tensors, _ = lora(WIDE)
    tensors["diff"] = np.ones(SHAPES[WIDE], "f4")
    path = write(tmp_path / "both.safetensors", kohya(tensors, WIDE))
    with pytest.raises(AdapterError, match=r"one kind of update .* lora and full"):
        read_adapter(path)


def test_families_mixed_in_one_file(tmp_path: Path):
    plain, dense = lora(SQUARE)
    whole = np.full(SHAPES[WIDE], 0.5, "f4")
    tensors = kohya(plain, SQUARE) | kohya({"diff": whole}, WIDE)
    adapter = read_adapter(write(tmp_path / "mixed.safetensors", tensors))
    assert adapter.family == "lora+full" and len(adapter.updates) == 2
    close(adapter.norm, np.sqrt(np.sum(dense**2) + np.sum(whole**2)))
