"""BatchNormalization that could not be folded becomes Mul and Add, which elementwise fusion takes from there."""

from __future__ import annotations

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder

_F32 = np.dtype(np.float32)


def expand_batchnorm(graph: Graph) -> Graph:
    """``y = x * factor + (bias - mean * factor)``, ``factor = scale / sqrt(variance + epsilon)``, per channel.

    Constants in float64; statistics that are computed at run time in float32, by nodes.
    """
    builder = Builder(graph)
    for node in graph.nodes:
        if node.op != "BatchNormalization":
            builder.add(node)
            continue
        constants = [graph.constants.get(value) for value in node.inputs[1:5]]
        rank = len(graph.type(node.inputs[0]).shape)
        shape = (graph.type(node.inputs[1]).shape[0], *(1,) * (rank - 2))
        if all(c is not None for c in constants):
            scale, bias, mean, variance = (np.asarray(c, np.float64) for c in constants)
            factor = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
            factors = [
                builder.constant(f"{node.name}.{stem}", array.astype(np.float32).reshape(shape))
                for stem, array in (("factor", factor), ("shift", bias - mean * factor))
            ]
        else:
            factors = list(_computed(node, shape, builder))
        type_ = graph.type(node.outputs[0])
        scaled = builder.emit("Mul", f"{node.name}.scaled", [node.inputs[0], factors[0]], type_)
        builder.add(Node("Add", node.name, (scaled, factors[1]), node.outputs[:1]))
    return builder.finish()


def _computed(node: Node, shape: tuple[int, ...], builder: Builder) -> tuple[str, str]:
    """(factor, shift) by nodes."""
    row = TensorType(_F32, shape)

    def emit(op: str, *inputs: str) -> str:
        return builder.emit(op, f"{node.name}.{op.lower()}", inputs, row)

    scale, bias, mean, variance = (emit("Reshape", value) for value in node.inputs[1:5])
    epsilon = builder.constant(f"{node.name}.epsilon", np.array(node.attrs.get("epsilon", 1e-5), np.float32))
    factor = emit("Div", scale, emit("Sqrt", emit("Add", variance, epsilon)))
    return factor, emit("Sub", bias, emit("Mul", mean, factor))
