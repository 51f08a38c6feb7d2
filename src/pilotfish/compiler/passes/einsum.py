"""Einsum of two float32 operands becomes Transpose, Reshape and MatMul."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.ops.einsum import Equation, parse

_F32 = np.dtype(np.float32)


def expand_einsum(graph: Graph) -> Graph:
    """Rewrite those that are one (batched) product of matrices; others stay, as loops."""
    builder = Builder(graph)
    for node in graph.nodes:
        equation = _product(node, graph) if node.op == "Einsum" else None
        if equation is None:
            builder.add(node)
        else:
            _rewrite(node, equation, builder)
    return builder.finish()


def _product(node: Node, graph: Graph) -> Equation | None:
    """The equation if no label repeats in an operand, none broadcasts, and each summed one is in both operands."""
    types = [graph.type(v) for v in node.inputs]
    if len(types) != 2 or any(t.dtype != _F32 for t in types):
        return None
    equation = parse(node.attrs["equation"], [t.shape for t in types])
    a, b = equation.operands
    if any(len(set(labels)) != len(labels) for labels in (a, b, equation.result)):
        return None
    if any(
        equation.sizes[label] != size
        for labels, type_ in ((a, types[0]), (b, types[1]))
        for label, size in zip(labels, type_.shape, strict=True)
    ):
        return None
    summed = set(equation.sizes) - set(equation.result)
    return equation if all(label in a and label in b for label in summed) else None


def _rewrite(node: Node, equation: Equation, builder: Builder) -> None:
    a, b = equation.operands
    batch = [label for label in equation.result if label in a and label in b]
    left = [label for label in equation.result if label in a and label not in b]
    right = [label for label in equation.result if label in b and label not in a]
    summed = [label for label in a if label in b and label not in equation.result]

    def size(labels: Sequence[str]) -> int:
        return prod(equation.sizes[label] for label in labels)

    def arranged(value: str, labels: str, order: Sequence[str], shape: tuple[int, ...]) -> str:
        perm = tuple(labels.index(label) for label in order)
        if perm != tuple(range(len(perm))):
            type_ = TensorType(_F32, tuple(equation.sizes[label] for label in order))
            value = builder.emit("Transpose", f"{node.name}.t", [value], type_, perm=perm)
        return builder.emit("Reshape", f"{node.name}.r", [value], TensorType(_F32, shape))

    batches = (size(batch),) if batch else ()
    x = arranged(node.inputs[0], a, [*batch, *left, *summed], (*batches, size(left), size(summed)))
    y = arranged(node.inputs[1], b, [*batch, *summed, *right], (*batches, size(summed), size(right)))
    type_ = TensorType(_F32, (*batches, size(left), size(right)))
    product = builder.emit("MatMul", f"{node.name}.product", [x, y], type_)
    order = [*batch, *left, *right]
    perm = tuple(order.index(label) for label in equation.result)
    if perm == tuple(range(len(perm))):
        builder.add(Node("Reshape", node.name, (product,), node.outputs))
        return
    shaped = TensorType(_F32, tuple(equation.sizes[label] for label in order))
    value = builder.emit("Reshape", f"{node.name}.shaped", [product], shaped)
    builder.add(Node("Transpose", node.name, (value,), node.outputs, {"perm": perm}))
