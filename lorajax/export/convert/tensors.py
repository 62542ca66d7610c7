"""One layer of the new file: its tensors, renamed, cut or put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Float, Shaped

from lorajax.adapters.dora import Axis
from lorajax.adapters.rows import put_back, take
from lorajax.errors import AdapterError
from lorajax.export.convert.joining import join, make_block
from lorajax.export.convert.sources import Source
from lorajax.formats.dtypes import to_float32
from lorajax.formats.safetensors_file import TensorFile
from lorajax.naming.shapes import Shape
from lorajax.naming.writing import ROLES, Spelled

_CORES = frozenset({"mid", "lokr_t2", "hada_t1"})


@dataclass(frozen=True, eq=False)
class OutTensor:
    """A tensor of the new file.

    Attributes:
      made: the name of the source's tensor with the same bytes, or what computes it.
    """

    name: str
    dtype: str
    shape: Shape
    made: str | Callable[[], np.ndarray]


@dataclass(frozen=True, eq=False)
class OutLayer:
    """A layer of the new file.

    Attributes:
      modules: the canonical modules that it is written for.
      how: `renamed`, `cut` out of a fused layer or reordered, or `stacked`.
      rank: what its alpha is divided by; 0 where all matrices are whole.
      scale: of its update.
      tucker: whether a core lies between its factors.
      magnitudes: whether DoRA's lie beside.
    """

    spelled: Spelled
    modules: tuple[str, ...]
    family: str
    how: str
    rank: int
    scale: float
    tensors: tuple[OutTensor, ...]
    tucker: bool = False
    magnitudes: bool = False


def renamed(
    file: TensorFile, layer: Spelled, group: Sequence[Source], target: str
) -> OutLayer:
    """A layer whose factors stay as they are, byte for byte."""
    source = group[0]
    part, scale = source.part, source.scale
    core = bool(_CORES & part.shapes.keys())
    tensors: list[OutTensor] = []
    for role, shape in part.shapes.items():
        key = part.roles[role]
        name = f"{layer.name}.{ROLES[target][role]}"
        shape = shape if core else _factor_shape(role, shape, layer, target)
        tensors.append(OutTensor(name, file.tensors[key].dtype, shape, key))
    if target == "kohya" and not source.rank and scale != 1.0:
        # LyCORIS does not scale whole matrices, so the first of them carries the scale.
        tensors[0], scale = _scaled(file, tensors[0], scale), 1.0
    if part.magnitude:
        key, axis = part.magnitude
        info = file.tensors[key]
        shape = _magnitude_shape(prod(info.shape), axis, layer, target)
        name = f"{layer.name}.{ROLES[target]['magnitude']}"
        tensors.append(OutTensor(name, info.dtype, shape, key))
    if target == "kohya":
        tensors.append(_own_alpha(file, layer, source, scale))
    marked = part.magnitude is not None
    return OutLayer(
        *(
            layer,
            tuple(s.module for s in group),
            source.family,
            "renamed",
            source.rank,
            scale,
        ),
        *(tuple(tensors), core, marked),
    )


def remade(
    file: TensorFile, layer: Spelled, group: Sequence[Source], target: str
) -> OutLayer:
    """A layer cut out of a fused one, or put together of several."""
    rows = {piece.module: piece.rows for piece in layer.pieces}
    blocks = [make_block(file, source, rows[source.module]) for source in group]
    joint = join(blocks, layer.shape[0])
    window = (1,) * len(layer.shape[2:])
    tensors = [
        OutTensor(f"{layer.name}.{ROLES[target][role]}", joint.dtype(role), shape, make)
        for role, shape, make in (
            ("down", (joint.rank, *layer.shape[1:]), joint.down),
            ("up", (layer.shape[0], joint.rank, *window), joint.up),
        )
    ]
    marked = group[0].part.magnitude is not None
    if marked:
        tensors.append(_joined_magnitudes(file, layer, group, target))
    if target == "kohya":
        tensors.append(_alpha(layer, group[0].module, joint.rank, joint.scale))
    how = "stacked" if len(layer.pieces) > 1 else "cut"
    return OutLayer(
        *(
            layer,
            tuple(s.module for s in group),
            "lora",
            how,
            joint.rank,
            joint.scale,
            tuple(tensors),
        ),
        magnitudes=marked,
    )


def _factor_shape(role: str, shape: Shape, layer: Spelled, target: str) -> Shape:
    """The axes that the target's programs expect; the bytes are the same."""
    window = layer.shape[2:]
    if role == "down":
        return (shape[0], *layer.shape[1:])
    if role == "up":
        return (*shape[:2], *(1 for _ in window))
    if role == "lokr_w2_b":
        numbers = prod(shape[1:])
        flat = target == "peft" or not window
        return (shape[0], *((numbers,) if flat else (numbers // prod(window), *window)))
    return shape


def _magnitude_shape(count: int, axis: Axis, layer: Spelled, target: str) -> Shape:
    """Where the channels of magnitudes stand: only kohya's side has those of inputs."""
    window = (1,) * len(layer.shape[2:])
    if target == "kohya":
        return (count, 1, *window) if axis == "out" else (1, count, *window)
    return (1, count, *window) if window else (count,)


def _joined_magnitudes(
    file: TensorFile, layer: Spelled, group: Sequence[Source], target: str
) -> OutTensor:
    rows = {piece.module: piece.rows for piece in layer.pieces}
    keys = [source.part.magnitude[0] for source in group if source.part.magnitude]
    dtypes = {file.tensors[key].dtype for key in keys}
    dtype = dtypes.pop() if len(dtypes) == 1 else "F32"

    def make() -> Shaped[np.ndarray, " channels"]:
        parts = []
        for source, key in zip(group, keys, strict=True):
            values = take(file.read(key).reshape(-1), source.part.rows)
            values = to_float32(values) if dtype == "F32" else values
            parts.append((values, rows[source.module]))
        return put_back(parts)

    name = f"{layer.name}.{ROLES[target]['magnitude']}"
    shape = _magnitude_shape(layer.shape[0], "out", layer, target)
    return OutTensor(name, dtype, shape, make)


def _scaled(file: TensorFile, tensor: OutTensor, scale: float) -> OutTensor:
    """The tensor times the scale, in float32 at least."""
    key, wide = tensor.made, tensor.dtype == "F64"
    assert isinstance(key, str)

    def make() -> Float[np.ndarray, "..."]:
        array = file.read(key)
        return (array if wide else to_float32(array)) * np.asarray(scale)

    return OutTensor(tensor.name, "F64" if wide else "F32", tensor.shape, make)


def _own_alpha(
    file: TensorFile, layer: Spelled, source: Source, scale: float
) -> OutTensor:
    """The file's own alpha where it says the same."""
    if source.alpha and source.rank and scale:
        key = source.part.roles["alpha"]
        return OutTensor(f"{layer.name}.alpha", file.tensors[key].dtype, (), key)
    return _alpha(layer, source.module, source.rank, scale)


def _alpha(layer: Spelled, module: str, rank: int, scale: float) -> OutTensor:
    """kohya's alpha = scale · rank.

    Raises:
      AdapterError: for a scale of 0, which no alpha means.
    """
    if not scale:
        raise AdapterError(
            "expected a scale other than 0, which kohya's alpha cannot say, found it "
            f"for {module}",
            "leave the module out with the program that made the file",
        )
    # Whole matrices have no rank; their alpha must be there and is not used.
    alpha = np.asarray(scale * (rank or 1), np.float32)
    return OutTensor(f"{layer.name}.alpha", "F32", (), lambda: alpha)
