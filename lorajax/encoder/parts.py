"""What each module adds to an embedding."""

import functools

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lorajax.encoder.embedder import TrainedEncoder, params_state
from lorajax.projection.features import Features, normalised


@functools.partial(jax.jit, static_argnums=0)
def weighted_parts(
    graph: nnx.GraphDef, state: nnx.State, scores: Array, mask: Array
) -> tuple[Array, Array]:
    """`Encoder.parts` of parameters and features that are apart, compiled."""
    return nnx.merge(graph, state).parts(scores, mask)


def module_parts(
    encoder: TrainedEncoder, features: Features
) -> Float[np.ndarray, "b n e"]:
    """Vectors of the modules whose sum is the embedding.

    They are weighed as the encoder weighs them. A module's part is its own alone where
    values are `mapped`; else the Transformer has mixed others in.
    """
    state = params_state(encoder.graph, encoder.params)
    features = normalised(features, encoder.settings.normalise, encoder.lengths)
    _, parts = weighted_parts(encoder.graph, state, features.scores, features.mask)
    parts = np.asarray(parts, np.float64)
    lengths = np.linalg.norm(parts.sum(1), axis=-1)
    return parts / np.maximum(lengths, 1e-12)[:, None, None]
