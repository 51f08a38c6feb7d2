"""Quantized models become integer programs that agree with ONNX Runtime's run of the same file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import networks
import pilotfish
from pilotfish.compiler.passes.integer_rules import to_integer
from pilotfish.compiler.passes.qlinear import to_qdq
from pilotfish.pipeline import import_model

RNG = np.random.default_rng(11)
INTEGER_FREE = {"Softmax"}  # what has no integer form in the benchmark networks


class Random(CalibrationDataReader):
    """Four normal inputs of a shape."""

    def __init__(self, name: str, shape: list[int]) -> None:
        rng = np.random.default_rng(3)
        self.batches: Iterator[dict[str, np.ndarray]] = iter(
            [{name: rng.standard_normal(shape).astype(np.float32)} for _ in range(4)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def quantized(model: onnx.ModelProto, folder: Path, *, unsigned: bool = False, qdq: bool = True) -> onnx.ModelProto:
    """The model after static quantization by ONNX Runtime."""
    source, made = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(model, source)
    given = model.graph.input[0]
    quantize_static(
        source,
        made,
        Random(given.name, [d.dim_value for d in given.type.tensor_type.shape.dim]),
        per_channel=True,
        quant_format=QuantFormat.QDQ if qdq else QuantFormat.QOperator,
        activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    return onnx.load(made)


def outputs(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {model.graph.input[0].name: x})[0])


def quantum(model: onnx.ModelProto) -> float:
    """The scale of the last quantization."""
    last = [n for n in model.graph.node if n.op_type == "DequantizeLinear"][-1]
    (scale,) = [i for i in model.graph.initializer if i.name == last.input[1]]
    return float(numpy_helper.to_array(scale).reshape(()))


def random_input(model: onnx.ModelProto) -> np.ndarray:
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("unsigned", [False, True], ids=["int8", "uint8"])
@pytest.mark.parametrize("name", ["tinycnn", "kws", "resnet8", "vww", "autoencoder"])
def test_a_quantized_network_is_integer_and_agrees(name: str, unsigned: bool, tmp_path: Path) -> None:
    model = quantized(networks.NETWORKS[name](), tmp_path, unsigned=unsigned)
    left = {n.op for n in to_integer(to_qdq(import_model(model))).nodes} - INTEGER_FREE
    assert not left & {"Conv", "Gemm", "MatMul", "Add", "MaxPool", "AveragePool", "Relu", "Clip"}
    x = random_input(model)
    want = outputs(model, x)
    bundle = pilotfish.compile(model, target="rv64gcv", output=tmp_path / "out")
    for vlen in (128, 256, 512, 1024):
        (got,) = bundle.run({model.graph.input[0].name: x}, vlen=vlen).values()
        assert np.abs(got - want).max() <= quantum(model) * 1.001, f"VLEN {vlen}"


@pytest.mark.parametrize("target", ["host", "sifive-u74"])
def test_the_scalar_program_computes_the_same_bits(target: str, tmp_path: Path) -> None:
    model = quantized(networks.NETWORKS["resnet8"](), tmp_path)
    x = random_input(model)
    vector = pilotfish.compile(model, target="rv64gcv", output=tmp_path / "vector").run({"input": x})
    scalar = pilotfish.compile(model, target=target, output=tmp_path / "scalar").run({"input": x})
    for name in vector:
        np.testing.assert_array_equal(vector[name], scalar[name])


def model_of(nodes: list[onnx.NodeProto], x: list[int], y: list[int], *constants: onnx.TensorProto) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        list(constants),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def constant(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(array, name)


def mixed() -> onnx.ModelProto:
    """Convolutions with groups and dilation, concatenation of two scales, tables, a product, pools, a plain Relu."""
    w = [RNG.standard_normal(s).astype(np.float32) * 0.3 for s in ((8, 3, 3, 3), (8, 2, 3, 3), (12, 16, 1, 1))]
    return model_of(
        [
            helper.make_node("Conv", ["x", "w0"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Sigmoid", ["a"], ["s"]),
            helper.make_node("Mul", ["a", "s"], ["m"]),
            helper.make_node("Conv", ["m", "w1"], ["b"], group=4, dilations=[2, 1], pads=[2, 1, 2, 1]),
            helper.make_node("Relu", ["b"], ["r"]),
            helper.make_node("Concat", ["m", "r"], ["c"], axis=1),
            helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["p", "w2"], ["d"]),
            helper.make_node("Clip", ["d", "low", "high"], ["e"]),
            helper.make_node("AveragePool", ["e"], ["y"], kernel_shape=[2, 2]),
        ],
        [2, 3, 12, 10], [2, 12, 5, 4],
        *(constant(f"w{i}", each) for i, each in enumerate(w)),
        constant("low", np.array(-0.2, np.float32)), constant("high", np.array(0.7, np.float32)),
    )  # fmt: skip


@pytest.mark.parametrize("qdq", [True, False], ids=["QDQ", "QOperator"])
def test_operators_between_agree_within_one_quantum(qdq: bool, tmp_path: Path) -> None:
    model = quantized(mixed(), tmp_path, qdq=True)
    if not qdq:
        model = qlinear(model, {"Conv"})
    x = random_input(model)
    want = outputs(model, x)
    (got,) = pilotfish.compile(model, target="rv64gcv", output=tmp_path / "out").run({"x": x}).values()
    # ONNX Runtime rounds a mean of int8 otherwise than the specification, which ONNX's own evaluator follows.
    (meant,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert np.abs(got - meant).max() <= 1.001 * quantum(model)
    assert np.mean(np.abs(got - meant) > 1e-6) < 0.05  # means of four integers are often ties, up to float rounding
    assert np.abs(got - want).max() <= 1.001 * quantum(model)


def qlinear(model: onnx.ModelProto, kept: set[str]) -> onnx.ModelProto:
    """DequantizeLinear → Conv → QuantizeLinear fused into QLinearConv, as QOperator models have it."""
    makers = {o: n for n in model.graph.node for o in n.output}
    nodes = []
    for node in model.graph.node:
        source = makers.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        if source is None or source.op_type not in kept:
            nodes.append(node)
            continue
        nodes.remove(source)
        (x, w), (_, scale, zero) = (makers[i] for i in source.input[:2]), node.input
        fused = helper.make_node("QLinearConv", [*x.input, *w.input, scale, zero], node.output)
        fused.attribute.extend(source.attribute)
        nodes.append(fused)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def test_what_stays_in_float_is_named(tmp_path: Path) -> None:
    model = quantized(networks.NETWORKS["kws"](), tmp_path)
    bundle = pilotfish.compile(model, target="rv64gcv", output=tmp_path / "out")
    assert any("Softmax has no integer form" in note for note in bundle.manifest.notes)
