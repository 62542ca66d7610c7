"""Damage: each function changes one thing of a sample, or of a file's bytes."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from lorajax.formats.dtypes import DTYPES
from tests.formats.fuzz_seeds import Sample, Tensor, pack, seeds

SIDES = (0, 1, 2, 3, 4, 7, 8, 9, 16, 28, 64, 65, 128, 320, 768, 4097)
ODD = (
    *(None, True, -1, 0, 1, 2, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**400),
    *(0.0, -0.5, 1e308, float("nan"), float("inf"), "", "x", "F32", "F4", "BF16"),
    *("nan", "1e999", "\x1b[31m", "\u202e", "\ud800", "[bold]", "[/]", "a" * 5000),
    *([], {}, [[]], [0], [0, 0], ["x"], {"a": {}}, "(a+)+$", "true", "lora_alpha"),
)
_WORDS = (
    *("lora_up", "lora_down", "lora_mid", "lora_A", "lora_B", "lora_E", "alpha"),
    *("hada_w1_a", "hada_w2_b", "hada_t1", "lokr_w1", "lokr_w2_a", "lokr_t2", "diff"),
    *("oft_blocks", "oft_R", "boft_R", "boft_s", "ia3_l", "on_input", "dora_scale"),
    *("rescale", "weight", "default", "lora_magnitude_vector", "diff_b", "scalar"),
    *("lora_unet_", "lora_te_", "lora_te1_", "unet.", "text_encoder.", "lycoris_"),
    *("base_model.model.", "transformer.", "diffusion_model.", "double_blocks.0."),
    *("to_k", "to_q", "attn1", "attn2", "ff_net_0_proj", "conv1", "mid_block", "0"),
    *("superlora.g0.k0.a0", "superlora.g0.k0.core", "unet:0:up", "<embed>", "vera_A"),
)


def mutate(rng: Random, sample: Sample) -> bytes:
    """Change a sample's parts, then perhaps its header, then perhaps its bytes."""
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        rng.choice(_PARTS)(rng, sample)
    header: Any = sample.header()
    if rng.random() < 0.2:
        header = edit_json(rng, header)
    data = pack(header, sample.body())
    if rng.random() < 0.25:
        data = rng.choice(_BYTES)(rng, data)
    return data


def rename(rng: Random, sample: Sample) -> None:
    """One word of one name, or of all names, becomes another."""
    names = list(sample.tensors)
    if not names:
        return
    picked = rng.choice(names)
    there = [word for word in _WORDS if word in picked] or [rng.choice(names)[:4]]
    old, new = rng.choice(there), rng.choice(_WORDS)
    change = names if rng.random() < 0.5 else [picked]
    sample.tensors = {
        name.replace(old, new) if name in change else name: tensor
        for name, tensor in sample.tensors.items()
    }


def swap_dots(rng: Random, sample: Sample) -> None:
    """Dots as underscores, as a careless converter writes them."""
    old, new = rng.choice((("_", "."), (".", "_"), (".weight", ""), ("unet", "te")))
    sample.tensors = {k.replace(old, new): t for k, t in sample.tensors.items()}


def drop(rng: Random, sample: Sample) -> None:
    if sample.tensors:
        del sample.tensors[rng.choice(list(sample.tensors))]


def borrow(rng: Random, sample: Sample) -> None:
    """A tensor of another file beside its own."""
    other = rng.choice(seeds()).tensors
    name = rng.choice(list(other))
    sample.tensors[name] = other[name]


def swap(rng: Random, sample: Sample) -> None:
    """Two tensors under each other's name."""
    names = list(sample.tensors)
    if len(names) > 1:
        a, b = rng.sample(names, 2)
        tensors = sample.tensors
        tensors[a], tensors[b] = tensors[b], tensors[a]


def reshape(rng: Random, sample: Sample) -> None:
    """Other sides, with the bytes that they need."""
    if not sample.tensors:
        return
    name = rng.choice(list(sample.tensors))
    old = sample.tensors[name]
    shape = list(old.shape)
    kind = rng.randrange(5)
    if kind == 0 and shape:
        shape[rng.randrange(len(shape))] = rng.choice(SIDES)
    elif kind == 1:
        shape.insert(rng.randint(0, len(shape)), rng.choice((0, 1, 1, 2, 3)))
    elif kind == 2 and shape:
        del shape[rng.randrange(len(shape))]
    elif kind == 3:
        shape.reverse()
    else:
        shape = [rng.choice(SIDES) for _ in range(rng.randrange(4))]
    _refill(sample, name, old.dtype, shape, old.data)


def retype(rng: Random, sample: Sample) -> None:
    """Another number format, of one tensor or of all."""
    dtype = rng.choice(list(DTYPES))
    names = list(sample.tensors)
    for name in names if rng.random() < 0.3 else rng.sample(names, min(1, len(names))):
        old = sample.tensors[name]
        _refill(sample, name, dtype, list(old.shape), old.data)


def refill(rng: Random, sample: Sample) -> None:
    """Other numbers: zeros, NaN, huge ones, noise."""
    if not sample.tensors:
        return
    name = rng.choice(list(sample.tensors))
    old = sample.tensors[name]
    patterns = (b"\0", b"\xff", b"\0\0\xc0\x7f", b"\x7f", b"\1\0", rng.randbytes(64))
    sample.tensors[name] = Tensor(old.dtype, old.shape, b"")
    _refill(sample, name, old.dtype, list(old.shape), rng.choice(patterns))


def reorder(rng: Random, sample: Sample) -> None:
    entries = list(sample.tensors.items())
    rng.shuffle(entries)
    sample.tensors = dict(entries)


def say(rng: Random, sample: Sample) -> None:
    """Another word in the metadata, or JSON inside them edited."""
    keys = [*sample.metadata, "superlora", "lora_adapter_metadata", "ss_tag_frequency"]
    key = rng.choice(keys)
    said = sample.metadata.get(key, "{}")
    if rng.random() < 0.6:
        try:
            sample.metadata[key] = json.dumps(edit_json(rng, json.loads(said)))
            return
        except ValueError:
            pass
    odd = rng.choice(ODD)
    sample.metadata[key] = odd if isinstance(odd, str) else json.dumps(odd)


def edit_beside(rng: Random, sample: Sample) -> None:
    """A file beside it, edited as JSON or as bytes."""
    if not sample.beside:
        return
    name = rng.choice(list(sample.beside))
    raw = sample.beside[name]
    if rng.random() < 0.7:
        try:
            text = json.dumps(edit_json(rng, json.loads(raw)))
            sample.beside[name] = text.encode()
            return
        except ValueError:
            pass
    sample.beside[name] = rng.choice(_BYTES)(rng, raw)


def edit_json(rng: Random, document: Any) -> Any:
    """One value, key or branch somewhere in a document changed."""
    if not isinstance(document, dict | list) or not document or rng.random() < 0.15:
        return rng.choice(ODD)
    keys = list(document) if isinstance(document, dict) else range(len(document))
    key = rng.choice(keys)
    if rng.random() < 0.65:
        document[key] = edit_json(rng, document[key])
    elif rng.random() < 0.5:
        del document[key]
    elif isinstance(document, dict):
        document[rng.choice((*_WORDS, "dtype", "r", "tags"))] = document[key]
    else:
        document.append(document[key])
    return document


def flip_head(rng: Random, data: bytes) -> bytes:
    """Bits of the length and the header."""
    changed = bytearray(data)
    end = min(len(changed), 8 + int.from_bytes(changed[:8], "little"))
    for _ in range(rng.choice((1, 1, 2, 8))):
        if end:
            changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 16))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def lie(rng: Random, data: bytes) -> bytes:
    """Another length in front."""
    honest = int.from_bytes(data[:8], "little")
    lies = (0, 1, 2, honest - 1, honest + 1, len(data), 2**26, 2**31, 2**63, 2**64 - 1)
    return (rng.choice(lies) % 2**64).to_bytes(8, "little") + data[8:]


def splice(rng: Random, data: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    other = rng.choice(seeds())
    tail = pack(other.header(), other.body())
    return data[: rng.randrange(len(data) + 1)] + tail[rng.randrange(len(tail)) :]


def insert(rng: Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    middle = rng.choice((rng.randbytes(rng.randrange(1, 9)), data[place : place + 200]))
    return data[:place] + middle + data[place:]


def remove(rng: Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.choice((1, 4, 100)) :]


def repeat_entry(rng: Random, data: bytes) -> bytes:
    """The header with one name twice, its length true."""
    length = int.from_bytes(data[:8], "little")
    raw = data[8 : 8 + length]
    doubled = raw[:-1] + b"," + raw[1:]
    return len(doubled).to_bytes(8, "little") + doubled + data[8 + length :]


def _refill(
    sample: Sample, name: str, dtype: str, shape: list[int], data: bytes
) -> None:
    """The tensor in this form, its bytes repeated as needed; none too large."""
    size = DTYPES[dtype].itemsize
    for side in shape:
        size *= side
    if size > 2**19:
        return
    data = (data or b"\0") * (size // max(len(data), 1) + 1)
    sample.tensors[name] = Tensor(dtype, tuple(shape), data[:size])


_PARTS: tuple[Callable[[Random, Sample], None], ...] = (
    *(rename, rename, swap_dots, drop, borrow, swap, reshape, reshape, reshape),
    *(retype, refill, refill, reorder, say, say, edit_beside, edit_beside),
)
_BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(flip_head, flip_head, flip, cut, lie, splice, insert, remove, repeat_entry),
)
