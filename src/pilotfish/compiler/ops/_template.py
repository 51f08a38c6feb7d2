"""OperatorName: what it does, in a line. Copy this file to ``ops/operator_name.py``; docs/add-an-operator.md explains.

The file is found by its ``OPERATORS``; nothing else names it. (Files that begin with ``_`` are not looked at.)
"""

from __future__ import annotations

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator


def lower(node: Node, low: Lowering) -> None:
    """Which kernel, and how its arguments come about."""
    # Inputs before the output: a view of an input may be a constant, which is put among the weights.
    x = low.view(node.inputs[0])
    # An absent optional input is "". What must be known when compiling is asked for as a constant: an array, or None.
    factor = low.constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    y = low.out(node.outputs[0])
    # Strides and offsets are in elements. Without `strided` below, x and y are dense and sizes are enough.
    arguments = {"n": x.type.size, "alpha": 1.0 if factor is None else float(factor)}
    # The cheapest row of the family; (0, 1): operand 1 may share memory with operand 0, if that ends here.
    low.call(node, "family", arguments, [x, y], inplace=((0, 1),))


def check(node: Node, graph: Graph) -> str | None:
    """Say why a node cannot be compiled. Anything that `lower` takes for granted is checked here."""
    if len(node.inputs) > 1 and node.inputs[1] and node.inputs[1] not in graph.constants:
        return "its factor must be constant"
    return None


def channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    """The node for N H W C, and which inputs have to be in that order. Axes in attributes are remapped here."""
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


# `strided` promises that `lower` heeds x.strides and y.strides, whatever they are.
OPERATORS = (Operator("OperatorName", lower, check, channels_last=ChannelsLast(channels_last), strided=False),)
