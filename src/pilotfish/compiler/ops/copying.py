"""Strided copies: what moving operators (Transpose, Slice, Concat, Expand, …) lower to."""

from __future__ import annotations

from collections.abc import Sequence

from pilotfish.compiler.graph import Node
from pilotfish.compiler.kernels import copy as copy_kernel
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.ops.lowering import Lowering

FAMILIES = {1: "copy8", 4: "copy32", 8: "copy64"}
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
    args = copy_kernel.args(dims, x_strides, y_strides, lanes=low.target.lanes)
    low.call(node, FAMILIES[x.type.dtype.itemsize], args, [x, y])
