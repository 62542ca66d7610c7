"""Memory for the bodies of files, used again and again.

The system hands out memory page by page at the first touch, which for a LoRA takes
several times as long as copying its bytes there. So a block is kept when the last array
that looks into it is gone, and the next file is read into the same pages. Blocks come
in few sizes, because what XLA compiles is for one size; pages that nobody touches cost
nothing.
"""

import weakref
from collections import deque

import numpy as np
from jaxtyping import Shaped, UInt8

# XLA computes on memory of this alignment in place, and copies any other.
ALIGNMENT = 64
# Blocks kept for later, and the largest of them.
KEPT = 2
LARGEST = 2**28
_SMALLEST = 2**16

_free: deque[np.ndarray] = deque(maxlen=KEPT)


class _Lease:
    """What arrays hold on to while they look into a block."""

    def __init__(self, block: UInt8[np.ndarray, " bytes"]) -> None:
        self.__array_interface__ = block.__array_interface__


def take_buffer(size: int) -> UInt8[np.ndarray, " at_least_size"]:
    """A block of at least `size` bytes of undefined contents, aligned for XLA.

    Raises:
      MemoryError: where the system has no such block.
    """
    size = _block_size(size)
    block = _kept_block(size)
    if block is None:
        block = _aligned(size)
    lease = _Lease(block)
    if size <= LARGEST:
        # The finaliser holds the block, and the lease only its address.
        weakref.finalize(lease, _free.append, block).atexit = False
    else:
        weakref.finalize(lease, lambda kept: None, block).atexit = False
    return np.asarray(lease)


def aligned(array: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    """The array itself, or a copy that XLA can compute on in place."""
    whole = array.flags.c_contiguous and array.flags.aligned
    if whole and array.ctypes.data % ALIGNMENT == 0:
        return array
    copy = _aligned(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _block_size(size: int) -> int:
    """A power of two, or a multiple of the largest one."""
    if size <= LARGEST:
        return max(_SMALLEST, 1 << (size - 1).bit_length())
    return -(-size // LARGEST) * LARGEST


def _kept_block(size: int) -> np.ndarray | None:
    """A kept block of this size."""
    for _ in range(len(_free)):
        try:
            block = _free.popleft()
        except IndexError:  # another thread took it
            return None
        if size == block.size:
            return block
        _free.append(block)
    return None


def _aligned(size: int) -> UInt8[np.ndarray, " size"]:
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
