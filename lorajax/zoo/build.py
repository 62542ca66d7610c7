"""Builds a collection: a recipe → a flat folder of trained LoRAs and their truth.

The folder holds what trainers write (see `writing`) and `zoo.json`, the truth. A build
that was stopped goes on where it was: what is written is kept. `zoo.json` is there
from the start, and says `"finished": true` when every LoRA is.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from platformdirs import user_cache_path

from lorajax.config.zoo import ZooSettings
from lorajax.errors import ZooError
from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.base import hash_base, load_base
from lorajax.zoo.lora_training import train_loras
from lorajax.zoo.recipes import Recipe, make_recipes
from lorajax.zoo.writing import write_lora

VERSION = 1  # of the trainer: raised when a change alters the files it writes
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
    recipes = make_recipes(settings)
    _claim(out, settings, recipes)
    missing = [recipe for recipe in recipes if not (out / recipe.path).exists()]
    done = len(recipes) - len(missing)
    on_progress(done, len(recipes))
    params = load_base() if missing else {}
    for start in range(0, len(missing), settings.together):
        group = missing[start : start + settings.together]
        # A short last group is filled up, so that it needs no second compilation.
        filled = (group * settings.together)[: settings.together]
        trained = train_loras(params, filled, settings.batch_size)
        for recipe, factors in zip(group, trained, strict=False):
            write_lora(out, recipe, factors)
            done += 1
            on_progress(done, len(recipes))
    _write_truth(out, settings, recipes, finished=True)
    return out


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


def _claim(out: Path, settings: ZooSettings, recipes: tuple[Recipe, ...]) -> None:
    """Makes the folder this collection's own, or refuses another collection's."""
    if not (out / TRUTH).exists():
        out.mkdir(parents=True, exist_ok=True)
        return _write_truth(out, settings, recipes, finished=False)
    found = read_truth(out).get("identity")
    if found != identify(settings):
        raise ZooError(
            f"{out} holds another collection ({found}), expected {identify(settings)}",
            "choose an empty folder, or build with that collection's settings",
        )


def _write_truth(
    out: Path, settings: ZooSettings, recipes: tuple[Recipe, ...], finished: bool
) -> None:
    truth = {
        "version": VERSION,
        "base_model": BASE_MODEL,
        "identity": identify(settings),
        "settings": settings.model_dump(),
        "finished": finished,
        "loras": [describe(recipe) for recipe in recipes],
    }
    unfinished = out / f"{TRUTH}.unfinished"
    unfinished.write_text(json.dumps(truth, indent=1), encoding="utf-8")
    os.replace(unfinished, out / TRUTH)


def describe(recipe: Recipe) -> dict:
    """A LoRA's truth: its style with graded attributes, and all its nuisances."""
    row = asdict(recipe)
    attributes = dict(row.pop("style")["attributes"])
    row |= {"file": recipe.path, "style": recipe.style.name, "attributes": attributes}
    row["lr"] = row.pop("learning_rate")
    return row
