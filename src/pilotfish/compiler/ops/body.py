"""Bodies: chains of elementwise instructions, printed as one vector loop.

A body is a tuple of instructions ``(op, args, params)`` in SSA form. Operand numbers below the number of inputs
are the inputs, ``n_inputs + k`` is the result of instruction ``k``; the last instruction is the output. Without any
instruction it is the input, in another type. Values are float32, float16 or masks (of bool tensors).
``("const", (), (2.0,))`` makes a number.

The C is written with the macros of ``kernels/pf_vec.h``. A value that is the same for a whole row (a constant, a
broadcast input, or what is computed from only those) stays a scalar, and instructions take it in their scalar form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pilotfish.compiler.kernels import vec
from pilotfish.compiler.kernels.table import Array

Instruction = tuple[str, tuple[int, ...], tuple[float, ...]]
Body = tuple[Instruction, ...]

_ADDITIVE_NAN = {"max": "maxs", "min": "mins"}
"""Scalar forms that are right only for a scalar that is a number."""


def is_mask(op: str) -> bool:
    """Whether an instruction makes a mask."""
    return op != "const" and vec.OPS[op].gives == "m"


def result_is_mask(body: Body) -> bool:
    """Whether a body's output is a mask."""
    return bool(body) and is_mask(body[-1][0])


def meaning(body: Body, inputs: Sequence[Array]) -> Array:
    """The body's value in NumPy, with broadcasting; each instruction rounds to float32."""
    values: list[Array] = list(inputs)
    with np.errstate(all="ignore"):
        for op, args, params in body:
            if op == "const":
                values.append(np.array(params[0], np.float32))
                continue
            operands = [values[a] for a in args]
            wide = [o if o.dtype == np.bool_ else o.astype(np.float64) for o in operands]
            result = np.asarray(MEANINGS[op](*wide, *params))
            values.append(result if is_mask(op) else result.astype(np.float32))
    return values[-1]


def substituted(body: Body, n_inputs: int, operand: int, inner: Body, inner_inputs: int) -> Body:
    """``body`` with its input ``operand`` computed by ``inner``, whose inputs come after the remaining ones.

    The result has ``n_inputs - 1 + inner_inputs`` inputs: those of ``body`` without ``operand``, then the inner
    ones.
    """
    kept = n_inputs - 1
    total = kept + inner_inputs

    def of_inner(arg: int) -> int:
        return kept + arg  # inputs and results alike: both follow the kept ones

    def of_body(arg: int) -> int:
        if arg == operand:
            return total + len(inner) - 1
        if arg < n_inputs:
            return arg - (arg > operand)
        return arg - n_inputs + total + len(inner)

    first = tuple((op, tuple(of_inner(a) for a in args), params) for op, args, params in inner)
    return first + tuple((op, tuple(of_body(a) for a in args), params) for op, args, params in body)


def simplified(body: Body, inputs: Sequence[str]) -> tuple[Body, tuple[str, ...]]:
    """The same in fewer or cheaper instructions, within an ulp, and its inputs.

    A division by a number becomes a product with its reciprocal, a product that is only added to something one
    fused instruction.
    """
    body, names = deduplicated(_without_division(body, len(inputs)), inputs)
    return deduplicated(_fused(body, len(names)), names)


def _without_division(body: Body, n_inputs: int) -> Body:
    changed = list(body)
    consts = {n_inputs + k: i[2][0] for k, i in enumerate(body) if i[0] == "const"}
    replaced = {}  # const → its reciprocal; appended in place would renumber, so the const itself changes
    for k, (op, args, _) in enumerate(body):
        if op == "div" and args[1] in consts and _readers(body, args[1]) == 1:
            reciprocal = float(np.float32(1 / consts[args[1]])) if consts[args[1]] else math.inf
            if math.isfinite(reciprocal) and abs(reciprocal) >= np.finfo(np.float32).tiny:
                replaced[args[1]] = reciprocal
                changed[k] = ("mul", args, ())
    for value, inverse in replaced.items():
        changed[value - n_inputs] = ("const", (), (inverse,))
    return tuple(changed)


def _readers(body: Body, value: int) -> int:
    return sum(args.count(value) for _, args, _ in body)


def _fused(body: Body, n_inputs: int) -> Body:
    """add(mul(a, b), c) → fma(a, b, c), and sub(c, mul(a, b)) → nfma(a, b, c)."""
    changed = list(body)
    for k, (op, args, _) in enumerate(body):
        for at in {"add": (0, 1), "sub": (1,)}.get(op, ()):
            made = args[at] - n_inputs
            other = args[1 - at]
            if made >= 0 and changed[made][0] == "mul" and _readers(body, args[at]) == 1:
                if other >= n_inputs and changed[other - n_inputs][0] == "const":
                    continue  # a number to add would have to be put in a register first
                changed[k] = ("fma" if op == "add" else "nfma", (*changed[made][1], other), ())
                break
    return tuple(changed)


def deduplicated(body: Body, inputs: Sequence[str]) -> tuple[Body, tuple[str, ...]]:
    """The same with each distinct input once, without unused inputs, equal instructions once, none unused."""
    needed: set[int] = {len(inputs) + len(body) - 1}
    for k in reversed(range(len(body))):
        if len(inputs) + k in needed:
            needed.update(body[k][1])
    names = tuple(dict.fromkeys(name for i, name in enumerate(inputs) if i in needed))
    place = {i: names.index(name) for i, name in enumerate(inputs) if i in needed}
    made: dict[Instruction, int] = {}
    for k, (op, args, params) in enumerate(body):
        if len(inputs) + k in needed:
            instruction = (op, tuple(place[a] for a in args), params)
            place[len(inputs) + k] = made.setdefault(instruction, len(names) + len(made))
    return tuple(made), names


def width(body: Body, n_inputs: int, scalars: frozenset[int] = frozenset(), held: int = 0) -> int:
    """The widest LMUL at which the loop needs no spills, at most 8.

    ``scalars`` are inputs that are the same for a whole row; ``held`` counts inputs that stay in registers
    throughout.
    """
    last: dict[int, int] = {}
    for k, (_, args, _) in enumerate(body):
        last.update(dict.fromkeys(args, k))
    alive: set[int] = set()
    single = set(scalars)
    most = 1
    for k, (op, args, _) in enumerate(body):
        result = n_inputs + k
        if op == "const" or (args and not is_mask(op) and all(a in single for a in args)):
            single.add(result)
            continue
        row = vec.OPS[op]
        beside = alive - set(args)
        most = max(most, len(beside) + row.groups - ("m" in row.takes + row.gives))
        alive |= {a for a in args if a not in single}
        alive = {a for a in alive if last[a] > k}
        if not is_mask(op):
            alive.add(result)
    fitting = [lmul for lmul in (8, 4, 2, 1) if (most + held) * lmul <= vec.GROUPS]
    return fitting[0] if fitting else 1


def mapped(body: Body) -> bool:
    """Whether an instruction calls libm for each element."""
    return any(op != "const" and vec.OPS[op].mapped for op, _, _ in body)


@dataclass
class Printer:
    """Prints a body's instructions as C statements for one width (``"m4"``, ``"x1"``)."""

    body: Body
    n_inputs: int
    width: str

    def scalar_statements(self, scalars: Mapping[int, str]) -> tuple[list[str], dict[int, str]]:
        """Statements that compute everything that depends on scalars only, and the C names of all scalars."""
        names, lines = dict(scalars), []
        for k, (op, args, params) in enumerate(self.body):
            if op == "const":
                names[self.n_inputs + k] = literal(params[0])
            elif args and vec.OPS[op].gives == "f" and all(a in names for a in args):
                operands = ", ".join([*(names[a] for a in args), *map(literal, params), "1"])
                names[self.n_inputs + k] = f"s{k}"
                lines.append(f"const float s{k} = pf_{op}_x1({operands});")
        return lines, names

    def vector_statements(
        self, scalars: Mapping[int, str], load: Callable[[int], list[str]], loaded: Mapping[int, str]
    ) -> tuple[list[str], str]:
        """The loop's statements up to the result, and the result's C name.

        ``load(i)`` gives the statements that declare input ``i`` as ``v{i}``, when it is first used; ``loaded`` are
        names of inputs that are there already.
        """
        names, lines = dict(loaded), []
        for k, (op, args, params) in enumerate(self.body):
            if self.n_inputs + k in scalars:
                continue
            for a in args:
                if a < self.n_inputs and a not in names and a not in scalars:
                    lines += load(a)
                    names[a] = f"v{a}"
            call = self._call(op, args, params, names, scalars)
            names[self.n_inputs + k] = f"t{k}"
            lines.append(f"const {vec.vector_type(self.width, vec.OPS[op].gives)} t{k} = {call};")
        result = self.n_inputs + len(self.body) - 1
        if not self.body and result not in scalars:
            lines += load(result)
            names[result] = f"v{result}"
        return lines, names[result] if result in names else self._splat(scalars[result])

    def _splat(self, scalar: str) -> str:
        return f"pf_splat_{self.width}({scalar}, vl)"

    def _call(
        self, op: str, args: Sequence[int], params: Sequence[float], names: Mapping[int, str],
        scalars: Mapping[int, str],
    ) -> str:  # fmt: skip
        single = [a in scalars for a in args]
        values = [scalars[a] if a in scalars else names[a] for a in args]
        numbers = [literal(p) for p in params]
        row = vec.OPS[op]
        if sum(single) == 1:
            at = single.index(True)
            form = row.scalar_first if at == 0 else row.scalar_last
            if op in _ADDITIVE_NAN and self._is_number(args[at]):
                form = _ADDITIVE_NAN[op]
            if len(args) == 2 and form:
                return vec.OPS[form].call(self.width, [values[1 - at], values[at]])
            if op in ("fma", "nfma") and at < 2:
                return vec.OPS[f"{op}s"].call(self.width, [values[1 - at], values[at], values[2]])
            if op == "select" and at == 1:
                return vec.OPS["selects"].call(self.width, values)
            if op == "select" and at == 2:
                inverse = vec.OPS["not"].call(self.width, values[:1])
                return vec.OPS["selects"].call(self.width, [inverse, values[2], values[1]])
        operands = [self._splat(v) if s else v for v, s in zip(values, single, strict=True)]
        return row.call(self.width, [*operands, *numbers])

    def _is_number(self, value: int) -> bool:
        if value < self.n_inputs:
            return False
        op, _, params = self.body[value - self.n_inputs]
        return op == "const" and not np.isnan(params[0])


def literal(value: float) -> str:
    """A C literal of exactly that float32."""
    if np.isnan(value):
        return '__builtin_nanf("")'
    if np.isinf(value):
        return "-__builtin_inff()" if value < 0 else "__builtin_inff()"
    return f"{float(np.float32(value)).hex()}f"


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0, x))


def _elu(x: Array, alpha: float, gamma: float = 1.0) -> Array:
    return np.asarray(gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))


def _celu(x: Array, alpha: float) -> Array:
    return np.asarray(np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)))


def _gelutanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


_HYPERBOLIC = ("sin", "cos", "tan", "sinh", "cosh")
MEANINGS: dict[str, Callable[..., Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum,
    "maxnum": np.fmax, "minnum": np.fmin, "fma": lambda a, b, c: a * b + c, "nfma": lambda a, b, c: c - a * b,
    "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "copysign": np.copysign, "floor": np.floor, "ceil": np.ceil,
    "round": np.rint, "trunc": np.trunc, "clamp": lambda a, lo, hi: np.minimum(np.maximum(a, lo), hi),
    "clip": lambda a, lo, hi: np.fmin(np.fmax(a, lo), hi), "relu": lambda a: np.fmax(a, 0), "sign": np.sign,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
    "ne": np.not_equal, "isnan": np.isnan, "isinf": np.isinf, "and": np.logical_and, "or": np.logical_or,
    "xor": np.logical_xor, "not": np.logical_not, "select": np.where,
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "erf": _erf, "sigmoid": _sigmoid, "pow": np.power,
    "fmod": np.fmod, "softplus": _softplus, "mish": lambda x: x * np.tanh(_softplus(x)),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))), "gelutanh": _gelutanh,
    "silu": lambda x, k: x * _sigmoid(k * x), "elu": _elu, "celu": _celu, "selu": _elu,
    "leaky": lambda x, alpha: np.where(x < 0, alpha * x, x), "prelu": lambda x, s: np.where(x < 0, s * x, x),
    "thresholded": lambda x, alpha: np.where(x > alpha, x, 0),
    "hardsigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "softsign": lambda x: x / (1 + np.abs(x)),
    **{name: getattr(np, name) for name in _HYPERBOLIC},
    **{f"a{name}": getattr(np, f"arc{name}") for name in (*_HYPERBOLIC, "tanh")},
}  # fmt: skip
"""What instructions compute, in NumPy."""
