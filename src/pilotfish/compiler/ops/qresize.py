"""pf.QResize: linear resizing of int8 pictures, channels last, with a change of scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Node
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.ops import resize
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator, onnx_meaning

_QUANTIZED = ("x_scale", "y_scale", "x_zero", "y_zero", "low", "high")


def lower(node: Node, low: Lowering) -> None:
    """One kernel call."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    first, second = ((s[0], s[-1], *s[1:-1]) for s in (x.type.shape, y.type.shape))  # in ONNX's order
    ratio = resize.scales(node, first, second, low.graph.constants)
    a = node.attrs
    quantized = {
        "x_zero": a["x_zero"], "y_zero": a["y_zero"], "factor": float(np.float32(a["x_scale"] / a["y_scale"])),
        "lo": a["low"], "hi": a["high"],
    }  # fmt: skip
    resize.call(node, low, resize.how(node), x, y, [1.0, *ratio[2:]][-2:], quantized)


def meaning(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """DequantizeLinear, ONNX's Resize, QuantizeLinear."""
    a = node.attrs
    x = (np.asarray(inputs[0]).astype(np.float32) - np.float32(a["x_zero"])) * np.float32(a["x_scale"])
    plain = replace(node, op="Resize", attrs={k: v for k, v in a.items() if k not in _QUANTIZED})
    (real,) = onnx_meaning(plain, [x, *inputs[1:]])
    made = np.rint(real.astype(np.float32) / np.float32(a["y_scale"])) + a["y_zero"]
    return [np.clip(made, a["low"], a["high"]).astype(np.int8)]


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


OPERATORS = (
    Operator(
        "pf.QResize", lower, meaning=meaning, channels_last=ChannelsLast(_channels_last, prefers=True), strided=True
    ),
)
