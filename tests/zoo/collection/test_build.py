"""A built collection: complete, readable, true to its recipes, and resumable."""

import json
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from lorajax.adapters.adapter import read_adapter
from lorajax.config.zoo import ZooSettings
from lorajax.dataset.tags import sidecar_tags
from lorajax.errors import ZooError
from lorajax.naming.zoo import BASE_MODEL, TABLE
from lorajax.pictures.behaviour_set import read_behaviour_set, read_strip
from lorajax.zoo.base.model import Factors
from lorajax.zoo.collection.build import build_zoo, demo_path, is_finished, read_truth
from lorajax.zoo.collection.metadata import training_metadata
from lorajax.zoo.collection.recipes import make_recipes
from lorajax.zoo.lora.parametrisations import Weights
from lorajax.zoo.lora.training import Plan, changes, cut, init_weights
from lorajax.zoo.lora.writing import Form, round_to, write_lora

SETTINGS = ZooSettings(
    styles=3, loras_per_style=2, steps=2, batch_size=4, together=4, captions=4
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory) -> Path:
    return build_zoo(SETTINGS, tmp_path_factory.mktemp("zoo"))


def read_header(path: Path) -> tuple[dict[str, list[int]], set[str], dict[str, str]]:
    with safe_open(path, "np") as file:
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
        shapes = {key: s.get_shape() for key, s in slices.items()}
        return shapes, {s.get_dtype() for s in slices.values()}, file.metadata()


def test_the_truth_lists_every_file(zoo):
    truth = read_truth(zoo)
    assert is_finished(zoo)
    assert truth["base_model"] == BASE_MODEL
    assert len(truth["loras"]) == 6
    assert all((zoo / row["file"]).is_file() for row in truth["loras"])
    assert len({row["style"] for row in truth["loras"]}) == 3
    keys = {"attributes", "content", "rank", "lr", "steps", "seed", "dtype", "dialect"}
    assert keys | {"shared_down", "alpha", "images"} <= truth["loras"][0].keys()
    assert not list(zoo.rglob("*.unfinished"))


def test_files_are_in_their_dialect_with_rank_dtype_and_tags(zoo):
    written = {"fp32": "F32", "fp16": "F16", "bf16": "BF16"}
    for row in read_truth(zoo)["loras"]:
        shapes, dtypes, metadata = read_header(zoo / row["file"])
        assert dtypes == {written[row["dtype"]]}
        frequency = json.loads(metadata["ss_tag_frequency"])[f"10_{row['style']}"]
        assert frequency[row["style"]] == row["images"] == max(frequency.values())
        assert not {*row["attributes"]} & frequency.keys()
        flat = {name.replace(".", "_"): name for name in TABLE.positions}
        names = {
            "kohya": lambda key, flat=flat: flat[key.partition(".")[0][5:]],
            "peft": lambda key: "unet." + key[17:].rpartition(".lora_")[0],
        }[row["dialect"]]
        assert {names(key) for key in shapes} <= TABLE.positions.keys()
        down = next(s for k, s in shapes.items() if "lora_down" in k or "lora_A" in k)
        assert down[0] == row["rank"]


def test_peft_configurations_match_the_recipe(zoo):
    rows = [row for row in read_truth(zoo)["loras"] if row["dialect"] == "peft"]
    for row in rows:
        path = zoo / row["name"] / "adapter_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        assert config["base_model_name_or_path"] == BASE_MODEL
        assert (config["r"], config["lora_alpha"]) == (row["rank"], row["alpha"])
        assert config["use_rslora"] == row["rslora"]
    assert 0 < len(rows) < 6


def test_what_is_written_is_kept_and_what_is_missing_is_made_again(zoo):
    rows = read_truth(zoo)["loras"]
    kept = {row["file"]: (zoo / row["file"]).stat().st_mtime_ns for row in rows[1:]}
    lost = zoo / rows[0]["file"]
    with safe_open(lost, "np") as file:
        before = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    lost.unlink()
    calls = []
    build_zoo(SETTINGS, zoo, lambda done, total: calls.append((done, total)))
    assert calls == [(5, 6), (6, 6)]
    assert {name: (zoo / name).stat().st_mtime_ns for name in kept} == kept
    with safe_open(lost, "np") as file:
        for key, tensor in before.items():
            again = file.get_tensor(key).astype(np.float32)
            np.testing.assert_allclose(again, tensor.astype(np.float32), atol=2e-3)


@pytest.mark.slow
def test_a_stopped_build_is_not_finished(tmp_path):
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise Stop

    settings = SETTINGS.model_copy(update={"together": 1})
    with pytest.raises(Stop):
        build_zoo(settings, tmp_path, stop)
    assert not is_finished(tmp_path)
    files = [tmp_path / row["file"] for row in read_truth(tmp_path)["loras"]]
    kept = {file: file.stat().st_mtime_ns for file in files if file.exists()}
    assert 0 < len(kept) < len(files)
    assert not [t for t in threading.enumerate() if "ThreadPool" in t.name]
    assert is_finished(build_zoo(settings, tmp_path))
    assert {file: file.stat().st_mtime_ns for file in kept} == kept


def test_another_collections_folder_is_refused(zoo):
    with pytest.raises(ZooError, match="holds another collection"):
        build_zoo(SETTINGS.model_copy(update={"seed": 9}), zoo)


def test_a_folder_that_holds_other_things_is_refused(tmp_path):
    (tmp_path / "mine.safetensors").touch()
    with pytest.raises(ZooError, match=r"empty folder .* mine\.safetensors"):
        build_zoo(SETTINGS, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ZooError, match="a folder to write to"):
        build_zoo(SETTINGS, tmp_path / "file")


def test_a_damaged_truth_is_a_refusal(tmp_path):
    for text in ("{", "[]"):
        (tmp_path / "zoo.json").write_text(text, encoding="utf-8")
        with pytest.raises(ZooError, match="expected the truth of a collection"):
            build_zoo(SETTINGS, tmp_path)


def test_a_finished_collection_is_left_alone(zoo):
    before = (zoo / "truth" / "README.md").stat().st_mtime_ns
    calls = []
    build_zoo(SETTINGS, zoo, lambda done, total: calls.append((done, total)))
    assert calls == [(6, 6)]
    assert (zoo / "truth" / "README.md").stat().st_mtime_ns == before


def test_the_cache_moves_and_follows_the_recipe(monkeypatch, tmp_path):
    monkeypatch.setenv("LORAJAX_CACHE", str(tmp_path))
    here = demo_path(SETTINGS)
    assert here.is_relative_to(tmp_path)
    assert here == demo_path(SETTINGS.model_copy(update={"together": 7}))
    assert here != demo_path(SETTINGS.model_copy(update={"steps": 3}))


def test_recipes_follow_the_seed_and_mix_their_nuisances():
    recipes = make_recipes(ZooSettings())
    assert recipes == make_recipes(ZooSettings())
    assert len({recipe.name for recipe in recipes}) == 192
    for field in ("rank", "targets", "shared_down", "rslora", "alpha"):
        assert len({getattr(recipe.plan, field) for recipe in recipes}) > 1
    for field in ("dtype", "dialect", "tags", "images"):
        assert len({getattr(recipe, field) for recipe in recipes}) > 1
    names = {recipe.style.name for recipe in recipes}
    assert not any(style in recipe.name for recipe in recipes for style in names)


def test_what_managers_keep_beside_a_lora(zoo):
    """A preview made by that LoRA and a sidecar with its uploader's tags."""
    for row in read_truth(zoo)["loras"]:
        file = zoo / row["file"]
        assert sidecar_tags(file).keys() == set(row["tags"])
        with Image.open(file.with_name(file.stem + ".preview.png")) as preview:
            assert preview.size == (256, 256)


def test_every_lora_draws_the_same_captions(zoo):
    behaviour = read_behaviour_set(zoo)
    assert len(behaviour.captions) == 4
    assert behaviour.halves.tolist() == [1, 2, 1, 2]
    strips = [read_strip(behaviour, row["name"]) for row in read_truth(zoo)["loras"]]
    assert not any(strip is None for strip in strips)
    assert len({np.asarray(strip).tobytes() for strip in strips}) == len(strips)


def test_every_family_is_written_as_it_was_trained(tmp_path):
    families = {"lora": 1.0, "locon": 1.0, "loha": 1.0, "lokr": 1.0, "superlora": 1.0}
    settings = SETTINGS.model_copy(update={"families": families, "captions": 0})
    recipes = {recipe.plan.family: recipe for recipe in make_recipes(settings)}
    assert len(recipes) >= 3
    for family, recipe in recipes.items():
        weights = random_weights(recipe.plan)
        path, form = tmp_path / recipe.path, Form(recipe.dialect, recipe.dtype)
        metadata = training_metadata(recipe, 4)
        write_lora(path, recipe.plan, weights, form, metadata, {})
        adapter = read_adapter(path)
        made = changes(family, round_to(weights, recipe.dtype), recipe.plan.scale)
        assert adapter.base_model == BASE_MODEL
        assert adapter.updates.keys() == made.keys()
        for name, change in made.items():
            if isinstance(change, Factors):
                change = change.up @ change.down.reshape(len(change.down), -1)
            dense = adapter.updates[name].dense()
            np.testing.assert_allclose(dense, change, rtol=1e-2, atol=1e-4)


def random_weights(plan: Plan) -> Weights:
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(
        lambda array: rng.normal(size=array.shape).astype("f4"), init_weights(plan)
    )
    return cut(jax.tree.map(lambda array: array[None], drawn), [plan])[0]
