"""BitCast: the same bits as another element type of the same size."""

from __future__ import annotations

from dataclasses import replace

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops import copying
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, low: Lowering) -> None:
    """No code, unless it is an output."""
    x = low.view(node.inputs[0])
    copying.give(node, low, replace(x, type=replace(x.type, dtype=low.type(node.outputs[0]).dtype)), node.outputs[0])


def check(node: Node, graph: Graph) -> str | None:
    """Equal sizes, so that the shape stays."""
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    return None if x.dtype.itemsize == y.dtype.itemsize else f"{x} and {y} have elements of different sizes"


OPERATORS = (Operator("BitCast", lower, check),)
