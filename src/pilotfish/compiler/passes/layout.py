"""Channels last inside: convolutions ask for N…C, what lies between follows, transposes stay only at the edges.

A value may be needed in both layouts; each is made at most once, when first asked for, so that pairs of
transposes never arise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.ops.conv import FIRST_CHANNELS, plan
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, operators
from pilotfish.compiler.targets import Target


def to_channels_last(graph: Graph, target: Target) -> Graph:
    """Rewrite every operator that prefers it, and those that follow, to channels-last tensors."""
    return _Layout(graph, target).run()


def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], *shape[2:], shape[1])


class _Layout:
    def __init__(self, graph: Graph, target: Target) -> None:
        self.graph, self.target = graph, target
        self.builder = Builder(graph)
        self.last: dict[str, str] = {}  # value → its channels-last twin
        self.first: dict[str, str] = {}  # value → itself, once it exists in ONNX's layout
        self.producers = graph.producers()

    def run(self) -> Graph:
        table = operators()
        for value in (*self.graph.inputs, *self.graph.constants):
            self.first[value] = value
        for node in self.graph.nodes:
            rule = table[node.op].channels_last
            if rule is None or not self.rewritten(node, rule):
                self.builder.add(replace(node, inputs=tuple(self.plain(i) for i in node.inputs)))
                self.first.update({o: o for o in node.outputs if o})
        for output in self.graph.outputs:
            self.plain(output)
        return self.builder.finish()

    def rewritten(self, node: Node, rule: ChannelsLast) -> bool:
        out = self.graph.type(node.outputs[0])
        rank = len(out.shape)
        if rank not in (3, 4):
            return False
        if not rule.prefers and not any(i in self.last for i in node.inputs):
            return False
        if node.op == "Conv" and self.first_layer(node):
            return True
        found = rule.rewrite(node, self.builder)
        if found is None:
            return False
        changed, permuted = found
        inputs = list(changed.inputs)
        if any(inputs[n] and len(self.builder.types[inputs[n]].shape) > rank for n in permuted):
            return False
        for n in permuted:
            if inputs[n]:
                inputs[n] = self.channels_last(inputs[n], rank)
        self.emit(replace(changed, inputs=tuple(inputs)))
        return True

    def emit(self, node: Node) -> None:
        """Add a channels-last node; its outputs get new names, the old ones are made when asked for."""
        outputs = []
        for output in node.outputs:
            if not output:
                outputs.append("")
                continue
            type_ = self.graph.type(output)
            twin = self.builder.fresh(f"{output}.last")
            self.builder.types[twin] = TensorType(type_.dtype, _last(type_.shape))
            self.last[output] = twin
            outputs.append(twin)
        self.builder.add(replace(node, outputs=tuple(outputs)))

    def first_layer(self, node: Node) -> bool:
        """A convolution of a few planes that lie channels-first: read them as they are, padded."""
        x = node.inputs[0]
        type_ = self.graph.type(x)
        if x in self.last or type_.shape[1] > FIRST_CHANNELS or type_.shape[1] == 1 or len(type_.shape) != 4:
            return False
        spatial = len(type_.shape) - 2
        pads = tuple(node.attrs.get("pads") or (0,) * (2 * spatial))
        changed = node.with_attrs(layout=CHANNELS_LAST, input_layout="NCHW", pads=(0,) * (2 * spatial))
        padded = (*type_.shape[:2], *(d + pads[i] + pads[i + spatial] for i, d in enumerate(type_.shape[2:])))
        trial = replace(
            self.graph,
            types={
                **self.graph.types,
                x: TensorType(type_.dtype, padded),
                node.outputs[0]: TensorType(type_.dtype, _last(self.graph.type(node.outputs[0]).shape)),
            },
        )
        try:
            plan(changed, trial, self.target)
        except ValueError:  # no kernel reads planes
            return False
        source = self.plain(x)
        if any(pads):
            amounts = self.builder.constant(f"{node.name}.pads", _pads_array(pads, spatial))
            source = self.builder.emit(
                "Pad",
                f"{node.name}.padded",
                [source, amounts],
                TensorType(type_.dtype, padded),
                mode="constant",
            )
        self.emit(replace(changed, inputs=(source, *node.inputs[1:])))
        return True

    def plain(self, value: str) -> str:
        """The value in ONNX's layout."""
        if not value or value in self.first or value not in self.last:
            return value
        type_ = self.graph.type(value)
        rank = len(type_.shape)
        self.builder.add(self.moved(value, self.last[value], value, (0, rank - 1, *range(1, rank - 1)), type_))
        self.first[value] = value
        return value

    def channels_last(self, value: str, rank: int) -> str:
        """The value channels-last, as an operand of rank ``rank``; smaller ranks get leading ones first."""
        if value in self.last and len(self.graph.type(value).shape) == rank:
            return self.last[value]
        constant = self.builder.constants.get(value)
        type_ = self.builder.types[value]
        shape = (1,) * (rank - len(type_.shape)) + type_.shape
        perm = (0, *range(2, rank), 1)
        if constant is not None:
            if constant.size == 1:
                return value
            return self.builder.constant(f"{value}.last", constant.reshape(shape).transpose(perm).copy())
        source = self.plain(value)
        if shape != type_.shape:
            source = self.builder.emit("Reshape", f"{value}.rank{rank}", [source], TensorType(type_.dtype, shape))
        twin = self.builder.fresh(f"{value}.last")
        moved = TensorType(type_.dtype, _last(shape))
        self.builder.add(self.moved(twin, source, twin, perm, moved), moved)
        if shape == type_.shape:
            self.last[value] = twin
        return twin

    def moved(self, name: str, source: str, out: str, perm: tuple[int, ...], type_: TensorType) -> Node:
        """A Transpose, or a Reshape if only dimensions of size one move."""
        before = self.builder.types[source].shape
        kept = [p for p in perm if before[p] != 1]
        node_name = f"{name}.layout"
        if kept == sorted(kept):
            return Node("Reshape", node_name, (source,), (out,))
        return Node("Transpose", node_name, (source,), (out,), {"perm": perm})


def _pads_array(pads: tuple[int, ...], spatial: int) -> Array:
    return np.array((0, 0, *pads[:spatial], 0, 0, *pads[spatial:]), np.int64)
