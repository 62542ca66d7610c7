"""DoRA and operators on a trainer's fused modules, listed and with a base model."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.adapters import algebra, inspect_file, read_adapter, with_base
from lorajax.adapters.dora import Magnitude
from lorajax.adapters.rows import cut_magnitude, put_back, take
from lorajax.adapters.single import plan_single
from lorajax.errors import AdapterError
from lorajax.formats import TensorFile, open_tensor_file
from lorajax.naming import resolve
from lorajax.service.collection.indexing import index_folders
from tests.adapters.test_operators import block_diagonal, rotation, skew

KEYS = Path(__file__).parents[1] / "data" / "keys"
# Of Stable Diffusion 3, whose layers are narrow.
H = 1536
RAW = "lora_unet_joint_blocks_1_x_block_attn_qkv"
QKV = [f"transformer.transformer_blocks.1.attn.to_{part}" for part in "qkv"]
SD3 = {"ss_base_model_version": "sd3-medium"}
Tensors = dict[str, np.ndarray]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def some(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype("f4")


def write(path: Path, tensors: Tensors, raw: str = RAW) -> Path:
    save_file({f"{raw}.{role}": a for role, a in tensors.items()}, path, metadata=SD3)
    return path


def write_base(path: Path, fused: np.ndarray) -> Path:
    """The parts of a fused weight at diffusers' names."""
    parts = zip(QKV, np.split(fused, 3), strict=True)
    save_file({f"{name}.weight": part for name, part in parts}, path)
    return path


def assert_parts(folder: Path, path: Path, weight: np.ndarray, new: np.ndarray) -> None:
    """With the base model the three updates are the rows of new − weight."""
    base = write_base(folder / "base.safetensors", weight)
    adapter = with_base(read_adapter(path), open_tensor_file(base))
    assert (adapter.tier, list(adapter.updates)) == ("exact", QKV)
    for module, expected in zip(QKV, np.split(new - weight, 3), strict=True):
        found = adapter.updates[module].dense()
        assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("axis", ["out", "in"])
def test_magnitudes_of_a_fused_module(tmp_path: Path, rng, axis: str):
    up, down, weight = some(rng, 3 * H, 2), some(rng, 2, H), some(rng, 3 * H, H)
    m = np.linspace(1, 9, 3 * H if axis == "out" else H).astype("f4")
    shape = (-1, 1) if axis == "out" else (1, -1)
    tensors = {"lora_up.weight": up, "lora_down.weight": down}
    path = write(
        tmp_path / "dora.safetensors", tensors | {"dora_scale": m.reshape(shape)}
    )
    adapter = read_adapter(path)
    assert (adapter.family, adapter.tier) == ("lora+dora", "direction")
    assert list(adapter.magnitudes) == list(adapter.updates) == QKV
    key = adapter.magnitudes[QKV[1]]
    np.testing.assert_array_equal(key.values, m[H : 2 * H] if axis == "out" else m)
    assert key.axis == axis
    total = weight + up.astype("f8") @ down
    norms = np.linalg.norm(total, axis=1 if axis == "out" else 0).reshape(shape)
    assert_parts(tmp_path, path, weight, m.reshape(shape) * total / norms)


def test_a_zero_part_of_a_fused_module_still_has_its_magnitudes(tmp_path: Path, rng):
    up, down, weight = some(rng, 3 * H, 2), some(rng, 2, H), some(rng, 3 * H, H)
    up[:H] = 0
    m = np.linspace(1, 9, H, dtype="f4")[None]
    tensors = {"lora_up.weight": up, "lora_down.weight": down, "dora_scale": m}
    path = write(tmp_path / "dora.safetensors", tensors)
    assert read_adapter(path).dead == (QKV[0],)
    total = weight + up.astype("f8") @ down
    assert_parts(tmp_path, path, weight, m * total / np.linalg.norm(total, axis=0))


def test_magnitudes_of_one_part_do_not_fit_the_fused_module(tmp_path: Path, rng):
    tensors = {
        "lora_up.weight": some(rng, 3 * H, 2),
        "lora_down.weight": some(rng, 2, H),
    }
    tensors["dora_scale"] = np.ones((H, 1), "f4")
    path = write(tmp_path / "dora.safetensors", tensors)
    with pytest.raises(AdapterError, match=f"each of {3 * H} outputs or {H} inputs"):
        read_adapter(path)


def operator(rng: np.random.Generator, kind: str, weight: np.ndarray):
    """Tensors of one fused module, and the weight that they make."""
    if kind == "oft":  # blocks of 36 lie across the ends of the parts
        blocks = 0.1 * some(rng, 128, 36, 36)
        turned = [
            rotation(-skew(block.astype("f8"))) @ rows
            for block, rows in zip(blocks, np.split(weight, 128), strict=True)
        ]
        return {"oft_blocks": blocks}, np.concatenate(turned)
    on_input = kind == "ia3 in"
    factors = some(rng, H if on_input else 3 * H)
    scaled = weight * (1 + (factors[None] if on_input else factors[:, None]))
    return {"weight": factors, "on_input": np.array(on_input, "u1")}, scaled


@pytest.mark.parametrize("kind", ["oft", "ia3 in", "ia3 out"])
def test_operators_on_a_fused_module(tmp_path: Path, rng, kind: str):
    weight = some(rng, 3 * H, H)
    tensors, new = operator(rng, kind, weight)
    path = write(tmp_path / "operator.safetensors", tensors)
    facts = inspect_file(path)
    assert (facts.base_model, facts.tier, facts.norm) == (
        "sd3-medium",
        "operator",
        None,
    )
    assert facts.modules.mapped == facts.modules.total == 3
    assert list(read_adapter(path).operators) == QKV
    assert_parts(tmp_path, path, weight, new)


@pytest.mark.parametrize("kind", ["dora", "oft"])
def test_a_fused_weight_is_changed_once_for_its_parts(
    tmp_path: Path, rng, monkeypatch: pytest.MonkeyPatch, kind: str
):
    """And in parts of a bounded size, which do not show."""
    weight = some(rng, 3 * H, H)
    if kind == "dora":
        up, down = some(rng, 3 * H, 2), some(rng, 2, H)
        m = np.linspace(1, 9, H).astype("f4")[None]
        tensors = {"lora_up.weight": up, "lora_down.weight": down, "dora_scale": m}
        total = weight + up.astype("f8") @ down
        new = m * total / np.linalg.norm(total, axis=0)
    else:
        tensors, new = operator(rng, "oft", weight)
    reads: list[str] = []
    read = TensorFile.read
    monkeypatch.setattr(
        TensorFile, "read", lambda file, name: reads.append(name) or read(file, name)
    )
    monkeypatch.setattr(algebra, "_CHUNK", 1000 * H + 1)
    path = write(tmp_path / "lora.safetensors", tensors)
    assert_parts(tmp_path, path, weight, new)
    assert sorted(reads) == sorted(f"{name}.weight" for name in QKV)


def test_operators_on_a_fused_module_are_listed(tmp_path: Path, rng):
    tensors, _ = operator(rng, "oft", some(rng, 3 * H, H))
    write(tmp_path / "operator.safetensors", tensors)
    report = index_folders([tmp_path], tmp_path / "library.sqlite")
    assert (report.added, report.embedded, report.refused) == (1, 0, ())


def test_a_fused_module_needs_all_its_parts(tmp_path: Path, rng):
    tensors, _ = operator(rng, "ia3 in", some(rng, 3 * H, H))
    path = write(tmp_path / "operator.safetensors", tensors)
    base = tmp_path / "base.safetensors"
    save_file({f"{name}.weight": some(rng, H, H) for name in QKV[:2]}, base)
    with pytest.raises(AdapterError, match=r"to_v\.weight, found neither") as refusal:
        inspect_file(path, base)
    assert "\n" not in str(refusal.value)


def test_kohyas_oft_of_the_parts(tmp_path: Path, rng):
    """Each part is rotated alone, and its constraint is alpha times its own outputs."""
    weight, blocks = some(rng, 3 * H, H), 0.1 * some(rng, 3, 96, 16, 16)
    blocks[0] *= 1e-3
    alpha = 5 / H
    turned = []
    for part, rows in zip(blocks.astype("f8"), np.split(weight, 3), strict=True):
        q = block_diagonal(skew(part))
        norm = np.linalg.norm(q)
        turned.append(rotation(-q * min(1, 5 / norm)) @ rows)
    tensors = {f"oft_blocks.{i}": part for i, part in enumerate(blocks)}
    tensors["alpha"] = np.array(alpha, "f4")
    raw = RAW.replace("lora_", "oft_", 1)
    path = write(tmp_path / "oft.safetensors", tensors, raw)
    adapter = read_adapter(path)
    assert list(adapter.operators) == QKV and not adapter.fused
    assert_parts(tmp_path, path, weight, np.concatenate(turned))


def test_rows_are_put_back_where_they_were():
    array, spans = np.arange(18.0).reshape(9, 2), [((6, 9), (0, 2)), ((2, 6),)]
    parts = [(take(array, rows), rows) for rows in spans]
    assert parts[0][0][:, 0].tolist() == [12, 14, 16, 0, 2]
    np.testing.assert_array_equal(put_back(parts), array)
    assert put_back([(array, ())]) is take(array, ()) is array
    outputs = cut_magnitude(Magnitude(array[:, 0].astype("f4"), "out"), spans[0])
    assert outputs.values.tolist() == [12, 14, 16, 0, 2]


def test_onetrainers_dora_of_flux_is_planned(tmp_path: Path):
    """All 506 modules of a real file; its tensors are empty pages on the disk."""
    text = gzip.decompress((KEYS / "flux_dora_onetrainer.json.gz").read_bytes())
    names: dict[str, list[int]] = json.loads(text)
    header, at = {}, 0
    for name, shape in names.items():
        size = 2 * int(np.prod(shape, dtype=int))
        offsets = [at, at := at + size]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": offsets}
    words = json.dumps(header).encode()
    path = tmp_path / "dora.safetensors"
    with path.open("wb") as file:
        file.write(len(words).to_bytes(8, "little") + words)
        file.truncate(8 + len(words) + at)
    found = open_tensor_file(path)
    naming = resolve(found.table.shapes)
    assert (naming.base_model, naming.family) == ("flux", "lora+dora")
    plan = plan_single(found, naming)
    assert len(plan.parts) == 506 and plan.keys == names.keys()
    assert {part.magnitude and part.magnitude[1] for part in plan.parts} == {"in"}
