"""Maximum and mean pools over channels-last images, f32, vectors along the channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

# Slots of a window, of a vector's share of it, and of a tap besides the vector operations, as counted.
_WINDOW, _CHUNK, _TAP = 65.0, 16.0, 5.0


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _taps(outputs: int, stride: int, pad: int, taps: int, dilation: int) -> Array:
    """Input positions [outputs, taps] along one axis."""
    return np.arange(outputs)[:, None] * stride - pad + np.arange(taps) * dilation


def _meaning(args: ArgValues, buffers: Sequence[Array], *, mean: bool) -> Mapping[int, Array]:
    a = _ints(args)
    lanes = np.arange(a["channels"])
    x, y = buffers[0], buffers[1].copy()
    down = _taps(a["rows"], a["stride_y"], a["pad_top"], a["taps_y"], a["dilation_y"])[:, None, :, None]
    across = _taps(a["cols"], a["stride_x"], a["pad_left"], a["taps_x"], a["dilation_x"])[None, :, None, :]
    inside = (down >= 0) & (down < a["in_rows"]) & (across >= 0) & (across < a["in_cols"])
    counted = (
        (down >= -a["counted_top"])
        & (down < a["in_rows"] + a["counted_bottom"])
        & (across >= -a["counted_left"])
        & (across < a["in_cols"] + a["counted_right"])
    )
    for image in range(a["batch"]):
        places = image * a["x_batch_stride"] + down * a["x_row_stride"] + across * a["x_col_stride"]
        values = x[np.where(inside, places, 0)[..., None] + lanes].astype(np.float64)
        if mean:
            total = np.where(inside[..., None], values, 0.0).sum(axis=(2, 3))
            result = total / np.maximum(counted.sum(axis=(2, 3)), 1)[..., None]
        else:
            result = np.where(inside[..., None], values, -np.inf).max(axis=(2, 3))
        rows, cols = np.arange(a["rows"])[:, None], np.arange(a["cols"])
        to = image * a["y_batch_stride"] + rows * a["y_row_stride"] + cols * a["y_col_stride"]
        y[to[..., None] + lanes] = np.clip(result, args["lo"], args["hi"])
    return {1: y}


def _cost(args: ArgValues, target: Target, *, lmul: int) -> float:
    a = _ints(args)
    windows, taps = a["batch"] * a["rows"] * a["cols"], a["taps_y"] * a["taps_x"]
    if not lmul:
        return windows * (_WINDOW + taps * a["channels"] * 4.0)
    chunks = ceil(a["channels"] / (lmul * target.lanes))
    return windows * (_WINDOW + chunks * (_CHUNK + lmul + taps * (2 * lmul + _TAP)))


def _case(
    rng: np.random.Generator,
    label: str,
    image: tuple[int, int, int, int],
    taps: tuple[int, int],
    *,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    counted: tuple[int, int, int, int] = (0, 0, 0, 0),
    extra: int = 0,
    clamp: tuple[float, float] = (-np.inf, np.inf),
) -> Case:
    """``pads`` and ``counted`` are top, left, bottom, right; ``extra`` widens the gaps of both images."""
    batch, in_rows, in_cols, channels = image
    (top, left, bottom, right) = pads
    rows, cols = (
        (size + pad - (tap - 1) * dilation - 1) // stride + 1
        for size, pad, tap, dilation, stride in zip(
            (in_rows, in_cols), (top + bottom, left + right), taps, dilations, strides, strict=True
        )
    )
    x_col, y_col = channels + extra, channels + 2 * extra
    x_row, y_row = in_cols * x_col + extra, cols * y_col + extra
    args: dict[str, Value] = {
        "batch": batch, "rows": rows, "cols": cols, "channels": channels, "in_rows": in_rows, "in_cols": in_cols,
        "taps_y": taps[0], "taps_x": taps[1], "stride_y": strides[0], "stride_x": strides[1],
        "dilation_y": dilations[0], "dilation_x": dilations[1], "pad_top": top, "pad_left": left,
        "counted_top": counted[0], "counted_left": counted[1],
        "counted_bottom": counted[2], "counted_right": counted[3],
        "x_batch_stride": in_rows * x_row, "x_row_stride": x_row, "x_col_stride": x_col,
        "y_batch_stride": rows * y_row, "y_row_stride": y_row, "y_col_stride": y_col,
        "lo": clamp[0], "hi": clamp[1],
    }  # fmt: skip
    x = rng.standard_normal(batch * in_rows * x_row).astype(np.float32)
    y = rng.standard_normal(batch * rows * y_row).astype(np.float32)
    return Case(label, args, (x, y), (1,))


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    yield _case(rng, "2x2", (2, 8, 6, 16), (2, 2), strides=(2, 2))
    yield _case(rng, "3x3 padded", (1, 9, 11, 37), (3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    yield _case(rng, "3x3 padding counted", (1, 7, 7, 5), (3, 3), pads=(1, 1, 1, 1), counted=(1, 1, 1, 1))
    yield _case(rng, "whole image", (2, 7, 5, 130), (7, 5))
    yield _case(rng, "whole image of one channel", (3, 4, 5, 1), (4, 5))
    yield _case(rng, "one row of a signal", (1, 1, 30, 9), (1, 5), strides=(1, 3), pads=(0, 2, 0, 1))
    yield _case(rng, "dilated", (1, 11, 12, 8), (3, 2), dilations=(2, 3), pads=(2, 1, 2, 1), counted=(0, 1, 2, 0))
    yield _case(rng, "gaps between pixels", (2, 6, 5, 7), (3, 2), strides=(2, 1), pads=(1, 0, 1, 1), extra=3)
    yield _case(rng, "window in the padding", (1, 3, 3, 4), (2, 2), strides=(2, 2), pads=(2, 2, 2, 2))
    yield _case(rng, "clamped", (1, 6, 6, 20), (2, 2), strides=(2, 2), clamp=(-0.25, 0.5))


def _rows(isa: str) -> Iterator[Kernel]:
    for op, mean in (("maxpool", False), ("avgpool", True)):
        for lmul in (4, 2, 1) if isa == "rvv" else (0,):
            yield Kernel(
                name=f"f32_{op}_{lmul}v__rvv" if lmul else f"f32_{op}__scalar",
                family=op,
                source="pool.c",
                args="pf_pool_args",
                buffers=("x", "y"),
                meaning=partial(_meaning, mean=mean),
                cases=_cases,
                cost=partial(_cost, lmul=lmul),
                ulp=8.0 if mean else 0.0,
            )


KERNELS = tuple(row for isa in ("rvv", "scalar") for row in _rows(isa))
