"""What operators lower with: values become views of buffers, nodes become kernel calls."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Halo, Node, TensorType
from pilotfish.compiler.kernels import table
from pilotfish.compiler.kernels.program import Buffer, Program, Step, View
from pilotfish.compiler.kernels.table import ArgValues, Array, Kernel
from pilotfish.compiler.ops.registry import operators
from pilotfish.compiler.targets import Target
from pilotfish.errors import OperatorError

VIEW_OPS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
"""Operators whose output is their input under another shape: no code."""


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides, in elements."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def view_of(buffer: str, type_: TensorType, offset: int = 0) -> View:
    """The view of a whole tensor that fills a buffer from ``offset`` (elements), past its halo."""
    if type_.halo == Halo():
        return View(buffer, type_, dense_strides(type_.shape), offset)
    strides = dense_strides(type_.stored_shape)
    first = type_.halo.top * strides[-3] + type_.halo.left * strides[-2]
    if len(type_.shape) == 3:
        strides = (strides[0], *strides[-2:])
    return View(buffer, type_, strides, offset + first)


class Lowering:
    """Lowers one graph: operators call it to reach views, weights and scratch, and to emit steps."""

    def __init__(self, graph: Graph, target: Target) -> None:
        self.graph, self.target = graph, target
        self.steps: list[Step] = []
        self.buffers: dict[str, Buffer] = {}
        self.notes: list[str] = []
        self._grouped: dict[int, float] = {}
        self._views: dict[str, View] = {}
        self._weights: dict[str, str] = {}
        self._homes = self._output_homes()
        for index, name in enumerate(graph.inputs):
            self._views[name] = view_of(self._buffer(name, graph.type(name).nbytes, "input", index), graph.type(name))
        for index, name in enumerate(graph.outputs):
            self._buffer(name, graph.type(name).nbytes, "output", index)

    def run(self) -> Program:
        """Lower all nodes, in order."""
        table_ = operators()
        for node in self.graph.nodes:
            if note := node.attrs.get("note"):
                self.notes.append(f"{node.name}: {note}")
            table_[node.op].lower(node, self)
        if total := sum(self._grouped.values()):
            shares = ", ".join(f"{n}: {macs / total:.0%}" for n, macs in sorted(self._grouped.items(), reverse=True))
            self.notes.append(f"int8 products summed exactly in int16, share of the MACs by group size: {shares}")
        graph = self.graph
        return Program(
            graph.name,
            self.target,
            {name: graph.type(name) for name in graph.inputs},
            {name: graph.type(name) for name in graph.outputs},
            self.buffers,
            tuple(self.steps),
            tuple(self.notes),
        )

    # Values

    def type(self, value: str) -> TensorType:
        """The type of a value."""
        return self.graph.type(value)

    def constant(self, value: str) -> Array | None:
        """The value if it is a constant (or absent: None)."""
        return self.graph.constants.get(value)

    def view(self, value: str) -> View:
        """Where a value lies, for reading. A constant is put among the weights."""
        if value in self._views:
            return self._views[value]
        constant = self.graph.constants[value]
        view = self.weights(constant)
        self._views[value] = view
        return view

    def out(self, value: str) -> View:
        """Where a node is to write a value; a halo is zeroed by a step of its own."""
        type_ = self.type(value)
        if value in self.graph.outputs:
            buffer = value
        elif value in self._homes:
            buffer = self._homes[value]
        else:
            buffer = self._buffer(value, type_.nbytes, "arena")
        view = view_of(buffer, type_)
        self._views[value] = view
        if type_.halo != Halo():
            self._zero_halo(value, view)
        return view

    def alias(self, value: str, view: View) -> None:
        """Let a value be another view of memory that is already there, with its own dense shape."""
        type_ = self.type(value)
        self._views[value] = View(view.buffer, type_, dense_strides(type_.shape), view.offset)

    def weights(self, array: Array) -> View:
        """Constant memory with that content; equal contents share it."""
        array = np.ascontiguousarray(array).reshape(array.shape)  # which makes one dimension out of none
        key = hashlib.sha256(array.dtype.str.encode() + array.tobytes()).hexdigest()
        if key not in self._weights:
            name = f"w{len(self._weights)}"
            self.buffers[name] = Buffer(name, array.nbytes, "weights", data=array)
            self._weights[key] = name
        return view_of(self._weights[key], TensorType(array.dtype, array.shape))

    def scratch(self, node: Node, nbytes: int) -> View:
        """Memory that only the next step uses."""
        name = self._buffer(f"{node.name}.scratch{len(self.buffers)}", nbytes, "arena")
        return view_of(name, TensorType(np.dtype(np.uint8), (nbytes,)))

    # Steps

    def call(
        self,
        node: Node,
        family: str,
        args: ArgValues,
        operands: Sequence[View],
        *,
        macs: int = 0,
        inplace: tuple[tuple[int, int], ...] = (),
    ) -> None:
        """Emit a call of the family's cheapest kernel for those arguments."""
        kernel = table.pick(family, args, self.target)
        if kernel is None:
            shown = ", ".join(f"{i}: {self.type(i)}" for i in node.inputs if i)
            raise OperatorError(node.name, node.op, f"no kernel of family {family} fits ({shown})")
        self.call_kernel(node, kernel, args, operands, macs=macs, inplace=inplace)

    def call_kernel(
        self,
        node: Node,
        kernel: Kernel,
        args: ArgValues,
        operands: Sequence[View],
        *,
        macs: int = 0,
        inplace: tuple[tuple[int, int], ...] = (),
    ) -> None:
        """Emit a call of one kernel of the table."""
        if len(operands) != len(kernel.buffers):
            raise AssertionError(f"{kernel.name} takes {kernel.buffers}, {node.name} gives {len(operands)}")
        table.structs()[kernel.args].check(args)
        places = tuple((v.buffer, v.byte_offset) for v in operands)
        self.steps.append(Step(node.name, node.op, kernel.name, places, (kernel.args, dict(args)), "", inplace, macs))
        if kernel.isa != self.target.isa:
            self.notes.append(f"{node.name} ({node.op}) runs the scalar kernel {kernel.name}: no vector one fits")

    def generated(
        self,
        node: Node,
        stem: str,
        body: str,
        operands: Sequence[View],
        *,
        inplace: tuple[tuple[int, int], ...] = (),
        scalar: bool = False,
    ) -> None:
        """Emit a call of a generated C function.

        ``body`` is the text between its braces; it finds the operands as ``buf[i]``. Equal bodies become one
        function. ``scalar`` says that the code has no vector form, which is then noted.
        """
        digest = hashlib.sha256(body.encode()).hexdigest()[:8]
        name = f"pf_{stem}_{digest}"
        source = f"static void {name}(const void *args, void *const *buf) {{\n    (void)args;\n{body}}}\n"
        places = tuple((v.buffer, v.byte_offset) for v in operands)
        self.steps.append(Step(node.name, node.op, name, places, None, source, inplace))
        if scalar and self.target.isa == "rvv":
            self.notes.append(f"{node.name} ({node.op}) runs a scalar loop: it has no vector form")

    def grouped(self, shares: Mapping[int, float], macs: int) -> None:
        """Note that ``macs`` int8 products ran in groups of those sizes, exact in int16."""
        for size, share in shares.items():
            self._grouped[size] = self._grouped.get(size, 0.0) + share * macs

    # Inside

    def _buffer(self, name: str, nbytes: int, space: str, index: int = 0) -> str:
        self.buffers[name] = Buffer(name, nbytes, space, index)  # type: ignore[arg-type]
        return name

    def _output_homes(self) -> dict[str, str]:
        """Values that only become a graph output by a change of shape: they are made in its place."""
        homes = {name: name for name in self.graph.outputs}
        consumers, producers = self.graph.consumers(), self.graph.producers()
        for node in reversed(self.graph.nodes):
            if node.op in VIEW_OPS and node.outputs[0] in homes:
                source = node.inputs[0]
                made = source in producers and self.type(source).halo == Halo()
                if made and source not in homes and len(consumers[source]) == 1:
                    homes[source] = homes[node.outputs[0]]
        return {k: v for k, v in homes.items() if k not in self.graph.outputs}

    def _zero_halo(self, value: str, view: View) -> None:
        type_ = view.type
        rows, cols, channels = (1, *type_.shape[1:]) if len(type_.shape) == 3 else type_.shape[1:]
        top, left, bottom, right = type_.halo
        args = {
            "batch": type_.shape[0], "rows": rows, "cols": cols, "channels": channels, "top": top, "left": left,
            "bottom": bottom, "right": right, "pitch": (left + cols + right) * channels,
        }  # fmt: skip
        whole = replace(view, offset=0)
        node = Node("pf.Halo", f"{value}.halo", (), ())
        if type_.dtype.itemsize == 4:
            self.call(node, "halo", args, [whole])
        else:  # two bytes are zero where each of them is
            size = type_.dtype.itemsize
            args |= {"channels": size * channels, "pitch": size * args["pitch"], "pattern": type_.filler}
            self.call(node, "halo8", args, [whole])
