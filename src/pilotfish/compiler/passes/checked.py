"""Every node that has no compiled form is refused, before anything is rewritten that would hide its name."""

from __future__ import annotations

from pilotfish.compiler.graph import Graph
from pilotfish.compiler.ops.registry import operators
from pilotfish.errors import OperatorError


def check_operators(graph: Graph) -> Graph:
    """The graph as it is; :class:`OperatorError` for the first node whose operator's own check says why not."""
    table = operators()
    for node in graph.nodes:
        if why := table[node.op].check(node, graph):
            raise OperatorError(node.name, node.op, why)
    return graph
