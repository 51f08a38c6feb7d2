"""Reductions of f32 along one axis: ``y[o, i] = finish(scale · Σ x[o, :, i])`` and the like.

A family for each kind, ``reduce_sum`` and so on; :data:`KINDS` says what makes up ONNX's operators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

NOTHING, SQRT, LOG = range(3)
"""What is done to sums in the end: ``PF_REDUCE_*``."""

KINDS: Mapping[str, tuple[str, int]] = {
    "ReduceSum": ("reduce_sum", NOTHING),
    "ReduceMean": ("reduce_sum", NOTHING),  # scaled by 1 / count
    "ReduceSumSquare": ("reduce_sumsq", NOTHING),
    "ReduceL1": ("reduce_l1", NOTHING),
    "ReduceL2": ("reduce_sumsq", SQRT),
    "ReduceLogSum": ("reduce_sum", LOG),
    "ReduceLogSumExp": ("reduce_logsumexp", NOTHING),
    "ReduceProd": ("reduce_prod", NOTHING),
    "ReduceMax": ("reduce_max", NOTHING),
    "ReduceMin": ("reduce_min", NOTHING),
}
"""ONNX operator → family and ``finish``. ``finish`` and ``scale`` are for sums only."""


def args(outer: int, axis: int, inner: int = 1, *, finish: int = NOTHING, scale: float = 1.0) -> dict[str, Value]:
    """Arguments for x[outer, axis, inner] → y[outer, inner]."""
    return {"outer": outer, "axis": axis, "inner": inner, "finish": finish, "scale": scale}


def _sizes(arguments: ArgValues) -> tuple[int, int, int]:
    outer, axis, inner = (int(arguments[n]) for n in ("outer", "axis", "inner"))  # type: ignore[arg-type]
    return outer, axis, inner


def _logsumexp(x: Array) -> Array:
    return np.asarray(np.logaddexp.reduce(x, axis=1))


MEANINGS: Mapping[str, Callable[[Array], Array]] = {
    "sum": lambda x: x.sum(axis=1),
    "sumsq": lambda x: (x * x).sum(axis=1),
    "l1": lambda x: np.abs(x).sum(axis=1),
    "prod": lambda x: x.prod(axis=1),
    "max": lambda x: np.asarray(np.fmax.reduce(x, axis=1)),
    "min": lambda x: np.asarray(np.fmin.reduce(x, axis=1)),
    "logsumexp": _logsumexp,
}
FINISHED = frozenset({"sum", "sumsq", "l1"})


def _meaning(kind: str) -> Callable[[ArgValues, Sequence[Array]], Mapping[int, Array]]:
    def meaning(arguments: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
        with np.errstate(all="ignore"):
            y = MEANINGS[kind](buffers[0].reshape(_sizes(arguments)).astype(np.float64))
            if kind in FINISHED:
                y = y * float(np.float32(arguments["scale"]))  # type: ignore[arg-type]
                y = {NOTHING: y, SQRT: np.sqrt(y), LOG: np.log(y)}[int(arguments["finish"])]  # type: ignore[arg-type]
        return {1: y}

    return meaning


def _case(kind: str, label: str, arguments: ArgValues, rng: np.random.Generator) -> Case:
    outer, axis, inner = _sizes(arguments)
    x = rng.standard_normal((outer, axis, inner))
    if kind == "prod":
        x = np.exp(x / np.sqrt(axis)) * np.sign(x)
    if kind == "sum" and arguments["finish"] != NOTHING:
        x = np.abs(x)
    return Case(label, arguments, (x.astype(np.float32), np.zeros((outer, inner), np.float32)), (1,))


def _cases(kind: str, inners: Sequence[int], rng: np.random.Generator) -> Iterator[Case]:
    for inner in inners:
        for axis in (1, 2, 3, 7, 16, 31, 32, 33, 49, 64, 127, 129, 700):
            yield _case(kind, f"axis {axis}, inner {inner}", args(3, axis, inner), rng)
    inner = inners[-1]
    if kind in FINISHED:
        for finish in (NOTHING, SQRT, LOG):
            scaled = args(5, 49, inner, finish=finish, scale=1 / 49)
            yield _case(kind, f"finish {finish}, a mean", scaled, rng)
    for label, special in (("NaN", [np.nan]), ("infinity", [np.inf]), ("both infinities", [np.inf, -np.inf])):
        case = _case(kind, label, args(2, 40, inner), rng)
        case.buffers[0][0, 3 : 3 + len(special), 0] = special
        yield case
    for value in (-np.inf, np.nan):
        case = _case(kind, f"all {value}", args(1, 5, inner), rng)
        case.buffers[0][...] = value
        yield case


# Slots of a vector of numbers with its load, of what a row takes beside, and of a number in scalar code; fitted to
# counts.
_STEPS = {"sum": 8, "sumsq": 8, "l1": 12, "prod": 8, "max": 8, "min": 8, "logsumexp": 100}
_ROWS = {"sum": 28, "sumsq": 28, "l1": 28, "prod": 80, "max": 28, "min": 28, "logsumexp": 100}
_NUMBERS = {"sum": 5, "sumsq": 5, "l1": 6, "prod": 5, "max": 9.5, "min": 9.5, "logsumexp": 42}


def _row_cost(kind: str) -> Callable[[ArgValues, Target], float]:
    def cost(arguments: ArgValues, target: Target) -> float:
        outer, axis, _ = _sizes(arguments)
        return 30 + outer * (_ROWS[kind] + ceil(axis / (4 * target.lanes)) * (_STEPS[kind] + 7.5))

    return cost


def _inner_cost(kind: str) -> Callable[[ArgValues, Target], float]:
    def cost(arguments: ArgValues, target: Target) -> float:
        outer, axis, inner = _sizes(arguments)
        return 40 + outer * ceil(inner / (4 * target.lanes)) * (
            (180 if kind == "logsumexp" else 40) + axis * (_STEPS[kind] + 3)
        )

    return cost


def _scalar_cost(kind: str) -> Callable[[ArgValues, Target], float]:
    def cost(arguments: ArgValues, _target: Target) -> float:
        outer, axis, inner = _sizes(arguments)
        return 40 + outer * inner * (20 + axis * _NUMBERS[kind])

    return cost


def _rows(kind: str) -> Iterator[Kernel]:
    def row(
        form: str,
        inners: Sequence[int],
        supports: Callable[[ArgValues, Target], bool],
        cost: Callable[[ArgValues, Target], float],
    ) -> Kernel:
        return Kernel(
            name=f"f32_{kind}{form}",
            family=f"reduce_{kind}",
            source="reduce.c",
            args="pf_reduce_args",
            buffers=("x", "y"),
            meaning=_meaning(kind),
            cases=lambda rng: _cases(kind, inners, rng),
            supports=supports,
            cost=cost,
            ulp=0 if kind in ("max", "min") else 32,
        )

    yield row("_row4v__rvv", (1,), lambda arguments, _: arguments["inner"] == 1, _row_cost(kind))
    yield row("_inner4v__rvv", (1, 3, 33, 64), lambda *_: True, _inner_cost(kind))
    yield row("__scalar", (1, 5), lambda *_: True, _scalar_cost(kind))


KERNELS = tuple(row for kind in MEANINGS for row in _rows(kind))
