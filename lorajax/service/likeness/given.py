"""The LoRAs that a query names: entries of the library, or files that it reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lorajax.errors import LibraryError
from lorajax.library import Library, find, space_of
from lorajax.library.entry import file_named, placed
from lorajax.service.collection.library import bundle_of, space_asked


@dataclass(frozen=True, slots=True)
class Given:
    """A LoRA of a query with its vector.

    Attributes:
      source: what finds it again: its content key, or the path of a foreign file.
    """

    key: str
    name: str
    base_model: str
    space: str
    vector: Float[np.ndarray, " e"]
    source: str


def given(library: Library, name: str | Path, model: Path | None) -> Given:
    """A LoRA by content key, name, part of a name or path.

    A file that the library does not know is read and embedded.

    Raises:
      LorajaxError: where nothing or several LoRAs fit, and for one without a vector.
    """
    entry = library.entry(str(name))
    file = file_named(name)
    if entry is None and file and library.key_at(placed(file)) is None:
        return _embedded(library, file, model)
    entry = entry or find(library, str(name))
    space = space_of(library, entry, space_asked(entry, model))
    vector = library.vector(space, entry.key)
    base_model = entry.facts.base_model
    return Given(entry.key, entry.name, base_model, space, vector, entry.key)


def one_space(loras: Sequence[Given]) -> str:
    """The space of all of them.

    Raises:
      LibraryError: for several, since likeness across spaces does not exist.
    """
    spaces = {lora.space: lora for lora in loras}
    if len(spaces) == 1:
        return loras[0].space
    found = ", ".join(f"{lora.name} in {space}" for space, lora in spaces.items())
    bases = {lora.base_model for lora in loras}
    raise LibraryError(
        f"expected LoRAs of one space, found {found}",
        "LoRAs of different base models cannot be compared: search for each by itself"
        if len(bases) > 1
        else "index the folders of all of them with the same --model",
    )


def _embedded(library: Library, file: Path, model: Path | None) -> Given:
    from lorajax.adapters.adapter import read_adapter
    from lorajax.service.collection.embedding import open_embedder

    adapter = read_adapter(file)
    embedder = open_embedder(bundle_of(library, model))
    space = embedder.space(adapter.base_model)
    vector = np.asarray(embedder.embed(adapter), np.float32)
    key, name, base_model = adapter.content_key, adapter.name, adapter.base_model
    return Given(key, name, base_model, space, vector, str(file))
