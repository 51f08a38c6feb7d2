"""Pad in all modes: a copy of the inside, then copies that fill the border. Negative pads crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops import axes, copying
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import ChannelsLast, Operator

_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def amounts(node: Node, rank: int, constants: axes.Constants) -> list[tuple[int, int]]:
    """(before, after) of each axis."""
    flat = axes.integers(node, 1, constants)
    if flat is None:
        raise AssertionError("checked: constant")
    which = axes.integers(node, 3, constants) or tuple(range(rank))
    pads = [(0, 0)] * rank
    for i, axis in enumerate(which):
        pads[axis] = (flat[i], flat[i + len(which)])
    return pads


def lower(node: Node, low: Lowering) -> None:
    """By the node's mode."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    pads = amounts(node, len(x.type.shape), low.graph.constants)
    mode = node.attrs.get("mode", "constant")
    cropped = [max(-before, 0) for before, _ in pads]
    kept = [n + min(before, 0) + min(after, 0) for n, (before, after) in zip(x.type.shape, pads, strict=True)]
    inside = [max(before, 0) for before, _ in pads]
    if mode == "constant" and any(before > 0 or after > 0 for before, after in pads):
        copying.fill(node, low, _value(node, low, y), y)
    if all(n > 0 for n in kept):
        copying.copy_part(node, low, copying.part(x, cropped, kept), copying.part(y, inside, kept))
    if mode != "constant":
        _border(node, low, y, pads, kept, inside, _MODES[mode])


def _value(node: Node, low: Lowering, y: View) -> Array | View:
    if axes.computed(node, 2, low.graph.constants):
        return low.view(node.inputs[2])
    constant = axes.constant_input(node, 2, low.graph.constants)
    return np.zeros(1, y.type.dtype) if constant is None else constant


def _border(
    node: Node, low: Lowering, y: View, pads: list[tuple[int, int]], kept: list[int], inside: list[int], mode: str
) -> None:
    """Axis by axis, from what is there: along each, the border is a few runs of the inside's indices."""
    starts, sizes = list(inside), list(kept)
    for axis, pad in enumerate(pads):
        before, after = (max(p, 0) for p in pad)
        if not (before or after):
            continue
        picked = np.pad(np.arange(kept[axis]), (before, after), mode)  # type: ignore[call-overload]
        for place, part in ((0, picked[:before]), (before + kept[axis], picked[before + kept[axis] :])):
            for position, first, step, length in copying.runs([int(i) for i in part]):
                to, size = list(starts), list(sizes)
                to[axis], size[axis] = place + position, length
                at, steps = list(starts), [1] * len(starts)
                at[axis], steps[axis] = before + first, step
                copying.copy_part(node, low, copying.part(y, at, size, steps), copying.part(y, to, size))
        starts[axis], sizes[axis] = 0, y.type.shape[axis]


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """``numpy.pad``, after cropping by what is negative. (ONNX's evaluator takes no negative pads.)"""
    x, flat, value, which = (np.asarray(i) if i is not None else None for i in [*inputs, None, None, None][:4])
    if x is None or flat is None:
        raise AssertionError("Pad has data and pads")
    chosen = range(x.ndim) if which is None else which.tolist()
    pads = [(0, 0)] * x.ndim
    for i, axis in enumerate(chosen):
        pads[axis] = (int(flat[i]), int(flat[i + len(chosen)]))
    x = x[tuple(slice(max(-b, 0), size - max(-a, 0)) for size, (b, a) in zip(x.shape, pads, strict=True))]
    wide = [(max(b, 0), max(a, 0)) for b, a in pads]
    mode = node.attrs.get("mode", "constant")
    if mode == "constant":
        return [np.pad(x, wide, constant_values=0 if value is None else value.item())]
    return [np.pad(x, wide, mode=mode)]


def check(node: Node, graph: Graph) -> str | None:
    """Constant pads and axes; a border needs something to be made of."""
    if axes.computed(node, 1, graph.constants) or axes.computed(node, 3, graph.constants):
        return "its pads and axes must be constant"
    mode = node.attrs.get("mode", "constant")
    if mode != "constant" and mode not in _MODES:
        return f"the mode {mode!r} is not compiled"
    if mode != "constant" and 0 in graph.type(node.inputs[0]).shape:
        return f"an empty tensor cannot be padded in mode {mode!r}"
    return None


def _channels_last(node: Node, builder: Builder) -> tuple[Node, tuple[int, ...]]:
    rank = len(builder.graph.type(node.inputs[0]).shape)
    pads = amounts(node, rank, builder.constants)
    moved = [pads[0], *pads[2:], pads[1]]
    flat = np.array([b for b, _ in moved] + [a for _, a in moved], np.int64)
    changed = axes.permuted_constant(builder, node, 1, flat, "pads")
    return Node(changed.op, changed.name, changed.inputs[:3], changed.outputs, changed.attrs), (0,)


OPERATORS = (Operator("Pad", lower, check, meaning, channels_last=ChannelsLast(_channels_last), strided=True),)
