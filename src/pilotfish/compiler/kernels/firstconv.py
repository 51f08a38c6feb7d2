"""Direct convolution of few input channels, f32, vectors along the output channels, of planes or channels-last images.

``f32_firstconv_3s2_6x4v__rvv`` takes 3 taps in a row, with stride 2, for 6 pixels at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.igemm import clamped
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

CHANNELS_MAX = 4
"""Input channels up to which these kernels are offered; they are right for any number."""

# Slots besides loads and multiplies, as counted: of a call, of a row of pixels, of a tile, of a tile's row of taps, and
# of each input channel there.
_CALL, _ROW, _TILE, _TAP_ROW, _CHANNEL = 120.0, 14.0, 26.0, 7.0, 3.0


@dataclass(frozen=True)
class _Shape:
    """What one vector kernel takes."""

    taps: int
    stride: int
    pixels: int
    lmul: int

    @property
    def name(self) -> str:
        return f"f32_firstconv_{self.taps}s{self.stride}_{self.pixels}x{self.lmul}v__rvv"


_SHAPES = (
    _Shape(3, 1, 7, 4),
    _Shape(3, 1, 12, 2),
    _Shape(3, 1, 11, 2),
    _Shape(3, 1, 24, 1),
    _Shape(3, 2, 6, 4),
    _Shape(3, 2, 7, 4),
    _Shape(3, 2, 12, 2),
    _Shape(3, 2, 24, 1),
    _Shape(4, 2, 5, 4),
    _Shape(7, 2, 6, 4),
)


def pack(weights: Array, nb: int) -> Array:
    """Weights f32[n, channels, taps_y, taps_x] as [ceil(n / nb), taps_y, channels, taps_x, nb], padded with zeros."""
    n, channels, taps_y, taps_x = weights.shape
    padded = np.zeros((ceil(n / nb) * nb, channels, taps_y, taps_x), weights.dtype)
    padded[:n] = weights
    blocks = padded.reshape(-1, nb, channels, taps_y, taps_x)
    return np.ascontiguousarray(blocks.transpose(0, 3, 2, 4, 1))


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _places(a: Mapping[str, int]) -> Array:
    """Offsets in x, int64 [batch, rows, cols, taps_y, channels, taps_x]."""
    sizes = ("batch", "rows", "cols", "taps_y", "channels", "taps_x")
    strides = ("x_batch", "x_row", "x_col", "x_tap_y", "x_channel", "x_tap_x")
    axes = np.ogrid[tuple(slice(a[size]) for size in sizes)]
    return np.asarray(sum(axis * a[f"{stride}_stride"] for axis, stride in zip(axes, strides, strict=True)))


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    a = _ints(args)
    x, w, bias = (buffer.astype(np.float64) for buffer in buffers[:3])
    y = buffers[3].astype(np.float64)
    inputs = x[_places(a)].reshape(a["batch"], a["rows"], a["cols"], -1)
    weights = w.reshape(-1, inputs.shape[-1], a["nb"]).transpose(1, 0, 2).reshape(inputs.shape[-1], -1)
    b, r, c, j = np.ogrid[: a["batch"], : a["rows"], : a["cols"], : a["n"]]
    to = b * a["y_batch_stride"] + r * a["y_row_stride"] + c * a["y_col_stride"] + j
    y[to] = clamped(inputs @ weights[:, : a["n"]] + bias, args)
    return {3: y}


def _supports(args: ArgValues, _target: Target, *, shape: _Shape) -> bool:
    a = _ints(args)
    return (
        a["taps_x"] == shape.taps
        and a["x_col_stride"] == shape.stride * a["x_tap_x_stride"]
        and a["cols"] >= shape.pixels
    )


def _cost(args: ArgValues, target: Target, *, shape: _Shape) -> float:
    a = _ints(args)
    lmul, pixels, taps = shape.lmul, shape.pixels, shape.taps
    inputs = (pixels - 1) * shape.stride + taps
    if a["x_tap_x_stride"] not in (1, 3):
        inputs *= 2  # their addresses are no constants
    step = taps * (pixels * lmul + lmul + 1) + inputs + _CHANNEL
    clamps = sum(bool(np.isfinite(args[limit])) for limit in ("lo", "hi"))
    tile = a["taps_y"] * (a["channels"] * step + _TAP_ROW) + pixels * (lmul * (2 + clamps) + 1) + lmul + _TILE
    longest = lmul * target.lanes
    whole, rest = divmod(a["n"], a["nb"])
    chunks = whole * ceil(a["nb"] / longest) + ceil(rest / longest)
    return _CALL + chunks * a["batch"] * a["rows"] * (_ROW + ceil(a["cols"] / pixels) * tile)


def _scalar_cost(args: ArgValues, _target: Target) -> float:
    a = _ints(args)
    depth = a["taps_y"] * a["taps_x"] * a["channels"]
    whole, rest = divmod(a["n"], a["nb"])
    quads, singles = whole * (a["nb"] // 4) + rest // 4, whole * (a["nb"] % 4) + rest % 4
    fours, ones = divmod(a["cols"], 4)
    # Instructions for each tap: loads, multiplies, and the loop's own, of 4 x 4, 1 x 4, 4 x 1 and 1 x 1 tiles.
    each = quads * (fours * 30 + ones * 12) + singles * (fours * 15 + ones * 6)
    return _CALL + a["batch"] * a["rows"] * (depth * each + (quads + singles) * (fours + ones) * 40.0)


def _case(
    rng: np.random.Generator,
    label: str,
    image: tuple[int, int, int, int],
    n: int,
    nb: int,
    taps: tuple[int, int],
    stride: int,
    *,
    planes: bool = False,
    gap: int = 0,
    clamp: tuple[float, float] = (-np.inf, np.inf),
) -> Case:
    """``image`` is [batch, rows, cols, channels] with its halo; ``gap`` elements lie between rows of both tensors."""
    batch, in_rows, in_cols, channels = image
    rows, cols = (in_rows - taps[0]) // stride + 1, (in_cols - taps[1]) // stride + 1
    col, channel = (1, in_rows * (in_cols + gap)) if planes else (channels, 1)
    row = in_cols * col + gap
    args: dict[str, Value] = {
        "batch": batch, "rows": rows, "cols": cols, "channels": channels, "taps_y": taps[0], "taps_x": taps[1],
        "n": n, "nb": nb, "x_batch_stride": channels * channel if planes else in_rows * row,
        "x_row_stride": stride * row, "x_col_stride": stride * col, "x_tap_y_stride": row, "x_tap_x_stride": col,
        "x_channel_stride": channel, "y_batch_stride": rows * (cols * n + gap), "y_row_stride": cols * n + gap,
        "y_col_stride": n, "lo": clamp[0], "hi": clamp[1],
    }  # fmt: skip
    size = int(_places(_ints(args)).max()) + 1
    weights = rng.standard_normal((n, channels, *taps)).astype(np.float32) / np.float32(
        np.sqrt(channels * np.prod(taps))
    )
    x, bias = rng.standard_normal(size).astype(np.float32), rng.standard_normal(n).astype(np.float32)
    y = rng.standard_normal(batch * rows * (cols * n + gap)).astype(np.float32)
    return Case(label, args, (x, pack(weights, nb).reshape(-1), bias, y), (3,))


def _cases(rng: np.random.Generator, *, shape: _Shape | None) -> Iterator[Case]:
    taps, stride, pixels, lmul = (shape.taps, shape.stride, shape.pixels, shape.lmul) if shape else (3, 2, 5, 1)
    nb = 8 * lmul

    def case(
        label: str, cols: int, n: int, channels: int = 3, *, batch: int = 1, rows: int = 5, **more: object
    ) -> Case:
        in_cols = (cols - 1) * stride + taps
        image = (batch, (rows - 1) * stride + min(taps, 3), in_cols, channels)
        return _case(rng, label, image, n, nb, (min(taps, 3), taps), stride, **more)  # type: ignore[arg-type]

    yield case("one tile, one block", pixels, nb)
    yield case("two tiles and a part, relu", 2 * pixels + 1, nb, batch=2, clamp=(0.0, np.inf))
    yield case("several blocks, the last a part", pixels + 2, 2 * nb + 3, clamp=(-1.0, 1.0))
    yield case("planes", 2 * pixels, nb, planes=True, batch=2, gap=3)
    yield case("one channel", pixels, nb - 1, 1)
    yield case("two channels side by side", pixels + 3, 5, 2, gap=7)
    yield case("four channels side by side", pixels, nb + 1, 4)
    yield case("four planes", 3 * pixels, nb, 4, planes=True, clamp=(-np.inf, 0.5))
    if not shape:
        yield _case(rng, "16 columns", (1, 7, 9, 3), 37, 32, (3, 3), 1)
        yield _case(rng, "5x2, stride 3", (2, 12, 11, 2), 9, 4, (5, 2), 3, planes=True)


def _row(name: str, shape: _Shape | None) -> Kernel:
    return Kernel(
        name=name,
        family="firstconv",
        source="firstconv.c",
        args="pf_firstconv_args",
        buffers=("x", "w", "bias", "y"),
        meaning=_meaning,
        cases=partial(_cases, shape=shape),
        supports=partial(_supports, shape=shape) if shape else _any,
        cost=partial(_cost, shape=shape) if shape else _scalar_cost,
        ulp=16.0,
    )


def _any(_args: ArgValues, _target: Target) -> bool:
    return True


KERNELS = (
    *(_row(shape.name, shape) for shape in _SHAPES),
    _row("f32_firstconv_4x4__scalar", None),
)
