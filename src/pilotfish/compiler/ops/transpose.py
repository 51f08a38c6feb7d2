"""Transpose and Identity: strided copies of a whole tensor."""

from __future__ import annotations

from pilotfish.compiler.graph import Node
from pilotfish.compiler.ops import copying
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def permutation(node: Node, rank: int) -> tuple[int, ...]:
    """The permutation of a Transpose node; reversed axes by default."""
    return tuple(node.attrs.get("perm") or range(rank - 1, -1, -1))


def lower_transpose(node: Node, low: Lowering) -> None:
    """Walk the output in order, the input by permuted strides."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    perm = permutation(node, len(x.type.shape))
    copying.copy(node, low, x, y, y.type.shape, [x.strides[p] for p in perm], y.strides)


def lower_identity(node: Node, low: Lowering) -> None:
    """A copy: only where the graph needs the value in two places. Also fills a halo'd copy of a tensor."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    copying.copy(node, low, x, y, x.type.shape, x.strides, y.strides)


OPERATORS = (
    Operator("Transpose", lower_transpose, strided=True),
    Operator("Identity", lower_identity, strided=True),
)
