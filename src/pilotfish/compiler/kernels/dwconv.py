"""Depthwise convolutions over channels-last images, f32, vectors along the channels.

The 3x3 kernels slide along one direction of the picture and keep nine weights and the sums in progress in
registers, so that each input is loaded once for all outputs of a tile of R lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.igemm import clamped
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target


def pack(weights: Array) -> Array:
    """Weights [channels, 1, taps_y, taps_x] in the order that the kernels read: [taps_y, taps_x, channels]."""
    return np.ascontiguousarray(weights[:, 0].transpose(1, 2, 0))


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    a = _ints(args)
    x, w, bias, y = buffers
    axes = [np.arange(a[n]) for n in ("batch", "rows", "cols", "taps_y", "taps_x", "channels")]
    steps = ("x_batch_stride", "x_row_stride", "x_col_stride", "x_tap_y_stride", "x_tap_x_stride")
    places = sum(i * a[s] for i, s in zip(np.ix_(*axes)[:5], steps, strict=True)) + axes[5]
    taps = w.reshape(a["taps_y"], a["taps_x"], a["channels"]).astype(np.float64)
    sums = np.einsum("brcyxk,yxk->brck", x[places].astype(np.float64), taps) + bias
    image, row, col, lane = np.ix_(*axes[:3], axes[5])
    to = image * a["y_batch_stride"] + row * a["y_row_stride"] + col * a["y_col_stride"] + lane
    y = y.copy()
    y[to] = clamped(sums, args)
    return {3: y}


def _covered(lines: int, tile: int) -> float:
    return np.inf if lines < tile else ceil(lines / tile) * tile


def _plane(args: Mapping[str, int], tile: int) -> tuple[int, int]:
    """Lines and length of the picture in the direction that a kernel with tiles of that height slides along."""
    rows, cols = args["rows"], args["cols"]
    upright = _covered(rows, tile) * (cols + 2) <= _covered(cols, tile) * (rows + 2)
    return (rows, cols) if upright else (cols, rows)


def _supports(args: ArgValues, _target: Target, *, tile: int, stride: int) -> bool:
    a = _ints(args)
    lines, length = _plane(a, tile)
    return (
        (a["taps_y"], a["taps_x"]) == (3, 3)
        and a["x_row_stride"] == stride * a["x_tap_y_stride"]
        and a["x_col_stride"] == stride * a["x_tap_x_stride"]
        and lines >= tile
        and length >= (2 if stride == 1 else 1)
    )


def _strips(lines: int, length: int, tile: int) -> int:
    """How often the weights of a block of channels are loaded (``strip_of`` in dwconv.c)."""
    return ceil(lines / (tile * max(1, 256 // (length * tile))))


def _clamps(args: ArgValues) -> int:
    return int(np.isfinite(args["lo"])) + int(np.isfinite(args["hi"]))


# Slots, fitted to counted kernels: of a block of channels in a strip, of a tile, of a column.
def _cost_stride1(args: ArgValues, target: Target, *, tile: int) -> float:
    a = _ints(args)
    lines, length = _plane(a, tile)
    column = 13 * tile + 7 + tile * _clamps(args)
    whole = ceil(lines / tile) * (length * column + 4 * tile + 34)
    blocks = a["batch"] * ceil(a["channels"] / target.lanes)
    return blocks * (whole + _strips(lines, length, tile) * 110.0)


def _cost_stride2(args: ArgValues, target: Target) -> float:
    a = _ints(args)
    lines, length = _plane(a, 1)
    column = 41.5 + 2 * _clamps(args)
    blocks = a["batch"] * ceil(a["channels"] / (2 * target.lanes))
    return blocks * (lines * (length * column + 30) + _strips(lines, length, 1) * 110.0)


def _cost_any(args: ArgValues, target: Target) -> float:
    a = _ints(args)
    taps, output = a["taps_y"] * a["taps_x"], 7 + 2 * _clamps(args)
    pieces = a["cols"] // 8 * [8] + [n for n in (4, 2, 1) if a["cols"] & n]
    row = sum(taps * (5 * n + 6) + output * n + 3 * a["taps_y"] + 10 for n in pieces) + 20
    blocks = a["batch"] * ceil(a["channels"] / (2 * target.lanes))
    return blocks * (a["rows"] * row + _strips(a["rows"], a["cols"], 1) * 80.0)


def _supports_five(args: ArgValues, _target: Target, *, stride: int) -> bool:
    a = _ints(args)
    return a["taps_x"] == 5 and a["x_col_stride"] == stride * a["x_tap_x_stride"] and a["cols"] >= 7


def _cost_five(args: ArgValues, target: Target, *, stride: int) -> float:
    a = _ints(args)
    spills = 18 if stride == 1 else 0
    tile = a["taps_y"] * (3 * (6 * stride + 5) + 15 + 70 + 8 + spills) + 7 * (7 + 2 * _clamps(args)) + 25
    blocks = a["batch"] * ceil(a["channels"] / (2 * target.lanes))
    return blocks * (a["rows"] * (ceil(a["cols"] / 7) * tile + 10) + _strips(a["rows"], a["cols"], 1) * 80.0)


def _cost_scalar(args: ArgValues, _target: Target) -> float:
    a = _ints(args)
    taps = a["taps_y"] * a["taps_x"]
    total = 0.0
    for wide, many in ((3, a["cols"] // 3), (1, a["cols"] % 3)):
        for deep, times in ((4, a["channels"] // 4), (1, a["channels"] % 4)):
            tap = 2 * wide * deep + deep + wide + 3
            total += many * times * (taps * tap + 8 * a["taps_y"] + wide * deep * 6 + 30)
    return a["batch"] * a["rows"] * (total + 40)


def _case(
    rng: np.random.Generator,
    label: str,
    out: tuple[int, int, int, int],
    taps: tuple[int, int] = (3, 3),
    *,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    extra: int = 0,
    clamp: tuple[float, float] = (-np.inf, np.inf),
) -> Case:
    """``out`` is the output's shape; ``extra`` widens the gaps of both images."""
    batch, rows, cols, channels = out
    in_rows, in_cols = (
        (size - 1) * stride + (tap - 1) * dilation + 1
        for size, stride, tap, dilation in zip((rows, cols), strides, taps, dilations, strict=True)
    )
    x_col, y_col = channels + extra, channels + 2 * extra
    x_row, y_row = in_cols * x_col + extra, cols * y_col + extra
    args: dict[str, Value] = {
        "batch": batch, "rows": rows, "cols": cols, "channels": channels, "taps_y": taps[0], "taps_x": taps[1],
        "x_batch_stride": in_rows * x_row, "x_row_stride": strides[0] * x_row, "x_col_stride": strides[1] * x_col,
        "x_tap_y_stride": dilations[0] * x_row, "x_tap_x_stride": dilations[1] * x_col,
        "y_batch_stride": rows * y_row, "y_row_stride": y_row, "y_col_stride": y_col,
        "lo": clamp[0], "hi": clamp[1],
    }  # fmt: skip
    sizes = (batch * in_rows * x_row, taps[0] * taps[1] * channels, channels, batch * rows * y_row)
    x, w, bias, y = (rng.standard_normal(size).astype(np.float32) for size in sizes)
    return Case(label, args, (x, w, bias, y), (3,))


RELU, RELU6 = (0.0, np.inf), (0.0, 6.0)


def _odd_values(case: Case) -> Case:
    """The case with a NaN and an infinity among its inputs."""
    case.buffers[0][[0, 7]] = np.nan, np.inf
    return case


def _cases_stride1(rng: np.random.Generator, *, tile: int) -> Iterator[Case]:
    yield _case(rng, "one tile", (1, tile, tile, 16))
    yield _case(rng, "one tile of two columns", (2, 2, tile, 5), clamp=(-1.0, np.inf))
    yield _case(rng, "the least", (1, 2, 2, 3)) if tile == 2 else _case(rng, "turned", (1, 7, tile, 3))
    for cols in (tile, tile + 1, tile + 2):
        yield _case(rng, f"{cols} columns", (1, 2 * tile + 1, cols, 9), clamp=RELU6)
    yield _case(rng, "channels beyond a register", (1, tile, 9, 83), clamp=RELU)
    yield _case(rng, "gaps between pixels", (2, tile + 3, 6, 7), extra=3, clamp=(-0.5, 0.5))
    yield _case(rng, "several strips", (1, 31, 40, 8), clamp=RELU)
    for clamp in ((-np.inf, np.inf), RELU, RELU6, (-np.inf, 1.0)):
        yield _odd_values(_case(rng, f"NaN and infinity, clamped to {clamp}", (1, tile, tile + 3, 4), clamp=clamp))


def _cases_stride2(rng: np.random.Generator) -> Iterator[Case]:
    two = (2, 2)
    yield _case(rng, "the least", (1, 1, 1, 3), strides=two)
    for cols in (2, 3, 4):
        yield _case(rng, f"{cols} columns", (1, 3, cols, 21), strides=two, clamp=RELU6)
    yield _case(rng, "turned", (1, 9, 2, 16), strides=two, clamp=RELU)
    yield _case(rng, "channels beyond two registers", (1, 2, 5, 147), strides=two)
    yield _case(rng, "gaps between pixels", (2, 4, 6, 7), strides=two, extra=3, clamp=(-0.5, 0.5))
    yield _case(rng, "several strips", (1, 20, 33, 8), strides=two)
    for clamp in ((-np.inf, np.inf), RELU, RELU6, (-np.inf, 1.0)):
        yield _odd_values(
            _case(rng, f"NaN and infinity, clamped to {clamp}", (1, 3, 4, 4), strides=(2, 2), clamp=clamp)
        )


def _cases_any(rng: np.random.Generator) -> Iterator[Case]:
    yield _case(rng, "1x1", (1, 3, 4, 5), (1, 1))
    yield _case(rng, "3x3", (2, 4, 15, 16), clamp=RELU)
    yield _case(rng, "5x5", (1, 3, 8, 33), (5, 5), clamp=RELU6)
    yield _case(rng, "whole image", (3, 1, 1, 70), (7, 5))
    yield _case(rng, "one row of a signal", (1, 1, 29, 9), (1, 9), strides=(1, 3))
    yield _case(rng, "one column of a signal", (1, 19, 1, 9), (4, 1), strides=(2, 1))
    yield _case(rng, "dilated", (1, 5, 6, 8), dilations=(2, 3))
    yield _case(rng, "one stride", (1, 5, 6, 8), strides=(2, 1))
    yield _case(rng, "gaps between pixels", (2, 3, 7, 6), (2, 4), strides=(1, 2), extra=2, clamp=(-0.5, 0.5))
    for clamp in ((-np.inf, np.inf), RELU, RELU6, (-np.inf, 1.0)):
        yield _odd_values(_case(rng, f"NaN and infinity, clamped to {clamp}", (1, 3, 4, 4), clamp=clamp))


def _cases_five(rng: np.random.Generator, *, stride: int) -> Iterator[Case]:
    strides = (stride, stride)
    yield _case(rng, "one tile", (1, 1, 7, 5), (5, 5), strides=strides)
    for cols in (8, 13, 14, 15):
        yield _case(rng, f"{cols} columns", (1, 3, cols, 20), (5, 5), strides=strides, clamp=RELU6)
    yield _case(rng, "one row of taps", (2, 4, 9, 16), (1, 5), strides=strides, clamp=RELU)
    yield _case(rng, "rows of another stride", (2, 4, 9, 16), (3, 5), strides=(3, stride), dilations=(2, 1))
    yield _case(rng, "channels beyond two registers", (1, 2, 7, 147), (5, 5), strides=strides)
    yield _case(rng, "gaps between pixels", (2, 3, 11, 6), (5, 5), strides=strides, extra=3, clamp=(-0.5, 0.5))
    for clamp in ((-np.inf, np.inf), RELU, RELU6, (-np.inf, 1.0)):
        yield _odd_values(
            _case(rng, f"NaN and infinity, clamped to {clamp}", (1, 2, 8, 4), (5, 5), strides=strides, clamp=clamp)
        )


def _row(name: str, **other: object) -> Kernel:
    fields: dict[str, object] = {
        "family": "dwconv",
        "source": "dwconv.c",
        "args": "pf_dwconv_args",
        "buffers": ("x", "w", "bias", "y"),
        "meaning": _meaning,
        "ulp": 8.0,
    }
    return Kernel(name, **(fields | other))  # type: ignore[arg-type]


def _sliding() -> Iterator[Kernel]:
    for tile in (2, 3, 4, 5, 6):
        yield _row(
            f"f32_dwconv_3x3s1_{tile}x1v__rvv",
            cases=partial(_cases_stride1, tile=tile),
            supports=partial(_supports, tile=tile, stride=1),
            cost=partial(_cost_stride1, tile=tile),
        )
    for stride in (1, 2):
        yield _row(
            f"f32_dwconv_5x5s{stride}_7x2v__rvv",
            cases=partial(_cases_five, stride=stride),
            supports=partial(_supports_five, stride=stride),
            cost=partial(_cost_five, stride=stride),
        )
    yield _row(
        "f32_dwconv_3x3s2_1x2v__rvv",
        cases=_cases_stride2,
        supports=partial(_supports, tile=1, stride=2),
        cost=_cost_stride2,
    )


KERNELS = (
    *_sliding(),
    _row("f32_dwconv_2v__rvv", cases=_cases_any, cost=_cost_any),
    _row("f32_dwconv__scalar", cases=_cases_any, cost=_cost_scalar),
)
