"""The record of one LoRA's features: half precision under one scale per module.

Receives `Features`, returns fixed-size records that can lie row by row in a file, and
the way back. Divided by the largest magnitude of their module, scores lie in [-1, 1],
so half precision never overflows whatever the size of an update, and is off by at most
2^-11 of that magnitude.
"""

import zlib

import numpy as np
from jaxtyping import Shaped

from lorajax.projection.features import Features


def record_dtype(modules: int, width: int) -> np.dtype:
    """The record of a LoRA over n modules with k scores each, little-endian, packed."""
    fields = [
        ("live", "u1", (modules,)),
        ("scale", "<f4", (modules,)),
        ("scores", "<f2", (modules, width)),
    ]
    return np.dtype(fields)


def packed(features: Features) -> Shaped[np.ndarray, " b"]:
    """Features as records: scores are `scores / scale`, and 0 where the scale is 0."""
    scores = features.scores.astype("f4", copy=False)
    scale = np.abs(scores).max(-1)  # [b, n]
    records = np.zeros(len(features), record_dtype(*scores.shape[1:]))
    records["live"] = features.mask
    records["scale"] = scale
    records["scores"] = scores / np.where(scale > 0, scale, 1.0)[..., None]
    return records


def unpacked(records: Shaped[np.ndarray, " b"]) -> Features:
    """The features that records hold, in single precision."""
    scores = records["scores"].astype("f4")
    scores *= records["scale"][..., None]
    return Features(scores, records["live"] != 0)


def checksum(record: bytes) -> int:
    """CRC-32 of the bytes of one record."""
    return zlib.crc32(record)
