"""Softmax and its logarithm along one axis in f32: ``y = exp(x - max) / Σ exp(x - max)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target


def args(
    outer: int, axis: int, inner: int = 1, *, log: bool = False, xs: int | None = None, ys: int | None = None
) -> dict[str, Value]:
    """Arguments for tensors [outer, axis, inner] whose outer rows are ``xs`` and ``ys`` elements apart."""
    row = axis * inner
    strides = {"xs": row if xs is None else xs, "ys": row if ys is None else ys}
    return {"outer": outer, "axis": axis, "inner": inner, **strides, "log": int(log)}


def _sizes(arguments: ArgValues) -> tuple[int, int, int, int, int, int]:
    outer, axis, inner, xs, ys, log = (
        int(arguments[name])  # type: ignore[arg-type]
        for name in ("outer", "axis", "inner", "xs", "ys", "log")
    )
    return outer, axis, inner, xs, ys, log


def _meaning(arguments: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    outer, axis, inner, xs, ys, log = _sizes(arguments)
    y = buffers[1].copy()
    for row in range(outer):
        x = buffers[0][row * xs :][: axis * inner].reshape(axis, inner).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            shifted = x - x.max(axis=0)
            total = np.exp(shifted).sum(axis=0)
            result = shifted - np.log(total) if log else np.exp(shifted) / total
        y[row * ys :][: axis * inner] = result.astype(np.float32).ravel()
    return {1: y}


def _case(label: str, arguments: ArgValues, rng: np.random.Generator, spread: float = 3.0) -> Case:
    outer, axis, inner, xs, ys, _ = _sizes(arguments)
    x = (rng.standard_normal((outer - 1) * xs + axis * inner) * spread).astype(np.float32)
    y = np.full((outer - 1) * ys + axis * inner, 7, np.float32)
    return Case(label, arguments, (x, y), (1,))


def _cases(inners: Sequence[int], rng: np.random.Generator) -> Iterator[Case]:
    for log in (False, True):
        for inner in inners:
            for axis in (1, 2, 3, 10, 15, 16, 17, 31, 32, 33, 127, 129, 300):
                yield _case(f"axis {axis}, inner {inner}, log {log}", args(2, axis, inner, log=log), rng)
        inner = inners[-1]
        apart = args(3, 21, inner, log=log, xs=21 * inner + 5, ys=21 * inner + 2)
        yield _case(f"rows apart, log {log}", apart, rng)
        yield _case(f"large numbers, log {log}", args(2, 40, inner, log=log), rng, 60.0)
        for special in (np.nan, -np.inf, np.inf):
            case = _case(f"with {special}, log {log}", args(1, 40, inner, log=log), rng)
            case.buffers[0][3] = special
            yield case


def _rows_cost(arguments: ArgValues, target: Target) -> float:
    outer, axis, _, _, _, log = _sizes(arguments)
    return 105 + outer * (70 + 32 * log + ceil(axis / (4 * target.lanes)) * 130)


def _inner_cost(arguments: ArgValues, target: Target) -> float:
    outer, axis, inner, _, _, log = _sizes(arguments)
    return 90 + outer * ceil(inner / (4 * target.lanes)) * (54 + 110 * log + axis * 118)


def _scalar_cost(arguments: ArgValues, _target: Target) -> float:
    outer, axis, inner, _, _, _ = _sizes(arguments)
    return 110 + outer * inner * (50 + axis * 48)


def _row(
    name: str,
    inners: Sequence[int],
    supports: Callable[[ArgValues, Target], bool],
    cost: Callable[[ArgValues, Target], float],
) -> Kernel:
    return Kernel(
        name=name,
        family="softmax",
        source="softmax.c",
        args="pf_softmax_args",
        buffers=("x", "y"),
        meaning=_meaning,
        cases=lambda rng: _cases(inners, rng),
        supports=supports,
        cost=cost,
        ulp=32,  # sums of 300 numbers, one after the other
    )


KERNELS = (
    _row("f32_softmax_row4v__rvv", (1,), lambda arguments, _: arguments["inner"] == 1, _rows_cost),
    _row("f32_softmax_inner4v__rvv", (1, 2, 3, 31, 33, 64), lambda *_: True, _inner_cost),
    _row("f32_softmax__scalar", (1, 5), lambda *_: True, _scalar_cost),
)
