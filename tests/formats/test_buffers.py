"""Memory that files are read into: reused when nobody looks, never before."""

import threading

import numpy as np
import pytest

from lorajax.formats import buffers
from lorajax.formats.buffers import ALIGNMENT, KEPT, take_buffer


@pytest.fixture(autouse=True)
def none_kept():
    buffers._free.clear()
    yield
    buffers._free.clear()


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_a_block_is_aligned_and_comes_back_when_its_last_view_is_gone():
    block = take_buffer(1000)
    place = address(block)
    assert block.size >= 1000 and place % ALIGNMENT == 0
    view = block[100:200].view("<f2").reshape(5, 10)
    del block
    assert address(take_buffer(1000)) != place  # the view still looks into it
    del view
    assert place in {address(b) for b in (take_buffer(900), take_buffer(900))}


def test_blocks_come_in_few_sizes_and_waste_no_more_than_half():
    """What is compiled is for one size: a file of another length is no new one."""
    sizes = {take_buffer(size).size for size in range(30_000_000, 31_000_000, 99_991)}
    assert len(sizes) == 1
    for size in (0, 1, 70_000, 2**20, 2**20 + 1, buffers.LARGEST):
        assert size <= take_buffer(size).size <= max(2 * size, 2**16)
    giant = 5 * buffers.LARGEST // 2
    assert take_buffer(giant).size == 3 * buffers.LARGEST


def test_two_holders_never_share_memory():
    blocks = [take_buffer(4096) for _ in range(8)]
    for i, block in enumerate(blocks):
        block[:] = i
    assert all((block == i).all() for i, block in enumerate(blocks))


def test_no_more_is_kept_than_said_and_nothing_wastefully_large():
    blocks = [take_buffer(2**20) for _ in range(KEPT + 3)]
    blocks.clear()
    assert len(buffers._free) == KEPT
    buffers._free.clear()
    large = take_buffer(2**24)
    place = address(large)
    del large
    assert address(take_buffer(10)) != place
    buffers._free.clear()
    giant = take_buffer(buffers.LARGEST + 1)
    del giant
    assert not buffers._free


def test_threads_do_not_get_one_block_twice():
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(200):
            block = take_buffer(20_000)
            block[:] = number
            if (block != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_aligned_copy_is_made_only_where_one_is_needed():
    block = take_buffer(1000)[:960].view("<f4").reshape(24, 10)
    assert buffers.aligned(block) is block
    for array in (block[1:], block.T, np.array(3.0)):
        copy = buffers.aligned(array)
        assert address(copy) % ALIGNMENT == 0 and copy.flags.c_contiguous
        np.testing.assert_array_equal(copy, array)
