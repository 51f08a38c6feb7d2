"""Whatever is wrong with a model or with calibration data: a typed error that says what, and no file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import pilotfish
from conftest import dense_model
from pilotfish import errors
from pilotfish.measure.quantize.calibration import labels_file

Array = np.ndarray[Any, Any]
GOOD = np.random.default_rng(0).standard_normal((6, 1, 8)).astype(np.float32)


def convolution(shape: tuple[Any, ...] = (1, 1, 8, 8), dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    weights = np.ones((2, 1, 3, 3), helper.tensor_dtype_to_np_dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], "conv")],
        "conv",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, [None] * 4)],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def refused(kind: type[errors.PilotfishError], words: str, tmp_path: Path, *args: Any, **how: Any) -> None:
    """The call raises that error with those words, and leaves no file."""
    out = tmp_path / "out.onnx"
    with pytest.raises(kind, match=words):
        pilotfish.quantize(*args, output=out, **how)
    assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


# Calibration data


def changed(where: int, value: float) -> Array:
    x = GOOD.copy()
    x.flat[where] = value
    return x


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((6, 1, 9), np.float32), r"'x' has shape 6x1x9, expected x: float32\[1x8\]"),
        (np.zeros(8, np.float32), "has shape 8,"),
        (np.zeros((2, 3, 1, 8), np.float32), "has shape 2x3x1x8"),
        ({"x": np.float32(1)}, "has shape scalar"),
        ({"wrong": GOOD}, r"no input is called 'wrong'; expected x: float32\[1x8\]"),
        ({"x": GOOD, "z": GOOD}, "no input is called 'z'"),
        ({}, "input 'x' is missing"),
        ({"labels": np.arange(6)}, "input 'x' is missing"),
        (GOOD[:0], "'x' is empty"),
        (np.zeros((0, 8), np.float32), "'x' is empty"),
        ([], "gives no calibration data"),
        (changed(20, np.nan), "'x' holds NaN in 1 of 6 inferences"),
        (changed(9, np.inf), "'x' holds infinities in 1 of 6"),
        (GOOD.astype(np.float64) * 1e300, "holds infinities in 6 of 6"),
        (np.zeros((6, 1, 8), np.uint8), "dtype uint8, expected .*scale it as the network was trained"),
        (np.zeros((6, 1, 8), "U3"), "dtype str"),
        ([GOOD[0]], "item 1: it is a ndarray, not a dict"),
        ([{"x": GOOD[0]}, {"y": GOOD[0]}], "item 2: no input is called 'y'"),
        ([{"x": GOOD[0]}, {"x": changed(3, np.nan)}], "item 2: input 'x' holds NaN"),
        ([{"x": GOOD[0], "labels": 1}, {"x": GOOD[1]}], "item 2: some items have labels"),
        (
            [{"x": GOOD[:2], "labels": [1, 2, 3]}],
            "item 1.* each of the 2 inferences|each of the 2 inferences of .*item 1",
        ),
    ],
)
def test_arrays_that_do_not_fit(data: Any, words: str, tmp_path: Path) -> None:
    refused(errors.InputError, words, tmp_path, dense_model(), data)


def test_inputs_of_different_numbers_and_shapes(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["y"], "product")],
        "pair",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("a", ["n", 8]), ("b", [8, 3]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    b = np.zeros((5, 8, 3), np.float32)
    refused(errors.InputError, r"different numbers of inferences \(a: 6, b: 5\)", tmp_path, model, {"a": GOOD, "b": b})
    refused(errors.InputError, "has 2 inputs", tmp_path, model, GOOD)
    refused(errors.InputError, r"item 1: .*\(a: 6, b: 5\)", tmp_path, model, [{"a": GOOD, "b": b}])
    parts = [{"a": np.zeros((1, n, 8), np.float32), "b": b[0]} for n in (1, 2)]
    refused(errors.InputError, "item 2: input 'a' has shape 2x8, and 1x8 before", tmp_path, model, parts)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.arange(5), r"one for each of the 6 inferences .* not int64\[5\]"),
        (np.zeros(6), r"not float64\[6\]"),
        (np.zeros(0, int), r"not int64\[0\]"),
        (np.arange(6), "labels go from 0 to 5, output 'y' has 3 classes"),
        (np.arange(6) - 1, "labels go from -1"),
        (np.zeros((6, 2), int), "class scores for each of the 12 labels|has 3 classes|in all"),
    ],
)
def test_labels_that_do_not_fit(labels: Array, words: str, tmp_path: Path) -> None:
    refused(errors.InputError, words, tmp_path, dense_model(), GOOD, labels=labels)


def test_label_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "labels.npy").write_text("0 1 2")
    with pytest.raises(errors.InputError, match="not a NumPy file"):
        labels_file(tmp_path / "labels.npy")
    with pytest.raises(errors.StorageError, match=r"labels\.txt"):
        labels_file(tmp_path / "labels.txt")
    np.savez(tmp_path / "labels.npz", labels=np.arange(3))
    with pytest.raises(errors.UsageError, match="several arrays"):
        labels_file(tmp_path / "labels.npz")


# Files


def text(path: Path) -> None:
    path.write_text("not numbers")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    np.savez(path, x=GOOD)
    path.write_bytes(path.read_bytes()[:150])


def single(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, GOOD)


def pickled(path: Path) -> None:
    np.savez(path, x=np.array([{}, None], dtype=object))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (text, "cannot be read as calibration data"),
        (empty, "cannot be read as calibration data"),
        (truncated, "cannot be read as calibration data"),
        (single, "is a single array; save it by the input's name"),
        (pickled, "cannot be read as calibration data"),
    ],
)
def test_files_that_are_no_data(make: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    make(tmp_path / "x.npz")
    refused(errors.InputError, words, tmp_path, dense_model(), tmp_path / "x.npz")


def test_data_that_are_not_there(tmp_path: Path) -> None:
    refused(errors.StorageError, r"x\.npz: No such file", tmp_path, dense_model(), tmp_path / "x.npz")
    refused(errors.StorageError, r"x\.py: No such file", tmp_path, dense_model(), f"{tmp_path / 'x.py'}:f")
    refused(errors.UsageError, "not int", tmp_path, dense_model(), 7)
    refused(errors.UsageError, "at least one", tmp_path, dense_model(), GOOD, samples=0)


def test_folders_without_fitting_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "notes.txt").write_text("none")
    refused(errors.InputError, "holds no images", tmp_path, convolution(), folder)
    (folder / "a.png").write_bytes(b"not an image")
    refused(errors.InputError, r"a\.png", tmp_path, convolution(), folder)
    Image.new("L", (8, 8)).save(folder / "a.png")
    refused(errors.InputError, "an image does not fit input x", tmp_path, convolution((1, 5, 8, 8)), folder)
    refused(errors.UnboundShapeError, "--shape x=", tmp_path, convolution(("n", 1, "h", "w")), folder)
    refused(errors.InputError, "2 labels for the 1 images", tmp_path, convolution(), folder, labels=np.arange(2))
    content = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(content[: len(content) // 2])
    refused(errors.InputError, "not an image, or is damaged", tmp_path, convolution(), folder)


def test_preprocessing_that_does_not_fit(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("L", (8, 4)).save(folder / "a.png")
    recipe = tmp_path / "r.toml"
    recipe.write_text("scale = 1\n")
    refused(errors.UsageError, "does not cover the 8x8", tmp_path, convolution(), folder, preprocess=recipe)
    refused(errors.UsageError, "is no file, and no preset", tmp_path, convolution(), folder, preprocess="none")
    refused(errors.UsageError, "for a folder of images", tmp_path, dense_model(), GOOD, preprocess="imagenet")


# Scripts


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("def f(:\n", errors.InputError, r"data\.py:1 raises SyntaxError"),
        ("import no_such_module_at_all\n", errors.InputError, r"data\.py:1 raises ModuleNotFoundError"),
        ("x = 1\n\ndef g(): pass\n", errors.UsageError, "has no function 'f'; it has g"),
        ("f = 3\n", errors.UsageError, "has no function 'f'"),
        ("def f():\n    1 / 0\n", errors.InputError, r"data\.py:2 raises ZeroDivisionError: division by zero"),
        ("def f():\n    yield {}['a']\n", errors.InputError, r"data\.py:2 raises KeyError"),
        ("def f():\n    raise SystemExit(3)\n", errors.InputError, "raises SystemExit"),
        ("def f(a):\n    yield {}\n", errors.InputError, "raises TypeError"),
        ("def f():\n    return 5\n", errors.InputError, "returns a int; it must yield"),
        ("def f():\n    return {'x': 1}\n", errors.InputError, "returns a dict; it must yield"),
        ("def f():\n    yield 5\n", errors.InputError, "item 1: it is a int, not a dict"),
        ("def f():\n    return\n    yield\n", errors.InputError, "gives no calibration data"),
        ("def f():\n    yield {'x': 'word'}\n", errors.InputError, "item 1: input 'x' has dtype str"),
        ("def f():\n    yield {'x': [[1.0] * 8, [2.0]]}\n", errors.InputError, "item 1: input 'x' is no array"),
    ],
)
def test_scripts_that_fail(script: str, kind: type[errors.PilotfishError], words: str, tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(script)
    refused(kind, words, tmp_path, dense_model(), f"{tmp_path / 'data.py'}:f")


def test_a_script_without_a_function_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_bytes(b"\xff\xfe\x00")
    refused(errors.UsageError, r"data\.py:FUNCTION", tmp_path, dense_model(), tmp_path / "data.py")
    refused(errors.InputError, r"raises SyntaxError", tmp_path, dense_model(), f"{tmp_path / 'data.py'}:f")
    (tmp_path / "folder.py").mkdir()
    refused(errors.StorageError, "folder.py: Is a directory", tmp_path, dense_model(), f"{tmp_path / 'folder.py'}:f")


def test_a_script_that_never_ends_is_cut(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(
        "import numpy as np\ndef f():\n    while True:\n        yield {'x': np.ones((1, 8), np.float32)}\n"
    )
    assert pilotfish.quantize(dense_model(), f"{tmp_path / 'data.py'}:f", samples=20).report.inferences == 20


# Models


def test_a_model_that_is_quantized_already(tmp_path: Path) -> None:
    once = pilotfish.quantize(dense_model(), GOOD, output=tmp_path / "once.onnx").model
    refused(errors.ModelError, "quantized already", tmp_path, once, GOOD)
    refused(errors.ModelError, r"once\.onnx is quantized already \(.*DequantizeLinear", tmp_path,
            tmp_path / "once.onnx", GOOD)  # fmt: skip


@pytest.mark.parametrize("op", ["DynamicQuantizeLinear", "MatMulInteger", "com.microsoft.QLinearAdd"])
def test_other_forms_of_quantized_models(op: str, tmp_path: Path) -> None:
    model = dense_model()
    domain, _, kind = op.rpartition(".")
    node = helper.make_node(kind, ["x"], ["q", "s", "z"], "quant", domain=domain)
    model.graph.node.append(node)
    onnx.checker.check_model(dense_model())
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    if kind == "MatMulInteger":
        del node.output[:], model.graph.node[-1].output[1:]
        model.graph.node[-1].input.append("x")
    refused(errors.ModelError, f"quantized already \\(1 {kind}\\)", tmp_path, model, GOOD)


def test_models_of_a_wrong_kind(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(100))
    refused(errors.NotAModelError, r"m\.onnx", tmp_path, tmp_path / "m.onnx", GOOD)
    refused(errors.StorageError, "no such file", tmp_path, tmp_path / "none.onnx", GOOD)
    refused(errors.StorageError, "cannot read", tmp_path, tmp_path, GOOD)
    refused(errors.UsageError, "a model is an ONNX file", tmp_path, 3, GOOD)
    half = np.zeros((2, 1, 1, 8, 8), np.float16)
    refused(errors.ModelError, "computes in float16; export it in float32", tmp_path,
            convolution(dtype=TensorProto.FLOAT16), half)  # fmt: skip


def test_a_model_that_makes_no_numbers(tmp_path: Path) -> None:
    model = convolution()
    weights = np.full((2, 1, 3, 3), 1e38, np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    data = np.full((2, 1, 1, 8, 8), 1e3, np.float32)
    refused(errors.ModelError, "makes infinities or NaN at 'y'", tmp_path, model, data)
    model = dense_model()
    del model.graph.node[-1]
    model.graph.node.append(helper.make_node("Sqrt", ["h"], ["y"], "root"))
    refused(errors.ModelError, "makes infinities or NaN at 'y'", tmp_path, model, GOOD)


# Options


def test_unknown_nodes_are_named_with_those_that_are_close(tmp_path: Path) -> None:
    refused(errors.UsageError, "no node is called 'fcc'; there is fc", tmp_path, dense_model(), GOOD, exclude=["fcc"])
    refused(errors.UsageError, "there is fc, act", tmp_path, dense_model(), GOOD, exclude=["§"])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"method": "magic"}, "unknown calibration method 'magic'; there are minmax, entropy, percentile"),
        ({"min_snr": 30, "min_accuracy": 90}, "name one goal"),
        ({"min_accuracy": 101, "labels": np.zeros(6, int)}, "between 0 and 100"),
        ({"min_accuracy": 90}, "needs labels"),
        ({"min_accuracy": 100, "labels": np.array([0, 1, 2, 0, 1, 2])}, "the float model itself is right on"),
        ({"shapes": {"nope": (1, 8)}}, "no input is called 'nope'"),
        ({"shapes": {"x": (2, 8)}}, "does not fit input 'x'"),
    ],
)
def test_options_that_cannot_be(how: dict[str, Any], words: str, tmp_path: Path) -> None:
    refused(errors.UsageError, words, tmp_path, dense_model(), GOOD, **how)


def test_a_goal_that_only_float_reaches(tmp_path: Path) -> None:
    refused(errors.MismatchError, "500 dB cannot be reached in int8", tmp_path, dense_model(), GOOD, min_snr=500)


# The output


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    onnx.save(dense_model(), tmp_path / "m.onnx")
    content = (tmp_path / "m.onnx").read_bytes()
    calls: list[str] = []
    for out, kind, words in (
        (tmp_path / "no" / "out.onnx", errors.StorageError, "cannot write"),
        (tmp_path / "m.onnx" / "out.onnx", errors.StorageError, "cannot write"),
        (tmp_path, errors.UsageError, "is a directory"),
        (tmp_path / "m.onnx", errors.UsageError, "is the float model itself"),
        (Path("/proc/out.onnx"), errors.StorageError, "cannot write"),
    ):
        with pytest.raises(kind, match=words):
            pilotfish.quantize(tmp_path / "m.onnx", GOOD, output=out, progress=calls.append)
    assert not calls, "told before any work is done"
    assert (tmp_path / "m.onnx").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_what_was_there_stays_if_quantization_fails(tmp_path: Path) -> None:
    (tmp_path / "out.onnx").write_text("mine")
    with pytest.raises(errors.InputError):
        pilotfish.quantize(dense_model(), changed(0, np.nan), output=tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx").read_text() == "mine"
    pilotfish.quantize(dense_model(), GOOD, output=tmp_path / "out.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "out.onnx"))
