"""Gather: slices picked along one axis, by constant indices (copies) or computed ones (a kernel)."""

from __future__ import annotations

from math import prod

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.ops import axes, copying
from pilotfish.compiler.ops.loops import pointer, text
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator

MOST_COPIES = 8
"""Constant indices that form more runs than this go through the kernel."""


def lower(node: Node, low: Lowering) -> None:
    """Constant indices in few runs of constant step: that many copies, or no code."""
    x = low.view(node.inputs[0])
    axis = axes.axis(node.attrs.get("axis", 0), len(x.type.shape))
    indices = low.constant(node.inputs[1])
    if low.type(node.outputs[0]).size == 0:
        low.out(node.outputs[0])
        return
    if indices is not None:
        picked = [int(i) % x.type.shape[axis] for i in indices.ravel()]
        if len(runs := copying.runs(picked)) <= MOST_COPIES:
            _copies(node, low, axis, runs)
            return
    _kernel(node, low, axis)


def _copies(node: Node, low: Lowering, axis: int, runs: list[tuple[int, int, int, int]]) -> None:
    x, out_type = low.view(node.inputs[0]), low.type(node.outputs[0])
    if len(runs) == 1:
        _, first, step, length = runs[0]
        starts, shape, steps = [0] * len(x.type.shape), list(x.type.shape), [1] * len(x.type.shape)
        starts[axis], shape[axis], steps[axis] = first, length, step
        source = copying.part(x, starts, shape, steps)
        if source.contiguous and node.outputs[0] not in low.graph.outputs:
            low.alias(node.outputs[0], source)
            return
    y = low.out(node.outputs[0])
    outer, size, inner = _split(x.type.shape, axis)
    picked = out_type.size // max(outer * inner, 1)
    for position, first, step, length in runs:
        copying.copy(
            node, low, _shifted(x, first * inner), _shifted(y, position * inner), (outer, length, inner),
            (size * inner, step * inner, 1), (picked * inner, inner, 1),
        )  # fmt: skip


def _shifted(view: View, elements: int) -> View:
    return View(view.buffer, view.type, view.strides, view.offset + elements)


def _split(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])


def _kernel(node: Node, low: Lowering, axis: int) -> None:
    x, indices, y = low.view(node.inputs[0]), low.view(node.inputs[1]), low.out(node.outputs[0])
    outer, size, inner = _split(x.type.shape, axis)
    count = indices.type.size
    bits = x.type.dtype.itemsize * 8
    if bits == 16:
        _half(node, low, outer, size, count, inner)
        return
    args = {"outer": outer, "axis": size, "indices": count, "inner": inner, "wide": indices.type.dtype.itemsize // 8}
    low.call(node, f"gather{bits}", args, [x, indices, y])


def _half(node: Node, low: Lowering, outer: int, size: int, count: int, inner: int) -> None:
    """Elements of two bytes."""
    x, indices, y = low.view(node.inputs[0]), low.view(node.inputs[1]), low.out(node.outputs[0])
    half = np.dtype(np.uint16)
    lines = [pointer("x", 0, half), pointer("at", 1, indices.type.dtype), pointer("y", 2, half, const=False)]
    lines += [
        f"PF_ROLLED for (int64_t o = 0; o < {outer}; o++) {{",
        f"    PF_ROLLED for (int64_t j = 0; j < {count}; j++) {{",
        f"        int64_t k = at[j] + (at[j] < 0 ? {size} : 0);",
        f"        k = k < 0 ? 0 : k >= {size} ? {size - 1} : k;",
        f"        for (int64_t i = 0; i < {inner}; i++)",
        f"            y[(o * {count} + j) * {inner} + i] = x[(o * {size} + k) * {inner} + i];",
        "    }",
        "}",
    ]
    low.generated(node, "gather16", text(lines), [x, indices, y], scalar=True)


def check(node: Node, graph: Graph) -> str | None:
    """There must be something to gather."""
    shape = graph.type(node.inputs[0]).shape
    if not shape or shape[axes.axis(node.attrs.get("axis", 0), len(shape))] == 0:
        return "an empty axis has nothing to gather"
    return None


OPERATORS = (Operator("Gather", lower, check),)
