"""One form for what ONNX can say in many: explicit pads, matrix products with constants as ``pf.Linear``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.ops.window import resolved_pads

_WINDOWED = frozenset({"Conv", "MaxPool", "AveragePool", "LpPool"})
_F32 = np.dtype(np.float32)


def canonicalize(graph: Graph) -> Graph:
    """Resolve ``auto_pad``; turn Gemm, and MatMul (with a following Add) by constants, into ``pf.Linear``."""
    builder = Builder(graph)
    consumers = graph.consumers()
    skipped: set[str] = set()
    for node in graph.nodes:
        if node.name in skipped:
            continue
        if node.op in _WINDOWED:
            builder.add(explicit_pads(node, graph))
        elif node.op == "Gemm" and graph.type(node.outputs[0]).dtype == _F32:
            _gemm(node, builder)
        elif node.op == "MatMul" and _constant_matrix(node, graph):
            bias = _following_bias(node, graph, consumers)
            weights = graph.constants[node.inputs[1]]
            if bias is None:
                zeros = np.zeros(weights.shape[1], np.float32)
                _linear(builder, node.name, node.inputs[0], weights, zeros, node.outputs[0])
            else:
                add, values = bias
                skipped.add(add.name)
                _linear(builder, node.name, node.inputs[0], weights, values, add.outputs[0])
        else:
            builder.add(node)
    return builder.finish()


def explicit_pads(node: Node, graph: Graph) -> Node:
    """The node with ``auto_pad`` worked out into ``pads``."""
    x, y = graph.type(node.inputs[0]).shape[2:], graph.type(node.outputs[0]).shape[2:]
    kernel = tuple(node.attrs.get("kernel_shape") or graph.type(node.inputs[1]).shape[2:])
    attrs = {k: v for k, v in node.attrs.items() if k != "auto_pad"}
    attrs["pads"] = resolved_pads(node.attrs, x, y, kernel)
    return replace(node, attrs=attrs)


def _constant_matrix(node: Node, graph: Graph) -> bool:
    weights = graph.constants.get(node.inputs[1])
    x = graph.type(node.inputs[0])
    return weights is not None and weights.ndim == 2 and weights.dtype == _F32 and len(x.shape) >= 1


def _following_bias(
    node: Node, graph: Graph, consumers: dict[str, list[Node]]
) -> tuple[Node, np.ndarray[tuple[int], np.dtype[np.float32]]] | None:
    """The Add of a constant row that alone reads a product."""
    out = node.outputs[0]
    readers = consumers.get(out, [])
    if len(readers) != 1 or readers[0].op != "Add" or out in graph.outputs:
        return None
    other = next((i for i in readers[0].inputs if i != out), "")
    values = graph.constants.get(other)
    columns = graph.type(out).shape[-1]
    if values is None or graph.type(readers[0].outputs[0]).shape != graph.type(out).shape:
        return None
    if values.size not in (1, columns) or (values.size > 1 and values.shape[-1] != columns):
        return None
    return readers[0], np.ascontiguousarray(np.broadcast_to(values.reshape(-1), (columns,)))


def _linear(
    builder: Builder,
    name: str,
    x: str,
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    bias: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    output: str,
) -> None:
    w = builder.constant(f"{name}.w", np.ascontiguousarray(weights))
    b = builder.constant(f"{name}.b", bias)
    builder.add(Node("pf.Linear", name, (x, w, b), (output,)))


def _gemm(node: Node, builder: Builder) -> None:
    """Gemm by constants is one pf.Linear; otherwise Transpose, MatMul, Mul and Add as far as needed."""
    graph = builder.graph
    alpha, beta = float(node.attrs.get("alpha", 1.0)), float(node.attrs.get("beta", 1.0))
    a, b = node.inputs[:2]
    c = node.inputs[2] if len(node.inputs) > 2 else ""
    out = node.outputs[0]
    out_type = graph.type(out)
    columns = out_type.shape[-1]
    if node.attrs.get("transA"):
        shape = graph.type(a).shape[::-1]
        a = builder.emit("Transpose", f"{node.name}.a", [a], TensorType(_F32, shape), perm=(1, 0))
    weights, bias = graph.constants.get(b), graph.constants.get(c) if c else np.zeros(1, np.float32)
    if (
        weights is not None
        and bias is not None
        and bias.size in (1, columns)
        and (bias.size == 1 or bias.shape[-1] == columns)
    ):
        matrix = weights.T if node.attrs.get("transB") else weights
        row = np.broadcast_to(bias.reshape(-1), (columns,))
        _linear(builder, node.name, a, np.float32(alpha) * matrix, np.float32(beta) * row, out)
        return
    if node.attrs.get("transB"):
        shape = graph.type(b).shape[::-1]
        b = builder.emit("Transpose", f"{node.name}.bt", [b], TensorType(_F32, shape), perm=(1, 0))
    parts = [(alpha, builder.emit("MatMul", f"{node.name}.ab", [a, b], out_type))]
    if c:
        parts.append((beta, c))
    scaled = []
    for scale, value in parts:
        if scale != 1.0:
            factor = builder.constant(f"{node.name}.scale", np.array(scale, np.float32))
            value = builder.emit("Mul", f"{node.name}.scaled", [value, factor], builder.types[value])
        scaled.append(value)
    builder.add(Node("Add" if c else "Identity", node.name, tuple(scaled), (out,)))
