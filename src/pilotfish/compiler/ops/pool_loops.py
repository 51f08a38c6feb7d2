"""Pools that no kernel does, as scalar loops: any rank and element type, LpPool, the places of maxima. Planes first."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops.body import literal
from pilotfish.compiler.ops.loops import CTYPES, ctype, indent, pointer, text
from pilotfish.compiler.ops.lowering import Lowering, dense_strides
from pilotfish.compiler.ops.registry import Operator
from pilotfish.compiler.ops.window import resolved_pads


def lower(node: Node, low: Lowering) -> None:
    """For each output, a loop over the taps; those outside of the plane are left out."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    places = low.out(node.outputs[1]) if len(node.outputs) > 1 and node.outputs[1] else None
    inside, outside = x.type.shape[2:], y.type.shape[2:]
    rank = len(inside)
    ones, whole = (1,) * rank, node.op.startswith("Global")
    attrs = {} if whole else node.attrs
    kernel = inside if whole else tuple(node.attrs["kernel_shape"])
    strides, dilations = attrs.get("strides") or ones, attrs.get("dilations") or ones
    pads = resolved_pads(attrs, inside, outside, kernel)
    counted = pads if attrs.get("count_include_pad") else (0,) * (2 * rank)
    start, step, end = _statements(node, ctype(x.type.dtype))
    low_, high = node.attrs.get("clamp", (-np.inf, np.inf))
    if (low_, high) != (-np.inf, np.inf):
        end = f"fmin(fmax({end}, {literal(low_)}), {literal(high)})"

    positions = [f"const int64_t p{a} = i{a} * {strides[a]} - {pads[a]} + k{a} * {dilations[a]};" for a in range(rank)]
    wide = [f"p{a} >= {-counted[a]} && p{a} < {inside[a] + counted[a + rank]}" for a in range(rank)]
    narrow = [f"p{a} >= 0 && p{a} < {inside[a]}" for a in range(rank)]
    tap = [*positions]
    if "count" in end:
        tap.append(f"count += {' && '.join(wide)};")
    tap += [
        f"if (!({' && '.join(narrow)})) continue;",
        f"const {ctype(x.type.dtype)} value = plane[{_flat('p', inside)}];",
    ]
    order = list(reversed(range(rank))) if attrs.get("storage_order", 0) else list(range(rank))
    place = f"c * {prod(inside)} + {_flat('p', inside, order)}"
    tap += [line.replace("PLACE", place) for line in step]
    body = _nested("k", kernel, tap, "PF_SCALAR_LOOP")
    at = f"c * {prod(outside)} + {_flat('i', outside)}"
    body = [*start, *body, f"y[{at}] = ({ctype(y.type.dtype)})({end});"]
    body.append(f"places[{at}] = place;" if places is not None else "")
    if places is None and node.op.endswith("MaxPool"):
        body.insert(-1, "(void)place;")
    lines = [pointer("x", 0, x.type.dtype), pointer("y", 1, y.type.dtype, const=False)]
    if places is not None:
        lines.append(pointer("places", 2, places.type.dtype, const=False))
    lines += [
        f"PF_ROLLED for (int64_t c = 0; c < {prod(x.type.shape[:2])}; c++) {{",
        f"    const {ctype(x.type.dtype)} *const plane = x + c * {prod(inside)};",
        *indent(_nested("i", outside, [line for line in body if line], "PF_ROLLED")),
        "}",
    ]
    low.generated(node, node.op.lower(), text(lines), [v for v in (x, y, places) if v is not None], scalar=True)


def _statements(node: Node, kind: str) -> tuple[list[str], list[str], str]:
    """C before the taps, for a tap's ``value`` at ``PLACE``, and the result."""
    if node.op.endswith("MaxPool"):
        better = ["if (place < 0 || value > best) {", "    best = value;", "    place = PLACE;", "}"]
        return [f"{kind} best = 0;", "int64_t place = -1;"], better, "best"
    total = "float" if kind == "_Float16" else kind
    if node.op.endswith("LpPool"):
        p = node.attrs.get("p", 2)
        return ["double total = 0;"], [f"total += pow(fabs((double)value), {p});"], f"pow(total, 1.0 / {p})"
    return [f"{total} total = 0;", "int64_t count = 0;"], ["total += value;"], "total / PF_MAX(count, 1)"


def _flat(letter: str, shape: Sequence[int], order: Sequence[int] | None = None) -> str:
    """C for the offset in a plane; ``order`` lists the axes from the slowest to the fastest."""
    order = range(len(shape)) if order is None else order
    strides = dense_strides([shape[a] for a in order])
    return " + ".join(f"{letter}{a} * {s}" for a, s in zip(order, strides, strict=True))


def _nested(letter: str, sizes: Sequence[int], body: list[str], pragma: str) -> list[str]:
    for a in reversed(range(len(sizes))):
        i = f"{letter}{a}"
        body = [f"{pragma} for (int64_t {i} = 0; {i} < {sizes[a]}; {i}++) {{", *indent(body), "}"]
    return body


def check(node: Node, graph: Graph) -> str | None:
    """Element types that C has, and a spatial dimension."""
    x = graph.type(node.inputs[0])
    if x.dtype.name not in CTYPES or x.dtype == np.bool_:
        return f"the element type of {x} is not compiled"
    return None if len(x.shape) > 2 else f"the input has no spatial dimension, it is {x}"


OPERATORS = (Operator("LpPool", lower, check), Operator("GlobalLpPool", lower, check))
