"""Builds a collection: a recipe → a flat folder of trained LoRAs and their truth.

The folder holds what trainers write (see `writing`), `zoo.json`, the truth about every
LoRA, and `behaviour/`, the pictures that each one makes of the same captions and noise.
A build that was stopped goes on where it was: what is written is kept. `zoo.json` is
there from the start, and says `"finished": true` when every LoRA is.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from platformdirs import user_cache_path

from lorajax.config.zoo import ZooSettings
from lorajax.errors import ZooError
from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.base import hash_base, load_base
from lorajax.zoo.behaviour import (
    begin_behaviour,
    behaviour_captions,
    preview_png,
    strip_path,
    strip_png,
)
from lorajax.zoo.drawing import as_bytes, draw_with_many
from lorajax.zoo.lora_training import Plan, pad, stack, train_loras
from lorajax.zoo.metadata import sidecar, training_metadata
from lorajax.zoo.model import Params
from lorajax.zoo.parametrisations import Weights
from lorajax.zoo.placing import place
from lorajax.zoo.recipes import Recipe, make_recipes, training_pictures
from lorajax.zoo.synthetic import synthetic_rows, write_synthetic
from lorajax.zoo.truth import write_truth_files
from lorajax.zoo.writing import round_to, write_lora

VERSION = 2  # of the trainer: raised when a change alters the files it writes
TRUTH = "zoo.json"


def build_zoo(
    settings: ZooSettings,
    out: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Trains and writes what `out` still lacks of the collection; returns `out`.

    Args:
      on_progress: called with (LoRAs written, LoRAs in all), first with those kept.
    """
    if settings.synthetic:
        _claim(out, settings, synthetic_rows(settings))
        write_synthetic(out, settings, on_progress)
        _write_truth(out, settings, synthetic_rows(settings), finished=True)
        return out
    recipes = make_recipes(settings)
    rows = [describe(recipe) for recipe in recipes]
    _claim(out, settings, rows)
    missing = [recipe for recipe in recipes if not (out / recipe.path).exists()]
    done = len(recipes) - len(missing)
    on_progress(done, len(recipes))
    for _ in _train_missing(out, missing, settings):
        done += 1
        on_progress(done, len(recipes))
    shares = settings.test_share, settings.validation_share
    write_truth_files(out, settings.seed, *shares)
    _write_truth(out, settings, rows, finished=True)
    return out


def _train_missing(
    out: Path, missing: Sequence[Recipe], settings: ZooSettings
) -> Iterator[Path]:
    """Trains, draws and writes, group by group; yields each file when it is there."""
    if not missing:
        return
    params = load_base()
    if settings.captions:
        begin_behaviour(out, params, settings)
    for group in _groups(missing, settings.together):
        # A short group is filled up, so that it needs no second compilation.
        filled = (group * settings.together)[: settings.together]
        sets = [training_pictures(recipe) for recipe in filled]
        plans = [recipe.plan for recipe in filled]
        trained = train_loras(params, plans, sets, settings.batch_size)
        # What the file holds is what is drawn with.
        rounded = [
            round_to(weights, recipe.dtype)
            for weights, recipe in zip(trained, filled, strict=True)
        ]
        drawn = _draw(params, plans, rounded, settings)
        for recipe, weights, pictures in zip(group, rounded, drawn, strict=False):
            yield _write(out, recipe, weights, pictures)


def _groups(recipes: Sequence[Recipe], most: int) -> Iterator[list[Recipe]]:
    """Recipes that train in one compiled step, at most `most` at a time."""
    structures: dict[tuple, list[Recipe]] = {}
    for recipe in recipes:
        structures.setdefault(recipe.plan.structure, []).append(recipe)
    for same in structures.values():
        for start in range(0, len(same), most):
            yield same[start : start + most]


def _draw(
    params: Params, plans: Sequence[Plan], trained: list[Weights], settings: ZooSettings
) -> UInt8[np.ndarray, "l c side side 3"]:
    """The pictures of each LoRA's behaviour set."""
    padded = [pad(w, plan) for w, plan in zip(trained, plans, strict=True)]
    pictures = draw_with_many(
        params,
        behaviour_captions(settings),
        settings.seed,
        plans[0].family,
        stack(padded),
        jnp.array([plan.scale for plan in plans], jnp.float32),
        settings.sampler_steps,
        settings.guidance,
    )
    return as_bytes(pictures)


def _write(
    out: Path,
    recipe: Recipe,
    weights: Weights,
    pictures: UInt8[np.ndarray, "c side side 3"],
) -> Path:
    """Writes a LoRA with all that belongs to it, the weights last."""
    ending, about = sidecar(recipe)
    beside = {ending: json.dumps(about, indent=1).encode()}
    if len(pictures):
        place(strip_path(out, recipe.name), strip_png(pictures))
        beside[".preview.png"] = preview_png(pictures)
    return write_lora(out, recipe, weights, training_metadata(recipe), beside)


def demo_path(settings: ZooSettings) -> Path:
    """Where this collection lives in the user's cache (`LORAJAX_CACHE` moves it)."""
    moved = os.environ.get("LORAJAX_CACHE")
    root = Path(moved) if moved else user_cache_path("lorajax", appauthor=False)
    return root / "zoo" / identify(settings)[:16]


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a collection whose every LoRA is written."""
    path = folder / TRUTH
    return path.is_file() and read_truth(folder)["finished"]


def read_truth(folder: Path) -> dict:
    """The truth of a collection; see `_write_truth`."""
    return json.loads((folder / TRUTH).read_text(encoding="utf-8"))


def identify(settings: ZooSettings) -> str:
    """Hash of all that decides the files' content: base weights, recipe, trainer.

    `together` decides only the speed and is left out.
    """
    recipe = settings.model_dump_json(exclude={"together"})
    parts = f"{hash_base()} {recipe} {VERSION}"
    return sha256(parts.encode()).hexdigest()


def _claim(out: Path, settings: ZooSettings, rows: list[dict]) -> None:
    """Makes the folder this collection's own, or refuses another collection's."""
    if not (out / TRUTH).exists():
        out.mkdir(parents=True, exist_ok=True)
        return _write_truth(out, settings, rows, finished=False)
    found = read_truth(out).get("identity")
    if found != identify(settings):
        raise ZooError(
            f"{out} holds another collection ({found}), expected {identify(settings)}",
            "choose an empty folder, or build with that collection's settings",
        )


def _write_truth(
    out: Path, settings: ZooSettings, rows: list[dict], finished: bool
) -> None:
    truth = {
        "version": VERSION,
        "base_model": BASE_MODEL,
        "identity": identify(settings),
        "settings": settings.model_dump(),
        "finished": finished,
        "loras": rows,
    }
    place(out / TRUTH, json.dumps(truth, indent=1).encode())


def describe(recipe: Recipe) -> dict:
    """A LoRA's truth: its style with graded attributes, and all its nuisances."""
    row = asdict(recipe)
    attributes = dict(row.pop("style")["attributes"])
    row |= row.pop("plan")
    row |= {"file": recipe.path, "style": recipe.style.name, "attributes": attributes}
    row["lr"] = row.pop("learning_rate")
    return row
