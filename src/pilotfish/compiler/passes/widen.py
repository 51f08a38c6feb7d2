"""Models in float16 are compiled as if they were float32, for ``to_half`` to make float16 again what has a form for it.

So the other passes and the operators' checks know one type of floats. Inputs and outputs keep theirs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder

_F32, _F16 = np.dtype(np.float32), np.dtype(np.float16)


def widen(graph: Graph) -> Graph:
    """Float32 in place of float16 inside the graph; the graph itself if it has no float16."""
    halves = {v for v, t in graph.types.items() if t.dtype == _F16}
    if not halves:
        return graph
    ends = halves & {*graph.inputs, *graph.outputs}
    builder = Builder(graph)
    inside = {value: builder.fresh(f"{value}.wide") for value in sorted(ends)}
    for value in sorted(halves):
        builder.types[inside.get(value, value)] = replace(graph.type(value), dtype=_F32)
        if value in graph.constants:
            builder.constants[inside.get(value, value)] = graph.constants[value].astype(_F32)
    for value in graph.inputs:
        if value in halves:
            builder.add(Node("pf.Elementwise", inside[value], (value,), (inside[value],), {"body": ()}))
    for node in graph.nodes:
        inputs, outputs = (tuple(inside.get(v, v) for v in side) for side in (node.inputs, node.outputs))
        builder.add(_node(replace(node, inputs=inputs, outputs=outputs), builder))
    for value in graph.outputs:
        if value in halves and value not in graph.inputs and value not in graph.constants:
            builder.add(Node("pf.Elementwise", f"{value}.narrow", (inside[value],), (value,), {"body": ()}))
    return builder.finish()


def _node(node: Node, builder: Builder) -> Node:
    """A cast between the two types has nothing to do any more; one to float16 makes float32."""
    if node.op not in ("Cast", "CastLike"):
        return node
    types = [builder.types[v].dtype for v in (node.inputs[0], node.outputs[0])]
    if types == [_F32, _F32]:
        return replace(node, op="Identity", inputs=node.inputs[:1], attrs={})
    return node.with_attrs(to=onnx.TensorProto.FLOAT) if node.attrs.get("to") == onnx.TensorProto.FLOAT16 else node
