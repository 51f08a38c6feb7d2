"""Conv: one and two spatial dimensions, any groups, strides, dilations and pads; channels last inside.

Which algorithm runs is chosen by the kernel table's costs (:func:`plan`), before memory layout, because an
algorithm decides how large a halo its input needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from pilotfish.compiler.graph import Graph, Halo, Node, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels import dwconv, firstconv, igemm, table, winograd
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues, Array, Kernel
from pilotfish.compiler.ops import dense
from pilotfish.compiler.ops.lowering import Lowering, view_of
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator
from pilotfish.compiler.ops.window import Window, first_tap, pixel_strides, window
from pilotfish.compiler.targets import Target

Algorithm = Literal["igemm", "dwconv", "winograd", "firstconv"]
FIRST_CHANNELS = 4
"""Most input channels that first-layer kernels take."""


@dataclass(frozen=True)
class Plan:
    """How one convolution runs: the algorithm, the halo its input needs, and its modelled cost in slots."""

    algorithm: Algorithm
    halo: Halo
    cost: float


def geometry(node: Node, graph: Graph) -> Window:
    """The window of a channels-last Conv node."""
    weights = graph.type(node.inputs[1])
    return window(node, _nhwc_input(node, graph), graph.type(node.outputs[0]), weights.shape[2:])


def _nhwc_input(node: Node, graph: Graph) -> TensorType:
    type_ = graph.type(node.inputs[0])
    if node.attrs.get("input_layout") == "NCHW":
        return TensorType(type_.dtype, (type_.shape[0], *type_.shape[2:], type_.shape[1]))
    return type_


def plan(node: Node, graph: Graph, target: Target) -> Plan:
    """The cheapest way for a channels-last Conv node with constant weights."""
    w = geometry(node, graph)
    x = view_of("x", replace(_nhwc_input(node, graph), halo=w.reach))
    y = view_of("y", replace(graph.type(node.outputs[0]), halo=Halo()))
    plans = [p for p in (_plan(a, node, graph, w, x, y, target) for a in _ALGORITHMS) if p]
    return min(plans, key=lambda p: p.cost)


def _plan(algorithm: Algorithm, node: Node, graph: Graph, w: Window, x: View, y: View, target: Target) -> Plan | None:
    groups = node.attrs.get("group", 1)
    columns = graph.type(node.inputs[1]).shape[0]
    planar = node.attrs.get("input_layout") == "NCHW"
    typed = partial(table.typed, dtype=x.type.dtype)
    if algorithm == "igemm" and not planar:
        cost = groups * dense.cost(typed("igemm"), _igemm_args(node, w, groups, x, y), columns // groups, target)
        return Plan("igemm", w.reach, cost) if np.isfinite(cost) else None
    if algorithm == "dwconv" and _depthwise(node, graph):
        args = _dwconv_args(node, w, x, y)
        kernel = table.pick(typed("dwconv"), args, target)
        return Plan("dwconv", w.reach, kernel.cost(args, target)) if kernel else None
    if algorithm == "firstconv" and groups == 1 and w.channels <= FIRST_CHANNELS:
        cost = dense.cost(typed("firstconv"), _firstconv_args(node, w, x, y, planar), columns, target)
        return Plan("firstconv", w.reach, cost) if np.isfinite(cost) else None
    if algorithm == "winograd" and groups == 1 and not planar:
        found = _winograd(node, w, columns, x, y, target)
        if found:
            kernel, args = found
            return Plan("winograd", winograd.halo(kernel, args, w.reach), kernel.cost(args, target))
    return None


def _depthwise(node: Node, graph: Graph) -> bool:
    channels = graph.type(node.inputs[1]).shape[0]
    return bool(node.attrs.get("group", 1) == channels == graph.type(node.inputs[0]).shape[-1])


def _clamp(node: Node) -> dict[str, float]:
    low, high = node.attrs.get("clamp", (-np.inf, np.inf))
    return {"lo": float(low), "hi": float(high)}


def _strides(w: Window, x: View, y: View) -> dict[str, int]:
    """The stride arguments that all convolution kernels name alike."""
    x_batch, x_row, x_col = pixel_strides(x)
    y_batch, y_row, y_col = pixel_strides(y)
    return {
        "batch": w.batch, "rows": w.rows_out, "cols": w.cols_out,
        "x_batch_stride": x_batch, "x_row_stride": x_row * w.stride_y, "x_col_stride": x_col * w.stride_x,
        "x_tap_y_stride": x_row * w.dilation_y, "x_tap_x_stride": x_col * w.dilation_x,
        "y_batch_stride": y_batch, "y_row_stride": y_row, "y_col_stride": y_col,
    }  # fmt: skip


def _igemm_args(node: Node, w: Window, groups: int, x: View, y: View) -> Callable[[int, int], ArgValues]:
    depth = w.channels // groups
    base = _strides(w, x, y) | _clamp(node)
    taps_x, run = w.taps_x, depth
    if base["x_tap_x_stride"] == depth:  # neighbouring taps lie side by side: one longer run
        taps_x, run = 1, w.taps_x * depth
    taps_y = w.taps_y
    if taps_y > 1 and taps_x == 1 and base["x_tap_y_stride"] == run:
        taps_y, run = 1, run * taps_y
    if (
        w.rows_out > 1
        and base["x_row_stride"] == w.cols_out * base["x_col_stride"]
        and (base["y_row_stride"] == w.cols_out * base["y_col_stride"])
    ):  # no gaps between rows: one long row
        base |= {"rows": 1, "cols": w.rows_out * w.cols_out}
        base |= {"x_row_stride": base["x_batch_stride"], "y_row_stride": base["y_batch_stride"]}
    total = w.taps_y * w.taps_x * depth

    def args(n: int, nb: int) -> ArgValues:
        return base | {
            "taps_y": taps_y, "taps_x": taps_x, "k": run,
            "n": n, "nb": nb, "w_k_stride": nb, "w_block_stride": total * nb,
        }  # fmt: skip

    return args


def _dwconv_args(node: Node, w: Window, x: View, y: View) -> ArgValues:
    return _strides(w, x, y) | _clamp(node) | {
        "channels": w.channels, "taps_y": w.taps_y, "taps_x": w.taps_x
    }  # fmt: skip


def _firstconv_args(node: Node, w: Window, x: View, y: View, planar: bool) -> Callable[[int, int], ArgValues]:
    base = _strides(w, x, y) | _clamp(node) | {"x_channel_stride": 1}
    if planar:
        pitch = w.cols_in
        base |= {
            "x_channel_stride": w.rows_in * pitch, "x_batch_stride": w.channels * w.rows_in * pitch,
            "x_row_stride": pitch * w.stride_y, "x_col_stride": w.stride_x,
            "x_tap_y_stride": pitch * w.dilation_y, "x_tap_x_stride": w.dilation_x,
        }  # fmt: skip

    def args(n: int, nb: int) -> ArgValues:
        return base | {"taps_y": w.taps_y, "taps_x": w.taps_x, "channels": w.channels, "n": n, "nb": nb}

    return args


def _winograd(node: Node, w: Window, columns: int, x: View, y: View, target: Target) -> tuple[Kernel, ArgValues] | None:
    ones = (w.stride_y, w.stride_x, w.dilation_y, w.dilation_x)
    if (w.taps_y, w.taps_x) != (3, 3) or ones != (1, 1, 1, 1):
        return None
    found: list[tuple[float, Kernel, ArgValues]] = []
    family = table.typed("winograd", x.type.dtype)
    for nb in dense.block_widths(target, family):
        args = _strides(w, x, y) | _clamp(node) | {"channels": w.channels, "n": columns, "nb": nb}
        args = {k: v for k, v in args.items() if not k.startswith("x_tap")}
        kernel = table.pick(family, args, target)
        if kernel:
            found.append((kernel.cost(args, target), kernel, args))
    return min(found, key=lambda f: f[0])[1:] if found else None


def lower(node: Node, low: Lowering) -> None:
    """Emit the kernels of the algorithm that the plan chose."""
    w = geometry(node, low.graph)
    weights = low.constant(node.inputs[1])
    if weights is None:
        raise AssertionError("checked: weights are constant")
    has_bias = len(node.inputs) > 2 and node.inputs[2]
    bias = low.constant(node.inputs[2]) if has_bias else np.zeros(weights.shape[0], weights.dtype)
    if bias is None:
        raise AssertionError("checked: bias is constant")
    if weights.ndim == 3:
        weights = weights[:, :, None, :]
    y = low.out(node.outputs[0])
    x = low.view(node.inputs[0])
    planar = node.attrs.get("input_layout") == "NCHW"
    if not planar:
        x = first_tap(x, w)
    algorithm = node.attrs.get("algorithm") or plan(node, low.graph, low.target).algorithm
    _LOWER[algorithm](node, low, w, x, weights, bias, y)


def _lower_igemm(node: Node, low: Lowering, w: Window, x: View, weights: Array, bias: Array, y: View) -> None:
    groups = node.attrs.get("group", 1)
    columns, depth = weights.shape[0] // groups, w.channels // groups
    args = _igemm_args(node, w, groups, x, y)
    for g in range(groups):
        part = slice(g * columns, (g + 1) * columns)
        matrix = weights[part].transpose(2, 3, 1, 0).reshape(-1, columns)
        dense.emit_igemm(
            node, low, args, replace(x, offset=x.offset + g * depth), matrix, bias[part],
            replace(y, offset=y.offset + g * columns),
        )  # fmt: skip


def _lower_dwconv(node: Node, low: Lowering, w: Window, x: View, weights: Array, bias: Array, y: View) -> None:
    packed = dwconv.pack(weights)
    operands = [x, low.weights(packed), low.weights(bias), y]
    macs = w.pixels * w.channels * w.taps_y * w.taps_x
    low.call(node, table.typed("dwconv", weights.dtype), _dwconv_args(node, w, x, y), operands, macs=macs)


def _lower_firstconv(node: Node, low: Lowering, w: Window, x: View, weights: Array, bias: Array, y: View) -> None:
    planar = node.attrs.get("input_layout") == "NCHW"
    args = _firstconv_args(node, w, x, y, planar)
    family = table.typed("firstconv", weights.dtype)
    for first, count, nb, kernel in dense.segments(family, args, weights.shape[0], low.target):
        packed = low.weights(firstconv.pack(weights[first : first + count], nb))
        out = replace(y, offset=y.offset + first)
        macs = w.pixels * count * w.channels * w.taps_y * w.taps_x
        operands = [x, packed, low.weights(bias[first : first + count]), out]
        low.call_kernel(node, kernel, args(count, nb), operands, macs=macs)


def _lower_winograd(node: Node, low: Lowering, w: Window, x: View, weights: Array, bias: Array, y: View) -> None:
    found = _winograd(node, w, weights.shape[0], x, y, low.target)
    if found is None:
        raise AssertionError("the plan chose winograd")
    kernel, args = found
    packed = low.weights(winograd.pack(kernel, weights, int(args["nb"])))  # type: ignore[arg-type]
    scratch = low.scratch(node, winograd.scratch_bytes(kernel, args))
    macs = w.pixels * weights.shape[0] * w.channels * 9
    low.call_kernel(node, kernel, args, [x, packed, low.weights(bias), y, scratch], macs=macs)


_LOWER = {
    "igemm": _lower_igemm,
    "dwconv": _lower_dwconv,
    "firstconv": _lower_firstconv,
    "winograd": _lower_winograd,
}
_ALGORITHMS: tuple[Algorithm, ...] = ("igemm", "dwconv", "winograd", "firstconv")


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


OPERATORS = (Operator("Conv", lower, check, channels_last=ChannelsLast(_channels_last, prefers=True), strided=True),)
__all__ = ["OPERATORS", "Plan", "geometry", "igemm", "lower", "plan"]
