"""A bundle: everything that inference needs, in one folder.

`config.json` lists the base models; `bases/<base>/` holds the basis and the encoder of
each; `README.md` is the model card. `lorajax.export.writing` writes it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter, read_adapter
from lorajax.errors import CheckpointError
from lorajax.export.model import Model, load_model
from lorajax.formats.text import clean, listed
from lorajax.naming.bases import BASE_MODELS, is_base_model
from lorajax.training.run_dir import learned_nothing, read_status

VERSION = "1"
CONFIG_FILE, BASES = "config.json", "bases"
# Behind the name of a base model: files that are complete, and not moved in yet.
READY = ".new"


@dataclass(frozen=True, repr=False)
class Bundle:
    """Models by base model; vectors of different base models are never compared."""

    path: Path
    models: Mapping[str, Model]

    def __repr__(self) -> str:
        widths = (f"{b}: {m.encoder.settings.width}" for b, m in self.models.items())
        return f"Bundle({str(self.path)!r}, {', '.join(widths)})"

    def space(self, base_model: str) -> str | None:
        """The space of a base model's vectors, None where the bundle has none."""
        model = self.models.get(base_model)
        return model.space if model else None

    def embed_adapter(self, adapter: Adapter) -> Float[np.ndarray, " e"]:
        """The unit vector of a LoRA that was read already."""
        model = self.models.get(adapter.base_model)
        if model is None:
            raise CheckpointError(
                f"{adapter.name}: this bundle embeds {', '.join(self.models)}, "
                f"found a LoRA of {adapter.base_model}",
                "use a bundle of its base model (the commands embed any LoRA "
                "without --model)",
            )
        return model.embed(adapter)

    def embed(
        self, paths: str | Path | Iterable[str | Path]
    ) -> Float[np.ndarray, "b e"]:
        """Unit vectors of LoRA files, in their order; one path is a list of one.

        Raises:
          LorajaxError: for the first file that cannot be read or embedded.
        """
        if isinstance(paths, str | Path):
            paths = [paths]
        vectors = [self.embed_adapter(read_adapter(Path(path))) for path in paths]
        if vectors:
            return np.stack(vectors)
        widths = {model.encoder.settings.width for model in self.models.values()}
        return np.zeros((0, widths.pop() if len(widths) == 1 else 0), np.float32)


def load_bundle(folder: str | Path) -> Bundle:
    """Opens a bundle.

    Raises:
      CheckpointError: where there is none, it is damaged, or of another version.
    """
    folder = Path(folder)
    bases = read_config(folder)["bases"]
    return Bundle(folder, {base: _load(folder, base, bases[base]) for base in bases})


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a bundle, its version and its list of base models checked.

    Raises:
      CheckpointError: where there is none, it is damaged, or of another version.
    """
    file = folder / CONFIG_FILE
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        version, bases = document["lorajax_bundle"], document["bases"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{folder}: expected a bundle with a config.json, found no readable one",
            "make one with 'lorajax export RUN DIR'",
        ) from error
    if version != VERSION:
        raise CheckpointError(
            f"{folder}: expected a bundle of version {VERSION}, found "
            f"{clean(str(version))}",
            "export it again with this version of lorajax",
        )
    if not isinstance(bases, dict) or not bases or not all(map(is_base_model, bases)):
        raise CheckpointError(
            f"{folder}: expected models of {', '.join(BASE_MODELS)}, found "
            + (listed(map(str, bases)) if isinstance(bases, dict) else "no list"),
            "export the bundle again from its run",
        )
    return document


def _load(folder: Path, base: str, facts: Any) -> Model:
    """The model of one base, if it is the one that config.json names."""
    named = facts.get("encoder_hash") if isinstance(facts, dict) else None
    model = _finished_last(folder, base, named) or load_model(folder / BASES / base)
    if model.base_model != base:
        raise CheckpointError(
            f"{folder}: expected a model of {base}, found one of "
            f"{clean(model.base_model)}",
            "export the bundle again from its run",
        )
    if model.encoder.hash() != named:
        raise CheckpointError(
            f"{folder}: config.json names another encoder for {base} than "
            f"{model.encoder.hash()}, which is there",
            "export the bundle again from its run",
        )
    return model


def _finished_last(folder: Path, base: str, named: object) -> Model | None:
    """The model of an export that was killed after it was named, before it moved in."""
    place = folder / BASES / (base + READY)
    if not place.is_dir():
        return None
    model = load_model(place)
    return model if model.encoder.hash() == named else None


def read_results(run: Path) -> dict[str, Any]:
    """`results.json` of a finished run."""
    try:
        return json.loads((run / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{run}: expected a finished run with a results.json", _how_to_finish(run)
        ) from error


def _how_to_finish(run: Path) -> str:
    """What can be done about a run without results."""
    config, status = run / "config.yaml", read_status(run)
    if not config.is_file():
        return "see all runs with: lorajax runs list"
    if status is not None and status.state == "running":
        return "it is still at work: wait until it has finished"
    if learned_nothing(run):
        anew = f"lorajax train CONFIG run.name={run.name}"
        return f"it learned nothing: start it anew, its settings mended: {anew}"
    return f"finish it with: python -m lorajax.train {config} run.resume=true"
