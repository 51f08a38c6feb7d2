"""Winograd convolution F(2x2, 3x3) in int8: 3x3, stride 1, channels last; exact, with the sums of a direct one.

After Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), with weights transformed by twice the
usual matrix, which makes all numbers integers: a 2x2 tile of outputs takes 16 products instead of 36. Transformed
weights are int16 and 32/9 of the size of int8 ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.graph import Halo
from pilotfish.compiler.kernels.qrows import round_s8
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

_G = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
_TILE, _ELEMENTS, _QUAD, _PITCH, _CACHE_LINE, _MOST_WORDS = 2, 16, 4, 32, 32, 512
# LMUL of the products: (rows of the tallest call, step of heights)
_HEIGHTS = {8: (3, 1), 4: (7, 1), 2: (14, 2), 0: (3, 1)}
# Weights that do not fit in the second-level cache come from memory in every inference: slots a byte. A direct
# convolution does not count its weights, so only what Winograd's are larger is charged.
_SLOTS_PER_BYTE = 0.3
_CACHE_IF_UNKNOWN = 512 * 1024


def pack(weights: Array, nb: int) -> Array:
    """Weights s8 [out, in, 3, 3] transformed, int16, in blocks of ``nb`` columns: [block, element, in, nb], nb zeros.

    Input channels are filled up with zeros to a multiple of 4, columns to a multiple of ``nb``.
    """
    n, channels = weights.shape[:2]
    spread = np.einsum("ap,bq,oipq->abio", _G, _G, weights.astype(np.int64)).reshape(_ELEMENTS, channels, n)
    blocks = ceil(n / nb)
    padded = np.zeros((_ELEMENTS, ceil(channels / _QUAD) * _QUAD, blocks * nb), np.int16)
    padded[:, :channels, :n] = spread
    ordered = padded.reshape(_ELEMENTS, -1, blocks, nb).transpose(2, 0, 1, 3).reshape(-1)
    return np.concatenate([ordered, np.zeros(nb, np.int16)])


def fits(weights: Array, bias: Array) -> bool:
    """Whether four times every sum fits int32, with any inputs: else these kernels are wrong."""
    largest = 128 * np.abs(weights.astype(np.int64)).sum((1, 2, 3)) + np.abs(bias.astype(np.int64))
    return bool((4 * largest < 2**31).all())


def halo(args: ArgValues, reach: Halo) -> Halo:
    """The halo that makes the inputs of all tiles readable; ``reach`` is the one for all taps of all outputs."""
    a = _ints(args)
    return reach._replace(bottom=reach.bottom - a["rows"] % -_TILE, right=reach.right - a["cols"] % -_TILE)


def scratch_bytes(kernel: Kernel, args: ArgValues) -> int:
    """Size of the scratch buffer (``laid_out`` in qwinograd.c)."""
    a = _ints(args)
    strip = ceil(_strip(a, _lmul(kernel)) / 2) * 2
    v_element = ceil(a["channels"] / _PITCH) * strip * _PITCH + _CACHE_LINE
    m_element = strip * a["nb"] + _CACHE_LINE // 2
    return _ELEMENTS * (2 * v_element + 4 * m_element)


def _lmul(kernel: Kernel) -> int:
    return int(kernel.name.split("x")[1][0]) if kernel.isa == "rvv" else 0


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _tiles(a: Mapping[str, int]) -> int:
    return a["batch"] * ceil(a["rows"] / _TILE) * ceil(a["cols"] / _TILE)


def _strip(a: Mapping[str, int], lmul: int) -> int:
    """Tiles at a time (``strip_of`` in qwinograd.c)."""
    unit, total = _HEIGHTS[lmul][0], _tiles(a)
    most = max(_MOST_WORDS // a["nb"] // unit, 1) * unit
    return total if total <= most + most // 2 else most


def _unpacked(a: Mapping[str, int], w: Array) -> Array:
    """The weights int64[3, 3, in, out] that were packed."""
    depth, nb = ceil(a["channels"] / _QUAD) * _QUAD, a["nb"]
    blocks = w[:-nb].reshape(-1, 4, 4, depth, nb).astype(np.float64)
    spread = blocks.transpose(1, 2, 3, 0, 4).reshape(4, 4, depth, -1)[:, :, : a["channels"], : a["n"]]
    inverse = np.linalg.pinv(_G.astype(np.float64))
    return np.asarray(np.rint(np.einsum("pa,qb,abio->pqio", inverse, inverse, spread)).astype(np.int64))


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    a = _ints(args)
    x, w, bias, scale, y, _ = buffers
    taps = _unpacked(a, w)
    image, row, col = np.ix_(*(np.arange(a[n]) for n in ("batch", "rows", "cols")))
    base = image * a["x_batch_stride"] + row * a["x_row_stride"] + col * a["x_col_stride"]
    sums = np.broadcast_to(bias.astype(np.int64), (*base.shape, a["n"])).copy()
    for tap_y in range(3):
        for tap_x in range(3):
            places = base + tap_y * a["x_row_stride"] + tap_x * a["x_col_stride"]
            sums += x[places[..., None] + np.arange(a["channels"])].astype(np.int64) @ taps[tap_y, tap_x]
    to = image * a["y_batch_stride"] + row * a["y_row_stride"] + col * a["y_col_stride"]
    out = y.copy()
    out[to[..., None] + np.arange(a["n"])] = round_s8(sums.astype(np.float32) * scale, a["zero"], a["lo"], a["hi"])
    return {4: out}


def _memory_cost(a: Mapping[str, int], target: Target) -> float:
    cache = target.l2_bytes or _CACHE_IF_UNKNOWN
    direct = 9 * a["channels"] * a["n"]
    beyond = [max(0.0, size - cache) for size in (direct * 32 / 9, direct)]
    return _SLOTS_PER_BYTE * (beyond[0] - beyond[1])


def _product_cost(a: Mapping[str, int], lmul: int, tiles: int) -> float:
    """Slots of the matrix products of a strip of tiles, for one chunk of columns."""
    most, unit = _HEIGHTS[lmul]
    rows = ceil(tiles / unit) * unit
    calls = ceil(rows / most)
    depth = ceil(a["channels"] / _QUAD) * _QUAD
    blocks = ceil(a["channels"] / _PITCH)
    steps = depth * (rows * (lmul + 1) + calls * (lmul // 2 + 1.75))
    each = steps + rows * (lmul + 2 + blocks) + calls * (12 + 6 * blocks + lmul)
    return _ELEMENTS * each + calls * 50 + 60


def _vector_cost(args: ArgValues, target: Target, *, lmul: int) -> float:
    a = _ints(args)
    total, strip = _tiles(a), _strip(a, lmul)
    longest = lmul * target.lanes
    whole, rest = divmod(a["n"], a["nb"])
    chunks = whole * ceil(a["nb"] / longest) + ceil(rest / longest)
    product = total // strip * _product_cost(a, lmul, strip)
    if total % strip:
        product += _product_cost(a, lmul, total % strip)
    runs = total / min(strip, ceil(a["cols"] / _TILE))
    inside = ceil(a["channels"] / (2 * target.lanes))
    outside = whole * ceil(a["nb"] / (2 * target.lanes)) + ceil(rest / (2 * target.lanes))
    transforms = total * (inside * 84.0 + outside * 165.0) + runs * (inside * 40 + outside * 20 + 60)
    return 300.0 + transforms + chunks * product + _memory_cost(a, target)


def _scalar_cost(args: ArgValues, target: Target) -> float:
    a = _ints(args)
    each = a["channels"] * 130.0 + a["n"] * 160.0 + _ELEMENTS * a["n"] * (a["channels"] * 4.0 + 6)
    return 300.0 + _tiles(a) * each + _memory_cost(a, target)


def random_case(
    label: str, args: ArgValues, kernel: Kernel, rng: np.random.Generator, *, extreme: int | None = None
) -> Case:
    """A case with input for whole tiles; with ``extreme``, all weights are that and inputs -128 or 127."""
    a = _ints(args)
    n, channels = a["n"], a["channels"]
    last = [(a[size] + a[size] % 2 + 1) for size in ("rows", "cols")]
    size = (a["batch"] - 1) * a["x_batch_stride"] + last[0] * a["x_row_stride"] + last[1] * a["x_col_stride"] + channels
    x = rng.integers(-128, 128, size).astype(np.int8)
    weights = rng.integers(-128, 128, (n, channels, 3, 3)).astype(np.int8)
    if extreme is not None:
        weights[:] = extreme
        x = rng.choice(np.array([-128, 127], np.int8), size)
    spread = np.sqrt((weights.astype(np.float64) ** 2).sum((1, 2, 3))) * 73 + 1
    bias = rng.normal(0, spread).astype(np.int32)
    scale = (rng.uniform(50, 90, n) / spread).astype(np.float32)
    end = (a["batch"] - 1) * a["y_batch_stride"] + (a["rows"] - 1) * a["y_row_stride"]
    y = rng.integers(-128, 128, end + (a["cols"] - 1) * a["y_col_stride"] + n).astype(np.int8)
    scratch = rng.integers(-128, 128, scratch_bytes(kernel, args)).astype(np.int8)
    return Case(label, args, (x, pack(weights, a["nb"]), bias, scale, y, scratch), (4,))


def arguments(
    out: tuple[int, int, int], channels: int, n: int, nb: int, *, extra: int = 0, zero: int = 0, lo: int = -128,
    hi: int = 127,
) -> dict[str, Value]:  # fmt: skip
    """Arguments for ``out``, (batch, rows, cols); ``extra`` widens the gaps of both images."""
    batch, rows, cols = out
    in_rows, in_cols = (ceil(size / _TILE) * _TILE + 2 for size in (rows, cols))
    x_col, y_col = channels + extra, n + 2 * extra
    x_row, y_row = in_cols * x_col + extra, cols * y_col + extra
    return {
        "batch": batch, "rows": rows, "cols": cols, "channels": channels, "n": n, "nb": nb,
        "x_batch_stride": in_rows * x_row, "x_row_stride": x_row, "x_col_stride": x_col,
        "y_batch_stride": rows * y_row, "y_row_stride": y_row, "y_col_stride": y_col,
        "zero": zero, "lo": lo, "hi": hi,
    }  # fmt: skip


def _cases(rng: np.random.Generator, *, name: str) -> Iterator[Case]:
    kernel = next(k for k in KERNELS if k.name == name)

    def case(label: str, out: tuple[int, int, int], channels: int, n: int, nb: int = 16, *,
             extreme: int | None = None, **more: int) -> Case:  # fmt: skip
        return random_case(label, arguments(out, channels, n, nb, **more), kernel, rng, extreme=extreme)

    yield case("one tile", (1, 2, 2), 8, 8)
    yield case("one pixel", (1, 1, 1), 4, 5, zero=-128)
    for tiles in (2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15):
        yield case(f"{tiles} tiles", (1, 2, tiles * 2), 16, 16, zero=int(rng.integers(-128, 128)))
    for size in (5, 6, 7):
        yield case(f"edges of {size}x{size + 1}", (1, size, size + 1), 12, 20, lo=-9)
    for channels in (1, 3, 7, 17, 33, 36, 70):
        yield case(f"{channels} channels", (1, 4, 8), channels, 16, lo=-50, hi=60)
    for n, nb in ((1, 8), (17, 8), (32, 32), (45, 32), (70, 64), (10, 128)):
        yield case(f"{n} columns in blocks of {nb}", (1, 4, 9), 20, n, nb)
    yield case("several strips", (1, 25, 27), 16, 16, zero=3)
    yield case("many channels, several strips", (2, 13, 14), 68, 8)
    yield case("gaps between pixels", (3, 5, 6), 10, 9, extra=5)
    for extreme in (-128, 127):
        yield case(f"weights of {extreme}", (1, 6, 6), 70, 9, extreme=extreme)


def _row(name: str) -> Kernel:
    lmul = int(name.split("x")[1][0]) if name.endswith("rvv") else 0
    return Kernel(
        name=name,
        family="qwinograd",
        source="qwinograd.c",
        args="pf_qwinograd_args",
        buffers=("x", "w", "bias", "scale", "y", "scratch"),
        meaning=_meaning,
        cases=partial(_cases, name=name),
        cost=partial(_vector_cost, lmul=lmul) if lmul else _scalar_cost,
    )


KERNELS = (
    _row("qs8_qc8w_winograd_f2_3x8v__rvv"),
    _row("qs8_qc8w_winograd_f2_7x4v__rvv"),
    _row("qs8_qc8w_winograd_f2_14x2v__rvv"),
    _row("qs8_qc8w_winograd_f2_3x4__scalar"),
)
