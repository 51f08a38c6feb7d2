"""Between float and int8, and between two scales: what QuantizeLinear and DequantizeLinear become.

``pf.Quantize`` (float32 → int8), ``pf.Dequantize`` (int8 → float32), ``pf.Requantize`` (int8 → int8 of another scale,
with a clamp), ``pf.Flip`` (uint8 ↔ int8: the top bit).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.kernels import quantize, table
from pilotfish.compiler.kernels.table import ArgValues
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import ChannelsLast, Operator

FAMILIES = {"pf.Quantize": "quantize", "pf.Dequantize": "dequantize", "pf.Requantize": "requantize", "pf.Flip": "flip"}
_NO_SCALE = (1.0, 0)


def _args(node: Node, dims: Sequence[int], *strides: Sequence[int]) -> ArgValues:
    """The kernel's arguments: (scale, zero point) of each side that is quantized."""
    a = node.attrs
    x = y = _NO_SCALE
    if node.op == "pf.Quantize":
        y = (a["scale"], a["zero"])
    elif node.op == "pf.Dequantize":
        x = (a["scale"], a["zero"])
    elif node.op == "pf.Requantize":
        x, y = (a["x_scale"], a["x_zero"]), (a["y_scale"], a["y_zero"])
    clamp = (a.get("low", -128), a.get("high", 127))
    return quantize.args(dims or (1,), *(s or (1,) for s in strides), x=x, y=y, clamp=clamp)


def lower(node: Node, low: Lowering) -> None:
    """One kernel call over rows; tensors may have gaps between rows."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    args = _args(node, x.type.shape, x.strides, y.strides)
    one_size = x.type.dtype.itemsize == y.type.dtype.itemsize
    low.call(node, FAMILIES[node.op], args, [x, y], inplace=((0, 1),) if one_size else ())


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The kernel's own meaning, on dense arrays."""
    x = np.ascontiguousarray(inputs[0])
    flips = node.op == "pf.Flip"
    made = np.dtype(np.float32 if node.op == "pf.Dequantize" else np.uint8 if flips and x.dtype == np.int8 else np.int8)
    row = next(k for k in table.kernels().values() if k.family == FAMILIES[node.op])
    source = x.view(np.uint8) if flips else x
    y = row.meaning(_args(node, x.shape), [source.ravel(), np.zeros(x.size, np.uint8 if flips else made)])[1]
    return [y.view(made).reshape(x.shape)]


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node, (0,)


def _unreachable(node: Node, _low: Lowering) -> None:
    raise AssertionError(f"{node.name}: {node.op} is rewritten before lowering")


def check(node: Node, graph: Graph) -> str | None:
    """What the passes understand: one constant pair for a tensor, int8 or uint8."""
    dequantizes = node.op == "DequantizeLinear"
    quantized = graph.type(node.inputs[0] if dequantizes else node.outputs[0])
    constant = dequantizes and node.inputs[0] in graph.constants
    if quantized.dtype not in (np.int8, np.uint8) and not (constant and quantized.dtype == np.int32):
        return f"only int8 and uint8 are compiled, not {quantized}"
    if any(i and i not in graph.constants for i in node.inputs[1:]):
        return "its scale and zero point must be constants"
    if graph.type(node.inputs[1]).size != 1 and not constant:
        return "a scale per channel is compiled for constant weights only"
    if node.attrs.get("block_size"):
        return "scales per block are not compiled"
    return None


_FOLLOWS = ChannelsLast(_channels_last)
OPERATORS = (
    *(Operator(op, lower, meaning=meaning, channels_last=_FOLLOWS, strided=True) for op in FAMILIES),
    *(Operator(op, _unreachable, check) for op in ("QuantizeLinear", "DequantizeLinear")),
    *(Operator(op, _unreachable) for op in ("QLinearConv", "QLinearMatMul")),
)
