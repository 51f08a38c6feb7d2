"""Matrix products and convolutions in f32: ``y[p, j] = clamp(bias[j] + Σ x[p, i] w[i, j])``.

Weights come in blocks of ``nb`` columns (:func:`pack`), or as a plain row-major matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

# Slots that the vector kernels take beside those of the steps, fitted to counts of 180 random cases, which the model
# gives within 6 %.
_CALL, _CHUNK, _LINE, _TILE, _RUN, _CROSSING_PIXEL = 200.0, 64.0, 45.0, 18.0, 10.0, 11.0
# (LMUL: rows of the tallest tile, step of heights)
_TILES = {4: (7, 1), 2: (14, 2), 1: (16, 2)}


def pack(weights: Array, nb: int) -> Array:
    """Weights [K, N] in blocks of ``nb`` columns, [ceil(N / nb), K, nb], the last padded with zeros."""
    depth, columns = weights.shape
    blocks = ceil(columns / nb)
    padded = np.zeros((depth, blocks * nb), weights.dtype)
    padded[:, :columns] = weights
    return np.ascontiguousarray(padded.reshape(depth, blocks, nb).transpose(1, 0, 2))


def _ints(args: ArgValues, *names: str) -> list[int]:
    return [int(args[name]) for name in names]  # type: ignore[arg-type]


def _steps(args: ArgValues, prefix: str, *, taps: bool) -> Array:
    """Offsets of the pixels (int64 [pixels]); with ``taps``, of every input of every pixel ([pixels, K])."""
    batch, rows, cols = _ints(args, "batch", "rows", "cols")
    by_batch, by_row, by_col = _ints(args, f"{prefix}_batch_stride", f"{prefix}_row_stride", f"{prefix}_col_stride")
    image, row, col = np.ogrid[:batch, :rows, :cols]
    pixels = (image * by_batch + row * by_row + col * by_col).reshape(-1)
    if not taps:
        return np.asarray(pixels)
    taps_y, taps_x, k, by_y, by_x = _ints(args, "taps_y", "taps_x", "k", "x_tap_y_stride", "x_tap_x_stride")
    tap_y, tap_x, i = np.ogrid[:taps_y, :taps_x, :k]
    return np.asarray(pixels[:, None] + (tap_y * by_y + tap_x * by_x + i).reshape(1, -1))


def clamped(values: Array, args: ArgValues) -> Array:
    """Values between ``lo`` and ``hi``; a NaN becomes the first of them that is finite."""
    for limit, bound in ((np.fmax, float(args["lo"])), (np.fmin, float(args["hi"]))):  # type: ignore[arg-type]
        if np.isfinite(bound):
            values = limit(values, bound)
    return values


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    x, w, bias, y = (b.astype(np.float64) for b in buffers)
    n, nb, by_k, by_block = _ints(args, "n", "nb", "w_k_stride", "w_block_stride")
    inputs = x[_steps(args, "x", taps=True)]
    column = np.arange(n)
    weights = w[np.arange(inputs.shape[1])[:, None] * by_k + column // nb * by_block + column % nb]
    y[_steps(args, "y", taps=False)[:, None] + column] = clamped(inputs @ weights + bias, args)
    return {3: y}


def product(rows: int, depth: int, columns: int, nb: int) -> dict[str, Value]:
    """Arguments of a plain product of f32[rows, depth] and packed weights, without gaps."""
    return {
        "batch": 1, "rows": 1, "cols": rows, "x_batch_stride": 0, "x_row_stride": 0, "x_col_stride": depth,
        "taps_y": 1, "taps_x": 1, "x_tap_y_stride": 0, "x_tap_x_stride": 0, "k": depth,
        "n": columns, "nb": nb, "w_k_stride": nb, "w_block_stride": depth * nb,
        "y_batch_stride": 0, "y_row_stride": 0, "y_col_stride": columns, "lo": -np.inf, "hi": np.inf,
    }  # fmt: skip


def convolution(
    image: tuple[int, int, int, int],
    columns: int,
    nb: int,
    *,
    taps: tuple[int, int] = (3, 3),
    stride: int = 1,
    dilation: int = 1,
    halo: int = 0,
) -> dict[str, Value]:
    """Arguments of a convolution over an image [batch, rows, cols, channels] that lies in a frame of ``halo`` pixels.

    The frame counts as input, so that x starts at its first pixel; y is dense.
    """
    batch, height, width, channels = image
    height, width = height + 2 * halo, width + 2 * halo
    rows = (height - dilation * (taps[0] - 1) - 1) // stride + 1
    cols = (width - dilation * (taps[1] - 1) - 1) // stride + 1
    merged = dilation == 1
    depth = taps[0] * taps[1] * channels
    return {
        **product(rows * cols, depth, columns, nb),
        "batch": batch, "rows": rows, "cols": cols,
        "x_batch_stride": height * width * channels,
        "x_row_stride": stride * width * channels, "x_col_stride": stride * channels,
        "taps_y": taps[0], "taps_x": 1 if merged else taps[1],
        "x_tap_y_stride": dilation * width * channels, "x_tap_x_stride": dilation * channels,
        "k": taps[1] * channels if merged else channels,
        "y_batch_stride": rows * cols * columns, "y_row_stride": cols * columns, "y_col_stride": columns,
    }  # fmt: skip


def random_case(label: str, args: ArgValues, rng: np.random.Generator) -> Case:
    """A case with buffers just large enough, of normal numbers; the places that y must not touch hold numbers too."""
    n, nb, by_k, by_block = _ints(args, "n", "nb", "w_k_stride", "w_block_stride")
    x_steps, y_steps = _steps(args, "x", taps=True), _steps(args, "y", taps=False)
    depth = x_steps.shape[1]
    blocks = ceil(n / nb)
    last = nb if by_k == nb else n - (blocks - 1) * nb
    w_size = (blocks - 1) * by_block + (depth - 1) * by_k + last
    sizes = [int(x_steps.max()) + 1, w_size, n, int(y_steps.max()) + n]
    x, w, bias, y = (rng.standard_normal(size).astype(np.float32) for size in sizes)
    return Case(label, args, (x, w / np.float32(np.sqrt(depth)), bias, y), (3,))


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    for pixels in (*range(1, 18), 22, 29, 31, 33):  # every height of a tile, and their splits
        yield random_case(f"{pixels} pixels", product(pixels, 12, 37, 32), rng)
    for depth in (*range(1, 18), 27, 64, 100):  # every way into and out of the loop over K
        yield random_case(f"K={depth}", product(15, depth, 20, 16), rng)
    for columns in (1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 48, 70):
        for nb in (4, 8, 16, 32, 64):
            yield random_case(f"N={columns} in blocks of {nb}", product(9, 10, columns, nb), rng)
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
        args = convolution(image, 19, 16, **options)
        yield random_case(f"{image} {options}", args, rng)
    gaps = {"x_col_stride": 40, "y_col_stride": 61}
    yield random_case("gaps in x and y", product(18, 33, 24, 8) | gaps, rng)
    plain = product(23, 21, 45, 16) | {"w_k_stride": 47, "w_block_stride": 16}
    yield random_case("plain right side", plain, rng)
    for low, high in ((0.0, np.inf), (0.0, 6.0), (-np.inf, 0.5), (-1.0, 1.0)):
        yield random_case(f"clamp to {low}, {high}", product(11, 19, 21, 16) | {"lo": low, "hi": high}, rng)
    case = random_case("large and small magnitudes", product(8, 24, 9, 8), rng)
    scale = np.float32(2.0) ** rng.integers(-60, 60, case.buffers[0].size).astype(np.float32)
    yield Case(case.label, case.args, (case.buffers[0] * scale, *case.buffers[1:]), (3,))
    for low, high in ((-np.inf, np.inf), (0.0, np.inf), (-np.inf, 6.0), (0.0, 6.0)):
        args = product(8, 24, 9, 8) | {"lo": low, "hi": high}
        case = random_case(f"NaN and infinity, clamped to {low}, {high}", args, rng)
        case.buffers[0][[5, 30]] = np.inf, np.nan
        yield case


def _split(lmul: int, pixels: int) -> list[tuple[int, int]]:
    """(height, number) of the tiles of a line of pixels, as the C function of that name finds them."""
    tallest, unit = _TILES[lmul]
    units = pixels // unit
    found = [(1, pixels % unit)]
    if tiles := -(-units * unit // tallest):
        low, taller = divmod(units, tiles)
        found += [((low + 1) * unit, taller), (low * unit, tiles - taller)]
    return [(height, number) for height, number in found if number]


def _tiles_cost(args: ArgValues, lmul: int, pixels: int) -> float:
    """Slots of the tiles of one line and one column chunk."""
    taps_y, taps_x, k = _ints(args, "taps_y", "taps_x", "k")
    clamps = int(np.isfinite(args["lo"])) + int(np.isfinite(args["hi"]))
    total = 0.0
    for height, number in _split(lmul, pixels):
        step = height * (lmul + 1) + lmul + 1
        # Pointers move once for 8 elements, and once for each of the last k % 4.
        moves = (k + 4) // 8 + max(k % 4 - 1, 0)
        runs = taps_y * taps_x * (k * step + moves * (height + 2) + _RUN + height)
        total += number * (runs + _TILE + height * (2 * lmul + 3 + lmul * clamps)) + _LINE
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


def _vector_cost(lmul: int, args: ArgValues, target: Target) -> float:
    batch, rows, cols = _flattened(args)
    taps_y, taps_x, k, n, nb = _ints(args, "taps_y", "taps_x", "k", "n", "nb")
    tallest = _TILES[lmul][0]
    saved = rows * ceil(cols / tallest) - ceil(rows * cols / tallest)
    if saved * (lmul + 1) * taps_y * taps_x * k > 16 * rows * cols:  # tiles that cross rows
        image = _tiles_cost(args, lmul, rows * cols) + _CROSSING_PIXEL * rows * cols
        image += _LINE * ceil(rows * cols / tallest)
    else:
        image = rows * _tiles_cost(args, lmul, cols)
    longest = lmul * target.lanes
    whole, rest = divmod(n, nb)
    chunks = whole * ceil(nb / longest) + ceil(rest / longest)
    return _CALL + chunks * (_CHUNK + batch * image)


def _scalar_cost(args: ArgValues, target: Target) -> float:
    batch, rows, cols, n, nb = _ints(args, "batch", "rows", "cols", "n", "nb")
    depth = np.prod(_ints(args, "taps_y", "taps_x", "k"))
    quads, singles = cols // 4, cols % 4
    # Instructions for each K: loads, multiplies, and the loop's own, of 4 x 4, 1 x 4, 4 x 1 and 1 x 1 tiles.
    whole, rest = divmod(n, nb)
    fours, ones = whole * (nb // 4) + rest // 4, whole * (nb % 4) + rest % 4
    each = fours * (quads * 30 + singles * 12) + ones * (quads * 15 + singles * 6)
    return float(_CALL + batch * rows * (depth * each + (fours + ones) * (quads + singles) * 40))


def _supports(args: ArgValues, _target: Target) -> bool:
    return min(_ints(args, "taps_y", "taps_x", "k", "n", "nb")) > 0


def _row(name: str, cost: Callable[[ArgValues, Target], float]) -> Kernel:
    return Kernel(
        name=name,
        family="igemm",
        source="igemm.c",
        args="pf_igemm_args",
        buffers=("x", "w", "bias", "y"),
        meaning=_meaning,
        cases=_cases,
        supports=_supports,
        cost=cost,
        ulp=16,
    )


KERNELS = (
    _row("f32_igemm_7x4v__rvv", partial(_vector_cost, 4)),
    _row("f32_igemm_14x2v__rvv", partial(_vector_cost, 2)),
    _row("f32_igemm_16x1v__rvv", partial(_vector_cost, 1)),
    _row("f32_igemm_4x4__scalar", _scalar_cost),
)
