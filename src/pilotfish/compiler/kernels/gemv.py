"""The product of one row and a matrix in f32: ``y[j] = clamp(bias[j] + Σ x[i] w[i, j])``.

Weights come in blocks of ``nb`` columns, as for :mod:`.igemm`, or transposed (``nb`` 0) for few columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

import numpy as np

from pilotfish.compiler.kernels import igemm
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

OUTPUTS_MOST = 64
"""Most columns for which vectors along the sum are considered."""


def pack(weights: Array, nb: int) -> Array:
    """Weights f32[K, N] in blocks of ``nb`` columns [ceil(N / nb), K, nb]; with ``nb`` 0 transposed, [N, K]."""
    return igemm.pack(weights, nb) if nb else np.ascontiguousarray(weights.T)


def args(depth: int, columns: int, nb: int, *, lo: float = -np.inf, hi: float = np.inf) -> dict[str, Value]:
    """Arguments for ``depth`` inputs and ``columns`` outputs."""
    return {"k": depth, "n": columns, "nb": nb, "lo": lo, "hi": hi}


def block_widths(target: Target) -> tuple[int, ...]:
    """Widths of packed blocks that suit a product of one row, beside those of :mod:`.igemm`."""
    return (8 * target.lanes,) if target.isa == "rvv" else ()


def _shape(arguments: ArgValues) -> tuple[int, int, int]:
    k, n, nb = (int(arguments[name]) for name in ("k", "n", "nb"))  # type: ignore[arg-type]
    return k, n, nb


def _meaning(arguments: ArgValues, buffers: Sequence[Array]) -> Mapping[int, Array]:
    x, w, bias, _ = (b.astype(np.float64) for b in buffers)
    k, n, nb = _shape(arguments)
    blocks = w.reshape(-1, k, nb or 1)  # transposed weights are blocks of one column
    matrix = blocks.transpose(1, 0, 2).reshape(k, -1)[:, :n]
    return {3: igemm.clamped(x @ matrix + bias, arguments)}


def random_case(label: str, arguments: ArgValues, rng: np.random.Generator) -> Case:
    """A case of normal numbers."""
    k, n, nb = _shape(arguments)
    x, bias, y = (rng.standard_normal(size).astype(np.float32) for size in (k, n, n))
    weights = (rng.standard_normal((k, n)) / np.sqrt(k)).astype(np.float32)
    return Case(label, arguments, (x, pack(weights, nb), bias, y), (3,))


def _cases(blocks: Sequence[int], rng: np.random.Generator) -> Iterator[Case]:
    for k in (*range(1, 18), 31, 32, 33, 63, 64, 65, 200):
        yield random_case(f"K={k}", args(k, 11, blocks[0]), rng)
    for nb in blocks:
        for n in (*range(1, 19), 31, 32, 33, 40, 63, 64, 65, 100, 130):
            yield random_case(f"N={n} in blocks of {nb}", args(21, n, nb), rng)
    for lo, hi in ((0.0, np.inf), (-np.inf, 0.5), (-0.5, 0.5)):
        arguments = args(30, 20, blocks[-1], lo=lo, hi=hi)
        yield random_case(f"clamp to {lo}, {hi}", arguments, rng)
        case = random_case(f"NaN, clamped to {lo}, {hi}", arguments, rng)
        case.buffers[0][3] = np.nan
        yield case
    case = random_case("infinite input", args(30, 20, blocks[0]), rng)
    case.buffers[0][7] = np.inf
    yield case


def _packed(blocks: Sequence[int] = (16, 4, 8, 32, 64)) -> Callable[[np.random.Generator], Iterator[Case]]:
    return lambda rng: _cases(blocks, rng)


def _takes_blocks(arguments: ArgValues, _target: Target) -> bool:
    return bool(arguments["nb"])


def _takes_transposed(arguments: ArgValues, _target: Target) -> bool:
    return not arguments["nb"] and _shape(arguments)[1] <= OUTPUTS_MOST


def _columns_cost(arguments: ArgValues, target: Target) -> float:
    k, n, nb = _shape(arguments)
    total, col = 60.0, 0
    while col < n:
        vl = min(nb - col % nb, n - col, 8 * target.lanes)
        lmul = next(m for m in (2, 4, 8) if vl <= m * target.lanes)
        total += k * (2 * lmul + 2) + k // 8 * 2 + k % 8 * 2 + 3 * lmul + 28
        col += vl
    return total


def _outputs_cost(arguments: ArgValues, target: Target) -> float:
    k, n, _ = _shape(arguments)
    groups = ceil(n / 5)
    vectors = ceil(k / (4 * target.lanes))
    return 80 + vectors * (groups * 6 + n * 9) + groups * 45 + n * 22


def _scalar_cost(arguments: ArgValues, _target: Target) -> float:
    k, n, nb = _shape(arguments)
    if nb:
        fours, ones = n // nb * (nb // 4) + n % nb // 4, n // nb * (nb % 4) + n % nb % 4
        return 40.0 + fours * (12 * k + 50) + ones * (6 * k + 30)
    return 40.0 + n // 4 * (15 * k + 50) + n % 4 * (6 * k + 30)


def _row(
    name: str,
    cases: Callable[[np.random.Generator], Iterator[Case]],
    supports: Callable[[ArgValues, Target], bool],
    cost: Callable[[ArgValues, Target], float],
) -> Kernel:
    return Kernel(
        name=name,
        family="gemv",
        source="gemv.c",
        args="pf_gemv_args",
        buffers=("x", "w", "bias", "y"),
        meaning=_meaning,
        cases=cases,
        supports=supports,
        cost=cost,
        ulp=16,
    )


KERNELS = (
    _row("f32_gemv_1x8v__rvv", _packed(), _takes_blocks, _columns_cost),
    _row("f32_gemv_5x4v__rvv", _packed((0,)), _takes_transposed, _outputs_cost),
    _row("f32_gemv_1x4__scalar", _packed(), _takes_blocks, _scalar_cost),
    _row("f32_gemv_4x1__scalar", _packed((0,)), _takes_transposed, _scalar_cost),
)
