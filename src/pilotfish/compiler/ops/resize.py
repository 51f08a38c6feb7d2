"""Resize in all modes: kernels for nearest and linear pictures channels-last, generated loops for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels import resize as kernels
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import Value
from pilotfish.compiler.ops import axes
from pilotfish.compiler.ops.body import literal
from pilotfish.compiler.ops.loops import ctype, indent, pointer, text
from pilotfish.compiler.ops.lowering import Lowering, view_of
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator
from pilotfish.compiler.ops.resample import Filter, Taps, taps
from pilotfish.compiler.ops.window import pixel_strides

_MODES = ("nearest", "linear", "cubic")
_AS_IT_IS: Mapping[str, Value] = {"x_zero": 0, "y_zero": 0, "factor": 1.0, "lo": -128, "hi": 127}


def how(node: Node) -> Filter:
    """The node's attributes."""
    a = node.attrs
    return Filter(
        a.get("mode", "nearest"), a.get("coordinate_transformation_mode", "half_pixel"),
        a.get("nearest_mode", "round_prefer_floor"), a.get("cubic_coeff_a", -0.75), bool(a.get("antialias", 0)),
        bool(a.get("exclude_outside", 0)),
    )  # fmt: skip


def scales(node: Node, x: tuple[int, ...], y: tuple[int, ...], constants: axes.Constants) -> list[float]:
    """Output size by input size for each axis in ONNX's order, as the node states them."""
    which = [axes.axis(a, len(x)) for a in node.attrs.get("axes") or range(len(x))]
    found = [1.0] * len(x)
    given = axes.constant_input(node, 2, constants)
    sizes = axes.integers(node, 3, constants)
    if given is not None and given.size:
        for axis, scale in zip(which, given.ravel(), strict=True):
            found[axis] = float(scale)
    elif sizes:
        ratios = {axis: size / x[axis] for axis, size in zip(which, sizes, strict=True)}
        policy = node.attrs.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = (min if policy == "not_larger" else max)(ratios.values())
            ratios = dict.fromkeys(ratios, one)
        for axis, ratio in ratios.items():
            found[axis] = ratio
    else:
        found = [b / a for a, b in zip(x, y, strict=True)]
    return found


def rois(node: Node, rank: int, constants: axes.Constants) -> list[tuple[float, float]]:
    """Start and end of the region of interest for each axis."""
    which = [axes.axis(a, rank) for a in node.attrs.get("axes") or range(rank)]
    found = [(0.0, 1.0)] * rank
    given = axes.constant_input(node, 1, constants)
    if given is not None and given.size == 2 * len(which):
        for i, axis in enumerate(which):
            found[axis] = (float(given[i]), float(given[i + len(which)]))
    return found


def _order(node: Node, rank: int) -> list[int]:
    """For each axis in memory, the axis of ONNX."""
    return [0, *range(2, rank), 1] if node.attrs.get("layout") == CHANNELS_LAST else list(range(rank))


def lower(node: Node, low: Lowering) -> None:
    """A kernel if only the pixels of a channels-last picture move, in a simple mode."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    rank, constants, filter_ = len(x.type.shape), low.graph.constants, how(node)
    order = _order(node, rank)
    onnx_x, onnx_y = ([0] * rank for _ in range(2))
    for axis, source in enumerate(order):
        onnx_x[source], onnx_y[source] = x.type.shape[axis], y.type.shape[axis]
    ratio, roi = scales(node, tuple(onnx_x), tuple(onnx_y), constants), rois(node, rank, constants)
    simple = filter_.mode in ("nearest", "linear") and filter_.coordinates in kernels.COORDINATES
    simple = simple and not filter_.antialias and not filter_.exclude_outside
    if simple and _has_kernel(x.type, filter_) and node.attrs.get("layout") == CHANNELS_LAST:
        spatial = [1.0, *ratio[2:]][-2:]
        call(node, low, filter_, x, y, spatial, _AS_IT_IS)
        return
    found = [
        taps(x.type.shape[axis], y.type.shape[axis], ratio[source], filter_, roi[source])
        for axis, source in enumerate(order)
    ]
    _separable(node, low, x, y, found)


def _has_kernel(x: TensorType, filter_: Filter) -> bool:
    """Floats, and bytes of any kind if they only move."""
    return x.dtype == np.float32 or (x.dtype.itemsize == 1 and filter_.mode == "nearest")


def call(
    node: Node, low: Lowering, filter_: Filter, x: View, y: View, ratio: list[float], quantized: Mapping[str, Value]
) -> None:
    """One kernel call on channels-last pictures; ``quantized`` are the arguments that kernels on bytes have besides."""
    rows_in, cols_in = (1, *x.type.shape[1:-1])[-2:]
    rows, cols = (1, *y.type.shape[1:-1])[-2:]
    x_batch, x_row, x_col = pixel_strides(x)
    y_batch, y_row, y_col = pixel_strides(y)
    args: dict[str, Value] = {
        "batch": x.type.shape[0], "rows": rows, "cols": cols, "channels": x.type.shape[-1],
        "x_batch_stride": x_batch, "x_row_stride": x_row, "x_col_stride": x_col,
        "y_batch_stride": y_batch, "y_row_stride": y_row, "y_col_stride": y_col,
    }  # fmt: skip
    tables: list[View] = []
    for size_in, size_out, scale in ((rows_in, rows, ratio[0]), (cols_in, cols, ratio[1])):
        at = kernels.coordinates(size_in, size_out, scale, filter_.coordinates)
        if filter_.mode == "nearest":
            tables.append(low.weights(kernels.nearest_table(at, size_in, filter_.nearest_mode)))
        else:
            indices, part = kernels.linear_table(at, size_in)
            tables += [low.weights(indices), low.weights(part)]
    family = f"resize_{filter_.mode}"
    if x.type.dtype.itemsize == 1:
        family += "8"
        args |= quantized
    low.call(node, family, args, [x, *tables, y])


def _separable(node: Node, low: Lowering, x: View, y: View, found: list[Taps]) -> None:
    """One pass for each axis that changes, tables of indices and weights among the weights."""
    changing = [
        axis
        for axis, t in enumerate(found)
        if x.type.shape[axis] != y.type.shape[axis] or t.outside.any() or not _identity(t, x.type.shape[axis])
    ] or [0]
    shape, source = list(x.type.shape), x
    for axis in changing:
        size_in, size_out = shape[axis], y.type.shape[axis]
        shape[axis] = size_out
        target = y if axis == changing[-1] else _between(node, low, x.type, tuple(shape))
        outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
        _pass(node, low, source, target, found[axis], outer, size_in, size_out, inner)
        source = target


def _identity(t: Taps, size: int) -> bool:
    matrix = np.zeros((len(t.indices), size))
    np.add.at(matrix, (np.arange(len(t.indices))[:, None], t.indices), t.weights)
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(size))


def _between(node: Node, low: Lowering, type_: TensorType, shape: tuple[int, ...]) -> View:
    scratch = low.scratch(node, prod(shape) * type_.dtype.itemsize)
    return view_of(scratch.buffer, replace(type_, shape=shape))


def _pass(
    node: Node, low: Lowering, x: View, y: View, t: Taps, outer: int, size_in: int, size_out: int, inner: int
) -> None:
    count = t.indices.shape[1]
    # A position outside takes one tap that does not exist; its weight is the value to put there.
    value = float(node.attrs.get("extrapolation_value", 0.0))
    indices = np.where(t.outside[:, None], -1, t.indices).astype(np.int32)
    views = [x, low.weights(indices), low.weights(t.weights.astype(np.float32)), y]
    kind = ctype(x.type.dtype)
    if count == 1:
        total = [f"line[i] = from[at[0] * {inner} + i];"]
    else:
        sums = f"for (int64_t k = 0; k < {count}; k++) sum += weight[k] * (float)from[at[k] * {inner} + i];"
        total = ["float sum = 0;", sums, f"line[i] = ({kind})sum;"]
    lines = [
        pointer("x", 0, x.type.dtype),
        "const int32_t *const indices = (const int32_t *)buf[1];",
        "const float *const weights = (const float *)buf[2];",
        pointer("y", 3, y.type.dtype, const=False),
        f"PF_ROLLED for (int64_t o = 0; o < {outer}; o++) {{",
        f"    PF_ROLLED for (int64_t r = 0; r < {size_out}; r++) {{",
        f"        const {kind} *const from = x + o * {size_in * inner};",
        f"        const int32_t *const at = indices + r * {count};",
        f"        const float *const weight = weights + r * {count};",
        f"        {kind} *const line = y + (o * {size_out} + r) * {inner};",
        f"        PF_SCALAR_LOOP for (int64_t i = 0; i < {inner}; i++) {{",
        *indent(["if (at[0] < 0) {", f"    line[i] = ({kind}){literal(value)};", "    continue;", "}"], 3),
        *indent(total, 3),
        "        }",
        "    }",
        "}",
    ]
    if count == 1:
        lines.remove(f"        const float *const weight = weights + r * {count};")
        lines.remove("const float *const weights = (const float *)buf[2];")
    low.generated(node, "resize", text(lines), views, scalar=True)


def check(node: Node, graph: Graph) -> str | None:
    """Constant sizes; numbers that can be interpolated."""
    if any(axes.computed(node, i, graph.constants) for i in (1, 2, 3)):
        return "its roi, scales and sizes must be constant"
    x, filter_ = graph.type(node.inputs[0]), how(node)
    if filter_.mode not in _MODES:
        return f"the mode {filter_.mode!r} is not compiled"
    if x.dtype.kind != "f" and filter_.mode != "nearest":
        return f"only floats are interpolated, the input is {x}"
    if filter_.coordinates not in (*kernels.COORDINATES, "tf_crop_and_resize"):
        return f"the coordinate transformation {filter_.coordinates!r} is not compiled"
    return None


def has_pixels(node: Node, x: tuple[int, ...], y: tuple[int, ...]) -> bool:
    """Whether only the pixels of pictures (N C spatial…, 3 or 4 dimensions) move, in a mode that kernels have."""
    filter_ = how(node)
    plain = filter_.coordinates in kernels.COORDINATES and not filter_.antialias and not filter_.exclude_outside
    return len(x) in (3, 4) and x[:2] == y[:2] and filter_.mode != "cubic" and plain


def _channels_last(node: Node, builder: Builder) -> tuple[Node, tuple[int, ...]] | None:
    x, y = builder.graph.type(node.inputs[0]), builder.graph.type(node.outputs[0])
    if not has_pixels(node, x.shape, y.shape) or not _has_kernel(x, how(node)):
        return None
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


OPERATORS = (Operator("Resize", lower, check, channels_last=ChannelsLast(_channels_last, prefers=True), strided=True),)
