"""Every pass keeps the meaning of a graph: its outputs, by NumPy, before and after, and by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pilotfish.compiler import passes, targets
from pilotfish.compiler.ops.interpreter import interpret
from pilotfish.pipeline import import_model

RNG = np.random.default_rng(5)


def weights(*shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(RNG.standard_normal(shape).astype(np.float32) * 0.3)


def model(nodes: list[onnx.NodeProto], x: tuple[int, ...], y: tuple[int, ...], **constants: object) -> onnx.ModelProto:
    initializers = []
    for name, value in constants.items():
        tensor = value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value))
        tensor.name = name
        initializers.append(tensor)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(op: str, inputs: str, output: str, **attrs: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], **attrs)


def residual() -> onnx.ModelProto:
    return model(
        [
            node("Conv", "x w1 b1", "a", pads=[1, 1, 1, 1]),
            node("BatchNormalization", "a s t m v", "n"),
            node("Relu", "n", "r"),
            node("Conv", "r w2", "c", auto_pad="SAME_UPPER", strides=[2, 2]),
            node("Conv", "x w3", "d", strides=[2, 2]),
            node("Add", "c d", "e"),
            node("Clip", "e low high", "f"),
            node("MaxPool", "f", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", "p", "q"),
            node("Gemm", "q wf bf", "y", transB=1),
        ],
        (2, 3, 12, 10), (2, 7),
        w1=weights(8, 3, 3, 3), b1=weights(8), s=weights(8), t=weights(8), m=weights(8),
        v=np.abs(RNG.standard_normal(8)).astype(np.float32) + 0.5,
        w2=weights(16, 8, 3, 3), w3=weights(16, 3, 1, 1), low=np.float32(-0.5), high=np.float32(2),
        wf=weights(7, 16 * 3 * 2), bf=weights(7),
    )  # fmt: skip


def depthwise_concat() -> onnx.ModelProto:
    return model(
        [
            node("Conv", "x w1", "a", group=4, pads=[1, 1, 1, 1]),
            node("Sigmoid", "a", "s"),
            node("Mul", "a s", "m"),
            node("Concat", "m x", "c", axis=1),
            node("GlobalAveragePool", "c", "g"),
            node("Mul", "c g", "k"),
            node("Transpose", "k", "y", perm=[0, 2, 3, 1]),
        ],
        (1, 4, 6, 5), (1, 6, 5, 8),
        w1=weights(4, 1, 3, 3),
    )  # fmt: skip


def attention() -> onnx.ModelProto:
    return model(
        [
            node("MatMul", "x wq", "q0"),
            node("Add", "q0 bq", "q"),
            node("MatMul", "x wk", "k"),
            node("Transpose", "k", "kt", perm=[0, 2, 1]),
            node("MatMul", "q kt", "s"),
            node("Softmax", "s", "p", axis=-1),
            node("MatMul", "p x", "y"),
        ],
        (2, 9, 16), (2, 9, 16),
        wq=weights(16, 16), bq=weights(16), wk=weights(16, 16),
    )  # fmt: skip


MODELS = {"residual": residual, "depthwise_concat": depthwise_concat, "attention": attention}


@pytest.mark.parametrize("target", ["rv64gcv", "rv64gc"])
@pytest.mark.parametrize("name", MODELS)
def test_every_pass_keeps_the_meaning(name: str, target: str) -> None:
    proto = MODELS[name]()
    x = RNG.standard_normal([d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]).astype(np.float32)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (want,) = session.run(None, {"x": x})
    graph = import_model(proto)
    for title, run in passes.PASSES:
        graph = run(graph, targets.load(target)).validated()
        got = interpret(graph, {"x": x})["y"]
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5, err_msg=f"after {title}")


def test_a_transpose_before_a_product_is_folded_into_its_weights() -> None:
    graph = passes.optimize(import_model(residual()), targets.load("rv64gcv"))
    after_pool = [n.op for n in graph.nodes][[n.op for n in graph.nodes].index("MaxPool") :]
    assert "Transpose" not in after_pool


def test_batch_normalization_and_clamps_leave_no_step() -> None:
    graph = passes.optimize(import_model(residual()), targets.load("rv64gcv"))
    assert not {"BatchNormalization", "Relu"} & {n.op for n in graph.nodes}
