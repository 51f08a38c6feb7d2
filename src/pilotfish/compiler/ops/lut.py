"""pf.Lut: int8 through a table of 256 entries, one for each byte: any function of one quantized operand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.kernels import lut8
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import ChannelsLast, Operator


def lower(node: Node, low: Lowering) -> None:
    """One kernel call over rows."""
    x, table, y = low.view(node.inputs[0]), low.view(node.inputs[1]), low.out(node.outputs[0])
    args = lut8.args(y.type.shape or (1,), x.strides or (1,), y.strides or (1,))
    low.call(node, "lut8", args, [x, y, table], inplace=((0, 1),))


def meaning(_node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The table's entry for the bits of each element."""
    x, table = (np.asarray(i) for i in inputs)
    return [table[x.view(np.uint8)]]


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node, (0,)


OPERATORS = (Operator("pf.Lut", lower, meaning=meaning, channels_last=ChannelsLast(_channels_last), strided=True),)
