"""pf.ConvPool: a 3x3 convolution of few planes, its 2x2 maximum pool and clamp, channels first, in one kernel.

``pf.QConvPool`` is the same on int8.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.kernels import convpool, qconvpool
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops import qconv
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator, onnx_meaning


def lower(node: Node, low: Lowering) -> None:
    """One kernel call; the frame of zeros is made in scratch."""
    x, weights, bias = low.view(node.inputs[0]), low.constant(node.inputs[1]), low.constant(node.inputs[2])
    if weights is None or bias is None:
        raise AssertionError("pf.ConvPool has constant weights and bias")
    batch, channels, rows, cols = x.type.shape
    args = convpool.args(batch, channels, rows, cols, weights.shape[0], node.attrs.get("clamp", (-np.inf, np.inf)))
    y = low.out(node.outputs[0])
    scratch = low.scratch(node, convpool.scratch_bytes(args))
    macs = batch * (rows // 2 * 2) * (cols // 2 * 2) * weights.size
    low.call(node, "convpool", args, [x, low.weights(weights), low.weights(bias), y, scratch], macs=macs)


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """Conv, then MaxPool, then the clamp."""
    (conved,) = onnx_meaning(Node("Conv", "conv", (), ("c",), {"pads": (1, 1, 1, 1)}), inputs)
    attrs = {"kernel_shape": (2, 2), "strides": (2, 2), "clamp": node.attrs.get("clamp", (-np.inf, np.inf))}
    return onnx_meaning(Node("MaxPool", "pool", (), ("p",), attrs), [conved])


def lower_integer(node: Node, low: Lowering) -> None:
    """The same on int8: one kernel call."""
    x = low.view(node.inputs[0])
    weights, bias, scale = (low.constant(i) for i in node.inputs[1:4])
    if weights is None or bias is None or scale is None:
        raise AssertionError("pf.QConvPool has constant weights, bias and scale")
    batch, channels, rows, cols = x.type.shape
    a = node.attrs
    args = qconvpool.args(batch, channels, rows, cols, weights.shape[0], x_zero=a["x_zero"], zero=a["y_zero"],
                          lo=a["low"], hi=a["high"])  # fmt: skip
    y = low.out(node.outputs[0])
    scratch = low.scratch(node, qconvpool.scratch_bytes(args))
    macs = batch * (rows // 2 * 2) * (cols // 2 * 2) * weights.size
    constants = [low.weights(c) for c in (weights, bias, scale)]
    low.call(node, "qconvpool", args, [x, *constants, y, scratch], macs=macs)


def meaning_integer(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The convolution on int8, then the largest of each four results."""
    attrs = {**node.attrs, "pads": (1, 1, 1, 1)}
    (conved,) = qconv.meaning(Node("pf.QConv", node.name, (), ("c",), attrs), inputs)
    n, c, rows, cols = conved.shape
    whole = conved[:, :, : rows // 2 * 2, : cols // 2 * 2]
    return [whole.reshape(n, c, rows // 2, 2, cols // 2, 2).max(axis=(3, 5))]


OPERATORS = (
    Operator("pf.ConvPool", lower, meaning=meaning),
    Operator("pf.QConvPool", lower_integer, meaning=meaning_integer),
)
