"""The encoder: a sequence of module vectors → one unit vector.

Two starts share one network. `random` is the paper's: a pre-LN Transformer from scratch
over projected vectors plus learned absolute positions, then layer weights from an MLP
(softmax over layers, per channel), the weighted mean and L2 normalisation. `geometry`
begins where the unlearned features already are: every module has its own map, started
as a seeded orthonormal frame, and Transformer and MLP start as branches that add zero,
so the embedding's cosines are those of the features until training finds better. With
`values: mapped` the Transformer reads all modules to decide how much each of them
counts, and the embedding is a weighted sum of their mapped vectors alone.

References: Kanada et al., Retrieval of LoRA Models based on Layer-Wise Weight Embedding
without Metadata, ICMR 2026 (the `random` start).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from lorajax.config.encoder import EncoderSettings

POSITION_STDDEV = 0.02


class Block(nnx.Module):
    """A pre-LN Transformer layer with dropout on its two residual branches."""

    def __init__(self, settings: EncoderSettings, rngs: nnx.Rngs) -> None:
        width = settings.width
        last = _last_init(settings)
        self.norm1 = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(
            num_heads=settings.heads,
            in_features=width,
            decode=False,
            out_kernel_init=last,
            rngs=rngs,
        )
        self.norm2 = nnx.LayerNorm(width, rngs=rngs)
        self.ffn_in = nnx.Linear(width, settings.ffn, rngs=rngs)
        self.ffn_out = nnx.Linear(settings.ffn, width, kernel_init=last, rngs=rngs)
        self.dropout = nnx.Dropout(settings.dropout)

    def __call__(
        self,
        x: Float[Array, "b n e"],
        mask: Bool[Array, "b n"],
        rngs: nnx.Rngs | None,
    ) -> Float[Array, "b n e"]:
        keys = mask[:, None, None, :]  # [b, heads, queries, keys]
        x = x + self._drop(self.attention(self.norm1(x), mask=keys), rngs)
        hidden = nnx.gelu(self.ffn_in(self.norm2(x)))
        return x + self._drop(self.ffn_out(hidden), rngs)

    def _drop(self, x: Array, rngs: nnx.Rngs | None) -> Array:
        return self.dropout(x, deterministic=rngs is None, rngs=rngs)


class LayerWeights(nnx.Module):
    """An MLP whose softmax over the live layers weighs each channel."""

    def __init__(self, settings: EncoderSettings, rngs: nnx.Rngs) -> None:
        width, hidden = settings.width, settings.layer_weights_hidden
        self.hidden = nnx.Linear(width, hidden, rngs=rngs)
        self.dropout = nnx.Dropout(settings.layer_weights_dropout)
        last = _last_init(settings)
        self.out = nnx.Linear(hidden, width, kernel_init=last, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b n e"],
        mask: Bool[Array, "b n"],
        rngs: nnx.Rngs | None,
    ) -> Float[Array, "b n e"]:
        hidden = nnx.gelu(self.hidden(x))
        hidden = self.dropout(hidden, deterministic=rngs is None, rngs=rngs)
        return jax.nn.softmax(self.out(hidden), axis=1, where=mask[..., None])


class Encoder(nnx.Module):
    """Embeds LoRAs of one base model from their features.

    Args:
      settings: sizes, start and ablations.
      modules: length of the sequence; position i belongs to module i of the basis.
      components: width of the features. The `random` start takes them as they are and
        needs `components == settings.width`, as the paper's encoder does.
      rngs: the stream `params` initialises the weights.
    """

    def __init__(
        self, settings: EncoderSettings, modules: int, components: int, rngs: nnx.Rngs
    ) -> None:
        self.settings = settings
        if settings.start == "geometry":
            frames = _frames(rngs.params(), modules, components, settings.width)
            self.module_maps = nnx.Param(frames)
        if settings.positions:
            normal = jax.random.normal(rngs.params(), (modules, settings.width))
            self.positions = nnx.Param(normal * POSITION_STDDEV)
        self.blocks = nnx.List([Block(settings, rngs) for _ in range(settings.layers)])
        if settings.layer_weights == "mlp":
            self.layer_weights = LayerWeights(settings, rngs)

    def __call__(
        self,
        scores: Float[Array, "b n k"],
        mask: Bool[Array, "b n"],
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "b e"]:
        """Unit vectors; `rngs` with a `dropout` stream turns training noise on."""
        _, contributions = self.parts(scores, mask, rngs)
        pooled = contributions.sum(1)
        norm = jnp.linalg.norm(pooled, axis=-1, keepdims=True)
        return pooled / jnp.maximum(norm, 1e-12)

    def parts(
        self,
        scores: Float[Array, "b n k"],
        mask: Bool[Array, "b n"],
        rngs: nnx.Rngs | None = None,
    ) -> tuple[Float[Array, "b n c"], Float[Array, "b n e"]]:
        """Weights of the modules, per channel or for all of them, and weighed values.

        The sum of the second over modules, brought to length one, is the embedding.
        """
        if rngs is not None:
            mask = _drop_modules(mask, self.settings.module_dropout, rngs)
        x, positions = self._input(scores)
        h = x + positions
        for block in self.blocks:
            h = block(h, mask, rngs)
        weights = self._weights(h, mask, rngs)
        values = self._values(x, h, positions)
        return weights, weights * jnp.where(mask[..., None], values, 0.0)

    def _input(self, scores: Float[Array, "b n k"]) -> tuple[Array, Array]:
        geometry = self.settings.start == "geometry"
        x = jnp.einsum("bnk,nke->bne", scores, self.module_maps) if geometry else scores
        positions = self.positions[...] if self.settings.positions else jnp.zeros(())
        return x, positions

    def _values(self, x: Array, h: Array, positions: Array) -> Array:
        if self.settings.values == "mapped":
            return x
        return h - positions if self.settings.start == "geometry" else h

    def _weights(
        self, h: Float[Array, "b n e"], mask: Bool[Array, "b n"], rngs: nnx.Rngs | None
    ) -> Array:
        if self.settings.layer_weights == "mlp":
            return self.layer_weights(h, mask, rngs)
        return (mask / mask.sum(1, keepdims=True))[..., None]


def _last_init(settings: EncoderSettings) -> nnx.Initializer:
    """Zero for branches that must start by adding nothing."""
    if settings.start == "geometry":
        return nnx.initializers.zeros_init()
    return nnx.initializers.lecun_normal()


def _frames(key: Array, modules: int, components: int, width: int) -> Array:
    """One seeded orthonormal frame per module, `[modules, components, width]`.

    Within a module inner products are kept exactly (where components ≤ width); between
    modules they vanish up to about 1/√width.
    """
    size = max(components, width)
    normal = jax.random.normal(key, (modules, size, min(components, width)))
    frames, _ = jnp.linalg.qr(normal)  # [modules, size, min], orthonormal columns
    return frames.swapaxes(1, 2) if components <= width else frames


def _drop_modules(
    mask: Bool[Array, "b n"], rate: float, rngs: nnx.Rngs
) -> Bool[Array, "b n"]:
    """Hides live modules at random, but never all of a LoRA."""
    if rate == 0.0:
        return mask
    kept = mask & jax.random.bernoulli(rngs.dropout(), 1.0 - rate, mask.shape)
    return jnp.where(kept.any(1, keepdims=True), kept, mask)
