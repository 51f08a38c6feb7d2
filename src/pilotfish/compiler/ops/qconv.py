"""pf.QConv: a convolution of int8 by constant int8 weights, requantized to int8; channels last inside.

Inputs: x (int8), weights (int8, [O, I/groups, ...]), bias (int32, x's zero point folded in), scale (float32[O]).
Attributes: those of Conv, and ``x_zero``, ``y_zero``, ``low``, ``high``. Padding holds ``x_zero``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pilotfish.compiler.graph import Graph, Halo, Node
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.kernels import qdwconv, qslideconv, qwinograd, table
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues, Kernel
from pilotfish.compiler.ops import conv, dense, qproduct
from pilotfish.compiler.ops.lowering import Lowering, view_of
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator
from pilotfish.compiler.ops.window import Window, first_tap, window
from pilotfish.compiler.targets import Target

Algorithm = Literal["depthwise", "product", "slide", "winograd"]


@dataclass(frozen=True)
class Plan:
    """How one convolution runs: the algorithm, the halo its input needs, and its modelled cost in slots."""

    algorithm: Algorithm
    halo: Halo
    cost: float


def requantized(sums: Array, scale: Array, node: Node) -> Array:
    """int8 of int32 sums: to float32, times the scale, to the nearest (ties to even), plus the zero point, clamped."""
    scaled = sums.astype(np.float32) * scale
    near = np.clip(np.rint(scaled), -32768, 32767).astype(np.int32) + node.attrs["y_zero"]
    return np.asarray(np.clip(np.clip(near, -128, 127), node.attrs["low"], node.attrs["high"]), np.int8)


def output_args(node: Node) -> dict[str, int]:
    """The arguments of the output that integer kernels name alike."""
    return {"zero": node.attrs["y_zero"], "lo": node.attrs["low"], "hi": node.attrs["high"]}


def product_args(base: Callable[[int, int], ArgValues], node: Node) -> Callable[[int, int], ArgValues]:
    """Arguments of ``qigemm`` out of those of ``igemm``, which has the same geometry."""

    def args(n: int, nb: int) -> ArgValues:
        geometry = {k: v for k, v in base(n, nb).items() if k not in ("w_k_stride", "w_block_stride", "lo", "hi")}
        return geometry | output_args(node)

    return args


def geometry(node: Node, graph: Graph) -> Window:
    """The window of a channels-last node."""
    weights = graph.type(node.inputs[1])
    return window(node, graph.type(node.inputs[0]), graph.type(node.outputs[0]), weights.shape[2:])


def plan(node: Node, graph: Graph, target: Target) -> Plan:
    """The cheapest way for a channels-last node: depthwise where it is, else by modelled cost."""
    w = geometry(node, graph)
    if _depthwise(node, graph):
        return Plan("depthwise", w.reach, 0.0)
    x = view_of("x", replace(graph.type(node.inputs[0]), halo=w.reach))
    y = view_of("y", replace(graph.type(node.outputs[0]), halo=Halo()))
    weights = _four_dimensional(graph.constants[node.inputs[1]])
    groups = node.attrs.get("group", 1)
    product = product_args(conv._igemm_args(node, w, groups, x, y), node)
    part = weights[: len(weights) // groups]
    plans = [Plan("product", w.reach, groups * qproduct.cost(qproduct.cut(_matrix(part), product, target)))]
    if groups == 1:
        slide = dense.cost("qslideconv", _slideconv_args(node, w, x, y), len(weights), target)
        plans.append(Plan("slide", w.reach, slide))
        found = _winograd(node, w, weights, graph.constants[node.inputs[2]], x, y, target)
        if found:
            kernel, args = found
            plans.append(Plan("winograd", qwinograd.halo(args, w.reach), kernel.cost(args, target)))
    return min(plans, key=lambda p: p.cost)


def halo(node: Node, graph: Graph, target: Target) -> Halo:
    """The frame that the input of a channels-last node needs, once its algorithm is chosen."""
    w = geometry(node, graph)
    if node.attrs.get("algorithm") != "winograd":
        return w.reach
    return plan(node, graph, target).halo


def _winograd(
    node: Node, w: Window, weights: Array, bias: Array, x: View, y: View, target: Target
) -> tuple[Kernel, ArgValues] | None:
    ones = (w.stride_y, w.stride_x, w.dilation_y, w.dilation_x)
    if (w.taps_y, w.taps_x) != (3, 3) or ones != (1, 1, 1, 1) or not qwinograd.fits(weights, bias):
        return None
    strides = {k: v for k, v in conv._strides(w, x, y).items() if not k.startswith("x_tap")}
    found: list[tuple[float, Kernel, ArgValues]] = []
    for nb in dense.block_widths(target, "qigemm"):
        args = strides | output_args(node) | {"channels": w.channels, "n": len(weights), "nb": nb}
        kernel = table.pick("qwinograd", args, target)
        if kernel:
            found.append((kernel.cost(args, target), kernel, args))
    return min(found, key=lambda f: f[0])[1:] if found else None


def _depthwise(node: Node, graph: Graph) -> bool:
    channels = graph.type(node.inputs[1]).shape[0]
    return bool(node.attrs.get("group", 1) == channels == graph.type(node.inputs[0]).shape[-1])


def _dwconv_args(node: Node, w: Window, x: View, y: View) -> ArgValues:
    given = conv._strides(w, x, y) | {"channels": w.channels, "taps_y": w.taps_y, "taps_x": w.taps_x}
    return given | output_args(node)


def _slideconv_args(node: Node, w: Window, x: View, y: View) -> Callable[[int, int], ArgValues]:
    """Arguments of the direct convolution, which has one group."""
    base = conv._strides(w, x, y) | output_args(node) | {"channels": w.channels, "x_channel_stride": 1}
    base |= {"taps_y": w.taps_y, "taps_x": w.taps_x, "strip": qslideconv.STRIP}
    return lambda n, nb: base | {"n": n, "nb": nb}


def _lower_slideconv(
    node: Node,
    low: Lowering,
    args: Callable[[int, int], ArgValues],
    x: View,
    weights: Array,
    bias: Array,
    scale: Array,
    y: View,
) -> None:
    for first, count, nb, kernel in dense.segments("qslideconv", args, weights.shape[0], low.target):
        part, given = slice(first, first + count), args(count, nb)
        macs = y.type.size // weights.shape[0] * weights[part].size
        packed = low.weights(qslideconv.pack(weights[part], nb))
        constants = [packed, low.weights(bias[part]), low.weights(scale[part])]
        scratch = low.scratch(node, qslideconv.scratch_bytes(given))
        low.call_kernel(node, kernel, given, [x, *constants, replace(y, offset=y.offset + first), scratch], macs=macs)


def _matrix(weights: Array) -> Array:
    """Weights [O, I, taps_y, taps_x] as [K, N]."""
    return weights.transpose(2, 3, 1, 0).reshape(-1, weights.shape[0])


def _four_dimensional(weights: Array) -> Array:
    return weights[:, :, None, :] if weights.ndim == 3 else weights


def lower(node: Node, low: Lowering) -> None:
    """Emit the kernels of the algorithm that the plan chose."""
    w = geometry(node, low.graph)
    given, bias, scale = (low.constant(i) for i in node.inputs[1:4])
    if given is None or bias is None or scale is None:
        raise AssertionError("pf.QConv has constant weights, bias and scale")
    weights = _four_dimensional(given)
    algorithm = node.attrs.get("algorithm") or plan(node, low.graph, low.target).algorithm
    y = low.out(node.outputs[0])
    x = first_tap(low.view(node.inputs[0]), w)
    if algorithm == "depthwise" and _lower_depthwise(node, low, w, x, weights, bias, scale, y):
        return
    if algorithm == "slide":
        _lower_slideconv(node, low, _slideconv_args(node, w, x, y), x, weights, bias, scale, y)
        return
    if algorithm == "winograd" and (found := _winograd(node, w, weights, bias, x, y, low.target)):
        kernel, args = found
        packed = low.weights(qwinograd.pack(weights, int(args["nb"])))  # type: ignore[arg-type]
        scratch = low.scratch(node, qwinograd.scratch_bytes(kernel, args))
        operands = [x, packed, low.weights(bias), low.weights(scale), y, scratch]
        low.call_kernel(node, kernel, args, operands, macs=w.pixels * weights.size)
        return
    groups = node.attrs.get("group", 1)
    columns, depth = weights.shape[0] // groups, w.channels // groups
    product = product_args(conv._igemm_args(node, w, groups, x, y), node)
    for g in range(groups):
        part = slice(g * columns, (g + 1) * columns)
        qproduct.emit(
            node, low, product, replace(x, offset=x.offset + g * depth), _matrix(weights[part]), bias[part],
            scale[part], replace(y, offset=y.offset + g * columns),
        )  # fmt: skip


def _lower_depthwise(
    node: Node, low: Lowering, w: Window, x: View, weights: Array, bias: Array, scale: Array, y: View
) -> bool:
    """Emit the cheapest layout of the depthwise kernels for these very weights; False if none fits."""
    found = []
    for layout in qdwconv.layouts(_dwconv_args(node, w, x, y), low.target):
        packed = qdwconv.pack(weights, bias, scale, layout)
        if kernel := table.pick("qdwconv", packed.args, low.target):
            found.append((kernel.cost(packed.args, low.target), kernel, packed))
    if not found:
        return False
    _, kernel, packed = min(found, key=lambda each: each[0])
    constants = [low.weights(c) for c in (packed.w, packed.bias, packed.scale)]
    macs = w.pixels * w.channels * w.taps_y * w.taps_x
    low.call_kernel(node, kernel, packed.args, [x, *constants, y], macs=macs)
    return True


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """Integer sums over the padded input, exactly; then requantized."""
    x, weights, bias, scale = (np.asarray(i) for i in inputs)
    last = node.attrs.get("layout") == CHANNELS_LAST
    if last:
        x = np.moveaxis(x, -1, 1)
    if x.ndim == 3:
        sums = _sums(node, x[:, :, None, :], weights[:, :, None, :], 1)[:, :, 0, :]
    else:
        sums = _sums(node, x, weights, 2)
    sums = np.moveaxis(sums, 1, -1) + bias.astype(np.int64)
    y = requantized(sums, scale, node)
    return [y if last else np.moveaxis(y, -1, 1)]


def _sums(node: Node, x: Array, weights: Array, spatial: int) -> Array:
    pads = tuple(node.attrs.get("pads") or (0,) * (2 * spatial))
    (top, left), (bottom, right) = (0, *pads[:spatial])[-2:], (0, *pads[spatial:])[-2:]
    sy, sx = (1, *(node.attrs.get("strides") or (1,) * spatial))[-2:]
    dy, dx = (1, *(node.attrs.get("dilations") or (1,) * spatial))[-2:]
    frame = ((0, 0), (0, 0), (top, bottom), (left, right))
    padded = np.pad(x.astype(np.int64), frame, constant_values=node.attrs["x_zero"])
    out, per_group, ky, kx = weights.shape
    rows = (padded.shape[2] - (ky - 1) * dy - 1) // sy + 1
    cols = (padded.shape[3] - (kx - 1) * dx - 1) // sx + 1
    groups = node.attrs.get("group", 1)
    sums = np.zeros((x.shape[0], out, rows, cols), np.int64)
    for g in range(groups):
        part = slice(g * out // groups, (g + 1) * out // groups)
        source = padded[:, g * per_group : (g + 1) * per_group]
        for i in range(ky):
            for j in range(kx):
                tap = source[:, :, i * dy :, j * dx :][:, :, : rows * sy : sy, : cols * sx : sx]
                sums[:, part] += np.einsum("oc,nchw->nohw", weights[part, :, i, j].astype(np.int64), tap)
    return sums


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


OPERATORS = (
    Operator(
        "pf.QConv", lower, meaning=meaning, channels_last=ChannelsLast(_channels_last, prefers=True), strided=True
    ),
)
