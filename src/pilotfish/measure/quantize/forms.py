"""Rewrites of a float graph into the operators that quantize best; none changes what it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder

_F32 = np.dtype(np.float32)


def join_bias(graph: Graph) -> Graph:
    """MatMul by a constant and Add of a constant row are one Gemm, between Reshapes if there are more than rows.

    The bias of a Gemm is quantized to 32 bits, at no cost; an Add's operand would be to 8.
    """
    builder, consumers, joined = Builder(graph), graph.consumers(), set[str]()
    for node in graph.nodes:
        if node.name in joined:
            continue
        add = _bias(node, graph, consumers) if node.op == "MatMul" else None
        if add is None:
            builder.add(node)
            continue
        joined.add(add.name)
        row = graph.constants[next(i for i in add.inputs if i != node.outputs[0])].reshape(-1)
        shape = graph.type(node.outputs[0]).shape
        bias = builder.constant(f"{node.name}.bias", np.broadcast_to(row, (shape[-1],)).copy())
        x, weights = node.inputs
        if len(shape) == 2:
            builder.add(Node("Gemm", node.name, (x, weights, bias), add.outputs))
            continue
        flat = TensorType(_F32, (int(np.prod(shape[:-1])), shape[-1]))
        rows = _reshape(builder, f"{node.name}.rows", x, (flat.shape[0], graph.type(x).shape[-1]))
        (product,) = builder.add(Node("Gemm", node.name, (rows, weights, bias), (f"{node.name}.product",)), flat)
        to = builder.constant(f"{node.name}.shape", np.array(shape, np.int64))
        builder.add(Node("Reshape", f"{node.name}.again", (product, to), add.outputs))
    return builder.finish()


def _bias(node: Node, graph: Graph, consumers: Mapping[str, Sequence[Node]]) -> Node | None:
    """The Add of a constant row that alone reads a product by a constant matrix."""
    out, weights = node.outputs[0], graph.constants.get(node.inputs[1])
    type_, readers = graph.type(out), consumers.get(out, ())
    if weights is None or weights.ndim != 2 or type_.dtype != _F32 or out in graph.outputs or len(type_.shape) < 2:
        return None
    if len(readers) != 1 or readers[0].op != "Add" or graph.type(readers[0].outputs[0]) != type_:
        return None
    row = graph.constants.get(next((i for i in readers[0].inputs if i != out), ""))
    fits = row is not None and row.size in (1, type_.shape[-1]) and (row.size == 1 or row.shape[-1] == row.size)
    return readers[0] if fits else None


def means_as_pools(graph: Graph) -> Graph:
    """ReduceMean over the whole of each plane is a GlobalAveragePool, and a Reshape if it drops dimensions."""
    builder = Builder(graph)
    for node in graph.nodes:
        if not _is_pool(node, graph):
            builder.add(node)
            continue
        x, out = node.inputs[0], node.outputs[0]
        if len(graph.type(out).shape) == len(graph.type(x).shape):
            builder.add(Node("GlobalAveragePool", node.name, (x,), (out,)))
            continue
        shape = (*graph.type(x).shape[:2], *(1 for _ in graph.type(x).shape[2:]))
        pooled = builder.fresh(f"{node.name}.pooled")
        builder.add(Node("GlobalAveragePool", node.name, (x,), (pooled,)), TensorType(_F32, shape))
        to = builder.constant(f"{node.name}.shape", np.array(graph.type(out).shape, np.int64))
        builder.add(Node("Reshape", f"{node.name}.flat", (pooled, to), (out,)))
    return builder.finish()


def _is_pool(node: Node, graph: Graph) -> bool:
    if node.op != "ReduceMean" or graph.type(node.inputs[0]).dtype != _F32:
        return False
    rank = len(graph.type(node.inputs[0]).shape)
    given = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else node.attrs.get("axes")
    if given is None or rank < 3:
        return False
    return sorted(int(axis) % rank for axis in np.asarray(given).reshape(-1)) == list(range(2, rank))


def _reshape(builder: Builder, name: str, x: str, shape: tuple[int, ...]) -> str:
    to = builder.constant(f"{name}.shape", np.array(shape, np.int64))
    (out,) = builder.add(Node("Reshape", name, (x, to), (builder.fresh(name),)), TensorType(_F32, shape))
    return out
