"""The encoder as one serialized JAX function: features and mask → unit vectors.

What is written is StableHLO with the weights in it. Whoever has `jax` can call it,
without Flax and without this package:

    encoder = jax.export.deserialize(bytearray(Path("encoder.jax").read_bytes()))
    vectors = encoder.call(features, mask)      # [b, n, k], [b, n] → [b, e]

JAX promises to read it for six months of newer releases, so that weights and settings
stay the source of truth and a graph is made again from them.
"""

import jax
from flax import nnx
from jax import export
from jaxtyping import Array, Bool, Float

from lorajax.encoder.embedder import TrainedEncoder, params_state
from lorajax.projection.features import normalised_scores

PLATFORMS = ("cpu", "cuda")


def jax_graph(encoder: TrainedEncoder) -> bytes:
    """The serialized function, for any number of LoRAs at once."""
    settings = encoder.settings
    state = params_state(encoder.graph, encoder.params)

    @jax.jit
    def embed(
        scores: Float[Array, "b n k"], mask: Bool[Array, "b n"]
    ) -> Float[Array, "b e"]:
        how, lengths = settings.normalise, encoder.lengths
        scores = normalised_scores(scores, mask, how, lengths)
        # A GPU would round what it multiplies.
        with jax.default_matmul_precision("highest"):
            return nnx.merge(encoder.graph, state)(scores, mask)

    (b,) = export.symbolic_shape("b")
    n, k = encoder.modules, encoder.components
    shapes = (
        jax.ShapeDtypeStruct((b, n, k), "float32"),
        jax.ShapeDtypeStruct((b, n), "bool"),
    )
    return bytes(export.export(embed, platforms=PLATFORMS)(*shapes).serialize())
