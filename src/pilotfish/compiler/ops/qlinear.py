"""pf.QLinear: int8 rows times constant int8 weights, requantized to int8.

Inputs: x (int8), weights (int8 [K, N]), bias (int32[N], x's zero point folded in), scale (float32[N]).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.graph.ir import Array
from pilotfish.compiler.kernels import qgemv, table
from pilotfish.compiler.ops import linear, qconv, qproduct
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, low: Lowering) -> None:
    """One row: a matrix-vector kernel if the table finds it cheaper; otherwise a product over packed columns."""
    x = low.view(node.inputs[0])
    weights, bias, scale = (low.constant(i) for i in node.inputs[1:4])
    if weights is None or bias is None or scale is None:
        raise AssertionError("pf.QLinear has constant weights, bias and scale")
    y = low.out(node.outputs[0])
    depth, columns = weights.shape
    rows = x.type.size // depth
    clamp = {"lo": -np.inf, "hi": np.inf}
    base = linear.product_args(rows, depth, x_stride=depth, y_stride=columns, clamp=clamp)
    args = qconv.product_args(base, node)
    if rows == 1:
        given = qgemv.args(weights, **qconv.output_args(node))
        kernel = table.pick("qgemv", given, low.target)
        if kernel and kernel.cost(given, low.target) <= qproduct.cost(qproduct.cut(weights, args, low.target)):
            operands = [x, low.weights(qgemv.pack(weights)), low.weights(bias), low.weights(scale), y]
            low.call_kernel(node, kernel, given, operands, macs=depth * columns)
            return
    qproduct.emit(node, low, args, x, weights, bias, scale, y)


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """Integer sums, exactly; then requantized."""
    x, weights, bias, scale = (np.asarray(i) for i in inputs)
    sums = x.astype(np.int64) @ weights.astype(np.int64) + bias.astype(np.int64)
    return [qconv.requantized(sums, scale, node)]


OPERATORS = (Operator("pf.QLinear", lower, meaning=meaning),)
