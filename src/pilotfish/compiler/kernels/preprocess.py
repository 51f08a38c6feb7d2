"""Kernels from the bytes of images to float32 or int8, resized on the way or not, and the constants that they take.

A byte has 256 values, so whether a kernel's arithmetic is right can be tried out when a program is compiled. Quantized
bytes come from one multiplication and one addition whose factors :func:`line` proves to give QuantizeLinear's integers,
fused or not; where there are none (real values on ties), from a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from pilotfish.compiler.graph.preprocessing import GRID, positions
from pilotfish.compiler.kernels import qrows
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

_NEAR = 4  # float32 numbers on each side of the best real factor and offset that are tried


def line(wanted: Array, factor: float, offset: float) -> tuple[float, float] | None:
    """Float32 ``(a, b)`` near the given ones with ``s8(round(i * a + b)) == wanted[i]`` for all 256 bytes; or None.

    Holds with the sum fused and not, so that no compiler's choice matters.
    """
    steps = np.arange(-_NEAR, _NEAR + 1)
    steps = steps[np.argsort(np.abs(steps), kind="stable")]
    a = (np.float32(factor) + steps * np.spacing(np.float32(factor))).astype(np.float32)
    # Steps of what rounds in the sum, which may be larger than the offset's own.
    b = (np.float32(offset) + steps * np.spacing(np.float32(max(abs(offset), 16.0)))).astype(np.float32)
    pairs = [(one, other) for one in a for other in b]
    first, second = (np.array(side, np.float32)[:, None] for side in zip(*pairs, strict=True))
    x = np.arange(256, dtype=np.float32)[None, :]
    apart = x * first + second
    fused = qrows.fma(x, first, second)
    right = np.logical_and(*((qrows.round_s8(v, 0) == wanted).all(axis=1) for v in (apart, fused)))
    return (float(first[i, 0]), float(second[i, 0])) if right[i := int(np.argmax(right))] else None


def packed(period: int, target: Target, lanes: int) -> int:
    """How many constants to store: whole periods that fill ``lanes`` times the f32 lanes of a register."""
    return period * max(1, lanes * target.lanes // period) if target.isa == "rvv" else period


def lines_constants(pairs: Sequence[tuple[float, float]], count: int) -> Array:
    """Buffer ``constants`` of f32 and qs8, from (factor, offset) for each element of a period."""
    return np.concatenate([np.resize(v, count) for v in np.array(pairs, np.float32).T])


def table_constants(tables: Array, count: int) -> Array:
    """Buffer ``constants`` of lut as int8, from int8[period, 256]."""
    starts = np.resize(np.arange(len(tables)) * 256, count).astype("<u2")
    return np.concatenate([starts.view(np.int8), np.ascontiguousarray(tables).ravel()])


def resize_tables(
    rows: tuple[int, int, int, int], cols: tuple[int, int, int, int], order: Sequence[int]
) -> tuple[tuple[Array, Array, Array], int, int]:
    """((rows, cols, right), first element of a row, span) for axes of (size in, size out, first, count).

    ``order`` has the source's channel for each output channel.
    """
    channels = len(order)
    row, down = (v[rows[2] : rows[2] + rows[3]] for v in positions(*rows[:2]))
    col, right = (v[cols[2] : cols[2] + cols[3]] for v in positions(*cols[:2]))
    first, last = int(col.min()), int((col + (right > 0)).max())
    at = ((col - first)[:, None] * channels + np.array(order)) * 2
    tables = (
        np.stack([row, down], axis=1).astype(np.int32).ravel(),
        at.astype(np.uint16).ravel(),
        np.repeat(right, channels).astype(np.uint16),
    )
    return tables, first * channels, (last - first + 1) * channels


def order_tables(top: int, rows: int, cols: int, order: Sequence[int]) -> tuple[Array, Array, Array]:
    """(rows, cols, right) that only put channels into another order; the span is 0."""
    row = np.stack([top + np.arange(rows), np.zeros(rows)], axis=1)
    at = np.arange(cols)[:, None] * len(order) + np.array(order)
    return row.astype(np.int32).ravel(), at.astype(np.uint16).ravel(), np.zeros(1, np.uint16)


def scratch_bytes(args: ArgValues) -> int:
    """Buffer ``scratch`` of the resized kernels: a mixed row of 16 bits, and a resized one."""
    a = _ints(args)
    return 2 * (a["span"] + a["step"]) + a["n"]


def _ints(args: ArgValues) -> dict[str, int]:
    return {name: int(value) for name, value in args.items() if isinstance(value, int)}


def _places(a: Mapping[str, int], prefix: str, rows: Array, length: int) -> Array:
    """Elements [batch, rows, length] of a buffer."""
    batch = np.arange(a["batch"])[:, None, None] * a[f"{prefix}_batch_stride"]
    return np.asarray(batch + rows[:, None].astype(np.int64) * a[f"{prefix}_row_stride"] + np.arange(length))


def _bytes(a: Mapping[str, int], buffers: Sequence[Array]) -> Array:
    """The bytes to be normalised, uint8[batch, rows, n]."""
    if len(buffers) == 3:
        return np.asarray(buffers[0][_places(a, "x", np.arange(a["rows"]), a["n"])])
    x, rows = buffers[0], buffers[2].reshape(-1, 2)
    if not a["span"]:
        return np.asarray(x[_places(a, "x", rows[:, 0], a["n"])][..., buffers[3]])
    down, right = rows[:, 1, None].astype(np.int64), buffers[4].astype(np.int64)
    upper = x[_places(a, "x", rows[:, 0], a["span"])].astype(np.int64)
    lower = x[_places(a, "x", rows[:, 0] + (rows[:, 1] > 0), a["span"])].astype(np.int64)
    mixed = np.pad(upper * (GRID - down) + lower * down, ((0, 0), (0, 0), (0, a["step"])))
    here = buffers[3].astype(np.int64) // 2
    total = mixed[..., here] * (GRID - right) + mixed[..., here + a["step"]] * right
    return np.asarray((total + 32768) // 65536).astype(np.uint8)


def _meaning(args: ArgValues, buffers: Sequence[Array], *, kind: str) -> Mapping[int, Array]:
    a = _ints(args)
    place = 2 if len(buffers) == 3 else 5
    x, constants, channel = _bytes(a, buffers), buffers[1], np.arange(a["n"]) % a["period"]
    y = buffers[place].astype(np.float64) if kind == "f32" else buffers[place].copy()
    if kind == "lut":
        found = constants[2 * a["packed"] :].reshape(-1, 256)[channel, x]
    else:
        factor, offset = constants.reshape(2, -1)[:, channel].astype(np.float64)
        found = x * factor + offset
        if kind == "qs8":
            found = qrows.round_s8(found.astype(np.float32), 0)
    y[_places(a, "y", np.arange(a["rows"]), a["n"])] = found
    return {place: y}


# Slots as counted at VLEN 256: of a vector of all its lanes, with its loop; of a row besides. The indexed loads of lut
# and of resizing count for each element, as cores do them.
_VECTOR = {"f32": (8, 42.0, 40.0), "qs8": (8, 47.0, 40.0), "lut": (16, 29.0 + 128, 30.0)}
_SCALAR = {"f32": 8.0, "qs8": 17.6, "lut": 8.0}


def _cost(args: ArgValues, target: Target, *, kind: str, resized: bool, vector: bool) -> float:
    a = _ints(args)
    if not vector:
        return a["batch"] * a["rows"] * (20.0 + a["n"] * _SCALAR[kind] + resized * (a["span"] * 11 + a["n"] * 18))
    lanes, chunk, row = _VECTOR[kind]
    whole = lanes * target.lanes
    slots = row + -(-a["n"] // (whole - whole % a["period"])) * chunk
    if resized and not a["span"]:
        slots += 20.0 + 1.2 * a["n"]
    elif resized:
        slots += 30.0 + a["span"] / (16 * target.lanes) * 38 + a["n"] / (8 * target.lanes) * 50 + 2 * a["n"]
    return a["batch"] * a["rows"] * slots


def _constants(rng: np.random.Generator, kind: str, period: int, count: int) -> Array:
    if kind == "lut":
        return table_constants(rng.integers(-128, 128, (period, 256)).astype(np.int8), count)
    if kind == "f32":
        return lines_constants([(rng.uniform(0.001, 0.1), rng.uniform(-3, 3)) for _ in range(period)], count)
    found: list[tuple[float, float]] = []
    while len(found) < period:
        factor, offset = float(rng.uniform(0.3, 1.7)), float(rng.uniform(-200, 100))
        wanted = qrows.round_s8((np.arange(256) * factor + offset).astype(np.float32), 0)
        if (pair := line(wanted, factor, offset)) is not None:
            found.append(pair)
    return lines_constants(found, count)


def _cases(rng: np.random.Generator, *, kind: str, resized: bool) -> Iterator[Case]:
    # label, (batch, rows, cols) out, (rows, cols) in, period of the constants, channels, lanes packed, gap of rows
    shapes = [
        ("one pixel", (1, 1, 1), (1, 1), 3, 3, 63, 0),
        ("grey, dense", (1, 9, 40), (5, 70), 1, 1, 64, 0),
        ("colour", (2, 7, 53), (9, 31), 3, 3, 63, 0),
        ("colour, packed for short vectors", (1, 3, 90), (7, 90), 3, 3, 30, 0),
        ("colour, packed for long vectors", (1, 2, 150), (2, 301), 3, 3, 510, 0),
        ("one pair for all channels", (1, 4, 33), (8, 66), 1, 3, 64, 0),
        ("into a halo", (2, 5, 24), (10, 30), 3, 3, 6, 12),
        ("into a halo, channels in another order", (2, 4, 51), (4, 51), 3, 3, 63, 6),
    ]
    for label, (batch, rows, cols), (in_rows, in_cols), period, channels, count, gap in shapes:
        tables: tuple[Array, ...] = ()
        n, span, step = cols * channels, 0, channels
        source = (in_rows, in_cols * channels) if resized else (rows, n + gap)
        if resized:
            order = list(range(channels))[:: -1 if gap else 1]
            if (rows, cols) == (in_rows, in_cols) and gap:
                tables = order_tables(0, rows, cols, order)
            else:
                tables, first, span = resize_tables((in_rows, rows, 0, rows), (in_cols, cols, 0, cols), order)
                assert first == 0
        args: dict[str, Value] = {
            "batch": batch, "rows": rows, "n": n, "period": period, "packed": count, "span": span, "step": step,
            "x_batch_stride": source[0] * source[1], "x_row_stride": source[1],
            "y_batch_stride": rows * (n + gap), "y_row_stride": n + gap,
        }  # fmt: skip
        x = rng.integers(0, 256, batch * source[0] * source[1]).astype(np.uint8)
        y: Array = rng.integers(-128, 128, batch * rows * (n + gap)).astype(np.int8)
        y = y.astype(np.float32) if kind == "f32" else y
        buffers = (x, _constants(rng, kind, period, count), *tables, y)
        if resized:
            buffers = (*buffers, rng.integers(0, 256, scratch_bytes(args)).astype(np.uint8))
        yield Case(label, args, buffers, (5 if resized else 2,))


def _row(kind: str, resized: bool, vector: bool) -> Kernel:
    prefix, stem = {"f32": ("u8_f32", ""), "qs8": ("u8_qs8", ""), "lut": ("u8_qs8", "_lut")}[kind]
    family = f"preprocess_{kind}{'_resized' if resized else ''}"
    tables, scratch = (("rows", "cols", "right"), ("scratch",)) if resized else ((), ())
    return Kernel(
        name=f"{prefix}_preprocess{stem}{'_resized' if resized else ''}{'_8v__rvv' if vector else '__scalar'}",
        family=family,
        source="preprocess.c",
        args="pf_preprocess_args",
        buffers=("x", "constants", *tables, "y", *scratch),
        meaning=partial(_meaning, kind=kind),
        cases=partial(_cases, kind=kind, resized=resized),
        cost=partial(_cost, kind=kind, resized=resized, vector=vector),
        ulp=1.0 if kind == "f32" else 0.0,
    )


KERNELS = tuple(
    _row(kind, resized, vector)
    for kind in ("f32", "qs8", "lut")
    for resized in (False, True)
    for vector in (True, False)
)
