"""The table of kernels: dispatch, parity tests, benchmarks and documentation all come from it."""

from __future__ import annotations

import importlib
import pkgutil
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from pilotfish.compiler.targets import Isa, Target

Value = int | float | tuple[int, ...]
ArgValues = Mapping[str, Value]
Array = np.ndarray[Any, Any]

_FORMATS = {"int32_t": "i", "int64_t": "q", "float": "f"}


@dataclass(frozen=True)
class ArgsField:
    """One member of an arguments struct; ``count`` > 0 for an array."""

    name: str
    ctype: str
    count: int = 0


@dataclass(frozen=True)
class ArgsStruct:
    """The C struct that a kernel's arguments live in, as read from its header."""

    name: str
    header: str
    fields: tuple[ArgsField, ...]

    def check(self, values: ArgValues) -> None:
        """Raise ``TypeError`` unless exactly the members have values of the right kind."""
        names = {f.name for f in self.fields}
        if names != set(values):
            raise TypeError(f"{self.name}: missing {names - set(values)}, unknown {set(values) - names}")

    def initializer(self, values: ArgValues) -> str:
        """The C initializer of the struct."""
        self.check(values)
        return "{" + ", ".join(f".{f.name} = {_literal(f, values[f.name])}" for f in self.fields) + "}"

    def pack(self, values: ArgValues) -> bytes:
        """The struct's bytes on a little-endian LP64 machine."""
        self.check(values)
        parts, items = ["<"], list[int | float]()
        offset = largest = 0
        for f in self.fields:
            code = _FORMATS[f.ctype]
            size = struct.calcsize("<" + code)
            largest = max(largest, size)
            if padding := -offset % size:
                parts.append(f"{padding}x")
                offset += padding
            value = values[f.name]
            elements = value if isinstance(value, tuple) else (value,)
            if len(elements) != max(f.count, 1):
                raise TypeError(f"{self.name}.{f.name}: {len(elements)} values for {max(f.count, 1)}")
            parts.append(f"{len(elements)}{code}")
            items.extend(elements)
            offset += size * len(elements)
        parts.append(f"{-offset % largest}x")
        return struct.pack("".join(parts), *items)


def _literal(member: ArgsField, value: Value) -> str:
    if isinstance(value, tuple):
        return "{" + ", ".join(_literal(ArgsField(member.name, member.ctype), v) for v in value) + "}"
    if member.ctype == "float":
        if np.isinf(value):
            return "-__builtin_inff()" if value < 0 else "__builtin_inff()"
        return f"{float(np.float32(value)).hex()}f"
    return f"{int(value)}" + ("LL" if member.ctype == "int64_t" else "")


@dataclass(frozen=True)
class Case:
    """One parity case: arguments and the content of every buffer before the call.

    ``outputs`` are the indices of the buffers to compare. Buffers have the dtype that the kernel reads.
    """

    label: str
    args: ArgValues
    buffers: tuple[Array, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Kernel:
    """A row of the table: one entry point in C.

    ``family`` is what a lowering asks for (``"igemm"``); of the rows that ``supports`` a request on a target
    the one with the least ``cost`` is taken. ``cost`` is *modelled*: instruction slots on a single-issue
    machine, a vector instruction counting its LMUL. ``meaning`` computes the output buffers in NumPy, float64
    where that helps, given the arguments and the buffers before the call. ``ulp`` bounds the difference from it: for
    an output of float type ``|got - want| <= ulp * eps * max(|want|, scale)`` with ``scale`` the largest
    magnitude in that output; 0 means equal to the bit.
    """

    name: str
    family: str
    source: str
    args: str
    buffers: tuple[str, ...]
    meaning: Callable[[ArgValues, Sequence[Array]], Mapping[int, Array]]
    cases: Callable[[np.random.Generator], Iterable[Case]]
    supports: Callable[[ArgValues, Target], bool] = field(default=lambda _args, _target: True)
    cost: Callable[[ArgValues, Target], float] = field(default=lambda _args, _target: 0.0)
    ulp: float = 0.0

    @property
    def isa(self) -> Isa:
        """``"rvv"`` or ``"scalar"``: the last part of the name."""
        return "rvv" if self.name.endswith("__rvv") else "scalar"


def folder() -> Path:
    """The folder that holds the C sources and headers."""
    return Path(str(resources.files(__package__)))


@cache
def kernels() -> dict[str, Kernel]:
    """All rows, by name."""
    package = importlib.import_module(__package__)
    rows: dict[str, Kernel] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{__package__}.{info.name}")
        for row in getattr(module, "KERNELS", ()):
            if row.name in rows:
                raise RuntimeError(f"two kernels are called {row.name}")
            rows[row.name] = row
    return rows


@cache
def structs() -> dict[str, ArgsStruct]:
    """All argument structs, by name, read from the headers of this folder."""
    found = {}
    for header in sorted(folder().glob("*.h")):
        for body, name in re.findall(r"typedef struct \{(.*?)\} (pf_\w+_args);", header.read_text(), re.DOTALL):
            found[name] = ArgsStruct(name, header.name, tuple(_fields(body)))
    return found


def _fields(body: str) -> Iterator[ArgsField]:
    for declaration in re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL).split(";"):
        if not (text := declaration.strip()):
            continue
        ctype, names = text.split(None, 1)
        if ctype not in _FORMATS:
            raise RuntimeError(f"a kernel argument must be one of {sorted(_FORMATS)}, not {ctype!r}")
        for name in names.split(","):
            match = re.fullmatch(r"\s*(\w+)(?:\[(\d+)\])?\s*", name)
            if not match:
                raise RuntimeError(f"cannot read the kernel argument {name!r}")
            yield ArgsField(match[1], ctype, int(match[2] or 0))


def family(name: str, target: Target) -> list[Kernel]:
    """The kernels of a family that a target's instruction set has; without a vector one, the scalar twins."""
    rows = [k for k in kernels().values() if k.family == name]
    return [k for k in rows if k.isa == target.isa] or [k for k in rows if k.isa == "scalar"]


def typed(name: str, dtype: np.dtype[Any]) -> str:
    """The family that does on elements of that type what the family ``name`` does on float32."""
    return f"f16_{name}" if dtype == np.float16 else name


def pick(name: str, args: ArgValues, target: Target) -> Kernel | None:
    """The cheapest kernel of a family for those arguments, or None if none supports them."""
    fitting = [k for k in family(name, target) if k.supports(args, target)]
    return min(fitting, key=lambda k: k.cost(args, target), default=None)
