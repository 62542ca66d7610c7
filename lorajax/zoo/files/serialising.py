"""Tensors → the bytes of a safetensors file, the same bytes for the same content.

The library writes the metadata in an order that differs from process to process; here
they are sorted, so that a seed repeats its file to the last byte.
"""

import json
from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped
from safetensors.numpy import save

_LENGTH = 8  # bytes that hold the header's length, and what the header is padded to


def serialise(
    tensors: Mapping[str, Shaped[np.ndarray, "..."]], metadata: Mapping[str, str]
) -> bytes:
    """A safetensors file with sorted metadata."""
    content = save(dict(tensors), dict(sorted(metadata.items())))
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    header = json.loads(content[_LENGTH:end])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)
    return len(text).to_bytes(_LENGTH, "little") + text + content[end:]
