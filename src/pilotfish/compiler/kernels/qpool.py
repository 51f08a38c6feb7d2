"""Maximum and mean pools over channels-last images, int8, vectors along the channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels import qrows
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

# Slots of a call and of a window, as counted.
_CALL, _WINDOW = 120.0, 79.0


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
    inside = ((down >= 0) & (down < a["in_rows"]) & (across >= 0) & (across < a["in_cols"]))[..., None]
    counted = (
        (down >= -a["counted_top"])
        & (down < a["in_rows"] + a["counted_bottom"])
        & (across >= -a["counted_left"])
        & (across < a["in_cols"] + a["counted_right"])
    ).sum(axis=(2, 3))[..., None]
    for image in range(a["batch"]):
        places = image * a["x_batch_stride"] + down * a["x_row_stride"] + across * a["x_col_stride"]
        values = x[np.where(inside[..., 0], places, 0)[..., None] + lanes].astype(np.int64)
        if mean:
            total = np.where(inside, values - a["x_zero"], 0).sum(axis=(2, 3))
            scale = np.where(counted > 0, np.float32(qrows.number(args, "factor")) / np.maximum(counted, 1), 0)
            product = total.astype(np.float32) * scale.astype(np.float32)
            result = qrows.round_s8(product, a["y_zero"], a["lo"], a["hi"])
        else:
            result = np.where(inside, values, -128).max(axis=(2, 3)).clip(a["lo"], a["hi"]).astype(np.int8)
        rows, cols = np.arange(a["rows"])[:, None], np.arange(a["cols"])
        to = image * a["y_batch_stride"] + rows * a["y_row_stride"] + cols * a["y_col_stride"]
        y[to[..., None] + lanes] = result
    return {1: y}


def _cost(args: ArgValues, target: Target, *, lmul: int, mean: bool) -> float:
    """``lmul``: of the accumulators, i8 for a maximum, i32 for a mean."""
    a = _ints(args)
    windows, taps = a["batch"] * a["rows"] * a["cols"], a["taps_y"] * a["taps_x"]
    if not lmul:
        return windows * (_WINDOW + taps * a["channels"] * 4.0)
    lanes = lmul * target.vlen // (32 if mean else 8)
    if mean:
        tap, row, chunk = max(1.0, lmul / 4) + lmul / 2 + 4.0, 18.0, 6.75 * lmul + 15.0
    else:
        tap, row, chunk = 2 * lmul + 3.0, 6.0, lmul + 23.0
    chunks = ceil(a["channels"] / lanes)
    return _CALL + windows * (_WINDOW + chunks * (chunk + a["taps_y"] * row + taps * tap))


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
    zeros: tuple[int, int] = (0, 0),
    factor: float = 1.0,
    clamp: tuple[int, int] = (-128, 127),
    low: bool = False,
) -> Case:
    """``pads`` and ``counted`` are top, left, bottom, right; ``extra`` widens the gaps of both images; ``low`` makes
    all inputs -128."""
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
        "x_zero": zeros[0], "y_zero": zeros[1], "factor": float(np.float32(factor)), "lo": clamp[0], "hi": clamp[1],
    }  # fmt: skip
    x = rng.integers(-128, -127 if low else 128, batch * in_rows * x_row).astype(np.int8)
    y = rng.integers(-128, 128, batch * rows * y_row).astype(np.int8)
    return Case(label, args, (x, y), (1,))


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    two, around = (2, 2), (1, 1, 1, 1)
    yield _case(rng, "2x2", (2, 8, 6, 16), (2, 2), strides=two)  # many ties in means
    yield _case(rng, "3x3 padded", (1, 9, 11, 37), (3, 3), strides=two, pads=around, zeros=(-128, 127), factor=0.9)
    yield _case(rng, "3x3 padding counted", (1, 7, 7, 5), (3, 3), pads=around, counted=around, zeros=(7, -30))
    yield _case(rng, "whole image", (2, 7, 5, 130), (7, 5), zeros=(-12, 5), factor=2.7)
    yield _case(rng, "whole image of one channel", (3, 4, 5, 1), (4, 5), zeros=(127, 0))
    yield _case(rng, "more than 256 taps", (1, 20, 15, 20), (20, 15), zeros=(127, 0), low=True, factor=0.4)
    yield _case(rng, "a long signal", (1, 1, 700, 9), (1, 600), strides=(1, 50), zeros=(-128, -128))
    yield _case(rng, "one row of a signal", (1, 1, 30, 9), (1, 5), strides=(1, 3), pads=(0, 2, 0, 1), zeros=(1, 1))
    yield _case(rng, "dilated", (1, 11, 12, 8), (3, 2), dilations=(2, 3), pads=(2, 1, 2, 1), counted=(0, 1, 2, 0))
    yield _case(rng, "gaps between pixels", (2, 6, 5, 7), (3, 2), strides=(2, 1), pads=(1, 0, 1, 1), extra=3)
    yield _case(rng, "window in the padding", (1, 3, 3, 4), (2, 2), strides=two, pads=(2, 2, 2, 2), zeros=(9, -9))
    yield _case(rng, "clamped", (1, 6, 6, 20), (2, 2), strides=two, clamp=(-25, 50))


def _rows() -> Iterator[Kernel]:
    for op, lmuls in (("maxpool", (2, 1, 0)), ("avgpool", (8, 4, 2, 0))):
        for lmul in lmuls:
            mean = op == "avgpool"
            yield Kernel(
                name=f"qs8_{op}_{lmul}v__rvv" if lmul else f"qs8_{op}__scalar",
                family=f"q{op}",
                source="qpool.c",
                args="pf_qpool_args",
                buffers=("x", "y"),
                meaning=partial(_meaning, mean=mean),
                cases=_cases,
                cost=partial(_cost, lmul=lmul, mean=mean),
            )


KERNELS = tuple(_rows())
