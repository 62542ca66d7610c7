"""The base model's file: how weights are found in it, and what is refused."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.adapters import Adapter, inspect_file, read_adapter, with_base
from lorajax.errors import AdapterError
from lorajax.formats import open_tensor_file
from lorajax.formats.safetensors_file import TensorFile
from tests.adapters.assertions import assert_behaves
from tests.adapters.zoo_files import (
    CONV,
    SQUARE,
    WIDE,
    base_weights,
    kohya,
    lora,
    write,
    write_base,
    write_peft,
)


@pytest.fixture
def scaled(tmp_path: Path) -> Path:
    """(IA)³ that doubles every input of one layer."""
    tensors = {"weight": np.ones(128, "f4"), "on_input": np.array(1, "u1")}
    return write(tmp_path / "scaled.safetensors", kohya(tensors, WIDE))


def based(path: Path, base: Path) -> Adapter:
    return with_base(read_adapter(path), open_tensor_file(base))


@pytest.mark.parametrize("component", [True, False])
def test_weights_are_found_with_and_without_their_component(
    tmp_path: Path, scaled: Path, component: bool
):
    weights = base_weights(WIDE)
    base = write_base(tmp_path / "base.safetensors", weights, component)
    assert_behaves(based(scaled, base).updates[WIDE], weights[WIDE], 0)


def test_only_the_weights_that_matter_are_read(
    tmp_path: Path, scaled: Path, monkeypatch: pytest.MonkeyPatch
):
    base = write_base(tmp_path / "base.safetensors", base_weights(WIDE, SQUARE, CONV))
    seen: list[str] = []
    read = TensorFile.read

    def recording(self: TensorFile, name: str) -> np.ndarray:
        seen.append(name)
        return read(self, name)

    monkeypatch.setattr(TensorFile, "read", recording)
    adapter = based(scaled, base)
    assert adapter.norm > 0 and set(seen) == {f"{WIDE}.weight"}


def test_half_precision_weights(tmp_path: Path, scaled: Path):
    weights = base_weights(WIDE)
    half = {WIDE: weights[WIDE].astype(ml_dtypes.bfloat16)}
    base = write_base(tmp_path / "base.safetensors", half)
    assert_behaves(based(scaled, base).updates[WIDE], half[WIDE].astype("f8"), 0)


def test_weights_of_gpt2_lie_transposed(tmp_path: Path):
    module = "transformer.h.0.mlp.c_proj"
    weight = np.random.default_rng(0).standard_normal((3072, 768)).astype("f4")
    base = tmp_path / "base.safetensors"
    save_file({"h.0.mlp.c_proj.weight": weight}, base)
    vector = np.linspace(0, 1, 3072, dtype="f4")[None]
    path = write_peft(
        tmp_path / "adapter",
        {f"{module}.ia3_l": vector},
        peft_type="IA3",
        base_model_name_or_path="gpt2",
    )
    found = based(path, base).updates[module].dense()
    np.testing.assert_allclose(found, weight.T * (vector - 1), rtol=1e-5, atol=1e-6)


def test_base_models_without_a_table(tmp_path: Path):
    """The update of DoRA tells the weight's shape, an operator does not."""
    module = "model.layers.0.self_attn.q_proj"
    rng = np.random.default_rng(0)
    up, down, weight = (
        rng.standard_normal(shape).astype("f4")
        for shape in ((48, 2), (2, 48), (48, 48))
    )
    base = tmp_path / "base.safetensors"
    save_file({f"{module}.weight": weight}, base)
    m = np.linspace(1, 2, 48, dtype="f4")
    tensors = {"lora_B.weight": up, "lora_A.weight": down, "lora_magnitude_vector": m}
    path = write_peft(
        tmp_path / "dora",
        {f"{module}.{role}": array for role, array in tensors.items()},
        base_model_name_or_path="nobody/knows",
        lora_alpha=2,
    )
    assert read_adapter(path).base_model == "llama-48"
    total = weight + up.astype("f8") @ down
    new = m[:, None] * total / np.linalg.norm(total, axis=1, keepdims=True)
    assert_behaves(based(path, base).updates[module], new - weight, 0)
    path = write_peft(tmp_path / "ia3", {f"{module}.ia3_l": m[None]}, peft_type="IA3")
    with pytest.raises(AdapterError, match=r"a table of modules, .* found llama-48"):
        based(path, base)


def test_weights_of_all_sizes_of_gpt2_lie_transposed(tmp_path: Path):
    module = "transformer.h.1.attn.c_proj"
    weight = np.random.default_rng(0).standard_normal((1024, 1024)).astype("f4")
    base = tmp_path / "base.safetensors"
    save_file({f"{module}.weight": weight}, base)
    vector = np.linspace(0, 1, 1024, dtype="f4")[None]
    path = write_peft(
        tmp_path / "adapter",
        {f"{module}.ia3_l": vector},
        base_model_name_or_path="gpt2-medium",
    )
    found = based(path, base).updates[module].dense()
    np.testing.assert_allclose(found, weight.T * (vector - 1), rtol=1e-5, atol=1e-6)


def test_an_exact_adapter_needs_no_base(tmp_path: Path):
    plain, _ = lora(WIDE)
    adapter = read_adapter(write(tmp_path / "lora.safetensors", kohya(plain, WIDE)))
    base = write_base(tmp_path / "base.safetensors", base_weights(CONV))
    assert with_base(adapter, open_tensor_file(base)) is adapter


def test_what_leaves_the_weights_alone_is_dead(tmp_path: Path):
    """A magnitude equal to the norm of its row changes nothing; a dead one may."""
    weights = base_weights(WIDE, SQUARE)
    norms = np.linalg.norm(weights[SQUARE].astype("f8"), axis=1).astype("f4")
    idle, _ = lora(SQUARE)
    idle["lora_up.weight"][:] = 0
    plain, product = lora(WIDE)
    path = tmp_path / "dora.safetensors"
    for factor, dead in ((1, True), (2, False)):
        idle["dora_scale"] = factor * norms[:, None]
        write(path, kohya(idle, SQUARE) | kohya(plain, WIDE))
        assert read_adapter(path).dead == (SQUARE,)
        base = write_base(tmp_path / "base.safetensors", weights)
        adapter = based(path, base)
        assert_behaves(adapter.updates[WIDE], product, 0)
        if dead:
            left = adapter.updates.get(SQUARE)
            assert left is None or np.abs(left.dense()).max() < 1e-6
        else:
            assert_behaves(adapter.updates[SQUARE], weights[SQUARE], 0)
            assert adapter.dead == ()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({CONV: np.ones((64, 128, 3, 3), "f4")}, "found neither"),
        ({WIDE: np.ones((128, 64), "f4")}, r"expected a base weight \[64, 128\]"),
        ({WIDE: np.full((64, 128), np.nan, "f4")}, "found 8,192 NaN or Inf"),
        ({WIDE: np.ones((64, 128), "i4")}, "found I32"),
        ({WIDE: np.zeros((64, 128), "f4")}, "it leaves every weight as it is"),
    ],
)
def test_bad_weights_are_refused(tmp_path: Path, scaled: Path, weights, message: str):
    base = write_base(tmp_path / "base.safetensors", weights)
    with pytest.raises(AdapterError, match=message) as refusal:
        inspect_file(scaled, base)
    assert "\n" not in str(refusal.value)


def test_inspect_tells_the_exact_norm(tmp_path: Path, scaled: Path):
    weights = base_weights(WIDE)
    base = write_base(tmp_path / "base.safetensors", weights)
    facts = inspect_file(scaled, base)
    assert facts.tier == "exact"
    assert facts.norm == pytest.approx(np.linalg.norm(weights[WIDE]), rel=1e-5)
    assert facts.modules.mapped == 1 and facts.modules.dead == 0
