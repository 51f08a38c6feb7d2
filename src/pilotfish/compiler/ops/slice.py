"""Slice with constant bounds: a strided copy, or no code where the part lies in one piece."""

from __future__ import annotations

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.ops import axes, copying
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import ChannelsLast, Operator


def bounds(node: Node, shape: tuple[int, ...], constants: axes.Constants) -> list[slice]:
    """A slice for each axis, as Python's, which clamps like ONNX's."""
    starts, ends = axes.integers(node, 1, constants), axes.integers(node, 2, constants)
    if starts is None or ends is None:
        raise AssertionError("checked: constant")
    which = axes.integers(node, 3, constants) or tuple(range(len(starts)))
    steps = axes.integers(node, 4, constants) or (1,) * len(starts)
    slices = [slice(None)] * len(shape)
    for axis, start, end, step in zip(which, starts, ends, steps, strict=True):
        size = shape[axis]
        stop: int | None = end
        if step < 0 and end < -size:  # before the first element, which Python cannot say with a number
            stop = None
        slices[axis] = slice(start, stop, step)
    return slices


def lower(node: Node, low: Lowering) -> None:
    """Start, size and step of each axis are a view of the input."""
    x = low.view(node.inputs[0])
    ranges = [
        range(size)[s] for size, s in zip(x.type.shape, bounds(node, x.type.shape, low.graph.constants), strict=True)
    ]
    source = copying.part(x, [r.start for r in ranges], [len(r) for r in ranges], [r.step for r in ranges])
    copying.give(node, low, source, node.outputs[0])


def check(node: Node, graph: Graph) -> str | None:
    """Everything but the data must be known when compiling."""
    if any(axes.computed(node, i, graph.constants) for i in range(1, 5)):
        return "its starts, ends, axes and steps must be constant"
    return None


def _channels_last(node: Node, builder: Builder) -> tuple[Node, tuple[int, ...]]:
    rank = len(builder.graph.type(node.inputs[0]).shape)
    starts = axes.integers(node, 1, builder.constants) or ()
    which = axes.integers(node, 3, builder.constants) or tuple(range(len(starts)))
    moved = np.array([axes.last(a, rank) for a in which], np.int64)
    return axes.permuted_constant(builder, node, 3, moved, "axes"), (0,)


OPERATORS = (Operator("Slice", lower, check, channels_last=ChannelsLast(_channels_last), strided=True),)
