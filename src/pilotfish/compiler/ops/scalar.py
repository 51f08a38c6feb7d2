"""Elementwise operators on element types other than float32: one scalar loop, with ONNX's own meaning.

Every operator is a C expression of its operands' current elements. Half precision is computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops import loops
from pilotfish.compiler.ops.loops import CTYPES
from pilotfish.compiler.ops.lowering import Lowering

DType = np.dtype[np.generic]
Expression = Callable[[Node, Sequence[DType], Sequence[str]], str]
"""From the node, its operands' types and their C expressions to the result's C expression."""


def _suffix(dtype: DType) -> str:
    return "" if dtype.itemsize == 8 else "f"


def _wide(dtype: DType) -> str:
    return "uint64_t" if dtype.itemsize == 8 else "uint32_t"


def cast(source: DType, target: DType, value: str) -> str:
    """The C expression that converts as ONNX's Cast does; floats out of an integer's range saturate."""
    if target == source:
        return value
    if target == np.bool_:
        return f"({value} != 0)"
    if source.kind == "f" and target.kind in "iu":
        return f"pf_to_{CTYPES[target.name]}({value})"
    return f"({CTYPES[target.name]}){value}"


def _float(function: str) -> Expression:
    """A function of libm of one float; ``{f}`` in its name is the type's suffix, ``{a}`` the operand."""

    def expression(_node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
        return function.format(f=_suffix(types[0]), a=x[0])

    return expression


def _arithmetic(sign: str) -> Expression:
    """Integers wrap, as unsigned ones do in C."""

    def expression(_node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
        if types[0].kind == "f":
            return f"({x[0]} {sign} {x[1]})"
        wide = _wide(types[0])
        return f"({CTYPES[types[0].name]})(({wide}){x[0]} {sign} ({wide}){x[1]})"

    return expression


def _divide(_node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
    if types[0].kind == "f":
        return f"({x[0]} / {x[1]})"
    return f"({CTYPES[types[0].name]})pf_{'i' if types[0].kind == 'i' else 'u'}div({x[0]}, {x[1]})"


def _modulo(node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
    like_c, kind = bool(node.attrs.get("fmod", 0)), types[0].kind
    if kind == "f":
        function = f"fmod{_suffix(types[0])}" if like_c else "pf_fmod"
    else:
        function = "pf_umod" if kind == "u" else "pf_irem" if like_c else "pf_imod"
    return f"({CTYPES[types[0].name]}){function}({x[0]}, {x[1]})"


def _power(_node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
    base, exponent = types
    if base.kind in "iu" and exponent.kind in "iu":
        return f"({CTYPES[base.name]})pf_ipow((int64_t){x[0]}, (int64_t){x[1]})"
    return cast(np.dtype(np.float64), base, f"pow({x[0]}, {x[1]})")


def _extreme(sign: str) -> Expression:
    """Max and Min: a NaN of any operand stays."""

    def expression(_node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
        nan = " || {0} != {0}" if types[0].kind == "f" else ""
        return reduce(lambda a, b: f"({a} {sign} {b}{nan.format(a)} ? {a} : {b})", x)

    return expression


def _sum(node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
    return reduce(lambda a, b: _arithmetic("+")(node, types, (a, b)), x)


def _mean(node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
    return f"({_sum(node, types, x)} / {len(x)})"


def _negate(_node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
    if types[0].kind == "f":
        return f"-{x[0]}"
    return f"({CTYPES[types[0].name]})(0 - ({_wide(types[0])}){x[0]})"


def _absolute(node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
    if types[0].kind == "f":
        return f"fabs{_suffix(types[0])}({x[0]})"
    return x[0] if types[0].kind == "u" else f"({x[0]} < 0 ? {_negate(node, types, x)} : {x[0]})"


def _clip(_node: Node, _types: Sequence[DType], x: Sequence[str]) -> str:
    value = x[0]
    if len(x) > 1 and x[1]:
        value = f"({value} < {x[1]} ? {x[1]} : {value})"
    return f"({value} > {x[2]} ? {x[2]} : {value})" if len(x) > 2 and x[2] else value


def _infinite(node: Node, _types: Sequence[DType], x: Sequence[str]) -> str:
    signs = {"detect_positive": ">", "detect_negative": "<"}
    tests = [f"{x[0]} {sign} 0" for key, sign in signs.items() if node.attrs.get(key, 1)]
    return f"(isinf({x[0]}) && ({' || '.join(tests) or '0'}))"


def _shift(node: Node, types: Sequence[DType], x: Sequence[str]) -> str:
    if node.attrs["direction"] == "LEFT":
        return f"({CTYPES[types[0].name]})pf_shl((uint64_t){x[0]}, (uint64_t){x[1]})"
    sign = "i" if types[0].kind == "i" else "u"
    return f"({CTYPES[types[0].name]})pf_{sign}shr({x[0]}, (uint64_t){x[1]})"


def _template(template: str) -> Expression:
    return lambda _node, _types, x: template.format(*x)


def _cast_to(out: DType) -> Expression:
    return lambda _node, types, x: cast(types[0], out, x[0])


_RELU_LIKE = {
    "Relu": "({a} < 0 ? 0 : {a})",
    "Softplus": "log1p{f}(exp{f}({a}))",
    "Softsign": "({a} / (1 + fabs{f}({a})))",
    "Sigmoid": "(1 / (1 + exp{f}(-{a})))",
    "Reciprocal": "(1 / {a})",
    "Round": "pf_rint({a})",
    "Sign": "(({a} > 0) - ({a} < 0))",
    "IsNaN": "({a} != {a})",
    "Not": "!{a}",
    "BitwiseNot": "~{a}",
}

EXPRESSIONS: dict[str, Expression] = {
    **{op: _float(f"{op.lower()}{{f}}({{a}})")
       for op in ("Exp", "Log", "Sqrt", "Floor", "Ceil", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh",
                  "Tanh", "Asinh", "Acosh", "Atanh", "Erf")},
    **{op: _float(form) for op, form in _RELU_LIKE.items()},
    "Add": _arithmetic("+"), "Sub": _arithmetic("-"), "Mul": _arithmetic("*"),
    "Div": _divide, "Mod": _modulo, "Pow": _power, "Sum": _sum, "Mean": _mean,
    "Max": _extreme(">"), "Min": _extreme("<"), "Neg": _negate, "Abs": _absolute, "Clip": _clip,
    "IsInf": _infinite, "BitShift": _shift,
    "And": _template("({0} & {1})"), "Or": _template("({0} | {1})"), "Xor": _template("({0} ^ {1})"),
    "BitwiseAnd": _template("({0} & {1})"), "BitwiseOr": _template("({0} | {1})"),
    "BitwiseXor": _template("({0} ^ {1})"),
    "Equal": _template("({0} == {1})"), "Less": _template("({0} < {1})"), "Greater": _template("({0} > {1})"),
    "LessOrEqual": _template("({0} <= {1})"), "GreaterOrEqual": _template("({0} >= {1})"),
    "Where": _template("({0} ? {1} : {2})"),
}  # fmt: skip
"""Every elementwise operator that has a scalar form."""

_HALF = np.dtype(np.float16)


def lower(node: Node, low: Lowering) -> None:
    """One generated loop; constants and broadcasting by strides."""
    out = low.out(node.outputs[0])
    present = [i for i, value in enumerate(node.inputs) if value]
    if node.op == "CastLike":
        present = present[:1]
    views = [low.view(node.inputs[i]) for i in present]
    if out.type.size == 0:
        return
    types = [np.dtype(np.float32) if v.type.dtype == _HALF else v.type.dtype for v in views]
    names = [f"x{i}" for i in range(len(views))]
    operands = [""] * len(node.inputs)
    for i, name, view in zip(present, names, views, strict=True):
        operands[i] = f"(float){{{name}}}" if view.type.dtype == _HALF else f"{{{name}}}"
    expression = EXPRESSIONS.get(node.op) or _cast_to(out.type.dtype)
    target = f"({CTYPES[out.type.dtype.name]})"
    statement = f"{{y}} = {target}{expression(node, types, operands)};"
    body = loops.scalar_loops(out.type.shape, [*views, out], 1, statement, [*names, "y"])
    low.generated(node, node.op.lower(), body, [*views, out], inplace=loops.replaceable(views, out), scalar=True)


def check(node: Node, graph: Graph) -> str | None:
    """All element types must have a C type, and the operator a scalar form."""
    values = [*(i for i in node.inputs if i), *node.outputs]
    for value in values:
        if graph.type(value).dtype.name not in CTYPES:
            return f"the element type of {graph.type(value)} is not compiled"
    if node.op not in EXPRESSIONS and node.op not in ("Cast", "CastLike"):
        return f"only float32 is compiled, not {graph.type(node.inputs[0])}"
    return None
