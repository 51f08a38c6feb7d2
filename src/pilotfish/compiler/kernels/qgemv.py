"""The product of one row and few columns in int8: ``y[j] = clamp(round((bias[j] + Σ x[i] w[j, i]) scale[j]) + zero)``.

Vectors run along the sum. For many columns :mod:`.qigemm` with one pixel is the better kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

import numpy as np

from pilotfish.compiler.kernels.qrows import round_s8
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

COLUMNS_MOST = 64
"""Most columns that these kernels take."""


def pack(weights: Array) -> Array:
    """Weights s8[K, N] as these kernels read them: transposed, s8[N, K]."""
    return np.ascontiguousarray(weights.T, np.int8)


def args(weights: Array, *, zero: int = 0, lo: int = -128, hi: int = 127) -> dict[str, Value]:
    """Arguments for weights s8[K, N]."""
    depth, columns = weights.shape
    pairs = int(weights.min(initial=0) > -128)
    return {"k": depth, "n": columns, "pairs": pairs, "zero": zero, "lo": lo, "hi": hi}


def _shape(arguments: ArgValues) -> tuple[int, int]:
    k, n = (int(arguments[name]) for name in ("k", "n"))  # type: ignore[arg-type]
    return k, n


def _meaning(arguments: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    x, w, bias, scale, _ = buffers
    zero, lo, hi = (int(arguments[name]) for name in ("zero", "lo", "hi"))  # type: ignore[arg-type]
    sums = w.astype(np.int64) @ x.astype(np.int64) + bias
    return {4: round_s8(sums.astype(np.float32) * scale, zero, lo, hi)}


def random_case(
    label: str, weights: Array, rng: np.random.Generator, *, inputs: Sequence[int] = (), **more: int
) -> Case:
    """A case of weights s8[K, N] and random inputs, or of those in ``inputs``; ``more`` is for :func:`args`."""
    k, n = weights.shape
    x = rng.choice(np.array(inputs, np.int8), k) if inputs else rng.integers(-128, 128, k).astype(np.int8)
    spread = np.sqrt((weights.astype(np.float64) ** 2).sum(0)) * 73 + 1
    bias = rng.normal(0, spread).astype(np.int32)
    scale = (rng.uniform(50, 90, n) / spread).astype(np.float32)
    return Case(label, args(weights, **more), (x, pack(weights), bias, scale, np.zeros(n, np.int8)), (4,))


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def weights(k: int, n: int, least: int = -127) -> Array:
        return rng.integers(least, 128, (k, n)).astype(np.int8)

    for k in (1, 2, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 200, 256, 257, 512, 1100):
        yield random_case(f"K={k}", weights(k, 5), rng)
    for n in (*range(1, 18), 31, 33, 64):
        yield random_case(f"N={n}", weights(150, n), rng, zero=int(rng.integers(-128, 128)))
    for lo, hi in ((-128, 20), (-10, 127), (3, 100), (5, 5)):
        yield random_case(f"clamp to {lo}, {hi}", weights(40, 20), rng, lo=lo, hi=hi)
    for value in (-128, -127, 127):
        for x in (-128, 127):
            extreme = np.full((300, 6), value, np.int8)
            yield random_case(f"weights {value}, inputs {x}", extreme, rng, inputs=(x,))
    yield random_case("some weights -128", weights(300, 9, -128), rng, inputs=(-128, 127))
    tied = random_case("ties", np.ones((99, 10), np.int8), rng, inputs=(-1, 0, 1), zero=-3)
    tied.buffers[2][:] = np.arange(10)
    tied.buffers[3][:] = np.float32(0.5)
    yield tied


def _fits(arguments: ArgValues, _target: Target) -> bool:
    return 0 < _shape(arguments)[1] <= COLUMNS_MOST


def _cost(arguments: ArgValues, target: Target) -> float:
    k, n = _shape(arguments)
    groups, chunk = ceil(n / 4), 4 * target.lanes
    pairs = k // (2 * chunk) if arguments["pairs"] else 0
    singles = ceil((k - pairs * 2 * chunk) / chunk)
    each = pairs * (groups * 7 + n * 12) + singles * (groups * 5 + n * 10)
    return 70 + each + groups * 40 + n * 12 + ceil(n / (2 * target.lanes)) * 25


def _scalar_cost(arguments: ArgValues, _target: Target) -> float:
    k, n = _shape(arguments)
    return 40.0 + n // 4 * (18 * k + 130) + n % 4 * (6 * k + 50)


def _row(name: str, cost: Callable[[ArgValues, Target], float]) -> Kernel:
    return Kernel(
        name=name,
        family="qgemv",
        source="qgemv.c",
        args="pf_qgemv_args",
        buffers=("x", "w", "bias", "scale", "y"),
        meaning=_meaning,
        cases=_cases,
        supports=_fits,
        cost=cost,
    )


KERNELS = (
    _row("qs8_qc8w_gemv_4x4v__rvv", _cost),
    _row("qs8_qc8w_gemv_4x1__scalar", _scalar_cost),
)
