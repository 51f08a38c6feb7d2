"""Trilu, EyeLike, OneHot, ReverseSequence: tensors whose elements depend on their place. Scalar loops."""

from __future__ import annotations

from math import prod

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops import axes, copying
from pilotfish.compiler.ops.loops import CTYPES, pointer, text
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower_trilu(node: Node, low: Lowering) -> None:
    """The triangle above or below diagonal ``k`` (an int64 that may be computed), zeros elsewhere."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    rows, columns = x.type.shape[-2:]
    present = len(node.inputs) > 1 and node.inputs[1]
    k = low.view(node.inputs[1]) if present else low.weights(np.zeros((), np.int64))
    kept = "c - r >= *k" if node.attrs.get("upper", 1) else "c - r <= *k"
    lines = [pointer("x", 0, x.type.dtype), pointer("k", 1, k.type.dtype), pointer("y", 2, y.type.dtype, const=False)]
    lines += [
        f"PF_ROLLED for (int64_t b = 0; b < {prod(x.type.shape[:-2])}; b++) {{",
        f"    PF_ROLLED for (int64_t r = 0; r < {rows}; r++) {{",
        f"        const int64_t row = (b * {rows} + r) * {columns};",
        f"        PF_SCALAR_LOOP for (int64_t c = 0; c < {columns}; c++) y[row + c] = {kept} ? x[row + c] : 0;",
        "    }",
        "}",
    ]
    low.generated(node, "trilu", text(lines), [x, k, y], scalar=True)


def lower_eye(node: Node, low: Lowering) -> None:
    """A constant: only the shape of the input counts."""
    y = low.out(node.outputs[0])
    rows, columns = y.type.shape
    eye = np.eye(rows, columns, node.attrs.get("k", 0)).astype(y.type.dtype)
    copying.copy_part(node, low, low.weights(eye), y)


def lower_one_hot(node: Node, low: Lowering) -> None:
    """``values[1]`` where the index is, ``values[0]`` elsewhere; indices outside of the depth are nowhere."""
    indices, values, y = low.view(node.inputs[0]), low.view(node.inputs[2]), low.out(node.outputs[0])
    axis = axes.axis(node.attrs.get("axis", -1), len(y.type.shape))
    depth = y.type.shape[axis]
    inner = prod(y.type.shape[axis + 1 :])
    lines = [pointer("at", 0, indices.type.dtype), pointer("values", 1, values.type.dtype)]
    lines += [
        pointer("y", 2, y.type.dtype, const=False),
        f"PF_ROLLED for (int64_t o = 0; o < {prod(y.type.shape[:axis])}; o++) {{",
        f"    PF_ROLLED for (int64_t i = 0; i < {inner}; i++) {{",
        f"        int64_t hot = (int64_t)at[o * {inner} + i];",
        f"        hot += hot < 0 ? {depth} : 0;",
        f"        PF_SCALAR_LOOP for (int64_t j = 0; j < {depth}; j++)",
        f"            y[(o * {depth} + j) * {inner} + i] = values[j == hot];",
        "    }",
        "}",
    ]
    low.generated(node, "onehot", text(lines), [indices, values, y], scalar=True)


def lower_reverse(node: Node, low: Lowering) -> None:
    """The first ``lengths[batch]`` steps of each sequence in reverse order."""
    x, lengths, y = low.view(node.inputs[0]), low.view(node.inputs[1]), low.out(node.outputs[0])
    time_first = node.attrs.get("time_axis", 0) == 0
    first, second = x.type.shape[:2]
    inner, steps = prod(x.type.shape[2:]), x.type.shape[0 if time_first else 1]
    time, batch = ("a", "b") if time_first else ("b", "a")
    source = f"(from * {second} + b)" if time_first else f"(a * {second} + from)"
    lines = [pointer("x", 0, x.type.dtype), pointer("lengths", 1, lengths.type.dtype)]
    lines += [
        pointer("y", 2, y.type.dtype, const=False),
        f"PF_ROLLED for (int64_t a = 0; a < {first}; a++) {{",
        f"    PF_ROLLED for (int64_t b = 0; b < {second}; b++) {{",
        f"        const int64_t length = PF_MIN(lengths[{batch}], {steps});",
        f"        const int64_t from = {time} < length ? length - 1 - {time} : {time};",
        f"        for (int64_t i = 0; i < {inner}; i++)",
        f"            y[(a * {second} + b) * {inner} + i] = x[{source} * {inner} + i];",
        "    }",
        "}",
    ]
    low.generated(node, "reversesequence", text(lines), [x, lengths, y], scalar=True)


def check(node: Node, graph: Graph) -> str | None:
    """Element types that C has."""
    for value in [*node.inputs, *node.outputs]:
        if value and graph.type(value).dtype.name not in CTYPES:
            return f"the element type of {graph.type(value)} is not compiled"
    return None


def check_one_hot(node: Node, graph: Graph) -> str | None:
    """The depth must be known."""
    return "its depth must be constant" if axes.computed(node, 1, graph.constants) else check(node, graph)


OPERATORS = (
    Operator("Trilu", lower_trilu, check),
    Operator("EyeLike", lower_eye, check),
    Operator("OneHot", lower_one_hot, check_one_hot),
    Operator("ReverseSequence", lower_reverse, check),
)
