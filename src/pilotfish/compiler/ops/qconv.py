"""pf.QConv: a convolution of int8 by constant int8 weights, requantized to int8; channels last inside.

Inputs: x (int8), weights (int8, [O, I/groups, ...]), bias (int32, x's zero point folded in), scale (float32[O]).
Attributes: those of Conv, and ``x_zero``, ``y_zero``, ``low``, ``high``. Padding holds ``x_zero``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Halo, Node
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.kernels import qdwconv, qigemm, qslideconv, table
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues
from pilotfish.compiler.ops import conv, dense
from pilotfish.compiler.ops.lowering import Lowering, view_of
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator
from pilotfish.compiler.ops.window import Window, first_tap, window
from pilotfish.compiler.targets import Target


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


def emit_product(
    node: Node,
    low: Lowering,
    args: Callable[[int, int], ArgValues],
    x: View,
    weights: Array,
    bias: Array,
    scale: Array,
    y: View,
) -> None:
    """Emit the product of ``x`` with int8 ``weights`` [K, N] by ``qigemm``, in column segments."""
    depth, columns = weights.shape
    for first, count, nb, kernel in dense.segments("qigemm", args, columns, low.target):
        part = slice(first, first + count)
        given = args(count, nb)
        packed = qigemm.pack(weights[:, part], given, exact=qigemm.groups_in_int16(kernel))
        pixels = int(given["batch"]) * int(given["rows"]) * int(given["cols"])  # type: ignore[arg-type]
        macs = pixels * depth * count
        if qigemm.groups_in_int16(kernel):
            low.grouped(qigemm.shares(packed, given), macs)
        operands = [x, low.weights(packed), low.weights(bias[part]), low.weights(scale[part])]
        low.call_kernel(node, kernel, given, [*operands, replace(y, offset=y.offset + first)], macs=macs)


def geometry(node: Node, graph: Graph) -> Window:
    """The window of a channels-last node."""
    weights = graph.type(node.inputs[1])
    return window(node, graph.type(node.inputs[0]), graph.type(node.outputs[0]), weights.shape[2:])


def halo(node: Node, graph: Graph) -> Halo:
    """The frame that the input needs: every tap of every output."""
    return geometry(node, graph).reach


def cost(node: Node, graph: Graph, target: Target) -> float:
    """Modelled slots of a channels-last node of one group."""
    w = geometry(node, graph)
    x = view_of("x", replace(graph.type(node.inputs[0]), halo=w.reach))
    y = view_of("y", graph.type(node.outputs[0]))
    args = product_args(conv._igemm_args(node, w, 1, x, y), node)
    columns = graph.type(node.inputs[1]).shape[0]
    direct = dense.cost("qslideconv", _slideconv_args(node, w, x, y), columns, target)
    return min(direct, dense.cost("qigemm", args, columns, target))


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


def _product_cost(weights: Array, args: Callable[[int, int], ArgValues], target: Target) -> float:
    """Modelled slots as a product: these very weights decide how many of them can be summed in int16."""
    matrix, total = _matrix(weights), 0.0
    for first, count, nb, kernel in dense.segments("qigemm", args, matrix.shape[1], target):
        given = args(count, nb)
        packed = qigemm.pack(matrix[:, first : first + count], given, exact=qigemm.groups_in_int16(kernel))
        total += qigemm.packed_cost(kernel, packed, given, target)
    return total


def lower(node: Node, low: Lowering) -> None:
    """The depthwise kernel where it fits; of one group the cheaper of direct convolution and product; else products."""
    w = geometry(node, low.graph)
    weights, bias, scale = (low.constant(i) for i in node.inputs[1:4])
    if weights is None or bias is None or scale is None:
        raise AssertionError("pf.QConv has constant weights, bias and scale")
    if weights.ndim == 3:
        weights = weights[:, :, None, :]
    y = low.out(node.outputs[0])
    x = first_tap(low.view(node.inputs[0]), w)
    if _depthwise(node, low.graph) and _lower_depthwise(node, low, w, x, weights, bias, scale, y):
        return
    groups = node.attrs.get("group", 1)
    columns, depth = weights.shape[0] // groups, w.channels // groups
    given = product_args(conv._igemm_args(node, w, groups, x, y), node)
    direct = _slideconv_args(node, w, x, y)
    price = dense.cost("qslideconv", direct, columns, low.target) if groups == 1 else np.inf
    if np.isfinite(price) and price < _product_cost(weights, given, low.target):
        _lower_slideconv(node, low, direct, x, weights, bias, scale, y)
        return
    for g in range(groups):
        part = slice(g * columns, (g + 1) * columns)
        emit_product(
            node, low, given, replace(x, offset=x.offset + g * depth), _matrix(weights[part]), bias[part], scale[part],
            replace(y, offset=y.offset + g * columns),
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
