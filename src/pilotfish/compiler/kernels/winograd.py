"""Winograd convolutions F(4x4, 3x3) and F(2x2, 3x3): 3x3, stride 1, channels last, f32.

After Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), with the interpolation points 0, ±1
(F2) and 0, ±1, ±2 (F4). A 4x4 tile of outputs takes 36 products instead of 144, a 2x2 tile 16 instead of 36; the
weights grow to 4 and 16/9 of their size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.graph import Halo
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

ERROR = {4: 2e-5, 2: 2e-6}
"""Bound on the error of a layer relative to the largest magnitude of its output, by tile.

For normally distributed weights and inputs as after a ReLU, up to 512 channels; measured: 3e-6 to 1.1e-5 (4) and
2e-7 to 6e-7 (2). Where a layer's products cancel far more than that, the error counts relative to what cancels.
"""

_G = {
    4: np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / [[24]],
    2: np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2,
}
_PITCH, _CACHE_LINE, _QUAD, _RUN = 32, 16, 4, 4  # the first two in f32; f16 has twice as many in as many bytes
# Weights that do not fit in the second-level cache come from memory in every inference: slots a byte. Other
# convolutions do not count their weights, so only what Winograd's are larger is charged.
_SLOTS_PER_BYTE = 0.3
_CACHE_IF_UNKNOWN = 512 * 1024


def tile_of(kernel: Kernel) -> int:
    """Rows and columns of an output tile: 4 or 2."""
    return 4 if "_f4_" in kernel.name else 2


def transform_weights(weights: Array, tile: int) -> Array:
    """Weights [out, in, 3, 3] as [(tile + 2)², in, out], computed in float64."""
    g = _G[tile]
    spread = np.einsum("ap,bq,oipq->abio", g, g, weights.astype(np.float64))
    return np.asarray(spread.reshape(len(g) ** 2, *spread.shape[2:]), weights.dtype)


def pack(kernel: Kernel, weights: Array, nb: int) -> Array:
    """Weights [out, in, 3, 3] transformed, in blocks of ``nb`` columns: [block, element, in, nb], then nb zeros.

    Input channels are filled up with zeros to a multiple of 4, columns to a multiple of ``nb``.
    """
    spread = transform_weights(weights, tile_of(kernel))
    elements, depth, columns = spread.shape
    blocks = ceil(columns / nb)
    padded = np.zeros((elements, ceil(depth / _QUAD) * _QUAD, blocks * nb), weights.dtype)
    padded[:, :depth, :columns] = spread
    ordered = padded.reshape(elements, -1, blocks, nb).transpose(2, 0, 1, 3).reshape(-1)
    return np.concatenate([ordered, np.zeros(nb, weights.dtype)])


def halo(kernel: Kernel, args: ArgValues, reach: Halo) -> Halo:
    """The halo that makes the inputs of all tiles readable; ``reach`` is the one for all taps of all outputs."""
    tile, a = tile_of(kernel), _ints(args)
    return reach._replace(bottom=reach.bottom - a["rows"] % -tile, right=reach.right - a["cols"] % -tile)


def scratch_bytes(kernel: Kernel, args: ArgValues) -> int:
    """Size of the scratch buffer (``laid_out`` in winograd.c)."""
    tile, a = tile_of(kernel), _ints(args)
    elements, strip = (tile + 2) ** 2, _strip(a, tile)
    size = 2 if kernel.name.startswith("f16_") else 4
    pitch, line = 4 * _PITCH // size, 4 * _CACHE_LINE // size
    shared = a["channels"] <= pitch // 2
    v_step = ceil(a["channels"] / pitch) * strip * pitch + line
    m_step = ceil(strip / 2) * 2 * a["nb"] + line
    between = (min(_RUN, ceil(a["cols"] / tile)) * tile + 2) * (tile + 2) * pitch
    return size * (between + elements // (2 if shared else 1) * v_step + elements * m_step)


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _tiles(a: Mapping[str, int], tile: int) -> int:
    return a["batch"] * ceil(a["rows"] / tile) * ceil(a["cols"] / tile)


def _strip(a: Mapping[str, int], tile: int) -> int:
    """Tiles at a time (``strip_of`` in winograd.c)."""
    total, depth = _tiles(a, tile), ceil(a["channels"] / _QUAD) * _QUAD
    most = 14 if (tile + 2) ** 2 * depth * a["n"] <= 65536 or a["channels"] > 64 else 28
    return total if total <= most + most // 2 else most


def _unpacked(args: Mapping[str, int], w: Array, tile: int) -> Array:
    """The weights float64[3, 3, in, out] that were packed, up to rounding."""
    depth, n, nb = ceil(args["channels"] / _QUAD) * _QUAD, args["n"], args["nb"]
    t = tile + 2
    blocks = w[:-nb].reshape(-1, t, t, depth, nb).astype(np.float64)
    inverse = np.linalg.pinv(_G[tile])
    spread = blocks.transpose(1, 2, 3, 0, 4).reshape(t, t, depth, -1)[:, :, : args["channels"], :n]
    return np.asarray(np.einsum("pa,qb,abio->pqio", inverse, inverse, spread))


def _meaning(args: ArgValues, buffers: Sequence[Array], *, tile: int) -> Mapping[int, Array]:
    a = _ints(args)
    x, w, bias, y = buffers[:4]
    taps = _unpacked(a, w, tile)
    axes = [np.arange(a[n]) for n in ("batch", "rows", "cols")]
    image, row, col = np.ix_(*axes)
    base = image * a["x_batch_stride"] + row * a["x_row_stride"] + col * a["x_col_stride"]
    sums = np.broadcast_to(bias.astype(np.float64), (*base.shape, a["n"])).copy()
    for tap_y in range(3):
        for tap_x in range(3):
            places = base + tap_y * a["x_row_stride"] + tap_x * a["x_col_stride"]
            sums += x[places[..., None] + np.arange(a["channels"])].astype(np.float64) @ taps[tap_y, tap_x]
    to = image * a["y_batch_stride"] + row * a["y_row_stride"] + col * a["y_col_stride"]
    y = y.copy()
    y[to[..., None] + np.arange(a["n"])] = np.clip(sums, args["lo"], args["hi"])
    return {3: y}


def _memory_cost(a: Mapping[str, int], tile: int, target: Target, size: int = 4) -> float:
    cache = target.l2_bytes or _CACHE_IF_UNKNOWN
    direct = size * 9 * a["channels"] * a["n"]
    beyond = [max(0.0, size - cache) for size in (direct * (tile + 2) ** 2 / 9, direct)]
    return _SLOTS_PER_BYTE * (beyond[0] - beyond[1])


# What a direction of the transforms does: places read, vector operations, places written.
_IN = {4: (6, 12, 6), 2: (4, 4, 4)}
_OUT = {4: (6, 10, 4), 2: (4, 4, 2)}
# Slots that are not of a vector, fitted to counted kernels: of a direction, of a call of one, of a chunk of columns.
_TIME, _CALL, _CHUNK = 5.0, 70.0, 60.0


def _transform_cost(a: Mapping[str, int], tile: int, target: Target, clamps: int, pitch: int, wide: int) -> float:
    """Slots of the transforms of one tile, of those in a run."""
    run = min(_RUN, ceil(a["cols"] / tile))

    def one(channels: int, counts: tuple[int, int, int], times: float) -> float:
        lmul = wide if channels > wide // 2 * target.lanes else wide // 2
        chunks = ceil(channels / min(lmul * target.lanes, pitch))
        reads, works, writes = counts
        each = (reads + writes) * (lmul + 1) + works * lmul + _TIME
        clamping = 0 if counts is _IN[tile] else tile * tile * clamps * lmul
        return chunks * (times * each + clamping + 2 * _CALL / run) + 50 / run

    whole, rest = divmod(a["n"], a["nb"])
    total = one(a["channels"], _IN[tile], tile + 2 / run + tile + 2)
    total += whole * one(a["nb"], _OUT[tile], 2 * tile + 2)
    return total + (one(rest, _OUT[tile], 2 * tile + 2) if rest else 0)


def _product_cost(a: Mapping[str, int], tile: int, lmul: int, tiles: int, pitch: int) -> float:
    """Slots of the matrix products of a strip of tiles, for one chunk of columns."""
    unit = 1 if lmul == 4 else 2
    rows = ceil(tiles / unit) * unit
    calls = ceil(rows / (7 * unit))
    depth = ceil(a["channels"] / _QUAD) * _QUAD
    blocks = ceil(a["channels"] / pitch)
    elements = (tile + 2) ** 2
    some = elements if calls == 1 else max(1, 128 * pitch // (depth * a["nb"]))
    steps = depth * (rows * (lmul + 1) + calls * (lmul + 1.75))
    each = steps + rows * (lmul + 1 + blocks) + calls * (15 + 6 * blocks + lmul)
    return elements * each + ceil(elements / some) * calls * 50 + _CHUNK


def _vector_cost(args: ArgValues, target: Target, *, tile: int, lmul: int, size: int = 4) -> float:
    a, pitch = _ints(args), 4 * _PITCH // size
    total, strip = _tiles(a, tile), _strip(a, tile)
    longest = lmul * target.lanes
    whole, rest = divmod(a["n"], a["nb"])
    chunks = whole * ceil(a["nb"] / longest) + ceil(rest / longest)
    product = total // strip * _product_cost(a, tile, lmul, strip, pitch)
    if total % strip:
        product += _product_cost(a, tile, lmul, total % strip, pitch)
    clamps = 1 + int(args["hi"] != np.inf)
    transforms = total * _transform_cost(a, tile, target, clamps, pitch, 2 if lmul == 1 else 4)
    return 500.0 + transforms + chunks * product + _memory_cost(a, tile, target, size)


def _scalar_cost(args: ArgValues, target: Target, *, tile: int) -> float:
    a = _ints(args)
    total, t = _tiles(a, tile), tile + 2
    directions = a["channels"] * (t + tile + 1) * (sum(_IN[tile]) + 18) + a["n"] * (t + tile) * (sum(_OUT[tile]) + 18)
    products = t * t * a["n"] * (a["channels"] * 1.85 + 6)
    return 500.0 + total * (directions + products) + _memory_cost(a, tile, target)


def _case(
    rng: np.random.Generator,
    label: str,
    kernel: Kernel,
    out: tuple[int, int, int],
    channels: int,
    n: int,
    nb: int = 16,
    *,
    extra: int = 0,
    clamp: tuple[float, float] = (-np.inf, np.inf),
) -> Case:
    """``out`` is (batch, rows, cols); ``extra`` widens the gaps of both images. There is input beyond the picture."""
    batch, rows, cols = out
    tile = tile_of(kernel)
    in_rows, in_cols = (ceil(size / tile) * tile + 2 for size in (rows, cols))
    x_col, y_col = channels + extra, n + 2 * extra
    x_row, y_row = in_cols * x_col + extra, cols * y_col + extra
    args: dict[str, Value] = {
        "batch": batch, "rows": rows, "cols": cols, "channels": channels, "n": n, "nb": nb,
        "x_batch_stride": in_rows * x_row, "x_row_stride": x_row, "x_col_stride": x_col,
        "y_batch_stride": rows * y_row, "y_row_stride": y_row, "y_col_stride": y_col,
        "lo": clamp[0], "hi": clamp[1],
    }  # fmt: skip
    x, bias, y = (rng.standard_normal(s).astype(np.float32) for s in (batch * in_rows * x_row, n, batch * rows * y_row))
    weights = (rng.standard_normal((n, channels, 3, 3)) / np.sqrt(9 * channels)).astype(np.float32)
    scratch = rng.standard_normal(scratch_bytes(kernel, args) // 4).astype(np.float32)
    return Case(label, args, (x, pack(kernel, weights, nb), bias, y, scratch), (3,))


def _cases(rng: np.random.Generator, *, name: str) -> Iterator[Case]:
    case = partial(_case, rng)
    kernel = next(k for k in KERNELS if k.name == name)
    yield case("one tile", kernel, (1, 4, 4), 8, 8)
    yield case("one pixel", kernel, (1, 1, 1), 4, 5)
    for tiles in (2, 3, 5, 6, 7, 9, 11, 13):
        yield case(f"{tiles} tiles", kernel, (1, tile_of(kernel), tiles * tile_of(kernel)), 16, 16)
    for size in (5, 6, 7):
        yield case(f"edges of {size}x{size + 1}", kernel, (1, size, size + 1), 12, 20, clamp=(0.0, np.inf))
    for channels in (1, 3, 7, 17, 33, 36, 70):
        yield case(f"{channels} channels", kernel, (1, 4, 8), channels, 16, clamp=(-2.0, 2.0))
    for n, nb in ((1, 8), (17, 8), (32, 32), (45, 32), (70, 64), (10, 128)):
        yield case(f"{n} columns in blocks of {nb}", kernel, (1, 4, 9), 20, n, nb)
    yield case("several strips", kernel, (1, 25, 27), 16, 16, clamp=(0.0, np.inf))
    yield case("weights beyond a cache", kernel, (1, 25, 27), 48, 48, 32, clamp=(0.0, 6.0))
    yield case("many channels, several strips", kernel, (2, 13, 14), 68, 8)
    yield case("gaps between pixels", kernel, (3, 5, 6), 10, 9, extra=5)


def _row(tile: int, shape: str, isa: str, cost: object) -> Kernel:
    name = f"f32_winograd_f{tile}_{shape}__{isa}"
    return Kernel(
        name=name,
        family="winograd",
        source="winograd.c",
        args="pf_winograd_args",
        buffers=("x", "w", "bias", "y", "scratch"),
        meaning=partial(_meaning, tile=tile),
        cases=partial(_cases, name=name),
        cost=cost,  # type: ignore[arg-type]
        ulp=ERROR[tile] / float(np.finfo(np.float32).eps),
    )


KERNELS = tuple(
    row
    for tile in (4, 2)
    for row in (
        _row(tile, "7x4v", "rvv", partial(_vector_cost, tile=tile, lmul=4)),
        _row(tile, "14x2v", "rvv", partial(_vector_cost, tile=tile, lmul=2)),
        _row(tile, "4x4", "scalar", partial(_scalar_cost, tile=tile)),
    )
)
