"""The encoder as an ONNX graph: features and mask → unit vectors.

Written operator by operator rather than by a converter: the encoder is small, and the
graph then reads as the network does. It says once more what `lorajax.encoder.model`
says; tests hold the two together for every setting.

    scores [b, n, k], mask [b, n] → normalised → mapped per module → Transformer
        → weights of the modules → weighed sum → vectors [b, e]
"""

from typing import TYPE_CHECKING

import numpy as np

from lorajax.encoder.embedder import TrainedEncoder
from lorajax.errors import CheckpointError
from lorajax.export.onnx_nodes import Nodes

if TYPE_CHECKING:
    from onnx import ModelProto

# The epsilon of Flax's LayerNorm, and a number that a softmax takes for nothing.
EPSILON, NOTHING = 1e-6, float(np.finfo("f4").min)
# One message of protocol buffers holds no more.
MOST_BYTES = 2**31 - 2**20


def onnx_graph(encoder: TrainedEncoder) -> "ModelProto":
    """The graph, for any number of LoRAs at once.

    Raises:
      CheckpointError: where the package onnx is not installed, or the parameters are
        too large for a file of ONNX.
    """
    size = sum(array.nbytes for array in encoder.params.values())
    if size > MOST_BYTES:
        raise CheckpointError(
            f"expected parameters of at most {MOST_BYTES / 2**30:.1f} GiB, "
            f"found {size / 2**30:.1f} GiB: more does not fit in an ONNX file",
            "export with --graph jax",
        )
    nodes = Nodes()
    n, k = encoder.modules, encoder.components
    scores = nodes.input("scores", "float32", ("b", n, k))
    mask = nodes.input("mask", "bool", ("b", n))
    vectors = _Network(nodes, encoder, mask).vectors(scores)
    return nodes.model(vectors, "vectors", ("b", encoder.settings.width))


class _Network:
    """Writes the nodes of one encoder; every method returns the name of its result."""

    def __init__(self, nodes: Nodes, encoder: TrainedEncoder, mask: str) -> None:
        self.nodes, self.encoder, self.settings = nodes, encoder, encoder.settings
        self.mask = nodes("Unsqueeze", mask, nodes.axes(-1))  # [b, n, 1]
        self.keys = nodes("Unsqueeze", mask, nodes.axes(1, 2))  # [b, 1, 1, n]
        self.live = nodes("Cast", self.mask, to=1)

    def vectors(self, scores: str) -> str:
        nodes, settings = self.nodes, self.settings
        x = self._normalised(scores)
        if settings.start == "geometry":
            maps = self._param("module_maps")
            x = nodes("Einsum", x, maps, equation="bnk,nke->bne")
        h = nodes("Add", x, self._param("positions")) if settings.positions else x
        for i in range(settings.layers):
            h = self._block(h, f"blocks.{i}")
        weights = self._weights(h)
        values = nodes("Where", self.mask, self._values(x, h), nodes.number(0.0))
        weighed = nodes("Mul", weights, values)
        pooled = nodes("ReduceSum", weighed, nodes.axes(1), keepdims=0)
        norm = nodes("ReduceL2", pooled, nodes.axes(-1), keepdims=1)
        return nodes("Div", pooled, nodes("Max", norm, nodes.number(1e-12)))

    def _normalised(self, scores: str) -> str:
        nodes, how = self.nodes, self.settings.normalise
        if how == "none":
            return scores
        if how == "rms":
            lengths = self.encoder.lengths
            scale = (1.0 / np.where(lengths > 0, lengths, 1.0)).astype("f4")
            return nodes("Mul", scores, nodes.constant(scale[:, None]))
        norm = nodes("ReduceL2", scores, nodes.axes(-1), keepdims=1)
        unit = nodes("Div", scores, self._or_one(norm))
        if how == "unit":
            return unit
        total = self._sum(nodes("Mul", norm, self.live))
        mean = nodes(
            "Div", total, nodes("Max", self._sum(self.live), nodes.number(1.0))
        )
        share = nodes("Div", norm, self._or_one(mean))
        return nodes("Mul", unit, nodes("Sqrt", share))

    def _block(self, x: str, name: str) -> str:
        nodes = self.nodes
        attended = self._attention(self._norm(x, f"{name}.norm1"), f"{name}.attention")
        x = nodes("Add", x, attended)
        hidden = self._linear(self._norm(x, f"{name}.norm2"), f"{name}.ffn_in")
        return nodes("Add", x, self._linear(self._gelu(hidden), f"{name}.ffn_out"))

    def _attention(self, x: str, name: str) -> str:
        nodes, width, heads = self.nodes, self.settings.width, self.settings.heads

        def parted(which: str, order: list[int]) -> str:
            """`[b, n, e]` → `[b, heads, n, e/heads]`, or its transpose for keys."""
            flat = self._linear(x, f"{name}.{which}", (width, width))
            shape = nodes.integers(0, 0, heads, width // heads)
            return nodes("Transpose", nodes("Reshape", flat, shape), perm=order)

        root = nodes.number((width // heads) ** -0.5)
        query = nodes("Mul", parted("query", [0, 2, 1, 3]), root)
        logits = nodes("MatMul", query, parted("key", [0, 2, 3, 1]))
        logits = nodes("Where", self.keys, logits, nodes.number(NOTHING))
        share = nodes("Softmax", logits, axis=-1)
        mixed = nodes("MatMul", share, parted("value", [0, 2, 1, 3]))
        mixed = nodes("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = nodes("Reshape", mixed, nodes.integers(0, 0, width))
        return self._linear(mixed, f"{name}.out", (width, width))

    def _weights(self, h: str) -> str:
        nodes = self.nodes
        if self.settings.layer_weights == "mean":
            return nodes("Div", self.live, self._sum(self.live))
        hidden = self._gelu(self._linear(h, "layer_weights.hidden"))
        logits = self._linear(hidden, "layer_weights.out")
        logits = nodes("Where", self.mask, logits, nodes.number(NOTHING))
        return nodes("Softmax", logits, axis=1)

    def _values(self, x: str, h: str) -> str:
        settings = self.settings
        if settings.values == "mapped":
            return x
        if settings.start == "geometry" and settings.positions:
            return self.nodes("Sub", h, self._param("positions"))
        return h

    def _linear(self, x: str, name: str, shape: tuple[int, int] | None = None) -> str:
        kernel, bias = self._array(f"{name}.kernel"), self._array(f"{name}.bias")
        if shape:  # Flax keeps the heads apart
            kernel, bias = kernel.reshape(shape), bias.reshape(-1)
        product = self.nodes("MatMul", x, self.nodes.constant(kernel))
        return self.nodes("Add", product, self.nodes.constant(bias))

    def _norm(self, x: str, name: str) -> str:
        scale, bias = self._param(f"{name}.scale"), self._param(f"{name}.bias")
        return self.nodes(
            "LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON
        )

    def _gelu(self, x: str) -> str:
        return self.nodes("Gelu", x, approximate="tanh")

    def _sum(self, x: str) -> str:
        """Over the modules, kept as an axis of one."""
        return self.nodes("ReduceSum", x, self.nodes.axes(1), keepdims=1)

    def _or_one(self, x: str) -> str:
        """The numbers, but 1 for those that nothing can be divided by."""
        zero, one = self.nodes.number(0.0), self.nodes.number(1.0)
        return self.nodes("Where", self.nodes("Greater", x, zero), x, one)

    def _param(self, name: str) -> str:
        return self.nodes.constant(self._array(name))

    def _array(self, name: str) -> np.ndarray:
        return self.encoder.params[name].astype("f4")
