"""QLinearConv and QLinearMatMul as what they mean: DequantizeLinear, the float operator, QuantizeLinear."""

from __future__ import annotations

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder

_F32 = np.dtype(np.float32)


def to_qdq(graph: Graph) -> Graph:
    """Rewrite both operators so that one pass makes integers out of either form of a quantized model."""
    if not any(node.op in ("QLinearConv", "QLinearMatMul") for node in graph.nodes):
        return graph
    builder = Builder(graph)
    for node in graph.nodes:
        if node.op == "QLinearConv":
            _conv(node, builder)
        elif node.op == "QLinearMatMul":
            _matmul(node, builder)
        else:
            builder.add(node)
    return builder.finish()


def _dequantized(node: Node, builder: Builder, operands: tuple[str, str, str], stem: str, axis: int) -> str:
    type_ = builder.types[operands[0]]
    attrs = {"axis": axis} if builder.types[operands[1]].size > 1 else {}
    return builder.emit("DequantizeLinear", f"{node.name}.{stem}", operands, TensorType(_F32, type_.shape), **attrs)


def _quantized(node: Node, builder: Builder, value: str, scale: str, zero: str) -> None:
    builder.add(Node("QuantizeLinear", f"{node.name}.quantized", (value, scale, zero), node.outputs))


def _conv(node: Node, builder: Builder) -> None:
    x, xs, xz, w, ws, wz, ys, yz, *rest = node.inputs
    inputs = [_dequantized(node, builder, (x, xs, xz), "x", 1), _dequantized(node, builder, (w, ws, wz), "w", 0)]
    if rest and rest[0]:
        bias, scale_x, scale_w = (builder.constants.get(v) for v in (rest[0], xs, ws))
        if bias is None or scale_x is None or scale_w is None:
            builder.add(node)  # reported when types are checked
            return
        scale = np.broadcast_to((scale_x * scale_w).reshape(-1), bias.shape).astype(np.float32)
        zero = builder.constant(f"{node.name}.bias_zero", np.zeros(bias.shape, np.int32))
        s = builder.constant(f"{node.name}.bias_scale", np.ascontiguousarray(scale))
        inputs.append(_dequantized(node, builder, (rest[0], s, zero), "bias", 0))
    type_ = TensorType(_F32, builder.graph.type(node.outputs[0]).shape)
    y = builder.emit("Conv", node.name, inputs, type_, **node.attrs)
    _quantized(node, builder, y, ys, yz)


def _matmul(node: Node, builder: Builder) -> None:
    a, a_s, az, b, bs, bz, ys, yz = node.inputs
    rank = len(builder.types[b].shape)
    inputs = [
        _dequantized(node, builder, (a, a_s, az), "a", len(builder.types[a].shape) - 2),
        _dequantized(node, builder, (b, bs, bz), "b", rank - 1),
    ]
    y = builder.emit("MatMul", node.name, inputs, TensorType(_F32, builder.graph.type(node.outputs[0]).shape))
    _quantized(node, builder, y, ys, yz)
