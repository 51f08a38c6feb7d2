"""Every operation of pf_vec.h and pf_math.h against float64: all widths, several vector lengths, scalar twins.

The bounds are those that pf_math.h states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from pilotfish.compiler import targets
from pilotfish.compiler.kernels import table
from pilotfish.compiler.kernels.table import ArgsField, ArgsStruct, Array, Case, Kernel
from pilotfish.compiler.kernels.vec import OPS, VectorOp, vector_type
from pilotfish.measure.kernel_harness import count_cases, run_cases

PLACES = [("host", 0), ("rv64gc", 0), ("rv64gcv", 128), ("rv64gcv", 256), ("rv64gcv", 1024)]
WIDTHS = {"scalar": ("x1",), "rvv": ("m1", "m2", "m4", "m8", "x1")}
TINY = 1.7e-38
"""What may be 0 instead; times the argument, where the result is a product with it."""

PARAMETERS: dict[str, tuple[float, ...]] = {
    "clip": (-1.5, 2.0),
    "clamp": (-1.5, 2.0),
    "silu": (1.25,),
    "elu": (1.5,),
    "celu": (0.75,),
    "selu": (1.6732632, 1.0507009),
    "leaky": (0.01,),
    "thresholded": (0.7,),
    "hardsigmoid": (0.2, 0.5),
}
SCALAR = 0.375


def rounded(*values: float) -> tuple[float, ...]:
    return tuple(float(np.float32(v)) for v in values)


def erf(x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1.0) / (1.0 + small)


def gelutanh(x: Array) -> Array:
    return x * sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))


def elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def clip(x: Array, lo: float, hi: float) -> Array:
    return np.fmin(np.fmax(x, lo), hi)


@dataclass(frozen=True)
class Fact:
    """The true function in float64, its bound in ulp of the result or of ``scale``, and where it holds."""

    true: Callable[..., Array]
    ulp: float = 0.0
    scale: Callable[..., Array] = lambda *_: np.float64(0.0)
    where: Callable[[Array], Array] = lambda x: np.full(x.shape, True)


def size(x: Array, *_: object) -> Array:
    return np.abs(x)


def product(a: Array, b: Array, c: Array) -> Array:
    return np.abs(a * b) + np.abs(c)


FACTS = {
    "add": Fact(np.add, 0.5),
    "sub": Fact(np.subtract, 0.5),
    "mul": Fact(np.multiply, 0.5),
    "div": Fact(np.divide, 0.5),
    "adds": Fact(np.add, 0.5),
    "subs": Fact(np.subtract, 0.5),
    "muls": Fact(np.multiply, 0.5),
    "divs": Fact(np.divide, 0.5),
    "rsubs": Fact(lambda x, s: s - x, 0.5),
    "rdivs": Fact(lambda x, s: s / x, 0.5),
    "max": Fact(np.maximum),
    "min": Fact(np.minimum),
    "maxs": Fact(np.maximum),
    "mins": Fact(np.minimum),
    "maxnum": Fact(np.fmax),
    "minnum": Fact(np.fmin),
    "maxnums": Fact(np.fmax),
    "minnums": Fact(np.fmin),
    "prelu": Fact(lambda x, s: np.where(x < 0, x * s, x), 0.5),
    "copysign": Fact(np.copysign),
    **{n: Fact(f) for n, f in (("lt", np.less), ("le", np.less_equal), ("gt", np.greater))},
    **{n: Fact(f) for n, f in (("ge", np.greater_equal), ("eq", np.equal), ("ne", np.not_equal))},
    **{n: Fact(f) for n, f in (("lts", np.less), ("les", np.less_equal), ("gts", np.greater))},
    **{n: Fact(f) for n, f in (("ges", np.greater_equal), ("eqs", np.equal), ("nes", np.not_equal))},
    "fma": Fact(lambda a, b, c: a * b + c, 1, product),
    "nfma": Fact(lambda a, b, c: c - a * b, 1, product),
    "fmas": Fact(lambda a, s, c: a * s + c, 1, product),
    "nfmas": Fact(lambda a, s, c: c - a * s, 1, product),
    "and": Fact(np.logical_and),
    "or": Fact(np.logical_or),
    "xor": Fact(np.logical_xor),
    "not": Fact(np.logical_not),
    "select": Fact(np.where),
    "selects": Fact(np.where),
    "isnan": Fact(np.isnan),
    "isinf": Fact(np.isinf),
    "neg": Fact(np.negative),
    "abs": Fact(np.abs),
    "sqrt": Fact(np.sqrt, 0.5),
    "relu": Fact(lambda x: np.fmax(x, 0.0)),
    "floor": Fact(np.floor),
    "ceil": Fact(np.ceil),
    "round": Fact(np.rint),
    "trunc": Fact(np.trunc),
    "sign": Fact(np.sign),
    "clip": Fact(clip),
    "clamp": Fact(np.clip),
    "exp": Fact(np.exp, 1),
    "expneg": Fact(np.exp, 1, where=lambda x: x <= 0),
    "expm1neg": Fact(np.expm1, 2, where=lambda x: x <= 0),
    "expm1": Fact(np.expm1, 2),
    "sigmoid": Fact(sigmoid, 3),
    "tanh": Fact(np.tanh, 3),
    "erf": Fact(erf, 3),
    "log": Fact(lambda x: np.log(np.where((x > 0) & (x < 2.0**-126), 0, x)), 1),
    "log1p": Fact(np.log1p, 2),
    "softplus": Fact(lambda x: np.logaddexp(x, 0.0), 2),
    "mish": Fact(lambda x: x * np.tanh(np.logaddexp(x, 0.0)), 4),
    "gelu": Fact(lambda x: np.where(x == -np.inf, 0, 0.5 * x * (1 + erf(x / math.sqrt(2)))), 2, size),
    "gelutanh": Fact(gelutanh, 2, size),
    "silu": Fact(lambda x, k: x * sigmoid(np.float32(x * k)), 4),
    "elu": Fact(elu, 4),
    "celu": Fact(lambda x, alpha: np.where(x > 0, x, elu(x / alpha, alpha)), 4),
    "selu": Fact(lambda x, alpha, gamma: gamma * elu(x, alpha), 4),
    "leaky": Fact(lambda x, alpha: np.where(x < 0, alpha * x, x), 0.5),
    "thresholded": Fact(lambda x, alpha: np.where(x <= alpha, 0.0, x)),
    "hardsigmoid": Fact(lambda x, alpha, beta: clip(alpha * x + beta, 0, 1), 1, lambda x, *_: np.float64(1)),
    "hardswish": Fact(lambda x: x * clip(x / 6 + 0.5, 0, 1), 2, size),
    "softsign": Fact(lambda x: x / (1 + np.abs(x)), 2),
    **{n: Fact(getattr(np, n), 2) for n in ("sin", "cos", "tan", "sinh", "cosh")},
    **{n: Fact(getattr(np, n.replace("a", "arc", 1)), 2) for n in ("asin", "acos", "atan")},
    **{n: Fact(getattr(np, n.replace("a", "arc", 1)), 3) for n in ("asinh", "acosh", "atanh")},
    "pow": Fact(np.power, 2),
    "fmod": Fact(np.fmod),
}
SIGNED_ZEROS = {"neg", "abs", "copysign", "floor", "ceil", "round", "trunc", "tanh", "erf", "sqrt"}

HEADER = "typedef struct { int32_t n; } pf_elementwise_args;"
STRUCT = ArgsStruct("pf_elementwise_args", "elementwise.h", (ArgsField("n", "int32_t"),))


def loop(op: VectorOp, width: str) -> str:
    """A kernel in C: buffers are the operation's operands in order, then the result."""
    names, loads, scalars = [], [], iter(parameters(op))
    for i, kind in enumerate(op.takes):
        if kind == "s":
            names.append(f"{float(np.float32(next(scalars))).hex()}f")
        else:
            load = "load" if kind == "f" else "loadb"
            ctype = "float" if kind == "f" else "uint8_t"
            names.append(f"v{i}")
            at = len(loads)
            loads.append(f"{vector_type(width, kind)} v{i} = pf_{load}_{width}((const {ctype} *)buf[{at}] + i, vl);")
    store, ctype = ("store", "float") if op.gives == "f" else ("storeb", "uint8_t")
    vl = "vlmapped" if op.mapped else "vl"
    return f"""
    void {op.name}_{width}(const void *args, void *const *buf);
    void {op.name}_{width}(const void *args, void *const *buf) {{
        const int32_t n = ((const pf_elementwise_args *)args)->n;
        for (int32_t i = 0; i < n;) {{
            const size_t vl = pf_{vl}_{width}(n - i);
            {" ".join(loads)}
            {vector_type(width, op.gives)} r = {op.call(width, names)};
            pf_{store}_{width}(({ctype} *)buf[{len(loads)}] + i, r, vl);
            i += (int32_t)vl;
        }}
    }}
    """


def parameters(op: VectorOp) -> tuple[float, ...]:
    return rounded(*PARAMETERS.get(op.name, (SCALAR,) * op.takes.count("s")))


@cache
def samples(count: int) -> Array:
    """Float32: every exponent and sign, small and middling numbers more densely, and the special ones."""
    rng = np.random.default_rng(1)
    largest = np.finfo(np.float32).max
    edges = [0.0, 1.0, 0.5, 1.5, 2.5, 8388607.5, 8388608.0, 16777216.0, 2147483648.0, np.inf, largest, 2.0**-149]
    edges += [2.0**-126, 88.72283, 88.72284, 88.8, 89.5, 104.0, 87.3365, 86.98, 126.5 * math.log(2), 9.02, 3.93]
    whole = rng.integers(0, 2**32, count // 4, dtype=np.uint64).astype(np.uint32).view(np.float32)
    whole[np.isnan(whole)] = np.nan
    nans = np.array([0x7FC00000, 0xFFC00000], np.uint32).view(np.float32)
    parts = [np.array(p, np.float32) for p in (edges, *(rng.uniform(-r, r, count // 4) for r in (1, 10, 100)))]
    x = np.concatenate([*parts, -parts[0], whole, nans])
    return np.asarray(rng.permutation(x))


def operands(op: VectorOp) -> list[Array]:
    x = samples(6000 if not op.mapped else 1000)
    rng = np.random.default_rng(2)
    others = [x]
    for kind in op.takes[1:]:
        if kind == "f":  # equal numbers, equal magnitudes, special ones against all
            other = rng.permutation(x)
            with np.errstate(all="ignore"):
                other[::3] = x[::3] * rng.choice([1, -1, 0.5, 1.0000001], x[::3].size).astype(np.float32)
            others.append(other)
        elif kind == "m":
            others.append(x)
    made = []
    for kind, values in zip(op.takes.replace("s", ""), others, strict=False):
        made.append(values if kind == "f" else (values.view(np.uint32) % 3 % 2).astype(np.uint8))
    return made


def rows(scratch: str, widths: Sequence[str], inputs: Callable[[VectorOp], list[Array]]) -> list[tuple[Kernel, Case]]:
    """A kernel for every operation and width, each with a case of those inputs."""
    source = '#include "pf_math.h"\n#include "elementwise.h"\n'
    source += "".join(loop(op, w) for op in OPS.values() for w in widths)
    Path(scratch, "elementwise.h").write_text(HEADER)
    Path(scratch, "elementwise.c").write_text(source)
    row = Kernel("", "", str(Path(scratch, "elementwise.c")), STRUCT.name, (), lambda *_: {}, lambda _: ())
    work = []
    for op in OPS.values():
        given = inputs(op)
        n = given[0].size
        result = np.zeros(n, np.float32 if op.gives == "f" else np.uint8)
        case = Case(op.name, {"n": n}, (*given, result), (len(given),))
        names = tuple(map(str, range(len(given) + 1)))
        work += [(replace(row, name=f"{op.name}_{w}", buffers=names), case) for w in widths]
    return work


@cache
def results(target: str, vlen: int) -> dict[tuple[str, str], Array]:
    """What every operation gives at every width, from one process."""
    with TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "structs", lambda: {STRUCT.name: STRUCT})
        work = rows(scratch, WIDTHS[targets.load(target).isa], operands)
        got = run_cases(targets.load(target), work, vlen)
        return {(c.label, k.name.rsplit("_", 1)[1]): g[-1] for (k, c), g in zip(work, got, strict=True)}


@cache
def counts() -> dict[str, tuple[int, int]]:
    """Vector arithmetic and memory instructions of one vector at m4, counted at VLEN 256."""
    target, executed = targets.load("rv64gcv"), []
    with TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "structs", lambda: {STRUCT.name: STRUCT})
        for vectors in (2, 3):
            work = rows(scratch, ["m4"], lambda op, n=32 * vectors: [x[:n] for x in operands(op)])  # type: ignore[misc]
            executed.append(count_cases(target, work, 256))
    apart = [b - a for a, b in zip(*executed, strict=True)]
    return {case.label: (e.arith, e.memory) for (_, case), e in zip(work, apart, strict=True)}


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize(("target", "vlen"), PLACES, ids=[f"{t}@{v}" if v else t for t, v in PLACES])
def test_operation_is_within_its_bound(target: str, vlen: int, name: str) -> None:
    op, fact = OPS[name], FACTS[name]
    inputs = operands(op)
    scalars = iter(parameters(op))
    given = iter(i.astype(np.float64) if i.dtype == np.float32 else i.astype(np.bool_) for i in inputs)
    arguments = [next(scalars) if kind == "s" else next(given) for kind in op.takes]
    with np.errstate(all="ignore"):
        want = np.asarray(fact.true(*arguments), np.float64)
        scale = np.maximum(np.abs(want), fact.scale(*arguments))
        # Tolerance: the last place of a float32 of that size.
        place = np.spacing(np.minimum(scale, np.finfo(np.float32).max).astype(np.float32)).astype(np.float64)
        narrow = want.astype(np.float32).astype(np.float64)
        for width in WIDTHS[targets.load(target).isa]:
            got = results(target, vlen)[name, width].astype(np.float64)
            same = (got == narrow) | (np.isnan(got) & np.isnan(narrow))
            if fact.ulp:
                same |= np.abs(got - want) <= fact.ulp * place
                tiny = TINY * np.maximum(1, np.abs(arguments[0]))
                same |= (np.abs(want) < tiny) & (np.abs(got) < tiny)
            if name in SIGNED_ZEROS:
                same &= (want != 0) | (np.signbit(want) == np.signbit(got))
            bad = ~same & fact.where(arguments[0] if op.takes[0] == "f" else want)
            report = [(*(float(i[k]) for i in inputs), got[k], want[k]) for k in np.flatnonzero(bad)[:5]]
            assert not report, f"{name}_{width}: {bad.sum()} of {bad.size}, such as (inputs, got, want) {report}"


def test_every_operation_has_a_fact() -> None:
    assert set(FACTS) == set(OPS)


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if not op.mapped and n != "select"])
def test_cost_of_an_operation_is_what_is_executed(name: str) -> None:
    op = OPS[name]
    arithmetic, memory = counts()[name]
    masks = op.takes.count("m") + 2 * (op.gives == "m")  # from bytes, and to them
    assert arithmetic - masks == op.vectors
    assert memory == op.takes.count("f") + op.takes.count("m") + 1, "it spills"
