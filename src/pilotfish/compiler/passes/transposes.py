"""A layout change in front of a product with constant weights is folded into the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.ops.lowering import VIEW_OPS


def fold_transposes(graph: Graph) -> Graph:
    """Transpose → (Flatten or Reshape to rows) → pf.Linear: permute the rows of the weights instead.

    Needs the batch dimension to stay first, and each row of the product to be one whole transposed item.
    """
    producers = graph.producers()
    builder = Builder(graph)
    for node in graph.nodes:
        found = _before(node, graph, producers) if node.op in ("pf.Linear", "pf.QLinear") else None
        if found is None:
            builder.add(node)
            continue
        source, perm = found
        item = graph.type(source).shape[1:]
        weights = graph.constants[node.inputs[1]]
        # Row r of the weights belongs to element order[r] of the untransposed item.
        order = np.arange(weights.shape[0]).reshape(item).transpose([p - 1 for p in perm[1:]]).ravel()
        moved = np.empty_like(weights)
        moved[order] = weights
        w = builder.constant(f"{node.name}.w", moved)
        flat = builder.emit("Reshape", f"{node.name}.rows", [source], graph.type(node.inputs[0]))
        builder.add(replace(node, inputs=(flat, w, *node.inputs[2:])))
    return builder.finish()


def _before(node: Node, graph: Graph, producers: dict[str, Node]) -> tuple[str, tuple[int, ...]] | None:
    value = node.inputs[0]
    while value in producers and producers[value].op in VIEW_OPS:
        value = producers[value].inputs[0]
    maker = producers.get(value)
    if maker is None or maker.op != "Transpose":
        return None
    perm = tuple(maker.attrs["perm"])
    source = maker.inputs[0]
    shape = graph.type(source).shape
    depth = graph.constants[node.inputs[1]].shape[0]
    if perm[0] != 0 or int(np.prod(shape[1:])) != depth:
        return None
    return source, perm
