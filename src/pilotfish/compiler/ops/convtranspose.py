"""ConvTranspose in one and two dimensions: for each phase of the strides an ordinary convolution, channels last.

Output row ``o`` takes tap ``k`` of input row ``(o + pad - k * dilation) / stride`` where that is whole. The rows
with equal ``o mod stride`` so take the same taps, of input rows that move by one: a convolution with stride one that
writes every stride-th row. The same holds for columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues, Array
from pilotfish.compiler.ops import copying, dense
from pilotfish.compiler.ops.lowering import Lowering, view_of
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator
from pilotfish.compiler.ops.window import pixel_strides


@dataclass(frozen=True)
class Phase:
    """Outputs ``first``, ``first + stride``, …, ``count`` of them, along one axis.

    ``taps`` are the taps of the kernel, in the order of the input elements that they read: the first one at
    ``start`` for the first output, the others ``step`` apart.
    """

    first: int
    count: int
    taps: tuple[int, ...]
    start: int
    step: int


def phases(size_out: int, kernel: int, stride: int, dilation: int, pad: int) -> list[Phase]:
    """The phases of one axis that have outputs."""
    found = []
    for first in range(min(stride, size_out)):
        taps = [k for k in reversed(range(kernel)) if (first + pad - k * dilation) % stride == 0]
        starts = [(first + pad - k * dilation) // stride for k in taps]
        step = starts[1] - starts[0] if len(taps) > 1 else 1
        count = -(-(size_out - first) // stride)
        found.append(Phase(first, count, tuple(taps), starts[0] if starts else 0, step))
    return found


def pads(node: Node, x: tuple[int, ...], y: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The padding at the start of each spatial axis; ``x`` and ``y`` are the spatial shapes."""
    spatial = len(kernel)
    mode = node.attrs.get("auto_pad", "NOTSET")
    if mode not in ("SAME_UPPER", "SAME_LOWER") and not node.attrs.get("output_shape"):
        return tuple(node.attrs.get("pads") or (0,) * (2 * spatial))[:spatial]
    ones, zeros = (1,) * spatial, (0,) * spatial
    strides, dilations = node.attrs.get("strides") or ones, node.attrs.get("dilations") or ones
    extra = node.attrs.get("output_padding") or zeros
    starts = []
    for i in range(spatial):
        total = strides[i] * (x[i] - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1 - y[i]
        half = max(total, 0) // 2
        starts.append(half if mode == "SAME_UPPER" else max(total, 0) - half)
    return tuple(starts)


def lower(node: Node, low: Lowering) -> None:
    """One product for each group and each phase of rows and columns."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    weights = low.constant(node.inputs[1])
    if weights is None:
        raise AssertionError("checked: weights are constant")
    spatial = weights.ndim - 2
    start = pads(node, x.type.shape[1:-1], y.type.shape[1:-1], weights.shape[2:])
    strides = (1, *(node.attrs.get("strides") or (1,) * spatial))[-2:]
    dilations = (1, *(node.attrs.get("dilations") or (1,) * spatial))[-2:]
    if spatial == 1:
        weights, start = weights[:, :, None, :], (0, *start)
    (rows_in, cols_in), (rows, cols) = ((1, *t.type.shape[1:-1])[-2:] for t in (x, y))
    down = phases(rows, weights.shape[2], strides[0], dilations[0], start[0])
    across = phases(cols, weights.shape[3], strides[1], dilations[1], start[1])
    groups = node.attrs.get("group", 1)
    depth, columns = weights.shape[0] // groups, weights.shape[1]
    bias = low.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if bias is None:
        bias = np.zeros(groups * columns, np.float32)
    x, origin = _framed(node, low, x, _reach(down, rows_in), _reach(across, cols_in))
    for row in down:
        for col in across:
            taken = weights[:, :, row.taps, :][:, :, :, col.taps]
            for g in range(groups):
                _product(
                    node, low, row, col, taken[g * depth : (g + 1) * depth], bias[g * columns : (g + 1) * columns],
                    replace(x, offset=origin + g * depth), replace(y, offset=y.offset + g * columns), strides,
                )  # fmt: skip


def _reach(found: list[Phase], size: int) -> tuple[int, int]:
    """Elements before and after the input that are read."""
    taken = [p for p in found if p.taps]
    low = min((p.start for p in taken), default=0)
    high = max((p.start + (len(p.taps) - 1) * p.step + p.count - 1 for p in taken), default=0)
    return max(-low, 0), max(high - size + 1, 0)


def _framed(node: Node, low: Lowering, x: View, down: tuple[int, int], across: tuple[int, int]) -> tuple[View, int]:
    """The input in a frame of zeros as far as it is read (in scratch memory), and the offset of its first pixel."""
    if not any((*down, *across)):
        return x, x.offset
    batch, *image, channels = x.type.shape
    rows, cols = (1, *image)[-2:]
    shape = (batch, rows + sum(down), cols + sum(across), channels)
    frame = view_of(low.scratch(node, int(np.prod(shape)) * 4).buffer, TensorType(x.type.dtype, shape))
    copying.fill(node, low, np.zeros(1, np.float32), frame)
    x_batch, x_row, x_col = pixel_strides(x)
    origin = down[0] * frame.strides[1] + across[0] * frame.strides[2]
    inside = replace(frame, offset=origin)
    copying.copy(node, low, x, inside, (batch, rows, cols, channels), (x_batch, x_row, x_col, 1), frame.strides)
    return frame, origin


def _product(
    node: Node, low: Lowering, row: Phase, col: Phase, weights: Array, bias: Array, x: View, y: View,
    strides: tuple[int, int],
) -> None:  # fmt: skip
    """One phase: ``weights`` [depth, columns, taps, taps] in the order of the input."""
    depth, columns, taps_y, taps_x = weights.shape
    x_batch, x_row, x_col = pixel_strides(x)
    y_batch, y_row, y_col = pixel_strides(y)
    matrix = weights.transpose(2, 3, 0, 1).reshape(-1, columns)
    values = {
        "batch": x.type.shape[0], "rows": row.count, "cols": col.count,
        "x_batch_stride": x_batch, "x_row_stride": x_row, "x_col_stride": x_col,
        "taps_y": taps_y, "taps_x": taps_x, "k": depth,
        "x_tap_y_stride": row.step * x_row, "x_tap_x_stride": col.step * x_col,
        "y_batch_stride": y_batch, "y_row_stride": y_row * strides[0], "y_col_stride": y_col * strides[1],
    }  # fmt: skip
    at = row.start * x_row + col.start * x_col
    if not matrix.size:  # outputs that no tap reaches: the bias, as a product with zeros
        values |= {"taps_y": 1, "taps_x": 1, "x_batch_stride": 0, "x_row_stride": 0, "x_col_stride": 0}
        matrix, at = np.zeros((depth, columns), np.float32), 0
    elif values["x_tap_x_stride"] == depth:
        values |= {"taps_x": 1, "k": taps_x * depth}
    bounds = node.attrs.get("clamp", (-np.inf, np.inf))
    base = values | {"lo": float(bounds[0]), "hi": float(bounds[1])}
    dense.emit_igemm(
        node, low, partial(_arguments, base, len(matrix)), replace(x, offset=x.offset + at), matrix, bias,
        replace(y, offset=y.offset + row.first * y_row + col.first * y_col),
    )  # fmt: skip


def _arguments(base: ArgValues, total: int, n: int, nb: int) -> ArgValues:
    return {**base, "n": n, "nb": nb, "w_k_stride": nb, "w_block_stride": total * nb}


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """Each input element adds its taps to the output, in float64. (ONNX's evaluator mixes up groups and batch.)"""
    x, weights = (np.asarray(i, np.float64) for i in inputs[:2])
    last = node.attrs.get("layout") == CHANNELS_LAST
    x = np.moveaxis(x, -1, 1) if last else x
    spatial, groups = weights.ndim - 2, node.attrs.get("group", 1)
    ones, zeros = (1,) * spatial, (0,) * spatial
    strides, dilations = node.attrs.get("strides") or ones, node.attrs.get("dilations") or ones
    extra = node.attrs.get("output_padding") or zeros
    whole = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(x.shape[2:], strides, weights.shape[2:], dilations, extra, strict=True)
    ]
    if node.attrs.get("output_shape"):
        size = list(node.attrs["output_shape"])[-spatial:]
    elif node.attrs.get("auto_pad", "NOTSET").startswith("SAME"):
        size = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    else:
        flat = node.attrs.get("pads") or zeros * 2
        size = [w - flat[i] - flat[i + spatial] for i, w in enumerate(whole)]
    start = pads(node, x.shape[2:], tuple(size), weights.shape[2:])
    columns, depth = weights.shape[1], weights.shape[0] // groups
    room = [max(w, p + s) for w, p, s in zip(whole, start, size, strict=True)]
    y = np.zeros((x.shape[0], groups * columns, *room))
    for tap in np.ndindex(*weights.shape[2:]):
        places = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilations, x.shape[2:], strides, strict=True)
        )
        for g in range(groups):
            taken = weights[(slice(g * depth, (g + 1) * depth), slice(None), *tap)]
            part = np.moveaxis(np.tensordot(x[:, g * depth : (g + 1) * depth], taken, (1, 0)), -1, 1)
            y[(slice(None), slice(g * columns, (g + 1) * columns), *places)] += part
    y = y[(slice(None), slice(None), *(slice(p, p + s) for p, s in zip(start, size, strict=True)))]
    if len(inputs) > 2 and inputs[2] is not None:
        y = y + np.asarray(inputs[2]).reshape(-1, *ones)
    y = np.clip(y, *node.attrs.get("clamp", (-np.inf, np.inf))).astype(np.float32)
    return [np.moveaxis(y, 1, -1) if last else y]


def check(node: Node, graph: Graph) -> str | None:
    """Float32, constant weights and bias, at most two spatial dimensions."""
    x, weights = graph.type(node.inputs[0]), graph.type(node.inputs[1])
    if x.dtype != np.float32:
        return f"only float32 is compiled, the input is {x}"
    if len(weights.shape) not in (3, 4):
        return f"only one or two spatial dimensions are compiled, the weights are {weights}"
    if any(v and v not in graph.constants for v in node.inputs[1:]):
        return "its weights and bias must be constants"
    return None


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


OPERATORS = (
    Operator(
        "ConvTranspose", lower, check, meaning, channels_last=ChannelsLast(_channels_last, prefers=True), strided=True
    ),
)
