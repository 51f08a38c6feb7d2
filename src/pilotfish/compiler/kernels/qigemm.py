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

KINDS = ((5, 4), (4, 4), (4, 3), (3, 3), (3, 2), (2, 2), (6,), (5,), (4,), (3,), (2,), (1,))
"""Items: one or two groups of rows whose inputs are contiguous, in the order in which a block holds them."""
_LARGEST = 6
_INT16 = np.iinfo(np.int16)
# Slots of a tile, of 64 columns by 2 pixels, for each group, for each item besides, and for each kind of item in use.
_GROUP_SLOTS, _ITEM_SLOTS, _KIND_SLOTS = 18.0, 5.0, 7.0

# Slots that the vector kernels take beside those of the steps.
_CALL, _CHUNK, _LINE, _TILE, _CROSSING_PIXEL = 200.0, 80.0, 45.0, 40.0, 11.0
_HEIGHTS = {8: 2, 4: 5, 2: 10, 1: 12}
"""Pixels of a tile, by LMUL."""


def fits(weights: Array) -> Array:
    """Whether Σ x w, bool [...], fits int16 for weights int [..., g, N], all N columns and all inputs -128..127."""
    positive = np.maximum(weights, 0).sum(-2, dtype=np.int64)
    negative = np.maximum(-weights.astype(np.int64), 0).sum(-2)
    return np.asarray(_fits(positive, negative).all(-1))


def _fits(positive: Array, negative: Array) -> Array:
    high = 127 * positive + 128 * negative <= _INT16.max
    return np.asarray(high & (128 * positive + 127 * negative <= -int(_INT16.min)))


def grouping(
    weights: Array, runs: Sequence[int], order: Sequence[int] | None = None, *, exact: bool = True
) -> list[tuple[int, tuple[int, ...]]]:
    """Items (first row, sizes of the groups) of the rows of one block, int [K, N], that cost least.

    An item lies within one of the ``runs``, whose lengths add up to K: only there are inputs contiguous. ``order``
    permutes the rows before. If not ``exact``, sums need not fit int16: for kernels that add to int32 at once.
    """
    if order is not None:
        weights = weights[np.asarray(order)]
    largest = _largest(weights).tolist() if exact else [sum(KINDS[0])] * len(weights)
    kinds = tuple(KINDS)
    items = _cheapest(largest, runs, kinds)
    if not exact:
        return items
    while True:  # without the kinds that save less than what a section takes
        dropped = None
        cost = _slots(items)
        for kind in {sizes for _, sizes in items if sizes != (1,)}:
            others = tuple(k for k in kinds if k != kind)
            found = _cheapest(largest, runs, others)
            if _slots(found) < cost:
                dropped, cost = (others, found), _slots(found)
        if dropped is None:
            return items
        kinds, items = dropped


def _slots(items: Sequence[tuple[int, tuple[int, ...]]]) -> float:
    groups = sum(len(sizes) for _, sizes in items)
    return groups * _GROUP_SLOTS + len(items) * _ITEM_SLOTS + len({sizes for _, sizes in items}) * _KIND_SLOTS


def _cheapest(
    largest: Sequence[int], runs: Sequence[int], kinds: Sequence[tuple[int, ...]]
) -> list[tuple[int, tuple[int, ...]]]:
    """The items of those kinds with the least slots for groups and items, by dynamic programming from the end."""
    forms = [(sizes, sum(sizes), len(sizes) * _GROUP_SLOTS + _ITEM_SLOTS) for sizes in kinds]
    items, begin = [], 0
    for length in runs:
        end = begin + length
        cost = [0.0] * (length + 1)
        best: list[tuple[int, ...]] = [(1,)] * length
        for at in range(length - 1, -1, -1):
            row, left, least = begin + at, length - at, np.inf
            limit = largest[row]
            for sizes, rows, slots in forms:
                if rows > left or sizes[0] > limit or (len(sizes) > 1 and sizes[1] > largest[row + sizes[0]]):
                    continue
                if slots + cost[at + rows] < least:
                    least, best[at] = slots + cost[at + rows], sizes
            cost[at] = least
        while begin < end:
            sizes = best[length - (end - begin)]
            items.append((begin, sizes))
            begin += sum(sizes)
    return items


def _largest(weights: Array) -> Array:
    """The size of the largest group, int [K], that starts at each row of int [K, N]."""
    depth = len(weights)
    rows = np.concatenate([weights.astype(np.int32), np.zeros((_LARGEST, weights.shape[1]), np.int32)])
    positive, negative = np.maximum(rows, 0), np.maximum(-rows, 0)
    largest = np.ones(depth, np.int64)
    above, below = positive[:depth].copy(), negative[:depth].copy()
    still = np.ones(depth, bool)
    for size in range(2, _LARGEST + 1):
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
    runs = [k] * (taps_y * taps_x)
    data = bytearray(4 * ceil(n / nb))
    for block, column in enumerate(range(0, n, nb)):
        part = weights[:, column : column + nb]
        items = sorted(grouping(part, runs, exact=exact), key=lambda item: KINDS.index(item[1]))
        rows = np.zeros((depth, nb), np.int8)
        rows[:, : part.shape[1]] = part[[row for first, sizes in items for row in range(first, first + sum(sizes))]]
        steps = np.diff([0, *(places[first] for first, _ in items)], append=places[items[-1][0]])
        kinds = list(dict.fromkeys(sizes for _, sizes in items))
        counts = np.cumsum([sum(sizes == kind for _, sizes in items) for kind in kinds])
        steps_at = 4 * (4 + 2 * len(kinds))
        sections = [(4 * KINDS.index(kind), steps_at + 4 * int(end)) for kind, end in zip(kinds, counts, strict=True)]
        start = len(data)
        data[4 * block : 4 * block + 4] = start.to_bytes(4, "little")
        rows_at = _aligned(start + steps_at + 4 * len(steps), nb)
        words = [rows_at - start, steps_at, *(word for section in sections for word in section), 4 * len(KINDS), 0]
        data += np.array([*words, *steps], "<i4").tobytes()
        data += bytes(rows_at - len(data)) + rows.tobytes()
        data += bytes(-len(data) % 4)
    return np.frombuffer(bytes(data + bytes(2 * nb)), np.int8)


def _aligned(offset: int, nb: int) -> int:
    unit = gcd(nb, 64)
    return ceil(offset / unit) * unit


def _blocks(packed: Array, args: ArgValues) -> Iterator[tuple[list[tuple[int, ...]], Array, Array]]:
    """Of each block the kind of each item, the steps, and the rows."""
    n, nb, taps_y, taps_x, k = _ints(args, "n", "nb", "taps_y", "taps_x", "k")
    depth = taps_y * taps_x * k
    data = packed.view(np.int8).reshape(-1)
    for start in data[: 4 * ceil(n / nb)].view("<i4"):
        rows_at, at = (int(word) for word in data[start : start + 8].view("<i4"))
        words = data[start + 8 : start + at].view("<i4").reshape(-1, 2)
        items, end = list[tuple[int, ...]](), at
        for kind, section_end in words[:-1]:
            items += [KINDS[kind // 4]] * int((section_end - end) // 4)
            end = int(section_end)
        steps = data[start + at : start + end].view("<i4")
        rows = data[start + rows_at : start + rows_at + depth * nb].reshape(depth, nb)
        yield items, steps, rows


def shares(packed: Array, args: ArgValues) -> dict[int, float]:
    """The share of the multiplications that run in groups of each size, of packed weights."""
    sizes = [size for items, _, _ in _blocks(packed, args) for item in items for size in item]
    return {size: size * sizes.count(size) / sum(sizes) for size in sorted(set(sizes), reverse=True)}


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
    for block, (items, steps, rows) in enumerate(_blocks(packed, args)):
        starts = np.cumsum(steps)
        inputs = np.concatenate([np.arange(sum(item)) + at for item, at in zip(items, starts, strict=True)])
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
    every = np.tile([40, 20, 10, 60], (64, 10)).astype(np.int8)  # items of all kinds
    every[::5] = 100
    yield case("K=64 of many kinds", product(23, 64, 40, 16), weights=every)
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


def _typical_size(depth: int, columns: int, run: int) -> float:
    """Products in a group, on average, of normal weights: as measured for K from 16 to 4,608 and 16 to 64 columns."""
    size = 2.15 + 0.34 * np.log2(max(depth, 16) / 16) - 0.33 * np.log2(max(columns, 8) / 32)
    return float(np.clip(size, 1.5, min(5.5, run)))


def _tile_cost(args: ArgValues, lmul: int, height: int, columns: int, size: float | None) -> float:
    """Slots of a tile of ``height`` pixels by one column chunk, with groups of ``size`` products on average."""
    taps_y, taps_x, k, lo, hi = _ints(args, "taps_y", "taps_x", "k", "lo", "hi")
    depth, runs = taps_y * taps_x * k, taps_y * taps_x
    half, quarter = max(lmul // 2, 1), max(lmul // 4, 1)
    last = lmul * 3 + 2 * half + quarter * (2 + (lo > -128) + (hi < 127)) + 1
    tile = 30.0 + 2 * lmul + height * (last + lmul + 3)
    if lmul == 1:
        items = float(runs * ceil(k / sum(KINDS[0])))
        tile += depth * (height * 2 + 3) + items * (height + 3) + 14
        return tile if height > 1 else tile + 5.5 * depth
    groups = depth / (size or _typical_size(depth, columns, k))
    row = quarter + 1 if lmul < 8 else quarter + 0.6
    items = max(groups / 1.8, float(runs))
    sections = min(items, 5.0) * _KIND_SLOTS
    tile += depth * (height * (half + 1) + row) + groups * (height * lmul + 2) + items * (height + 3) + sections
    # Pixels that are left over have loops for all of it.
    return tile if height > 1 or lmul == 8 else tile + 4 * depth + 8 * groups


def _tiles_cost(args: ArgValues, lmul: int, columns: int, pixels: int, size: float | None) -> float:
    """Slots of the tiles of one line and one column chunk."""
    height = _HEIGHTS[lmul]
    tiles, rest = divmod(pixels, height)
    if tiles and rest > 1:
        tiles, rest = tiles + 1, 0
    total = _LINE + tiles * _tile_cost(args, lmul, height, columns, size)
    return total + (rest * _tile_cost(args, lmul, 1, columns, size) if rest else 0)


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
    columns, height, depth = min(nb, n), _HEIGHTS[lmul], taps_y * taps_x * k
    halves = cols if cols < height else 2 * (cols // height) + min(cols % height, 2)
    saved = rows * halves - 2 * ceil(rows * cols / height)
    if rows * cols >= height and saved * height * lmul * depth > 16 * rows * cols:  # tiles that cross rows
        tile = _tile_cost(args, lmul, height, columns, size)
        image = ceil(rows * cols / height) * (tile + _LINE) + _CROSSING_PIXEL * rows * cols
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
    return _vector_cost(next(lmul for lmul in _HEIGHTS if f"x{lmul}v" in kernel.name), args, target, size)


def _scalar_cost(args: ArgValues, _target: Target) -> float:
    batch, rows, cols, n, nb = _ints(args, "batch", "rows", "cols", "n", "nb")
    depth = np.prod(_ints(args, "taps_y", "taps_x", "k"))
    triples, singles = divmod(cols, 3)
    # Instructions for each K: loads, multiplies, and the loop's own, of 3 x 4, 1 x 4, 3 x 1 and 1 x 1 tiles.
    whole, rest = divmod(n, nb)
    fours, ones = whole * (nb // 4) + rest // 4, whole * (nb % 4) + rest % 4
    each = fours * (triples * 40 + singles * 18) + ones * (triples * 15 + singles * 8)
    return float(_CALL + batch * rows * (depth * each + cols * n * 50))


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
    _row("qs8_qc8w_igemm_3x4__scalar", _scalar_cost),
)
