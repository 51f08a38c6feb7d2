"""Convolution 3x3 and maximum pool 2x2 in one kernel in int8, channels first, for few input channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.qrows import round_s8
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

# Slots, as counted, besides the vector operations: of one vector of results of three output channels, of the weights
# of one of several input channels there, of an output channel if there is one input channel, and of a row of the image
# that is split.
_TILE, _PLANE, _OUTPUT, _SPLIT = 66.0, 115.0, 25.0, 30.0


def args(
    batch: int,
    channels: int,
    in_rows: int,
    in_cols: int,
    n: int,
    *,
    x_zero: int = 0,
    zero: int = 0,
    lo: int = -128,
    hi: int = 127,
) -> dict[str, Value]:
    """Arguments for dense tensors: x [batch, channels, in_rows, in_cols], y [batch, n, in_rows//2, in_cols//2]."""
    rows, cols = in_rows // 2, in_cols // 2
    return {
        "batch": batch, "channels": channels, "in_rows": in_rows, "in_cols": in_cols, "n": n,
        "x_batch_stride": channels * in_rows * in_cols, "x_channel_stride": in_rows * in_cols,
        "x_row_stride": in_cols, "y_batch_stride": n * rows * cols, "y_channel_stride": rows * cols,
        "y_row_stride": cols, "x_zero": x_zero, "zero": zero, "lo": lo, "hi": hi,
    }  # fmt: skip


def scratch_bytes(args: ArgValues) -> int:
    """Size of the scratch buffer: one image with its frame, split into even and odd columns."""
    a = _ints(args)
    return 2 * a["channels"] * (a["in_rows"] // 2 * 2 + 2) * 2 * (a["in_cols"] // 2 + 1)


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    a = _ints(args)
    x, w, bias, scale, y, _ = buffers
    out = y.copy()
    rows, cols = a["in_rows"] // 2, a["in_cols"] // 2
    k, r, c = np.ogrid[: a["channels"], : a["in_rows"], : a["in_cols"]]
    o, pr, pc = np.ogrid[: a["n"], :rows, :cols]
    w = w.reshape(a["n"], a["channels"], 3, 3).astype(np.int64)
    for image in range(a["batch"]):
        start = image * a["x_batch_stride"]
        dense = x[start + k * a["x_channel_stride"] + r * a["x_row_stride"] + c].astype(np.int64)
        padded = np.pad(dense, ((0, 0), (1, 1), (1, 1)), constant_values=a["x_zero"])
        sums = bias.astype(np.int64)[:, None, None] + sum(
            np.einsum("ok,krc->orc", w[:, :, i, j], padded[:, i : i + a["in_rows"], j : j + a["in_cols"]])
            for i in range(3)
            for j in range(3)
        )
        result = round_s8(sums.astype(np.float32) * scale[:, None, None], a["zero"], a["lo"], a["hi"])
        result = result[:, : 2 * rows, : 2 * cols].reshape(a["n"], rows, 2, cols, 2).max(axis=(2, 4))
        out[image * a["y_batch_stride"] + o * a["y_channel_stride"] + pr * a["y_row_stride"] + pc] = result
    return {4: out}


def _supports(args: ArgValues, _target: Target, *, channels: int) -> bool:
    return not channels or args["channels"] == channels


def _cost(args: ArgValues, target: Target, *, lmul: int, one: bool) -> float:
    a = _ints(args)
    rows, cols, planes = a["in_rows"] // 2, a["in_cols"] // 2, a["channels"]
    if not lmul:
        return a["batch"] * rows * cols * a["n"] * (60.0 + 170.0 * planes)
    chunks = ceil(cols / (lmul * target.lanes))
    if one:
        tiles = 40.0 + a["n"] * (43.0 * lmul + _OUTPUT)
    else:
        per_pass = _TILE + planes * (32.0 + _PLANE)
        tiles = ceil(a["n"] / 3) * per_pass + a["n"] * ((36.0 * planes + 11.0) * lmul + 8.0)
    split = planes * a["in_rows"] * (_SPLIT + ceil(a["in_cols"] / (8 * target.lanes)) * 18.0)
    return a["batch"] * (rows * chunks * tiles + split)


def _case(rng: np.random.Generator, label: str, gap: int = 0, *, extreme: bool = False, **given: int) -> Case:
    """``gap`` elements lie between rows, and more between planes."""
    values = args(**given)
    a = _ints(values)
    x_row, y_row = a["in_cols"] + gap, a["in_cols"] // 2 + gap
    x_plane, y_plane = a["in_rows"] * x_row + gap, a["in_rows"] // 2 * y_row + gap
    values |= {"x_row_stride": x_row, "x_channel_stride": x_plane, "x_batch_stride": a["channels"] * x_plane}
    values |= {"y_row_stride": y_row, "y_channel_stride": y_plane, "y_batch_stride": a["n"] * y_plane}
    n, depth = a["n"], a["channels"] * 9
    x = rng.integers(-128, 128, a["batch"] * a["channels"] * x_plane).astype(np.int8)
    w = rng.integers(-128, 128, n * depth).astype(np.int8)
    if extreme:
        x[:], w[:] = -128, -128
    bias = rng.normal(0, 3000 * np.sqrt(depth), n).astype(np.int32)
    scale = (rng.uniform(50, 90, n) / (5400 * np.sqrt(depth))).astype(np.float32)
    y = rng.integers(-128, 128, a["batch"] * n * y_plane).astype(np.int8)
    scratch = np.full(scratch_bytes(values) // 2, 0x5555, np.int16)
    return Case(label, values, (x, w, bias, scale, y, scratch), (4,))


def _cases(rng: np.random.Generator, *, channels: int) -> Iterator[Case]:
    several = channels or 3
    yield _case(rng, "28x28, 8 outputs", batch=1, channels=1, in_rows=28, in_cols=28, n=8, x_zero=-128, lo=-7)
    yield _case(rng, "odd sizes", batch=2, channels=several, in_rows=9, in_cols=13, n=3, x_zero=5, zero=-9)
    yield _case(rng, "odd columns", batch=1, channels=several, in_rows=4, in_cols=7, n=4, lo=-100, hi=99)
    yield _case(rng, "odd rows", batch=1, channels=several, in_rows=5, in_cols=6, n=2, x_zero=127)
    yield _case(rng, "gaps", gap=3, batch=2, channels=several, in_rows=8, in_cols=10, n=5, zero=-128)
    yield _case(rng, "wide", batch=1, channels=several, in_rows=3, in_cols=151, n=1, zero=127)
    yield _case(rng, "smallest", batch=1, channels=several, in_rows=2, in_cols=2, n=7)
    yield _case(rng, "extremes", batch=1, channels=several, in_rows=6, in_cols=9, n=4, x_zero=-128, extreme=True)
    if not channels:
        yield _case(rng, "two inputs", batch=1, channels=2, in_rows=6, in_cols=20, n=4, x_zero=1)


def _row(name: str, lmul: int, channels: int) -> Kernel:
    return Kernel(
        name=name,
        family="qconvpool",
        source="qconvpool.c",
        args="pf_qconvpool_args",
        buffers=("x", "w", "bias", "scale", "y", "scratch"),
        meaning=_meaning,
        cases=partial(_cases, channels=channels),
        supports=partial(_supports, channels=channels),
        cost=partial(_cost, lmul=lmul, one=channels == 1),
    )


KERNELS = (
    _row("qs8_qc8w_convpool_c1_3x2v__rvv", 2, 1),
    _row("qs8_qc8w_convpool_c1_3x1v__rvv", 1, 1),
    _row("qs8_qc8w_convpool_3x2v__rvv", 2, 0),
    _row("qs8_qc8w_convpool_3x1v__rvv", 1, 0),
    _row("qs8_qc8w_convpool_1x1__scalar", 0, 0),
)
