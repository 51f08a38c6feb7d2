"""The place of the largest or smallest f32 number along one axis: ``y[o, i] = argmax x[o, :, i]``, int64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target


def args(outer: int, axis: int, inner: int = 1, *, last: bool = False) -> dict[str, Value]:
    """Arguments for x[outer, axis, inner] → y[outer, inner]; ``last`` takes the last of equal numbers."""
    return {"outer": outer, "axis": axis, "inner": inner, "last": int(last)}


def _sizes(arguments: ArgValues) -> tuple[int, int, int]:
    outer, axis, inner = (int(arguments[n]) for n in ("outer", "axis", "inner"))  # type: ignore[arg-type]
    return outer, axis, inner


def _meaning(sign: int) -> Callable[[ArgValues, Sequence[Array]], Mapping[int, Array]]:
    def meaning(arguments: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
        x = buffers[0].reshape(_sizes(arguments)) * sign
        x = np.where(np.isnan(x), -np.inf, x)
        if arguments["last"]:
            return {1: x.shape[1] - 1 - x[:, ::-1].argmax(axis=1)}
        return {1: x.argmax(axis=1)}

    return meaning


def _case(label: str, arguments: ArgValues, rng: np.random.Generator, levels: int) -> Case:
    outer, axis, inner = _sizes(arguments)
    x = rng.integers(-levels, levels + 1, (outer, axis, inner)).astype(np.float32)
    return Case(label, arguments, (x, np.full((outer, inner), -1, np.int64)), (1,))


def _cases(inners: Sequence[int], rng: np.random.Generator) -> Iterator[Case]:
    for last in (False, True):
        for inner in inners:
            for axis in (1, 2, 3, 10, 31, 32, 33, 65, 300):
                for levels in (1, 1000):
                    label = f"axis {axis}, inner {inner}, last {last}, {levels} levels"
                    yield _case(label, args(3, axis, inner, last=last), rng, levels)
        case = _case(f"NaN, last {last}", args(2, 70, inners[-1], last=last), rng, 3)
        case.buffers[0][:, 5::13] = np.nan
        yield case
        for value in (np.inf, -np.inf):
            case = _case(f"all {value}, last {last}", args(2, 70, inners[-1], last=last), rng, 3)
            case.buffers[0][...] = value
            yield case


def _row_cost(arguments: ArgValues, target: Target) -> float:
    outer, axis, _ = _sizes(arguments)
    return 40 + outer * (60 + ceil(axis / (4 * target.lanes)) * 26)


def _inner_cost(arguments: ArgValues, target: Target) -> float:
    outer, axis, inner = _sizes(arguments)
    return 40 + outer * ceil(inner / (4 * target.lanes)) * (40 + axis * 20)


def _scalar_cost(arguments: ArgValues, _target: Target) -> float:
    outer, axis, inner = _sizes(arguments)
    return 40 + outer * inner * (12 + axis * 8)


def _rows(kind: str, sign: int) -> Iterator[Kernel]:
    def row(
        form: str,
        inners: Sequence[int],
        supports: Callable[[ArgValues, Target], bool],
        cost: Callable[[ArgValues, Target], float],
    ) -> Kernel:
        return Kernel(
            name=f"f32_{kind}{form}",
            family=kind,
            source="argmax.c",
            args="pf_argmax_args",
            buffers=("x", "y"),
            meaning=_meaning(sign),
            cases=lambda rng: _cases(inners, rng),
            supports=supports,
            cost=cost,
        )

    yield row("_row4v__rvv", (1,), lambda arguments, _: arguments["inner"] == 1, _row_cost)
    yield row("_inner4v__rvv", (1, 3, 33), lambda *_: True, _inner_cost)
    yield row("__scalar", (1, 5), lambda *_: True, _scalar_cost)


KERNELS = (*_rows("argmax", 1), *_rows("argmin", -1))
