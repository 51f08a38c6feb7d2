"""RNN, GRU and LSTM: one product over the whole sequence, then step after step a product and the gates' loops.

Equations and the order of gates: https://onnx.ai/onnx/operators/onnx__LSTM.html and its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops import axes, copying, elementwise, linear
from pilotfish.compiler.ops.body import Body
from pilotfish.compiler.ops.expressions import Writer
from pilotfish.compiler.ops.lowering import Lowering, view_of
from pilotfish.compiler.ops.registry import Operator

_F32 = np.dtype(np.float32)
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_FUNCTIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "Sigmoid": ("sigmoid", ()), "Tanh": ("tanh", ()), "Relu": ("relu", ()), "Softsign": ("softsign", ()),
    "Softplus": ("softplus", ()), "HardSigmoid": ("hardsigmoid", (0.2, 0.5)), "Elu": ("elu", (1.0,)),
    "LeakyRelu": ("leaky", (0.01,)), "ThresholdedRelu": ("thresholded", (1.0,)),
}  # fmt: skip


@dataclass
class _Direction:
    """One direction of one node: what its steps share."""

    node: Node
    low: Lowering
    number: int
    steps: int
    batch: int
    hidden: int
    by_batch: bool  # ONNX's layout 1: the batch before the sequence
    functions: tuple[str, ...]

    def scratch(self, columns: int, rows: int = 0) -> View:
        """Memory for [rows or batch, columns]."""
        shape = (rows or self.batch, columns)
        return view_of(self.low.scratch(self.node, prod(shape) * 4).buffer, TensorType(_F32, shape))

    def inputs(self) -> View:
        """The sequence times the input weights, plus the biases that need no step: [steps * batch, gates * hidden]."""
        x = self.low.view(self.node.inputs[0])
        weights, bias = self.weights(1), self.biases()[0]
        product = self.scratch(weights.shape[0], self.steps * self.batch)
        linear.emit(self.node, self.low, x, weights.T, bias, product, self.steps * self.batch)
        return product

    def weights(self, index: int) -> Array:
        constant = self.low.constant(self.node.inputs[index])
        if constant is None:
            raise AssertionError("checked: constant")
        return np.asarray(constant[self.number])

    def biases(self) -> tuple[Array, Array]:
        """(of the product with the inputs, of the product with the state), [gates * hidden] each.

        They are added to the inputs' product once, but for GRU's last gate where the state's is reset before.
        """
        gates, h = _GATES[self.node.op], self.hidden
        given = axes.constant_input(self.node, 3, self.low.graph.constants)
        both = np.zeros(2 * gates * h, np.float32) if given is None else given[self.number]
        first, second = both[: gates * h].copy(), both[gates * h :].copy()
        late = slice(2 * h, 3 * h) if self.node.attrs.get("linear_before_reset", 0) else slice(0, 0)
        kept = np.zeros_like(second)
        kept[late] = second[late]
        second[late] = 0
        return first + second, kept

    def gate(self, product: View, step: int | None, gate: int) -> View:
        """One gate's columns of a product; of the sequence's, at a step."""
        width = product.type.shape[1]
        row = 1 if step is None else self.steps if self.by_batch else 1
        first = 0 if step is None else step * (1 if self.by_batch else self.batch)
        type_ = TensorType(_F32, (self.batch, self.hidden))
        return View(product.buffer, type_, (row * width, 1), product.offset + first * width + gate * self.hidden)

    def state(self, index: int) -> View:
        """An initial state, zeros if none is given."""
        type_ = TensorType(_F32, (self.batch, self.hidden))
        if len(self.node.inputs) <= index or not self.node.inputs[index]:
            return self.low.weights(np.zeros(type_.shape, np.float32))
        return self.part(self.low.view(self.node.inputs[index]), None)

    def part(self, view: View, step: int | None) -> View:
        """What belongs to this direction (and step) in a state, or in the output Y."""
        type_ = TensorType(_F32, (self.batch, self.hidden))
        # The batch is axis 0 in layout 1; in layout 0 it follows the direction.
        batch_axis, direction_axis = (0, -2) if self.by_batch else (-2, -3)
        offset = view.offset + self.number * view.strides[direction_axis]
        if step is not None:
            offset += step * view.strides[1 if self.by_batch else 0]
        return View(view.buffer, type_, (view.strides[batch_axis], 1), offset)

    def recur(self, state: View, gates: slice, product: View, *, bias: bool = True) -> None:
        """``product = state @ R[gates]^T + bias``."""
        h = self.hidden
        rows = slice(gates.start * h, gates.stop * h)
        weights = self.weights(2)[rows].T
        added = self.biases()[1][rows] if bias else np.zeros(weights.shape[1], np.float32)
        linear.emit(
            self.node, self.low, state, np.ascontiguousarray(weights), added, product, self.batch,
            x_stride=state.strides[0],
        )  # fmt: skip

    def emit(self, write: _Write, inputs: list[View], out: View) -> None:
        elementwise.emit(self.node, self.low, write.body(), inputs, out)

    def write(self, inputs: int) -> _Write:
        return _Write(inputs, self.functions)


class _Write(Writer):
    """Writes a body with the node's activation functions."""

    def __init__(self, inputs: int, functions: tuple[str, ...]) -> None:
        super().__init__(inputs)
        self.functions = functions

    def activated(self, which: int, value: int) -> int:
        op, params = _FUNCTIONS[self.functions[which]]
        return self(op, value, params=params)

    def body(self) -> Body:
        return tuple(self.instructions)


def lower(node: Node, low: Lowering) -> None:
    """Every direction by itself; the state lies in Y where that is wanted, so nothing is copied."""
    x = low.type(node.inputs[0]).shape
    by_batch = bool(node.attrs.get("layout", 0))
    batch, steps = (x[0], x[1]) if by_batch else (x[1], x[0])
    outputs = [low.out(o) if o else None for o in node.outputs] + [None] * 3
    kind = node.attrs.get("direction", "forward")
    per_direction = len(_DEFAULTS[node.op])
    names = tuple(node.attrs.get("activations") or _DEFAULTS[node.op] * 2)
    for number, backwards in enumerate({"forward": [False], "reverse": [True]}.get(kind, [False, True])):
        functions = names[number * per_direction : (number + 1) * per_direction]
        d = _Direction(node, low, number, steps, batch, node.attrs["hidden_size"], by_batch, functions)
        gates = d.inputs()
        state, cell = d.state(5), d.state(6) if node.op == "LSTM" else None
        own = d.scratch(d.hidden)
        cells = d.scratch(d.hidden) if cell is not None else None
        for step in reversed(range(steps)) if backwards else range(steps):
            new = own if outputs[0] is None else d.part(outputs[0], step)
            if node.op == "LSTM" and cell is not None and cells is not None:
                _lstm(d, gates, step, state, cell, new, cells)
                cell = cells
            else:
                (_gru if node.op == "GRU" else _rnn)(d, gates, step, state, new)
            state = new
        for output, value in ((outputs[1], state), (outputs[2], cell)):
            if output is not None and value is not None:
                copying.copy_part(node, low, value, d.part(output, None))


def _rnn(d: _Direction, gates: View, step: int, state: View, new: View) -> None:
    product = d.scratch(d.hidden)
    d.recur(state, slice(0, 1), product)
    w = d.write(2)
    w.activated(0, w("add", 0, 1))
    d.emit(w, [d.gate(gates, step, 0), product], new)


def _gru(d: _Direction, gates: View, step: int, state: View, new: View) -> None:
    """Gates z, r, h. The reset gate acts before or after the state's product with the weights."""
    h = d.hidden
    if d.node.attrs.get("linear_before_reset", 0):
        product = d.scratch(3 * h)
        d.recur(state, slice(0, 3), product)
        reset = d.scratch(h)  # r (.) (state @ Rh + Rbh)
        w = d.write(3)
        w("mul", w.activated(0, w("add", 0, 1)), 2)
        d.emit(w, [d.gate(gates, step, 1), d.gate(product, None, 1), d.gate(product, None, 2)], reset)
        update = product
    else:
        update = d.scratch(2 * h)
        d.recur(state, slice(0, 2), update)
        kept = d.scratch(h)  # r (.) state
        w = d.write(3)
        w("mul", w.activated(0, w("add", 0, 1)), 2)
        d.emit(w, [d.gate(gates, step, 1), d.gate(update, None, 1), state], kept)
        reset = d.scratch(h)
        d.recur(kept, slice(2, 3), reset)
    w = d.write(5)  # (1 - z) (.) n + z (.) state = n + z (.) (state - n)
    z = w.activated(0, w("add", 0, 1))
    n = w.activated(1, w("add", 2, 3))
    w("fma", z, w("sub", 4, n), n)
    d.emit(w, [d.gate(gates, step, 0), d.gate(update, None, 0), d.gate(gates, step, 2), reset, state], new)


def _lstm(d: _Direction, gates: View, step: int, state: View, cell: View, new: View, cells: View) -> None:
    """Gates i, o, f, c; peepholes P in the order i, o, f."""
    product = d.scratch(4 * d.hidden)
    d.recur(state, slice(0, 4), product)
    pairs = [(d.gate(gates, step, g), d.gate(product, None, g)) for g in range(4)]
    peepholes = axes.constant_input(d.node, 7, d.low.graph.constants)
    peeps = None
    if peepholes is not None:
        peeps = [d.low.weights(p) for p in peepholes[d.number].reshape(3, d.hidden)]
    extra = [peeps[0], peeps[2]] if peeps else []
    w = d.write(7 + len(extra))
    i, f, c = w("add", 0, 1), w("add", 2, 3), w("add", 4, 5)
    if peeps:
        i, f = w("fma", 7, 6, i), w("fma", 8, 6, f)
    kept = w("mul", w.activated(0, f), 6)
    w("fma", w.activated(0, i), w.activated(1, c), kept)
    d.emit(w, [*pairs[0], *pairs[2], *pairs[3], cell, *extra], cells)
    w = d.write(3 + bool(peeps))
    o = w("add", 0, 1)
    if peeps:
        o = w("fma", 3, 2, o)
    w("mul", w.activated(0, o), w.activated(2, 2))
    d.emit(w, [*pairs[1], cells, *([peeps[1]] if peeps else [])], new)


def check(node: Node, graph: Graph) -> str | None:
    """Constant weights, sequences of full length, plain activation functions."""
    x = graph.type(node.inputs[0])
    if x.dtype != np.float32:
        return f"only float32 is compiled, the input is {x}"
    constants = graph.constants
    if any(axes.computed(node, i, constants) for i in (1, 2, 3, 7)):
        return "its weights, biases and peepholes must be constants"
    steps = x.shape[1 if node.attrs.get("layout", 0) else 0]
    lengths = axes.integers(node, 4, constants)
    if axes.computed(node, 4, constants) or any(length != steps for length in lengths or ()):
        return "only sequences of full length are compiled"
    for name in ("activation_alpha", "activation_beta", "clip", "input_forget"):
        if node.attrs.get(name):
            return f"the attribute {name} is not compiled"
    unknown = [f for f in node.attrs.get("activations") or () if f not in _FUNCTIONS]
    return f"the activation {unknown[0]!r} is not compiled" if unknown else None


OPERATORS = tuple(Operator(op, lower, check) for op in _GATES)
