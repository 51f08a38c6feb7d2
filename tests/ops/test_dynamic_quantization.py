"""Models quantized while they run, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from against_ort import Example, assert_agree, example
from batch import Job, run
from onnx import helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from pilotfish.compiler import targets
from pilotfish.errors import OperatorError
from pilotfish.pipeline import compile_graph, import_model

node = helper.make_node
TARGETS = pytest.mark.parametrize(("target", "vlen"), [("host", None), ("rv64gcv", 128), ("rv64gcv", 512)])


def mlp(folder: Path, *, per_channel: bool, weights: QuantType) -> Example:
    """Three layers with biases, rows of 33 numbers in; quantized by ONNX Runtime."""
    rng = np.random.default_rng(5)
    sizes, nodes, constants, value = (33, 40, 17, 5), [], {}, "x"
    for i, (depth, columns) in enumerate(pairwise(sizes)):
        constants[f"w{i}"] = (rng.standard_normal((depth, columns)) / np.sqrt(depth)).astype(np.float32)
        constants[f"b{i}"] = rng.standard_normal(columns).astype(np.float32)
        last = i == len(sizes) - 2
        nodes += [
            node("MatMul", [value, f"w{i}"], [f"m{i}"]),
            node("Add", [f"m{i}", f"b{i}"], ["y" if last else f"a{i}"]),
        ]
        if not last:
            nodes.append(node("Relu", [f"a{i}"], [f"r{i}"]))
            value = f"r{i}"
    made = example("", nodes, {"x": rng.standard_normal((3, 33)).astype(np.float32)}, **constants)
    quantized = folder / "quantized.onnx"
    onnx.save(made.model, folder / "float.onnx")
    quantize_dynamic(folder / "float.onnx", quantized, per_channel=per_channel, weight_type=weights)
    model = onnx.load(quantized)
    assert {n.op_type for n in model.graph.node} >= {"DynamicQuantizeLinear", "MatMulInteger"}
    return Example(f"MLP, per channel {per_channel}, {weights}", model, made.feeds)


@TARGETS
def test_dynamically_quantized_mlp(target: str, vlen: int | None, tmp_path: Path) -> None:
    examples = [
        mlp(tmp_path, per_channel=per_channel, weights=weights)
        for per_channel in (False, True)
        for weights in (QuantType.QInt8, QuantType.QUInt8)
    ]
    assert_agree(examples, targets.load(target), vlen, relative=1e-4)


def integer_examples() -> Iterator[Example]:
    rng = np.random.default_rng(6)

    def u8(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, shape).astype(np.uint8)

    def s8(*shape: int) -> np.ndarray:
        return rng.integers(-128, 128, shape).astype(np.int8)

    product = [node("MatMulInteger", ["a", "b", "za", "zb"], ["y"])]
    yield example("two matrices", product, {"a": u8(7, 30), "b": s8(30, 50)}, za=np.uint8(200), zb=np.int8(-3))
    yield example("columns", product, {"a": u8(7, 30), "b": u8(30, 50), "zb": u8(50)}, za=np.uint8(3))
    yield example("batches", product, {"a": u8(2, 3, 4, 9), "b": s8(2, 3, 9, 6)}, za=np.uint8(255), zb=np.int8(7))
    yield example("batches by one", product, {"a": u8(2, 3, 4, 9), "b": s8(9, 6)}, za=np.uint8(255), zb=s8(6))
    yield example("one by batches", product, {"a": u8(4, 9), "b": s8(3, 9, 6)}, za=np.uint8(255), zb=np.int8(1))
    yield example("many columns", product, {"a": u8(2, 9), "b": s8(9, 300)}, za=np.uint8(255), zb=s8(300))
    yield example("one column", [node("MatMulInteger", ["a", "b"], ["y"])], {"a": u8(5, 9), "b": u8(9, 1)})
    conv = ["x", "w", "zx", "zw"]
    zeros = {"zx": np.uint8(130), "zw": np.uint8(120)}
    for label, x, w, attributes in (
        ("plain", u8(2, 3, 9, 10), u8(4, 3, 3, 3), {}),
        ("pads, strides", u8(1, 3, 9, 40), u8(4, 3, 3, 3), {"pads": [1, 2, 0, 1], "strides": [2, 3]}),
        ("dilations", u8(1, 3, 9, 12), u8(4, 3, 2, 3), {"dilations": [3, 2], "pads": [2, 2, 2, 2]}),
        ("groups", u8(2, 6, 7, 7), u8(9, 2, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
        ("same", u8(1, 2, 9, 10), u8(4, 2, 3, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
        ("wide", u8(1, 2, 3, 300), u8(2, 2, 3, 3), {"pads": [1, 1, 1, 1]}),
        ("line", u8(2, 3, 20), u8(4, 3, 5), {"pads": [4, 1], "strides": [2]}),
    ):
        made = [node("ConvInteger", conv, ["y"], **attributes)]
        yield example(label, made, {"x": x, "w": w}, **zeros)
    yield example("computed zero point", [node("ConvInteger", conv[:3], ["y"])],
                  {"x": u8(1, 2, 5, 6), "w": u8(3, 2, 2, 2), "zx": u8()})  # fmt: skip
    for label, x in (
        ("normal", rng.standard_normal((3, 67)).astype(np.float32)),
        ("positive", rng.random(40).astype(np.float32) + 1),
        ("negative", -rng.random(31).astype(np.float32)),
        ("zeros", np.zeros(5, np.float32)),
        ("ties", (np.arange(-255, 256) / 2).astype(np.float32)),
    ):
        yield example(f"quantize {label}", [node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])], {"x": x}, "ysz")
    # Quantized statically, then multiplied as bytes; and quantized dynamically, then dequantized statically.
    mixed = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("MatMulInteger", ["q", "b", "z"], ["m"]),
        node("Cast", ["m"], ["f"], to=onnx.TensorProto.FLOAT), node("DynamicQuantizeLinear", ["f"], ["y", "ys", "yz"]),
        node("DequantizeLinear", ["y", "s", "z"], ["d"]), node("DequantizeLinear", ["q", "s", "z"], ["e"]),
        node("Relu", ["e"], ["r"]),
    ]  # fmt: skip
    yield example("with QDQ", mixed, {"x": rng.standard_normal((4, 8)).astype(np.float32)}, ("y", "d", "r", "q"),
                  s=np.float32(0.02), z=np.uint8(120), b=s8(8, 40))  # fmt: skip


@TARGETS
def test_integer_operators(target: str, vlen: int | None) -> None:
    assert_agree(list(integer_examples()), targets.load(target), vlen)


def test_zero_points_per_row(tmp_path: Path) -> None:
    """ONNX Runtime takes one zero point for the left side; NumPy says what more mean."""
    rng = np.random.default_rng(7)
    a, b = rng.integers(0, 256, (5, 12)).astype(np.uint8), rng.integers(0, 256, (12, 9)).astype(np.uint8)
    za, zb = rng.integers(0, 256, 5).astype(np.uint8), rng.integers(0, 256, 9).astype(np.uint8)
    wanted = (a.astype(np.int64) - za[:, None]) @ (b.astype(np.int64) - zb)
    made = example("rows", [node("MatMulInteger", ["a", "b", "za", "zb"], ["y"])], {"a": a, "b": b, "za": za, "zb": zb})
    target = targets.load("host")
    (got,) = run([Job(compile_graph(import_model(made.model), target), made.feeds)], target, tmp_path)
    np.testing.assert_array_equal(got["y"], wanted)


def test_wrong_zero_points_are_refused() -> None:
    feeds = {"a": np.zeros((4, 3), np.uint8), "b": np.zeros((3, 5), np.uint8), "za": np.zeros(3, np.uint8)}
    made = helper.make_model(helper.make_graph(
        [node("MatMulInteger", ["a", "b", "za"], ["y"])], "g",
        [helper.make_tensor_value_info(n, onnx.TensorProto.UINT8, x.shape) for n, x in feeds.items()],
        [helper.make_tensor_value_info("y", onnx.TensorProto.INT32, [4, 5])],
    ), opset_imports=[helper.make_opsetid("", 21)], ir_version=10)  # fmt: skip
    with pytest.raises(OperatorError, match="neither one number nor one per row"):
        compile_graph(import_model(made), targets.load("host"))
