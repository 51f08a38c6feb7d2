"""Kernels that move elements: copies with any strides, fills, frames of zeros.

Transpose, Slice, Expand, Tile, Concat, Split and the copying part of Pad are one strided copy with different
strides. :func:`args` makes the arguments from the loops in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil, prod

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target
from pilotfish.errors import ModelError

RANK = 6
# Slots, as counted, of a call, of a plane (the last two dimensions) and of a row of it besides its vectors; and what
# an element of a strided access is taken to cost, since cores load these one at a time.
_CALL, _PLANE, _ROW, _STRIDED = 110.0, 25.0, 6.0, 1.0

_HALO = ("batch", "rows", "cols", "channels", "top", "left", "bottom", "right", "pitch")

Loop = tuple[int, int, int]


def collapse(dims: Sequence[int], in_strides: Sequence[int], out_strides: Sequence[int]) -> list[Loop]:
    """The loops (size, in stride, out stride) of a copy in as few dimensions as possible.

    The order of the given dimensions does not matter; the result has the largest output stride first.
    Strides count elements.
    """
    loops = [loop for loop in zip(dims, in_strides, out_strides, strict=True) if loop[0] != 1]
    loops.sort(key=lambda loop: -abs(loop[2]))
    merged: list[Loop] = []
    for size, in_stride, out_stride in loops:
        if merged:
            outer, outer_in, outer_out = merged[-1]
            if outer_in == size * in_stride and outer_out == size * out_stride:
                merged[-1] = (outer * size, in_stride, out_stride)
                continue
        merged.append((size, in_stride, out_stride))
    return merged or [(1, 1, 1)]


def _plane_cost(loops: Sequence[Loop], vector: int, lanes: int) -> float:
    """Slots if the vectors run along that loop; ``lanes`` elements fill one register."""
    size, in_stride, out_stride = loops[vector]
    rows = prod(loop[0] for i, loop in enumerate(loops) if i != vector)
    chunk = 2 * lanes if size <= 2 * lanes else 8 * lanes
    registers = ceil(size / chunk) * chunk / lanes
    moves = sum(
        registers if stride in (0, 1) else max(registers, size * _STRIDED) for stride in (in_stride, out_stride)
    )
    return rows * (_ROW * ceil(size / chunk) + moves)


def args(
    dims: Sequence[int],
    in_strides: Sequence[int],
    out_strides: Sequence[int],
    in_offset: int = 0,
    out_offset: int = 0,
    *,
    lanes: int = 8,
) -> dict[str, Value]:
    """Arguments of a copy kernel: dimensions merged, and ordered for registers of ``lanes`` elements.

    ``dims`` in any order; an input stride may be 0 (repeat) or negative, an output stride must keep elements
    apart. Raises :class:`ModelError` if more than six dimensions remain.
    """
    loops = collapse(dims, in_strides, out_strides)
    if len(loops) > RANK:
        raise ModelError(
            f"a copy of shape {list(dims)} has {len(loops)} dimensions that do not merge; at most {RANK} may"
        )
    best = min(range(len(loops)), key=lambda i: (_plane_cost(loops, i, lanes), -i))
    innermost = loops.pop(best)
    if loops:  # the second is walked inside one vector's columns: near elements in near steps, and many of them
        loops.append(loops.pop(max(range(len(loops)), key=lambda i: (_near(loops[i]), i))))
    loops = [(1, 0, 0)] * (RANK - 1 - len(loops)) + loops + [innermost]
    sizes, ins, outs = zip(*loops, strict=True)
    return {
        "dims": tuple(sizes),
        "in_strides": tuple(ins),
        "out_strides": tuple(outs),
        "in_offset": in_offset,
        "out_offset": out_offset,
    }


def _near(loop: Loop) -> bool:
    """Whether a loop's steps stay in one cache line on one side."""
    return loop[0] > 2 and (abs(loop[1]) == 1 or abs(loop[2]) == 1)


def fill_args(rows: int, cols: int, pattern: int, *, row_stride: int = 0, offset: int = 0) -> dict[str, Value]:
    """Arguments of a fill: ``rows`` runs of ``cols`` elements, each the 32 bits of ``pattern`` (as int32)."""
    return {"rows": rows, "cols": cols, "row_stride": row_stride, "offset": offset, "pattern": pattern}


def _ints(args: ArgValues, name: str) -> tuple[int, ...]:
    value = args[name]
    return tuple(int(v) for v in (value if isinstance(value, tuple) else (value,)))


def _view(flat: Array, args: ArgValues, side: str) -> Array:
    strides = [s * flat.itemsize for s in _ints(args, f"{side}_strides")]
    start = flat[_ints(args, f"{side}_offset")[0] :]
    return np.lib.stride_tricks.as_strided(start, _ints(args, "dims"), strides)


def _copy_meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    out = buffers[1].copy()
    _view(out, args, "out")[...] = _view(buffers[0], args, "in")
    return {1: out}


def _fill_meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    out = buffers[0].copy()
    rows, cols, stride, offset, pattern = (
        _ints(args, n)[0] for n in ("rows", "cols", "row_stride", "offset", "pattern")
    )
    for row in range(rows):
        start = offset + row * stride
        out[start : start + cols] = np.int32(pattern).view(np.uint32)
    return {0: out}


def _halo_meaning(args: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    out = buffers[0].copy()
    batch, rows, cols, channels, top, left, bottom, _, pitch = (_ints(args, n)[0] for n in _HALO)
    kept = np.zeros(out.size + pitch, bool)
    for image in range(batch):
        first = image * (top + rows + bottom) * pitch
        for row in range(rows):
            kept[first + (top + row) * pitch + left * channels :][: cols * channels] = True
    out[~kept[: out.size]] = 0
    return {0: out}


def _random(rng: np.random.Generator, size: int, dtype: type) -> Array:
    return rng.integers(0, np.iinfo(dtype).max, size, dtype=dtype)


def _dense(shape: Sequence[int]) -> list[int]:
    return [prod(shape[i + 1 :]) for i in range(len(shape))]


def _copy_cases(rng: np.random.Generator, *, dtype: type) -> Iterator[Case]:
    def case(
        label: str, dims: Sequence[int], ins: Sequence[int], outs: Sequence[int], start: int = 0, to: int = 0
    ) -> Case:
        values = args(dims, ins, outs, start, to)
        low = sum(min(0, s * (d - 1)) for d, s in zip(dims, ins, strict=True))
        high = sum(max(0, s * (d - 1)) for d, s in zip(dims, ins, strict=True))
        size = start + high + 1
        if start + low < 0:
            raise ValueError(label)
        out = to + sum(s * (d - 1) for d, s in zip(dims, outs, strict=True)) + 1
        return Case(label, values, (_random(rng, size, dtype), _random(rng, out, dtype)), (1,))

    yield case("one element", (1,), (1,), (1,))
    yield case("long and contiguous", (3, 700), (700, 1), (700, 1))
    yield case("long rows with gaps", (3, 301), (311, 1), (305, 1), 2, 3)
    yield case("short rows with gaps", (9, 5), (7, 1), (5, 1))
    yield case("middle rows with gaps", (4, 40), (47, 1), (50, 1), 0, 1)
    yield case("NCHW to NHWC, 3 channels", (2, 3, 5, 11), (165, 55, 11, 1), (165, 1, 33, 3))
    yield case("NHWC to NCHW, 3 channels", (2, 3, 9, 11), (297, 1, 33, 3), (297, 99, 11, 1))
    yield case("NCHW to NHWC, 37 channels", (1, 37, 5, 7), (1295, 35, 7, 1), (1295, 1, 259, 37))
    yield case("transpose of 5 dimensions", (3, 4, 2, 5, 6), (240, 60, 30, 6, 1), (1, 3, 360, 12, 60))
    yield case("transpose of 6 dimensions", (2, 3, 2, 3, 2, 3), (108, 36, 18, 6, 3, 1), (1, 2, 6, 12, 36, 72))
    yield case("backwards", (7, 41), (-41, -1), (41, 1), 7 * 41 - 1)
    yield case("every third", (5, 90), (300, 3), (90, 1), 2)
    yield case("spread to every second", (5, 70), (70, 1), (150, 2))
    yield case("expand inside", (20, 70), (1, 0), (70, 1))
    yield case("expand inside, spread", (20, 9), (1, 0), (30, 3))
    yield case("expand outside", (20, 70), (0, 1), (70, 1))
    yield case("tile", (3, 4, 5, 6), (0, 6, 0, 1), (120, 30, 6, 1))


def _fill_cases(rng: np.random.Generator) -> Iterator[Case]:
    for label, args, size in (
        ("one run", fill_args(1, 1000, 0x3F800000), 1000),
        ("short runs", fill_args(5, 3, -1, row_stride=10, offset=4), 60),
        ("long runs", fill_args(3, 130, 0, row_stride=140, offset=1), 420),
    ):
        yield Case(label, args, (_random(rng, size, np.uint32),), (0,))


def _halo_cases(rng: np.random.Generator) -> Iterator[Case]:
    for label, values in (
        ("one pixel around", (2, 4, 5, 16, 1, 1, 1, 1, 7 * 16)),
        ("left is right of the row before", (1, 5, 3, 7, 2, 2, 3, 2, 5 * 7)),
        ("bottom and right only", (3, 2, 4, 3, 0, 0, 1, 1, 5 * 3)),
        ("one row", (2, 1, 9, 5, 0, 2, 0, 1, 12 * 5)),
        ("wide", (1, 2, 2, 64, 1, 1, 1, 1, 4 * 64)),
    ):
        args = dict(zip(_HALO, values, strict=True))
        last = max(0, args["left"] + args["cols"] + args["right"] - args["pitch"] // args["channels"])
        size = args["batch"] * (args["top"] + args["rows"] + args["bottom"]) * args["pitch"]
        yield Case(label, args, (_random(rng, size + last * args["channels"], np.uint32),), (0,))


def _copy_cost(args: ArgValues, target: Target, *, bits: int) -> float:
    loops = list(zip(_ints(args, "dims"), _ints(args, "in_strides"), _ints(args, "out_strides"), strict=True))
    if target.isa == "scalar":
        return 5.0 * prod(loop[0] for loop in loops)
    walk = _CALL + _PLANE * prod(loop[0] for loop in loops[: RANK - 2])
    return walk + _plane_cost(loops, RANK - 1, target.lanes * 32 // bits)


def _copies(isa: str) -> Iterator[Kernel]:
    for bits, dtype in ((8, np.uint8), (16, np.uint16), (32, np.uint32), (64, np.uint64)):
        yield Kernel(
            name=f"x{bits}_copy__{isa}",
            family=f"copy{bits}",
            source="copy.c",
            args="pf_copy_args",
            buffers=("x", "y"),
            meaning=_copy_meaning,
            cases=partial(_copy_cases, dtype=dtype),
            cost=partial(_copy_cost, bits=bits),
        )


def _frames(isa: str) -> Iterator[Kernel]:
    yield Kernel(
        name=f"x32_fill__{isa}",
        family="fill",
        source="copy.c",
        args="pf_fill_args",
        buffers=("y",),
        meaning=_fill_meaning,
        cases=_fill_cases,
    )
    yield Kernel(
        name=f"x32_halo__{isa}",
        family="halo",
        source="copy.c",
        args="pf_halo_args",
        buffers=("y",),
        meaning=_halo_meaning,
        cases=_halo_cases,
    )


KERNELS = tuple(row for isa in ("rvv", "scalar") for make in (_copies, _frames) for row in make(isa))
