"""Expand and Tile: copies that read elements several times."""

from __future__ import annotations

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops import axes, copying
from pilotfish.compiler.ops.loops import broadcast_strides
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower_expand(node: Node, low: Lowering) -> None:
    """Strides of 0 along the dimensions that repeat."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    copying.copy(node, low, x, y, y.type.shape, broadcast_strides(x, y.type.shape), y.strides)


def lower_tile(node: Node, low: Lowering) -> None:
    """Two loops an axis: one over the repetitions, one over the elements."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    dims, x_strides, y_strides = [], [], []
    for size, total, x_stride, y_stride in zip(x.type.shape, y.type.shape, x.strides, y.strides, strict=True):
        if total == 0:
            return
        dims += [total // size, size]
        x_strides += [0, x_stride]
        y_strides += [y_stride * size, y_stride]
    copying.copy(node, low, x, y, dims, x_strides, y_strides)


def check(node: Node, graph: Graph) -> str | None:
    """The shape must be known when compiling."""
    return "its shape or repeats must be constant" if axes.computed(node, 1, graph.constants) else None


OPERATORS = (Operator("Expand", lower_expand, check), Operator("Tile", lower_tile, check))
