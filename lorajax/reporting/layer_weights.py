"""What an encoder makes of each module: how much of the vector comes from where."""

from collections.abc import Iterator
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lorajax.encoder.embedder import TrainedEncoder, params_state
from lorajax.encoder.parts import weighted_parts
from lorajax.projection.basis import BasisFacts
from lorajax.projection.features import Features, normalised

AT_A_TIME = 32


@dataclass(frozen=True)
class LayerShares:
    """How much each module counts.

    Attributes:
      base_model: whose modules they are.
      modules: canonical names.
      shares: of each module, as a mean over all LoRAs; the sum is one.
      ratios: of a module's share to the mean of its LoRA's live modules, as a mean over
        the LoRAs that have it; NaN where none has. It tells what was learned apart
        from how many LoRAs have the module at all.
      learned: whether shares are softmax weights that were learned; else they are
        lengths of what each module contributes.
      loras: how many LoRAs were looked at.
      channels: standard deviation over channels of a module's ratio, as a mean over
        modules; 0 where nothing was learned. Channels may disagree behind a mean of 1.
    """

    base_model: str
    modules: tuple[str, ...]
    shares: Float[np.ndarray, " n"]
    ratios: Float[np.ndarray, " n"]
    learned: bool
    loras: int
    channels: float


def layer_shares(
    encoder: TrainedEncoder, features: Features, facts: BasisFacts
) -> LayerShares:
    """Mean over LoRAs of the layer weights, or of the lengths of contributions.

    A weight is the mean over channels. Where layers are weighed by the plain mean, the
    length of what a module adds to the pooled vector is told instead, as a share of
    all lengths of that LoRA.
    """
    learned = encoder.settings.layer_weights == "mlp"
    state = params_state(encoder.graph, encoder.params)
    features = normalised(features, encoder.settings.normalise, encoder.lengths)
    shares, ratios = np.zeros((2, len(facts.modules)))
    per_channel = np.zeros((len(facts.modules), 1))
    for piece in _pieces(features):
        weights, contributions = weighted_parts(
            encoder.graph, state, piece.scores, piece.mask
        )
        own = weights.mean(-1) if learned else _lengths(contributions)
        shares += np.asarray(own, np.float64).sum(0)
        count = piece.mask.sum(1, keepdims=True)
        ratios += (np.asarray(own) * count).sum(0)
        per_channel = per_channel + (np.asarray(weights) * count[..., None]).sum(0)
    live = features.mask.sum(0)
    channels = per_channel.std(1)[live > 0] / live[live > 0]
    return LayerShares(
        facts.base_model,
        tuple(facts.modules),
        shares / len(features),
        np.where(live > 0, ratios / np.maximum(live, 1), np.nan),
        learned,
        len(features),
        float(channels.mean()),
    )


def _lengths(contributions: Float[Array, "b n e"]) -> Float[Array, "b n"]:
    lengths = jnp.linalg.norm(contributions, axis=-1)
    return lengths / jnp.maximum(lengths.sum(1, keepdims=True), 1e-12)


def _pieces(features: Features) -> Iterator[Features]:
    for start in range(0, len(features), AT_A_TIME):
        yield features[start : start + AT_A_TIME]
