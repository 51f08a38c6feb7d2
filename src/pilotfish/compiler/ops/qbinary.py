"""pf.QBinary: sum, difference and product of two int8 tensors of one shape, each with its own scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.kernels import qadd, table
from pilotfish.compiler.kernels.table import ArgValues
from pilotfish.compiler.ops.lowering import Lowering, dense_strides
from pilotfish.compiler.ops.registry import ChannelsLast, Operator


def _args(node: Node, dims: tuple[int, ...], *strides: tuple[int, ...]) -> ArgValues:
    a = node.attrs
    pairs = {side: (a[f"{side}_scale"], a[f"{side}_zero"]) for side in "aby"}
    return qadd.args(a["kind"], dims or (1,), *(s or (1,) for s in strides), **pairs, clamp=(a["low"], a["high"]))


def _family(node: Node) -> str:
    return "qmul" if node.attrs["kind"] == "mul" else "qadd"


def lower(node: Node, low: Lowering) -> None:
    """One kernel call over rows."""
    a, b = (low.view(i) for i in node.inputs)
    y = low.out(node.outputs[0])
    args = _args(node, y.type.shape, a.strides, b.strides, y.strides)
    low.call(node, _family(node), args, [a, b, y], inplace=((0, 2), (1, 2)))


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The kernel's own meaning, on dense arrays."""
    a, b = (np.ascontiguousarray(i) for i in inputs)
    args = _args(node, a.shape, *(dense_strides(a.shape),) * 3)
    row = next(k for k in table.kernels().values() if k.family == _family(node))
    made = row.meaning(args, [a.ravel(), b.ravel(), np.zeros(a.size, np.int8)])[2]
    return [made.reshape(a.shape)]


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node, (0, 1)


OPERATORS = (Operator("pf.QBinary", lower, meaning=meaning, channels_last=ChannelsLast(_channels_last), strided=True),)
