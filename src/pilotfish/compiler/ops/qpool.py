"""pf.QMaxPool and pf.QAveragePool: pools of int8, channels last. A mean may change the scale; a maximum keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Node, TensorType
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.kernels import table
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues
from pilotfish.compiler.ops import pool
from pilotfish.compiler.ops.lowering import Lowering, view_of
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator, onnx_meaning

FAMILIES = {"pf.QMaxPool": "qmaxpool", "pf.QAveragePool": "qavgpool"}


def _args(node: Node, x: View, y: View) -> ArgValues:
    a = node.attrs
    factor = float(np.float32(a["x_scale"] / a["y_scale"])) if "x_scale" in a else 1.0
    return pool.geometry(node, x, y, whole="kernel_shape" not in a) | {
        "x_zero": a.get("x_zero", 0), "y_zero": a.get("y_zero", 0), "factor": factor,
        "lo": a.get("low", -128), "hi": a.get("high", 127),
    }  # fmt: skip


def lower(node: Node, low: Lowering) -> None:
    """One kernel call."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    low.call(node, FAMILIES[node.op], _args(node, x, y), [x, y])


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """A maximum by ONNX itself, in float where all int8 are exact; a mean by the kernel's own meaning."""
    x = np.asarray(inputs[0])
    last = node.attrs.get("layout") == CHANNELS_LAST
    if node.op == "pf.QMaxPool":
        whole = "kernel_shape" not in node.attrs
        plain = Node("GlobalMaxPool" if whole else "MaxPool", node.name, node.inputs, node.outputs, node.attrs)
        return [onnx_meaning(plain, [x.astype(np.float32)])[0].astype(np.int8)]
    x = np.ascontiguousarray(x if last else np.moveaxis(x, 1, -1))
    sample = np.zeros((1, *x.shape[1:]), np.float32)
    attrs = {k: v for k, v in node.attrs.items() if k in _SPATIAL}
    plain = Node("AveragePool" if attrs.get("kernel_shape") else "GlobalAveragePool", "p", ("x",), ("y",),
                 {**attrs, "layout": CHANNELS_LAST})  # fmt: skip
    shape = (x.shape[0], *onnx_meaning(plain, [sample])[0].shape[1:])
    views = [view_of(name, TensorType(np.dtype(np.int8), s)) for name, s in (("x", x.shape), ("y", shape))]
    row = next(k for k in table.kernels().values() if k.family == "qavgpool")
    y = row.meaning(_args(node, *views), [x.ravel(), np.zeros(int(np.prod(shape)), np.int8)])[1].reshape(shape)
    return [y if last else np.moveaxis(y, -1, 1)]


_SPATIAL = ("kernel_shape", "strides", "pads", "dilations", "ceil_mode", "count_include_pad")


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


OPERATORS = tuple(
    Operator(op, lower, meaning=meaning, channels_last=ChannelsLast(_channels_last, prefers=True), strided=True)
    for op in FAMILIES
)
