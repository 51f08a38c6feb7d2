"""ONNX's elementwise operators as bodies: what the fusion pass joins, and how they lower when alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops import elementwise, scalar
from pilotfish.compiler.ops.body import Body, Instruction, simplified
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import ChannelsLast, Operator


@dataclass(frozen=True)
class Expression:
    """A body and the values that are its inputs."""

    inputs: tuple[str, ...]
    body: Body


class Writer:
    """Collects the instructions of one body; ``write(op, ...)`` gives the new value's number."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.instructions: list[Instruction] = []

    def __call__(self, op: str, *args: int, params: tuple[float, ...] = ()) -> int:
        self.instructions.append((op, args, tuple(float(p) for p in params)))
        return self.inputs + len(self.instructions) - 1

    def const(self, value: float) -> int:
        """A number."""
        return self("const", params=(value,))

    def number(self, value: int) -> float | None:
        """What :meth:`const` wrote there."""
        if value < self.inputs:
            return None
        op, _, params = self.instructions[value - self.inputs]
        return params[0] if op == "const" else None


Rule = Callable[[Writer, Node, list[int]], Any]
"""Writes an operator's instructions; ``x`` are the numbers of its operands, -1 if absent."""


def _simple(op: str) -> Rule:
    return lambda w, _node, x: w(op, *x)


def _with(op: str, **defaults: float) -> Rule:
    """A function with attributes, in the order given here, as its parameters."""
    return lambda w, node, x: w(op, x[0], params=tuple(node.attrs.get(k, v) for k, v in defaults.items()))


def _many(op: str) -> Rule:
    return lambda w, _node, x: reduce(lambda a, b: w(op, a, b), x) if len(x) > 1 else w(op, x[0], x[0])


def _sum(w: Writer, _node: Node, x: list[int]) -> int:
    return reduce(lambda a, b: w("add", a, b), x) if len(x) > 1 else w("add", x[0], w.const(0.0))


def _mean(w: Writer, node: Node, x: list[int]) -> int:
    return w("div", _sum(w, node, x), w.const(len(x)))


def _reciprocal(w: Writer, _node: Node, x: list[int]) -> int:
    return w("div", w.const(1.0), x[0])


def _gelu(w: Writer, node: Node, x: list[int]) -> int:
    return w("gelutanh" if node.attrs.get("approximate", "none") == "tanh" else "gelu", x[0])


def _clip(w: Writer, _node: Node, x: list[int]) -> int:
    """By numbers: two instructions, a NaN becomes the lower bound, as in fused activations."""
    low, high = [*x[1:], -1, -1][:2]
    least, most = (w.number(b) if b >= 0 else end for b, end in ((low, -math.inf), (high, math.inf)))
    if least is not None and most is not None:
        return w("clip", x[0], params=(min(least, most), most))
    value = w("max", x[0], low) if low >= 0 else x[0]
    return w("min", value, high) if high >= 0 else value


def _cast(w: Writer, _node: Node, x: list[int], *, to_mask: bool) -> int:
    if to_mask:
        return w("ne", x[0], w.const(0.0))
    return w("select", x[0], w.const(1.0), w.const(0.0))


def _infinite(w: Writer, node: Node, x: list[int]) -> int:
    wanted = [v for v, key in ((math.inf, "detect_positive"), (-math.inf, "detect_negative")) if node.attrs.get(key, 1)]
    if len(wanted) == 2:
        return w("isinf", x[0])
    return w("eq", x[0], w.const(wanted[0])) if wanted else w("lt", x[0], x[0])


def _shrink(w: Writer, node: Node, x: list[int]) -> int:
    bias, limit = node.attrs.get("bias", 0.0), node.attrs.get("lambd", 0.5)
    low = w("select", w("lt", x[0], w.const(-limit)), w("add", x[0], w.const(bias)), w.const(0.0))
    return w("select", w("gt", x[0], w.const(limit)), w("sub", x[0], w.const(bias)), low)


_LIBM = ("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh")
RULES: dict[str, Rule] = {
    "Add": _simple("add"), "Sub": _simple("sub"), "Mul": _simple("mul"), "Div": _simple("div"),
    "Pow": _simple("pow"), "Mod": _simple("fmod"), "PRelu": _simple("prelu"),
    "Neg": _simple("neg"), "Abs": _simple("abs"), "Sqrt": _simple("sqrt"), "Floor": _simple("floor"),
    "Ceil": _simple("ceil"), "Round": _simple("round"), "Sign": _simple("sign"), "Reciprocal": _reciprocal,
    "Exp": _simple("exp"), "Log": _simple("log"), "Erf": _simple("erf"), "Tanh": _simple("tanh"),
    **{op: _simple(op.lower()) for op in _LIBM},
    "Relu": _simple("relu"), "Clip": _clip, "Sigmoid": _simple("sigmoid"), "Softplus": _simple("softplus"),
    "Softsign": _simple("softsign"), "Mish": _simple("mish"), "HardSwish": _simple("hardswish"), "Gelu": _gelu,
    "LeakyRelu": _with("leaky", alpha=0.01), "Elu": _with("elu", alpha=1.0), "Celu": _with("celu", alpha=1.0),
    "Selu": _with("selu", alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Swish": _with("silu", alpha=1.0), "HardSigmoid": _with("hardsigmoid", alpha=0.2, beta=0.5),
    "ThresholdedRelu": _with("thresholded", alpha=1.0), "Shrink": _shrink,
    "Max": _many("max"), "Min": _many("min"), "Sum": _sum, "Mean": _mean,
    "Less": _simple("lt"), "LessOrEqual": _simple("le"), "Greater": _simple("gt"), "GreaterOrEqual": _simple("ge"),
    "Equal": _simple("eq"), "IsNaN": _simple("isnan"), "IsInf": _infinite,
    "And": _simple("and"), "Or": _simple("or"), "Xor": _simple("xor"), "Not": _simple("not"),
    "Where": _simple("select"),
}  # fmt: skip
"""Every elementwise operator that has a vector form on float32 and bool."""

_TAKES_BOOL = {"And": (0, 1), "Or": (0, 1), "Xor": (0, 1), "Not": (0,), "Where": (0,)}
"""Operands that are masks; all others are float32."""

# Where a whole exponent takes a few multiplications, as long as that is as exact as pow.
_POWERS: dict[float, Callable[[Writer, int], int]] = {
    0.5: lambda w, x: w("sqrt", x),
    1.0: lambda w, x: w("add", x, w.const(0.0)),
    2.0: lambda w, x: w("mul", x, x),
    3.0: lambda w, x: w("mul", w("mul", x, x), x),
    4.0: lambda w, x: w("mul", w("mul", x, x), w("mul", x, x)),
    -1.0: lambda w, x: w("div", w.const(1.0), x),
}


def expression(node: Node, graph: Graph) -> Expression | None:
    """The body of an elementwise node on float32 and bool tensors; None for anything else."""
    if node.op == "pf.Elementwise":
        return Expression(node.inputs, node.attrs["body"])
    rule = _cast_rule(node, graph) if node.op in ("Cast", "CastLike") else RULES.get(node.op)
    if rule is None or not _fits(node, graph):
        return None
    numbers = [_number(value, graph) for value in node.inputs]
    names = [v for v, number in zip(node.inputs, numbers, strict=True) if v and number is None]
    writer = Writer(len(names))
    operands = []
    for value, number in zip(node.inputs, numbers, strict=True):
        if not value:
            operands.append(-1)
        elif number is not None:
            operands.append(writer.const(number))
        else:
            operands.append(names.index(value))
    exponent = numbers[1] if node.op == "Pow" else None
    if exponent in _POWERS:
        _POWERS[exponent](writer, operands[0])
    else:
        rule(writer, node, operands)
    body, inputs = simplified(tuple(writer.instructions), tuple(names))
    return Expression(inputs, body)


def _cast_rule(node: Node, graph: Graph) -> Rule | None:
    match graph.type(node.inputs[0]).dtype, graph.type(node.outputs[0]).dtype:
        case (np.float32, np.bool_):
            return partial(_cast, to_mask=True)
        case (np.bool_, np.float32):
            return partial(_cast, to_mask=False)
    return None


def _number(value: str, graph: Graph) -> float | None:
    """The value of a float32 constant that is one number."""
    constant = graph.constants.get(value) if value else None
    if constant is None or constant.size != 1 or constant.dtype != np.float32:
        return None
    return float(constant.item())


def _fits(node: Node, graph: Graph) -> bool:
    if node.op in ("Cast", "CastLike"):
        return node.inputs[0] not in graph.constants
    masks = _TAKES_BOOL.get(node.op, ())
    present = [(i, value) for i, value in enumerate(node.inputs) if value]
    if any(graph.type(v).dtype != (np.bool_ if i in masks else np.float32) for i, v in present):
        return False
    if node.op == "Mod" and not node.attrs.get("fmod", 0):
        return False
    return any(_number(v, graph) is None for _, v in present)  # else it was folded


def lower(node: Node, low: Lowering) -> None:
    """Vectors if there is a body, else a scalar loop."""
    found = expression(node, low.graph)
    if found is None:
        scalar.lower(node, low)
        return
    elementwise.emit(node, low, found.body, [low.view(i) for i in found.inputs], low.out(node.outputs[0]))


def check(node: Node, graph: Graph) -> str | None:
    """A vector form or a scalar one must exist."""
    return None if expression(node, graph) else scalar.check(node, graph)


OPERATORS = tuple(
    Operator(op, lower, check, channels_last=ChannelsLast(elementwise.channels_last), strided=True)
    for op in sorted(RULES.keys() | scalar.EXPRESSIONS.keys() | {"Cast", "CastLike"})
)
