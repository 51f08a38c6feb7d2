"""Layer normalization of f32 rows: ``y = (x - mean) / sqrt(variance + epsilon) * scale + bias``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target


def args(rows: int, n: int, *, epsilon: float = 1e-5) -> dict[str, Value]:
    """Arguments for x[rows, n], scale[n], bias[n] → y[rows, n]."""
    return {"rows": rows, "n": n, "epsilon": epsilon}


def _sizes(arguments: ArgValues) -> tuple[int, int]:
    rows, n = (int(arguments[name]) for name in ("rows", "n"))  # type: ignore[arg-type]
    return rows, n


def _meaning(arguments: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    x, scale, bias, _ = (b.astype(np.float64) for b in buffers)
    d = x - x.mean(axis=1, keepdims=True)
    epsilon = float(np.float32(arguments["epsilon"]))  # type: ignore[arg-type]
    return {3: d / np.sqrt((d * d).mean(axis=1, keepdims=True) + epsilon) * scale + bias}


def _case(label: str, arguments: ArgValues, rng: np.random.Generator, mean: float = 0.5, spread: float = 1.0) -> Case:
    rows, n = _sizes(arguments)
    x = (mean + spread * rng.standard_normal((rows, n))).astype(np.float32)
    scale, bias = (rng.standard_normal(n).astype(np.float32) for _ in range(2))
    return Case(label, arguments, (x, scale, bias, np.zeros_like(x)), (3,))


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    for n in (1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 768, 1000):
        yield _case(f"n={n}", args(3, n), rng)
    yield _case("large epsilon", args(2, 50, epsilon=0.1), rng)
    yield _case("no epsilon", args(2, 50, epsilon=0.0), rng)
    for mean, spread in ((1000.0, 1.0), (-3e4, 10.0), (1e4, 0.05), (1e-10, 1e-12), (0.0, 1e15)):
        yield _case(f"{mean} ± {spread}", args(2, 768), rng, mean, spread)
    case = _case("NaN", args(2, 70), rng)
    case.buffers[0][0, 66] = np.nan
    yield case


def _vector_cost(arguments: ArgValues, target: Target) -> float:
    rows, n = _sizes(arguments)
    return 30 + rows * (70 + ceil(n / (4 * target.lanes)) * 80)


def _scalar_cost(arguments: ArgValues, _target: Target) -> float:
    rows, n = _sizes(arguments)
    return 40 + rows * (80.0 + 38 * n)


def _row(name: str, cost: Callable[[ArgValues, Target], float]) -> Kernel:
    return Kernel(
        name=name,
        family="layernorm",
        source="layernorm.c",
        args="pf_layernorm_args",
        buffers=("x", "scale", "bias", "y"),
        meaning=_meaning,
        cases=_cases,
        cost=cost,
        ulp=32,
    )


KERNELS = (_row("f32_layernorm_4v__rvv", _vector_cost), _row("f32_layernorm__scalar", _scalar_cost))
