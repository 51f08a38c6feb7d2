"""pf.QBinary: sum, difference and product of two int8 tensors, each with its own scale; one may repeat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Node, TensorType
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.kernels import qadd, table
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues
from pilotfish.compiler.ops import copying
from pilotfish.compiler.ops.loops import Nest, broadcast_strides, replaceable
from pilotfish.compiler.ops.lowering import Lowering, dense_strides, view_of
from pilotfish.compiler.ops.registry import ChannelsLast, Operator


def _args(node: Node, dims: tuple[int, ...], *strides: tuple[int, ...]) -> ArgValues:
    a = node.attrs
    pairs = {side: (a[f"{side}_scale"], a[f"{side}_zero"]) for side in "aby"}
    return qadd.args(a["kind"], dims or (1,), *(s or (1,) for s in strides), **pairs, clamp=(a["low"], a["high"]))


def _family(node: Node) -> str:
    return "qmul" if node.attrs["kind"] == "mul" else "qadd"


def lower(node: Node, low: Lowering) -> None:
    """One kernel call over rows; what repeats along rows is written out first."""
    y = low.out(node.outputs[0])
    inputs = [low.view(i) for i in node.inputs]
    nest = Nest.over(y.type.shape, [*inputs, y])
    a, b = (_repeated(node, low, v, y) if s[-1] == 0 else v for v, s in zip(inputs, nest.strides, strict=False))
    args = _args(node, y.type.shape, *(broadcast_strides(v, y.type.shape) for v in (a, b)), y.strides)
    low.call(node, _family(node), args, [a, b, y], inplace=replaceable([a, b], y))


def _repeated(node: Node, low: Lowering, x: View, y: View) -> View:
    """The operand in the shape of the output: kernels read contiguous rows."""
    shape = y.type.shape
    made = view_of(low.scratch(node, y.type.size).buffer, TensorType(x.type.dtype, shape))
    copying.copy(node, low, x, made, shape, broadcast_strides(x, shape), made.strides)
    return made


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The kernel's own meaning, on dense arrays."""
    a, b = (np.ascontiguousarray(i) for i in np.broadcast_arrays(*(np.asarray(i) for i in inputs)))
    args = _args(node, a.shape, *(dense_strides(a.shape),) * 3)
    row = next(k for k in table.kernels().values() if k.family == _family(node))
    made = row.meaning(args, [a.ravel(), b.ravel(), np.zeros(a.size, np.int8)])[2]
    return [made.reshape(a.shape)]


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node, (0, 1)


OPERATORS = (Operator("pf.QBinary", lower, meaning=meaning, channels_last=ChannelsLast(_channels_last), strided=True),)
