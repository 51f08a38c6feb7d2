"""Relu and Clip that follow an operator with a clamped epilogue become its ``clamp`` attribute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder

_CLAMPED = frozenset(
    {"Conv", "ConvTranspose", "pf.Linear", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)


def fuse_clamp(graph: Graph) -> Graph:
    """Fuse them where the operator's output has no other reader. Two clamps in a row become their intersection."""
    producers, consumers = graph.producers(), graph.consumers()
    merged: dict[str, Node] = {}  # by the name of the producing node
    dropped: set[str] = set()
    for node in graph.nodes:
        bounds = _bounds(node, graph)
        if bounds is None:
            continue
        maker = producers.get(node.inputs[0])
        if maker is None or (maker.op not in _CLAMPED and maker.name not in dropped):
            continue
        root = merged.get(maker.name, maker)
        if root.op not in _CLAMPED or node.inputs[0] in graph.outputs or len(consumers[node.inputs[0]]) != 1:
            continue
        low, high = root.attrs.get("clamp", (-np.inf, np.inf))
        clamp = (min(max(low, bounds[0]), bounds[1]), max(min(high, bounds[1]), bounds[0]))
        fused = replace(root.with_attrs(clamp=clamp), outputs=node.outputs)
        merged[root.name] = merged[node.name] = fused
        dropped.add(node.name)
    builder = Builder(graph)
    for node in graph.nodes:
        if node.name not in dropped:
            builder.add(merged.get(node.name, node))
    return builder.finish()


def _bounds(node: Node, graph: Graph) -> tuple[float, float] | None:
    if node.op == "Relu":
        return 0.0, float("inf")
    if node.op != "Clip" or graph.type(node.outputs[0]).dtype != np.float32:
        return None
    bounds = [-float("inf"), float("inf")]
    for i, value in enumerate(node.inputs[1:3]):
        if value:
            constant = graph.constants.get(value)
            if constant is None:
                return None
            bounds[i] = float(constant)
    low, high = bounds
    return (min(low, high), high)
