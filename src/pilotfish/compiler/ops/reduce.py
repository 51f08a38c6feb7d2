"""ReduceSum, ReduceMean and the rest: kernels on float32, one group of neighbouring axes after the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import prod
from typing import Any

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels import reduce
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops import axes, copying
from pilotfish.compiler.ops.loops import CTYPES, ctype, indent, pointer, text
from pilotfish.compiler.ops.lowering import Lowering, dense_strides, view_of
from pilotfish.compiler.ops.registry import ChannelsLast, Operator

_F32 = np.dtype(np.float32)
_AFTERWARDS = {"reduce_sumsq": "reduce_sum", "reduce_l1": "reduce_sum"}
"""What the second group of axes is reduced by, where that is not the first's."""
_EMPTY = {"ReduceProd": 1.0, "ReduceLogSum": -np.inf, "ReduceLogSumExp": -np.inf, "ReduceMean": np.nan}
"""Reductions of nothing; 0 for the others, the ends of the type for the extremes."""

_SCALAR = {  # first value, step, end; {x} the element, t the total, {n} the count
    "ReduceSum": ("0", "t += {x};", "t"),
    "ReduceMean": ("0", "t += {x};", "t / {n}"),
    "ReduceProd": ("1", "t *= {x};", "t"),
    "ReduceSumSquare": ("0", "t += {x} * {x};", "t"),
    "ReduceL1": ("0", "t += {x} < 0 ? -{x} : {x};", "t"),
    "ReduceL2": ("0", "t += {x} * {x};", "sqrt((double)t)"),
    "ReduceLogSum": ("0", "t += {x};", "log((double)t)"),
    "ReduceLogSumExp": ("0", "t += exp((double){x});", "log((double)t)"),
    "ReduceMax": ("{first}", "t = {x} > t ? {x} : t;", "t"),
    "ReduceMin": ("{first}", "t = {x} < t ? {x} : t;", "t"),
}


def reduced_axes(node: Node, rank: int, constants: axes.Constants) -> tuple[int, ...]:
    """The axes that a node reduces, counted from the front, sorted."""
    given = axes.integers(node, 1, constants)
    if given is None:
        given = tuple(node.attrs.get("axes") or ())
    if not given:
        return () if node.attrs.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(axes.axis(a, rank) for a in given))


def groups(shape: Sequence[int], reduced: Sequence[int]) -> list[tuple[bool, int]]:
    """Neighbouring axes that are all reduced, or all kept, as one: (reduced, size). Sizes of one vanish."""
    kinds = [(axis in reduced, size) for axis, size in enumerate(shape) if size != 1]
    return [(kind, prod(size for _, size in group)) for kind, group in groupby(kinds, key=lambda k: k[0])]


def lower(node: Node, low: Lowering) -> None:
    """The last group first, so that its vectors are the longest; what is left between lies in scratch memory."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    reduced = reduced_axes(node, len(x.type.shape), low.graph.constants)
    if y.type.size == 0:
        return
    if x.type.size == 0:
        copying.fill(node, low, _of_nothing(node.op, y.type.dtype), y)
    elif x.type.dtype == _F32:
        _kernels(node, low, x, y, reduced)
    else:
        _loops(node, low, x, y, reduced)


def _of_nothing(op: str, dtype: np.dtype[Any]) -> Array:
    if op not in ("ReduceMax", "ReduceMin"):
        return np.array(_EMPTY.get(op, 0.0))
    if dtype.kind == "f":
        return np.array(-np.inf if op == "ReduceMax" else np.inf)
    if dtype == np.bool_:
        return np.array(op == "ReduceMin")
    ends = np.iinfo(dtype)
    return np.array(ends.min if op == "ReduceMax" else ends.max)


def _kernels(node: Node, low: Lowering, x: View, y: View, reduced: tuple[int, ...]) -> None:
    family, finish = reduce.KINDS[node.op]
    parts = groups(x.type.shape, reduced)
    if not any(kind for kind, _ in parts):  # nothing to reduce: every element by itself
        parts = [(True, 1), (False, x.type.size)]
    count = prod(size for kind, size in parts if kind)
    scale = 1.0 / count if node.op == "ReduceMean" else 1.0
    source = x
    while any(kind for kind, _ in parts):
        at = max(i for i, (kind, _) in enumerate(parts) if kind)
        outer, size = prod(s for _, s in parts[:at]), parts[at][1]
        inner = prod(s for _, s in parts[at + 1 :])
        last = sum(kind for kind, _ in parts) == 1
        target = y if last else _between(node, low, outer * inner)
        ends = {"finish": finish, "scale": scale} if last else {}
        low.call(node, family, reduce.args(outer, size, inner, **ends), [source, target])  # type: ignore[arg-type]
        parts = [*parts[:at], *parts[at + 1 :]]
        source, family = target, _AFTERWARDS.get(family, family)


def _between(node: Node, low: Lowering, elements: int) -> View:
    scratch = low.scratch(node, elements * 4)
    return view_of(scratch.buffer, TensorType(_F32, (elements,)))


def _loops(node: Node, low: Lowering, x: View, y: View, reduced: tuple[int, ...]) -> None:
    """Other element types: a scalar loop over what is kept, and inside over what is reduced."""
    shape = x.type.shape
    strides = dense_strides(shape)
    kept = [a for a in range(len(shape)) if a not in reduced and shape[a] != 1]
    inside = [a for a in reduced if shape[a] != 1]
    offset = " + ".join(f"i{a} * {strides[a]}" for a in kept) or "0"
    element = " + ".join(f"i{a} * {strides[a]}" for a in inside) or "0"
    first, step, end = _SCALAR[node.op]
    kind = ctype(y.type.dtype)
    total = "float" if kind == "_Float16" else "double" if "Log" in node.op or "L2" in node.op else kind
    lines = [f"{total} t = {first.format(first='line[0]')};"]
    lines += _nested(shape, inside, [step.format(x=f"line[{element}]")], "PF_SCALAR_LOOP")
    count = prod(shape[a] for a in inside)
    place = dense_strides([shape[a] for a in kept])
    to = " + ".join(f"i{a} * {s}" for a, s in zip(kept, place, strict=True)) or "0"
    lines = [f"const {ctype(x.type.dtype)} *const line = x + {offset};", *lines]
    lines.append(f"y[{to}] = ({kind})({end.format(n=count)});")
    pointers = [pointer("x", 0, x.type.dtype), pointer("y", 1, y.type.dtype, const=False)]
    source = text([*pointers, *_nested(shape, kept, lines, "PF_ROLLED")])
    low.generated(node, node.op.lower(), source, [x, y], scalar=True)


def _nested(shape: Sequence[int], which: Sequence[int], body: list[str], pragma: str) -> list[str]:
    for axis in reversed(which):
        i = f"i{axis}"
        body = [f"{pragma} for (int64_t {i} = 0; {i} < {shape[axis]}; {i}++) {{", *indent(body), "}"]
    return body


def check(node: Node, graph: Graph) -> str | None:
    """Constant axes; element types that C has."""
    if axes.computed(node, 1, graph.constants):
        return "its axes must be constant"
    x = graph.type(node.inputs[0])
    return None if x.dtype.name in CTYPES else f"the element type of {x} is not compiled"


def _channels_last(node: Node, builder: Builder) -> tuple[Node, tuple[int, ...]] | None:
    if not node.attrs.get("keepdims", 1):
        return None
    rank = len(builder.graph.type(node.inputs[0]).shape)
    reduced = reduced_axes(node, rank, builder.constants)
    if len(reduced) in (0, rank):
        return node, (0,)
    moved = np.array(sorted(axes.last(a, rank) for a in reduced), np.int64)
    attrs = {k: v for k, v in node.attrs.items() if k != "axes"}
    return axes.permuted_constant(builder, Node(node.op, node.name, node.inputs[:1], node.outputs, attrs), 1, moved,
                                  "axes"), (0,)  # fmt: skip


OPERATORS = tuple(Operator(op, lower, check, channels_last=ChannelsLast(_channels_last)) for op in reduce.KINDS)
