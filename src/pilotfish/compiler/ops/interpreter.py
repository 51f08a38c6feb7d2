"""Run a graph by the NumPy meaning of its operators: slow and plain. Passes and programs are checked against it."""

from __future__ import annotations

from collections.abc import Mapping

from pilotfish.compiler.graph import Graph
from pilotfish.compiler.graph.ir import Array
from pilotfish.compiler.ops.lowering import VIEW_OPS
from pilotfish.compiler.ops.registry import operators


def interpret(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of a graph, by name, for inputs by name."""
    values: dict[str, Array] = {**graph.constants, **inputs}
    table = operators()
    for node in graph.nodes:
        if node.op in VIEW_OPS:  # passes make them without a shape operand: their output's type says it
            values[node.outputs[0]] = values[node.inputs[0]].reshape(graph.type(node.outputs[0]).shape)
            continue
        results = table[node.op].meaning(node, [values[i] if i else None for i in node.inputs])
        values.update({name: result for name, result in zip(node.outputs, results, strict=False) if name})
    return {name: values[name] for name in graph.outputs}
