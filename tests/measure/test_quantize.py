"""Quantization: the file says what it should, the figures are those of the file, and every form of data is read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import pilotfish
from conftest import dense_model, two_input_model
from pilotfish.measure import verify

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
Array = np.ndarray[Any, Any]


def model(
    nodes: list[onnx.NodeProto], constants: Mapping[str, Array], x: tuple[Any, ...], y: tuple[Any, ...]
) -> onnx.ModelProto:
    """A model with one input ``x`` and one output ``y``."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def convolution() -> onnx.ModelProto:
    """Conv, BatchNormalization, Relu on [1, 3, 6, 6] with filters of very different size."""
    rng = np.random.default_rng(3)
    constants = {
        "w": (rng.standard_normal((4, 3, 3, 3)) * np.array([1, 0.1, 3, 0.02]).reshape(4, 1, 1, 1)).astype(np.float32),
        "b": rng.standard_normal(4).astype(np.float32),
        "scale": rng.uniform(0.5, 2, 4).astype(np.float32),
        "shift": rng.standard_normal(4).astype(np.float32),
        "mean": rng.standard_normal(4).astype(np.float32),
        "variance": rng.uniform(0.5, 2, 4).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"], "norm"),
        helper.make_node("Relu", ["n"], ["y"], "act"),
    ]
    return model(nodes, constants, (1, 3, 6, 6), (1, 4, 6, 6))


def two_layers() -> onnx.ModelProto:
    """``y = relu(x·a)·b``, x [1, 8], y [1, 5]."""
    rng = np.random.default_rng(4)
    constants = {"a": rng.standard_normal((8, 16)), "b": rng.standard_normal((16, 5))}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], "first"),
        helper.make_node("Relu", ["h"], ["r"], "act"),
        helper.make_node("MatMul", ["r", "b"], ["y"], "second"),
    ]
    return model(nodes, {k: v.astype(np.float32) for k, v in constants.items()}, (1, 8), (1, 5))


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(proto: onnx.ModelProto, batch: Array, name: str = "x") -> Array:
    """ONNX Runtime's first output for each item of a batch; nothing is fused."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return np.stack([session.run(None, {name: item})[0] for item in batch])


def snr(want: Array, got: Array) -> float:
    want, got = want.astype(np.float64), got.astype(np.float64)
    return float(10 * np.log10((want**2).sum() / ((want - got) ** 2).sum()))


def parameters(proto: onnx.ModelProto, op: str, value: str) -> tuple[Array, Array]:
    """Scale and zero point of the QuantizeLinear or DequantizeLinear that reads a value."""
    constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    (node,) = (n for n in proto.graph.node if n.op_type == op and n.input[0] == value)
    return constants[node.input[1]], constants[node.input[2]]


# What is in the file


def test_scales_are_those_of_the_folded_network() -> None:
    """Weights: max |w| of a channel on 127, no zero point; values: their range on 255 steps; bias: both scales."""
    given, x = convolution(), normal(20, 1, 3, 6, 6)
    quantized = pilotfish.quantize(given, x).model
    onnx.checker.check_model(quantized, full_check=True)
    ops = [n.op_type for n in quantized.graph.node]
    assert (ops.count("Conv"), ops.count("BatchNormalization"), ops.count("Relu")) == (1, 0, 0)

    c = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in given.graph.initializer}
    factor = c["scale"] / np.sqrt(c["variance"] + 1e-5)
    folded = c["w"] * factor.reshape(4, 1, 1, 1)
    constants = {t.name: numpy_helper.to_array(t) for t in quantized.graph.initializer}
    (weights,) = (n for n, a in constants.items() if a.dtype == np.int8 and a.ndim == 4)
    scale, zero = parameters(quantized, "DequantizeLinear", weights)
    np.testing.assert_allclose(scale, np.abs(folded).max(axis=(1, 2, 3)) / 127, rtol=1e-5)
    assert not zero.any()
    np.testing.assert_array_equal(constants[weights], np.rint(folded / scale.reshape(4, 1, 1, 1)))

    x_scale, x_zero = parameters(quantized, "QuantizeLinear", "x")
    assert (x_zero.dtype, x_scale.shape) == (np.int8, ())
    np.testing.assert_allclose(x_scale, (x.max() - x.min()) / 255, rtol=1e-5)
    assert x_zero == np.rint(-128 - x.min() / x_scale)
    y = run(given, x)
    y_scale, y_zero = parameters(quantized, "QuantizeLinear", "y_QuantizeLinear_Input")
    np.testing.assert_allclose(y_scale, y.max() / 255, rtol=1e-5)
    assert y_zero == -128, "Relu is the lower end of the range"

    (bias,) = (n for n, a in constants.items() if a.dtype == np.int32 and a.shape == (4,) and a.any())
    np.testing.assert_allclose(parameters(quantized, "DequantizeLinear", bias)[0], x_scale * scale, rtol=1e-6)
    shifted = (c["b"] - c["mean"]) * factor + c["shift"]
    np.testing.assert_allclose(constants[bias] * (x_scale * scale), shifted, atol=(x_scale * scale).max())


def test_per_tensor_has_one_scale() -> None:
    quantized = pilotfish.quantize(convolution(), normal(4, 1, 3, 6, 6), per_tensor=True).model
    (weights,) = (t.name for t in quantized.graph.initializer if len(t.dims) == 4)
    assert parameters(quantized, "DequantizeLinear", weights)[0].shape == ()


def test_percentile_and_entropy_leave_outliers_out() -> None:
    x = normal(50, 1, 8)
    x[7, 0, 3] = 1000
    scales = {
        method: float(parameters(pilotfish.quantize(two_layers(), x, method=method).model, "QuantizeLinear", "x")[0])
        for method in ("minmax", "percentile", "entropy")
    }
    assert scales["minmax"] == pytest.approx((1000 - x.min()) / 255, rel=1e-5)
    assert scales["entropy"] < scales["minmax"] / 2
    y = normal(50, 100, 1, 8).reshape(-1, 1, 8)
    y[7, 0, 3] = 1000
    method = pilotfish.quantize(two_layers(), y, method="percentile", samples=5000).model
    assert parameters(method, "QuantizeLinear", "x")[0] < 1000 / 255 / 50


def test_excluded_nodes_stay_float_and_a_folded_one_is_where_it_went() -> None:
    for name in ("conv", "norm", "act"):
        result = pilotfish.quantize(convolution(), normal(4, 1, 3, 6, 6), exclude=[name])
        kept = {"norm": "conv"}.get(name, name)
        assert result.report.excluded == (kept,)
        weights = [t for t in result.model.graph.initializer if len(t.dims) == 4]
        assert [t.data_type for t in weights] == [TensorProto.INT8 if name == "act" else TensorProto.FLOAT]


@pytest.mark.parametrize("bounds", [(0.5, 3.0), (-3.0, -0.5), (0.0, 6.0), (-1.0, 1.0)])
def test_a_clip_keeps_its_bounds(bounds: tuple[float, float]) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], "first"),
        helper.make_node("Clip", ["h", "low", "high"], ["y"], "clip"),
    ]
    constants = {"a": normal(8, 5), "low": np.float32(bounds[0]), "high": np.float32(bounds[1])}
    given, x = model(nodes, constants, (1, 8), (1, 5)), normal(50, 1, 8)
    result = pilotfish.quantize(given, x)
    assert snr(run(given, x), run(result.model, x)) > 30


@pytest.mark.parametrize("shape", [(1, 8), (1, 6, 8), (2, 3, 4, 8)])
def test_a_product_and_its_bias_are_one_layer_with_a_bias_of_32_bits(shape: tuple[int, ...]) -> None:
    constants = {"a": normal(8, 5), "b": normal(5, seed=1) * 100}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], "product"),
        helper.make_node("Add", ["b", "h"], ["y"], "bias"),
    ]
    given, x = model(nodes, constants, shape, (*shape[:-1], 5)), normal(20, *shape)
    result = pilotfish.quantize(given, x)
    assert [layer.node for layer in result.report.layers] == ["product"]
    assert sum(t.data_type == TensorProto.INT32 and bool(t.dims) and t.dims[0] == 5
               for t in result.model.graph.initializer) >= 1  # fmt: skip
    quantum = parameters(result.model, "QuantizeLinear", "y_QuantizeLinear_Input")[0] if len(shape) == 2 else None
    want, got = run(given, x), run(result.model, x)
    assert snr(want, got) > 35
    assert quantum is None or np.abs(want - got).max() < 3 * quantum
    assert pilotfish.quantize(given, x, exclude=["bias"]).report.excluded == ("product",)


@pytest.mark.parametrize("keep", [0, 1])
def test_a_mean_over_planes_is_a_pool(keep: int) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], "conv"),
        helper.make_node("ReduceMean", ["h"], ["y"], "mean", axes=[-1, 2], keepdims=keep),
    ]
    y = (1, 4, 1, 1) if keep else (1, 4)
    given, x = model(nodes, {"w": normal(4, 3, 3, 3)}, (1, 3, 6, 6), y), normal(9, 1, 3, 6, 6)
    result = pilotfish.quantize(given, x)
    assert result.report.unquantized == ()
    assert run(result.model, x).shape == (9, *y)
    assert snr(run(given, x), run(result.model, x)) > 30


def test_output_file_is_the_model_and_the_same_on_every_run(tmp_path: Path) -> None:
    """The quantizer walks over sets, whose order changes with the hash seed."""
    for seed in ("1", "2"):
        words = ["quantize", DIGITS / "tinycnn.onnx", "--calib", f"{DIGITS / 'scans.py'}:calibration"]
        subprocess.run(
            [sys.executable, "-m", "pilotfish.cli.main", *map(str, words), "-o", str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
    content = (tmp_path / "1").read_bytes()
    assert content == (tmp_path / "2").read_bytes()
    assert b"/" + str(Path.home().name).encode() + b"/" not in content
    result = pilotfish.quantize(DIGITS / "tinycnn.onnx", f"{DIGITS / 'scans.py'}:calibration", output=tmp_path / "3")
    assert onnx.load(tmp_path / "3") == result.model
    assert result.report.bytes_after == (tmp_path / "3").stat().st_size == len(content)
    assert result.report.bytes_before == (DIGITS / "tinycnn.onnx").stat().st_size


# What it cost


def test_digits_lose_less_than_half_a_point() -> None:
    """Calibrated with training digits, asked about held-out ones, in ONNX Runtime with all its optimizations."""
    result = pilotfish.quantize(DIGITS / "tinycnn.onnx", f"{DIGITS / 'scans.py'}:calibration")
    with np.load(DIGITS / "heldout.npz") as data:
        images, labels = (data["images"][:, None, None] / np.float32(255)).astype(np.float32), data["labels"]
    accuracy = []
    for source in ((DIGITS / "tinycnn.onnx").read_bytes(), result.model.SerializeToString()):
        session = onnxruntime.InferenceSession(source)
        answers = [session.run(None, {"input": image})[0].argmax() for image in images]
        accuracy.append(100 * (np.array(answers) == labels).mean())
    assert accuracy[0] - accuracy[1] <= 0.5
    assert result.report.bytes_after < 0.32 * result.report.bytes_before


def test_snr_of_the_outputs_is_that_of_the_file() -> None:
    given, x = two_layers(), normal(30, 1, 8)
    result = pilotfish.quantize(given, x)
    assert result.report.snr == {"y": pytest.approx(snr(run(given, x), run(result.model, x)), abs=1e-3)}
    (last,) = (layer for layer in result.report.layers if layer.node == "second")
    assert last.accumulated == result.report.worst_snr


def test_a_layers_own_noise_is_that_of_the_network_with_only_this_layer_quantized() -> None:
    given, x = two_layers(), normal(30, 1, 8)
    layers = {layer.node: layer for layer in pilotfish.quantize(given, x).report.layers}
    assert set(layers) == {"first", "second"}
    alone = pilotfish.quantize(given, x, exclude=["first", "act"]).model
    assert layers["second"].own == pytest.approx(snr(run(given, x), run(alone, x)), abs=1e-3)
    assert layers["first"].own == layers["first"].accumulated, "nothing is before it"
    assert layers["second"].own > layers["second"].accumulated


def test_figures_of_weights_are_a_closed_form() -> None:
    given, x = two_layers(), normal(10, 1, 8)
    a = numpy_helper.to_array(given.graph.initializer[0]).astype(np.float64)
    for per_tensor in (False, True):
        layers = {layer.node: layer for layer in pilotfish.quantize(given, x, per_tensor=per_tensor).report.layers}
        largest = np.abs(a).max(axis=0)
        scale = (largest.max() if per_tensor else largest) / 127
        rounded = np.rint(a / scale) * scale
        noise = 10 * np.log10((a**2).sum(axis=0) / ((a - rounded) ** 2).sum(axis=0))
        assert layers["first"].weights == pytest.approx(np.median(noise), abs=0.01)
        assert layers["first"].spread == pytest.approx(largest.max() / np.median(largest), rel=1e-5)


def test_layers_come_worst_first_and_those_without_loss_are_counted() -> None:
    report = pilotfish.quantize(DIGITS / "tinycnn.onnx", f"{DIGITS / 'scans.py'}:calibration").report
    own = [layer.own for layer in report.layers]
    assert own == sorted(own)
    assert {layer.op for layer in report.layers} == {"Conv", "Gemm"}
    assert report.exact == 2, "the pool and the reshape"


def test_operators_that_stay_float_are_named() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], "first"),
        helper.make_node("Softmax", ["h"], ["y"], "probabilities"),
    ]
    report = pilotfish.quantize(model(nodes, {"a": normal(8, 5)}, (1, 8), (1, 5)), normal(9, 1, 8)).report
    assert report.unquantized == ("probabilities",)


def test_accuracy_of_a_model_that_gives_classes_and_data_that_are_all_zero() -> None:
    given = two_layers()
    given.graph.node.append(helper.make_node("ArgMax", ["y"], ["class"], "class", axis=1, keepdims=0))
    del given.graph.output[:]
    given.graph.output.append(helper.make_tensor_value_info("class", TensorProto.INT64, [1]))
    result = pilotfish.quantize(given, np.zeros((3, 1, 8), np.float32), labels=[0, 0, 1])
    assert result.report.accuracy_before == result.report.accuracy_after == pytest.approx(200 / 3)
    assert result.report.snr == {}


def test_accuracy_is_counted_with_labels_from_either_place() -> None:
    given, x = two_layers(), normal(40, 1, 8)
    labels = np.arange(40) % 5
    answers = run(given, x).reshape(40, 5).argmax(axis=1)
    for result in (
        pilotfish.quantize(given, {"x": x, "labels": labels}),
        pilotfish.quantize(given, x, labels=labels),
        pilotfish.quantize(given, [{"x": x[i : i + 8], "labels": labels[i : i + 8]} for i in range(0, 40, 8)]),
    ):
        assert result.report.accuracy_before == pytest.approx(100 * (answers == labels).mean())
        got = run(result.model, x).reshape(40, 5).argmax(axis=1)
        assert result.report.accuracy_after == pytest.approx(100 * (got == labels).mean())
    assert pilotfish.quantize(given, x).report.accuracy_before is None


# Goals


def test_a_goal_is_reached_with_no_layer_too_many_in_float() -> None:
    given, x = DIGITS / "tinycnn.onnx", f"{DIGITS / 'scans.py'}:calibration"
    assert pilotfish.quantize(given, x, min_snr=30).report.kept == ()
    report = pilotfish.quantize(given, x, min_snr=42).report
    assert report.worst_snr >= 42
    assert report.kept == ("node_linear",)
    assert pilotfish.quantize(given, x, exclude=["node_conv2d"]).report.worst_snr < 42


def test_onnx_runtime_as_reference_leaves_float_layers_in_float(tmp_path: Path) -> None:
    """Its optimizer quantizes them again unless told not to; per tensor, at that."""
    x = normal(5, 1, 1, 28, 28) / 4 + np.float32(0.5)
    model = Path(__file__).parents[1] / "data" / "depthwise.onnx"
    result = pilotfish.quantize(model, x, exclude=["depthwise1"], output=tmp_path / "mixed.onnx")
    (got,) = verify.reference(tmp_path / "mixed.onnx", {"input": x})
    np.testing.assert_allclose(got, run(result.model, x, "input"), atol=0.1)


# Every form of data


def save_npz(folder: Path, x: Array) -> str:
    np.savez(folder / "x.npz", x=x)
    return str(folder / "x.npz")


def save_script(folder: Path, x: Array) -> str:
    np.save(folder / "x.npy", x)
    (folder / "beside.py").write_text("STEP = 3\n")
    (folder / "data.py").write_text(
        "from pathlib import Path\nimport numpy as np\nimport beside\n\n"
        "def calls():\n    x = np.load(Path(__file__).with_name('x.npy'))\n"
        "    for i in range(0, len(x), beside.STEP):\n        yield {'x': x[i : i + beside.STEP]}\n"
    )
    return f"{folder / 'data.py'}:calls"


def save_images(folder: Path, x: Array) -> Path:
    (folder / "images" / "deeper").mkdir(parents=True)
    (folder / "images" / "notes.txt").write_text("no image")
    for number, image in enumerate(x):
        name = f"{number:02}.png" if number < len(x) - 1 else "deeper/last.png"
        pixels = np.rint(image[0].transpose(1, 2, 0) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name)
    return folder / "images"


FORMS: dict[str, Callable[[Path, Array], Any]] = {
    "npz": save_npz,
    "script": save_script,
    "images": save_images,
    "dict": lambda _, x: {"x": x},
    "array": lambda _, x: x,
    "own batch": lambda _, x: x[:, 0],
    "float64": lambda _, x: {"x": x.astype(np.float64)},
    "dicts": lambda _, x: [{"x": item} for item in x],
    "generator": lambda _, x: ({"x": item[None]} for item in x),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data_gives_the_same_model(form: str, tmp_path: Path) -> None:
    x = (np.random.default_rng(0).integers(0, 256, (7, 1, 3, 6, 6)) / np.float32(255)).astype(np.float32)
    want = pilotfish.quantize(convolution(), x)
    got = pilotfish.quantize(convolution(), FORMS[form](tmp_path, x))
    assert got.model == want.model
    assert got.report == want.report


def test_images_go_through_the_preprocessing_that_a_program_would_do(tmp_path: Path) -> None:
    """Its middle, and statistics per channel: as written out here in NumPy."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (5, 8, 8, 3), np.uint8)
    (tmp_path / "images").mkdir()
    for number, pixels in enumerate(small):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    (tmp_path / "recipe.toml").write_text("mean = [0.4, 0.5, 0.6]\nstd = 0.25\n")
    x = (small[:, 1:7, 1:7] / 255 - [0.4, 0.5, 0.6]) / 0.25
    want = pilotfish.quantize(convolution(), x.transpose(0, 3, 1, 2)[:, None].astype(np.float32))
    got = pilotfish.quantize(convolution(), tmp_path / "images", preprocess=tmp_path / "recipe.toml")
    assert got.model == want.model


def test_free_dimensions_are_bound_by_the_data_or_by_the_user() -> None:
    given, x = dense_model("n"), normal(6, 8)
    fixed = pilotfish.quantize(dense_model(1), x[:, None])
    assert pilotfish.quantize(given, x).report.snr == fixed.report.snr
    two = pilotfish.quantize(given, x, shapes={"x": (2, 8)})
    assert two.report.inferences == 3
    assert [d.dim_value for d in two.model.graph.input[0].type.tensor_type.shape.dim] == [2, 8]


def test_a_model_of_several_inputs() -> None:
    nodes = [
        helper.make_node("MatMul", ["left", "w"], ["h"], "product"),
        helper.make_node("Add", ["h", "right"], ["y"], "sum"),
    ]
    graph = helper.make_graph(
        nodes,
        "pair",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("left", [1, 8]), ("right", [1, 3]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(normal(8, 3), "w")],
    )
    given = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = {"left": normal(12, 1, 8), "right": normal(12, 1, 3, seed=1)}
    result = pilotfish.quantize(given, data)
    assert result.report.worst_snr > 30
    assert {n.input[0] for n in result.model.graph.node if n.op_type == "QuantizeLinear"} >= {"left", "right"}


def test_more_data_than_wanted_are_thinned_out_evenly_and_that_is_said(tmp_path: Path) -> None:
    x = normal(9, 1, 8)
    want = pilotfish.quantize(two_layers(), x[[0, 4, 8]])
    thinned = pilotfish.quantize(two_layers(), x, samples=3)
    assert thinned.model == want.model
    assert "3 of the 9 inferences" in thinned.report.notes[0]
    first = pilotfish.quantize(two_layers(), save_script(tmp_path, x), samples=3).report
    assert first.inferences == 3
    assert "first 3" in first.notes[0]


def test_the_users_process_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    import logging

    handlers, path = list(logging.getLogger().handlers), list(sys.path)
    pilotfish.quantize(two_layers(), normal(3, 1, 8), method="entropy")
    assert (logging.getLogger().handlers, sys.path) == (handlers, path)
    assert capfd.readouterr() == ("", "")


def test_the_pair_model_has_nothing_to_quantize() -> None:
    with pytest.raises(pilotfish.errors.ModelError, match="no convolution and no matrix product"):
        pilotfish.quantize(two_input_model(), {"left": normal(1, 2, 5), "right": normal(1, 2, 5)})


def test_what_is_quantized_compiles_and_gives_onnx_runtimes_answers(tmp_path: Path) -> None:
    result = pilotfish.quantize(DIGITS / "tinycnn.onnx", f"{DIGITS / 'scans.py'}:calibration")
    with np.load(DIGITS / "heldout.npz") as data:
        x = (data["images"][:50, None, None] / np.float32(255)).astype(np.float32)
    bundle = pilotfish.compile(result.model, target="host", output=tmp_path / "out")
    got, want = bundle.run({"input": x})["logits"], run(result.model, x, "input")
    quantum = parameters(result.model, "QuantizeLinear", "logits_QuantizeLinear_Input")[0]
    assert np.abs(got - want).max() <= 1.001 * quantum
    assert (got == want).mean() > 0.99
