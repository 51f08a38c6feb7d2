"""Reshape, Flatten, Squeeze, Unsqueeze: the same memory under another shape. No code, unless it is an output."""

from __future__ import annotations

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops import copying
from pilotfish.compiler.ops.lowering import VIEW_OPS, Lowering, dense_strides
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, low: Lowering) -> None:
    """An alias; a copy only if the input's memory is not the output's own."""
    x = low.view(node.inputs[0])
    if node.outputs[0] not in low.graph.outputs or x.buffer == node.outputs[0]:
        low.alias(node.outputs[0], x)
        return
    y = low.out(node.outputs[0])
    size = (x.type.size,)
    copying.copy(node, low, x, y, size, dense_strides(size), dense_strides(size))


def check(node: Node, graph: Graph) -> str | None:
    """The new shape must be known when compiling."""
    if len(node.inputs) > 1 and node.inputs[1] and node.inputs[1] not in graph.constants:
        return "its shape or axes must be constant"
    return None


OPERATORS = tuple(Operator(op, lower, check) for op in sorted(VIEW_OPS))
