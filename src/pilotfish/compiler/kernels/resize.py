"""Nearest and linear resizing of channels-last images, f32, from tables made here at compile time.

Coordinates, rounding and borders follow ONNX's Resize: https://onnx.ai/onnx/operators/onnx__Resize.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
"""Values of ``coordinate_transformation_mode`` that :func:`coordinates` knows."""
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
"""Values of ``nearest_mode`` that :func:`nearest_table` knows."""


def coordinates(size_in: int, size_out: int, scale: float, mode: str) -> Array:
    """Where each output position lies in the input, f64[size_out]; ``scale`` is output by input.

    Rounded to nine decimals, so that what should be a tie or a whole number is one.
    """
    return np.round(_exact_coordinates(size_in, size_out, scale, mode), 9)


def _exact_coordinates(size_in: int, size_out: int, scale: float, mode: str) -> Array:
    at = np.arange(size_out, dtype=np.float64)
    if mode == "half_pixel":
        return (at + 0.5) / scale - 0.5
    if mode == "half_pixel_symmetric":
        # The given scale may not be size_out / size_in; the picture then stays in the middle.
        offset = size_in / 2 * (1 - size_out / (scale * size_in))
        return offset + (at + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return (at + 0.5) / scale - 0.5 if size_out > 1 else np.zeros(1)
    if mode == "align_corners":
        return at * (size_in - 1) / (size_out - 1) if size_out > 1 else np.zeros(1)
    if mode == "asymmetric":
        return at / scale
    raise ValueError(f"unknown coordinate transformation {mode!r}; known: {', '.join(COORDINATES)}")


def nearest_table(positions: Array, size_in: int, rounding: str) -> Array:
    """The input index nearest to each position, int32[n]."""
    rounded = {
        "round_prefer_floor": np.ceil(positions - 0.5),
        "round_prefer_ceil": np.floor(positions + 0.5),
        "floor": np.floor(positions),
        "ceil": np.ceil(positions),
    }
    if rounding not in rounded:
        raise ValueError(f"unknown nearest mode {rounding!r}; known: {', '.join(ROUNDINGS)}")
    return np.clip(rounded[rounding], 0, size_in - 1).astype(np.int32)


def linear_table(positions: Array, size_in: int) -> tuple[Array, Array]:
    """The two input indices around each position, int32[n, 2], and the second one's weight, f32[n]."""
    inside = np.clip(positions, 0, size_in - 1)
    first = np.minimum(np.floor(inside), max(size_in - 2, 0))
    indices = np.stack([first, np.minimum(first + 1, size_in - 1)], axis=1)
    return indices.astype(np.int32), (inside - first).astype(np.float32)


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
    a, y = _ints(args), buffers[5].astype(np.float64)
    x = buffers[0].astype(np.float64)
    rows, cols = buffers[1].reshape(-1, 2), buffers[3].reshape(-1, 2)
    down, right = buffers[2].astype(np.float64)[:, None, None], buffers[4].astype(np.float64)[:, None]
    upper, lower = (
        x[_pixels(a, "x", rows[:, i], cols[:, 0])] * (1 - right) + x[_pixels(a, "x", rows[:, i], cols[:, 1])] * right
        for i in range(2)
    )
    y[_output(a)] = upper * (1 - down) + lower * down
    return {5: y}


def _cost(args: ArgValues, target: Target, *, lmul: int, vectors: int, pixel: float) -> float:
    a = _ints(args)
    chunks = ceil(a["channels"] / (lmul * target.lanes)) if lmul else a["channels"]
    return a["batch"] * a["rows"] * a["cols"] * (pixel + chunks * (vectors * max(lmul, 1) + 9.0))


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
) -> Case:
    batch, in_rows, in_cols, channels = image
    rows, cols = size
    x_col, y_col = channels + gap, channels + 2 * gap
    args: dict[str, Value] = {
        "batch": batch, "rows": rows, "cols": cols, "channels": channels,
        "x_batch_stride": in_rows * in_cols * x_col, "x_row_stride": in_cols * x_col, "x_col_stride": x_col,
        "y_batch_stride": rows * cols * y_col, "y_row_stride": cols * y_col, "y_col_stride": y_col,
    }  # fmt: skip
    tables: list[Array] = []
    for inside, outside in ((in_rows, rows), (in_cols, cols)):
        positions = coordinates(inside, outside, outside / inside, mode)
        if linear:
            indices, part = linear_table(positions, inside)
            tables += [indices.reshape(-1), part]
        else:
            tables.append(nearest_table(positions, inside, rounding))
    x = rng.standard_normal(batch * in_rows * in_cols * x_col).astype(np.float32)
    y = rng.standard_normal(batch * rows * cols * y_col).astype(np.float32)
    return Case(label, args, (x, *tables, y), (len(tables) + 1,))


def _cases(rng: np.random.Generator, *, linear: bool) -> Iterator[Case]:
    case = partial(_case, rng, linear=linear)
    yield case("twice as large", (2, 3, 4, 37), (6, 8), "asymmetric", rounding="floor")
    yield case("half pixel, odd ratio", (1, 5, 7, 8), (8, 5), "half_pixel")
    yield case("corners aligned", (1, 4, 3, 70), (7, 6), "align_corners", rounding="round_prefer_ceil")
    yield case("a signal", (2, 1, 9, 5), (1, 20), "half_pixel", rounding="ceil")
    yield case("to one pixel", (1, 6, 5, 3), (1, 1), "pytorch_half_pixel")
    yield case("from one pixel", (1, 1, 1, 9), (3, 4), "half_pixel")
    yield case("gaps between pixels", (1, 3, 3, 4), (5, 4), "half_pixel_symmetric", gap=3)


def _row(op: str, lmul: int) -> Kernel:
    linear = op == "linear"
    tables = ("row", "row_part", "col", "col_part") if linear else ("row", "col")
    return Kernel(
        name=f"f32_resize_{op}_{lmul}v__rvv" if lmul else f"f32_resize_{op}__scalar",
        family=f"resize_{op}",
        source="resize.c",
        args="pf_resize_args",
        buffers=("x", *tables, "y"),
        meaning=_linear_meaning if linear else _nearest_meaning,
        cases=partial(_cases, linear=linear),
        cost=partial(_cost, lmul=lmul, vectors=9 if linear else 2, pixel=50.0 if linear else 20.0),
        ulp=4.0 if linear else 0.0,
    )


KERNELS = tuple(_row(op, lmul) for op in ("nearest", "linear") for lmul in (4, 1, 0))
