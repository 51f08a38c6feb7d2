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

from pilotfish.compiler.kernels import dwconv, firstconv, gemv, igemm, pool, winograd
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


WINOGRAD_CHANNELS = 128
"""Most channels that Winograd convolutions sum in f16; their errors are then no larger than those of direct sums."""


def _winograd_cases(rng: np.random.Generator, *, row: Kernel, made: Kernel) -> Iterator[Case]:
    for case in _cases(rng, row=row):
        scratch = rng.standard_normal(winograd.scratch_bytes(made, case.args) // 2).astype(_F16)
        yield replace(case, buffers=(*case.buffers[:4], scratch))


def _winograd_supports(args: ArgValues, _target: Target) -> bool:
    return int(args["channels"]) <= WINOGRAD_CHANNELS  # type: ignore[arg-type]


def _winograd_cost(args: ArgValues, target: Target, *, lmul: int) -> float:
    return winograd._vector_cost(args, doubled(target), tile=2, lmul=lmul, size=2)


def _winograd() -> Iterator[Kernel]:
    """F(2x2, 3x3) only; besides for narrow layers, since twice as many columns fit a register."""
    rows = [row for row in winograd.KERNELS if winograd.tile_of(row) == 2]
    rows.append(replace(rows[0], name="f32_winograd_f2_14x1v__rvv"))
    for row in rows:
        made = half(row, supports=_winograd_supports, ulp=8.0)
        lmul = int(row.name[-7]) if row.isa == "rvv" else 0
        cost = {"cost": partial(_winograd_cost, lmul=lmul)} if row.isa == "rvv" else {}
        yield replace(made, cases=partial(_winograd_cases, row=row, made=made), **cost)  # type: ignore[arg-type]


KERNELS = (*_rows(), *_winograd())
