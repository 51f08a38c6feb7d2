"""Direct convolution in int8 whose neighbouring pixels share inputs, for few output channels.

Where a vector of output channels holds few bytes, a product costs ``igemm`` a scalar load. Here pixels side by side
load an input once for all taps that it is, so ``qs8_qc8w_slideconv_3s1_11x2v__rvv`` loads 13 for 33 products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import numpy as np

from pilotfish.compiler.kernels.qrows import round_s8
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

STRIP = 8
"""Output rows whose inputs are in scratch memory at once: more need more memory, fewer are copied more often."""
_GATHER_LMUL, _INT8_A_LANE = 2, 4
_SLACK = 64

# Slots besides those of steps, as counted: of a call, of a strip and column chunk, of a row of pixels, of a tile, and
# of an input row that is copied.
_CALL, _CHUNK, _LINE, _TILE, _GATHER_ROW = 90.0, 75.0, 45.0, 24.0, 14.0


@dataclass(frozen=True)
class _Shape:
    """What one vector kernel takes."""

    taps: int
    stride: int
    pixels: int
    lmul: int

    @property
    def name(self) -> str:
        return f"qs8_qc8w_slideconv_{self.taps}s{self.stride}_{self.pixels}x{self.lmul}v__rvv"


_SHAPES = (
    *(_Shape(3, 1, pixels, 2) for pixels in (14, 12, 11, 8)),
    *(_Shape(3, 1, pixels, 4) for pixels in (6, 5, 4)),
    *(_Shape(3, 1, pixels, 1) for pixels in (24, 16)),
    *(_Shape(3, 2, pixels, 2) for pixels in (14, 12, 8)),
    *(_Shape(3, 2, pixels, 4) for pixels in (6, 5, 4)),
    *(_Shape(3, 2, pixels, 1) for pixels in (24, 16)),
    _Shape(4, 2, 5, 4),
)


def pack(weights: Array, nb: int) -> Array:
    """Weights s8[n, channels, taps_y, taps_x] as s16 [ceil(n / nb), taps_y, channels, taps_x, nb], flat.

    Padded with zeros, and by another ``taps_x * nb`` of them.
    """
    if weights.dtype != np.int8:
        raise TypeError(f"weights must be int8, not {weights.dtype}")
    n, channels, taps_y, taps_x = weights.shape
    padded = np.zeros((ceil(n / nb) * nb, channels, taps_y, taps_x), np.int16)
    padded[:n] = weights
    blocks = padded.reshape(-1, nb, channels, taps_y, taps_x).transpose(0, 3, 2, 4, 1)
    return np.concatenate([blocks.reshape(-1), np.zeros(taps_x * nb, np.int16)])


def scratch_bytes(args: ArgValues) -> int:
    """Size of the scratch buffer: the inputs of ``strip`` output rows."""
    a = _ints(args)
    rows = min(a["strip"], a["rows"])
    return _input_rows(a, rows) * a["channels"] * _pitch(a) + _SLACK


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _input_rows(a: Mapping[str, int], rows: int) -> int:
    return (rows - 1) * (a["x_row_stride"] // a["x_tap_y_stride"] if a["rows"] > 1 else 1) + a["taps_y"]


def _pitch(a: Mapping[str, int]) -> int:
    return (a["cols"] - 1) * (a["x_col_stride"] // a["x_tap_x_stride"]) + a["taps_x"]


def _places(a: Mapping[str, int]) -> Array:
    """Offsets in x, int64 [batch, rows, cols, taps_y, channels, taps_x]."""
    sizes = ("batch", "rows", "cols", "taps_y", "channels", "taps_x")
    strides = ("x_batch", "x_row", "x_col", "x_tap_y", "x_channel", "x_tap_x")
    axes = np.ogrid[tuple(slice(a[size]) for size in sizes)]
    return np.asarray(sum(axis * a[f"{stride}_stride"] for axis, stride in zip(axes, strides, strict=True)))


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    a = _ints(args)
    x, w, bias, scale, y, _ = buffers
    inputs = x[_places(a)].reshape(a["batch"], a["rows"], a["cols"], -1).astype(np.int64)
    depth = inputs.shape[-1]
    blocks = w[: ceil(a["n"] / a["nb"]) * a["nb"] * depth].reshape(-1, depth, a["nb"])
    weights = blocks.transpose(1, 0, 2).reshape(depth, -1)[:, : a["n"]].astype(np.int64)
    scaled = (inputs @ weights + bias).astype(np.float32) * scale
    b, r, c, j = np.ogrid[: a["batch"], : a["rows"], : a["cols"], : a["n"]]
    out = y.copy()
    to = b * a["y_batch_stride"] + r * a["y_row_stride"] + c * a["y_col_stride"] + j
    out[to] = round_s8(scaled, a["zero"], a["lo"], a["hi"])
    return {4: out}


def _supports(args: ArgValues, _target: Target, *, shape: _Shape) -> bool:
    a = _ints(args)
    return (
        a["taps_x"] == shape.taps
        and a["x_tap_x_stride"] > 0
        and a["x_col_stride"] == shape.stride * a["x_tap_x_stride"]
        and a["cols"] >= shape.pixels - 1
        and (a["rows"] == 1 or a["x_row_stride"] % a["x_tap_y_stride"] == 0)
    )


def _cost(args: ArgValues, target: Target, *, shape: _Shape) -> float:
    a = _ints(args)
    lmul, tall, taps = shape.lmul, shape.pixels, shape.taps
    half, quarter = max(lmul // 2, 1), max(lmul // 4, 1)
    tiles = ceil(a["cols"] / tall)
    taller = max(a["cols"] - tiles * (tall - 1), 0)
    clamps = (a["lo"] > -128) + (a["hi"] < 127)
    line = 0.0
    for pixels, number in ((tall, taller), (tall - 1, tiles - taller)):
        inputs = (pixels - 1) * shape.stride + taps
        step = inputs + taps * (pixels * lmul + half + 1) + 2
        last = 4 * lmul + half + quarter * (2 + clamps) + 1
        line += number * (a["taps_y"] * a["channels"] * step + pixels * last + _TILE + lmul)
    longest = lmul * target.lanes
    whole, rest = divmod(a["n"], a["nb"])
    chunks = whole * ceil(a["nb"] / longest) + ceil(rest / longest)
    gather_lanes = _GATHER_LMUL * _INT8_A_LANE * target.lanes
    total = _CALL
    for first in range(0, a["rows"], a["strip"]):
        rows = min(a["strip"], a["rows"] - first)
        gathered = _GATHER_ROW + ceil(_pitch(a) / gather_lanes) * (12 + a["channels"] * (3 + 2 * _GATHER_LMUL))
        total += _input_rows(a, rows) * gathered + chunks * (_CHUNK + rows * (_LINE + line))
    return a["batch"] * total


def _scalar_cost(args: ArgValues, _target: Target) -> float:
    a = _ints(args)
    pixels, depth = a["batch"] * a["rows"] * a["cols"], a["taps_y"] * a["taps_x"] * a["channels"]
    return float(100 + pixels * a["n"] * (depth * 10.4 + 110))


def _case(
    rng: np.random.Generator,
    label: str,
    image: tuple[int, int, int, int],
    n: int,
    nb: int,
    taps: tuple[int, int],
    stride: int,
    *,
    dilation: tuple[int, int] = (1, 1),
    strip: int = STRIP,
    planes: bool = False,
    gap: int = 0,
    extreme: bool = False,
    **more: int,
) -> Case:
    """``image`` is [batch, rows, cols, channels] with its halo; ``gap`` elements lie between rows of both tensors."""
    batch, in_rows, in_cols, channels = image
    rows = (in_rows - (taps[0] - 1) * dilation[0] - 1) // (stride * dilation[0]) + 1
    cols = (in_cols - (taps[1] - 1) * dilation[1] - 1) // (stride * dilation[1]) + 1
    col, channel = (1, in_rows * (in_cols + gap)) if planes else (channels, 1)
    row = in_cols * col + gap
    args: dict[str, Value] = {
        "batch": batch, "rows": rows, "cols": cols, "channels": channels, "taps_y": taps[0], "taps_x": taps[1],
        "n": n, "nb": nb, "strip": strip, "x_batch_stride": channels * channel if planes else in_rows * row,
        "x_row_stride": stride * dilation[0] * row, "x_col_stride": stride * dilation[1] * col,
        "x_tap_y_stride": dilation[0] * row, "x_tap_x_stride": dilation[1] * col, "x_channel_stride": channel,
        "y_batch_stride": rows * (cols * n + gap), "y_row_stride": cols * n + gap, "y_col_stride": n,
        "zero": int(rng.integers(-128, 128)), "lo": -128, "hi": 127, **more,
    }  # fmt: skip
    a = _ints(args)
    depth = channels * taps[0] * taps[1]
    x = rng.integers(-128, 128, int(_places(a).max()) + 1).astype(np.int8)
    weights = rng.integers(-128, 128, (n, channels, *taps)).astype(np.int8)
    if extreme:
        x[:], weights[:] = -128, -128
    spread = 74.0 * 74.0 * np.sqrt(depth)
    bias = rng.normal(0, spread, n).astype(np.int32)
    scale = (rng.uniform(50, 90, n) / spread).astype(np.float32)
    y = rng.integers(-128, 128, batch * rows * (cols * n + gap)).astype(np.int8)
    scratch = rng.integers(-128, 128, scratch_bytes(args)).astype(np.int8)
    return Case(label, args, (x, pack(weights, nb), bias, scale, y, scratch), (4,))


def _cases(rng: np.random.Generator, *, shape: _Shape | None) -> Iterator[Case]:
    taps, stride, pixels, lmul = (shape.taps, shape.stride, shape.pixels, shape.lmul) if shape else (3, 2, 5, 1)
    nb = 8 * lmul

    def case(
        label: str,
        cols: int,
        n: int,
        channels: int = 3,
        *,
        batch: int = 1,
        rows: int = 5,
        dilation: tuple[int, int] = (1, 1),
        **more: Any,
    ) -> Case:
        in_cols = ((cols - 1) * stride + taps - 1) * dilation[1] + 1
        in_rows = ((rows - 1) * stride + min(taps, 3) - 1) * dilation[0] + 1
        image = (batch, in_rows, in_cols, channels)
        return _case(rng, label, image, n, nb, (min(taps, 3), taps), stride, dilation=dilation, **more)

    yield case("one tall tile, one block", pixels, nb)
    yield case("one lower tile", pixels - 1, nb, lo=-20)
    yield case("tall and lower tiles", 3 * pixels - 1, nb, hi=30)
    yield case("the last tile begins earlier", 2 * (pixels - 1) - 1, nb, batch=2, lo=-128, hi=90)
    yield case("several blocks, the last a part", 2 * pixels - 1, 2 * nb + 3, lo=-100, hi=100)
    yield case("two strips and a part", pixels, nb, 2, rows=7, strip=3)
    yield case("one row", 2 * pixels, nb, 5, rows=1)
    yield case("planes", 2 * pixels, nb, planes=True, batch=2, gap=3)
    yield case("one channel", pixels, nb - 1, 1)
    yield case("gaps and many channels", pixels + 3 if pixels > 4 else pixels, 5, 37, gap=7)
    yield case("dilated", pixels, nb, 3, dilation=(2, 3))
    yield case("wide", 8 * pixels, nb, 2, rows=2)
    yield case("extremes", pixels, nb, 64, rows=1, extreme=True)
    yield _case(rng, "16 columns", (1, 5 + stride, stride * pixels + taps - 1, 3), 37, 16, (2, taps), stride)
    if not shape:
        yield _case(rng, "5x2, stride 3", (2, 12, 11, 2), 9, 4, (5, 2), 3, planes=True)


def _row(name: str, shape: _Shape | None) -> Kernel:
    return Kernel(
        name=name,
        family="qslideconv",
        source="qslideconv.c",
        args="pf_qslideconv_args",
        buffers=("x", "w", "bias", "scale", "y", "scratch"),
        meaning=_meaning,
        cases=partial(_cases, shape=shape),
        supports=partial(_supports, shape=shape) if shape else _any,
        cost=partial(_cost, shape=shape) if shape else _scalar_cost,
    )


def _any(_args: ArgValues, _target: Target) -> bool:
    return True


KERNELS = (
    *(_row(shape.name, shape) for shape in _SHAPES),
    _row("qs8_qc8w_slideconv_1x8__scalar", None),
)
