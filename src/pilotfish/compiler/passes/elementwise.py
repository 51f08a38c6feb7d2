"""Chains and trees of elementwise operators become one ``pf.Elementwise``, which runs as one loop."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops import body as bodies
from pilotfish.compiler.ops.expressions import Expression, expression

MOST_INPUTS = 8
"""More pointers than this would not stay in registers."""


@dataclass
class _Group:
    """Nodes that will be one loop; ``node`` is the last of them."""

    node: Node
    expression: Expression
    size: int = 1


def fuse(graph: Graph) -> Graph:
    """Merge every elementwise node into its only reader, if that is one too, has the same shape, and registers suffice.

    The body of the result is :attr:`~pilotfish.compiler.ops.expressions.Expression.body` of all of them.
    """
    groups: dict[str, _Group] = {}  # by output value
    readers: dict[str, set[str]] = {}  # value → names of the nodes that read it
    for node in graph.nodes:
        for value in filter(None, node.inputs):
            readers.setdefault(value, set()).add(node.name)
    for node in graph.nodes:
        found = expression(node, graph)
        if found is None:
            continue
        group = _Group(node, found)
        while merged := _merged(group, groups, readers, graph):
            group, absorbed = merged
            for value in absorbed.expression.inputs:
                readers[value] = readers[value] - {absorbed.node.name} | {node.name}
            del groups[absorbed.node.outputs[0]]
        groups[node.outputs[0]] = group
    return _rebuilt(graph, groups)


def _merged(
    group: _Group, groups: dict[str, _Group], readers: dict[str, set[str]], graph: Graph
) -> tuple[_Group, _Group] | None:
    """The group with one of its producers taken in, and that producer."""
    shape = graph.type(group.node.outputs[0]).shape
    for at, value in enumerate(group.expression.inputs):
        maker = groups.get(value)
        if maker is None or readers[value] != {group.node.name} or value in graph.outputs:
            continue
        if graph.type(value).shape != shape:
            continue
        found = compose(group.expression, at, maker.expression)
        if len(found.inputs) <= MOST_INPUTS and bodies.width(found.body, len(found.inputs)) >= 2:
            return _Group(group.node, found, group.size + maker.size), maker
    return None


def compose(outer: Expression, at: int, inner: Expression) -> Expression:
    """``outer`` with its input number ``at`` computed by ``inner``."""
    n_inputs = len(outer.inputs)
    inputs = (*outer.inputs[:at], *outer.inputs[at + 1 :], *inner.inputs)
    body = bodies.substituted(outer.body, n_inputs, at, inner.body, len(inner.inputs))
    body, inputs = bodies.simplified(body, inputs)
    return Expression(inputs, body)


def _rebuilt(graph: Graph, groups: dict[str, _Group]) -> Graph:
    kept = []
    for node in graph.nodes:
        group = groups.get(node.outputs[0])
        if group is None:
            if expression(node, graph) is None:
                kept.append(node)
        elif group.size == 1:
            kept.append(node)
        else:
            attrs = {"body": group.expression.body}
            kept.append(replace(node, op="pf.Elementwise", inputs=group.expression.inputs, attrs=attrs))
    return replace(graph, nodes=tuple(kept)).pruned().validated()
