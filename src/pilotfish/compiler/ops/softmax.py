"""Softmax and LogSoftmax along one axis."""

from __future__ import annotations

from math import prod

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.kernels import softmax
from pilotfish.compiler.ops import axes
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, low: Lowering) -> None:
    """One kernel call; vectors along the axis, or along what follows it."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    if x.type.size == 0:
        return
    shape = x.type.shape or (1,)
    axis = axes.axis(node.attrs.get("axis", -1), len(shape))
    outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
    args = softmax.args(outer, shape[axis], inner, log=node.op == "LogSoftmax")
    low.call(node, "softmax", args, [x, y], inplace=((0, 1),))


def check(node: Node, graph: Graph) -> str | None:
    """Float32."""
    x = graph.type(node.inputs[0])
    return None if x.dtype == np.float32 else f"only float32 is compiled, the input is {x}"


OPERATORS = tuple(
    Operator(op, lower, check, channels_last=axes.moved_attribute(-1)) for op in ("Softmax", "LogSoftmax")
)
