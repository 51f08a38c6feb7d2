"""Per-channel scaling that follows a convolution or product is folded into its weights and bias."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Array, Builder

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "pf.Linear"})


def fold_affine(graph: Graph) -> Graph:
    """Fold BatchNormalization, and Mul or Add of per-channel constants, into the weights before it.

    Done only where the producer's output has no other reader and no clamp. Computed in float64.
    """
    while True:
        found = next(_candidates(graph), None)
        if found is None:
            return graph
        graph = _fold(graph, *found)


def _candidates(graph: Graph) -> Iterator[tuple[Node, Node, Array, Array]]:
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes:
        for value in node.inputs[:2]:
            maker = producers.get(value)
            if maker is None or maker.op not in _WEIGHTED or "clamp" in maker.attrs or value in graph.outputs:
                continue
            if len(consumers[value]) != 1 or any(i and i not in graph.constants for i in maker.inputs[1:]):
                continue
            rank = len(graph.type(value).shape)
            affine = _affine(node, value, rank - 1 if maker.op == "pf.Linear" else 1, graph)
            if affine is not None:
                yield maker, node, *affine


def _affine(node: Node, value: str, channel_axis: int, graph: Graph) -> tuple[Array, Array] | None:
    """(scale, shift) per channel, in float64, if the node is such a map of ``value``."""
    rank = len(graph.type(value).shape)
    channels = graph.type(value).shape[channel_axis]
    if node.op == "BatchNormalization" and value == node.inputs[0] and channel_axis == 1:
        arrays = [graph.constants.get(i) for i in node.inputs[1:5]]
        if any(a is None for a in arrays) or node.attrs.get("training_mode"):
            return None
        scale, shift, mean, variance = (np.asarray(a, np.float64) for a in arrays)
        factor = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
        return factor, shift - mean * factor
    if node.op not in ("Mul", "Add") or graph.type(node.outputs[0]) != graph.type(value):
        return None
    constant = graph.constants.get(node.inputs[1] if node.inputs[0] == value else node.inputs[0])
    if constant is None or constant.dtype != np.float32:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if any(d != 1 for axis, d in enumerate(shape) if axis != channel_axis):
        return None
    row = np.broadcast_to(np.asarray(constant, np.float64).reshape(-1), (channels,))
    return (row, np.zeros(channels)) if node.op == "Mul" else (np.ones(channels), row)


def _fold(graph: Graph, maker: Node, node: Node, scale: Array, shift: Array) -> Graph:
    builder = Builder(graph)
    weights = np.asarray(graph.constants[maker.inputs[1]], np.float64)
    has_bias = len(maker.inputs) > 2 and maker.inputs[2]
    bias = np.asarray(graph.constants[maker.inputs[2]], np.float64) if has_bias else np.zeros(len(scale))
    if maker.op == "Conv":
        weights = weights * scale.reshape(-1, *(1,) * (weights.ndim - 1))
    elif maker.op == "ConvTranspose":  # [groups * depth, columns of a group, taps...]
        groups = int(maker.attrs.get("group", 1))
        split = weights.reshape(groups, -1, *weights.shape[1:])
        weights = (split * scale.reshape(groups, 1, -1, *(1,) * (weights.ndim - 2))).reshape(weights.shape)
    else:
        weights = weights * scale
    w = builder.constant(f"{maker.name}.w", weights.astype(np.float32))
    b = builder.constant(f"{maker.name}.b", (bias * scale + shift).astype(np.float32))
    for each in graph.nodes:
        if each is maker:
            builder.add(replace(maker, inputs=(maker.inputs[0], w, b), outputs=node.outputs[:1]))
        elif each is not node:
            builder.add(each)
    return builder.finish()
