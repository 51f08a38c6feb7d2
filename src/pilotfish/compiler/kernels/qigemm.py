"""Matrix products and convolutions in int8: ``y[p, j] = clamp(round((bias[j] + Σ x[p, i] w[i, j]) scale[j]) + zero)``.

The sums are exact. What makes them fast is that the compiler knows the weights: where 2 to 6 products, with whatever
inputs, fit int16, they are added there, and only their sum is added to the int32 accumulator. :func:`pack` finds these
groups; :func:`shares` tells how many multiplications run in groups of each size. The layout is in ``qigemm.h``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil, gcd

import numpy as np

from pilotfish.compiler.kernels import igemm
from pilotfish.compiler.kernels.qrows import round_s8
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

SIZES = (6, 5, 4, 3, 2, 1)
"""Rows of weights that a group may have, in the order in which a block holds its groups."""
_HEAD = len(SIZES) + 1
_INT16 = np.iinfo(np.int16)

# Slots that the vector kernels take beside those of the steps.
_CALL, _CHUNK, _LINE, _TILE, _CROSSING_PIXEL = 200.0, 80.0, 45.0, 40.0, 11.0
# LMUL: (rows of the tallest tile, step of heights)
_TILES = {8: (2, 1), 4: (5, 1), 2: (10, 2), 1: (12, 4)}


def fits(weights: Array) -> Array:
    """Whether Σ x w, bool [...], fits int16 for weights int [..., g, N], all N columns and all inputs -128..127."""
    positive = np.maximum(weights, 0).sum(-2, dtype=np.int64)
    negative = np.maximum(-weights.astype(np.int64), 0).sum(-2)
    return np.asarray(_fits(positive, negative).all(-1))


def _fits(positive: Array, negative: Array) -> Array:
    high = 127 * positive + 128 * negative <= _INT16.max
    return np.asarray(high & (128 * positive + 127 * negative <= -int(_INT16.min)))


def grouping(weights: Array, runs: Sequence[int], *, exact: bool = True) -> list[tuple[int, int]]:
    """The fewest groups (first row, rows) of the rows of one block, int [K, N].

    A group lies within one of the ``runs``, whose lengths add up to K: only there are inputs contiguous. If not
    ``exact``, sums need not fit int16: for kernels that add to int32 at once.
    """
    largest = _largest(weights) if exact else np.full(len(weights), SIZES[0])
    groups, first = [], 0
    for length in runs:
        end = first + length
        while first < end:  # the longest group is always right: a shorter one never makes a later one longer
            size = min(int(largest[first]), end - first)
            groups.append((first, size))
            first += size
    return groups


def _largest(weights: Array) -> Array:
    """The size of the largest group, int [K], that starts at each row of int [K, N]."""
    depth = len(weights)
    rows = np.concatenate([weights.astype(np.int32), np.zeros((SIZES[0], weights.shape[1]), np.int32)])
    positive, negative = np.maximum(rows, 0), np.maximum(-rows, 0)
    largest = np.ones(depth, np.int64)
    above, below = positive[:depth].copy(), negative[:depth].copy()
    still = np.ones(depth, bool)
    for size in range(2, SIZES[0] + 1):
        above += positive[size - 1 : size - 1 + depth]
        below += negative[size - 1 : size - 1 + depth]
        still &= _fits(above, below).all(1)
        largest[still] = size
    return largest


def pack(weights: Array, args: ArgValues, *, exact: bool = True) -> Array:
    """Weights s8[K, N], K over taps_y, taps_x, k, in the layout of ``qigemm.h``: int8, for exactly these ``args``.

    ``exact`` must be true for the kernels of which :func:`groups_in_int16` is.
    """
    n, nb, taps_y, taps_x, k = _ints(args, "n", "nb", "taps_y", "taps_x", "k")
    depth = taps_y * taps_x * k
    if weights.shape != (depth, n) or weights.dtype != np.int8:
        raise TypeError(f"weights must be int8 [{depth}, {n}], not {weights.dtype} {list(weights.shape)}")
    places = _inputs(args)
    data = bytearray(4 * ceil(n / nb))
    for block, column in enumerate(range(0, n, nb)):
        part = weights[:, column : column + nb]
        groups = sorted(grouping(part, [k] * (taps_y * taps_x), exact=exact), key=lambda g: -g[1])
        rows = np.zeros((depth, nb), np.int8)
        rows[:, : part.shape[1]] = part[[row for first, size in groups for row in range(first, first + size)]]
        sizes = np.array([size for _, size in groups])
        steps = np.diff([0, *(places[first] for first, _ in groups)], append=places[groups[-1][0]])
        ends = [4 * (_HEAD + int((sizes >= size).sum())) for size in SIZES]
        start = len(data)
        data[4 * block : 4 * block + 4] = start.to_bytes(4, "little")
        rows_at = _aligned(start + 4 * (_HEAD + len(steps)), nb)
        data += np.array([*ends, rows_at - start, *steps], "<i4").tobytes()
        data += bytes(rows_at - len(data)) + rows.tobytes()
        data += bytes(-len(data) % 4)
    return np.frombuffer(bytes(data + bytes(nb)), np.int8)


def _aligned(offset: int, nb: int) -> int:
    unit = gcd(nb, 64)
    return ceil(offset / unit) * unit


def _blocks(packed: Array, args: ArgValues) -> Iterator[tuple[list[int], Array, Array]]:
    """Of each block the numbers of groups by size, the steps, and the rows."""
    n, nb, taps_y, taps_x, k = _ints(args, "n", "nb", "taps_y", "taps_x", "k")
    depth = taps_y * taps_x * k
    data = packed.view(np.int8).reshape(-1)
    for start in data[: 4 * ceil(n / nb)].view("<i4"):
        *ends, rows_at = (int(word) for word in data[start : start + 4 * _HEAD].view("<i4"))
        counts = [(end - before) // 4 for before, end in zip([4 * _HEAD, *ends], ends, strict=False)]
        steps = data[start + 4 * _HEAD : start + ends[-1]].view("<i4")
        rows = data[start + rows_at : start + rows_at + depth * nb].reshape(depth, nb)
        yield counts, steps, rows


def shares(packed: Array, args: ArgValues) -> dict[int, float]:
    """The share of the multiplications that run in groups of each size, of packed weights."""
    rows = dict.fromkeys(SIZES, 0)
    for counts, _, _ in _blocks(packed, args):
        for size, count in zip(SIZES, counts, strict=True):
            rows[size] += size * count
    return {size: count / sum(rows.values()) for size, count in rows.items() if count}


def groups_in_int16(kernel: Kernel) -> bool:
    """Whether a kernel of this family relies on ``exact`` grouping."""
    return kernel.isa == "rvv" and "x1v" not in kernel.name


def _ints(args: ArgValues, *names: str) -> list[int]:
    return [int(args[name]) for name in names]  # type: ignore[arg-type]


def _inputs(args: ArgValues) -> Array:
    """Offsets of the inputs of a pixel, int64 [K]."""
    taps_y, taps_x, k, by_y, by_x = _ints(args, "taps_y", "taps_x", "k", "x_tap_y_stride", "x_tap_x_stride")
    tap_y, tap_x, i = np.ogrid[:taps_y, :taps_x, :k]
    return np.asarray((tap_y * by_y + tap_x * by_x + i).reshape(-1))


def _pixels(args: ArgValues, side: str) -> Array:
    """Offsets of the pixels of ``x`` or ``y``, int64 [pixels]."""
    batch, rows, cols = _ints(args, "batch", "rows", "cols")
    by_batch, by_row, by_col = _ints(args, f"{side}_batch_stride", f"{side}_row_stride", f"{side}_col_stride")
    image, row, col = np.ogrid[:batch, :rows, :cols]
    return np.asarray((image * by_batch + row * by_row + col * by_col).reshape(-1))


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    x, packed, bias, scale, y = buffers
    n, nb, zero, lo, hi = _ints(args, "n", "nb", "zero", "lo", "hi")
    pixels, out = _pixels(args, "x"), y.copy()
    for block, (counts, steps, rows) in enumerate(_blocks(packed, args)):
        sizes = np.repeat(SIZES, counts)
        inputs = np.concatenate([np.arange(size) + at for size, at in zip(sizes, np.cumsum(steps), strict=True)])
        columns = np.arange(block * nb, min(block * nb + nb, n))
        sums = x[pixels[:, None] + inputs].astype(np.int64) @ rows[:, : len(columns)].astype(np.int64)
        scaled = (sums + bias[columns]).astype(np.float32) * scale[columns]
        out[_pixels(args, "y")[:, None] + columns] = round_s8(scaled, zero, lo, hi)
    return {4: out}


def quantized(args: ArgValues, *, zero: int = 0, lo: int = -128, hi: int = 127) -> dict[str, Value]:
    """Arguments of this family from those of :mod:`.igemm`."""
    dropped = ("w_k_stride", "w_block_stride", "lo", "hi")
    return {name: value for name, value in args.items() if name not in dropped} | {"zero": zero, "lo": lo, "hi": hi}


def random_case(
    label: str,
    args: ArgValues,
    rng: np.random.Generator,
    *,
    exact: bool = True,
    weights: Array | None = None,
    inputs: Sequence[int] = (),
) -> Case:
    """A case with buffers just large enough, with the outputs spread over int8 and a little beyond.

    Weights, unless given, are normal numbers scaled so that each column's largest is 127, as quantization makes them.
    Inputs are of all values, or of those in ``inputs``.
    """
    n, taps_y, taps_x, k = _ints(args, "n", "taps_y", "taps_x", "k")
    depth = taps_y * taps_x * k
    if weights is None:
        normal = rng.standard_normal((depth, n))
        weights = np.rint(normal / np.abs(normal).max(0) * 127).astype(np.int8)
    size = int(_pixels(args, "x").max() + _inputs(args).max()) + 1
    x = rng.choice(np.array(inputs, np.int8), size) if inputs else rng.integers(-128, 128, size).astype(np.int8)
    spread = np.sqrt((weights.astype(np.float64) ** 2).sum(0)) * 73 + 1
    bias = rng.normal(0, spread).astype(np.int32)
    scale = (rng.uniform(50, 90, n) / spread).astype(np.float32)
    y = rng.integers(-128, 128, int(_pixels(args, "y").max()) + n).astype(np.int8)
    return Case(label, args, (x, pack(weights, args, exact=exact), bias, scale, y), (4,))


def _cases(rng: np.random.Generator, *, exact: bool) -> Iterator[Case]:
    case = partial(random_case, rng=rng, exact=exact)

    def product(pixels: int, depth: int, columns: int, nb: int, **more: int) -> dict[str, Value]:
        return quantized(igemm.product(pixels, depth, columns, nb)) | {"zero": int(rng.integers(-128, 128)), **more}

    for pixels in (*range(1, 18), 22, 29, 31, 33):  # every height of a tile, and their splits
        yield case(f"{pixels} pixels", product(pixels, 12, 37, 32))
    for depth in (*range(1, 18), 27, 64, 100):  # every size of a group, with any other after it
        yield case(f"K={depth}", product(15, depth, 20, 16))
    for columns in (1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 70):
        for nb in (4, 8, 16, 32, 64):
            yield case(f"N={columns} in blocks of {nb}", product(9, 10, columns, nb))
    for image, options in (
        ((1, 6, 6, 5), {"halo": 1}),
        ((2, 5, 9, 3), {"halo": 1, "stride": 2}),
        ((1, 9, 8, 4), {"dilation": 2, "halo": 2}),
        ((3, 4, 3, 8), {"taps": (1, 1)}),
        ((2, 7, 5, 4), {"taps": (1, 1), "stride": 2}),
        ((1, 12, 1, 2), {"taps": (5, 1)}),
        ((1, 1, 20, 6), {"taps": (1, 5), "halo": 0}),
        ((1, 11, 11, 3), {"taps": (7, 7), "stride": 2, "halo": 3}),
        ((1, 6, 5, 70), {"taps": (2, 2)}),  # deep enough for tiles that cross rows
        ((2, 4, 4, 64), {"halo": 1}),
        ((1, 10, 3, 33), {"dilation": 3, "halo": 3}),
    ):
        yield case(f"{image} {options}", quantized(igemm.convolution(image, 19, 16, **options), zero=-7))
    yield case("gaps in x and y", product(18, 33, 24, 8) | {"x_col_stride": 40, "y_col_stride": 61})
    for lo, hi in ((-128, 20), (-10, 127), (3, 100), (5, 5)):
        yield case(f"clamp to {lo}, {hi}", product(11, 19, 21, 16, lo=lo, hi=hi))
    for zero in (-128, -1, 0, 127):
        yield case(f"zero point {zero}", product(7, 40, 20, 32, zero=zero))
    # Sums at the bounds of int16, and beyond where a group would be too large: every group as full as it may be.
    for row, label in (([85, 85, 85], "triples"), ([127, 127], "pairs"), ([-128, -128], "-128"), ([63] * 4, "quads"),
                       ([43] * 6, "sixes"), ([-128, 128 - 256, 1], "singles")):  # fmt: skip
        for inputs in ((-128,), (127,), (-128, 127)):
            sign = rng.choice([-1, 1], (1, 40)) if label not in ("-128", "singles") else 1
            weights = (np.resize(row, (25, 1)) * np.ones((1, 40), int) * sign).astype(np.int8)
            args = product(13, 25, 40, 32)
            yield case(f"{label} with inputs {inputs}", args, weights=weights, inputs=inputs)
    weights = np.full((70, 9), -128, np.int8)
    tied = case("ties", product(16, 70, 9, 8, zero=3), weights=weights, inputs=(-1, 0, 1))
    tied.buffers[2][:] = 0
    tied.buffers[3][:] = np.float32(1 / 256)  # half an output for each input
    yield tied
    saturated = case("beyond int16", product(16, 70, 9, 8, zero=100))
    saturated.buffers[3][:] *= np.float32(1e6)
    yield saturated


def _split(lmul: int, pixels: int) -> list[tuple[int, int]]:
    """(height, number) of the tiles of a line of pixels, as the C function of that name finds them."""
    tallest, unit = _TILES[lmul]
    units = pixels // unit
    found = [(1, pixels % unit)]
    if tiles := -(-units * unit // tallest):
        low, taller = divmod(units, tiles)
        found += [((low + 1) * unit, taller), (low * unit, tiles - taller)]
    return [(height, number) for height, number in found if number]


def _typical_size(depth: int, columns: int, run: int) -> float:
    """Products in a group, on average, of normal weights: as measured for K from 16 to 4,608 and 16 to 64 columns."""
    size = 2.15 + 0.34 * np.log2(max(depth, 16) / 16) - 0.33 * np.log2(max(columns, 8) / 32)
    return float(np.clip(size, 1.5, min(5.5, run)))


def _tiles_cost(args: ArgValues, lmul: int, columns: int, pixels: int, size: float | None) -> float:
    """Slots of the tiles of one line and one column chunk, with groups of ``size`` products on average."""
    taps_y, taps_x, k, lo, hi = _ints(args, "taps_y", "taps_x", "k", "lo", "hi")
    depth = taps_y * taps_x * k
    half, quarter = max(lmul // 2, 1), max(lmul // 4, 1)
    groups = depth / (size or (_typical_size(depth, columns, k) if lmul > 1 else min(SIZES[0], k)))
    last = 3 * lmul + lmul + half + half + quarter * (2 + (lo > -128) + (hi < 127)) + 1
    total = _LINE
    for height, number in _split(lmul, pixels):
        step = height * (half + 1) + quarter + 1 if lmul > 1 else height * 2 + 3
        group = height * (lmul + 1 if lmul > 1 else 1) + (5 if lmul > 1 else 3)
        total += number * (depth * step + groups * group + _TILE + height * last + lmul)
    return total


def _flattened(args: ArgValues) -> tuple[int, int, int]:
    """(images, rows, columns) after the C function of that name."""
    batch, rows, cols = _ints(args, "batch", "rows", "cols")
    strides = [_ints(args, f"{side}_batch_stride", f"{side}_row_stride", f"{side}_col_stride") for side in "xy"]
    if cols == 1:
        rows, cols = 1, rows
        strides = [[image, row, row] for image, row, _ in strides]
    elif all(row == cols * col for _, row, col in strides):
        rows, cols = 1, rows * cols
    if rows == 1:
        batch, rows = 1, batch
        if all(image == cols * col for image, _, col in strides):
            rows, cols = 1, rows * cols
    return batch, rows, cols


def _vector_cost(lmul: int, args: ArgValues, target: Target, size: float | None = None) -> float:
    batch, rows, cols = _flattened(args)
    n, nb, taps_y, taps_x, k = _ints(args, "n", "nb", "taps_y", "taps_x", "k")
    longest = lmul * target.lanes
    tallest = _TILES[lmul][0]
    saved = rows * ceil(cols / tallest) - ceil(rows * cols / tallest)
    columns = min(nb, n)
    if saved * 3 * taps_y * taps_x * k > 16 * rows * cols:  # tiles that cross rows
        image = _tiles_cost(args, lmul, columns, rows * cols, size) + _CROSSING_PIXEL * rows * cols
        image += _LINE * ceil(rows * cols / tallest)
    else:
        image = rows * _tiles_cost(args, lmul, columns, cols, size)
    whole, rest = divmod(n, nb)
    chunks = whole * ceil(nb / longest) + ceil(rest / longest)
    return _CALL + chunks * (_CHUNK + batch * image)


def packed_cost(kernel: Kernel, packed: Array, args: ArgValues, target: Target) -> float:
    """Modelled slots with these packed weights: with their groups, where ``kernel.cost`` takes typical ones."""
    if not groups_in_int16(kernel):
        return kernel.cost(args, target)
    size = 1 / sum(share / size for size, share in shares(packed, args).items())
    return _vector_cost(next(lmul for lmul in _TILES if f"x{lmul}v" in kernel.name), args, target, size)


def _scalar_cost(args: ArgValues, _target: Target) -> float:
    batch, rows, cols, n, nb = _ints(args, "batch", "rows", "cols", "n", "nb")
    depth = np.prod(_ints(args, "taps_y", "taps_x", "k"))
    quads, singles = cols // 4, cols % 4
    # Instructions for each K: loads, multiplies, and the loop's own, of 4 x 4, 1 x 4, 4 x 1 and 1 x 1 tiles.
    whole, rest = divmod(n, nb)
    fours, ones = whole * (nb // 4) + rest // 4, whole * (nb % 4) + rest % 4
    each = fours * (quads * 46 + singles * 18) + ones * (quads * 18 + singles * 8)
    return float(_CALL + batch * rows * (depth * each + (fours + ones) * (quads + singles) * 160))


def _supports(args: ArgValues, _target: Target) -> bool:
    return min(_ints(args, "taps_y", "taps_x", "k", "n", "nb")) > 0


def _has_dot_products(args: ArgValues, target: Target) -> bool:
    return "zvdot4a8i" in target.cpu and _supports(args, target)


def _row(
    name: str,
    cost: Callable[[ArgValues, Target], float],
    supports: Callable[[ArgValues, Target], bool] = _supports,
    *,
    exact: bool = True,
) -> Kernel:
    return Kernel(
        name=name,
        family="qigemm",
        source="qigemm.c",
        args="pf_qigemm_args",
        buffers=("x", "w", "bias", "scale", "y"),
        meaning=_meaning,
        cases=partial(_cases, exact=exact),
        supports=supports,
        cost=cost,
    )


KERNELS = (
    _row("qs8_qc8w_igemm_2x8v__rvv", partial(_vector_cost, 8)),
    _row("qs8_qc8w_igemm_5x4v__rvv", partial(_vector_cost, 4)),
    _row("qs8_qc8w_igemm_10x2v__rvv", partial(_vector_cost, 2)),
    _row("qs8_qc8w_igemm_12x1v__rvv", partial(_vector_cost, 1), exact=False),
    _row("qs8_qc8w_igemm_dot4__rvv", lambda _args, _target: 0.0, _has_dot_products),
    _row("qs8_qc8w_igemm_4x4__scalar", _scalar_cost),
)
