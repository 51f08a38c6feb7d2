"""``pf.Preprocess``: the bytes of images become what a network takes.

Attributes: a ``recipe``, settled; if the result is quantized, ``scale`` and ``zero`` of the int8 that QuantizeLinear
makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.graph import preprocessing as pictures
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.graph.preprocessing import Preprocessing
from pilotfish.compiler.kernels import preprocess as kernels
from pilotfish.compiler.kernels import qrows, table
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import ArgValues
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator
from pilotfish.compiler.ops.window import pixel_strides


def quantized(node: Node) -> Array:
    """What each byte becomes, int8[channels, 256]: QuantizeLinear of the float32 value."""
    with np.errstate(over="ignore"):
        real = pictures.values(node.attrs["recipe"]) / np.float32(node.attrs["scale"])
    return qrows.round_s8(real, node.attrs["zero"])


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """Bytes, looked up."""
    p: Preprocessing = node.attrs["recipe"]
    last = node.attrs.get("layout") == CHANNELS_LAST
    p = replace(p, layout="NHWC" if last else p.layout)
    images = np.asarray(inputs[0])
    if "scale" not in node.attrs:
        return [pictures.apply(p, images)]
    found = quantized(node)[np.arange(p.channels), pictures.resized(images, p)[..., p.order]]
    return [np.ascontiguousarray(np.moveaxis(found, -1, 1) if p.layout == "NCHW" else found)]


def lower(node: Node, low: Lowering) -> None:
    """One kernel call. Bytes that are only normalised are read where they lie; others go through a row of scratch."""
    p: Preprocessing = node.attrs["recipe"]
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    y_batch, y_row, _ = pixel_strides(y)
    n = p.model_width * p.channels
    args: dict[str, int] = {
        "batch": x.type.shape[0], "rows": p.model_height, "n": n, "span": 0, "step": p.channels,
        "x_batch_stride": x.strides[0], "x_row_stride": x.strides[1], "y_batch_stride": y_batch, "y_row_stride": y_row,
    }  # fmt: skip
    tables: list[View] = []
    resized = p.resizes or p.source != p.model
    if p.resizes:
        rows = (p.height, p.resized_height, p.top, p.model_height)
        cols = (p.width, p.resized_width, p.left, p.model_width)
        made, first, span = kernels.resize_tables(rows, cols, p.order)
        tables = [low.weights(t) for t in made]
        x = replace(x, offset=first)
        args["span"] = span
    elif resized:
        tables = [low.weights(t) for t in kernels.order_tables(p.top, p.model_height, p.model_width, p.order)]
        x = replace(x, offset=p.left * p.channels)
    else:
        x = replace(x, offset=p.top * x.strides[1] + p.left * p.channels)
        if args["x_row_stride"] == args["y_row_stride"] == n:  # no gaps: one long row
            args |= {"rows": 1, "n": n * p.model_height}
    suffix = "_resized" if resized else ""
    found = [(f"preprocess_{kind}{suffix}", args | more, made) for kind, more, made in _constants(node, low)]
    family, chosen, constants = min(found, key=lambda f: _cost(f[0], f[1], low))
    operands = [x, low.weights(constants), *tables, y]
    if resized:
        operands.append(low.scratch(node, kernels.scratch_bytes(chosen)))
    low.call(node, family, chosen, operands)


def _cost(family: str, args: ArgValues, low: Lowering) -> float:
    kernel = table.pick(family, args, low.target)
    return kernel.cost(args, low.target) if kernel else np.inf


def _constants(node: Node, low: Lowering) -> list[tuple[str, dict[str, int], Array]]:
    """Kinds of kernels that give what is wanted, each with its arguments and constants."""
    p: Preprocessing = node.attrs["recipe"]
    mean, std = np.array(p.mean), np.array(p.std)
    factor, offset = p.scale / std, -mean / std
    alike = len(set(zip(p.mean, p.std, strict=True))) == 1
    period = 1 if alike else p.channels
    packed = kernels.packed(period, low.target, 8)
    more = {"period": period, "packed": packed}
    if "scale" not in node.attrs:
        pairs = list(zip(factor, offset, strict=True))[:period]
        return [("f32", more, kernels.lines_constants(pairs, packed))]
    tables, scale, zero = quantized(node), float(np.float32(node.attrs["scale"])), node.attrs["zero"]
    lines = [kernels.line(tables[c], factor[c] / scale, offset[c] / scale + zero) for c in range(period)]
    wide = kernels.packed(period, low.target, 16)
    kinds = [("lut", more | {"packed": wide}, kernels.table_constants(tables[:period], wide))]
    if all(lines):
        kinds.append(("qs8", more, kernels.lines_constants([line for line in lines if line], packed)))
    return kinds


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]] | None:
    if node.attrs["recipe"].layout == "NHWC":
        return None  # it is channels last, and so is what the model says
    return node.with_attrs(layout=CHANNELS_LAST), ()


OPERATORS = (
    Operator(
        "pf.Preprocess",
        lower,
        meaning=meaning,
        channels_last=ChannelsLast(_channels_last, prefers=True),
        strided=True,
    ),
)
