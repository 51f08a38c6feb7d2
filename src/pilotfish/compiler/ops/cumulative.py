"""CumSum and CumProd: scalar loops, exclusive or not, forwards or in reverse."""

from __future__ import annotations

from math import prod

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops import axes
from pilotfish.compiler.ops.loops import CTYPES, ctype, indent, pointer, text
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, low: Lowering) -> None:
    """One running value for each line along the axis, in the elements' own type (half precision: float32)."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    along = axes.integers(node, 1, low.graph.constants)
    if along is None:
        raise AssertionError("checked: constant")
    axis = axes.axis(along[0], len(x.type.shape))
    outer, size, inner = prod(x.type.shape[:axis]), x.type.shape[axis], prod(x.type.shape[axis + 1 :])
    kind = ctype(x.type.dtype)
    step = "total += value;" if node.op == "CumSum" else "total *= value;"
    store = f"y[at] = ({kind})total;"
    index = f"{size - 1} - j" if node.attrs.get("reverse", 0) else "j"
    body = [
        f"{'float' if kind == '_Float16' else kind} total = {0 if node.op == 'CumSum' else 1};",
        f"PF_SCALAR_LOOP for (int64_t j = 0; j < {size}; j++) {{",
        f"    const int64_t at = o * {size * inner} + ({index}) * {inner} + i;",
        f"    const {kind} value = x[at];",
        *indent([store, step] if node.attrs.get("exclusive", 0) else [step, store]),
        "}",
    ]
    lines = [
        pointer("x", 0, x.type.dtype),
        pointer("y", 1, y.type.dtype, const=False),
        f"PF_ROLLED for (int64_t o = 0; o < {outer}; o++) {{",
        f"    PF_ROLLED for (int64_t i = 0; i < {inner}; i++) {{",
        *indent(body, 2),
        "    }",
        "}",
    ]
    low.generated(node, node.op.lower(), text(lines), [x, y], scalar=True)


def check(node: Node, graph: Graph) -> str | None:
    """The axis must be known."""
    if axes.computed(node, 1, graph.constants):
        return "its axis must be constant"
    x = graph.type(node.inputs[0])
    return None if x.dtype.name in CTYPES else f"the element type of {x} is not compiled"


OPERATORS = (Operator("CumSum", lower, check), Operator("CumProd", lower, check))
