"""A program: a constant table of kernel calls over buffers. What lowering makes and code generation prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pilotfish.compiler.graph import TensorType
from pilotfish.compiler.kernels.table import ArgValues, Array
from pilotfish.compiler.targets import Target

Space = Literal["arena", "weights", "input", "output"]

ALIGN = 64
"""Every buffer starts at a multiple of this many bytes."""


@dataclass(frozen=True)
class Buffer:
    """Memory that steps read and write. ``data`` for weights; ``index`` for the program's inputs and outputs."""

    name: str
    nbytes: int
    space: Space
    index: int = 0
    data: Array | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class View:
    """A strided tensor in a buffer: offset and strides in elements."""

    buffer: str
    type: TensorType
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def byte_offset(self) -> int:
        """Offset of the first element from the buffer's start, in bytes."""
        return self.offset * self.type.dtype.itemsize

    @property
    def contiguous(self) -> bool:
        """True if the elements lie in row-major order without gaps."""
        expected = 1
        for size, stride in zip(reversed(self.type.shape), reversed(self.strides), strict=True):
            if size != 1:
                if stride != expected:
                    return False
                expected *= size
        return True


@dataclass(frozen=True)
class Step:
    """One kernel call.

    ``kernel`` is the C function; ``args`` the struct's name and values, or None for a generated function, whose C text
    ``source`` then holds. ``operands`` are (buffer, byte offset) in the kernel's order. ``inplace`` are pairs of
    operand numbers (read, written) that may share memory. ``macs`` are the multiply-accumulates it stands for.
    """

    node: str
    op: str
    kernel: str
    operands: tuple[tuple[str, int], ...]
    args: tuple[str, ArgValues] | None = None
    source: str = ""
    inplace: tuple[tuple[int, int], ...] = ()
    macs: int = 0


@dataclass(frozen=True)
class Program:
    """Everything that code generation needs; buffers still without addresses."""

    name: str
    target: Target
    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    buffers: Mapping[str, Buffer]
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
