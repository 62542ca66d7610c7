"""LoRA files as changes to the base model: read, weighted and added."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lorajax.errors import ZooError
from lorajax.zoo.base.model import Factors, velocity
from lorajax.zoo.base.scenes import SIDE, tokenise
from lorajax.zoo.base.shipped import load_base
from lorajax.zoo.lora.applying import combine, read_weighted, split_weight, warnings_of
from lorajax.zoo.lora.parametrisations import FAMILIES, Weights
from lorajax.zoo.lora.training import Plan, changes, init_weights
from lorajax.zoo.own.lora import Place, Told, write_own

REAL = Path(__file__).parents[2] / "data" / "real"
TOLD = Told("pictures", ("red circle",), "", 4)


def make(family: str, seed: int = 0) -> tuple[Plan, Weights]:
    """A LoRA of random numbers, none of them padded."""
    targets = "all" if family == "locon" else "attention"
    plan = Plan(family, targets, 3, 1.5, 1e-3, steps=1, seed=seed)
    rng = np.random.default_rng(seed)
    weights = init_weights(plan, width=3)
    return plan, {
        module: {k: rng.normal(size=v.shape).astype("f4") * 0.1 for k, v in own.items()}
        for module, own in weights.items()
    }


def write(path: Path, family: str, seed: int = 0, dialect: str = "kohya") -> Path:
    plan, weights = make(family, seed)
    write_own(Place(path, dialect), plan, weights, "fp32", TOLD, b"")
    return path


def dense(change: object) -> np.ndarray:
    if isinstance(change, Factors):
        return np.asarray(change.up @ change.down.reshape(len(change.down), -1))
    return np.asarray(change)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_written_lora_changes_what_the_trained_one_changed(family, tmp_path):
    path = write(tmp_path / "a.safetensors", family)
    plan, weights = make(family)
    trained = changes(family, weights, plan.scale)
    found = combine(read_weighted([f"{path}:-0.5"]))
    assert found.keys() == trained.keys()
    for module, change in trained.items():
        np.testing.assert_allclose(found[module], -0.5 * dense(change), atol=1e-5)


def test_loras_add_up_and_strength_multiplies_all(tmp_path):
    one = write(tmp_path / "a.safetensors", "lora", 1)
    two = write(tmp_path / "b", "locon", 2, "peft")
    both = read_weighted([f"{one}:0.5", str(two)])
    assert [lora.adapter.name for lora in both] == ["a", "b"]
    assert warnings_of(both) == []
    first, second = combine(both[:1]), combine(both[1:])
    for module, change in combine(both, 2.0).items():
        expected = 2 * (second[module] + first.get(module, 0))
        np.testing.assert_allclose(change, expected, atol=1e-6)


def test_the_model_takes_them_as_it_took_the_factors(tmp_path):
    path = write(tmp_path / "a.safetensors", "locon")
    plan, weights = make("locon")
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(1, SIDE, SIDE, 3)), jnp.float32)
    t, tokens = jnp.array([0.5]), jnp.asarray(tokenise(["red circle"]))
    trained = changes("locon", weights, plan.scale)
    draw = jax.jit(velocity)
    expected = draw(load_base(), x, t, tokens, trained)
    found = draw(load_base(), x, t, tokens, combine(read_weighted([str(path)])))
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "path", "weight"),
    [
        ("a.safetensors", "a.safetensors", 1.0),
        ("a.safetensors:0.8", "a.safetensors", 0.8),
        ("a.safetensors:-1", "a.safetensors", -1.0),
        ("a:.5", "a", 0.5),
        ("C:\\loras\\a.safetensors", "C:\\loras\\a.safetensors", 1.0),
        ("C:\\loras\\a.safetensors:1e-1", "C:\\loras\\a.safetensors", 0.1),
        ("C:/a", "C:/a", 1.0),
        ("a:nan", "a:nan", 1.0),
        ("a:", "a:", 1.0),
        (":1", ":1", 1.0),
    ],
)
def test_the_number_after_the_last_colon_is_the_weight(text, path, weight):
    assert split_weight(text) == (Path(path), weight)


def test_a_file_whose_name_ends_like_a_weight_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        Path("a:2").write_bytes(b"")
    except OSError:
        pytest.skip("no colons in file names here")
    assert split_weight("a:2") == (Path("a:2"), 1.0)


def test_other_bases_folders_and_strengths_are_refused(tmp_path):
    foreign = next(REAL.rglob("*.safetensors"))
    with pytest.raises(ZooError, match=r"lorajax-zoo-1, found .* sd1"):
        read_weighted([str(foreign)])
    with pytest.raises(ZooError, match="a PEFT folder"):
        read_weighted([f"{tmp_path}:2"])
    with pytest.raises(ZooError, match="from -100 to 100"):
        read_weighted(["a.safetensors:101"])
