"""pf.Elementwise: a chain of float (and bool) instructions over broadcast operands, as one generated loop.

The node's attribute ``body`` is described in :mod:`.body`; :mod:`.expressions` gives the bodies of ONNX's
operators; the pass ``passes/elementwise.py`` joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels import vec
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops import loops
from pilotfish.compiler.ops.body import Body, Printer, mapped, meaning, result_is_mask, width
from pilotfish.compiler.ops.loops import Nest
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import ChannelsLast, Operator
from pilotfish.compiler.targets import Target

_F16 = np.dtype(np.float16)
_LARGEST = float(np.finfo(np.float16).max)


def lower(node: Node, low: Lowering) -> None:
    """One generated function; it may work in place on any input of the output's size and strides."""
    emit(node, low, node.attrs["body"], [low.view(i) for i in node.inputs], low.out(node.outputs[0]))


def emit(node: Node, low: Lowering, body: Body, inputs: Sequence[View], out: View) -> None:
    """Emit ``out = body(inputs)``."""
    if out.type.size == 0:
        return
    operands = [*inputs, out]
    source = Loop(body, operands, low.target).source()
    low.generated(node, "elementwise", source, operands, inplace=loops.replaceable(inputs, out))


@dataclass
class Loop:
    """The generated function's text. The last operand is the output."""

    body: Body
    operands: Sequence[View]
    target: Target

    def __post_init__(self) -> None:
        self.out = len(self.operands) - 1
        self.nest = Nest.over(self.operands[-1].type.shape, self.operands)
        inner = [s[-1] for s in self.nest.strides]
        self.is_mask = [v.type.dtype == np.bool_ for v in self.operands]
        self.scalars = frozenset(i for i in range(self.out) if inner[i] == 0 and not self.is_mask[i])
        self.half = self._computes_half()
        self.strided = any(stride not in (0, 1) for stride in inner) or inner[-1] != 1

    def _computes_half(self) -> bool:
        """Whether the loop computes in float16: all is float16, and every instruction is exact enough in it.

        Otherwise it computes in float32, and float16 operands are converted as they are read and written.
        """
        numbers = [p for op, _, params in self.body for p in params]
        return (
            bool(self.body)
            and any(view.type.dtype == _F16 for view in self.operands)
            and all(view.type.dtype in (_F16, np.bool_) for view in self.operands)
            and all(op == "const" or op in vec.HALF for op, _, _ in self.body)
            and all(np.isinf(p) or abs(p) <= _LARGEST for p in numbers)
        )

    @property
    def lanes(self) -> int:
        """Elements of one register."""
        return self.target.lanes * (2 if self.half else 1)

    def source(self) -> str:
        """The text between the function's braces."""
        if self.target.isa != "rvv" or self.strided:
            return loops.text(self._pointers() + self._rows("x1"))
        rows, columns = (self.nest.dims[-2] if len(self.nest.dims) > 1 else 1), self.nest.dims[-1]
        held = {i for i in range(self.out) if i not in self.scalars and rows > 1 and self.nest.strides[i][-2] == 0}
        lmul, letter = self._lmul(columns, 0), "h" if self.half else "m"
        if rows > 1 and (held or columns <= lmul * self.lanes):
            return loops.text(self._pointers() + self._columns(f"{letter}{self._lmul(columns, len(held))}", held))
        return loops.text(self._pointers() + self._rows(f"{letter}{lmul}"))

    def _lmul(self, columns: int, held: int) -> int:
        """As wide as registers allow, but no wider than a row fills."""
        widest = width(self.body, self.out, self.scalars, held)
        return next((m for m in (1, 2, 4) if m < widest and columns <= m * self.lanes), widest)

    def _vl(self, kind: str, left: str) -> str:
        return f"const size_t vl = pf_vl{'mapped' if mapped(self.body) else ''}_{kind}({left});"

    def _pointers(self) -> list[str]:
        return [
            loops.pointer("y" if i == self.out else f"x{i}", i, v.type.dtype, const=i != self.out)
            for i, v in enumerate(self.operands)
        ]

    def _scalar_loads(self, depth: int) -> list[str]:
        """Loads of the scalars that change with loop ``depth - 1`` and with no inner one."""
        lines = []
        for i in sorted(self.scalars):
            changing = [axis for axis, s in enumerate(self.nest.strides[i]) if s]
            if depth == (changing[-1] + 1 if changing else 0):
                lines.append(f"const float s_{i} = x{i}[{self._index(i, depth)}];")
        return lines

    def _index(self, operand: int, depth: int) -> str:
        return self.nest.at(operand, depth).removeprefix(" + ") or "0"

    def _load(self, kind: str, operand: int, address: str) -> list[str]:
        mask = self.is_mask[operand]
        wide = self.operands[operand].type.dtype == _F16 and not kind.startswith("h")
        declared = f"const {vec.vector_type(kind, 'm' if mask else 'f')} v{operand}"
        if self.nest.strides[operand][-1] == 0:  # a mask that is the same for the row
            return [f"{declared} = pf_nes_{kind}(pf_splat_{kind}((float)*({address}), vl), 0.0f, vl);"]
        return [f"{declared} = pf_load{'b' if mask else 'h' if wide else ''}_{kind}({address}, vl);"]

    def _store(self, kind: str, address: str, value: str) -> str:
        wide = self.operands[self.out].type.dtype == _F16 and not kind.startswith("h")
        form = "b" if result_is_mask(self.body) else "h" if wide else ""
        return f"pf_store{form}_{kind}({address}, {value}, vl);"

    def _chain(self, kind: str, address: dict[int, str], loaded: dict[int, str]) -> tuple[list[str], list[str]]:
        """(statements for the row's scalars, statements of the loop's body)."""
        printer = Printer(self.body, self.out, kind)
        row, scalars = printer.scalar_statements({i: f"s_{i}" for i in sorted(self.scalars)})
        lines, result = printer.vector_statements(scalars, lambda i: self._load(kind, i, address[i]), loaded)
        return row, [*lines, self._store(kind, address[self.out], result)]

    def _nested(self, depth: int, body: list[str]) -> list[str]:
        """``body`` inside the ``depth`` outer loops, each scalar loaded in the outermost loop that it can be."""
        lines = body
        for level in reversed(range(depth + 1)):
            lines = [*self._scalar_loads(level), *lines]
            if level:
                i, size = f"i{level - 1}", self.nest.dims[level - 1]
                head = f"PF_ROLLED for (int64_t {i} = 0; {i} < {size}; {i}++) {{"
                lines = [head, *loops.indent(lines), "}"]
        return lines

    def _rows(self, kind: str) -> list[str]:
        """Rows outside, along a row inside, by pointers that move (one addition each, and none for an index)."""
        outer = len(self.nest.dims) - 1
        columns = self.nest.dims[-1]
        if kind == "x1":
            return self._single(outer, columns)
        address, starts, bumps = {}, [], []
        for i, view in enumerate(self.operands):
            if i in self.scalars:
                continue
            address[i] = f"p{i}"
            const, name = ("", "y") if i == self.out else ("const ", f"x{i}")
            starts.append(f"{const}{loops.ctype(view.type.dtype)} *p{i} = {name}{self.nest.at(i, outer)};")
            if self.nest.strides[i][-1]:
                bumps.append(f"p{i} += vl;")
        row, chain = self._chain(kind, address, {})
        loop = [f"PF_ROLLED for (int64_t left = {columns}; left > 0;) {{"]
        loop += loops.indent([self._vl(kind, "left"), *chain, *bumps, "left -= (int64_t)vl;"])
        return self._nested(outer, [*starts, *row, *loop, "}"])

    def _single(self, outer: int, columns: int) -> list[str]:
        """Element after element, by an index: what clang can vectorize on a host."""
        address = {}
        for i in range(len(self.operands)):
            if i not in self.scalars:
                stride = self.nest.strides[i][-1]
                last = "" if stride == 0 else " + i" if stride == 1 else f" + i * {stride}"
                address[i] = ("y" if i == self.out else f"x{i}") + self.nest.at(i, outer) + last
        row, chain = self._chain("x1", address, {})
        pragma = "PF_SCALAR_LOOP " if self.target.isa == "rvv" or mapped(self.body) else ""
        loop = [f"{pragma}for (int64_t i = 0; i < {columns}; i++) {{"]
        loop += [*loops.indent(["const size_t vl = 1;", *chain]), "}"]
        return self._nested(outer, [*row, *loop])

    def _columns(self, kind: str, held: set[int]) -> list[str]:
        """A vector's worth of columns outside, down the rows inside; what all rows share stays in registers."""
        outer = len(self.nest.dims) - 2
        rows, columns = self.nest.dims[-2:]
        address, loaded, starts, bumps = {}, {}, [], []
        for i, view in enumerate(self.operands):
            stride = self.nest.strides[i][-2]
            column = " + i" if self.nest.strides[i][-1] else ""
            name = "y" if i == self.out else f"x{i}"
            place = f"{name}{self.nest.at(i, outer)}{column}"
            if i in held:
                starts += self._load(kind, i, place)
                loaded[i] = f"v{i}"
            elif i not in self.scalars or stride:
                const = "" if i == self.out else "const "
                starts.append(f"{const}{loops.ctype(view.type.dtype)} *p{i} = {place};")
                bumps.append(f"p{i} += {stride};")
                address[i] = f"p{i}"
        row, chain = self._chain(kind, address, loaded)
        per_row = [f"const float s_{i} = *p{i};" for i in sorted(self.scalars) if self.nest.strides[i][-2]]
        inner = [f"PF_ROLLED for (int64_t j = 0; j < {rows}; j++) {{"]
        inner += [*loops.indent([*per_row, *row, *chain, *bumps]), "}"]
        loop = [f"PF_ROLLED for (int64_t i = 0; i < {columns};) {{"]
        loop += [*loops.indent([self._vl(kind, f"{columns} - i"), *starts, *inner, "i += (int64_t)vl;"]), "}"]
        return self._nested(outer, loop)


def numpy_meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The body in NumPy."""
    return [meaning(node.attrs["body"], [i for i in inputs if i is not None])]


def channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    """Elementwise operators do not care for the order of axes, if all operands have the same."""
    return node, tuple(range(len(node.inputs)))


OPERATORS = (
    Operator("pf.Elementwise", lower, meaning=numpy_meaning, channels_last=ChannelsLast(channels_last), strided=True),
)
