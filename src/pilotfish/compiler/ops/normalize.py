"""LayerNormalization over the last axes, and LRN across channels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels import layernorm, lrn
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops import axes, copying
from pilotfish.compiler.ops.body import literal
from pilotfish.compiler.ops.loops import broadcast_strides, text
from pilotfish.compiler.ops.lowering import Lowering, view_of
from pilotfish.compiler.ops.registry import CHANNELS_LAST, ChannelsLast, Operator

_F32 = np.dtype(np.float32)


def lower_layernorm(node: Node, low: Lowering) -> None:
    """One kernel over rows; the statistics, if they are wanted too, by a loop of their own."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    axis = axes.axis(node.attrs.get("axis", -1), len(x.type.shape))
    rows, n = prod(x.type.shape[:axis]), prod(x.type.shape[axis:])
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    scale = _row(node, low, 1, x.type.shape[axis:], 1.0)
    bias = _row(node, low, 2, x.type.shape[axis:], 0.0)
    low.call(node, "layernorm", layernorm.args(rows, n, epsilon=epsilon), [x, scale, bias, y], inplace=((0, 3),))
    if any(node.outputs[1:]):
        _statistics(node, low, x, rows, n, epsilon)


def _row(node: Node, low: Lowering, index: int, shape: tuple[int, ...], default: float) -> View:
    """A scale or bias for every element of the normalized axes."""
    if len(node.inputs) <= index or not node.inputs[index]:
        return low.weights(np.full(shape, default, np.float32))
    constant = low.constant(node.inputs[index])
    if constant is not None:
        return low.weights(np.broadcast_to(constant, shape))
    view = low.view(node.inputs[index])
    if view.type.size == prod(shape):
        return view
    scratch = view_of(low.scratch(node, prod(shape) * 4).buffer, type(view.type)(_F32, shape))
    copying.copy(node, low, view, scratch, shape, broadcast_strides(view, shape), scratch.strides)
    return scratch


def _statistics(node: Node, low: Lowering, x: View, rows: int, n: int, epsilon: float) -> None:
    """Outputs 1 and 2: mean and one by the standard deviation of each row. Written before x is overwritten."""
    wanted = [(i, o) for i, o in enumerate(node.outputs) if i and o]
    views = [low.out(o) for _, o in wanted]
    lines = ["const float *const x = (const float *)buf[0];"]
    lines += [f"float *const out{i} = (float *)buf[{k + 1}];" for k, (i, _) in enumerate(wanted)]
    lines += [
        f"PF_ROLLED for (int64_t r = 0; r < {rows}; r++) {{",
        "    double mean = 0, variance = 0;",
        f"    PF_SCALAR_LOOP for (int64_t i = 0; i < {n}; i++) mean += x[r * {n} + i];",
        f"    mean /= {n};",
        f"    PF_SCALAR_LOOP for (int64_t i = 0; i < {n}; i++) {{",
        f"        const double d = x[r * {n} + i] - mean;",
        "        variance += d * d;",
        "    }",
        *(["    out1[r] = (float)mean;"] if any(i == 1 for i, _ in wanted) else []),
        *([f"    out2[r] = (float)(1 / sqrt(variance / {n} + {literal(epsilon)}));"]
          if any(i == 2 for i, _ in wanted) else []),
        "}",
    ]  # fmt: skip
    low.generated(node, "layernormstatistics", text(lines), [x, *views], scalar=True)


def lower_lrn(node: Node, low: Lowering) -> None:
    """One kernel over pixels."""
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    channels = x.type.shape[-1]
    values = lrn.args(
        x.type.size // channels, channels, node.attrs["size"], alpha=float(node.attrs.get("alpha", 1e-4)),
        beta=float(node.attrs.get("beta", 0.75)), bias=float(node.attrs.get("bias", 1.0)),
    )  # fmt: skip
    low.call(node, "lrn", values, [x, y])


def meaning_lrn(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """``x (bias + alpha / size Σ x²)^-beta``, the sum over neighbouring channels. (ONNX's evaluator sums others.)"""
    x = np.asarray(inputs[0], np.float64)
    x = x if node.attrs.get("layout") == CHANNELS_LAST else np.moveaxis(x, 1, -1)
    size, channels = node.attrs["size"], x.shape[-1]
    before = (size - 1) // 2
    sums = [(x[..., max(c - before, 0) : c + size - before] ** 2).sum(axis=-1) for c in range(channels)]
    scale = node.attrs.get("bias", 1.0) + node.attrs.get("alpha", 1e-4) / size * np.stack(sums, axis=-1)
    y = (x * scale ** -node.attrs.get("beta", 0.75)).astype(np.float32)
    return [y if node.attrs.get("layout") == CHANNELS_LAST else np.moveaxis(y, -1, 1)]


def check_layernorm(node: Node, graph: Graph) -> str | None:
    """Float32."""
    for value in filter(None, node.inputs):
        if graph.type(value).dtype != np.float32:
            return f"only float32 is compiled, not {graph.type(value)}"
    return None


def check_lrn(node: Node, graph: Graph) -> str | None:
    """Float32 pictures and signals."""
    x = graph.type(node.inputs[0])
    if x.dtype != np.float32 or len(x.shape) not in (2, 3, 4):
        return f"only float32 of two to four dimensions is compiled, the input is {x}"
    return None


def _channels_last(node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]]:
    return node.with_attrs(layout=CHANNELS_LAST), (0,)


OPERATORS = (
    Operator("LayerNormalization", lower_layernorm, check_layernorm),
    Operator("LRN", lower_lrn, check_lrn, meaning_lrn, channels_last=ChannelsLast(_channels_last, prefers=True)),
)
