"""MatMul of two computed matrices, batched and broadcast. (With constant weights it becomes pf.Linear first.)"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.kernels import table
from pilotfish.compiler.ops import dense
from pilotfish.compiler.ops.linear import product_args
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, low: Lowering) -> None:
    """One ``igemm`` over an unpacked right side for every matrix of the batch."""
    a, b = low.view(node.inputs[0]), low.view(node.inputs[1])
    y = low.out(node.outputs[0])
    a_shape = (1, *a.type.shape) if len(a.type.shape) == 1 else a.type.shape
    b_shape = (*b.type.shape, 1) if len(b.type.shape) == 1 else b.type.shape
    rows, depth, columns = a_shape[-2], a_shape[-1], b_shape[-1]
    batch = np.broadcast_shapes(a_shape[:-2], b_shape[:-2])
    a_at = np.broadcast_to(np.arange(int(np.prod(a_shape[:-2]))).reshape(a_shape[:-2]), batch).ravel()
    b_at = np.broadcast_to(np.arange(int(np.prod(b_shape[:-2]))).reshape(b_shape[:-2]), batch).ravel()
    if len(b_shape) == 2 and len(batch) >= 1:  # one right side for all: one tall product
        rows, a_at, b_at = rows * len(a_at), a_at[:1], b_at[:1]
    clamp = {"lo": -np.inf, "hi": np.inf}
    product = product_args(rows, depth, x_stride=depth, y_stride=columns, clamp=clamp)
    family = table.typed("igemm", a.type.dtype)
    zeros = low.weights(np.zeros(columns, a.type.dtype))
    for i, (at_a, at_b) in enumerate(zip(a_at, b_at, strict=True)):
        left = replace(a, offset=a.offset + int(at_a) * rows * depth)

        def args(n: int, nb: int) -> dict[str, object]:
            return {**product(n, nb), "w_k_stride": columns, "w_block_stride": nb}

        parts = dense.segments(family, args, columns, low.target)  # type: ignore[arg-type]
        for first, count, nb, kernel in parts:
            right = replace(b, offset=b.offset + int(at_b) * depth * columns + first)
            out = replace(y, offset=y.offset + i * rows * columns + first)
            bias = replace(zeros, offset=first)
            low.call_kernel(node, kernel, args(count, nb), [left, right, bias, out],  # type: ignore[arg-type]
                            macs=rows * depth * count)  # fmt: skip


def check(node: Node, graph: Graph) -> str | None:
    """Float32 only."""
    types = [graph.type(i) for i in node.inputs]
    if any(t.dtype != np.float32 for t in types):
        return f"only float32 is compiled, not {types[0]} and {types[1]}"
    return None


OPERATORS = (Operator("MatMul", lower, check),)
