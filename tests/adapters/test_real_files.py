"""Real LoRAs by real people: what each of them is, and that none is misread."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from lorajax.adapters import inner, read_adapter
from lorajax.formats import open_tensor_file, scan
from lorajax.naming import resolve
from tests.adapters.assertions import assert_behaves

COMMITTED = Path(__file__).parents[1] / "data" / "real"
REAL = os.environ.get("LORAJAX_REAL_LORAS", "")
needs_real = pytest.mark.skipif(
    not REAL, reason="set LORAJAX_REAL_LORAS to a folder of real LoRA files"
)


@pytest.mark.parametrize(
    ("name", "format", "modules", "rank", "dtype", "side"),
    [
        ("lora_disney", "cloneofsimo", 192, 1, "F32", 2),
        ("lora_disney_inpainting", "cloneofsimo", 192, 1, "F16", 2),
        ("animal_artist", "diffusers attn-procs", 128, 4, "F32", 0),
    ],
)
def test_committed_files(name, format, modules, rank, dtype, side):
    adapter = read_adapter(COMMITTED / f"{name}.safetensors")
    assert adapter.base_model == "sd1" and adapter.format == format
    assert len(adapter.updates) == modules and not adapter.dead
    assert set(adapter.ranks.values()) == {rank}
    assert adapter.dtype == dtype and len(adapter.side) == side
    assert not adapter.unmapped and not adapter.warnings


def test_numbered_and_named_modules_meet():
    """Attention layers of numbered and of named files are the same modules."""
    numbered = read_adapter(COMMITTED / "lora_disney.safetensors")
    named = read_adapter(COMMITTED / "animal_artist.safetensors")
    assert set(named.updates) <= set(numbered.updates)
    for module in named.updates:
        assert np.isfinite(inner(numbered.updates[module], named.updates[module]))


def test_the_licences_name_every_file():
    text = (COMMITTED / "LICENCES.md").read_text(encoding="utf-8")
    for path in scan([COMMITTED]).files:
        assert path.name in text
        assert open_tensor_file(path).file_sha256() in text


BASES = {
    "AguLeon": ("roberta-base", 36),
    "Raghava-Ram": ("distilbert-base", 12),
    "catundchat": ("sd1", 128),
    "cloneofsimo": ("sd1", 192),
    "deepbiolab": ("gpt2", 36),
    "huggingface": ("roberta-base", 24),
    "parikshit-06": ("gpt2", 36),
}


@needs_real
def test_every_real_lora_is_what_its_catalogue_says():
    catalogue = json.loads((Path(REAL) / "CATALOGUE.json").read_text(encoding="utf-8"))
    seen = 0
    for entry in catalogue:
        path = Path(REAL) / entry["file"]
        if path.suffix != ".safetensors" or entry["algorithm"] != "lora":
            continue
        adapter = read_adapter(path)
        base, modules = BASES[entry["file"].split("+")[0]]
        assert (adapter.base_model, len(adapter.ranks)) == (base, modules)
        assert modules == entry["n_modules"] and not adapter.unmapped
        assert open_tensor_file(path).file_sha256() == entry["sha256"]
        seen += 1
    assert seen == 14


@needs_real
def test_pickles_are_refused():
    found = scan([REAL])
    assert all("unsafe format" in refusal.message for refusal in found.refused)
    assert len(found.files) == 17


@needs_real
@pytest.mark.parametrize("rank", [4, 8, 16])
def test_real_lokr_files_equal_kronecker_products(rank: int):
    """LyCORIS' own example: every module of Stable Diffusion 1, all matrices pairs."""
    folder = Path(REAL) / "KohakuBlueleaf+LyCORIS" / "result"
    file = open_tensor_file(folder / f"smart_falcon_{rank}_lokr.safetensors")
    adapter = read_adapter(file.path)
    assert (adapter.family, adapter.base_model) == ("lokr", "sd1")
    assert len(adapter.updates) == 347 and not adapter.unmapped
    block = "unet.down_blocks.0.resnets.0"  # this LyCORIS never trained its first block
    assert adapter.dead == tuple(
        f"{block}.{layer}" for layer in ("conv1", "time_emb_proj", "conv2")
    )
    assert set(adapter.ranks.values()) == {rank}
    rng = np.random.default_rng(0)
    naming = resolve({k: i.shape for k, i in file.tensors.items()}, file.metadata)
    for module in rng.choice(list(adapter.updates), 12, replace=False):
        roles = naming.modules[module]
        raw = {role: file.read(key).astype("f8") for role, key in roles.items()}
        left, right = (raw[f"lokr_w{i}_a"] @ raw[f"lokr_w{i}_b"] for i in (1, 2))
        weight = np.kron(left, right) * raw["alpha"] / rank
        assert_behaves(adapter.updates[module], weight, 0)


@needs_real
def test_checkpoints_of_one_run_point_the_same_way():
    folder = Path(REAL) / "AguLeon+LoRA_RoBERTa_AGNews" / "results"
    early, late = (
        read_adapter(folder / f"checkpoint-{step}" / "adapter_model.safetensors")
        for step in (1000, 1200)
    )
    product = sum(inner(u, late.updates[m]) for m, u in early.updates.items())
    norms = [
        sum(u.squared_norm() for u in adapter.updates.values()) ** 0.5
        for adapter in (early, late)
    ]
    assert product / (norms[0] * norms[1]) > 0.98
