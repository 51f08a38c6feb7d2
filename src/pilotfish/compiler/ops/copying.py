"""Strided copies: what moving operators (Transpose, Slice, Concat, Expand, …) lower to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Node, TensorType
from pilotfish.compiler.kernels import copy as copy_kernel
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops.lowering import Lowering

FAMILIES = {1: "copy8", 2: "copy16", 4: "copy32", 8: "copy64"}
"""Copy kernels by element size in bytes."""


def copy(
    node: Node,
    low: Lowering,
    x: View,
    y: View,
    dims: Sequence[int],
    x_strides: Sequence[int],
    y_strides: Sequence[int],
) -> None:
    """Emit ``y[i·y_strides] = x[i·x_strides]`` for all ``i`` below ``dims``; a stride of 0 repeats an element."""
    if 0 in dims:
        return
    if len(copy_kernel.collapse(dims, x_strides, y_strides)) > copy_kernel.RANK:
        for i in range(dims[0]):  # more dimensions than the kernels walk: one copy for each index of the first
            copy(
                node, low, _moved(x, i * x_strides[0]), _moved(y, i * y_strides[0]), dims[1:], x_strides[1:],
                y_strides[1:],
            )  # fmt: skip
        return
    args = copy_kernel.args(dims, x_strides, y_strides, lanes=max(low.target.lanes, 1))
    low.call(node, FAMILIES[x.type.dtype.itemsize], args, [x, y])


def _moved(view: View, elements: int) -> View:
    return replace(view, offset=view.offset + elements)


def part(view: View, starts: Sequence[int], shape: Sequence[int], steps: Sequence[int] | None = None) -> View:
    """The part of a view that begins at ``starts``, with those sizes; ``steps`` may be negative."""
    steps = steps or (1,) * len(shape)
    offset = view.offset + sum(s * stride for s, stride in zip(starts, view.strides, strict=True))
    strides = tuple(s * stride for s, stride in zip(steps, view.strides, strict=True))
    return View(view.buffer, TensorType(view.type.dtype, tuple(shape)), strides, offset)


def copy_part(node: Node, low: Lowering, x: View, y: View) -> None:
    """Copy between views of the same shape."""
    copy(node, low, x, y, y.type.shape, x.strides, y.strides)


def give(node: Node, low: Lowering, source: View, output: str) -> None:
    """Make ``output`` be that part of a tensor: no code where it can lie there, else a copy."""
    type_ = low.type(output)
    if source.contiguous and type_ == source.type and output not in low.graph.outputs:
        low.alias(output, source)
    else:
        copy_part(node, low, source, low.out(output))


def fill(node: Node, low: Lowering, value: Array | View, y: View) -> None:
    """Set all elements of a view to one value, a constant or an element in memory."""
    source = value if isinstance(value, View) else low.weights(np.asarray(value, y.type.dtype).reshape(1))
    copy(node, low, source, y, y.type.shape, (0,) * len(y.type.shape), y.strides)


def runs(indices: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """A list of indices as runs of constant step: (position, first index, step, length)."""
    found: list[tuple[int, int, int, int]] = []
    for position, index in enumerate(indices):
        if found:
            at, first, step, length = found[-1]
            if length == 1 or first + step * length == index:
                found[-1] = (at, first, index - first if length == 1 else step, length + 1)
                continue
        found.append((position, index, 0, 1))
    return found
