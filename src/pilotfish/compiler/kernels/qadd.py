"""Sum, difference and product of two int8 tensors, each with its own scale and zero point.

The meaning is that of DequantizeLinear, the operator, QuantizeLinear in float32, to the bit. There are only 65536 pairs
of operands, so the compiler can look for two factors that give the same with fewer operations, and prove it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Literal

import numpy as np

from pilotfish.compiler.kernels import qrows
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

Op = Literal["add", "sub", "mul"]
_NEAR = 8  # float32 numbers on each side of the quotient of two scales that may be a factor
# Results of factors within that many numbers of the right ones differ from exact ones by less than this.
_CLOSE = np.float32(2e-3)
_ROW = 12.0  # slots of a row, as counted


def args(
    op: Op,
    dims: Sequence[int],
    a_strides: Sequence[int] | None = None,
    b_strides: Sequence[int] | None = None,
    y_strides: Sequence[int] | None = None,
    *,
    a: tuple[float, int],
    b: tuple[float, int],
    y: tuple[float, int],
    clamp: tuple[int, int] = (-128, 127),
) -> dict[str, Value]:
    """Arguments of family ``qadd`` (for ``"add"`` and ``"sub"``) or ``qmul``; ``a``, ``b``, ``y``: (scale, zero point).

    Strides count elements, dense where None; rows must be contiguous, other strides of operands may be 0 to repeat.
    Raises :class:`ModelError` as :func:`qrows.merge` does.
    """
    rows = qrows.merge(
        dims,
        a=a_strides or qrows.dense(dims),
        b=b_strides or qrows.dense(dims),
        y=y_strides or qrows.dense(dims),
    )
    scales = (float(np.float32(a[0])), float(np.float32(-b[0] if op == "sub" else b[0])), float(np.float32(y[0])))
    first, second = qrows.reciprocal(scales[2])
    a_factor, b_factor = factors(op == "mul", scales, (a[1], b[1], y[1]), clamp)
    return rows | {
        "a_scale": scales[0], "b_scale": scales[1], "y_scale": scales[2],
        "a_zero": a[1], "b_zero": b[1], "y_zero": y[1], "first": first, "second": second,
        "a_factor": a_factor, "b_factor": b_factor, "lo": clamp[0], "hi": clamp[1],
    }  # fmt: skip


@lru_cache(maxsize=4096)
def factors(
    product: bool, scales: tuple[float, float, float], zeros: tuple[int, int, int], clamp: tuple[int, int]
) -> tuple[float, float]:
    """The factors of :class:`pf_qadd_args`, tried on all pairs of operands; zeros if none are found."""
    a, b = (np.arange(-128 - zero, 128 - zero).astype(np.float32) for zero in zeros[:2])
    a, b = (np.ascontiguousarray(each).reshape(-1) for each in np.broadcast_arrays(a[:, None], b))
    exact = _exact(a, b, scales, product)
    wanted = qrows.round_s8(exact, zeros[2], *clamp)
    quotients = [scales[0] * scales[1] / scales[2]] if product else [scales[0] / scales[2], scales[1] / scales[2]]
    if any(not 2.0**-60 < abs(q) < 2.0**60 for q in (*quotients, *scales)):
        return 0.0, 0.0
    # Only results near a tie can differ, and not where both saturate.
    with np.errstate(invalid="ignore"):
        near = (np.abs(np.abs(exact - np.floor(exact)) - np.float32(0.5)) < _CLOSE) & (np.abs(exact) < 512)
    a, b, wanted = a[near], b[near], wanted[near]
    steps = np.arange(-_NEAR, _NEAR + 1, dtype=np.int32)
    steps = steps[np.argsort(np.abs(steps), kind="stable")]
    tried = [(np.float32(q).view(np.int32) + steps).view(np.float32) for q in quotients]
    for a_factor in tried[0]:
        if product:
            if (qrows.round_s8((a * b) * a_factor, zeros[2], *clamp) == wanted).all():
                return float(a_factor), 0.0
            continue
        scaled = a * a_factor
        for b_factor in tried[1]:
            if (qrows.round_s8(qrows.fma(b, b_factor, scaled), zeros[2], *clamp) == wanted).all():
                return float(a_factor), float(b_factor)
    return 0.0, 0.0


def _exact(a: Array, b: Array, scales: Sequence[float], product: bool) -> Array:
    """(A op B) / y_scale of centred operands, in float32 throughout."""
    a_scale, b_scale, y_scale = (np.float32(scale) for scale in scales)
    with np.errstate(over="ignore", invalid="ignore"):
        real_a, real_b = a.astype(np.float32) * a_scale, b.astype(np.float32) * b_scale
        return np.asarray((real_a * real_b if product else real_a + real_b) / y_scale)


def _meaning(args: ArgValues, buffers: Sequence[Array], *, product: bool) -> Mapping[int, Array]:
    a, b, y = (qrows.places(args["dims"], args[f"{name}_strides"]) for name in "aby")
    scales = [qrows.number(args, f"{name}_scale") for name in "aby"]
    a_zero, b_zero, y_zero, lo, hi = (
        int(qrows.number(args, name)) for name in ("a_zero", "b_zero", "y_zero", "lo", "hi")
    )
    exact = _exact(buffers[0][a].astype(np.int32) - a_zero, buffers[1][b].astype(np.int32) - b_zero, scales, product)
    out = buffers[2].copy()
    out[y] = qrows.round_s8(exact, y_zero, lo, hi)
    return {2: out}


def _supports(args: ArgValues, _target: Target) -> bool:
    return args["a_factor"] != 0.0


def _cost(args: ArgValues, target: Target, *, lmul: int, slots: float) -> float:
    if not lmul:
        return qrows.rows_cost(args["dims"], 1, 25.0, _ROW)
    return qrows.rows_cost(args["dims"], lmul * target.lanes, lmul * slots + 14.0, _ROW)


Shape = tuple[int, ...]


def _cases(rng: np.random.Generator, *, product: bool, factors: bool) -> Iterator[Case]:
    op: Op = "mul" if product else "add"

    def case(
        label: str,
        dims: Shape,
        strides: tuple[Shape | None, Shape | None, Shape | None] = (None, None, None),
        *,
        zeros: Shape = (3, -20, 5),
        scales: tuple[float, ...] = (),
        clamp: tuple[int, int] = (-128, 127),
        op: Op = op,
    ) -> Case:
        s = scales or tuple(float(v) for v in np.exp(rng.uniform(-6, -2, 3)))
        if product and not scales:
            s = (*s[:2], s[0] * s[1] * float(rng.uniform(40, 150)))
        quantized = dict(zip("aby", zip(s, zeros, strict=True), strict=True))
        values = args(op, dims, *strides, **quantized, clamp=clamp)  # type: ignore[arg-type]
        sizes = (int(qrows.places(values["dims"], values[f"{n}_strides"]).max()) + 1 for n in "aby")
        buffers = tuple(rng.integers(-128, 128, size).astype(np.int8) for size in sizes)
        if dims == (65536,):  # every pair
            buffers = (
                np.repeat(np.arange(-128, 128), 256).astype(np.int8),
                np.tile(np.arange(-128, 128), 256).astype(np.int8),
                buffers[2],
            )
        return Case(label, values, buffers, (2,))

    yield case("one element", (1,))
    yield case("every pair", (65536,), zeros=(-128, 127, 0))
    yield case("equal scales", (65536,), scales=(0.25, 0.25, 0.25), zeros=(0, 0, 0))
    yield case("gaps", (2, 3, 70), ((300, 90, 1), (280, 80, 1), (260, 75, 1)))
    yield case("repeated rows", (2, 15, 24), ((360, 24, 1), (24, 0, 1), (480, 32, 1)))
    yield case("four dimensions", (2, 3, 4, 5), ((99, 33, 7, 1), (99, 33, 7, 1), (200, 50, 11, 1)))
    yield case("clamped", (200,), clamp=(5, 100))
    if not factors:
        yield case("every pair, no factors", (65536,), scales=(0.5, 0.5, 25.0), zeros=(0, 0, 0))
        yield case("no factors, no reciprocal", (100,), scales=(0.1, 0.2, 2.0**-100))
    if not product:
        yield case("difference", (300,), op="sub")


def _row(op: str, variant: str, lmul: int, slots: float) -> Kernel:
    product = op == "mul"
    return Kernel(
        name=f"qs8_{op}{variant}",
        family=f"q{op}",
        source="qadd.c",
        args="pf_qadd_args",
        buffers=("a", "b", "y"),
        meaning=partial(_meaning, product=product),
        cases=partial(_cases, product=product, factors=lmul > 0 and "exact" not in variant),
        supports=_supports if lmul and "exact" not in variant else lambda _args, _target: True,
        cost=partial(_cost, lmul=lmul, slots=slots),
    )


KERNELS = tuple(
    _row(op, variant, lmul, slots)
    for op, least in (("add", 7.6), ("mul", 6.1))
    for variant, lmul, slots in (
        ("_8v__rvv", 8, least),
        ("_2v__rvv", 2, least),
        ("_exact_8v__rvv", 8, 10.85),
        ("__scalar", 0, 0.0),
    )
)
