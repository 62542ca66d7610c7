"""Draws what LoRAs do: pictures of the same captions from the same noise."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from lorajax.zoo.base.model import Changes, Params, denoise
from lorajax.zoo.base.scenes import SIDE, tokenise
from lorajax.zoo.lora.parametrisations import Weights
from lorajax.zoo.lora.training import changes

STEPS, GUIDANCE = 16, 2.0


def noise_of(seed: int, count: int) -> Float[Array, "b side side 3"]:
    """What `count` pictures of a seed begin as: the same with any LoRA."""
    return jax.random.normal(jax.random.key(seed), (count, SIDE, SIDE, 3))


def draw_pictures(
    params: Params,
    texts: Sequence[str],
    seed: int,
    lora: Changes | None = None,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> Float[np.ndarray, "b side side 3"]:
    """One picture for each caption, colours in [-1, 1]."""
    x, tokens = noise_of(seed, len(texts)), jnp.asarray(tokenise(texts))
    # Not a loop inside jit: XLA runs those on one CPU core.
    for span in _spans(steps):
        x = _denoise(params, x, span, tokens, guidance, lora)
    return np.clip(np.asarray(x), -1, 1)


def draw_with_many(
    params: Params,
    texts: Sequence[str],
    seed: int,
    family: str,
    weights: Weights,
    scales: Float[Array, " l"],
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> Float[np.ndarray, "l b side side 3"]:
    """What each LoRA of one structure makes of the same captions and noise."""
    tokens = jnp.asarray(tokenise(texts))
    x = jnp.broadcast_to(
        noise_of(seed, len(texts)), (len(scales), len(texts), SIDE, SIDE, 3)
    )
    for span in _spans(steps):
        x = _denoise_many(
            params, x, span, tokens, guidance, weights, scales, family=family
        )
    return np.clip(np.asarray(x), -1, 1)


def _spans(steps: int) -> Float[np.ndarray, "steps 2"]:
    times = np.linspace(1.0, 0.0, steps + 1, dtype=np.float32)
    return np.stack([times[:-1], times[1:]], -1)


_denoise = jax.jit(denoise)


@jax.jit(static_argnames="family", donate_argnames="x")
def _denoise_many(
    params: Params,
    x: Float[Array, "l b side side 3"],
    span: Float[Array, "2"],
    tokens: Int[Array, "b tokens"],
    guidance: Float[Array, ""] | float,
    weights: Weights,
    scales: Float[Array, " l"],
    *,
    family: str,
) -> Float[Array, "l b side side 3"]:
    def one(x: Array, weights: Weights, scale: Array) -> Array:
        lora = changes(family, weights, scale)
        return denoise(params, x, span, tokens, guidance, lora)

    return jax.vmap(one)(x, weights, scales)


def as_bytes(
    pictures: Float[np.ndarray, "*b side side 3"],
) -> UInt8[np.ndarray, "*b side side 3"]:
    """Colours in [-1, 1] as 8 bits."""
    return np.round((np.asarray(pictures) + 1) * 127.5).astype(np.uint8)
