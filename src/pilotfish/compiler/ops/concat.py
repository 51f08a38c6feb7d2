"""Concat and Split along one axis: copies to or from parts of a tensor; no code where memory can be shared."""

from __future__ import annotations

from itertools import accumulate

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.ops import axes, copying
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import ChannelsLast, Operator


def lower_concat(node: Node, low: Lowering) -> None:
    """One copy for each input."""
    out = low.out(node.outputs[0])
    axis = axes.axis(node.attrs["axis"], len(out.type.shape))
    at = 0
    for value in node.inputs:
        x = low.view(value)
        starts = [0] * len(out.type.shape)
        starts[axis] = at
        copying.copy_part(node, low, x, copying.part(out, starts, x.type.shape))
        at += x.type.shape[axis]


def lower_split(node: Node, low: Lowering) -> None:
    """One copy, or none, for each output."""
    x = low.view(node.inputs[0])
    axis = axes.axis(node.attrs.get("axis", 0), len(x.type.shape))
    sizes = [low.type(o).shape[axis] for o in node.outputs]
    for output, at in zip(node.outputs, accumulate([0, *sizes]), strict=False):
        starts = [0] * len(x.type.shape)
        starts[axis] = at
        copying.give(node, low, copying.part(x, starts, low.type(output).shape), output)


def check_split(node: Node, graph: Graph) -> str | None:
    """The sizes must be known when compiling."""
    return "its split sizes must be constant" if axes.computed(node, 1, graph.constants) else None


def _concat_last(node: Node, builder: Builder) -> tuple[Node, tuple[int, ...]]:
    rank = len(builder.graph.type(node.outputs[0]).shape)
    return node.with_attrs(axis=axes.last(node.attrs["axis"], rank)), tuple(range(len(node.inputs)))


def _split_last(node: Node, builder: Builder) -> tuple[Node, tuple[int, ...]]:
    rank = len(builder.graph.type(node.inputs[0]).shape)
    return node.with_attrs(axis=axes.last(node.attrs.get("axis", 0), rank)), (0,)


OPERATORS = (
    Operator("Concat", lower_concat, channels_last=ChannelsLast(_concat_last), strided=True),
    Operator("Split", lower_split, check_split, channels_last=ChannelsLast(_split_last), strided=True),
)
