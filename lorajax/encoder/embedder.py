"""An encoder ready for use: normalisation, parameters and one compiled call."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lorajax.config.encoder import EncoderSettings
from lorajax.encoder.model import Encoder
from lorajax.errors import EncoderError
from lorajax.projection.basis import contents_hash
from lorajax.projection.features import Features, normalised

# Sequences per compiled call: whole collections are embedded in pieces of this size.
BATCH = 64


@dataclass(frozen=True)
class TrainedEncoder:
    """Settings, parameters and the training set's module lengths.

    Attributes:
      params: dotted parameter name → array.
      lengths: root mean square length of each module's scores in training, for
        `normalise: rms`.
    """

    settings: EncoderSettings
    modules: int
    components: int
    params: dict[str, np.ndarray]
    lengths: Float[np.ndarray, " n"]

    def hash(self) -> str:
        """A hash of settings and parameters."""
        facts = (self.settings.model_dump_json(), self.modules, self.components)
        return contents_hash({**self.params, "lengths": self.lengths}, facts)

    def embed(self, features: Features) -> Float[np.ndarray, "b e"]:
        """Unit vectors of LoRAs.

        Raises:
          EncoderError: where the features are not those the encoder was made for.
        """
        expected, found = (self.modules, self.components), features.scores.shape[1:]
        if found != expected:
            raise EncoderError(
                f"this encoder expects features of {expected[0]} modules x "
                f"{expected[1]} components, found {found[0]} x {found[1]}",
                "encoder and basis of one bundle belong together",
            )
        state = params_state(self.graph, self.params)
        features = normalised(features, self.settings.normalise, self.lengths)
        pieces = [
            np.asarray(_embed(self.graph, state, piece.scores, piece.mask))[:count]
            for piece, count in _pieces(features)
        ]
        return np.concatenate(pieces)

    @functools.cached_property
    def graph(self) -> nnx.GraphDef:
        return graph_of(self.settings, self.modules, self.components)


def initial_encoder(
    settings: EncoderSettings,
    modules: int,
    components: int,
    lengths: Float[np.ndarray, " n"],
    seed: int,
) -> TrainedEncoder:
    """An encoder before any training."""
    if settings.start == "random" and components != settings.width:
        raise EncoderError(
            f"encoder.start=random reads features as they are and needs "
            f"features.components = encoder.width, found {components} and "
            f"{settings.width}",
            "set both to one number, or use encoder.start=geometry",
        )
    state = _initialise(settings, modules, components, jax.random.key(seed))
    return TrainedEncoder(settings, modules, components, params_dict(state), lengths)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _initialise(
    settings: EncoderSettings, modules: int, components: int, key: Array
) -> nnx.State:
    """All parameters in one compiled call; one by one they take many seconds."""
    return nnx.state(
        Encoder(settings, modules, components, nnx.Rngs(params=key)), nnx.Param
    )


def graph_of(settings: EncoderSettings, modules: int, components: int) -> nnx.GraphDef:
    """The structure of the network, without computing any parameter."""
    model = nnx.eval_shape(
        lambda: Encoder(settings, modules, components, nnx.Rngs(params=0))
    )
    return nnx.graphdef(model)


def params_dict(state: nnx.State) -> dict[str, np.ndarray]:
    """Parameters as flat names: {"blocks": {0: …}} → {"blocks.0.…": array}."""
    flat = nnx.to_flat_state(state)
    return {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in flat}


def params_state(graph: nnx.GraphDef, params: dict[str, np.ndarray]) -> nnx.State:
    """The inverse of `params_dict`."""
    leaves: dict[tuple[Any, ...], nnx.Param] = {
        _path(name): nnx.Param(jax.numpy.asarray(array))
        for name, array in params.items()
    }
    return nnx.from_flat_state(leaves)


def _path(name: str) -> tuple[int | str, ...]:
    return tuple(int(part) if part.isdigit() else part for part in name.split("."))


@functools.partial(jax.jit, static_argnums=0)
def _embed(graph: nnx.GraphDef, state: nnx.State, scores: Array, mask: Array) -> Array:
    return nnx.merge(graph, state)(scores, mask)


def _pieces(features: Features) -> Iterator[tuple[Features, int]]:
    """Pieces of equal size, so that one compilation serves any collection."""
    size = min(BATCH, 1 << (len(features) - 1).bit_length())
    for start in range(0, len(features), size):
        piece = features[start : start + size]
        count = len(piece)
        padding = [(0, size - count), (0, 0)]
        # Padded rows have one live module, so that their softmax is defined.
        mask = np.pad(piece.mask, padding)
        mask[count:, 0] = True
        yield Features(np.pad(piece.scores, [*padding, (0, 0)]), mask), count
