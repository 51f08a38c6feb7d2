"""GatherElements, GatherND, ScatterElements, ScatterND: single elements or slices by computed indices. Scalar loops."""

from __future__ import annotations

from math import prod

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.ops import axes, copying, loops
from pilotfish.compiler.ops.loops import CTYPES, ctype, pointer, text
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator

_REDUCTIONS = {
    "none": "{u}",
    "add": "{y} + {u}",
    "mul": "{y} * {u}",
    "max": "{y} > {u} ? {y} : {u}",
    "min": "{y} < {u} ? {y} : {u}",
}


def _without(view: View, axis: int, shape: tuple[int, ...]) -> View:
    """A view walked over ``shape``, but for ``axis``, which an index adds."""
    strides = tuple(0 if a == axis else s for a, s in enumerate(view.strides))
    # A size of one would also have stride 0; sizes of two keep the strides that are given here.
    return View(view.buffer, TensorType(view.type.dtype, shape), strides, view.offset)


def lower_gather_elements(node: Node, low: Lowering) -> None:
    """``y[i] = x[i but for axis, indices[i]]``."""
    x, indices, y = low.view(node.inputs[0]), low.view(node.inputs[1]), low.out(node.outputs[0])
    axis = axes.axis(node.attrs.get("axis", 0), len(x.type.shape))
    if y.type.size == 0:
        return
    place = f"pf_index({{at}}, {x.type.shape[axis]}) * {x.strides[axis]}"
    views = [_without(x, axis, y.type.shape), indices, y]
    body = loops.scalar_loops(y.type.shape, views, 1, f"{{y}} = (&{{x}})[{place}];", ["x", "at", "y"])
    low.generated(node, "gatherelements", body, [x, indices, y], scalar=True)


def lower_scatter_elements(node: Node, low: Lowering) -> None:
    """A copy of the data, then ``y[i but for axis, indices[i]] = updates[i]``, in order."""
    x, indices, updates = (low.view(v) for v in node.inputs)
    y = low.out(node.outputs[0])
    copying.copy_part(node, low, x, y)
    axis = axes.axis(node.attrs.get("axis", 0), len(x.type.shape))
    if indices.type.size == 0:
        return
    place = f"(&{{y}})[pf_index({{at}}, {y.type.shape[axis]}) * {y.strides[axis]}]"
    value = _REDUCTIONS[node.attrs.get("reduction", "none")].format(y="*p", u="{u}")
    statement = f"{ctype(y.type.dtype)} *const p = &{place};\n*p = ({ctype(y.type.dtype)})({value});"
    views = [indices, updates, _without(y, axis, indices.type.shape)]
    body = loops.scalar_loops(indices.type.shape, views, 1, statement, ["at", "u", "y"])
    low.generated(node, "scatterelements", body, [indices, updates, y], scalar=True)


def _place(shape: tuple[int, ...], depth: int, first: int) -> str:
    """C for the offset of the slice that ``depth`` indices at ``i`` address, from dimension ``first`` on."""
    terms = []
    for d in range(depth):
        stride = prod(shape[first + d + 1 :])
        terms.append(f"pf_index(i[{d}], {shape[first + d]}) * {stride}")
    return " + ".join(terms) or "0"


def lower_gather_nd(node: Node, low: Lowering) -> None:
    """Slices addressed by several indices each; the first ``batch_dims`` dimensions are walked alike."""
    x, indices, y = low.view(node.inputs[0]), low.view(node.inputs[1]), low.out(node.outputs[0])
    if y.type.size == 0:
        return
    batch_dims, depth = node.attrs.get("batch_dims", 0), indices.type.shape[-1]
    batch = prod(x.type.shape[:batch_dims])
    count = prod(indices.type.shape[:-1]) // batch
    inner = prod(x.type.shape[batch_dims + depth :])
    item = prod(x.type.shape[batch_dims:])
    kind = ctype(x.type.dtype)
    lines = [pointer("x", 0, x.type.dtype), pointer("indices", 1, indices.type.dtype)]
    lines += [
        pointer("y", 2, y.type.dtype, const=False),
        f"PF_ROLLED for (int64_t j = 0; j < {batch * count}; j++) {{",
        f"    const {ctype(indices.type.dtype)} *const i = indices + j * {depth};",
        f"    const {kind} *const from = x + j / {count} * {item} + {_place(x.type.shape, depth, batch_dims)};",
        f"    for (int64_t k = 0; k < {inner}; k++) y[j * {inner} + k] = from[k];",
        "}",
    ]
    low.generated(node, "gathernd", text(lines), [x, indices, y], scalar=True)


def lower_scatter_nd(node: Node, low: Lowering) -> None:
    """A copy of the data, then slice after slice is overwritten or reduced into, in order."""
    x, indices, updates = (low.view(v) for v in node.inputs)
    y = low.out(node.outputs[0])
    copying.copy_part(node, low, x, y)
    if updates.type.size == 0:
        return
    depth = indices.type.shape[-1]
    count, inner = prod(indices.type.shape[:-1]), prod(x.type.shape[depth:])
    kind = ctype(x.type.dtype)
    value = _REDUCTIONS[node.attrs.get("reduction", "none")].format(y="to[k]", u=f"updates[j * {inner} + k]")
    lines = [pointer("indices", 0, indices.type.dtype), pointer("updates", 1, updates.type.dtype)]
    lines += [
        pointer("y", 2, y.type.dtype, const=False),
        f"PF_ROLLED for (int64_t j = 0; j < {count}; j++) {{",
        f"    const {ctype(indices.type.dtype)} *const i = indices + j * {depth};",
        f"    {kind} *const to = y + {_place(x.type.shape, depth, 0)};",
        f"    for (int64_t k = 0; k < {inner}; k++) to[k] = ({kind})({value});",
        "}",
    ]
    low.generated(node, "scatternd", text(lines), [indices, updates, y], scalar=True)


def check(node: Node, graph: Graph) -> str | None:
    """Element types that C has, and something to index."""
    x = graph.type(node.inputs[0])
    if x.dtype.name not in CTYPES:
        return f"the element type of {x} is not compiled"
    if x.size == 0:
        return "an empty tensor has nothing to index"
    return None


OPERATORS = (
    Operator("GatherElements", lower_gather_elements, check),
    Operator("GatherND", lower_gather_nd, check),
    Operator("ScatterElements", lower_scatter_elements, check),
    Operator("ScatterND", lower_scatter_nd, check),
)
