"""Axes of nodes: counted from the front, taken from attributes or constant inputs, moved to channels-last."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops.registry import ChannelsLast

Constants = Mapping[str, Array]


def axis(value: int, rank: int) -> int:
    """An axis counted from the front."""
    return value % rank if rank else 0


def last(value: int, rank: int) -> int:
    """Where an axis of N C spatial… lies in N spatial… C."""
    value = axis(value, rank)
    return value if value == 0 else rank - 1 if value == 1 else value - 1


def constant_input(node: Node, index: int, constants: Constants) -> Array | None:
    """The constant that is input number ``index``; None if it is absent or not constant."""
    return constants.get(node.inputs[index]) if len(node.inputs) > index and node.inputs[index] else None


def integers(node: Node, index: int, constants: Constants) -> tuple[int, ...] | None:
    """A constant input as numbers."""
    array = constant_input(node, index, constants)
    return None if array is None else tuple(int(v) for v in array.ravel())


def computed(node: Node, index: int, constants: Constants) -> bool:
    """Whether an input is there and known at run time only."""
    return len(node.inputs) > index and bool(node.inputs[index]) and node.inputs[index] not in constants


def moved_attribute(default: int | None = None) -> ChannelsLast:
    """Channels-last form of an operator with an ``axis`` attribute; all of its float inputs are permuted."""

    def rewrite(node: Node, builder: Builder) -> tuple[Node, tuple[int, ...]] | None:
        value = node.attrs.get("axis", default)
        if value is None:
            return None
        rank = len(builder.graph.type(node.inputs[0]).shape)
        same = [i for i, v in enumerate(node.inputs) if v and len(builder.graph.type(v).shape) == rank]
        return node.with_attrs(axis=last(value, rank)), tuple(same)

    return ChannelsLast(rewrite)


def permuted_constant(builder: Builder, node: Node, index: int, per_axis: Array, stem: str) -> Node:
    """The node with input ``index`` replaced by a constant."""
    name = builder.constant(f"{node.name}.{stem}", np.asarray(per_axis, np.int64))
    inputs = list(node.inputs) + [""] * (index + 1 - len(node.inputs))
    inputs[index] = name
    return Node(node.op, node.name, tuple(inputs), node.outputs, node.attrs)
