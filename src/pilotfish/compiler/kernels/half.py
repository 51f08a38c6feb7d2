"""Half precision: rows of the table whose kernels are float32's, compiled for f16 (``pf_real.h``).

Twice as many elements fit a vector, at the same slots for each. The family of a row is that of the float32 row with
``f16_`` before it. Activations, weights, biases and outputs are f16. Vector kernels sum in f16, the dense ones in
pieces of at most :data:`PIECE` products; scalar twins sum in f32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels import dwconv, firstconv, gemv, igemm, pool
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel
from pilotfish.compiler.targets import Target

PIECE = 256
"""Most products that ``f16_igemm`` sums before it adds them to the total (``PIECE`` in igemm.c)."""
_F16 = np.dtype(np.float16)
_LARGEST = float(np.finfo(np.float16).max)


@cache
def doubled(target: Target) -> Target:
    """The target with registers twice as long: as many f32 elements as it has f16 ones."""
    return replace(target, vlen=min(2 * target.vlen, 65536))


def _cases(rng: np.random.Generator, *, row: Kernel) -> Iterator[Case]:
    """The float32 row's cases, rounded; without those that f16 cannot hold."""
    for case in row.cases(rng):
        finite = [b[np.isfinite(b)] for b in case.buffers if b.dtype == np.float32]
        if all(np.abs(values).max(initial=0) <= _LARGEST / 64 for values in finite):
            buffers = tuple(b.astype(_F16) if b.dtype == np.float32 else b for b in case.buffers)
            yield replace(case, buffers=buffers)


def _meaning(args: ArgValues, buffers: Sequence[Array], *, row: Kernel) -> Mapping[int, Array]:
    """That of the float32 row, whose results are wider than f16 until they are compared."""
    return row.meaning(args, [b.astype(np.float64) if b.dtype == _F16 else b for b in buffers])


def _cost(args: ArgValues, target: Target, *, row: Kernel) -> float:
    return row.cost(args, doubled(target) if row.isa == "rvv" else target)


def _supports(args: ArgValues, target: Target, *, row: Kernel) -> bool:
    return row.supports(args, doubled(target) if row.isa == "rvv" else target)


def half(row: Kernel, **changes: object) -> Kernel:
    """The f16 row of a float32 row."""
    made: dict[str, object] = {
        "name": row.name.replace("f32_", "f16_", 1),
        "family": f"f16_{row.family}",
        "source": f"f16_{row.source}",
        "meaning": partial(_meaning, row=row),
        "cases": partial(_cases, row=row),
        "cost": partial(_cost, row=row),
        "supports": partial(_supports, row=row),
    }
    return replace(row, **(made | changes))  # type: ignore[arg-type]


def pieces(taps_y: int, taps_x: int, k: int) -> list[tuple[int, int, int]]:
    """(rows of taps, taps of a row, inputs of a tap) of each piece, as ``run`` in igemm.c cuts them."""
    part = ceil(ceil(k / ceil(k / PIECE)) / 8) * 8
    row = taps_x * k
    rows = max(1, PIECE // row)
    beside = taps_x if row <= PIECE else max(1, PIECE // k)
    return [
        (min(rows, taps_y - y), min(beside, taps_x - x), min(part, k - i))
        for y in range(0, taps_y, rows)
        for x in range(0, taps_x, beside)
        for i in range(0, k, part)
    ]


def _igemm_cost(args: ArgValues, target: Target, *, row: Kernel) -> float:
    """One call for each piece; all but the first read y and add it."""
    wide = doubled(target)
    shape = pieces(*(int(args[n]) for n in ("taps_y", "taps_x", "k")))  # type: ignore[arg-type]
    total = sum(row.cost({**args, "taps_y": y, "taps_x": x, "k": k}, wide) for y, x, k in shape)
    pixels = int(args["batch"]) * int(args["rows"]) * int(args["cols"])  # type: ignore[arg-type]
    lmul = int(row.name.split("x")[1].split("v")[0])
    chunks = ceil(int(args["n"]) / (lmul * wide.lanes))  # type: ignore[arg-type]
    return total + (len(shape) - 1) * pixels * chunks * (2 * lmul + 2)


def _rows() -> Iterator[Kernel]:
    for row in igemm.KERNELS:
        cost = {"cost": partial(_igemm_cost, row=row)} if row.isa == "rvv" else {}
        yield half(row, ulp=8.0, **cost)
    for row in (*dwconv.KERNELS, *firstconv.KERNELS, *gemv.KERNELS):
        yield half(row, ulp=8.0)
    for row in pool.KERNELS:
        mean = {"cost": row.cost} if "_avgpool" in row.name else {}  # which has vectors of f32
        yield half(row, ulp=1.0, **mean)


KERNELS = tuple(_rows())
