"""ArgMax, ArgMin, Hardmax and TopK along one axis: kernels on float32, else scalar loops."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.kernels import argmax
from pilotfish.compiler.ops import axes
from pilotfish.compiler.ops.loops import CTYPES, ctype, indent, pointer, text
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def _sizes(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """(product of the dimensions before, the axis, product of those after)."""
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])


def _each(outer: int, inner: int, body: Sequence[str]) -> list[str]:
    """``body`` for every line along the axis: ``o`` and ``i`` are its place before and after."""
    return [
        f"PF_ROLLED for (int64_t o = 0; o < {outer}; o++) {{",
        f"    PF_ROLLED for (int64_t i = 0; i < {inner}; i++) {{",
        *indent(body, 2),
        "    }",
        "}",
    ]


def _best(node: Node, kind: str, size: int, inner: int) -> list[str]:
    """C that finds ``best``, the place of the extreme value of a line: the first of equal ones, or the last."""
    sign = "<" if node.op == "ArgMin" else ">"
    sign += "=" if node.attrs.get("select_last_index", 0) else ""
    return [
        f"const {kind} *const line = x + o * {size * inner} + i;",
        "int64_t best = 0;",
        f"PF_SCALAR_LOOP for (int64_t j = 1; j < {size}; j++) {{",
        f"    if (line[j * {inner}] {sign} line[best * {inner}]) best = j;",
        "}",
    ]


def lower_arg(node: Node, low: Lowering) -> None:
    """The place of the extreme value: a kernel on float32."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    outer, size, inner = _sizes(x.type.shape, axes.axis(node.attrs.get("axis", 0), len(x.type.shape)))
    if x.type.dtype == np.float32:
        args = argmax.args(outer, size, inner, last=bool(node.attrs.get("select_last_index", 0)))
        low.call(node, node.op.lower(), args, [x, y])
        return
    lines = [pointer("x", 0, x.type.dtype), pointer("y", 1, y.type.dtype, const=False)]
    body = [*_best(node, ctype(x.type.dtype), size, inner), f"y[o * {inner} + i] = best;"]
    low.generated(node, node.op.lower(), text([*lines, *_each(outer, inner, body)]), [x, y], scalar=True)


def lower_hardmax(node: Node, low: Lowering) -> None:
    """1 at the first of the largest, 0 elsewhere."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    outer, size, inner = _sizes(x.type.shape, axes.axis(node.attrs.get("axis", -1), len(x.type.shape)))
    lines = [pointer("x", 0, x.type.dtype), pointer("y", 1, y.type.dtype, const=False)]
    body = _best(node, ctype(x.type.dtype), size, inner)
    body.append(f"for (int64_t j = 0; j < {size}; j++) y[o * {size * inner} + j * {inner} + i] = j == best;")
    low.generated(node, "hardmax", text([*lines, *_each(outer, inner, body)]), [x, y], scalar=True)


def lower_topk(node: Node, low: Lowering) -> None:
    """The best so far are kept sorted in the output; each value that is better than the last moves in.

    Of equal values the one with the smaller index comes first. Work: size times k in the worst case.
    """
    x, values, places = low.view(node.inputs[0]), low.out(node.outputs[0]), low.out(node.outputs[1])
    axis = axes.axis(node.attrs.get("axis", -1), len(x.type.shape))
    outer, size, inner = _sizes(x.type.shape, axis)
    k = values.type.shape[axis]
    sign = ">" if node.attrs.get("largest", 1) else "<"
    if k == 0:
        return
    kind = ctype(x.type.dtype)
    lines = [
        pointer("x", 0, x.type.dtype),
        pointer("values", 1, x.type.dtype, const=False),
        pointer("places", 2, places.type.dtype, const=False),
    ]
    body = [
        f"const {kind} *const line = x + o * {size * inner} + i;",
        f"{kind} *const v = values + o * {k * inner} + i;",
        f"int64_t *const p = places + o * {k * inner} + i;",
        f"PF_SCALAR_LOOP for (int64_t j = 0; j < {size}; j++) {{",
        f"    const {kind} value = line[j * {inner}];",
        f"    int64_t at = j < {k} ? j : {k};",
        f"    for (; at > 0 && value {sign} v[(at - 1) * {inner}]; at--) {{",
        f"        if (at < {k}) {{",
        f"            v[at * {inner}] = v[(at - 1) * {inner}];",
        f"            p[at * {inner}] = p[(at - 1) * {inner}];",
        "        }",
        "    }",
        f"    if (at < {k}) {{",
        f"        v[at * {inner}] = value;",
        f"        p[at * {inner}] = j;",
        "    }",
        "}",
    ]
    source = text([*lines, *_each(outer, inner, body)])
    low.generated(node, "topk", source, [x, values, places], scalar=True)


def check(node: Node, graph: Graph) -> str | None:
    """Element types that C can compare; something to compare."""
    x = graph.type(node.inputs[0])
    if x.dtype.name not in CTYPES or x.dtype == np.bool_:
        return f"the element type of {x} is not compiled"
    default = 0 if node.op.startswith("Arg") else -1
    if not x.shape or x.shape[axes.axis(node.attrs.get("axis", default), len(x.shape))] == 0:
        return "an empty axis has no extreme value"
    if node.op == "TopK":
        if axes.computed(node, 1, graph.constants):
            return "its k must be constant"
        if not all(node.outputs):
            return "both of its outputs must be used"
    return None


OPERATORS = (
    Operator("ArgMax", lower_arg, check),
    Operator("ArgMin", lower_arg, check),
    Operator("Hardmax", lower_hardmax, check),
    Operator("TopK", lower_topk, check),
)
