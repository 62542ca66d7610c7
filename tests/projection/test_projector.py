"""The compiled projection against plain NumPy, wherever the factors lie."""

from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.adapters.adapter import build_adapter, read_adapter
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.config import FeatureSettings
from lorajax.errors import AdapterError, ProjectionError
from lorajax.formats.safetensors_file import open_tensor_file
from lorajax.projection import projector
from lorajax.projection.blocks import factor_blocks
from lorajax.projection.kernels import Group, Work, project
from lorajax.projection.preparing import new_projection
from lorajax.projection.projector import Layout, Projector
from tests.conftest import adapter_of

RNG = np.random.default_rng(11)
SHAPES = {"a": (40, 24), "b": (40, 24), "c": (24, 60)}
SIDE, COMPONENTS = 5, 7
DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def groups() -> dict[tuple[int, int], Group]:
    made: dict[tuple[int, int], Group] = {}
    for (out, in_), g in (((40, 24), 2), ((24, 60), 1)):
        made[out, in_] = Group(
            RNG.standard_normal((g, out, SIDE)).astype("f2"),
            RNG.standard_normal((g, in_, SIDE)).astype("f2"),
            RNG.standard_normal((g, SIDE * SIDE)).astype("f4"),
            RNG.standard_normal((g, SIDE * SIDE, COMPONENTS)).astype("f2"),
        )
    return made


def expected(group: Group, row: int, update: LowRankUpdate) -> tuple[np.ndarray, ...]:
    """Core and scores with ΔW formed, in float64."""
    left, right, mean, components = (np.asarray(x[row], "f8") for x in group)
    dense = update.scale * update.up.astype("f8") @ update.down.astype("f8")
    core = (left.T @ dense @ right).reshape(-1)
    return core, (core / np.sqrt(np.linalg.norm(core)) - mean) @ components


def random_update(
    shape: tuple[int, int], rank: int, dtype: type = np.float32
) -> LowRankUpdate:
    up = RNG.standard_normal((shape[0], rank)).astype(dtype)
    return LowRankUpdate(up, RNG.standard_normal((rank, shape[1])).astype(dtype), 0.7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", [1, 3, 8])
def test_cores_and_scores_of_any_format_and_rank(dtype: type, rank: int) -> None:
    layout, fitted = Layout.of(SHAPES), groups()
    updates = {m: random_update(shape, rank, dtype) for m, shape in SHAPES.items()}
    found = Projector(layout, fitted, "root")(adapter_of(updates), list(SHAPES))
    for module, update in updates.items():
        row = layout.rows[module]
        core, scores = expected(fitted[SHAPES[module]], row, update)
        np.testing.assert_allclose(found[module].core, core, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(found[module].scores, scores, rtol=1e-3, atol=2e-3)


def test_ranks_and_formats_of_one_file_may_differ() -> None:
    updates = {
        "a": random_update(SHAPES["a"], 3, np.float16),
        "b": random_update(SHAPES["b"], 9),
        "c": LowRankUpdate(
            RNG.standard_normal((24, 4)).astype("f2"), RNG.standard_normal((4, 60))
        ),
    }
    layout, fitted = Layout.of(SHAPES), groups()
    found = Projector(layout, fitted, "root")(adapter_of(updates), list(SHAPES))
    for module, update in updates.items():
        core, _ = expected(fitted[SHAPES[module]], layout.rows[module], update)
        np.testing.assert_allclose(found[module].core, core, rtol=1e-4, atol=1e-3)
    assert len(list(factor_blocks(updates))) == 3


def test_files_of_other_modules_and_ranks_need_no_other_program() -> None:
    """Compiling takes a second: it must not happen anew for every kind of file."""
    project_all = Projector(Layout.of(SHAPES), groups(), "none")
    before = programs()
    for modules in (["a"], ["a", "b"], ["c"], list(SHAPES)):
        for rank in (5, 6, 7, 8):
            updates = {m: random_update(SHAPES[m], rank) for m in modules}
            project_all(adapter_of(updates), modules)
    assert programs() == before + 1


def test_shared_work_is_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = {m: random_update(shape, 4) for m, shape in SHAPES.items()}
    project_all = Projector(Layout.of(SHAPES), groups(), "unit")
    alone = project_all(adapter_of(updates), list(SHAPES))
    monkeypatch.setattr(projector, "_WORTH_SHARING", 1)
    monkeypatch.setattr(projector, "_cores", lambda: 3)
    shared = project_all(adapter_of(updates), list(SHAPES))
    for module in SHAPES:
        np.testing.assert_allclose(shared[module].scores, alone[module].scores)


def test_the_batch_of_a_gpu_is_the_loop_of_a_cpu() -> None:
    update = {m: random_update(SHAPES[m], 4) for m in ("a", "b")}
    (block,) = factor_blocks(update)
    work = Work(
        np.array(2, "i4"),
        np.array([0, 1], "i4"),
        np.array(block.up, "i4"),
        np.array(block.down, "i4"),
        np.array(block.scale, "f4"),
    )
    shape = SHAPES["a"]
    loop, batch = (
        project(
            jnp.asarray(block.bits),
            {shape: groups_once[shape]},
            {shape: work},
            dtype=block.dtype,
            rank=block.rank,
            scaling="root",
            how=how,
        )[shape]
        for groups_once in (groups(),)
        for how in ("loop", "batch")
    )
    np.testing.assert_allclose(loop.scores, batch.scores, rtol=1e-4, atol=1e-4)


def test_a_file_is_projected_where_it_lies(tmp_path: Path) -> None:
    """Nothing is copied of a half-precision file of a usual rank."""
    path = saved(tmp_path, 8)
    adapter = build_adapter(open_tensor_file(path))
    (block,) = factor_blocks(plain(adapter.updates))
    first = next(iter(plain(adapter.updates).values()))
    assert np.shares_memory(block.bits, first.stored_up)
    (copied,) = factor_blocks(plain(read_adapter(saved(tmp_path, 3)).updates))
    assert copied.rank == 4


def test_scores_do_not_depend_on_how_an_update_is_written(tmp_path: Path) -> None:
    """The same ΔW in another gauge, at another rank, in float32: the same scores."""
    adapters = [read_adapter(saved(tmp_path, 4, seed)) for seed in range(8)]
    basis = new_projection(FeatureSettings(components=6)).fit(adapters).basis
    updates = plain(adapters[0].updates)
    gauge = RNG.standard_normal((4, 4)) + 3 * np.eye(4)
    rewritten = {
        m: LowRankUpdate(
            np.hstack([u.up @ gauge, u.up]).astype("f4"),
            np.vstack([np.linalg.solve(gauge, u.down), 0 * u.down]).astype("f4"),
            u.scale,
        )
        for m, u in updates.items()
    }
    before = basis.transform(adapters[0]).scores
    other = adapter_of(rewritten)
    object.__setattr__(other, "base_model", adapters[0].base_model)
    after = basis.transform(other).scores
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())


def test_damage_is_named_and_giants_are_refused(tmp_path: Path) -> None:
    adapters = [read_adapter(saved(tmp_path, 4, seed)) for seed in range(8)]
    basis = new_projection(FeatureSettings(components=6)).fit(adapters).basis
    broken = build_adapter(open_tensor_file(saved(tmp_path, 4, 50, np.nan)))
    with pytest.raises(
        AdapterError, match=r"found 1 NaN or Inf of [0-9,]+ in 'lora_te_"
    ):
        basis.transform(broken)
    update = LowRankUpdate(np.full((768, 4), 1e25), np.full((4, 768), 1e25))
    giant = adapter_of(dict.fromkeys(adapters[0].updates, update))
    object.__setattr__(giant, "base_model", adapters[0].base_model)
    with pytest.raises(ProjectionError, match="found NaN or Inf"):
        basis.transform(giant)


def programs() -> int:
    """How many programs `project` has been compiled to."""
    return project._cache_size()  # pyright: ignore[reportAttributeAccessIssue]


def saved(
    folder: Path, rank: int, seed: int = 0, first: float = 1.0, dtype: type = np.float16
) -> Path:
    """A file of two modules of Stable Diffusion's text encoder."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}
    for part in ("q_proj", "v_proj"):
        raw = f"lora_te_text_model_encoder_layers_0_self_attn_{part}"
        down = rng.standard_normal((rank, 768)).astype(dtype)
        down[0, 5] = first
        tensors[f"{raw}.lora_down.weight"] = down
        tensors[f"{raw}.lora_up.weight"] = rng.standard_normal((768, rank)).astype(
            dtype
        )
        if not np.isfinite(first):
            first = 1.0
    path = folder / f"{rank}-{seed}.safetensors"
    save_file(tensors, path, metadata={"ss_base_model_version": "sd_v1"})
    return path


def plain(updates: object) -> dict[str, LowRankUpdate]:
    assert isinstance(updates, dict)
    return updates
