"""Loops over contiguous rows, and exact float32 arithmetic, for kernels on quantized tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, prod

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Value
from pilotfish.errors import ModelError

_OUTER = 3


def merge(dims: Sequence[int], **strides: Sequence[int]) -> dict[str, Value]:
    """``dims`` [4] and ``<operand>_strides`` [3] of the same loops in as few dimensions as possible.

    ``strides`` has one list for each operand, in elements, the last of each 1: rows are contiguous. The order of the
    dimensions stays. Raises :class:`ModelError` if rows are not contiguous, or more than four dimensions remain.
    """
    loops = [(size, steps) for size, *steps in zip(dims, *strides.values(), strict=True) if size != 1]
    merged: list[tuple[int, list[int]]] = []
    for size, steps in loops:
        if merged and all(outer == size * inner for outer, inner in zip(merged[-1][1], steps, strict=True)):
            merged[-1] = (merged[-1][0] * size, steps)
        else:
            merged.append((size, steps))
    ones = [1] * len(strides)
    if not merged or merged[-1][1] != ones:
        if any(step > 1 for _, steps in merged[-1:] for step in steps):
            raise ModelError(f"an elementwise kernel for int8 needs contiguous rows, the strides are {strides}")
        merged.append((1, ones))
    if len(merged) > _OUTER + 1:
        raise ModelError(f"rows of shape {list(dims)} have {len(merged)} dimensions that do not merge; at most 4 may")
    outer = [(1, [0] * len(strides))] * (_OUTER + 1 - len(merged)) + merged
    values: dict[str, Value] = {"dims": tuple(size for size, _ in outer)}
    for index, operand in enumerate(strides):
        values[f"{operand}_strides"] = tuple(steps[index] for _, steps in outer[:_OUTER])
    return values


def dense(shape: Sequence[int]) -> list[int]:
    """The strides of a dense tensor."""
    return [prod(shape[i + 1 :]) for i in range(len(shape))]


def places(dims: Value, strides: Value) -> Array:
    """The element of each index, int64[dims]."""
    if not isinstance(dims, tuple) or not isinstance(strides, tuple):
        raise TypeError("dims and strides are arrays")
    grid = np.ix_(*(np.arange(int(size)) for size in dims))
    return np.asarray(sum(index * int(step) for index, step in zip(grid, (*strides, 1), strict=True)))


def number(args: ArgValues, name: str) -> float:
    """An argument that is one number."""
    value = args[name]
    if isinstance(value, tuple):
        raise TypeError(f"{name} is an array")
    return value


def rows_cost(dims: Value, lanes: int, vector: float, row: float) -> float:
    """Slots of all rows: ``vector`` for each ``lanes`` elements begun, ``row`` for each row besides."""
    if not isinstance(dims, tuple):
        raise TypeError("dims is an array")
    return 40.0 + float(prod(dims[:-1])) * (row + ceil(dims[-1] / lanes) * vector)


def fma(a: Array, b: Array | np.float32, c: Array) -> Array:
    """``a * b + c`` of float32 arrays, rounded once.

    The product is exact in float64; the sum is rounded to odd there, which makes the second rounding right
    (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", IEEE TC 57(4), 2008).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        product, addend = a.astype(np.float64) * np.asarray(b, np.float64), c.astype(np.float64)
        total = product + addend
        part = total - product
        error = (product - (total - part)) + (addend - part)
        even = (total.view(np.int64) & 1) == 0
        odd = np.nextafter(total, np.copysign(np.inf, error))
        return np.where((error != 0) & even & np.isfinite(total), odd, total).astype(np.float32)


def round_s8(values: Array, zero: int, lo: int = -128, hi: int = 127) -> Array:
    """Float32 ``values`` to the nearest integers, ties to even, plus ``zero``, into [lo, hi]; a NaN gives ``hi``."""
    near = np.where(np.isnan(values), np.float32(512), np.clip(values, np.float32(-512), np.float32(512)))
    return np.asarray(np.clip(np.rint(near).astype(np.int32) + zero, lo, hi).astype(np.int8))


@lru_cache(maxsize=4096)
def reciprocal(scale: float) -> tuple[float, float]:
    """Two float32 with which ``fma(x, first, x * second)`` rounds to the same int8 as ``x / scale``, for every x.

    The algorithm is "q2" of Brisebarre, Muller and Raina, "Accelerating correctly rounded floating-point division when
    the divisor is known in advance", IEEE TC 53(8), 2004. Both sides grow with x, so they agree everywhere if
    they lie on the same side of each tie between two integers up to 256, for all x near it: that is tried out here.
    ``(0, 0)`` if they do not, and for scales so small or large that something might underflow.
    """
    divisor = np.float32(scale)
    if not 2.0**-90 < float(divisor) < 2.0**90:
        return 0.0, 0.0
    exact = 1.0 / float(divisor)
    first = np.float32(exact)
    if float(first) > exact:
        first = np.nextafter(first, np.float32(0))
    rest = (1.0 - float(first) * float(divisor)) / float(divisor)
    second = max(np.float32(rest), np.float32(2.0**-149))  # above 0, so that an infinity stays one
    ties = np.arange(256, dtype=np.float32) + np.float32(0.5)
    near = (ties * divisor).view(np.int32)[:, None] + np.arange(-8, 9, dtype=np.int32)
    x = near.view(np.float32)
    ours, theirs = (np.sign(q - ties[:, None]) for q in (fma(x, first, x * second), x / divisor))
    proven = bool((ours == theirs).all() and (theirs[:, 0] < 0).all() and (theirs[:, -1] > 0).all())
    return (float(first), float(second)) if proven else (0.0, 0.0)
