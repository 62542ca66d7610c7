"""The base model's weights as they ship with the package."""

from functools import cache
from hashlib import sha256
from importlib.resources import files

from safetensors.numpy import load

from lorajax.errors import ZooError
from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.base.model import Params, as_arrays


def read_weights() -> bytes:
    """The shipped safetensors file."""
    path = files("lorajax.zoo.base") / "weights" / f"{BASE_MODEL}.safetensors"
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ZooError(
            f"expected the base model's weights at {path}, found none",
            "reinstall lorajax, or train them: python -m lorajax.zoo.base.training",
        ) from error


def load_base() -> Params:
    """The base model's weights in float32."""
    return as_arrays(load(read_weights()))


@cache
def hash_base() -> str:
    """SHA-256 of the shipped weights."""
    return sha256(read_weights()).hexdigest()
