"""Kernels between float and int8, between two scales of int8, and between u8 and s8.

QuantizeLinear divides, in float32, and so do these kernels to the bit: where two multiplications provably give the
same (:func:`qrows.reciprocal`), the vector kernels take those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial

import numpy as np

from pilotfish.compiler.kernels import qrows
from pilotfish.compiler.kernels.table import ArgValues, Array, Case, Kernel, Value
from pilotfish.compiler.targets import Target

_ROW = 8.0  # slots of a row, as counted
_NEAR = 64  # float32 numbers on each side of the quotient of the scales that may be a factor


def args(
    dims: Sequence[int],
    x_strides: Sequence[int] | None = None,
    y_strides: Sequence[int] | None = None,
    *,
    x: tuple[float, int] = (1.0, 0),
    y: tuple[float, int] = (1.0, 0),
    clamp: tuple[int, int] = (-128, 127),
) -> dict[str, Value]:
    """Arguments of all four kernels: ``x`` and ``y`` are (scale, zero point) on the two sides, if int8.

    Strides count elements, dense where None; rows of both sides must be contiguous. Raises
    :class:`ModelError` as :func:`qrows.merge` does.
    """
    rows = qrows.merge(dims, x=x_strides or qrows.dense(dims), y=y_strides or qrows.dense(dims))
    x_scale, y_scale = float(np.float32(x[0])), float(np.float32(y[0]))
    first, second = qrows.reciprocal(y_scale)
    return rows | {
        "x_scale": x_scale, "x_zero": x[1], "y_scale": y_scale, "y_zero": y[1], "first": first, "second": second,
        "factor": factor(x_scale, x[1], y_scale), "lo": clamp[0], "hi": clamp[1],
    }  # fmt: skip


@lru_cache(maxsize=4096)
def factor(x_scale: float, x_zero: int, y_scale: float) -> float:
    """A float32 by which every ``q - x_zero`` rounds as ``(q - x_zero) * x_scale / y_scale``; 0 if none does."""
    centred = np.arange(-128 - x_zero, 128 - x_zero).astype(np.float32)
    with np.errstate(over="ignore"):
        wanted = qrows.round_s8(centred * np.float32(x_scale) / np.float32(y_scale), 0, -400, 400)
        middle = np.float32(x_scale / y_scale)
        if not 2.0**-90 < float(middle) < 2.0**90:
            return 0.0
        near = np.arange(-_NEAR, _NEAR + 1, dtype=np.int32)
        tried = (middle.view(np.int32) + near[np.argsort(np.abs(near), kind="stable")]).view(np.float32)
        right = (qrows.round_s8(centred * tried[:, None], 0, -400, 400) == wanted).all(axis=1)
    return float(tried[np.argmax(right)]) if right.any() else 0.0


def _quantized(values: Array, args: ArgValues) -> Array:
    zero, lo, hi = (int(qrows.number(args, name)) for name in ("y_zero", "lo", "hi"))
    with np.errstate(over="ignore", invalid="ignore"):
        return qrows.round_s8(values / np.float32(qrows.number(args, "y_scale")), zero, lo, hi)


def _real(x: Array, args: ArgValues) -> Array:
    centred = x.astype(np.int32) - int(qrows.number(args, "x_zero"))
    return np.asarray(centred.astype(np.float32) * np.float32(qrows.number(args, "x_scale")))


def _quantize(x: Array, args: ArgValues) -> Array:
    return _quantized(x, args)


def _requantize(x: Array, args: ArgValues) -> Array:
    return _quantized(_real(x, args), args)


def _flip(x: Array, _args: ArgValues) -> Array:
    return x ^ np.uint8(0x80)


def _meaning(
    args: ArgValues, buffers: Sequence[Array], *, value: Callable[[Array, ArgValues], Array]
) -> Mapping[int, Array]:
    y = buffers[1].copy()
    x = buffers[0][qrows.places(args["dims"], args["x_strides"])]
    y[qrows.places(args["dims"], args["y_strides"])] = value(x, args)
    return {1: y}


def _cost(args: ArgValues, target: Target, *, lmul: int, slots: tuple[float, float]) -> float:
    if not lmul:
        return qrows.rows_cost(args["dims"], 1, 12.0, _ROW)
    return qrows.rows_cost(args["dims"], lmul * target.lanes, lmul * slots[0] + slots[1], _ROW)


def _bytes(rng: np.random.Generator, size: int) -> Array:
    return rng.integers(-128, 128, size).astype(np.int8)


def _floats(rng: np.random.Generator, size: int, scale: float) -> Array:
    """Numbers over the whole range of int8 and beyond, near ties, at ties, and special ones."""
    values = rng.uniform(-200, 200, size).astype(np.float32)
    values[::3] = np.rint(values[::3]) + np.float32(0.5)
    values *= np.float32(scale)
    near = values.view(np.int32)
    near[::6] += rng.integers(-3, 4, near[::6].size, dtype=np.int32)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-40], np.float32)
    values[: special.size] = special[:size]
    return values


_Shape = tuple[str, tuple[int, ...], tuple[int, ...] | None, tuple[int, ...] | None]


def _cases(rng: np.random.Generator, *, op: str) -> Iterator[Case]:
    shapes: list[_Shape] = [
        ("one element", (1,), None, None),
        ("long and dense", (3, 5, 41), None, None),
        ("rows with gaps", (2, 3, 70), (300, 90, 1), (260, 80, 1)),
        ("a slice of channels of a halo'd image", (2, 3, 4, 24), None, (1600, 320, 40, 1)),
        ("short rows", (9, 5), (7, 1), (5, 1)),
    ]
    scales = [((0.02, 3), (0.031, -7)), ((0.5, -128), (0.25, 127)), ((0.0173, 127), (1.7, -128))]
    scales += [((float(a), int(b)), (float(a) * float(c), int(d))) for a, b, c, d in zip(
        rng.uniform(1e-3, 2, 5), rng.integers(-128, 128, 5), rng.uniform(0.3, 3, 5), rng.integers(-128, 128, 5),
        strict=True,
    )]  # fmt: skip
    full = (-128, 127)
    work = [(shape, scales[i % len(scales)], full) for i, shape in enumerate(shapes)]
    work += [((f"scales {s}", (300,), None, None), s, full) for s in scales]
    work += [(("clamped", (300,), None, None), scales[3], (-5, 90))]
    for (label, dims, xs, ys), (x, y), clamp in work:
        values = args(dims, xs, ys, x=x, y=y, clamp=clamp)
        sizes = [int(qrows.places(values["dims"], values[f"{side}_strides"]).max()) + 1 for side in "xy"]
        yield _case(rng, op, label, values, sizes)
    if op != "flip":
        dividing = args((300,), x=(0.3, 5), y=(0.7, -20)) | {"first": 0.0, "second": 0.0, "factor": 0.0}
        yield _case(rng, op, "by division", dividing, [300, 300])


def _case(rng: np.random.Generator, op: str, label: str, values: dict[str, Value], sizes: Sequence[int]) -> Case:
    x = _floats(rng, sizes[0], qrows.number(values, "y_scale")) if op == "quantize" else _bytes(rng, sizes[0])
    y: Array = _bytes(rng, sizes[1])
    if op == "dequantize":
        y = y.astype(np.float32)
    if op == "flip":
        x, y = x.view(np.uint8), y.view(np.uint8)
    return Case(label, values, (x, y), (1,))


_VALUES = {"quantize": _quantize, "dequantize": _real, "requantize": _requantize, "flip": _flip}
# Prefix of the name, LMULs, and as counted the slots of a vector: for each register of the f32 operand, and besides.
_OPS = {
    "quantize": ("f32_qs8", (8, 2), (5.25, 11.0)),
    "dequantize": ("qs8_f32", (8, 2), (3.8, 8.7)),
    "requantize": ("qs8", (8, 2), (5.25, 12.5)),
    "flip": ("x8", (8, 1), (0.57, 6.7)),
}


def _rows(op: str) -> Iterator[Kernel]:
    prefix, lmuls, slots = _OPS[op]
    for lmul in (*lmuls, 0):
        lanes = 4 if op == "flip" else 1  # bytes fill four times the lanes of f32
        yield Kernel(
            name=f"{prefix}_{op}_{lmul}v__rvv" if lmul else f"{prefix}_{op}__scalar",
            family=op,
            source="quantize.c",
            args="pf_quantize_args",
            buffers=("x", "y"),
            meaning=partial(_meaning, value=_VALUES[op]),
            cases=partial(_cases, op=op),
            cost=partial(_cost, lmul=lmul * lanes, slots=slots),
        )


KERNELS = tuple(row for op in _OPS for row in _rows(op))
