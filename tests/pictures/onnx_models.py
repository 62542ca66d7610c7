"""Tiny image encoders as ONNX files, made of mean colours and one matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Axis = int | str
GREY, SPREAD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
WEIGHTS = np.random.default_rng(0).standard_normal((3, 5)).astype("f4")


def write_encoder(
    path: Path,
    shape: Sequence[Axis],
    dtype: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("vector",),
) -> Path:
    """Mean colours times `WEIGHTS`, from pictures of this shape.

    Args:
      outputs: among `vector` `[n, 5]`, `twice` `[n, 5]` and `map` `[n, 3, h, w]`.
    """
    first = shape[1] == 3
    order = [0, 1, 2, 3] if first else [0, 3, 1, 2]
    number = helper.tensor_dtype_to_np_dtype(dtype)
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["map"], perm=order),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["colours"]),
        helper.make_node("MatMul", ["colours", "weights"], ["vector"]),
        helper.make_node("Add", ["vector", "vector"], ["twice"]),
    ]
    shapes = {name: [shape[0], 5] for name in ("vector", "twice")}
    shapes["map"] = [shape[i] for i in order]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", dtype, list(shape))],
        [helper.make_tensor_value_info(o, dtype, shapes[o]) for o in outputs],
        [numpy_helper.from_array(WEIGHTS.astype(number), "weights")],
    )
    return save(graph, path)


def save(graph: onnx.GraphProto, path: Path, *domains: str) -> Path:
    """Writes a graph, with the standard operators and those of other domains."""
    sets = [helper.make_opsetid(domain, 1) for domain in domains]
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), *sets], ir_version=8
    )
    path.write_bytes(model.SerializeToString())
    return path
