"""Loop nests over strided operands that broadcast: what generated C functions are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from pilotfish.compiler.kernels.program import View

CTYPES = {
    "float32": "float",
    "float64": "double",
    "float16": "_Float16",
    "bool": "uint8_t",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
"""The C type of an element."""

_INDENT = "    "


def ctype(dtype: np.dtype[np.generic]) -> str:
    """The C type of an element; KeyError for one that C has not."""
    return CTYPES[dtype.name]


def broadcast_strides(view: View, shape: Sequence[int]) -> tuple[int, ...]:
    """A view's strides along the dimensions of ``shape``, which it broadcasts to as in NumPy: 0 where it repeats."""
    missing = len(shape) - len(view.type.shape)
    own = zip(view.type.shape, view.strides, strict=True)
    return (0,) * missing + tuple(0 if size == 1 else stride for size, stride in own)


@dataclass(frozen=True)
class Nest:
    """Loops over ``dims``, outermost first; ``strides[operand][dim]`` in elements."""

    dims: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    @staticmethod
    def over(shape: Sequence[int], operands: Sequence[View]) -> Nest:
        """As few loops as walk all operands over ``shape``, in row-major order; at least one."""
        return Nest.of(shape, [broadcast_strides(view, shape) for view in operands])

    @staticmethod
    def of(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> Nest:
        """The same from bare strides: sizes of one dropped, neighbours merged where all operands allow."""
        dims: list[int] = []
        columns: list[tuple[int, ...]] = []
        for axis, size in enumerate(shape):
            if size == 1:
                continue
            column = tuple(s[axis] for s in strides)
            if dims and all(outer == size * inner for outer, inner in zip(columns[-1], column, strict=True)):
                dims[-1], columns[-1] = dims[-1] * size, column
            else:
                dims.append(size)
                columns.append(column)
        if not dims:
            return Nest((1,), tuple((1,) for _ in strides))
        return Nest(tuple(dims), tuple(zip(*columns, strict=True)))

    @property
    def size(self) -> int:
        """How often the innermost body runs."""
        return prod(self.dims)

    def at(self, operand: int, dims: int) -> str:
        """``" + i0 * 12 + i1"``: what to add to an operand's pointer inside the outermost ``dims`` loops."""
        terms = ""
        for axis, stride in enumerate(self.strides[operand][:dims]):
            if stride:
                terms += f" + i{axis}" if stride == 1 else f" + i{axis} * {stride}"
        return terms

    def wrap(self, dims: int, body: Sequence[str]) -> list[str]:
        """``body`` inside the outermost ``dims`` loops, whose counters are ``i0``, ``i1``, …"""
        lines = list(body)
        for axis in reversed(range(dims)):
            head = f"PF_ROLLED for (int64_t i{axis} = 0; i{axis} < {self.dims[axis]}; i{axis}++) {{"
            lines = [head, *indent(lines), "}"]
        return lines


def indent(lines: Sequence[str], by: int = 1) -> list[str]:
    """The lines, moved to the right."""
    return [_INDENT * by + line if line else line for line in lines]


def text(lines: Sequence[str]) -> str:
    """A function's body out of its lines."""
    return "".join(line + "\n" for line in indent(lines))


def pointer(name: str, index: int, dtype: np.dtype[np.generic], *, const: bool = True) -> str:
    """The declaration of a typed pointer to operand ``index``."""
    qualifier = "const " if const else ""
    kind = ctype(dtype)
    return f"{qualifier}{kind} *const {name} = ({qualifier}{kind} *)buf[{index}];"


def scalar_loops(
    shape: Sequence[int], operands: Sequence[View], outputs: int, statement: str, names: Sequence[str]
) -> str:
    """A C body that runs a statement for each element, in scalar code.

    The last ``outputs`` operands are written. In ``statement`` each operand's ``{name}`` stands for its current
    element. Never vectorized by the compiler, so that casts from float to integer stay scalar.
    """
    nest = Nest.over(shape, operands)
    lines = []
    for i, (name, view) in enumerate(zip(names, operands, strict=True)):
        lines.append(pointer(name, i, view.type.dtype, const=i < len(operands) - outputs))
    elements = {name: f"{name}[{_index(nest, i)}]" for i, name in enumerate(names)}
    inner = len(nest.dims) - 1
    last = f"PF_SCALAR_LOOP for (int64_t i{inner} = 0; i{inner} < {nest.dims[inner]}; i{inner}++) {{"
    lines += nest.wrap(inner, [last, *indent(statement.format(**elements).splitlines()), "}"])
    return text(lines)


def _index(nest: Nest, operand: int) -> str:
    return nest.at(operand, len(nest.dims)).removeprefix(" + ") or "0"


def replaceable(inputs: Sequence[View], out: View) -> tuple[tuple[int, int], ...]:
    """Pairs (input, output) of operands that may share memory: read and written at the same places in order."""
    return tuple(
        (i, len(inputs))
        for i, view in enumerate(inputs)
        if view.type == out.type
        and view.strides == out.strides
        and all(other == view or other.buffer != view.buffer for other in inputs)
    )
