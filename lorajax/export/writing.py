"""Writing a bundle, so that one killed at any moment leaves the old or the new.

A model is written beside its place and takes it only when it is complete. What counts
is `config.json`, replaced in one step: before, it names the old model; after, the new
one, which `load_bundle` also finds where it has not moved in yet.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from lorajax.errors import CheckpointError
from lorajax.export.bundle import (
    BASES,
    CONFIG_FILE,
    READY,
    VERSION,
    read_config,
    read_results,
)
from lorajax.export.card import model_card
from lorajax.export.jax_graph import jax_graph
from lorajax.export.model import BASIS_FILE, ENCODER_FILE, Model, load_model
from lorajax.export.onnx_graph import onnx_graph
from lorajax.export.recipe import RECIPE_FILE, feature_recipe
from lorajax.training.run_dir import write_json

Graph = Literal["jax", "onnx"]
GRAPH_FILES: dict[Graph, str] = {"jax": "encoder.jax", "onnx": "encoder.onnx"}
CARD_FILE = "README.md"
_PART = ".part"
# What of a run's settings made the model; none of it is a path.
_SETTINGS = ("features", "encoder", "training")
# Of `results.json`: not the names of held-out LoRAs, which are the person's own.
_RESULTS = (
    *("trained", "supervision", "n_loras", "n_styles", "split", "splits", "seed"),
    *("rows", "evaluation_note", "seconds"),
)


def write_bundle(
    run: Path, folder: Path, graphs: Sequence[Graph] = (), force: bool = False
) -> Path:
    """Exports a finished run: to a new bundle, or into one of other base models.

    Args:
      graphs: what is written beside the weights, for use without this package.
      force: whether another model of the same base model is replaced.

    Raises:
      CheckpointError: where the run has not finished, the folder holds something else
        than a bundle, or another model of this base model, or cannot be written.
    """
    results, settings = read_results(run), _settings(run)
    model = load_model(run)
    document = _document(folder)
    _refuse_another(folder, document, model, force)
    base = model.base_model
    files = {name: (run / name).read_bytes() for name in (BASIS_FILE, ENCODER_FILE)}
    files |= _graphs(model, graphs)
    document["bases"][base] = {
        **_facts(model),
        "results": {key: results[key] for key in _RESULTS if key in results}
        | {"n_held_out": len(results.get("held_out", ()))},
        "settings": settings,
        "files": {name: _file_facts(content) for name, content in files.items()},
    }
    document["bases"] = dict(sorted(document["bases"].items()))
    try:
        _settle(folder)
        _write_beside(folder / BASES / base, files)
        write_json(folder / CONFIG_FILE, document)
        _replace(folder / CARD_FILE, model_card(document))
        _settle(folder)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error}") from error
    return folder


def _document(folder: Path) -> dict[str, Any]:
    """The configuration that a model is added to."""
    if (folder / CONFIG_FILE).exists() and (folder / BASES).is_dir():
        document = read_config(folder)
        document.pop("trained", None)  # bundles of one model said it here
        return document
    if folder.exists() and {path.name for path in folder.iterdir()} - {BASES}:
        raise CheckpointError(
            f"{folder}: expected an empty folder or an older bundle, found other files",
            "export to another folder",
        )
    return {"lorajax_bundle": VERSION, "bases": {}}


def _refuse_another(
    folder: Path, document: dict[str, Any], model: Model, force: bool
) -> None:
    facts = document["bases"].get(model.base_model, {})
    old, new = facts.get("encoder_hash"), model.encoder.hash()
    if facts and old != new and not force:
        raise CheckpointError(
            f"{folder}: expected no other model of {model.base_model}, found encoder "
            f"{old}; this run's is {new}",
            "export to another folder, or replace it with --force: its vectors cannot "
            "be compared with the new ones",
        )


def _settings(run: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        return {name: document[name] for name in _SETTINGS}
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
        raise CheckpointError(
            f"{run}: expected a run with a readable config.yaml"
        ) from error


def _graphs(model: Model, graphs: Sequence[Graph]) -> dict[str, bytes]:
    """File name → contents of the graphs, and of what tells how to feed them."""
    if not graphs:
        return {}
    made = {GRAPH_FILES[graph]: _graph(model, graph) for graph in graphs}
    return {RECIPE_FILE: feature_recipe(model.basis)} | made


def _graph(model: Model, graph: Graph) -> bytes:
    if graph == "jax":
        return jax_graph(model.encoder)
    return onnx_graph(model.encoder).SerializeToString()


def _write_beside(place: Path, files: dict[str, bytes]) -> None:
    part = place.with_name(place.name + _PART)
    part.mkdir(parents=True)
    for name, content in files.items():
        (part / name).write_bytes(content)
    part.rename(place.with_name(place.name + READY))


def _settle(folder: Path) -> None:
    """Moves the model in that `config.json` names; clears what killed exports left."""
    if not (folder / BASES).is_dir():
        return
    for part in (folder / BASES).glob(f"*{_PART}"):
        shutil.rmtree(part)
    for ready in (folder / BASES).glob(f"*{READY}"):
        if _is_named(folder, ready):
            place = ready.with_name(ready.name.removesuffix(READY))
            shutil.rmtree(place, ignore_errors=not place.exists())
            ready.rename(place)
        else:
            shutil.rmtree(ready)


def _is_named(folder: Path, ready: Path) -> bool:
    if not (folder / CONFIG_FILE).exists():
        return False
    facts = read_config(folder)["bases"].get(ready.name.removesuffix(READY), {})
    return facts.get("encoder_hash") == load_model(ready).encoder.hash()


def _facts(model: Model) -> dict[str, Any]:
    facts = model.basis.facts
    return {
        "basis_hash": model.basis.hash(),
        "encoder_hash": model.encoder.hash(),
        "projection": facts.kind,
        "modules": len(facts.modules),
        "components": facts.width,
        "fitted_on": max(facts.fitted_on),
        "embedding": model.encoder.settings.width,
    }


def _file_facts(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
