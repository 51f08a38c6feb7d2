"""pf.Shuffle: channels in ``groups`` rows, read by columns. ``passes/shuffle.py`` finds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops import copying
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator


def _axis(node: Node, rank: int) -> int:
    return rank - 1 if node.attrs.get("layout") == CHANNELS_LAST else 1


def lower(node: Node, low: Lowering) -> None:
    """One copy; the channel axis is two loops."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    shape, groups = x.type.shape, node.attrs["groups"]
    axis = _axis(node, len(shape))
    members = shape[axis] // groups

    def around(strides: tuple[int, ...], two: tuple[int, int]) -> list[int]:
        return [*strides[:axis], *two, *strides[axis + 1 :]]

    sides = (
        around(shape, (groups, members)),
        around(x.strides, (members * x.strides[axis], x.strides[axis])),
        around(y.strides, (y.strides[axis], groups * y.strides[axis])),
    )
    copying.copy(node, low, x, y, *sides)


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """Reshape, swap, reshape."""
    x = np.asarray(inputs[0])
    axis, groups = _axis(node, x.ndim), node.attrs["groups"]
    split = x.reshape(*x.shape[:axis], groups, -1, *x.shape[axis + 1 :])
    return [np.swapaxes(split, axis, axis + 1).reshape(x.shape)]


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


OPERATORS = (Operator("pf.Shuffle", lower, meaning=meaning, channels_last=ChannelsLast(_channels_last), strided=True),)
