"""The compiled projection: factors as they lie in a file → cores and scores.

Modules of equal shape form a group. For each live one a loop takes its factors out of
the block of memory that the file was read into, widens them to float32, and multiplies:

    core = Lᵀ (scale · up @ down) R        [s, s], from [out, rank] and [rank, in]
    scores = (‖core‖^-p · core − mean) · components

so that half-precision numbers are widened in the processor's cache and ΔW never exists.
Which modules are live, where their factors lie and how many there are is data; only
shapes, number format and rank are compiled. On a GPU, where small steps one after the
other would leave it idle, the modules of a group are taken all at once.
"""

from collections.abc import Mapping
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt

from lorajax.config.features import Scaling

Shape = tuple[int, int]
How = Literal["loop", "batch"]
AnyArray = Array | np.ndarray
# Number formats that are read in place: width in bytes → as which whole numbers.
FLOATS = {"float16": jnp.float16, "bfloat16": jnp.bfloat16, "float32": jnp.float32}


class Group(NamedTuple):
    """What is fitted for the `g` modules of one shape.

    Without components (k = 0) only cores are computed.
    """

    left: Float[AnyArray, "g out a"]
    right: Float[AnyArray, "g in_ c"]
    mean: Float[AnyArray, "g ac"]
    components: Float[AnyArray, "g ac k"]


class Work(NamedTuple):
    """Which modules of a group to compute; the first `amount` entries are meant.

    Attributes:
      place: which module of the group.
      up: where its `up` begins in the block, in numbers.
      down: where its `down` begins.
      scale: what the product is multiplied by.
    """

    amount: Int[AnyArray, ""]
    place: Int[AnyArray, " g"]
    up: Int[AnyArray, " g"]
    down: Int[AnyArray, " g"]
    scale: Float[AnyArray, " g"]


class Projected(NamedTuple):
    """Cores, flattened, and scores, in the order of `Work`."""

    cores: Float[Array, "g ac"]
    scores: Float[Array, "g k"]


@partial(jax.jit, static_argnames=("dtype", "rank", "scaling", "how"))
def project(
    block: UInt[Array, " numbers"],
    groups: Mapping[Shape, Group],
    works: Mapping[Shape, Work],
    dtype: str,
    rank: int,
    scaling: Scaling,
    how: How,
) -> dict[Shape, Projected]:
    """Cores and scores of all modules whose factors lie in a block.

    Args:
      block: the bits of the numbers, as whole numbers of their width.
      dtype: what the bits mean: `float16`, `bfloat16` or `float32`.
      rank: of all factors in the block.
      scaling: what cores are divided by, as `features.scale`.
    """
    step = partial(_module, block, dtype=dtype, rank=rank, scaling=scaling)
    over = _one_by_one if how == "loop" else _all_at_once
    return {shape: over(step, shape, groups[shape], works[shape]) for shape in works}


def _one_by_one(step, shape: Shape, group: Group, work: Work) -> Projected:
    """A loop over the live modules: as many turns as there are of them."""
    g, ac, k = group.components.shape
    empty = Projected(jnp.zeros((g, ac)), jnp.zeros((g, k)))

    def turn(i: Int[Array, ""], done: Projected) -> Projected:
        place = work.place[i]
        one = Group(*(jax.lax.dynamic_index_in_dim(x, place, 0, False) for x in group))
        found = step(one, work.up[i], work.down[i], work.scale[i], shape=shape)
        return Projected(
            *(
                jax.lax.dynamic_update_index_in_dim(x, row, i, 0)
                for x, row in zip(done, found, strict=True)
            )
        )

    return jax.lax.fori_loop(0, work.amount, turn, empty)


def _all_at_once(step, shape: Shape, group: Group, work: Work) -> Projected:
    """One batch of the whole group; entries beyond `amount` are computed in vain."""
    chosen = Group(*(x[work.place] for x in group))
    return jax.vmap(partial(step, shape=shape))(chosen, work.up, work.down, work.scale)


def _module(
    block: UInt[Array, " numbers"],
    group: Group,
    up_start: Int[Array, ""],
    down_start: Int[Array, ""],
    scale: Float[Array, ""],
    *,
    shape: Shape,
    dtype: str,
    rank: int,
    scaling: Scaling,
) -> Projected:
    """One module; `group` holds its rows alone."""
    up = _factor(block, up_start, (shape[0], rank), dtype)
    down = _factor(block, down_start, (rank, shape[1]), dtype)
    left, right, mean, components = (jnp.asarray(x, jnp.float32) for x in group)
    core = scale * _dot(_dot(left.T, up), _dot(down, right)).reshape(-1)
    return Projected(core, _dot((_scaled(core, scaling) - mean)[None], components)[0])


def _factor(
    block: UInt[Array, " numbers"], start: Int[Array, ""], shape: Shape, dtype: str
) -> Float[Array, "_ _"]:
    bits = jax.lax.dynamic_slice(block, (start,), (shape[0] * shape[1],))
    numbers = jax.lax.bitcast_convert_type(bits, FLOATS[dtype])
    return numbers.astype(jnp.float32).reshape(shape)


def _dot(a: Float[Array, "x y"], b: Float[Array, "y z"]) -> Float[Array, "x z"]:
    """In full float32 also where a GPU would round its inputs."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _scaled(core: Float[Array, " ac"], scaling: Scaling) -> Float[Array, " ac"]:
    """The core by its norm or the norm's root; a core of zeros stays."""
    if scaling == "none":
        return core
    norm = jnp.linalg.norm(core)
    safe = jnp.where(norm > 0, norm, 1.0)
    return core / (safe if scaling == "unit" else jnp.sqrt(safe))
