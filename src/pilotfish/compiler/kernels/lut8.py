"""Any function of one byte, as a table of 256: activations between a DequantizeLinear and a QuantizeLinear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from pilotfish.compiler.kernels import qrows
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target


def args(
    dims: Sequence[int], x_strides: Sequence[int] | None = None, y_strides: Sequence[int] | None = None
) -> dict[str, Value]:
    """Arguments of family ``lut8``; strides count elements, dense where None, and rows must be contiguous."""
    return qrows.merge(dims, x=x_strides or qrows.dense(dims), y=y_strides or qrows.dense(dims))


def table(function: Callable[[Array], Array]) -> Array:
    """The kernel's table, int8[256]: ``function`` of all 256 int8 values, given and returned as int8."""
    values = np.asarray(function(np.arange(-128, 128).astype(np.int8)))
    if values.dtype != np.int8 or values.shape != (256,):
        raise TypeError(f"a table is int8[256], not {values.dtype}{list(values.shape)}")
    return np.roll(values, -128)


def real_table(function: Callable[[Array], Array], x: tuple[float, int], y: tuple[float, int]) -> Array:
    """The table of a function of float32 between ``x`` and ``y``, (scale, zero point) of input and output."""

    def quantized(values: Array) -> Array:
        real = (values.astype(np.int32) - x[1]).astype(np.float32) * np.float32(x[0])
        with np.errstate(all="ignore"):
            return qrows.round_s8(function(real).astype(np.float32) / np.float32(y[0]), y[1])

    return table(quantized)


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    x = buffers[0][qrows.places(args["dims"], args["x_strides"])]
    y = buffers[1].copy()
    y[qrows.places(args["dims"], args["y_strides"])] = buffers[2][x.view(np.uint8)]
    return {1: y}


def _vector_cost(args: ArgValues, target: Target) -> float:
    registers = max(1, min(8, 2048 // target.vlen))
    vector = (8 if target.vlen < 256 else 3) * registers + 6.0
    return qrows.rows_cost(args["dims"], registers * target.vlen // 8, vector, registers + 16.0)


def _scalar_cost(args: ArgValues, _target: Target) -> float:
    return qrows.rows_cost(args["dims"], 1, 5.0, 12.0)


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    shapes: list[tuple[str, tuple[int, ...], tuple[int, ...] | None, tuple[int, ...] | None]] = [
        ("one element", (1,), None, None),
        ("long and dense", (3, 5, 141), None, None),
        ("rows with gaps", (2, 3, 70), (300, 90, 1), (260, 80, 1)),
        ("a slice of channels of a halo'd image", (2, 3, 4, 24), None, (1600, 320, 40, 1)),
        ("short rows", (9, 3), (7, 1), (5, 1)),
    ]
    for label, dims, x_strides, y_strides in shapes:
        values = args(dims, x_strides, y_strides)
        sizes = (*(int(qrows.places(values["dims"], values[f"{n}_strides"]).max()) + 1 for n in "xy"), 256)
        x, y, content = (rng.integers(-128, 128, size).astype(np.int8) for size in sizes)
        if label == "long and dense":
            x[:256] = np.arange(-128, 128)
        yield Case(label, values, (x, y, content), (1,))


_row = partial(
    Kernel,
    family="lut8",
    source="lut8.c",
    args="pf_lut8_args",
    buffers=("x", "y", "table"),
    meaning=_meaning,
    cases=_cases,
)

KERNELS = (_row("x8_lut_8v__rvv", cost=_vector_cost), _row("x8_lut__scalar", cost=_scalar_cost))
