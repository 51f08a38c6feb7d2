"""Einsum: products of matrices where it is one (``passes/einsum.py``), else a scalar loop over all labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops.loops import CTYPES, ctype, indent, pointer, text
from pilotfish.compiler.ops.lowering import Lowering, dense_strides
from pilotfish.compiler.ops.registry import Operator

_ELLIPSIS = "0123456789"  # labels for the dimensions of an ellipsis, the last one last


@dataclass(frozen=True)
class Equation:
    """The labels of each operand and of the result, one character a dimension, and the size of each label."""

    operands: tuple[str, ...]
    result: str
    sizes: dict[str, int]


def parse(equation: str, shapes: Sequence[tuple[int, ...]]) -> Equation:
    """An einsum equation with ellipses replaced by labels. Raises ``ValueError`` where it does not fit."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    operands: list[str] = []
    sizes: dict[str, int] = {}
    longest = ""
    for term, shape in zip(terms, shapes, strict=True):
        extra = len(shape) - len(term.replace("...", ""))
        dots = _ELLIPSIS[len(_ELLIPSIS) - extra :] if "..." in term else ""
        longest = max(longest, dots, key=len)
        labels = term.replace("...", dots)
        if len(labels) != len(shape):
            raise ValueError(f"the operand {term!r} does not fit the shape {shape}")
        for label, size in zip(labels, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
        operands.append(labels)
    once = "".join(sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1))
    result = right.replace("...", longest) if arrow else longest + once
    return Equation(tuple(operands), result, sizes)


def lower(node: Node, low: Lowering) -> None:
    """The result's labels outside, the summed ones inside."""
    views, y = [low.view(i) for i in node.inputs], low.out(node.outputs[0])
    equation = parse(node.attrs["equation"], [v.type.shape for v in views])
    kind = ctype(y.type.dtype)
    total = "float" if kind == "_Float16" else kind
    summed = sorted(set(equation.sizes) - set(equation.result))
    factors = []
    for i, (labels, view) in enumerate(zip(equation.operands, views, strict=True)):
        terms = [
            f"i{label} * {stride}"
            for label, stride, size in zip(labels, view.strides, view.type.shape, strict=True)
            if size != 1
        ]
        factors.append(f"({total})x{i}[{' + '.join(terms) or '0'}]")
    lines = [f"sum += {' * '.join(factors)};"]
    for label in summed:
        lines = _loop(label, equation.sizes[label], lines, "PF_SCALAR_LOOP")
    place = " + ".join(f"i{c} * {s}" for c, s in zip(equation.result, dense_strides(y.type.shape), strict=True)) or "0"
    lines = [f"{total} sum = 0;", *lines, f"y[{place}] = ({kind})sum;"]
    for label in reversed(equation.result):
        lines = _loop(label, equation.sizes[label], lines, "PF_ROLLED")
    pointers = [pointer(f"x{i}", i, v.type.dtype) for i, v in enumerate(views)]
    source = text([*pointers, pointer("y", len(views), y.type.dtype, const=False), *lines])
    low.generated(node, "einsum", source, [*views, y], scalar=True)


def _loop(label: str, size: int, body: list[str], pragma: str) -> list[str]:
    return [f"{pragma} for (int64_t i{label} = 0; i{label} < {size}; i{label}++) {{", *indent(body), "}"]


def check(node: Node, graph: Graph) -> str | None:
    """An equation that fits, element types that C has."""
    types = [graph.type(v) for v in [*node.inputs, *node.outputs]]
    for type_ in types:
        if type_.dtype.name not in CTYPES:
            return f"the element type of {type_} is not compiled"
    try:
        parse(node.attrs["equation"], [t.shape for t in types[:-1]])
    except ValueError as error:
        return str(error)
    return None


OPERATORS = (Operator("Einsum", lower, check),)
