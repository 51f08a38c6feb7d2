"""Kernels that set bytes: frames of zero points around images, and runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

_HALO = ("batch", "rows", "cols", "channels", "top", "left", "bottom", "right", "pitch", "pattern")


def fill_args(rows: int, cols: int, pattern: int, *, row_stride: int = 0, offset: int = 0) -> dict[str, Value]:
    """Arguments of a fill: ``rows`` runs of ``cols`` bytes, each ``pattern``, -128..127."""
    return {"rows": rows, "cols": cols, "row_stride": row_stride, "offset": offset, "pattern": pattern}


def _ints(args: ArgValues, *names: str) -> list[int]:
    return [int(args[name]) for name in names]  # type: ignore[arg-type]


def _halo_meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    out = buffers[0].copy()
    batch, rows, cols, channels, top, left, bottom, _, pitch, pattern = _ints(args, *_HALO)
    kept = np.zeros(out.size + pitch, bool)
    for image in range(batch):
        first = image * (top + rows + bottom) * pitch
        for row in range(rows):
            kept[first + (top + row) * pitch + left * channels :][: cols * channels] = True
    out[~kept[: out.size]] = pattern
    return {0: out}


def _fill_meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    out = buffers[0].copy()
    rows, cols, stride, offset, pattern = _ints(args, "rows", "cols", "row_stride", "offset", "pattern")
    for row in range(rows):
        out[offset + row * stride :][:cols] = pattern
    return {0: out}


def _random(rng: np.random.Generator, size: int) -> Array:
    return rng.integers(-128, 128, size).astype(np.int8)


def _halo_cases(rng: np.random.Generator) -> Iterator[Case]:
    for label, values in (
        ("one pixel around", (2, 4, 5, 16, 1, 1, 1, 1, 7 * 16, -128)),
        ("left is right of the row before", (1, 5, 3, 7, 2, 2, 3, 2, 5 * 7, 127)),
        ("bottom and right only", (3, 2, 4, 3, 0, 0, 1, 1, 5 * 3, 0)),
        ("one row", (2, 1, 9, 5, 0, 2, 0, 1, 12 * 5, -1)),
        ("wide", (1, 2, 2, 300, 1, 1, 1, 1, 4 * 300, 42)),
    ):
        args = dict(zip(_HALO, values, strict=True))
        last = max(0, args["left"] + args["cols"] + args["right"] - args["pitch"] // args["channels"])
        size = args["batch"] * (args["top"] + args["rows"] + args["bottom"]) * args["pitch"]
        yield Case(label, args, (_random(rng, size + last * args["channels"]),), (0,))


def _fill_cases(rng: np.random.Generator) -> Iterator[Case]:
    for label, args, size in (
        ("one run", fill_args(1, 1000, -128), 1000),
        ("short runs", fill_args(5, 3, 127, row_stride=10, offset=4), 60),
        ("middle runs", fill_args(3, 50, 0, row_stride=51, offset=4), 160),
        ("long runs", fill_args(3, 130, -7, row_stride=140, offset=1), 420),
    ):
        yield Case(label, args, (_random(rng, size),), (0,))


def _cost(args: ArgValues, target: Target, *, frame: bool) -> float:
    """Slots of the runs: those between rows, and of a frame that above and below."""
    if frame:
        batch, rows, cols, channels, top, left, bottom, right, pitch, _ = _ints(args, *_HALO)
        runs = [(rows - 1, pitch - cols * channels), (1, top * pitch + left * channels)]
        runs.append((1, bottom * pitch + right * channels))
    else:
        batch = 1
        runs = [tuple(_ints(args, "rows", "cols"))]  # type: ignore[list-item]
    return 45.0 + batch * sum(n * _run_cost(size, target) for n, size in runs)


def _run_cost(size: int, target: Target) -> float:
    register = target.vlen // 8
    if target.isa == "scalar":
        return 10.0 + 2.0 * size
    return 8.0 if size <= register else 10.0 if size <= 2 * register else 13.0 + 9.0 * ceil(size / (4 * register))


KERNELS = tuple(
    Kernel(
        name=f"x8_{op}__{isa}",
        family=f"{op}8",
        source="qhalo.c",
        args=f"pf_q{op}_args",
        buffers=("y",),
        meaning=meaning,
        cases=cases,
        cost=partial(_cost, frame=op == "halo"),
    )
    for isa in ("rvv", "scalar")
    for op, meaning, cases in (("halo", _halo_meaning, _halo_cases), ("fill", _fill_meaning, _fill_cases))
)
