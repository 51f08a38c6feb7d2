"""DepthToSpace and SpaceToDepth: one copy in six dimensions, in either layout."""

from __future__ import annotations

from collections.abc import Sequence

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.ops import copying
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator


def _planes(view: View, node: Node) -> tuple[list[int], list[int]]:
    """(sizes, strides) of N, C, H, W in whichever layout."""
    order = (0, 3, 1, 2) if node.attrs.get("layout") == CHANNELS_LAST else (0, 1, 2, 3)
    return [view.type.shape[i] for i in order], [view.strides[i] for i in order]


def _lower(node: Node, low: Lowering, *, to_space: bool) -> None:
    """Loops over n, block row, block column, c, h, w; the deep side keeps the block in its channels."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    block = node.attrs["blocksize"]
    deep, wide = (x, y) if to_space else (y, x)
    (batch, channels, rows, cols), (d_n, d_c, d_h, d_w) = _planes(deep, node)
    _, (w_n, w_c, w_h, w_w) = _planes(wide, node)
    depth = channels // block**2
    column_row = node.attrs.get("mode", "DCR") == "CRD"
    block_stride, channel_stride = (d_c, d_c * block**2) if column_row else (d_c * depth, d_c)
    dims = (batch, depth, rows, block, cols, block)
    deep_strides = (d_n, channel_stride, d_h, block_stride * block, d_w, block_stride)
    wide_strides = (w_n, w_c, w_h * block, w_h, w_w * block, w_w)
    sides: Sequence[Sequence[int]] = (deep_strides, wide_strides) if to_space else (wide_strides, deep_strides)
    copying.copy(node, low, x, y, dims, *sides)


def lower_to_space(node: Node, low: Lowering) -> None:
    """Channels become pixels."""
    _lower(node, low, to_space=True)


def lower_to_depth(node: Node, low: Lowering) -> None:
    """Pixels become channels."""
    _lower(node, low, to_space=False)


def check(node: Node, graph: Graph) -> str | None:
    """Images only."""
    rank = len(graph.type(node.inputs[0]).shape)
    return None if rank == 4 else f"only four dimensions are compiled, not {rank}"


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


OPERATORS = (
    Operator("DepthToSpace", lower_to_space, check, channels_last=ChannelsLast(_channels_last), strided=True),
    Operator("SpaceToDepth", lower_to_depth, check, channels_last=ChannelsLast(_channels_last), strided=True),
)
