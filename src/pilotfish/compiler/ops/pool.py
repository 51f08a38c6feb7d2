"""MaxPool, AveragePool and the global pools: kernels in one and two dimensions, channels last."""

from __future__ import annotations

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels import table
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.ops import pool_loops
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator
from pilotfish.compiler.ops.window import pixel_strides, window

FAMILIES = {
    "MaxPool": "maxpool",
    "GlobalMaxPool": "maxpool",
    "AveragePool": "avgpool",
    "GlobalAveragePool": "avgpool",
}


def lower(node: Node, low: Lowering) -> None:
    """One kernel call, channels last; kernels clip windows at the border themselves. What they cannot do: loops."""
    if node.attrs.get("layout") != CHANNELS_LAST:
        pool_loops.lower(node, low)
        return
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    low_, high = node.attrs.get("clamp", (-np.inf, np.inf))
    args = geometry(node, x, y, whole=node.op.startswith("Global")) | {"lo": float(low_), "hi": float(high)}
    low.call(node, table.typed(FAMILIES[node.op], x.type.dtype), args, [x, y])


def geometry(node: Node, x: View, y: View, *, whole: bool) -> dict[str, int]:
    """The arguments that pools of all types have in common; ``whole``: the window is the image."""
    w = window(node, x.type, y.type, x.type.shape[1:-1] if whole else tuple(node.attrs["kernel_shape"]))
    counted = w.pad if node.attrs.get("count_include_pad") and not whole else (0, 0, 0, 0)
    x_batch, x_row, x_col = pixel_strides(x)
    y_batch, y_row, y_col = pixel_strides(y)
    return {
        "batch": w.batch, "rows": w.rows_out, "cols": w.cols_out, "channels": w.channels,
        "in_rows": w.rows_in, "in_cols": w.cols_in, "taps_y": w.taps_y, "taps_x": w.taps_x,
        "stride_y": w.stride_y, "stride_x": w.stride_x, "dilation_y": w.dilation_y, "dilation_x": w.dilation_x,
        "pad_top": w.pad[0], "pad_left": w.pad[1], "counted_top": counted[0], "counted_left": counted[1],
        "counted_bottom": counted[2], "counted_right": counted[3],
        "x_batch_stride": x_batch, "x_row_stride": x_row, "x_col_stride": x_col,
        "y_batch_stride": y_batch, "y_row_stride": y_row, "y_col_stride": y_col,
    }  # fmt: skip


def _channels_last(node: Node, builder: Builder) -> tuple[Node, tuple[int, ...]] | None:
    x = builder.graph.type(node.inputs[0])
    if x.dtype != np.float32 or len([o for o in node.outputs if o]) > 1:
        return None
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


OPERATORS = tuple(
    Operator(op, lower, pool_loops.check, channels_last=ChannelsLast(_channels_last, prefers=True), strided=True)
    for op in FAMILIES
)
