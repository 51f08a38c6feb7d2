"""Half precision: float32 inside a graph becomes float16, in memory and in arithmetic, wherever there is a form for it.

The graph's inputs and outputs stay as they are. Elementwise loops read and write either type, so conversions disappear
in them; other conversions are loops of their own. What has no float16 form runs in float32, and a note says so. Weights
are rounded to the nearest float16.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.ops.conv import plan
from pilotfish.compiler.ops.expressions import expression
from pilotfish.compiler.ops.pool import FAMILIES as POOLS
from pilotfish.compiler.ops.registry import CHANNELS_LAST
from pilotfish.compiler.targets import Target

_F32, _F16 = np.dtype(np.float32), np.dtype(np.float16)
_LARGEST = float(np.finfo(np.float16).max)
MOVING = frozenset({
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose", "Concat", "Split", "Slice", "Pad", "Expand",
    "Tile", "DepthToSpace", "SpaceToDepth", "pf.Shuffle",
})  # fmt: skip
"""Operators that only move elements: they take the type that their inputs have."""
_INTEGER = ("pf.Q", "pf.Dequantize", "pf.Requantize")


def to_half(graph: Graph, target: Target) -> Graph:
    """Rewrite the graph; to be run after layout and fusion, before algorithms are chosen."""
    return _Half(graph, target).run()


class _Half:
    def __init__(self, graph: Graph, target: Target) -> None:
        self.graph, self.target = graph, target
        self.builder = Builder(graph)
        self.consumers = graph.consumers()
        self.halves: dict[str, str] = {}  # float32 value → its float16 twin
        self.singles: set[str] = {*graph.inputs, *graph.constants}  # values that exist as they were

    def run(self) -> Graph:
        for node in self.graph.nodes:
            found = expression(node, self.graph)
            if found is not None and not self.integers(node):
                loop = Node("pf.Elementwise", node.name, found.inputs, node.outputs, {"body": found.body})
                self.elementwise(loop)
            elif node.op in MOVING:
                self.moving(node)
            elif (why := self.obstacle(node)) is None:
                self.emit(node, tuple(self.half(i) for i in node.inputs))
            else:
                self.single(node, why)
        for output in self.graph.outputs:
            self.full(output)
        return self.builder.finish()

    # Nodes

    def obstacle(self, node: Node) -> str | None:
        """Why a node has no float16 form; empty if float32 has no part in it."""
        floats = [v for v in (*node.inputs, *node.outputs) if v and self.graph.type(v).dtype == _F32]
        if not floats:
            return ""
        if node.op == "Conv" and node.attrs.get("layout") == CHANNELS_LAST:
            why = None if self.plannable(node) else "no float16 kernel fits"
        elif (node.op in POOLS and node.attrs.get("layout") == CHANNELS_LAST) or node.op in ("pf.Linear", "MatMul"):
            why = None
        else:
            return "it has no float16 form"
        return why or self.overflow(node)

    def overflow(self, node: Node) -> str | None:
        """Constants must not become infinite."""
        for value in node.inputs:
            constant = self.graph.constants.get(value)
            if constant is not None and constant.dtype == _F32:
                finite = constant[np.isfinite(constant)]
                if np.abs(finite).max(initial=0) > _LARGEST:
                    return f"{value} has values beyond float16's largest, {_LARGEST:.0f}"
        return None

    def plannable(self, node: Node) -> bool:
        """Whether the kernel table has a way to run a convolution in float16."""
        values = [v for v in (*node.inputs, *node.outputs) if v]
        types = {v: replace(self.graph.type(v), dtype=_F16) for v in values}
        trial = replace(self.graph, types={**self.graph.types, **types})
        try:
            plan(node, trial, self.target)
        except ValueError:
            return False
        return True

    def integers(self, node: Node) -> bool:
        """Whether a node makes or takes no float32 at all."""
        return not any(v and self.graph.type(v).dtype == _F32 for v in (*node.inputs, *node.outputs))

    def wants_half(self, value: str) -> bool:
        """Whether some reader of a value takes it as float16."""
        return any(
            self.wants_half(node.outputs[0])
            if node.op in MOVING
            else expression(node, self.graph) is not None or self.obstacle(node) is None
            for node in self.consumers.get(value, [])
        )

    def elementwise(self, node: Node) -> None:
        """Inputs in whichever type they are; constants and the output as float16, if anybody wants that."""
        if not node.attrs["body"] and self.conversion(node):
            return
        inputs = []
        for value in node.inputs:
            constant = self.graph.constants.get(value)
            usable = constant is not None and constant.dtype == _F32 and self.overflow(node) is None
            inputs.append(self.halves.get(value) or (self.half(value) if usable else value))
        if self.graph.type(node.outputs[0]).dtype == _F32 and self.wants_half(node.outputs[0]):
            self.emit(node, tuple(inputs))
        else:
            self.builder.add(replace(node, inputs=tuple(inputs)))
            self.singles.update(node.outputs)

    def conversion(self, node: Node) -> bool:
        """A conversion that does nothing, since the value is there in that type already."""
        (value,), (output,) = node.inputs, node.outputs
        if self.graph.type(value).dtype == _F16 and self.graph.type(output).dtype == _F32:
            self.halves[output] = value
            return True
        if value in self.halves and self.graph.type(output).dtype == _F16:
            self.builder.add(Node("Reshape", node.name, (self.halves[value],), (output,)))
            self.singles.add(output)
            return True
        return False

    def moving(self, node: Node) -> None:
        """As float16 if one of the inputs is so already, or some reader wants it."""
        floats = self.graph.type(node.inputs[0]).dtype == _F32
        there = any(i in self.halves and i not in self.graph.constants for i in node.inputs)
        if floats and (there or any(self.wants_half(o) for o in node.outputs if o)):
            data = node.inputs if node.op == "Concat" else node.inputs[:1]
            border = node.inputs[2:3] if node.op == "Pad" else ()
            self.emit(node, tuple(self.half(i) if i in (*data, *border) else i for i in node.inputs))
        else:
            self.builder.add(node)
            self.singles.update(filter(None, node.outputs))

    def single(self, node: Node, why: str) -> None:
        """As it was; a note tells which and why."""
        inputs = tuple(self.full(i) for i in node.inputs)
        noted = why and not node.op.startswith(_INTEGER)
        attrs = {"note": f"{node.op} runs in float32: {why}"} if noted else {}
        self.builder.add(replace(node, inputs=inputs).with_attrs(**attrs))
        self.singles.update(filter(None, node.outputs))

    def emit(self, node: Node, inputs: tuple[str, ...]) -> None:
        """Add the node with float16 outputs, under names of their own."""
        outputs = []
        for output in node.outputs:
            type_ = self.graph.type(output) if output else None
            if type_ is None or type_.dtype != _F32:
                outputs.append(output)
                self.singles.add(output)
                continue
            twin = self.builder.fresh(f"{output}.half")
            self.builder.types[twin] = replace(type_, dtype=_F16)
            self.halves[output] = twin
            outputs.append(twin)
        self.builder.add(replace(node, inputs=inputs, outputs=tuple(outputs)))

    # Values

    def half(self, value: str) -> str:
        """The float16 twin of a float32 value; any other value itself."""
        if not value or self.graph.type(value).dtype != _F32:
            return value
        if value not in self.halves:
            constant = self.graph.constants.get(value)
            if constant is not None:
                self.halves[value] = self.builder.constant(f"{value}.half", constant.astype(_F16))
            else:
                type_ = replace(self.graph.type(value), dtype=_F16)
                self.halves[value] = self.convert(value, f"{value}.half", type_)
        return self.halves[value]

    def full(self, value: str) -> str:
        """A value as it was, made out of its twin where only that is there."""
        if value and value not in self.singles:
            node = Node("pf.Elementwise", f"{value}.full", (self.halves[value],), (value,), {"body": ()})
            self.builder.add(node, self.graph.type(value))
            self.singles.add(value)
        return value

    def convert(self, value: str, stem: str, type_: TensorType) -> str:
        """A copy of a value in another type."""
        return self.builder.emit("pf.Elementwise", stem, [value], type_, body=())
