"""Nodes of an ONNX graph, written one after the other by the names of their results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lorajax.errors import CheckpointError

if TYPE_CHECKING:
    from onnx import ModelProto

# Gelu and LayerNormalization are operators since then; runtimes of 2023 know both.
OPSET, IR_VERSION = 20, 9


class Nodes:
    """A graph that grows.

    `nodes("Add", a, b)` adds a node that reads the results `a` and `b` and returns the
    name of its own.

    Raises:
      CheckpointError: where the package onnx is not installed.
    """

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise CheckpointError(
                "writing ONNX takes the package onnx, which is not installed",
                'install it: pip install "lorajax[onnx-export]"',
            ) from error
        self._onnx = onnx
        self._inputs: list[Any] = []
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Any] = {}

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(
            operator, list(inputs), [name], name=name, **attributes
        )
        self._nodes.append(node)
        return name

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """An input; a word in its shape is a size that is open."""
        self._inputs.append(self._value(name, dtype, shape))
        return name

    def constant(self, array: np.ndarray) -> str:
        """An array of the file; equal ones are kept once."""
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = self._onnx.numpy_helper.from_array(array, name)
        return self._constants[key].name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, "f4"))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, "i8"))

    axes = integers

    def model(self, result: str, name: str, shape: Sequence[int | str]) -> "ModelProto":
        """The whole model, checked; its one output is called `name`."""
        helper = self._onnx.helper
        self._nodes.append(helper.make_node("Identity", [result], [name], name=name))
        graph = helper.make_graph(
            self._nodes,
            "lorajax_encoder",
            self._inputs,
            [self._value(name, "float32", shape)],
            list(self._constants.values()),
        )
        model = helper.make_model(
            graph,
            producer_name="lorajax",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _value(self, name: str, dtype: str, shape: Sequence[int | str]) -> Any:
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._onnx.helper.make_tensor_value_info(name, kind, shape)
