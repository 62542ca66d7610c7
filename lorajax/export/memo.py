"""Vectors of files that this process embedded, so that no file is read twice.

Cross-validation copies its estimators for every fold, so what the copies share must lie
outside them: it lies here. It is bounded; what was used longest ago goes first.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

import lorajax
from lorajax.adapters.adapter import Adapter, read_adapter
from lorajax.formats.peft_config import CONFIG_NAME
from lorajax.library.entry import FileStamp, stamp
from lorajax.library.spaces import base_space
from lorajax.projection.base_space import base_space_vector

# Vectors: 64 MB where they are 1024 wide. A bundle may hold 150 MB.
MOST_VECTORS, MOST_SOURCES = 2**14, 2


class Source(NamedTuple):
    """What gives the vectors: a bundle as its `config.json` is now, or base spaces.

    The configuration names the hashes of what the bundle holds: one exported again to
    the same folder is another source.
    """

    folder: str | None
    config: bytes


class Embedding(NamedTuple):
    """A vector, and the only space in which it may be compared."""

    space: str
    vector: Float[np.ndarray, " e"]


def open_source(model: str | Path | None) -> Source:
    """A bundle, or the base spaces where `model` is None.

    Raises:
      CheckpointError: where there is no bundle, it is damaged, or of another version.
    """
    if model is None:
        return Source(None, b"")
    folder = os.path.abspath(model)
    try:
        config = Path(folder, "config.json").read_bytes()
    except OSError:
        config = b""  # opening the bundle says what is wrong
    source = Source(folder, config)
    _embedder(source)
    return source


def embed_file(path: str | Path, source: Source) -> Embedding:
    """The vector of a file, which is read where it is new here or has changed.

    Raises:
      LorajaxError: where it cannot be read or embedded.
    """
    place = Path(os.path.abspath(path))
    # PEFT keeps alpha beside the weights.
    return _embed(source, place, _stamp(place), _stamp(place.with_name(CONFIG_NAME)))


@lru_cache(MOST_VECTORS)
def _embed(
    source: Source, place: Path, file: FileStamp | None, config: FileStamp | None
) -> Embedding:
    """The stamps only tell one state of a file from the next."""
    return _embedder(source)(read_adapter(place))


@lru_cache(MOST_SOURCES)
def _embedder(source: Source) -> Callable[[Adapter], Embedding]:
    if source.folder is None:
        return _embed_in_base_space
    # The package's own door, because JAX is made ready before a bundle imports it.
    bundle = lorajax.load(source.folder)

    def embed(adapter: Adapter) -> Embedding:
        vector = bundle.embed_adapter(adapter)
        return Embedding(bundle.models[adapter.base_model].space, vector)

    return embed


def _embed_in_base_space(adapter: Adapter) -> Embedding:
    return Embedding(base_space(adapter.base_model), base_space_vector(adapter))


def _stamp(place: Path) -> FileStamp | None:
    try:
        return stamp(place)
    except OSError:
        return None
