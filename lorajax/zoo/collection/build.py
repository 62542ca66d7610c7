"""Builds a collection: a recipe → a flat folder of trained LoRAs and their truth.

The folder holds what trainers write (see `lorajax.zoo.lora.writing`), `zoo.json`, the
truth about every LoRA, and `behaviour/`, the pictures that each one makes of the same
captions and noise. A build that was stopped goes on where it was: what is written is
kept. `zoo.json` is there from the start, and says `"finished": true` at the end.
"""

import json
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from platformdirs import user_cache_path

from lorajax.config.zoo import ZooSettings
from lorajax.errors import ZooError
from lorajax.formats.text import shown
from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.base.model import Params
from lorajax.zoo.base.shipped import hash_base, load_base
from lorajax.zoo.benchmark.truth import write_truth_files
from lorajax.zoo.collection.behaviour import (
    begin_behaviour,
    behaviour_captions,
    preview_png,
    strip_path,
    strip_png,
)
from lorajax.zoo.collection.metadata import sidecar, training_metadata
from lorajax.zoo.collection.recipes import Recipe, make_recipes, training_pictures
from lorajax.zoo.collection.synthetic import synthetic_rows, write_synthetic
from lorajax.zoo.files.placing import place
from lorajax.zoo.lora.drawing import as_bytes, draw_with_many
from lorajax.zoo.lora.parametrisations import Weights
from lorajax.zoo.lora.training import Plan, pad, stack, train_loras
from lorajax.zoo.lora.writing import Form, round_to, write_lora

VERSION = 2  # of the trainer: raised when a change alters the files it writes
TRUTH = "zoo.json"
ABREAST = 2  # groups that train at the same time


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
    if not missing and is_finished(out):
        on_progress(len(recipes), len(recipes))
        return out
    done = len(recipes) - len(missing)
    on_progress(done, len(recipes))
    # Closed at once when `on_progress` raises, or training would go on unheard.
    with closing(_train_missing(out, missing, settings)) as written:
        for _ in written:
            done += 1
            on_progress(done, len(recipes))
    shares = settings.test_share, settings.validation_share
    write_truth_files(out, settings.seed, *shares)
    _write_truth(out, settings, rows, finished=True)
    return out


def _train_missing(
    out: Path, missing: Sequence[Recipe], settings: ZooSettings
) -> Generator[Path, None, None]:
    """Trains, draws and writes, group by group; yields files as they come to be."""
    if not missing:
        return
    params = load_base()
    if settings.captions:
        begin_behaviour(out, params, settings)
    stop = threading.Event()

    def train(group: list[Recipe]) -> list[Path]:
        return _train_group(params, group, out, settings, stop)

    # Two groups at a time: what one step leaves idle, the other's uses.
    with ThreadPoolExecutor(ABREAST) as pool:
        groups = [pool.submit(train, g) for g in _groups(missing, settings.together)]
        try:
            for done in as_completed(groups):
                yield from done.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _groups(recipes: Sequence[Recipe], most: int) -> Iterator[list[Recipe]]:
    """Recipes that train in one compiled step, of like length, at most `most`."""
    structures: dict[tuple, list[Recipe]] = {}
    for recipe in sorted(recipes, key=lambda recipe: recipe.plan.steps):
        structures.setdefault(recipe.plan.structure, []).append(recipe)
    for same in structures.values():
        for start in range(0, len(same), most):
            yield same[start : start + most]


def _train_group(
    params: Params,
    group: list[Recipe],
    out: Path,
    settings: ZooSettings,
    stop: threading.Event,
) -> list[Path]:
    """Trains, draws and writes one group; returns the files."""

    def check(step: int) -> None:
        if stop.is_set():
            raise CancelledError

    # A short group is filled up, so that it needs no second compilation.
    filled = (group * settings.together)[: settings.together]
    sets = [training_pictures(recipe) for recipe in filled]
    plans = [recipe.plan for recipe in filled]
    trained = train_loras(params, plans, sets, settings.batch_size, on_step=check)
    # What the file holds is what is drawn with.
    rounded = [
        round_to(weights, recipe.dtype)
        for weights, recipe in zip(trained, filled, strict=True)
    ]
    drawn = _draw(params, plans, rounded, settings)
    return [
        _write(out, recipe, weights, pictures, settings.batch_size)
        for recipe, weights, pictures in zip(group, rounded, drawn, strict=False)
    ]


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
    batch_size: int,
) -> Path:
    """Writes a LoRA with all that belongs to it, the weights last."""
    ending, said = sidecar(recipe)
    beside = {ending: json.dumps(said, indent=1).encode()}
    if len(pictures):
        place(strip_path(out, recipe.name), strip_png(pictures))
        beside[".preview.png"] = preview_png(pictures)
    path = out / recipe.path
    form = Form(recipe.dialect, recipe.dtype)
    about = training_metadata(recipe, batch_size)
    write_lora(path, recipe.plan, weights, form, about, beside)
    return path


def demo_path(settings: ZooSettings) -> Path:
    """Where this collection lives in the user's cache (`LORAJAX_CACHE` moves it)."""
    moved = os.environ.get("LORAJAX_CACHE")
    root = Path(moved) if moved else user_cache_path("lorajax", appauthor=False)
    return root / "zoo" / identify(settings)[:16]


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a collection whose every LoRA is written."""
    path = folder / TRUTH
    return path.is_file() and read_truth(folder).get("finished") is True


def read_truth(folder: Path) -> dict:
    """The truth of a collection; see `_write_truth`.

    Raises:
      ZooError: where it is damaged.
    """
    path = folder / TRUTH
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ZooError(
            f"{shown(path)}: expected the truth of a collection, found damage",
            "delete the folder and build it again",
        ) from error
    if not isinstance(truth, dict):
        raise ZooError(
            f"{shown(path)}: expected the truth of a collection, found something else",
            "delete the folder and build it again",
        )
    return truth


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
        _make_empty(out)
        return _write_truth(out, settings, rows, finished=False)
    found = read_truth(out).get("identity")
    if found != identify(settings):
        raise ZooError(
            f"{out} holds another collection ({found}), expected {identify(settings)}",
            "choose an empty folder, or build with that collection's settings",
        )


def _make_empty(out: Path) -> None:
    """A folder of the collection's own, so that nothing of a person is overwritten."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        strange = next(out.iterdir(), None)
    except OSError as error:
        raise ZooError(
            f"{shown(out)}: expected a folder to write to, found: {error.strerror}",
            "choose another --out",
        ) from error
    if strange is not None:
        raise ZooError(
            f"{shown(out)}: expected an empty folder or a collection, found "
            f"{shown(Path(strange.name))}",
            "choose another --out",
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
