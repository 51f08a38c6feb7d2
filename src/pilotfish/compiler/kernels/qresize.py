"""Nearest and linear resizing of channels-last images of bytes, from the tables that ``resize.py`` makes.

Linear resizing of int8 changes the scale too, in one pass: DequantizeLinear, Resize and QuantizeLinear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels import qrows, resize
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _pixels(a: Mapping[str, int], prefix: str, rows: Array, cols: Array) -> Array:
    """Offsets [batch, len(rows), len(cols), channels]."""
    batch, lanes = np.arange(a["batch"]), np.arange(a["channels"])
    return np.asarray(
        batch[:, None, None, None] * a[f"{prefix}_batch_stride"]
        + rows[:, None, None].astype(np.int64) * a[f"{prefix}_row_stride"]
        + cols[:, None].astype(np.int64) * a[f"{prefix}_col_stride"]
        + lanes
    )


def _output(a: Mapping[str, int]) -> Array:
    return _pixels(a, "y", np.arange(a["rows"]), np.arange(a["cols"]))


def _nearest_meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    a, y = _ints(args), buffers[3].copy()
    y[_output(a)] = buffers[0][_pixels(a, "x", buffers[1], buffers[2])]
    return {3: y}


def _linear_meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    a, y, one = _ints(args), buffers[5].copy(), np.float32(1)
    rows, cols = buffers[1].reshape(-1, 2), buffers[3].reshape(-1, 2)
    factor = np.float32(qrows.number(args, "factor"))
    down, right = (one - buffers[2]) * factor, buffers[2] * factor
    weights = [
        (vertical[:, None] * horizontal)[:, :, None]
        for vertical in (down, right)
        for horizontal in (one - buffers[4], buffers[4])
    ]
    taps = [
        (buffers[0][_pixels(a, "x", rows[:, i], cols[:, j])].astype(np.int32) - a["x_zero"]).astype(np.float32)
        for i in range(2)
        for j in range(2)
    ]
    value = taps[0] * weights[0]
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        value = qrows.fma(tap, np.broadcast_to(weight, tap.shape), value)
    y[_output(a)] = qrows.round_s8(value, a["y_zero"], a["lo"], a["hi"])
    return {5: y}


def _cost(args: ArgValues, target: Target, *, linear: bool) -> float:
    a = _ints(args)
    pixels = a["batch"] * a["rows"] * a["cols"]
    if target.isa == "scalar":
        return pixels * (20.0 + a["channels"] * (30.0 if linear else 2.0))
    registers = ceil(a["channels"] * 8 / target.vlen)
    if linear:
        return pixels * (48.0 + registers * 66.0)
    return pixels * (5.0 + (2.0 if registers == 1 else 10.0 * ceil(registers / 4)))


def _case(
    rng: np.random.Generator,
    label: str,
    image: tuple[int, int, int, int],
    size: tuple[int, int],
    mode: str,
    *,
    linear: bool,
    rounding: str = "round_prefer_floor",
    gap: int = 0,
    zeros: tuple[int, int] = (0, 0),
    factor: float = 1.0,
    clamp: tuple[int, int] = (-128, 127),
) -> Case:
    batch, in_rows, in_cols, channels = image
    rows, cols = size
    x_col, y_col = channels + gap, channels + 2 * gap
    args: dict[str, Value] = {
        "batch": batch, "rows": rows, "cols": cols, "channels": channels,
        "x_batch_stride": in_rows * in_cols * x_col, "x_row_stride": in_cols * x_col, "x_col_stride": x_col,
        "y_batch_stride": rows * cols * y_col, "y_row_stride": cols * y_col, "y_col_stride": y_col,
        "x_zero": zeros[0], "y_zero": zeros[1], "factor": float(np.float32(factor)), "lo": clamp[0], "hi": clamp[1],
    }  # fmt: skip
    tables: list[Array] = []
    for inside, outside in ((in_rows, rows), (in_cols, cols)):
        positions = resize.coordinates(inside, outside, outside / inside, mode)
        if linear:
            indices, part = resize.linear_table(positions, inside)
            tables += [indices.reshape(-1), part]
        else:
            tables.append(resize.nearest_table(positions, inside, rounding))
    x = rng.integers(-128, 128, batch * in_rows * in_cols * x_col).astype(np.int8)
    y = rng.integers(-128, 128, batch * rows * cols * y_col).astype(np.int8)
    return Case(label, args, (x, *tables, y), (len(tables) + 1,))


def _cases(rng: np.random.Generator, *, linear: bool) -> Iterator[Case]:
    case = partial(_case, rng, linear=linear)
    yield case("twice as large", (2, 3, 4, 37), (6, 8), "asymmetric", rounding="floor", zeros=(-128, -128))
    yield case("half pixel, odd ratio", (1, 5, 7, 8), (8, 5), "half_pixel", zeros=(3, -9), factor=1.3)
    yield case("corners aligned", (1, 4, 3, 170), (7, 6), "align_corners", rounding="round_prefer_ceil", factor=0.7)
    yield case("a signal", (2, 1, 9, 5), (1, 20), "half_pixel", rounding="ceil", clamp=(-20, 100))
    yield case("to one pixel", (1, 6, 5, 3), (1, 1), "pytorch_half_pixel", zeros=(127, 127))
    yield case("from one pixel", (1, 1, 1, 9), (3, 4), "half_pixel")
    yield case("gaps between pixels", (1, 3, 3, 4), (5, 4), "half_pixel_symmetric", gap=3, zeros=(1, 2))


def _row(op: str, name: str) -> Kernel:
    linear = op == "linear"
    tables = ("row", "row_part", "col", "col_part") if linear else ("row", "col")
    return Kernel(
        name=name,
        family=f"resize_{op}8",
        source="qresize.c",
        args="pf_qresize_args",
        buffers=("x", *tables, "y"),
        meaning=_linear_meaning if linear else _nearest_meaning,
        cases=partial(_cases, linear=linear),
        cost=partial(_cost, linear=linear),
    )


KERNELS = (
    _row("nearest", "x8_resize_nearest__rvv"),
    _row("nearest", "x8_resize_nearest__scalar"),
    _row("linear", "qs8_resize_linear_4v__rvv"),
    _row("linear", "qs8_resize_linear__scalar"),
)
