"""Reductions keep their dimensions, with a Reshape behind: so they can stay channels-last."""

from __future__ import annotations

from dataclasses import replace

from pilotfish.compiler.graph import Graph, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.ops import reduce
from pilotfish.compiler.ops.reduce import reduced_axes


def keep_dimensions(graph: Graph) -> Graph:
    """``keepdims=0`` on tensors of three or four dimensions becomes ``keepdims=1`` and a Reshape."""
    builder = Builder(graph)
    for node in graph.nodes:
        if node.op not in {o.op for o in reduce.OPERATORS} or node.attrs.get("keepdims", 1):
            builder.add(node)
            continue
        x = graph.type(node.inputs[0])
        if len(x.shape) not in (3, 4):
            builder.add(node)
            continue
        reduced = reduced_axes(node, len(x.shape), graph.constants)
        kept = TensorType(x.dtype, tuple(1 if a in reduced else size for a, size in enumerate(x.shape)))
        value = builder.fresh(f"{node.name}.kept")
        builder.add(replace(node.with_attrs(keepdims=1), outputs=(value,)), kept)
        builder.add(replace(node, op="Reshape", name=f"{node.name}.reshape", inputs=(value,), attrs={}))
    return builder.finish()
