"""Kernels that pick slices along one axis by indices known at run time only (Gather, embeddings)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel
from pilotfish.compiler.targets import Target

_FIELDS = ("outer", "axis", "indices", "inner")


def _sizes(args: ArgValues) -> tuple[int, int, int, int]:
    outer, axis, indices, inner = (int(args[name]) for name in _FIELDS)  # type: ignore[arg-type]
    return outer, axis, indices, inner


def _meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    outer, axis, _, inner = _sizes(args)
    indices = buffers[1].astype(np.int64)
    picked = np.clip(np.where(indices < 0, indices + axis, indices), 0, axis - 1)
    return {2: buffers[0].reshape(outer, axis, inner)[:, picked].reshape(-1)}


def _cost(args: ArgValues, target: Target) -> float:
    outer, _, indices, inner = _sizes(args)
    return 60.0 + outer * indices * (30.0 + 3.0 * inner / target.lanes)


def _cases(rng: np.random.Generator, *, dtype: type) -> Iterator[Case]:
    for label, sizes, wide, indices in (
        ("rows of a table", (1, 11, 4, 300), 1, [3, 10, 0, 3]),
        ("short rows, 32-bit indices", (2, 5, 3, 7), 0, [4, -1, -5]),
        ("single elements", (3, 9, 5, 1), 1, [8, 7, -9, 0, 1]),
        ("one index", (4, 6, 1, 33), 1, [-2]),
        ("indices outside", (2, 4, 4, 3), 1, [-100, 4, 2**40, -5]),
    ):
        outer, axis, _, inner = sizes
        x = rng.integers(0, np.iinfo(dtype).max, outer * axis * inner, dtype=dtype)
        y: Array = np.zeros(outer * len(indices) * inner, dtype)
        args = dict(zip(_FIELDS, sizes, strict=True)) | {"wide": wide}
        yield Case(label, args, (x, np.array(indices, np.int64 if wide else np.int32), y), (2,))


KERNELS = tuple(
    Kernel(
        name=f"x{bits}_gather__{isa}",
        family=f"gather{bits}",
        source="gather.c",
        args="pf_gather_args",
        buffers=("x", "indices", "y"),
        meaning=_meaning,
        cases=partial(_cases, dtype=dtype),
        cost=_cost,
    )
    for isa in ("rvv", "scalar")
    for bits, dtype in ((8, np.uint8), (32, np.uint32), (64, np.uint64))
)
