"""The integer form of each operator. A rule emits it and returns None, or says why it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.ops import axes
from pilotfish.compiler.ops.reduce import reduced_axes
from pilotfish.compiler.ops.registry import onnx_meaning
from pilotfish.compiler.ops.resize import has_pixels
from pilotfish.compiler.passes.integer import QUANTIZED, Integers, Parts, Quantization, Rule, Tail, Weights

_S8 = np.dtype(np.int8)
_I32 = np.iinfo(np.int32)


def _result(self: Integers, node: Node, tail: Tail, op: str, inputs: tuple[str, ...], **attrs: object) -> None:
    """Emit the integer node in place of the operator, its clamps and its QuantizeLinear."""
    type_ = TensorType(_S8, self.graph.type(node.outputs[0]).shape)
    self.builder.add(Node(op, node.name, inputs, (self.result(tail.node),), attrs), type_)


def _product(
    self: Integers, node: Node, tail: Tail, weights: Weights, channels: int, channel_axis: int, bias: str
) -> tuple[str, str, str] | str:
    """(weights, int32 bias with the zero point folded in, float32 scale) as constants, or why not."""
    _, x = self.quantized[node.inputs[0]]
    if weights.axis not in (-1, channel_axis):
        return "its weights are quantized along another axis than that of the output"
    scale_w = np.broadcast_to(weights.scale, (channels,))
    others = tuple(a for a in range(weights.values.ndim) if a != channel_axis)
    total = np.zeros(channels, np.int64)
    if bias:
        integer = self.integer_bias.get(bias)
        if integer is not None and np.allclose(integer[1], x.scale * scale_w, rtol=1e-5):
            total = np.broadcast_to(integer[0].astype(np.int64).reshape(-1), (channels,)).copy()
        else:
            constant = self.builder.constants.get(bias)
            if constant is None:
                return "its bias is computed"
            if constant.size not in (1, channels):
                return "its bias is not one number per output channel"
            total = np.rint(constant.reshape(-1).astype(np.float64) / (x.scale * scale_w)).astype(np.int64)
            total = np.broadcast_to(total, (channels,)).copy()
    total -= x.zero * weights.values.astype(np.int64).sum(axis=others)
    largest = 128 * np.abs(weights.values.astype(np.int64)).sum(axis=others) + np.abs(total)
    if np.any(largest > _I32.max):
        return "its sums do not fit 32 bits"
    scale = (x.scale * scale_w / tail.quantization.scale).astype(np.float32)
    return (
        self.builder.constant(f"{node.name}.w", weights.values),
        self.builder.constant(f"{node.name}.bias", total.astype(np.int32)),
        self.builder.constant(f"{node.name}.scale", scale),
    )


def _clamps(self: Integers, node: Node, tail: Tail) -> dict[str, int]:
    return {
        "x_zero": self.quantized[node.inputs[0]][1].zero,
        "y_zero": tail.quantization.zero,
        "low": tail.low,
        "high": tail.high,
    }


def _conv(self: Integers, node: Node, tail: Tail) -> str | None:
    weights = self.weights.get(node.inputs[1])
    if node.inputs[0] not in self.quantized or weights is None:
        return "its weights are not constant int8 with a symmetric scale"
    if weights.values.ndim not in (3, 4):
        return "it has more than two spatial dimensions"
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    made = _product(self, node, tail, weights, weights.values.shape[0], 0, bias)
    if isinstance(made, str):
        return made
    x, _ = self.quantized[node.inputs[0]]
    attrs = {**self.with_pads(node).attrs, **_clamps(self, node, tail)}
    _result(self, node, tail, "pf.QConv", (x, *made), **attrs)
    return None


def _matrix(self: Integers, node: Node, tail: Tail) -> str | None:
    """Gemm and MatMul by constant weights."""
    gemm = node.op == "Gemm"
    weights = self.weights.get(node.inputs[1])
    if node.inputs[0] not in self.quantized or weights is None:
        return "its right side is not a constant int8 matrix with a symmetric scale"
    if weights.values.ndim != 2 or node.attrs.get("transA") or float(node.attrs.get("alpha", 1.0)) != 1.0:
        return "it is not a plain product of rows with a matrix"
    bias = node.inputs[2] if gemm and len(node.inputs) > 2 else ""
    if bias and float(node.attrs.get("beta", 1.0)) != 1.0:
        return "it scales its bias"
    if gemm and node.attrs.get("transB"):
        weights = Weights(np.ascontiguousarray(weights.values.T), weights.scale, 1 - weights.axis if weights.axis >= 0
                          else -1)  # fmt: skip
    made = _product(self, node, tail, weights, weights.values.shape[1], 1, bias)
    if isinstance(made, str):
        return made
    x, _ = self.quantized[node.inputs[0]]
    attrs = _clamps(self, node, tail)
    _result(self, node, tail, "pf.QLinear", (x, *made), **attrs)
    return None


def _binary(self: Integers, node: Node, tail: Tail) -> str | None:
    """Add, Sub and Mul of two quantized tensors, one of which may repeat; with one number they are tables."""
    if len(node.inputs) == 2 and any((c := self.constant(i)) is not None and c.size == 1 for i in node.inputs):
        return _table(self, node, tail)
    if len(node.inputs) != 2 or any(i not in self.quantized for i in node.inputs):
        return "an operand is not quantized"
    shape = self.graph.type(node.outputs[0]).shape
    if len(shape) > 4 and any(self.graph.type(i).shape != shape for i in node.inputs):
        return "its operands have different shapes of more than four dimensions"
    (a, qa), (b, qb) = (self.quantized[i] for i in node.inputs)
    attrs = {
        "kind": {"Sum": "add"}.get(node.op, node.op.lower()), "a_scale": qa.scale, "a_zero": qa.zero,
        "b_scale": qb.scale, "b_zero": qb.zero, "y_scale": tail.quantization.scale, "y_zero": tail.quantization.zero,
        "low": tail.low, "high": tail.high,
    }  # fmt: skip
    _result(self, node, tail, "pf.QBinary", (a, b), **attrs)
    return None


def _mean(self: Integers, node: Node, tail: Tail) -> str | None:
    x, q = self.quantized[node.inputs[0]]
    attrs = {} if node.op.startswith("Global") else self.with_pads(node).attrs
    whole = {"x_scale": q.scale, "y_scale": tail.quantization.scale, **_clamps(self, node, tail)}
    _result(self, node, tail, "pf.QAveragePool", (x,), **attrs, **whole)
    return None


def _reduce_mean(self: Integers, node: Node, tail: Tail) -> str | None:
    """ReduceMean over rows, columns or both: a pool with a window as large as the image."""
    if node.inputs[0] not in self.quantized:
        return "its input is not quantized"
    if axes.computed(node, 1, self.graph.constants):
        return "its axes are computed"
    shape = self.graph.type(node.inputs[0]).shape
    reduced = reduced_axes(node, len(shape), self.graph.constants)
    if len(shape) not in (3, 4) or not reduced or reduced[0] < 2:
        return "only means over the spatial axes of an image have an integer form"
    x, q = self.quantized[node.inputs[0]]
    whole = len(reduced) == len(shape) - 2
    window = {} if whole else {"kernel_shape": tuple(shape[a] if a in reduced else 1 for a in range(2, len(shape)))}
    attrs = {**window, "x_scale": q.scale, "y_scale": tail.quantization.scale, **_clamps(self, node, tail)}
    if node.attrs.get("keepdims", 1):
        _result(self, node, tail, "pf.QAveragePool", (x,), **attrs)
        return None
    kept = TensorType(_S8, tuple(1 if a in reduced else size for a, size in enumerate(shape)))
    mean = self.builder.emit("pf.QAveragePool", f"{node.name}.kept", [x], kept, **attrs)
    _result(self, node, tail, "Reshape", (mean,))
    return None


def _moved(self: Integers, node: Node, tail: Tail) -> str | None:
    """Operators that only move or choose elements: the same on int8, in the scale of their input."""
    if node.inputs[0] not in self.quantized:
        return "its input is not quantized"
    x, q = self.quantized[node.inputs[0]]
    others = tuple(self.as_float(i, node, "") for i in node.inputs[1:])
    moved = self.with_pads(node) if node.op == "MaxPool" else node
    if node.op == "Pad" and node.attrs.get("mode", "constant") == "constant":
        value = self.graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(1)
        if value is None:
            return "the value that it pads with is computed"
        filler = self.builder.constant(f"{node.name}.value", np.array(q.quantize(float(value.reshape(-1)[0])), _S8))
        others = (others[0], filler, *others[2:])
    return _settled(self, moved, tail, (x, *others), q)


def _resize(self: Integers, node: Node, tail: Tail) -> str | None:
    """Nearest pixels move; linear resizing changes the scale besides."""
    mode = node.attrs.get("mode", "nearest")
    if mode == "nearest" or node.inputs[0] not in self.quantized:
        return _moved(self, node, tail)
    x, q = self.quantized[node.inputs[0]]
    shapes = (self.graph.type(v).shape for v in (node.inputs[0], node.outputs[0]))
    if mode != "linear" or not has_pixels(node, *shapes):
        return "only linear resizing of the pixels of an image has an integer form"
    if any(axes.computed(node, i, self.graph.constants) for i in (1, 2, 3)):
        return "its roi, scales and sizes are computed"
    attrs = {**node.attrs, "x_scale": q.scale, "y_scale": tail.quantization.scale, **_clamps(self, node, tail)}
    _result(self, node, tail, "pf.QResize", (x, *node.inputs[1:]), **attrs)
    return None


def _settled(self: Integers, node: Node, tail: Tail, inputs: tuple[str, ...], q: Quantization) -> str | None:
    """Emit the node on int8; then, if its output is quantized otherwise or clamped, a change of scale."""
    type_ = TensorType(_S8, self.graph.type(node.outputs[0]).shape)
    op = {"MaxPool": "pf.QMaxPool", "GlobalMaxPool": "pf.QMaxPool"}.get(node.op, node.op)
    same = _keeps(q, tail)
    out = self.result(tail.node) if same else self.builder.fresh(f"{node.name}.moved")
    self.builder.add(replace(node, op=op, inputs=inputs, outputs=(out,)), type_)
    if not same:
        _requantized(self, f"{node.name}.requantized", out, type_, q, tail)
    return None


def _keeps(q: Quantization, tail: Tail) -> bool:
    """Whether numbers quantized so are the output as they are."""
    return q == tail.quantization and (tail.low, tail.high) == (-128, 127)


def _requantized(self: Integers, name: str, value: str, type_: TensorType, q: Quantization, tail: Tail) -> None:
    """Make the output out of int8 of another quantization, or without the clamp."""
    attrs = {"x_scale": q.scale, "x_zero": q.zero, "y_scale": tail.quantization.scale,
             "y_zero": tail.quantization.zero, "low": tail.low, "high": tail.high}  # fmt: skip
    self.builder.add(Node("pf.Requantize", name, (value,), (self.result(tail.node),), attrs), type_)


def _split(self: Integers, node: Node) -> None:
    """Split on int8; each part is quantized as the whole is, until its reader says otherwise."""
    x, q = self.quantized[node.inputs[0]]
    others = tuple(self.as_float(i, node, "") for i in node.inputs[1:])
    types = [TensorType(_S8, self.graph.type(o).shape) if o else None for o in node.outputs]
    tails = [self.tail(node, n) if o else None for n, o in enumerate(node.outputs)]
    made = [self.result(tail.node) if tail and _keeps(q, tail) else self.builder.fresh(f"{o}.part") if o else ""
            for o, tail in zip(node.outputs, tails, strict=True)]  # fmt: skip
    self.builder.add(replace(node, inputs=(x, *others), outputs=tuple(made)))
    for value, part, type_, tail in zip(node.outputs, made, types, tails, strict=True):
        if type_ is None:
            continue
        self.builder.types[part] = type_
        if tail is None:
            self.quantized[value] = (part, q)
            continue
        self.done.update(tail.absorbed)
        if not _keeps(q, tail):
            _requantized(self, f"{part}.requantized", part, type_, q, tail)


def _concat(self: Integers, node: Node, tail: Tail) -> str | None:
    if any(i not in self.quantized for i in node.inputs):
        return "an operand is not quantized"
    parts = []
    for n, value in enumerate(node.inputs):
        part, q = self.quantized[value]
        if q != tail.quantization or (tail.low, tail.high) != (-128, 127):
            type_ = TensorType(_S8, self.graph.type(value).shape)
            part = self.builder.emit(
                "pf.Requantize", f"{node.name}.part{n}", [part], type_, x_scale=q.scale, x_zero=q.zero,
                y_scale=tail.quantization.scale, y_zero=tail.quantization.zero, low=tail.low, high=tail.high,
            )  # fmt: skip
        parts.append(part)
    _result(self, node, tail, node.op, tuple(parts), **node.attrs)
    return None


def _table(self: Integers, node: Node, tail: Tail) -> str | None:
    """Any operator of one operand: its value for each of the 256 inputs, as ONNX would compute it in float."""
    others = [self.constant(i) if i else None for i in node.inputs]
    computed = [n for n, i in enumerate(node.inputs) if i and others[n] is None]
    if len(computed) != 1:
        return "an operand is computed" if computed else "its operands are constants"
    (at,) = computed
    if node.inputs[at] not in self.quantized:
        return "its input is not quantized"
    if any(o is not None and o.size != 1 for o in others):
        return "an operand is not one number"
    if self.graph.type(node.inputs[at]).shape != self.graph.type(node.outputs[0]).shape:
        return "its output has another shape than its input"
    x, q = self.quantized[node.inputs[at]]
    levels = (np.arange(-128, 128).astype(np.float32) - np.float32(q.zero)) * np.float32(q.scale)
    operands = [levels if n == at else o if o is None else o.reshape(()) for n, o in enumerate(others)]
    (values,) = onnx_meaning(node, operands)
    with np.errstate(all="ignore"):
        table = np.rint(values.astype(np.float32) / np.float32(tail.quantization.scale)) + tail.quantization.zero
    clipped = np.clip(np.nan_to_num(table, nan=tail.quantization.zero), tail.low, tail.high).astype(np.int8)
    by_byte = np.roll(clipped, 128)  # entry i is the value for the int8 with the bits of i
    constant = self.builder.constant(f"{node.name}.table", by_byte)
    _result(self, node, tail, "pf.Lut", (x, constant))
    return None


_MOVERS = ("MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Expand",
           "Tile", "Pad", "Gather", "DepthToSpace", "SpaceToDepth")  # fmt: skip
_TABLES = ("Relu", "Clip", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Swish", "Gelu", "Elu", "Selu", "Celu",
           "Mish", "LeakyRelu", "ThresholdedRelu", "Softplus", "Softsign", "Exp", "Log", "Sqrt", "Reciprocal", "Abs",
           "Neg", "Erf", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Div", "Pow", "Max", "Min",
           "PRelu")  # fmt: skip

RULES: dict[str, Rule] = {
    "Conv": _conv,
    "Gemm": _matrix,
    "MatMul": _matrix,
    "Add": _binary,
    "Sub": _binary,
    "Mul": _binary,
    "Sum": _binary,
    "AveragePool": _mean,
    "GlobalAveragePool": _mean,
    "ReduceMean": _reduce_mean,
    "Concat": _concat,
    "Resize": _resize,
    **dict.fromkeys(_MOVERS, _moved),
    **dict.fromkeys(_TABLES, _table),
}
"""By ONNX operator. What is not here runs in float, with a note."""


PARTS: dict[str, Parts] = {"Split": _split}
"""By ONNX operator: those with several outputs."""


def to_integer(graph: Graph) -> Graph:
    """Rewrite a graph that has quantization; others are returned as they are."""
    if not any(node.op in QUANTIZED for node in graph.nodes):
        return graph
    return Integers(graph, RULES, PARTS).run()
