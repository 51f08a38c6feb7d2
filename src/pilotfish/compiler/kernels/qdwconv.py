"""Depthwise convolutions over channels-last images, int8, vectors along channels, or along pixels and channels.

The 3x3 kernels slide along one direction of the picture and keep nine weights, bias, scale and the sums in progress in
registers. Products of two inputs, or of three where the weights prove that exact, are added in int16. Where pixels lie
side by side and the stride is 1, a row of pixels may be the channels of one wide pixel (:func:`layouts`): then no
lane is idle if there are few channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, lcm

import numpy as np

from pilotfish.compiler.kernels import table
from pilotfish.compiler.kernels.qigemm import fits
from pilotfish.compiler.kernels.qrows import round_s8
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target


@dataclass(frozen=True)
class Packed:
    """Arguments and the constant buffers for them: ``w`` int8, ``bias`` int32, ``scale`` float32."""

    args: ArgValues
    w: Array
    bias: Array
    scale: Array


def layouts(window: ArgValues, target: Target) -> Iterator[dict[str, Value]]:
    """All arguments for one convolution, for ``table.pick`` and :func:`pack`; the cheapest is to be taken.

    ``window`` has the members of ``pf_qdwconv_args`` up to the strides, and ``zero``, ``lo`` and ``hi``.
    """
    a = _ints(window)
    wide = a["x_col_stride"] == a["y_col_stride"] == a["channels"] and a["cols"] > 1
    widths = (4 * target.lanes, 2 * target.lanes) if target.isa == "rvv" else (a["channels"],)
    for nb in widths:
        for turned in (0, 1):
            yield _layout(a, nb, turned, fold=False)
        if wide and target.isa == "rvv":
            yield _layout(a, nb, 1, fold=True)


def _layout(a: Mapping[str, int], nb: int, turned: int, *, fold: bool) -> dict[str, Value]:
    shape = {"cols": 1, "channels": a["cols"] * a["channels"]} if fold else {}
    blocks = ceil((a["cols"] if fold else 1) * a["channels"] / nb)
    period = min(blocks, lcm(a["channels"], nb) // nb)
    return {**a, **shape, "nb": nb, "w_blocks": period, "turned": turned, "pairs": 1, "triples": period}


def choose(window: ArgValues, target: Target) -> tuple[Kernel, dict[str, Value]]:
    """The cheapest kernel and layout, if all sums of three products fit int16."""
    found = []
    for args in layouts(window, target):
        kernel = table.pick("qdwconv", args, target)
        if kernel:
            found.append((kernel.cost(args, target), kernel, args))
    return min(found, key=lambda each: each[0])[1:]


def pack(weights: Array, bias: Array, scale: Array, args: ArgValues) -> Packed:
    """Weights s8[channels, 1, taps_y, taps_x], bias i32[channels], scale f32[channels] for arguments of a layout.

    The arguments returned know what the weights allow: the kernel is to be picked for them.
    """
    a = _ints(args)
    taps_y, taps_x, nb, blocks = a["taps_y"], a["taps_x"], a["nb"], a["w_blocks"]
    if weights.dtype != np.int8 or weights.shape[1:] != (1, taps_y, taps_x) or a["channels"] % len(weights):
        raise TypeError(f"weights must be int8 [channels, 1, {taps_y}, {taps_x}], not {weights.dtype} {weights.shape}")
    lanes = np.arange(min(blocks * nb, a["channels"])) % len(weights)
    packed: Array = np.zeros((taps_y, taps_x, blocks * nb), np.int8)
    packed[..., : lanes.size] = weights[lanes, 0].transpose(1, 2, 0)
    packed = packed.reshape(taps_y, taps_x, blocks, nb).transpose(2, 0, 1, 3)
    flags: Array = np.zeros(blocks, np.int8)
    if (taps_y, taps_x) == (3, 3):
        across = packed if a["turned"] else packed.transpose(0, 2, 1, 3)
        flags[:] = fits(across).all(axis=1)
    most_negative = (packed == -128).sum(axis=(1, 2)).max(initial=0)
    known = {"pairs": int(most_negative < 2), "triples": int(flags.sum())}
    return Packed(
        {**args, **known},
        np.concatenate([flags, packed.reshape(-1)]),
        np.ascontiguousarray(bias.astype(np.int32)[lanes]),
        np.ascontiguousarray(scale.astype(np.float32)[lanes]),
    )


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    a = _ints(args)
    x, w, bias, scale, y = buffers
    axes = [np.arange(a[n]) for n in ("batch", "rows", "cols", "taps_y", "taps_x", "channels")]
    steps = ("x_batch_stride", "x_row_stride", "x_col_stride", "x_tap_y_stride", "x_tap_x_stride")
    places = sum(i * a[s] for i, s in zip(np.ix_(*axes)[:5], steps, strict=True)) + axes[5]
    blocks = w[a["w_blocks"] :].reshape(a["w_blocks"], a["taps_y"], a["taps_x"], a["nb"])
    lanes = axes[5] % (a["w_blocks"] * a["nb"])
    taps = blocks.transpose(1, 2, 0, 3).reshape(a["taps_y"], a["taps_x"], -1)[..., lanes]
    sums = np.einsum("brcyxk,yxk->brck", x[places].astype(np.int64), taps.astype(np.int64)) + bias[lanes]
    image, row, col, lane = np.ix_(*axes[:3], axes[5])
    to = image * a["y_batch_stride"] + row * a["y_row_stride"] + col * a["y_col_stride"] + lane
    y = y.copy()
    y[to] = round_s8(sums.astype(np.float32) * scale[lanes], a["zero"], a["lo"], a["hi"])
    return {4: y}


def _lines(a: Mapping[str, int]) -> tuple[int, int]:
    """The number of lines that a kernel slides along, and their length."""
    return (a["cols"], a["rows"]) if a["turned"] else (a["rows"], a["cols"])


def _supports(args: ArgValues, _target: Target, *, stride: int, clamp: bool) -> bool:
    a = _ints(args)
    along = ("x_row_stride", "x_tap_y_stride") if a["turned"] else ("x_col_stride", "x_tap_x_stride")
    return bool(
        (a["taps_y"], a["taps_x"]) == (3, 3)
        and a["pairs"]
        and a[along[0]] == stride * a[along[1]]
        and _lines(a)[1] >= (2 if stride == 1 else 1)
        and (clamp or (a["lo"] <= -128 and a["hi"] >= 127))
    )


def _vectors(a: Mapping[str, int], target: Target, lmul: int) -> int:
    """Vectors that all channels take."""
    lanes = lmul * target.lanes
    whole, rest = divmod(a["channels"], a["nb"])
    return whole * ceil(a["nb"] / lanes) + ceil(rest / lanes)


# Slots, fitted to counted kernels: of an output, by stride and LMUL, with sums of three and of two products in i16.
_OUTPUT = {(1, 4): (59.5, 69.5), (1, 2): (36.5, 42.5), (2, 4): (65.0, 74.0), (2, 2): (42.0, 47.0)}
_CALL, _BLOCK, _LINE = 60.0, 155.0, 27.0


def _cost_sliding(args: ArgValues, target: Target, *, stride: int, lmul: int, clamp: bool) -> float:
    a = _ints(args)
    lines, length = _lines(a)
    strips = ceil(lines / max(1, 256 // length))
    share = a["triples"] / a["w_blocks"]
    three, two = _OUTPUT[stride, lmul]
    output = three * share + two * (1 - share) + (2 if clamp else 0)
    return _CALL + a["batch"] * _vectors(a, target, lmul) * (strips * _BLOCK + lines * (length * output + _LINE))


def _cost_any(args: ArgValues, target: Target) -> float:
    a = _ints(args)
    lines, length = _lines(a)
    taps = a["taps_y"] * a["taps_x"] * (1.0 if a["pairs"] else 1.2)
    line = 50.0 + length // 4 * 4 * (taps * 10.5 + 21.0) + length % 4 * (taps * 24.0 + 37.0)
    return _CALL + a["batch"] * _vectors(a, target, 4) * lines * line


def _cost_scalar(args: ArgValues, _target: Target) -> float:
    a = _ints(args)
    return a["batch"] * a["rows"] * a["cols"] * a["channels"] * (2.5 * a["taps_y"] * a["taps_x"] + 12.0)


def window(
    out: tuple[int, int, int, int],
    taps: tuple[int, int] = (3, 3),
    *,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    halo: int = 0,
    extra: int = 0,
    zero: int = 0,
    clamp: tuple[int, int] = (-128, 127),
) -> dict[str, Value]:
    """A window for :func:`layouts`, whose output has the shape ``out`` (NHWC) and a frame of ``halo`` pixels.

    The input is dense, as large as it must be; ``extra`` widens the gaps between the pixels of both.
    """
    batch, rows, cols, channels = out
    in_rows, in_cols = (
        (size - 1) * stride + (tap - 1) * dilation + 1
        for size, stride, tap, dilation in zip((rows, cols), strides, taps, dilations, strict=True)
    )
    x_col, y_col = channels + extra, channels + 2 * extra
    x_row, y_row = in_cols * x_col + extra, (cols + 2 * halo) * y_col + extra
    return {
        "batch": batch, "rows": rows, "cols": cols, "channels": channels, "taps_y": taps[0], "taps_x": taps[1],
        "x_batch_stride": in_rows * x_row, "x_row_stride": strides[0] * x_row, "x_col_stride": strides[1] * x_col,
        "x_tap_y_stride": dilations[0] * x_row, "x_tap_x_stride": dilations[1] * x_col,
        "y_batch_stride": (rows + 2 * halo) * y_row, "y_row_stride": y_row, "y_col_stride": y_col,
        "zero": zero, "lo": clamp[0], "hi": clamp[1],
    }  # fmt: skip


def random_case(
    label: str,
    args: ArgValues,
    rng: np.random.Generator,
    *,
    channels: int = 0,
    largest: int = 127,
    extreme: bool = False,
    small: bool = False,
) -> Case:
    """Weights up to ``largest``; all of them and the inputs at the ends of their range if ``extreme``; in the first
    block only up to 85 if ``small``, so that triples fit there. ``channels``: of the pixel, if pixels are channels."""
    a = _ints(args)
    n = channels or a["channels"]
    shape = (n, 1, a["taps_y"], a["taps_x"])
    weights = rng.integers(-largest, min(largest, 127) + 1, shape).astype(np.int8)
    if extreme:
        weights = np.where(weights < 0, -largest, min(largest, 127)).astype(np.int8)
    if small:
        weights[: a["nb"]] = weights[: a["nb"]] // 2
    bias = rng.integers(-40000, 40000, n).astype(np.int32)
    bias[:: max(2, n // 3)] *= 20000
    spread = largest * 60.0 * np.sqrt(a["taps_y"] * a["taps_x"])
    scale = (rng.uniform(20, 90, n) / spread).astype(np.float32)
    scale[1::7] = 0.5  # ties
    packed = pack(weights, bias, scale, args)
    lasts = sum((a[n] - 1) * a[f"x_{s}_stride"] for n, s in _STEPS)
    x = rng.integers(-128, 128, lasts + a["channels"]).astype(np.int8)
    if extreme:
        x = np.where(x < 64, -128, 127).astype(np.int8)
    size = sum((a[n] - 1) * a[f"y_{s}_stride"] for n, s in _STEPS[:3]) + a["channels"]
    y = rng.integers(-128, 128, size).astype(np.int8)
    return Case(label, packed.args, (x, packed.w, packed.bias, packed.scale, y), (4,))


_STEPS = (("batch", "batch"), ("rows", "row"), ("cols", "col"), ("taps_y", "tap_y"), ("taps_x", "tap_x"))


def _cases_sliding(rng: np.random.Generator, *, stride: int, lmul: int, clamp: bool) -> Iterator[Case]:
    strides = (stride, stride)
    nb = 8 * lmul
    bounds = (-100, 60) if clamp else (-128, 127)

    def case(
        label: str,
        out: tuple[int, int, int, int],
        *,
        turned: int = 0,
        fold: bool = False,
        extra: int = 0,
        largest: int = 127,
        extreme: bool = False,
        small: bool = False,
        halo: int = 0,
    ) -> Case:
        plain = _ints(
            window(out, strides=strides, extra=extra, zero=int(rng.integers(-128, 128)), clamp=bounds, halo=halo)
        )
        args = _layout(plain, nb, turned, fold=fold)
        return random_case(label, args, rng, channels=out[3], largest=largest, extreme=extreme, small=small)

    for length in (2, 3, 4, 5, 8):
        yield case(f"lines of {length}", (1, 3, length, 21), largest=85)
    yield case("turned", (2, 7, 3, nb + 3), turned=1)
    yield case("turned, triples", (1, 6, 2, nb), turned=1, largest=60)
    yield case("blocks with and without triples", (1, 2, 5, 3 * nb + 5), small=True)
    yield case("gaps between pixels", (2, 4, 6, 7), extra=3, halo=1)
    yield case("several strips", (1, 70, 5, 8), largest=85)
    yield case("extremes, triples", (1, 2, 6, nb), largest=85, extreme=True)
    yield case("extremes, pairs", (1, 2, 6, nb), largest=127, extreme=True)
    if stride == 1:
        yield case("pixels are channels", (2, 5, 7, 12), turned=1, fold=True, halo=1)
        yield case("few pixels are channels", (1, 4, 2, 3), turned=1, fold=True, largest=85)
    else:
        yield case("one output", (1, 1, 1, 5))


def _cases_any(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        label: str,
        out: tuple[int, int, int, int],
        taps: tuple[int, int] = (3, 3),
        *,
        nb: int = 32,
        turned: int = 0,
        fold: bool = False,
        largest: int = 127,
        **other: object,
    ) -> Case:
        plain = _ints(window(out, taps, zero=int(rng.integers(-128, 128)), **other))  # type: ignore[arg-type]
        args = _layout(plain, nb, turned, fold=fold)
        return random_case(label, args, rng, channels=out[3], largest=largest, extreme=largest > 127)

    yield case("1x1", (1, 3, 4, 5), (1, 1))
    yield case("3x3", (2, 4, 15, 16), clamp=(-40, 127), nb=8)
    yield case("3x3, no pairs", (1, 4, 6, 16), largest=128)
    yield case("5x5", (1, 3, 8, 33), (5, 5), clamp=(-128, 90))
    yield case("5x5 turned", (1, 9, 2, 40), (5, 5), turned=1, halo=2)
    yield case("5x5, pixels are channels", (1, 9, 6, 20), (5, 5), turned=1, fold=True)
    yield case("whole image", (3, 1, 1, 70), (7, 5))
    yield case("one row of a signal", (1, 1, 29, 9), (1, 9), strides=(1, 3))
    yield case("one column of a signal", (1, 19, 1, 9), (4, 1), strides=(2, 1), turned=1)
    yield case("dilated", (1, 5, 6, 8), dilations=(2, 3), largest=128)
    yield case("one stride", (1, 5, 6, 8), strides=(2, 1))
    yield case("gaps between pixels", (2, 3, 7, 6), (2, 4), strides=(1, 2), extra=2)


_row = partial(
    Kernel,
    family="qdwconv",
    source="qdwconv.c",
    args="pf_qdwconv_args",
    buffers=("x", "w", "bias", "scale", "y"),
    meaning=_meaning,
)


def _sliding() -> Iterator[Kernel]:
    for stride in (1, 2):
        for clamp in (False, True):
            for lmul in (4, 2):
                yield _row(
                    name=f"qs8_qc8w_dwconv_3x3s{stride}_{'clamp_' if clamp else ''}{lmul}v__rvv",
                    cases=partial(_cases_sliding, stride=stride, lmul=lmul, clamp=clamp),
                    supports=partial(_supports, stride=stride, clamp=clamp),
                    cost=partial(_cost_sliding, stride=stride, lmul=lmul, clamp=clamp),
                )


KERNELS = (
    *_sliding(),
    _row(name="qs8_qc8w_dwconv_4v__rvv", cases=_cases_any, cost=_cost_any),
    _row(name="qs8_qc8w_dwconv__scalar", cases=_cases_any, cost=_cost_scalar),
)
