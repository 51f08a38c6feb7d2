"""Graph, Node and TensorType: immutable; a pass makes a new graph.

Nodes are ONNX's own operators (of the opset that :mod:`.onnx_import` converts to) with two additions that
passes make: attributes that ONNX does not have (``clamp``, ``layout``), and operators of ours, whose names start with
``pf.``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Attribute = Any


class Halo(NamedTuple):
    """Zeroed pixels that surround a channels-last tensor in memory, for convolutions that pad."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def union(self, other: Halo) -> Halo:
        """The smallest halo that contains both."""
        return Halo(*map(max, self, other))


@dataclass(frozen=True)
class TensorType:
    """Element type and static shape; a halo only for channels-last activations (rank 3: N W C, rank 4: N H W C).

    ``filler`` is what the halo holds: 0, or the zero point of a quantized tensor.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    halo: Halo = Halo()  # noqa: RUF009 - a tuple: nothing can change it
    filler: int = 0

    @property
    def size(self) -> int:
        """Number of elements, without the halo."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in memory, with the halo."""
        if self.halo == Halo():
            return self.shape
        *batch, height, width, channels = self.shape if len(self.shape) == 4 else (self.shape[0], 1, *self.shape[1:])
        top, left, bottom, right = self.halo
        return (*batch, height + top + bottom, width + left + right, channels)

    @property
    def nbytes(self) -> int:
        """Bytes in memory, with the halo."""
        return int(np.prod(self.stored_shape, dtype=np.int64)) * self.dtype.itemsize

    def __str__(self) -> str:
        halo = f" halo {tuple(self.halo)}" if self.halo != Halo() else ""
        return f"{self.dtype.name}[{'x'.join(map(str, self.shape))}]{halo}"


@dataclass(frozen=True)
class Node:
    """One operation. An absent optional input is the empty string."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Attribute] = field(default_factory=dict)

    def with_attrs(self, **attrs: Attribute) -> Node:
        """The same node with some attributes added or replaced."""
        return replace(self, attrs={**self.attrs, **attrs})


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order; every value has a type; constants have values besides."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    types: Mapping[str, TensorType]
    constants: Mapping[str, Array]

    def type(self, value: str) -> TensorType:
        """The type of a value."""
        return self.types[value]

    def producers(self) -> dict[str, Node]:
        """The node that makes each value."""
        return {output: node for node in self.nodes for output in node.outputs if output}

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that read each value, in order; a node that reads it twice stands there twice."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                if value:
                    readers.setdefault(value, []).append(node)
        return readers

    def pruned(self) -> Graph:
        """Without nodes, constants and types that no output depends on."""
        needed = set(self.outputs)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if any(output in needed for output in node.outputs):
                kept.append(node)
                needed.update(filter(None, node.inputs))
        known = needed | set(self.inputs) | {o for n in kept for o in n.outputs}
        return replace(
            self,
            nodes=tuple(reversed(kept)),
            constants={k: v for k, v in self.constants.items() if k in needed},
            types={k: v for k, v in self.types.items() if k in known},
        )

    def validated(self) -> Graph:
        """Itself, after a check that the graph is well formed (for tests and after each pass)."""
        known = set(self.inputs) | set(self.constants)
        for node in self.nodes:
            for value in node.inputs:
                if value and value not in known:
                    raise AssertionError(f"{node.name} ({node.op}) reads {value!r} before it is made")
            for value in node.outputs:
                if value in known:
                    raise AssertionError(f"{node.name} ({node.op}) makes {value!r} a second time")
            known.update(filter(None, node.outputs))
        if missing := [v for v in (*self.outputs, *known) if v not in self.types or v not in known]:
            raise AssertionError(f"values without a type or a maker: {missing}")
        if unmade := [v for v in self.outputs if v in self.constants or v in self.inputs]:
            raise AssertionError(f"outputs that no node makes: {unmade}")
        for name, array in self.constants.items():
            if array.shape != self.types[name].shape or array.dtype != self.types[name].dtype:
                raise AssertionError(f"constant {name!r} is not of its type {self.types[name]}")
        return self


class Builder:
    """Collects the nodes of a new graph out of an old one: what most passes are made of."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.types = dict(graph.types)
        self.constants = dict(graph.constants)
        self._taken = set(graph.types)

    def fresh(self, stem: str) -> str:
        """A value name that is not in use."""
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name

    def constant(self, stem: str, array: Array) -> str:
        """A new constant; its name."""
        name = self.fresh(stem)
        self.constants[name] = array
        self.types[name] = TensorType(array.dtype, array.shape)
        return name

    def add(self, node: Node, *types: TensorType) -> tuple[str, ...]:
        """Append a node; ``types`` of its outputs are set where given. Its outputs."""
        self.nodes.append(node)
        self.types.update(zip(node.outputs, types, strict=False))
        return node.outputs

    def emit(self, op: str, stem: str, inputs: Iterable[str], type_: TensorType, **attrs: Attribute) -> str:
        """Append a new node with one output of that type; the output's name."""
        output = self.fresh(stem)
        self.add(Node(op, output, tuple(inputs), (output,), attrs), type_)
        return output

    def finish(self, outputs: tuple[str, ...] | None = None) -> Graph:
        """The new graph, pruned and validated."""
        return (
            replace(
                self.graph,
                nodes=tuple(self.nodes),
                types=self.types,
                constants=self.constants,
                outputs=self.graph.outputs if outputs is None else outputs,
            )
            .pruned()
            .validated()
        )
