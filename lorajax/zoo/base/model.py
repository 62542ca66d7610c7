"""The zoo's picture model: a small text-conditioned flow, plain functions on arrays.

Receives noisy pictures, times and caption tokens; returns velocities. Weights are a
flat dict `name -> array` in the naming of `lorajax.naming.zoo`, so that a LoRA finds
its module by name. A LoRA acts through a side path beside the base weight.
`jax.vmap` over the LoRA alone trains or samples many at once: the base weights carry
no LoRA axis, so their products stay one large product shared by all.

Flow: x_t = (1 - t) picture + t noise, velocity = noise - picture.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from lorajax.naming.zoo import MODULES, STAGES, WIDTH
from lorajax.zoo.base.scenes import SIDE, TOKENS, WORDS

PATCH = 4
GRID = SIDE // PATCH
PIXELS = PATCH * PATCH * 3
HEADS = 2
PICTURE_STD = 0.7  # of the scenes' colours in [-1, 1]

Params = dict[str, Float[Array, "..."]]


class Factors(NamedTuple):
    """One module's update: delta weight = up @ down (flattened over `in`)."""

    down: Float[Array | np.ndarray, "rank ..."]
    up: Float[Array | np.ndarray, "out rank"]


# What a LoRA adds at one module: factors, or delta weight [out, in] itself.
Change = Factors | Float[Array | np.ndarray, "out in_"]
# A LoRA as the model takes it: canonical module name → what it adds there.
Changes = Mapping[str, Change]


def init_params(key: PRNGKeyArray) -> Params:
    """Fresh weights: Gaussian with fan-in variance, branches into the stream small."""
    params: Params = {}
    for i, (name, shape) in enumerate(_weight_shapes().items()):
        fan_in = int(np.prod(shape[1:]))
        small = 0.3 if name.endswith((".conv2", "to_out.0", "net.2", "proj_out")) else 1
        draw = jax.random.normal(jax.random.fold_in(key, i), shape)
        params[f"{name}.weight"] = draw * small / jnp.sqrt(fan_in)
        if not name.endswith(
            ("to_q", "to_k", "to_v", "token_embedding", "position_embedding")
        ):
            params[f"{name}.bias"] = jnp.zeros(shape[0])
    for name in ("text_encoder.token_embedding", "text_encoder.position_embedding"):
        params[f"{name}.weight"] *= np.sqrt(WIDTH) * 0.5
    params["unet.position_embedding.weight"] *= np.sqrt(WIDTH) * 0.1
    params["unet.conv_out.weight"] *= 0.1
    return params


def _weight_shapes() -> dict[str, tuple[int, ...]]:
    """Every weight of the model: those no LoRA targets, then the module table."""
    return {
        "text_encoder.token_embedding": (len(WORDS), WIDTH),
        "text_encoder.position_embedding": (TOKENS, WIDTH),
        "unet.position_embedding": (GRID * GRID, WIDTH),
        "unet.time_embedding.linear_1": (WIDTH, WIDTH),
        "unet.time_embedding.linear_2": (WIDTH, WIDTH),
        "unet.add_embedding.linear_1": (WIDTH, TOKENS * WIDTH),
        "unet.add_embedding.linear_2": (WIDTH, WIDTH),
        "unet.conv_in": (WIDTH, PIXELS, 3, 3),
        "unet.conv_out": (PIXELS, WIDTH, 3, 3),
        **{module.name: module.shape for module in MODULES},
    }


def velocity(
    params: Params,
    x: Float[Array, "b side side 3"],
    t: Float[Array, " b"],
    tokens: Int[Array, "b tokens"],
    lora: Changes | None = None,
) -> Float[Array, "b side side 3"]:
    """The flow's velocity at `x`.

    The network predicts what the best linear guess leaves over, at unit variance
    (the preconditioning of Karras et al. 2022, for the straight path):

        velocity = skip(t) x + rest(t) network(x / std(t), t, tokens)
    """
    t_ = t[:, None, None, None]
    variance = ((1 - t_) * PICTURE_STD) ** 2 + t_**2
    skip = (t_ - (1 - t_) * PICTURE_STD**2) / variance
    rest = PICTURE_STD / jnp.sqrt(variance)
    return skip * x + rest * _network(params, x / jnp.sqrt(variance), t, tokens, lora)


def _network(params: Params, x: Array, t: Array, tokens: Array, lora: Changes | None):
    """Patches → three stages with a skip around the middle → patches."""
    text = params["text_encoder.token_embedding.weight"][tokens]
    text = text + params["text_encoder.position_embedding.weight"]  # [b, tokens, d]
    time = _linear(params, "unet.time_embedding.linear_1", _waves(t), None)
    time = _linear(params, "unet.time_embedding.linear_2", jax.nn.silu(time), None)
    whole = text.reshape(len(text), -1)  # as SDXL adds the pooled caption to the time
    whole = _linear(params, "unet.add_embedding.linear_1", whole, None)
    time = time + _linear(
        params, "unet.add_embedding.linear_2", jax.nn.silu(whole), None
    )
    h = _linear(params, "unet.conv_in", _to_patches(x), None)  # [b, n, d]
    h = h + params["unet.position_embedding.weight"]
    down, middle, up = (f"unet.{stage}" for stage in STAGES)
    h = skip = _stage(params, down, h, time, text, lora)
    h = _stage(params, middle, h, time, text, lora)
    h = _stage(params, up, jnp.concatenate([h, skip], -1), time, text, lora)
    return _to_pictures(_linear(params, "unet.conv_out", _norm(h), None))


def _stage(
    params: Params, name: str, h: Array, time: Array, text: Array, lora: Changes | None
) -> Float[Array, "b n d"]:
    """A residual block and a Transformer block."""
    h = _resnet(params, f"{name}.resnets.0", h, time, lora)
    inner = _linear(params, f"{name}.attentions.0.proj_in", _norm(h), lora)
    block = f"{name}.attentions.0.transformer_blocks.0"
    unit = _norm(inner)
    inner = inner + _attention(params, f"{block}.attn1", unit, unit, lora)
    inner = inner + _attention(params, f"{block}.attn2", _norm(inner), text, lora)
    gated = _linear(params, f"{block}.ff.net.0.proj", _norm(inner), lora)
    value, gate = jnp.split(gated, 2, axis=-1)
    hidden = value * jax.nn.silu(gate)
    inner = inner + _linear(params, f"{block}.ff.net.2", hidden, lora)
    return h + _linear(params, f"{name}.attentions.0.proj_out", inner, lora)


def _resnet(params: Params, name: str, h: Array, time: Array, lora: Changes | None):
    """Two convolutions with the time between; a shortcut where widths differ."""
    shift = _linear(params, f"{name}.time_emb_proj", jax.nn.silu(time), lora)
    inner = _linear(params, f"{name}.conv1", jax.nn.silu(_norm(h)), lora)
    inner = jax.nn.silu(_norm(inner + shift[:, None]))
    inner = _linear(params, f"{name}.conv2", inner, lora)
    if f"{name}.conv_shortcut.weight" in params:
        h = _linear(params, f"{name}.conv_shortcut", h, lora)
    return h + inner


def _attention(
    params: Params, name: str, x: Array, context: Array, lora: Changes | None
):
    """Multi-head attention of `x` [b, n, d] over `context` [b, m, d]."""

    def heads(layer: str, source: Array) -> Float[Array, "b m heads e"]:
        y = _linear(params, f"{name}.{layer}", source, lora)
        return y.reshape(*y.shape[:-1], HEADS, -1)

    q, k, v = heads("to_q", x), heads("to_k", context), heads("to_v", context)
    scores = jnp.einsum("bnhe,bmhe->bhnm", q, k) / np.sqrt(q.shape[-1])
    mixed = jnp.einsum("bhnm,bmhe->bnhe", jax.nn.softmax(scores), v)
    return _linear(params, f"{name}.to_out.0", mixed.reshape(x.shape), lora)


def _linear(params: Params, name: str, x: Array, lora: Changes | None) -> Array:
    """A linear layer or convolution with the LoRA's side path, if it has one here."""
    weight = params[f"{name}.weight"]
    wide = weight.ndim == 4 and weight.shape[-1] == 3
    y = _convolve(x, weight) if wide else x @ _flat(weight).T
    y = y + params.get(f"{name}.bias", 0.0)
    if lora is None or name not in lora:
        return y
    change = lora[name]
    source = _neighbours(x) if wide else x
    if isinstance(change, Factors):
        return y + (source @ _flat(change.down).T) @ change.up.T
    return y + source @ change.T


def _flat(weight: Array | np.ndarray) -> Float[Array, "out in_"]:
    return jnp.reshape(weight, (len(weight), -1))


def _convolve(
    x: Float[Array, "b n in_"], weight: Float[Array, "out in_ 3 3"]
) -> Float[Array, "b n out"]:
    grid = x.reshape(len(x), GRID, GRID, -1)
    axes = ("NHWC", "OIHW", "NHWC")
    y = lax.conv_general_dilated(grid, weight, (1, 1), "SAME", dimension_numbers=axes)
    return y.reshape(len(x), GRID * GRID, -1)


def _neighbours(x: Float[Array, "b n in_"]) -> Float[Array, "b n in_*9"]:
    """Every position's 3x3 neighbourhood, ordered as `weight.reshape(out, -1)` is."""
    grid = x.reshape(len(x), GRID, GRID, -1)
    padded = jnp.pad(grid, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = [
        padded[:, i : i + GRID, j : j + GRID] for i in range(3) for j in range(3)
    ]
    return jnp.stack(windows, -1).reshape(len(x), GRID * GRID, -1)


def _norm(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Root-mean-square norm without a gain: the next layer's weight holds it."""
    return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def _waves(t: Float[Array, " b"]) -> Float[Array, "b d"]:
    """Sines and cosines of time over octaves."""
    angles = t[:, None] * np.geomspace(1.0, 200.0, WIDTH // 2)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def _to_patches(x: Float[Array, "b side side 3"]) -> Float[Array, "b n pixels"]:
    x = x.reshape(len(x), GRID, PATCH, GRID, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(len(x), GRID * GRID, PIXELS)


def _to_pictures(x: Float[Array, "b n pixels"]) -> Float[Array, "b side side 3"]:
    x = x.reshape(len(x), GRID, GRID, PATCH, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(len(x), SIDE, SIDE, 3)


def flow_loss(
    params: Params,
    pictures: Float[Array, "b side side 3"],
    tokens: Int[Array, "b tokens"],
    key: PRNGKeyArray,
    lora: Changes | None = None,
) -> Float[Array, ""]:
    """Mean squared error of the velocity at random times.

    Times are logit-normal (Esser et al. 2024) and the error is divided by what the
    best linear guess leaves over, so that every time weighs the same.
    """
    time_key, noise_key = jax.random.split(key)
    t = jax.nn.sigmoid(jax.random.normal(time_key, (len(pictures),)))
    noise = jax.random.normal(noise_key, pictures.shape)
    t_ = t[:, None, None, None]
    x = (1 - t_) * pictures + t_ * noise
    error = velocity(params, x, t, tokens, lora) - (noise - pictures)
    rest = PICTURE_STD**2 / (((1 - t_) * PICTURE_STD) ** 2 + t_**2)
    return jnp.mean(error**2 / rest)


def denoise(
    params: Params,
    x: Float[Array, "b side side 3"],
    span: Float[Array, "2"],
    tokens: Int[Array, "b tokens"],
    guidance: Float[Array, ""] | float,
    lora: Changes | None = None,
) -> Float[Array, "b side side 3"]:
    """One Euler step down the flow, from time span[0] to span[1].

    Classifier-free guidance (Ho & Salimans 2022): away from what no caption gives.
    """
    t = jnp.full(2 * len(x), span[0])
    told = jnp.concatenate([jnp.zeros_like(tokens), tokens])
    both = velocity(params, jnp.concatenate([x, x]), t, told, lora)
    plain, told = jnp.split(both, 2)
    return x + (span[1] - span[0]) * (plain + guidance * (told - plain))


def as_arrays(weights: Mapping[str, np.ndarray]) -> Params:
    """Weights from a file as float32 arrays."""
    return {name: jnp.asarray(w, jnp.float32) for name, w in weights.items()}
