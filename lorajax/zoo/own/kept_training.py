"""The state of an unfinished training, kept in a safetensors file beside its result.

It holds weights, moments and the losses so far, and says of which plan, pictures and
base model they are. What goes on from a kept state ends as an uninterrupted training
does: every step's randomness follows from the seed and the step alone.
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped
from safetensors import SafetensorError, safe_open

from lorajax.errors import ZooError
from lorajax.formats.text import clean, shown
from lorajax.zoo.base.shipped import hash_base
from lorajax.zoo.files.placing import place
from lorajax.zoo.files.serialising import serialise
from lorajax.zoo.lora.training import Pictures, Plan, State, begin

VERSION = 1  # raised when a change makes kept states useless
LOSSES = "losses"
MAX_STATE = 2**30


@dataclass(frozen=True)
class Order:
    """What is to be trained on what.

    Attributes:
      state_path: where the unfinished training is kept.
      anew: an unfinished training of another plan is thrown away, not refused.
    """

    plan: Plan
    pictures: Pictures
    batch_size: int
    state_path: Path
    anew: bool = False


def take_up(order: Order) -> tuple[State, Float[np.ndarray, " done"]]:
    """The kept state and its losses, or a fresh beginning.

    Raises:
      ZooError: for the state of another training, unless it begins anew.
    """
    fresh = begin([order.plan], order.plan.rank)
    none = np.zeros(0, np.float32)
    if not order.state_path.exists():
        return fresh, none
    try:
        tensors, kept = _read(order.state_path)
        if LOSSES in tensors and not tensors[LOSSES].size:
            return fresh, none  # nothing was learned yet
        _check_same(order, kept)
        return _restore(fresh, tensors, order), tensors[LOSSES]
    except ZooError:
        if order.anew:
            return fresh, none
        raise


def keep(order: Order, state: State, losses: Float[np.ndarray, " done"]) -> None:
    """Writes what is needed to go on, whole or not at all.

    Raises:
      ZooError: where the disk refuses it.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(state))
    tensors = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
    try:
        place(order.state_path, serialise({**tensors, LOSSES: losses}, identity(order)))
    except OSError as error:
        raise ZooError(
            f"{shown(order.state_path)}: expected a place to write to, found: "
            f"{clean(error.strerror or type(error).__name__, 80)}",
            "free some space, and run the same command again"
            if len(losses)
            else "free some space, or choose another --out",
        ) from error


def identity(order: Order) -> dict[str, str]:
    """All that decides the result: a training goes on only with the same."""
    digest = sha256(order.pictures.pictures.tobytes())
    digest.update(order.pictures.tokens.tobytes())
    plan = {**asdict(order.plan), "batch_size": order.batch_size}
    return {
        "version": str(VERSION),
        "plan": json.dumps(plan),
        "pictures": digest.hexdigest(),
        "base": hash_base(),
    }


def _read(path: Path) -> tuple[dict[str, Shaped[np.ndarray, "..."]], dict[str, str]]:
    try:
        if path.stat().st_size > MAX_STATE:
            raise ValueError("too large")
        with safe_open(path, "np") as file:
            names = file.keys()
            return {n: file.get_tensor(n) for n in names}, file.metadata() or {}
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ZooError(
            f"{shown(path)}: expected an unfinished training, found damage",
            "begin anew with --force",
        ) from error


def _check_same(order: Order, kept: dict[str, str]) -> None:
    expected = identity(order)
    different = [name for name in expected if kept.get(name) != expected[name]]
    if not different:
        return
    told = ", ".join(different)
    if different == ["plan"]:
        told = _differences(json.loads(expected["plan"]), kept.get("plan", "")) or told
    raise ZooError(
        f"{shown(order.state_path)}: expected an unfinished training of the same plan "
        f"and pictures, found another: {told}",
        "go on with its own settings, or begin anew with --force",
    )


def _differences(expected: dict, text: str) -> str:
    """Which settings differ: `rank 8, not 4`."""
    try:
        kept = dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return ""
    return ", ".join(
        f"{key} {clean(str(kept.get(key)), 40)}, not {value}"
        for key, value in expected.items()
        if kept.get(key) != value
    )


def _restore(
    like: State, tensors: dict[str, Shaped[np.ndarray, "..."]], order: Order
) -> State:
    """The state of the structure of `like` from named tensors."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    expected = {jax.tree_util.keystr(path): _form(leaf) for path, leaf in leaves}
    done = tensors[LOSSES].size if LOSSES in tensors else 0
    expected[LOSSES] = ((done,), np.dtype(np.float32))
    found = {name: _form(tensor) for name, tensor in tensors.items()}
    if found != expected or done > order.plan.steps:
        raise ZooError(
            f"{shown(order.state_path)}: expected the state of this training, found "
            "other tensors",
            "begin anew with --force",
        )
    restored = [jnp.asarray(tensors[name]) for name in expected if name != LOSSES]
    return jax.tree_util.tree_unflatten(structure, restored)


def _form(array: Shaped[Array | np.ndarray, "..."]) -> tuple:
    return tuple(array.shape), np.dtype(array.dtype)
