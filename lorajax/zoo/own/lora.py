"""Writes a LoRA of a person's own pictures, with all that trainers write beside it.

One file in kohya's naming or PEFT's folder; a sidecar and a preview that the LoRA drew
go before it, so that what appears under its name is complete.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorajax.errors import ZooError
from lorajax.formats.peft_config import CONFIG_NAME, WEIGHTS_NAME
from lorajax.formats.text import clean, shown
from lorajax.zoo.base.words import words_of
from lorajax.zoo.files.placing import place
from lorajax.zoo.lora.metadata import MANAGER_ENDING, manager_sidecar, plan_metadata
from lorajax.zoo.lora.parametrisations import Weights
from lorajax.zoo.lora.training import Plan
from lorajax.zoo.lora.writing import Form, write_tensors

PREVIEW, STATE = ".preview.png", ".training"
MAX_TAGS = 1000
_REPEATS = re.compile(r"\d+_.+")


@dataclass(frozen=True)
class Place:
    """Where a LoRA and what belongs to it are written.

    Attributes:
      out: the file of kohya's dialect, the folder of PEFT's.
    """

    out: Path
    dialect: str

    @property
    def weights(self) -> Path:
        return self.out / WEIGHTS_NAME if self.dialect == "peft" else self.out

    @property
    def sidecar(self) -> Path:
        return self.weights.with_name(self.weights.stem + MANAGER_ENDING)

    @property
    def preview(self) -> Path:
        return self.weights.with_name(self.weights.stem + PREVIEW)

    @property
    def state(self) -> Path:
        """The unfinished training; beside a PEFT folder, not in it."""
        return self._named.with_name(self._named.name + STATE)

    @property
    def name(self) -> str:
        return clean(self._named.name if self.dialect == "peft" else self.out.stem)

    @property
    def _named(self) -> Path:
        """`out` by a name of its own, which `.` and `..` are not."""
        return self.out if self.out.name not in ("", "..") else self.out.resolve()

    @property
    def written(self) -> tuple[Path, ...]:
        config = (self.out / CONFIG_NAME,) if self.dialect == "peft" else ()
        return (self.weights, self.sidecar, self.preview, *config)


@dataclass(frozen=True)
class Told:
    """What the metadata tell of a training.

    Attributes:
      folder: name of the folder of pictures.
      captions: one for each picture.
      trigger: the word that stands before every caption, if any.
    """

    folder: str
    captions: Sequence[str]
    trigger: str
    batch_size: int


def check_place(spot: Place, force: bool) -> None:
    """Says what is wrong with a place before any work is done.

    Raises:
      ZooError: for a wrong ending, a wrong kind, and files that would be overwritten.
    """
    named = spot.out.suffix == ".safetensors"
    if named == (spot.dialect == "peft"):
        kind = "a folder" if spot.dialect == "peft" else "a file X.safetensors"
        raise ZooError(
            f"{shown(spot.out)}: expected {kind} to write {spot.dialect} to, found "
            f"the ending {spot.out.suffix or 'of a folder'!r}",
            "rename --out, or choose the other --dialect",
        )
    if not spot.name:
        raise ZooError(
            f"{shown(spot.out)}: expected a folder that has a name, found none",
            "name a folder in it",
        )
    if spot.out.exists() and spot.out.is_dir() != (spot.dialect == "peft"):
        raise ZooError(
            f"{shown(spot.out)}: expected no such thing or one of the kind to write, "
            f"found a {'folder' if spot.out.is_dir() else 'file'}",
            "choose another --out",
        )
    # What a training that is not over has written beside its weights is its own.
    owned = (spot.weights,) if spot.state.exists() else spot.written
    there = [path for path in owned if path.exists()]
    if there and not force:
        raise ZooError(
            f"{shown(there[0])}: expected no file here, found one",
            "choose another --out, or overwrite it with --force",
        )


def write_own(
    spot: Place, plan: Plan, weights: Weights, dtype: str, told: Told, preview: bytes
) -> None:
    """Writes the LoRA, its weights last.

    Raises:
      ZooError: where the disk refuses it.
    """
    try:
        spot.weights.parent.mkdir(parents=True, exist_ok=True)
        place(spot.sidecar, json.dumps(sidecar(spot, told), indent=1).encode())
        if preview:
            place(spot.preview, preview)
        else:  # that of an older LoRA would show what this one does not do
            spot.preview.unlink(missing_ok=True)
        if spot.dialect == "peft":  # never beside another one's config
            spot.weights.unlink(missing_ok=True)
        form = Form(spot.dialect, dtype)
        write_tensors(spot.weights, plan, weights, form, _metadata(spot, plan, told))
    except OSError as error:
        raise ZooError(
            f"{shown(spot.out)}: expected a place to write to, found: "
            f"{clean(error.strerror or type(error).__name__, 80)}",
            "free some space, and run the same command again",
        ) from error


def _metadata(spot: Place, plan: Plan, told: Told) -> dict[str, str]:
    images, tags = len(told.captions), tag_frequency(told)
    return plan_metadata(plan, spot.name, images, told.batch_size, tags)


def tag_frequency(told: Told) -> dict[str, dict[str, int]]:
    """{folder: {tag: pictures}}: what commas part, the words of a caption without."""
    name = clean(told.folder) or "pictures"
    counts: Counter[str] = Counter()
    for caption in told.captions:
        counts.update(list(dict.fromkeys(_tags(caption, told.trigger))))
    folder = name if _REPEATS.fullmatch(name) else f"1_{name}"
    return {folder: dict(counts.most_common(MAX_TAGS))}


def _tags(caption: str, trigger: str) -> list[str]:
    own = caption.removeprefix(trigger)
    parts = own.split(",") if "," in own else words_of(own)
    return [tag for tag in (trigger, *map(str.strip, parts)) if tag]


def sidecar(spot: Place, told: Told) -> dict:
    """What a collection's manager keeps beside a LoRA."""
    (counts,) = tag_frequency(told).values()
    triggers = [told.trigger] if told.trigger else []
    return manager_sidecar(spot.name, list(counts)[:20], triggers)


def check_written(weights: Weights, dtype: str) -> None:
    """Refuses numbers that a number format cannot hold.

    Raises:
      ZooError: where rounding made a number infinite.
    """
    arrays = (array for own in weights.values() for array in own.values())
    if not all(np.isfinite(array).all() for array in arrays):
        raise ZooError(
            f"expected weights that {dtype} can hold, found larger ones",
            "choose --dtype bf16 or fp32, or a lower --lr",
        )
