"""A graph with QuantizeLinear and DequantizeLinear becomes integer operators, end to end where it can.

Every operator whose inputs are dequantized and whose output is quantized again is replaced by an integer one; what has
no integer form runs in float between a ``pf.Dequantize`` and a ``pf.Quantize``, and a note on the former says why.
Inside, all quantized tensors are int8: unsigned ones have their top bit flipped (zero point - 128).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Array, Builder
from pilotfish.compiler.passes.canonical import explicit_pads

_F32, _S8 = np.dtype(np.float32), np.dtype(np.int8)
QUANTIZED = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Quantization:
    """Real value = scale * (q - zero), one pair per tensor; ``zero`` is that of the int8 form."""

    scale: float
    zero: int

    def quantize(self, value: float) -> int:
        """The int8 that stands for a real number: rounded half to even, saturated."""
        if np.isinf(value):
            return 127 if value > 0 else -128
        q = np.rint(np.float32(value) / np.float32(self.scale)) + self.zero
        return int(np.clip(q, -128, 127))


@dataclass(frozen=True)
class Weights:
    """Constant int8 weights with a symmetric scale, per tensor or along ``axis``."""

    values: Array
    scale: Array
    axis: int


@dataclass(frozen=True)
class Tail:
    """Where an operator's output is quantized: the last value, its quantization, the clamp before it (int8)."""

    node: Node
    quantization: Quantization
    low: int
    high: int
    absorbed: tuple[str, ...]


Rule = Callable[["Integers", Node, Tail], str | None]
"""Emits the integer form of a node and returns None, or says why it cannot."""
Parts = Callable[["Integers", Node], None]
"""Emits the integer form of a node that only hands out parts of its first operand, which is quantized."""


class Integers:
    """The rewriting of one graph by the rules of its operators, which :mod:`.integer_rules` holds."""

    def __init__(self, graph: Graph, rules: Mapping[str, Rule], parts: Mapping[str, Parts]) -> None:
        self.graph, self.rules, self.parts = graph, rules, parts
        self.builder = Builder(graph)
        self.consumers, self.producers = graph.consumers(), graph.producers()
        self.quantized: dict[str, tuple[str, Quantization]] = {}  # float value → its int8 value
        self.weights: dict[str, Weights] = {}  # float value → constant weights
        self.integer_bias: dict[str, tuple[Array, Array]] = {}  # float value → int32 values and their scale
        self.floats: dict[str, str] = {}  # float value → the same, once it is made
        self.bytes: dict[str, str] = {}  # int8 or uint8 value of the graph → its int8 form
        self.flipped: set[str] = set()  # uint8 values of QuantizeLinear nodes that are made, not only their int8 form
        self.done: set[str] = set()

    def run(self) -> Graph:
        """The integer graph."""
        for node in self.graph.nodes:
            if node.name in self.done:
                continue
            if node.op == "DequantizeLinear":
                self.dequantize(node)
            elif node.op == "QuantizeLinear":
                self.quantize(node)
            else:
                why = self.attempt(node)
                if why is not None:
                    inputs = tuple(self.as_float(self.unsigned(i), node, why) for i in node.inputs)
                    self.builder.add(replace(node, inputs=inputs))
        for output in self.graph.outputs:
            self.output(output)
        return self.builder.finish()

    def attempt(self, node: Node) -> str | None:
        """Replace a node by its integer form; None if done, else the reason why not (empty: nothing to say)."""
        if not any(i in self.quantized for i in node.inputs):
            return ""
        if node.op in self.parts and node.inputs[0] in self.quantized:
            self.parts[node.op](self, node)
            return None
        rule = self.rules.get(node.op)
        if rule is None:
            return f"{node.op} has no integer form"
        tail = self.tail(node)
        if tail is None:
            return "its output is not quantized"
        why = rule(self, node, tail)
        if why is None:
            self.done.update(tail.absorbed)
        return why

    # Values

    def parameters(self, node: Node) -> Quantization | None:
        """The quantization of a Quantize- or DequantizeLinear node if it is one constant pair, int8 or uint8."""
        scale = self.graph.constants.get(node.inputs[1])
        zero = self.graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        quantized = self.graph.type(node.inputs[0] if node.op == "DequantizeLinear" else node.outputs[0]).dtype
        known_zero = len(node.inputs) < 3 or not node.inputs[2] or zero is not None
        if scale is None or scale.size != 1 or not known_zero or quantized not in (np.int8, np.uint8):
            return None
        shift = 128 if quantized == np.uint8 else 0
        return Quantization(float(scale.reshape(())), (int(zero.reshape(())) if zero is not None else 0) - shift)

    def signed(self, value: str) -> str:
        """The int8 form of an int8 or uint8 value."""
        if value in self.bytes:
            return self.bytes[value]
        type_ = self.graph.type(value)
        constant = self.graph.constants.get(value)
        if type_.dtype == _S8:
            made = value
        elif constant is not None:
            made = self.builder.constant(f"{value}.s8", (constant ^ 0x80).view(np.int8))
        else:
            made = self.builder.emit("pf.Flip", f"{value}.s8", [value], TensorType(_S8, type_.shape))
        self.bytes[value] = made
        return made

    def unsigned(self, value: str) -> str:
        """The value itself: made here, once, where a QuantizeLinear has only made its int8 form."""
        maker = self.producers.get(value)
        if maker is not None and maker.op == "QuantizeLinear" and value not in self.flipped:
            signed = self.bytes.get(value, value)
            if signed != value:
                self.builder.add(Node("pf.Flip", f"{value}.u8", (signed,), (value,)), self.graph.type(value))
                self.flipped.add(value)
        return value

    def dequantize(self, node: Node) -> None:
        """Remember what a DequantizeLinear node says; nothing is emitted until somebody needs the float."""
        value, out = node.inputs[0], node.outputs[0]
        computed = any(i and i not in self.graph.constants for i in node.inputs[1:])
        if computed or node.attrs.get("block_size"):  # refused by its operator's check
            self.builder.add(node)
            self.floats[out] = out
            return
        constant = self.graph.constants.get(value)
        parameters = self.parameters(node)
        if constant is not None:
            self.weights.update({out: w} if (w := self.constant_weights(node, constant)) else {})
            if constant.dtype == np.int32 and (scale := self.graph.constants.get(node.inputs[1])) is not None:
                self.integer_bias[out] = (constant, scale.astype(np.float64))
            self.builder.types[out] = TensorType(_F32, constant.shape)
            if out in self.graph.outputs:  # which a node must make
                value = self.builder.constant(f"{out}.value", dequantized(node, self.graph))
                self.builder.add(Node("Identity", node.name, (value,), (out,)))
            else:
                self.builder.constants[out] = dequantized(node, self.graph)
            self.floats[out] = out
        if parameters is not None:
            self.quantized[out] = (self.signed(value), parameters)
        elif constant is None:
            self.builder.add(node)  # per channel or int16 and the like: refused by its operator's check
            self.floats[out] = out

    def constant_weights(self, node: Node, constant: Array) -> Weights | None:
        scale = self.graph.constants.get(node.inputs[1])
        zero = self.graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(1)
        if scale is None or zero is None or constant.dtype not in (np.int8, np.uint8) or node.attrs.get("block_size"):
            return None
        middle = 128 if constant.dtype == np.uint8 else 0
        if np.any(zero != middle):
            return None
        values = (constant ^ 0x80).view(np.int8) if middle else constant
        axis = int(node.attrs.get("axis", 1)) % max(constant.ndim, 1) if scale.size > 1 else -1
        return Weights(values, scale.reshape(-1).astype(np.float64), axis)

    def as_float(self, value: str, reader: Node, why: str) -> str:
        """A value in float; dequantized if need be."""
        if value not in self.quantized or value in self.floats:
            return self.floats.get(value, value)
        signed, q = self.quantized[value]
        note = f"dequantized for {reader.name} ({reader.op}): {why}" if why else ""
        self.builder.add(
            Node("pf.Dequantize", f"{value}.float", (signed,), (value,),
                 {"scale": q.scale, "zero": q.zero, "note": note}),
            TensorType(_F32, self.graph.type(value).shape),
        )  # fmt: skip
        self.floats[value] = value
        return value

    def quantize(self, node: Node) -> None:
        """A QuantizeLinear that no integer operator absorbed."""
        parameters = self.parameters(node)
        source = node.inputs[0]
        if parameters is None:
            self.builder.add(replace(node, inputs=(self.as_float(source, node, ""), *node.inputs[1:])))
            return
        if source in self.quantized:  # from one quantization straight to another
            self.emit_requantize(source, self.result(node), parameters, -128, 127)
            return
        self.builder.add(
            Node("pf.Quantize", node.name, (source,), (self.result(node),),
                 {"scale": parameters.scale, "zero": parameters.zero}),
            TensorType(_S8, self.graph.type(node.outputs[0]).shape),
        )  # fmt: skip

    def emit_requantize(self, source: str, out: str, to: Quantization, low: int, high: int) -> None:
        """From one scale to another; a plain copy of names is not possible in this graph, so equal scales copy."""
        signed, q = self.quantized[source]
        type_ = TensorType(_S8, self.graph.type(source).shape)
        attrs = {"x_scale": q.scale, "x_zero": q.zero, "y_scale": to.scale, "y_zero": to.zero, "low": low, "high": high}
        self.builder.add(Node("pf.Requantize", f"{out}.requantized", (signed,), (out,), attrs), type_)

    def result(self, node: Node) -> str:
        """The name under which the int8 output of a QuantizeLinear node is made."""
        out = node.outputs[0]
        if self.graph.type(out).dtype == _S8:
            self.bytes[out] = out
        elif out not in self.bytes:
            self.bytes[out] = self.builder.fresh(f"{out}.s8")
        return self.bytes[out]

    def output(self, name: str) -> None:
        """Make a graph output what its type says: float, or unsigned again."""
        if name in self.quantized and name not in self.floats:
            self.as_float(name, Node("output", name, (), ()), "")
        self.unsigned(name)

    # Looking ahead

    def tail(self, node: Node, output: int = 0) -> Tail | None:
        """Follow an output through clamps to the one QuantizeLinear that alone reads it."""
        value, bounds, absorbed = node.outputs[output], (-np.inf, np.inf), []
        while value not in self.graph.outputs:
            readers = self.consumers.get(value, [])
            if len(readers) != 1:
                return None
            reader = readers[0]
            if reader.op == "QuantizeLinear":
                q = self.parameters(reader)
                if q is None:
                    return None
                absorbed.append(reader.name)
                low, high = q.quantize(bounds[0]), q.quantize(bounds[1])
                return Tail(reader, q, low, high, tuple(absorbed))
            clamp = clamp_of(reader, self.graph)
            if clamp is None or reader.inputs[0] != value:
                return None
            bounds = (min(max(bounds[0], clamp[0]), clamp[1]), max(min(bounds[1], clamp[1]), clamp[0]))
            absorbed.append(reader.name)
            value = reader.outputs[0]
        return None

    def constant(self, value: str) -> Array | None:
        """The float value of a constant, quantized or not."""
        return self.builder.constants.get(value)

    def with_pads(self, node: Node) -> Node:
        """The node with ``auto_pad`` resolved."""
        return explicit_pads(node, self.graph)


def clamp_of(node: Node, graph: Graph) -> tuple[float, float] | None:
    """The bounds of a Relu, or of a Clip by constants."""
    if node.op == "Relu":
        return 0.0, float("inf")
    if node.op != "Clip":
        return None
    bounds = [-float("inf"), float("inf")]
    for i, value in enumerate(node.inputs[1:3]):
        if value:
            constant = _constant(value, graph)
            if constant is None:
                return None
            bounds[i] = float(constant)
    return bounds[0], bounds[1]


def _constant(value: str, graph: Graph) -> Array | None:
    if value in graph.constants:
        return graph.constants[value]
    maker = graph.producers().get(value)
    if maker is not None and maker.op == "DequantizeLinear" and maker.inputs[0] in graph.constants:
        return dequantized(maker, graph)
    return None


def dequantized(node: Node, graph: Graph) -> Array:
    """The float value of a DequantizeLinear node with constant operands."""
    q, scale = graph.constants[node.inputs[0]], graph.constants[node.inputs[1]]
    zero = graph.constants[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else np.zeros((), q.dtype)
    if scale.size > 1:
        shape = [1] * q.ndim
        shape[int(node.attrs.get("axis", 1))] = -1
        scale, zero = scale.reshape(shape), np.broadcast_to(zero, scale.shape).reshape(shape)
    return np.asarray((q.astype(np.int64) - zero.astype(np.int64)).astype(np.float32) * scale, np.float32)
