"""Files of SuperLoRA: read as the formula says, or refused by name."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.adapters import Update, inspect_file, read_adapter
from lorajax.adapters.superlora import (
    Factor,
    fold,
    group_sizes,
)
from lorajax.config import FeatureSettings
from lorajax.errors import AdapterError, LorajaxError
from lorajax.formats import open_tensor_file
from lorajax.naming import Module, table_of
from lorajax.naming.superlora import ENTRY, Layout, read_layout
from lorajax.projection.base_space import base_space_vector
from lorajax.projection.gram_pca import GramPCA
from tests.adapters.assertions import assert_behaves
from tests.adapters.superlora_oracle import oracle

NAMES = [
    "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
    "unet.mid_block.resnets.0.conv1",
    "unet.mid_block.attentions.0.transformer_blocks.0.ff.net.2",
]
MODULES = [m for m in table_of("lorajax-zoo-1").modules if m.name in NAMES]
TOTAL = sum(math.prod(m.shape) for m in MODULES)
Tensors = dict[str, np.ndarray]


def layout(**more) -> Layout:
    plain = Layout(groups=2, factors=1, ways=2, scale=0.5, modules=tuple(MODULES))
    return replace(plain, **more)


def factors_of(plan: Layout, rank: int = 3, core: bool = False, seed: int = 0):
    """Random factors of every group, near-hypercubic, all of K in the first factor."""
    rng = np.random.default_rng(seed)
    found: list[list[Factor]] = []
    for n in group_sizes(plan.total, plan.groups):
        row = []
        for k in range(plan.factors):
            sides = fold(n, plan.ways) if k == 0 else (1,) * plan.ways
            arrays = [rng.standard_normal((d, rank)).astype("f4") for d in sides]
            middle = rng.standard_normal((rank,) * plan.ways).astype("f4")
            row.append(Factor(tuple(arrays), middle if core else None))
        found.append(row)
    return found


def tensors_of(found: list[list[Factor]]) -> Tensors:
    tensors: Tensors = {}
    for g, row in enumerate(found):
        for k, (sides, core) in enumerate(row):
            tensors |= {f"superlora.g{g}.k{k}.a{m}": a for m, a in enumerate(sides)}
            if core is not None:
                tensors[f"superlora.g{g}.k{k}.core"] = core
    return tensors


def weights_of(plan: Layout, found: list[list[Factor]]) -> dict[str, np.ndarray]:
    """Every module's ΔW, by NumPy's own array_split."""
    parts = []
    for g, part in enumerate(np.array_split(np.arange(plan.total), plan.groups)):
        flat = oracle([_wide(factor) for factor in found[g]]).reshape(-1)[: len(part)]
        if plan.shuffle_seed is not None:
            rng = np.random.default_rng([plan.shuffle_seed, g])
            flat = flat[rng.permutation(len(part))]
        parts.append(plan.scale * flat)
    ends = np.cumsum([math.prod(m.shape) for m in plan.modules])[:-1]
    pieces = np.split(np.concatenate(parts), ends)
    return {
        m.name: piece.reshape(m.shape[0], -1)
        for m, piece in zip(plan.modules, pieces, strict=True)
    }


def _wide(factor: Factor) -> Factor:
    core = None if factor.core is None else factor.core.astype("f8")
    return Factor(tuple(side.astype("f8") for side in factor.sides), core)


def saved(path: Path, plan: Layout, tensors: Tensors, **metadata: str) -> Path:
    save_file(tensors, path, {"superlora": plan.dumps(), **metadata})
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "super.safetensors"


@pytest.mark.parametrize("ways", [2, 3, 4])
@pytest.mark.parametrize("core", [False, True])
@pytest.mark.parametrize(
    "more", [{}, {"groups": 1, "shuffle_seed": 5}, {"groups": 7, "factors": 2}]
)
def test_files(path: Path, ways: int, core: bool, more: dict):
    plan = layout(ways=ways, **more)
    found = factors_of(plan, core=core)
    adapter = read_adapter(saved(path, plan, tensors_of(found)))
    assert (adapter.family, adapter.format, adapter.tier) == (
        "superlora",
        "superlora",
        "exact",
    )
    assert adapter.base_model == "lorajax-zoo-1" and not adapter.unmapped
    assert adapter.ranks == dict.fromkeys(adapter.updates, 3)
    assert list(adapter.updates) == [m.name for m in MODULES]
    for name, weight in weights_of(plan, found).items():
        assert isinstance(adapter.updates[name], Update)
        assert_behaves(adapter.updates[name], weight, 0)


def test_inspection_and_features(path: Path):
    plan = layout()
    saved(path, plan, tensors_of(factors_of(plan)), ss_base_model_version="sd_v1")
    facts = inspect_file(path)
    assert (facts.family, facts.dtype) == ("superlora", "F32")
    assert facts.rank.min == facts.rank.max == 3 and facts.modules.mapped == 3
    assert facts.warnings == (
        "the file calls its base 'sd_v1', its tensors belong to lorajax-zoo-1",
    )
    adapters = []
    for seed in range(4):
        saved(path, plan, tensors_of(factors_of(plan, seed=seed)))
        adapters.append(read_adapter(path))
        assert np.linalg.norm(base_space_vector(adapters[-1])) == pytest.approx(1)
    basis = GramPCA(FeatureSettings(components=8)).fit(adapters).basis
    assert basis.components == (3, 3, 3)


def test_half_precision_hardly_shows(path: Path):
    plan = layout(shuffle_seed=1)
    found = factors_of(plan)
    half = {key: a.astype(np.float16) for key, a in tensors_of(found).items()}
    adapter = read_adapter(saved(path, plan, half))
    for name, weight in weights_of(plan, found).items():
        dense = adapter.updates[name].dense()
        norms = np.linalg.norm(dense) * np.linalg.norm(weight)
        assert np.vdot(dense, weight) / norms > 0.9999


def test_what_the_metadata_say_belongs_to_the_content(path: Path):
    plan = layout()
    tensors, keys = tensors_of(factors_of(plan)), set()
    for other in (plan, layout(scale=1.0), layout(shuffle_seed=0)):
        saved(path, other, tensors, ss_seed=str(len(keys)))
        keys.add(read_adapter(path).content_key)
        assert read_adapter(path).content_key == open_tensor_file(path).content_key()
    assert len(keys) == 3


def test_modules_outside_the_table_keep_their_place(path: Path):
    modules = (Module("unet.conv_in", (64, 4, 3, 3)), *MODULES)
    plan = layout(modules=modules)
    found = factors_of(plan)
    adapter = read_adapter(saved(path, plan, tensors_of(found)))
    assert adapter.unmapped == ("unet.conv_in",)
    expected = weights_of(plan, found)
    assert set(adapter.updates) == set(NAMES)
    for name, update in adapter.updates.items():
        assert_behaves(update, expected[name], 0)


def test_modules_of_zeros_are_dead(path: Path):
    plan = layout(groups=1)
    found = factors_of(plan)
    side = found[0][0].sides[0]
    side[: 4 * len(side) // 5] = 0
    adapter = read_adapter(saved(path, plan, tensors_of(found)))
    assert adapter.dead == (MODULES[0].name,)
    side[:] = 0
    with pytest.raises(AdapterError, match="3 modules whose update is zero"):
        read_adapter(saved(path, plan, tensors_of(found)))


def test_modules_of_stable_diffusion(path: Path):
    names = {f"unet.mid_block.attentions.0.{n}" for n in ("proj_in", "proj_out")}
    modules = tuple(m for m in table_of("sd1").modules if m.name in names)
    plan = layout(modules=modules, groups=2)
    adapter = read_adapter(saved(path, plan, tensors_of(factors_of(plan))))
    assert adapter.base_model == "sd1" and set(adapter.updates) == names


def described(**fields: object) -> str:
    return json.dumps(json.loads(layout().dumps()) | fields)


def test_a_layout_without_a_scale_has_the_scale_one():
    fields = json.loads(layout(shuffle_seed=None).dumps())
    for name in ("scale", "shuffle_seed", "projection"):
        del fields[name]
    assert read_layout({ENTRY: json.dumps(fields)}) == layout(scale=1.0)


NAME = NAMES[0]
BAD_LAYOUTS = {
    "no JSON": ("{", "expected a JSON object of at most 4 MiB"),
    "a list": ("[1]", "expected a JSON object"),
    "deep": ("[" * 100_000, "expected a JSON object"),
    "too long": (" " * (4 * 2**20) + "{}", "expected a JSON object"),
    "nothing": ("{}", "expected the field K"),
    "strange field": (described(evil=1), "expected only known fields"),
    "version": (described(version=2), "expected version 1"),
    "version true": (described(version=True), "expected version 1"),
    "no groups": (described(groups=0), "expected groups from 1 to"),
    "groups as text": (described(groups="2"), "expected groups from 1 to"),
    "groups as float": (described(groups=2.0), "expected groups from 1 to"),
    "groups nested": (described(groups=[2]), "found a list"),
    "too many groups": (described(groups=10**9), "expected groups from 1 to"),
    "K": (described(K=99), "expected K from 1 to 8"),
    "M": (described(M=1), "expected M from 2 to 8"),
    "seed": (described(shuffle_seed=-1), "expected shuffle_seed from 0"),
    "seed true": (described(shuffle_seed=True), "expected shuffle_seed from 0"),
    "projection": (
        described(projection={"rho": 0.1, "seed": 0}),
        "expected SuperLoRA without a projection",
    ),
    "scale": (described(scale="x"), "expected a finite scale"),
    "scale NaN": (described(scale=math.nan), "expected a finite scale"),
    "scale huge": (described(scale=10**400), "expected a finite scale"),
    "no modules": (described(modules=[]), "expected a list of 1 to"),
    "modules as text": (described(modules="unet"), "expected a list of 1 to"),
    "module": (described(modules=[NAME]), "expected modules as [name, [out, in, …]]"),
    "vector": (described(modules=[[NAME, [64]]]), "expected modules as"),
    "side zero": (described(modules=[[NAME, [64, 0]]]), "expected modules as"),
    "side huge": (described(modules=[[NAME, [64, 10**30]]]), "expected modules as"),
    "side true": (described(modules=[[NAME, [64, True]]]), "expected modules as"),
    "name": (described(modules=[["x\x1b[31m", [64, 64]]]), "expected modules as"),
    "twice": (described(modules=[[NAME, [64, 64]]] * 2), "expected every module once"),
    "shape": (described(modules=[[NAME, [64, 65]]]), "found [64, 65]"),
    "stranger": (described(modules=[["a.b", [64, 64]]]), "of a known base model"),
    "too large": (
        described(modules=[
            *([f"unet.x{i}", [2**12, 2**11]] for i in range(2)),
            *([m.name, list(m.shape)] for m in MODULES),
        ]),
        "found 8,413,184 values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_LAYOUTS)
def test_bad_layouts_are_refused(path: Path, case: str):
    text, message = BAD_LAYOUTS[case]
    save_file(tensors_of(factors_of(layout())), path, {"superlora": text})
    refused(path, message)


def test_a_file_without_its_metadata_is_refused(path: Path):
    save_file(tensors_of(factors_of(layout())), path)
    refused(path, "expected the metadata entry superlora beside superlora tensors")


def changed(key: str, array: np.ndarray | None, core: bool = False) -> Tensors:
    tensors = tensors_of(factors_of(layout(), core=core))
    if array is None:
        del tensors[key]
    else:
        tensors[key] = array
    return tensors


A0 = "superlora.g0.k0.a0"
CORE = "superlora.g0.k0.core"
ONES = np.ones((2, 3), "f4")
SIDE = tensors_of(factors_of(layout()))[A0].shape[0]
BAD_TENSORS = {
    "missing": (changed(A0, None), f"expected {A0}, found none"),
    "another group": (changed("superlora.g2.k0.a0", ONES), "found 'superlora.g2"),
    "another way": (changed("superlora.g0.k0.a2", ONES), "beside them"),
    "a LoRA beside": (
        changed("lora_unet_x.lora_up.weight", ONES),
        "expected SuperLoRA tensors alone",
    ),
    "rank": (changed(A0, np.ones((SIDE, 2), "f4")), "sides [d, rank] of one rank or"),
    "axes": (changed(A0, np.ones(SIDE, "f4")), "expected sides [d, rank]"),
    "empty": (changed(A0, np.ones((SIDE, 0), "f4")), "expected sides [d, rank]"),
    "core": (changed(CORE, np.ones((3, 2), "f4"), True), "expected sides [d, rank]"),
    "too small": (changed(A0, np.ones((SIDE // 2, 3), "f4")), "expected a tensor of"),
    "too large": (changed(A0, np.ones((SIDE * 5, 3), "f4")), "a tensor hardly larger"),
    "NaN": (changed(A0, np.full((SIDE, 3), np.nan, "f4")), "NaN or Inf"),
    "integers": (changed(A0, np.ones((SIDE, 3), "i4")), "found I32"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_bad_tensors_are_refused(path: Path, case: str):
    tensors, message = BAD_TENSORS[case]
    saved(path, layout(), tensors)
    refused(path, message)


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("superlora_file.MAX_VALUES", TOTAL - 1, "values, and no more groups"),
        ("superlora_file.MAX_GROUP", TOTAL // 2 - 1, "values in group 0 of SuperLoRA"),
        ("superlora_file.MAX_TENSOR", TOTAL // 2 - 1, "values in group 0 of SuperLoRA"),
        ("checks.MAX_WORK", 10, "operations, found"),
        ("checks.MAX_RANK", 2, "a rank of at most 2 for group 0"),
    ],
)
def test_work_is_bounded_before_it_is_done(
    path: Path, monkeypatch, limit, value, message
):
    monkeypatch.setattr(f"lorajax.adapters.{limit}", value)
    saved(path, layout(), tensors_of(factors_of(layout())))
    refused(path, message)


def refused(path: Path, message: str) -> None:
    with pytest.raises(LorajaxError) as refusal:
        read_adapter(path)
    assert refusal.value.message.startswith(f"{path}: ")
    assert message in refusal.value.message
    assert "\n" not in str(refusal.value) and str(refusal.value).isprintable()
