"""Operators that exist at compile time only: their outputs are constants by the time that a graph is made."""

from __future__ import annotations

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, _low: Lowering) -> None:
    """Never: see :func:`check`."""
    raise AssertionError(f"{node.name}: {node.op} has constant inputs only")


def check(_node: Node, _graph: Graph) -> str | None:
    """The shape of the output follows from the values of the inputs."""
    return "its inputs must be constant"


OPERATORS = tuple(Operator(op, lower, check) for op in ("ConstantOfShape", "Range", "NonZero", "Compress", "Unique"))
