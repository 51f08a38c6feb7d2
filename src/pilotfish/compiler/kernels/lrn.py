"""Local response normalization across channels in f32: ``y = x (bias + alpha Σ x²)^-beta``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target


def args(rows: int, n: int, size: int, *, alpha: float, beta: float, bias: float) -> dict[str, Value]:
    """Arguments for x[rows, n] → y[rows, n]: ``n`` channels a pixel, ``size`` and ``alpha`` as ONNX has them."""
    window = {"before": (size - 1) // 2, "after": size - 1 - (size - 1) // 2}
    return {"rows": rows, "n": n, **window, "alpha": alpha / size, "beta": beta, "bias": bias}


def _sizes(arguments: ArgValues) -> tuple[int, int, int, int]:
    rows, n, before, after = (int(arguments[name]) for name in ("rows", "n", "before", "after"))  # type: ignore[arg-type]
    return rows, n, before, after


def _meaning(arguments: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    _, n, before, after = _sizes(arguments)
    alpha, beta, bias = (float(arguments[name]) for name in ("alpha", "beta", "bias"))  # type: ignore[arg-type]
    x = buffers[0].astype(np.float64)
    sums = np.stack([(x[:, max(i - before, 0) : i + after + 1] ** 2).sum(axis=1) for i in range(n)], axis=1)
    return {1: x * (bias + alpha * sums) ** -beta}


def _case(label: str, arguments: ArgValues, rng: np.random.Generator, spread: float = 3.0) -> Case:
    rows, n, _, _ = _sizes(arguments)
    x = (spread * rng.standard_normal((rows, n))).astype(np.float32)
    return Case(label, arguments, (x, np.zeros_like(x)), (1,))


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    for n in (1, 2, 3, 16, 31, 33, 64, 65, 130):
        for size in (1, 2, 3, 5):
            yield _case(f"n={n}, size {size}", args(2, n, size, alpha=0.1, beta=0.75, bias=1.0), rng)
    yield _case("wide window", args(3, 40, 100, alpha=1.0, beta=0.5, bias=2.0), rng)
    yield _case("large numbers", args(3, 40, 5, alpha=1e-4, beta=0.75, bias=1.0), rng, 1e5)
    yield _case("small bias", args(3, 40, 5, alpha=1e-4, beta=1.5, bias=0.01), rng)


def _vector_cost(arguments: ArgValues, target: Target) -> float:
    rows, n, before, after = _sizes(arguments)
    return 40 + rows * (60 + ceil(n / (4 * target.lanes)) * (253 + (before + 1 + after) * 24))


def _scalar_cost(arguments: ArgValues, _target: Target) -> float:
    rows, n, before, after = _sizes(arguments)
    return 40 + rows * n * (100.0 + 4 * (before + 1 + after))


def _row(name: str, cost: Callable[[ArgValues, Target], float]) -> Kernel:
    return Kernel(
        name=name,
        family="lrn",
        source="lrn.c",
        args="pf_lrn_args",
        buffers=("x", "y"),
        meaning=_meaning,
        cases=_cases,
        cost=cost,
        ulp=32,
    )


KERNELS = (_row("f32_lrn_4v__rvv", _vector_cost), _row("f32_lrn__scalar", _scalar_cost))
