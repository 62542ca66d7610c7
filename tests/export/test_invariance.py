"""One ΔW, however a file writes it: nothing that is computed of it shows the writing.

Every family is written twice into real files, the second time with what may change
without changing ΔW. Norm, singular values, inner products with another LoRA,
fingerprint, the vector of the base space and the embedding of a fitted basis and
encoder must agree.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lorajax.adapters import (
    Adapter,
    LowRankUpdate,
    compare,
    fingerprint,
    inner,
    read_adapter,
    spectrum,
)
from lorajax.adapters.superlora import fold
from lorajax.config import EncoderSettings, FeatureSettings
from lorajax.encoder.embedder import initial_encoder
from lorajax.export.convert import convert_file
from lorajax.export.model import Model
from lorajax.naming import Module, table_of
from lorajax.naming.superlora import Layout
from lorajax.projection.base_space import base_space_vector
from lorajax.projection.features import module_lengths
from lorajax.projection.preparing import prepare
from tests.conftest import adapter_of
from tests.export.rewriting import (
    WAYS,
    Part,
    Parts,
    cut,
    dialects,
    folded,
    gauged,
    inflated,
    random_part,
    write,
    zero,
)

ZOO, BERT, SD3 = "lorajax-zoo-1", "bert-tiny", "sd3-medium"
_STAGE = "unet.up_blocks.0"
LINEAR = {
    ZOO: [f"{_STAGE}.attentions.0.transformer_blocks.0.{leaf}"
          for leaf in ("attn2.to_k", "ff.net.0.proj", "ff.net.2")],
    BERT: [f"bert.encoder.layer.0.{leaf}.dense"
           for leaf in ("attention.output", "intermediate", "output")],
    SD3: [f"transformer.transformer_blocks.1.attn.to_{part}" for part in "qkv"],
}  # fmt: skip
WINDOWED = ["unet.mid_block.resnets.0.conv1", f"{_STAGE}.resnets.0.conv_shortcut"]
FUSED = "lora_unet_joint_blocks_1_x_block_attn_qkv"
# Relative to the update's own size, where the bytes allow it.
EXACT = 1e-5
# Rounding of factors to 11 and 8 bits, at most four of which are multiplied.
HALF = {np.dtype("f2"): 4e-3, np.dtype(ml_dtypes.bfloat16): 3e-2}
COSINE = 0.9999
FLOAT = np.dtype("f4")
CASES = [(name, ZOO) for name in WAYS] + [
    (name, BERT) for name, way in WAYS.items() if way.peft and not way.window
]
cases = pytest.mark.parametrize(("name", "base"), CASES)
seeds = st.integers(0, 2**32)
quick = settings(deadline=None, max_examples=2)
Change = Callable[[Part, np.random.Generator], Part]


def modules_of(name: str, base: str) -> list[str]:
    return WINDOWED if WAYS[name].window else LINEAR[base]


def weight_shape(base: str, module: str) -> tuple[int, ...]:
    table = table_of(base)
    return table.modules[table.positions[module]].shape


def random_parts(name: str, base: str, seed: int) -> dict[str, Part]:
    """Every module of the base that the way can write, by its canonical name."""
    rng = np.random.default_rng(seed)
    return {
        module: random_part(WAYS[name], weight_shape(base, module), rng)
        for module in modules_of(name, base)
    }


def spelled(base: str, dialect: str, module: str) -> str:
    if dialect == "kohya":
        return "lora_" + module.replace(".", "_")
    if dialect == "peft":
        return "base_model.model." + module.removeprefix("unet.")
    return module


def written(base: str, dialect: str, parts: Parts, dtype: np.dtype = FLOAT) -> Adapter:
    """The adapter that a file of these parts, by canonical names, is read as."""
    raw = {spelled(base, dialect, module): part for module, part in parts.items()}
    return adapter_from(base, dialect, raw, dtype)


def adapter_from(
    base: str, dialect: str, raw: Parts, dtype: np.dtype = FLOAT
) -> Adapter:
    with TemporaryDirectory() as folder:
        adapter = read_adapter(write(Path(folder), dialect, raw, base, dtype))
    assert (adapter.base_model, adapter.unmapped) == (base, ())
    return adapter


def first_dialect(name: str, base: str) -> str:
    return "peft" if base == BERT else dialects(WAYS[name])[0]


@cache
def probe(base: str) -> Adapter:
    """Another LoRA of the same modules."""
    return some_loras(base)[0]


@cache
def model(base: str) -> Model:
    """A basis fitted on a few LoRAs, and an encoder as training finds it.

    As many components as there are numbers: one that random updates hardly have would
    show their rounding enlarged.
    """
    loras = some_loras(base)
    train = np.arange(len(loras))
    prepared = prepare(FeatureSettings(components=16, side=4), loras)
    basis = prepared.fit(train)
    features = prepared.features(basis, train, train)
    sizes = EncoderSettings(width=16, layers=1, heads=2, ffn=16, start="geometry")
    modules, components = features.scores.shape[1:]
    lengths = module_lengths(features)
    return Model(basis, initial_encoder(sizes, modules, components, lengths, 0))


@cache
def some_loras(base: str) -> list[Adapter]:
    modules = [*LINEAR[base], *(WINDOWED if base == ZOO else [])]
    rng = np.random.default_rng(3)
    found = []
    for _ in range(24):
        updates = {}
        for module in modules:
            out, *rest = weight_shape(base, module)
            up, down = rng.standard_normal((out, 2)), rng.standard_normal((2, *rest))
            updates[module] = LowRankUpdate(up.astype("f4"), down.reshape(2, -1))
        found.append(replace(adapter_of(updates), base_model=base))
    return found


def spectra(adapter: Adapter) -> dict[str, np.ndarray]:
    """Module → singular values, as many as there may be at most."""
    return {
        module: np.pad(spectrum(update), (0, min(update.shape)))[: min(update.shape)]
        for module, update in adapter.updates.items()
    }


def product(a: Adapter, b: Adapter) -> float:
    return sum(inner(u, b.updates[m]) for m, u in a.updates.items())


def assert_same(a: Adapter, b: Adapter, tolerance: float = EXACT) -> None:
    """Everything that is computed of two adapters, relative to the updates' size."""
    assert (list(a.updates), a.tier) == (list(b.updates), b.tier)
    other = probe(a.base_model)
    assert abs(a.norm - b.norm) <= tolerance * a.norm
    assert abs(product(a, b) - a.norm**2) <= tolerance * a.norm**2
    size = a.norm * other.norm
    assert abs(product(a, other) - product(b, other)) <= tolerance * size
    for values, found in zip(spectra(a).values(), spectra(b).values(), strict=True):
        np.testing.assert_allclose(found, values, atol=tolerance * float(values[0]))
    names = fingerprint(a), fingerprint(b)
    assert abs(names[0].strength - names[1].strength) <= 1 + 400 * tolerance
    vectors = [(base_space_vector(x), model(x.base_model).embed(x)) for x in (a, b)]
    if tolerance == EXACT:
        # Rounding may carry a code across a border, and no further.
        assert np.abs(np.subtract(names[0].direction, names[1].direction)).max() <= 1
        for first, second in zip(*vectors, strict=True):
            np.testing.assert_allclose(first, second, atol=tolerance)
        return
    assert compare(*names).difference <= tolerance
    assert all(u @ v >= COSINE for u, v in zip(*vectors, strict=True))


@cases
@quick
@given(
    seed=seeds,
    changes=st.lists(
        st.sampled_from([gauged, inflated, folded]), min_size=1, max_size=3
    ),
)
def test_gauge_rank_and_scale(name: str, base: str, seed: int, changes: list[Change]):
    """One after the other, so that each also meets what another has made."""
    parts, rng = random_parts(name, base, seed), np.random.default_rng(seed)
    changed: Parts = parts
    for change in changes:
        changed = {module: change(part, rng) for module, part in changed.items()}
    dialect = first_dialect(name, base)
    assert_same(written(base, dialect, parts), written(base, dialect, changed))


@cases
@quick
@given(seed=seeds, dtype=st.sampled_from([*HALF, np.dtype("f8")]))
def test_number_format(name: str, base: str, seed: int, dtype: np.dtype):
    parts, dialect = random_parts(name, base, seed), first_dialect(name, base)
    first, second = (written(base, dialect, parts, d) for d in (FLOAT, dtype))
    assert_same(first, second, HALF.get(dtype, EXACT))


@pytest.mark.parametrize(
    "name", [n for n, way in WAYS.items() if len(dialects(way)) > 1]
)
@quick
@given(seed=seeds)
def test_dialect(name: str, seed: int):
    parts = random_parts(name, ZOO, seed)
    first, *others = (written(ZOO, d, parts) for d in dialects(WAYS[name]))
    for other in others:
        assert other.format != first.format
        assert_same(first, other)
        for module, magnitude in first.magnitudes.items():
            marks = other.magnitudes[module].values
            np.testing.assert_array_equal(marks, magnitude.values)


@pytest.mark.parametrize("name", [n for n, b in CASES if b == BERT])
@quick
@given(seed=seeds)
def test_a_language_model_with_a_head_or_without(name: str, seed: int):
    parts = random_parts(name, BERT, seed)
    bare = {
        f"base_model.model.{module.removeprefix('bert.')}": part
        for module, part in parts.items()
    }
    assert_same(written(BERT, "peft", parts), adapter_from(BERT, "peft", bare))


@pytest.mark.parametrize("name", ["LoRA", "LoRA of convolutions", "LoHa", "LoKr"])
@quick
@given(seed=seeds)
def test_converted(name: str, seed: int):
    parts = random_parts(name, ZOO, seed)
    raw = {spelled(ZOO, "kohya", module): part for module, part in parts.items()}
    with TemporaryDirectory() as folder:
        path = write(Path(folder), "kohya", raw, ZOO, FLOAT)
        first = read_adapter(path)
        for target in [*dialects(WAYS[name])[1:], "kohya"]:
            out = "peft" if target == "peft" else f"{target}.safetensors"
            path = Path(convert_file(path, target, Path(folder) / out).out)
            assert_same(first, read_adapter(path))


@pytest.mark.parametrize("name", [n for n, way in WAYS.items() if way.rows])
@quick
@given(seed=seeds)
def test_fused_and_split(name: str, seed: int):
    """kohya's trainer has one layer where diffusers has three."""
    way, rng = WAYS[name], np.random.default_rng(seed)
    width, _ = weight_shape(SD3, LINEAR[SD3][0])
    part = random_part(way, (3 * width, width), rng)
    pieces = dict(zip(LINEAR[SD3], cut(part, 3), strict=True))
    fused = adapter_from(SD3, "kohya", {FUSED: part})
    split = {
        f"lora_unet_transformer_blocks_1_attn_to_{leaf}": piece
        for leaf, piece in zip("qkv", pieces.values(), strict=True)
    }
    assert_same(fused, adapter_from(SD3, "kohya", split))
    if "diffusers" in dialects(way):
        assert_same(fused, adapter_from(SD3, "diffusers", pieces))


@cases
@quick
@given(seed=seeds)
def test_added_zero_modules(name: str, base: str, seed: int):
    parts, dialect = random_parts(name, base, seed), first_dialect(name, base)
    *kept, last = parts
    silent = {**parts, last: zero(parts[last])}
    found = written(base, dialect, silent)
    assert found.dead == (last,)
    assert_same(written(base, dialect, {m: parts[m] for m in kept}), found)


@quick
@given(seed=seeds)
def test_superlora(seed: int):
    """All modules are one folded vector here: gauge, rank, scale and format of that."""
    rng = np.random.default_rng(seed)
    modules = tuple(Module(m, weight_shape(ZOO, m)) for m in LINEAR[ZOO])
    layout = Layout(1, 1, 2, float(rng.uniform(0.5, 2)), modules)
    first, second = fold(layout.total, 2)
    a, b = rng.standard_normal((first, 3)), rng.standard_normal((second, 3))
    gauge = rng.standard_normal((3, 3)) + 3 * np.eye(3)
    other = layout.scale * a @ gauge, b @ np.linalg.inv(gauge).T
    more = np.hstack([other[0], other[0][:, :1]]), np.hstack([other[1], 0 * b[:, :1]])
    plain = joint_adapter(layout, a, b)
    assert_same(plain, joint_adapter(replace(layout, scale=1.0), *more))
    for dtype, tolerance in HALF.items():
        rounded = joint_adapter(layout, a.astype(dtype), b.astype(dtype))
        assert_same(plain, rounded, tolerance)


def joint_adapter(layout: Layout, a: np.ndarray, b: np.ndarray) -> Adapter:
    parts = {f"superlora.g0.k0.a{i}": array for i, array in enumerate((a, b))}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "joint.safetensors"
        said = {"superlora": layout.dumps(), "ss_base_model_version": ZOO}
        save_file(parts, path, said)
        return read_adapter(path)


@pytest.mark.parametrize("base", [ZOO, BERT, SD3])
def test_what_is_compared_tells_updates_apart(base: str):
    """None of it is a constant."""
    a, b = some_loras(base)[1:3]
    numbers = [
        np.array([x.norm, product(x, probe(base)), *spectra(x)[LINEAR[base][0]][:2]])
        for x in (a, b)
    ]
    assert np.all(np.abs(numbers[0] - numbers[1]) > 100 * EXACT)
    assert compare(fingerprint(a), fingerprint(b)).difference > 0.5
    assert base_space_vector(a) @ base_space_vector(b) < 0.5
    assert model(base).embed(a) @ model(base).embed(b) < 0.9
