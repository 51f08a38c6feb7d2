"""Normalizations become reductions and elementwise operators, which fuse and work in any layout from there.

Here are those that ONNX does not define by other operators itself, where the importer inlines them.
"""

from __future__ import annotations

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder

_F32 = np.dtype(np.float32)


def expand_normalization(graph: Graph) -> Graph:
    """Rewrite BatchNormalization (that was not folded), InstanceNormalization and LpNormalization."""
    rules = {"BatchNormalization": _batch, "InstanceNormalization": _instance, "LpNormalization": _lp}
    builder = Builder(graph)
    for node in graph.nodes:
        if rule := rules.get(node.op):
            rule(node, builder)
        else:
            builder.add(node)
    return builder.finish()


def _batch(node: Node, builder: Builder) -> None:
    """``y = x * factor + (bias - mean * factor)``, ``factor = scale / sqrt(variance + epsilon)``, per channel.

    Constants in float64; statistics that are computed at run time in float32, by nodes.
    """
    graph = builder.graph
    constants = [graph.constants.get(value) for value in node.inputs[1:5]]
    rank = len(graph.type(node.inputs[0]).shape)
    row = TensorType(_F32, (graph.type(node.inputs[1]).shape[0], *(1,) * (rank - 2)))

    def emit(op: str, *inputs: str) -> str:
        return builder.emit(op, f"{node.name}.{op.lower()}", inputs, row)

    if all(c is not None for c in constants):
        scale, bias, mean, variance = (np.asarray(c, np.float64) for c in constants)
        values = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
        factor, shift = (
            builder.constant(f"{node.name}.{stem}", array.astype(np.float32).reshape(row.shape))
            for stem, array in (("factor", values), ("shift", bias - mean * values))
        )
    else:
        s, b, m, v = (emit("Reshape", value) for value in node.inputs[1:5])
        factor = emit("Div", s, emit("Sqrt", emit("Add", v, _number(node, builder, node.attrs.get("epsilon", 1e-5)))))
        shift = emit("Sub", b, emit("Mul", m, factor))
    scaled = builder.emit("Mul", f"{node.name}.scaled", [node.inputs[0], factor], graph.type(node.outputs[0]))
    builder.add(Node("Add", node.name, (scaled, shift), node.outputs[:1]))


def _instance(node: Node, builder: Builder) -> None:
    """Every plane by its own mean and variance, from differences (no cancellation); then per channel."""
    graph = builder.graph
    x = graph.type(node.inputs[0])
    batch, channels, *spatial = x.shape
    ones = (1,) * len(spatial)
    planes, row = TensorType(_F32, (batch, channels, *ones)), TensorType(_F32, (channels, *ones))

    def emit(op: str, type_: TensorType, *inputs: str) -> str:
        return builder.emit(op, f"{node.name}.{op.lower()}", inputs, type_)

    axes = builder.constant(f"{node.name}.axes", np.arange(2, len(x.shape)))
    difference = emit("Sub", x, node.inputs[0], emit("ReduceMean", planes, node.inputs[0], axes))
    squares = emit("ReduceSumSquare", planes, difference, axes)
    scale, bias = (_reshaped(value, row, node, builder) for value in node.inputs[1:3])
    count = _number(node, builder, float(np.prod(spatial)))
    epsilon = _number(node, builder, node.attrs.get("epsilon", 1e-5))
    deviation = emit("Sqrt", planes, emit("Add", planes, emit("Div", planes, squares, count), epsilon))
    scaled = emit("Mul", x, difference, emit("Div", planes, scale, deviation))
    builder.add(Node("Add", node.name, (scaled, bias), node.outputs[:1]))


def _lp(node: Node, builder: Builder) -> None:
    """Lines along an axis divided by their norm; a line of zeros stays."""
    type_ = builder.graph.type(node.inputs[0])
    axis = node.attrs.get("axis", -1) % len(type_.shape)
    line = TensorType(_F32, tuple(1 if a == axis else size for a, size in enumerate(type_.shape)))
    axes = builder.constant(f"{node.name}.axes", np.array([axis]))
    op = "ReduceL1" if node.attrs.get("p", 2) == 1 else "ReduceL2"
    norm = builder.emit(op, f"{node.name}.norm", [node.inputs[0], axes], line)
    least = _number(node, builder, float(np.finfo(np.float32).tiny))
    positive = builder.emit("Max", f"{node.name}.max", [norm, least], line)
    builder.add(Node("Div", node.name, (node.inputs[0], positive), node.outputs))


def _number(node: Node, builder: Builder, value: float) -> str:
    return builder.constant(f"{node.name}.number", np.array(value, np.float32))


def _reshaped(value: str, type_: TensorType, node: Node, builder: Builder) -> str:
    constant = builder.constants.get(value)
    if constant is not None:
        return builder.constant(f"{node.name}.row", constant.reshape(type_.shape))
    return builder.emit("Reshape", f"{node.name}.row", [value], type_)
