"""Rewriting rules of single operators to int8, each against ONNX Runtime's run of the same quantized model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import pilotfish
from pilotfish.compiler import targets
from pilotfish.compiler.graph import Graph
from pilotfish.compiler.ops.interpreter import interpret
from pilotfish.compiler.passes import optimize
from pilotfish.compiler.passes.integer_rules import to_integer
from pilotfish.compiler.passes.qlinear import to_qdq
from pilotfish.pipeline import import_model

TARGETS = ("rv64gcv", "host")


class Quantized:
    """A QDQ model made by hand: quantized values named ``v`` are dequantized as ``v.d``, at int8 scales of choice."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.quanta: dict[str, float] = {}

    def constant(self, name: str, array: np.ndarray) -> str:
        """A constant as it is."""
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, inputs: list[str], outputs: list[str], **attrs: object) -> None:
        """An operator in float."""
        self.nodes.append(helper.make_node(op, inputs, outputs, **attrs))

    def quantize(self, value: str, scale: float, zero: int, source: str = "") -> str:
        """``value`` (or an int8 constant ``source``) through int8 and back; the name of the result."""
        self.constant(f"{value}.scale", np.array(scale, np.float32))
        self.constant(f"{value}.zero", np.array(zero, np.int8))
        pair = [f"{value}.scale", f"{value}.zero"]
        if not source:
            source = f"{value}.q"
            self.node("QuantizeLinear", [value, *pair], [source])
        self.node("DequantizeLinear", [source, *pair], [f"{value}.d"])
        return f"{value}.d"

    def input(self, name: str, shape: list[int], scale: float = 0.03, zero: int = 5) -> str:
        """A float input, quantized."""
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return self.quantize(name, scale, zero)

    def output(self, value: str, scale: float, zero: int) -> None:
        """A float output: ``value``, quantized."""
        name = self.quantize(value, scale, zero)
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        self.quanta[name] = scale

    def model(self) -> onnx.ModelProto:
        """The model."""
        graph = helper.make_graph(self.nodes, "g", self.inputs, self.outputs, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        return onnx.shape_inference.infer_shapes(made, strict_mode=True)


def integer(model: onnx.ModelProto) -> Graph:
    return to_integer(to_qdq(import_model(model)))


def integer_name(made: Quantized) -> str:
    """What notes call the only operator between."""
    (node,) = (n for n in import_model(made.model()).nodes if n.op not in ("QuantizeLinear", "DequantizeLinear"))
    return f"{node.name} ({node.op})"


def agrees(made: Quantized, folder: Path, *, left: set[str] | None = None) -> Graph:
    """Compile, run and compare within one quantum; what lies between the edges must be integer."""
    model = made.model()
    rng = np.random.default_rng(7)
    feeds = {i.name: rng.standard_normal([d.dim_value for d in i.type.tensor_type.shape.dim]).astype(np.float32)
             for i in made.inputs}  # fmt: skip
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    want = dict(zip([o.name for o in made.outputs], session.run(None, feeds), strict=True))
    for target in TARGETS:
        got = pilotfish.compile(model, target=target, output=folder / target).run(feeds)
        interpreted = interpret(optimize(import_model(model), targets.load(target)), feeds)
        for name, quantum in made.quanta.items():
            assert np.abs(interpreted[name] - want[name]).max() <= 1.001 * quantum, f"{name} as interpreted"
            assert got[name].shape == want[name].shape
            assert np.abs(got[name] - want[name]).max() <= 1.001 * quantum, f"{name} on {target}"
            assert np.mean(np.abs(got[name] - want[name]) > 1e-5) < 0.05, f"{name} on {target}: not ties only"
            assert np.unique(want[name]).size > 8  # the test tells something
    graph = integer(model)
    floats = [n for n in graph.nodes if n.op == "pf.Dequantize" and n.outputs[0] not in graph.outputs]
    assert {n.attrs["note"] for n in floats} == (left or set())
    return graph


@pytest.mark.parametrize("axis", [1, 3])
def test_a_split_hands_out_parts_in_int8(axis: int, tmp_path: Path) -> None:
    made = Quantized()
    x = made.input("x", [2, 6, 5, 7] if axis == 1 else [2, 3, 5, 12])
    made.constant("sizes", np.array([1, 2, 3] if axis == 1 else [4, 2, 6]))
    made.node("Split", [x, "sizes"], ["a", "b", "c"], axis=axis)
    made.output("a", 0.03, 5)  # as the whole
    made.output("b", 0.05, -9)
    made.node("Relu", ["c"], ["r"])
    made.output("r", 0.02, -128)
    graph = agrees(made, tmp_path)
    assert [n.op for n in graph.nodes].count("pf.Requantize") == 2


def test_the_parts_of_a_split_need_no_quantization_of_their_own(tmp_path: Path) -> None:
    made = Quantized()
    x = made.input("x", [1, 8, 4, 4])
    made.node("Split", [x], ["a", "b"], axis=1, num_outputs=2)
    made.node("Mul", ["a", "b"], ["m"])
    made.output("m", 0.06, 3)
    agrees(made, tmp_path)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("reduced", [[2, 3], [-1], [2]], ids=["image", "row", "column"])
def test_a_mean_over_spatial_axes_is_a_pool(reduced: list[int], keepdims: int, tmp_path: Path) -> None:
    made = Quantized()
    x = made.input("x", [2, 24, 5, 7])
    made.constant("axes", np.array(reduced))
    made.node("ReduceMean", [x, "axes"], ["m"], keepdims=keepdims)
    made.node("Relu", ["m"], ["r"])
    made.output("r", 0.007, -100)
    graph = agrees(made, tmp_path)
    assert "pf.QAveragePool" in {n.op for n in graph.nodes}


def test_a_mean_over_channels_stays_in_float(tmp_path: Path) -> None:
    made = Quantized()
    x = made.input("x", [2, 24, 5, 7])
    made.constant("axes", np.array([1]))
    made.node("ReduceMean", [x, "axes"], ["m"])
    made.output("m", 0.011, 3)
    reason = "only means over the spatial axes of an image have an integer form"
    agrees(made, tmp_path, left={f"dequantized for {integer_name(made)}: {reason}"})


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("last", [True, False], ids=["channels-last", "channels-first"])
@pytest.mark.parametrize("shape", [[2, 24, 1, 1], [2, 1, 5, 7], [1, 24, 5, 1], [7]], ids=str)
def test_an_operand_that_repeats(op: str, last: bool, shape: list[int], tmp_path: Path) -> None:
    made = Quantized()
    x = made.input("x", [2, 24, 5, 7])
    if last:
        made.node("MaxPool", [x], ["p"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        x = made.quantize("p", 0.03, 5)
    s = made.input("s", shape, 0.02, -20)
    made.node(op, [x, s], ["m"])
    made.node("Relu", ["m"], ["r"])
    made.output("r", 0.037, -128)
    assert "pf.QBinary" in {n.op for n in agrees(made, tmp_path).nodes}


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("shape", [(24, 1, 1), (1, 24, 1, 1), (1, 1, 1, 7)], ids=str)
@pytest.mark.parametrize("last", [True, False], ids=["channels-last", "channels-first"])
def test_a_constant_that_repeats(op: str, shape: tuple[int, ...], last: bool, tmp_path: Path) -> None:
    made = Quantized()
    x = made.input("x", [1, 24, 5, 7])
    if last:
        made.node("MaxPool", [x], ["p"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        x = made.quantize("p", 0.03, 5)
    values = np.random.default_rng(5).integers(-128, 128, shape).astype(np.int8)
    c = made.quantize("c", 0.017, 0, made.constant("c.q", values))
    made.node(op, [c, x], ["m"])
    made.output("m", 0.041, 2)
    assert "pf.QBinary" in {n.op for n in agrees(made, tmp_path).nodes}


@pytest.mark.parametrize(
    ("op", "number", "first"),
    [("Add", 0.7, False), ("Sub", 0.4, True), ("Mul", -1.3, False), ("Div", 2.1, False), ("Max", -0.4, False)],
)
@pytest.mark.parametrize("quantized", [True, False], ids=["quantized", "float"])
def test_an_operator_with_one_number_is_a_table(
    op: str, number: float, first: bool, quantized: bool, tmp_path: Path
) -> None:
    made = Quantized()
    x = made.input("x", [2, 3, 5, 7])
    if quantized:
        c = made.quantize("c", abs(number) / 100, 0, made.constant("c.q", np.array(np.sign(number) * 100, np.int8)))
    else:
        c = made.constant("c", np.array([number], np.float32))
    made.node(op, [c, x] if first else [x, c], ["m"])
    made.output("m", 0.041, 2)
    assert "pf.Lut" in {n.op for n in agrees(made, tmp_path).nodes}


def test_squeeze_and_excite_is_integer(tmp_path: Path) -> None:
    made = Quantized()
    x = made.input("x", [2, 8, 6, 6])
    rng = np.random.default_rng(2)
    for name, inside, outside in (("w0", 8, 3), ("w1", 3, 8)):
        values = rng.integers(-127, 128, (outside, inside, 1, 1)).astype(np.int8)
        made.quantize(name, 0.01, 0, made.constant(f"{name}.q", values))
    made.node("GlobalAveragePool", [x], ["p"])
    p = made.quantize("p", 0.006, 1)
    made.node("Conv", [p, "w0.d"], ["a"])
    a = made.quantize("a", 0.01, -3)
    made.node("Conv", [a, "w1.d"], ["b"])
    b = made.quantize("b", 0.012, 4)
    made.node("Sigmoid", [b], ["g"])
    g = made.quantize("g", 1 / 256, -128)
    made.node("Mul", [x, g], ["m"])
    made.output("m", 0.02, 3)
    agrees(made, tmp_path)


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("sizes", [[10, 14], [3, 9]], ids=["twice as large", "odd ratios"])
def test_linear_resizing_changes_the_scale_too(coordinates: str, sizes: list[int], tmp_path: Path) -> None:
    made = Quantized()
    x = made.input("x", [2, 20, 5, 7])
    made.constant("sizes", np.array([2, 20, *sizes]))
    how = {"mode": "linear", "coordinate_transformation_mode": coordinates}
    made.node("Resize", [x, "", "", "sizes"], ["m"], **how)
    made.output("m", 0.0217, -7)
    assert "pf.QResize" in {n.op for n in agrees(made, tmp_path).nodes}


def test_cubic_resizing_stays_in_float(tmp_path: Path) -> None:
    made = Quantized()
    x = made.input("x", [1, 4, 5, 7])
    made.constant("scales", np.array([1, 1, 1.5, 2], np.float32))
    made.node("Resize", [x, "", "scales"], ["m"], mode="cubic")
    made.output("m", 0.0217, -7)
    reason = "only linear resizing of the pixels of an image has an integer form"
    agrees(made, tmp_path, left={f"dequantized for {integer_name(made)}: {reason}"})
