"""Programs that take the bytes of images, from the compiler to the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import pilotfish
from conftest import Command
from pilotfish.errors import InputError

Array = np.ndarray[Any, Any]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def network(channels: int = 3, height: int = 28, width: int = 21, batch: int = 1) -> onnx.ModelProto:
    """A padded convolution and the mean of each plane."""
    rng = np.random.default_rng(1)
    weights = numpy_helper.from_array((rng.standard_normal((8, channels, 3, 3)) * 0.3).astype(np.float32), "w")
    return _model([helper.make_node("Conv", ["x", "w"], ["h"], pads=[1, 1, 1, 1], strides=[2, 2]),
                   helper.make_node("GlobalAveragePool", ["h"], ["y"])],
                  (batch, channels, height, width), (batch, 8, 1, 1), [weights])  # fmt: skip


def quantized_network(scale: float, zero: int) -> onnx.ModelProto:
    """QuantizeLinear of the image, and a convolution in integers."""
    rng = np.random.default_rng(2)
    values = {
        "xs": np.float32(scale), "xz": np.uint8(zero), "w": rng.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8),
        "ws": np.float32(0.01), "wz": np.int8(0), "ys": np.float32(0.1), "yz": np.uint8(120),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["h"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("QuantizeLinear", ["h", "ys", "yz"], ["hq"]),
        helper.make_node("DequantizeLinear", ["hq", "ys", "yz"], ["y"]),
    ]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    return _model(nodes, (1, 3, 28, 22), (1, 8, 14, 11), constants)


def _model(
    nodes: list[onnx.NodeProto], x: tuple[int, ...], y: tuple[int, ...], constants: list[onnx.TensorProto]
) -> onnx.ModelProto:
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", x), ("y", y))]
    graph = helper.make_graph(nodes, "net", tensors[:1], tensors[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def reference(model: onnx.ModelProto, image: Array) -> Array:
    """What every tutorial does: to 0..1, normalise, planes first; then ONNX Runtime."""
    x = ((image / 255 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.fixture
def image() -> Array:
    return np.random.default_rng(3).integers(0, 256, (32, 24, 3)).astype(np.uint8)


@pytest.mark.parametrize("target", ["rv64gcv", "rv64gc", "host"])
def test_imagenet_in_float(target: str, image: Array) -> None:
    bundle = pilotfish.compile(network(), target=target, preprocess="imagenet")
    assert [str(t) for t in bundle.manifest.inputs] == ["x: uint8[1x32x24x3]"]
    assert bundle.manifest.steps[0].op == "pf.Halo"
    assert [s.op for s in bundle.manifest.steps].count("Transpose") == 0
    got = bundle.run({"x": image[None]})["y"]
    np.testing.assert_allclose(got, reference(network(), image[2:30, 2:23]), rtol=1e-5, atol=1e-6)
    assert bundle.verify(runs=2).relative <= 1e-5


@pytest.mark.parametrize("size", [(28, 22), (50, 61)])
@pytest.mark.parametrize(
    ("recipe", "scale", "zero", "kernel"),
    [
        ("mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\n", 0.0186, 114, "u8_qs8_preprocess"),
        ("mean = 0.5\nstd = 0.5\n", 2 / 255, 128, "u8_qs8_preprocess_lut"),  # every value lies on a tie
    ],
)
def test_int8_is_exact_at_every_vector_length(
    recipe: str, scale: float, zero: int, kernel: str, size: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / "r.toml").write_text(recipe + "resize = 'stretch'\n")
    model = quantized_network(scale, zero)
    bundle = pilotfish.compile(model, preprocess=tmp_path / "r.toml", image_size=size)
    wanted = kernel + ("_resized" if size != (28, 22) else "") + "_8v__rvv"
    assert wanted in [s.kernel for s in bundle.manifest.steps]
    assert not any(s.op in ("pf.Quantize", "Transpose") for s in bundle.manifest.steps[:3])
    for vlen in (128, 256, 1024):
        assert bundle.verify(vlen=vlen, runs=2).relative == 0


def test_int8_without_vectors(tmp_path: Path) -> None:
    bundle = pilotfish.compile(quantized_network(0.0186, 114), target="rv64gc", preprocess="imagenet")
    assert bundle.verify(runs=2).relative == 0


def test_another_order_of_channels_and_channels_last(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("source = 'RGB'\nmodel = 'BGR'\nscale = 1\nmean = [103.9, 116.8, 123.7]\n")
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model = _model(nodes, (1, 5, 7, 3), (1, 5, 7, 3), [])
    bundle = pilotfish.compile(model, preprocess=tmp_path / "r.toml")
    image = np.random.default_rng(4).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    want = np.maximum(image[..., ::-1] - np.array([103.9, 116.8, 123.7]), 0)
    np.testing.assert_allclose(bundle.run({"x": image[None]})["y"][0], want, rtol=1e-5, atol=1e-4)


def test_grey_and_several_at_once(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("height = 40\nwidth = 30\nresize = 'cover'\n")
    bundle = pilotfish.compile(network(1, batch=3), preprocess=tmp_path / "r.toml")
    assert [str(t) for t in bundle.manifest.inputs] == ["x: uint8[3x40x30x1]"]
    assert bundle.verify(runs=2, vlen=512).relative <= 1e-5


def test_image_files_are_taken_as_their_bytes(pilot: Command, image: Array, tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "m.onnx")
    Image.fromarray(image).save(tmp_path / "a.png")
    said = pilot("compile", tmp_path / "m.onnx", "--preprocess", "imagenet", "-o", tmp_path / "out", "-t", "host")
    assert "images   x: RGB bytes 24x32, cropped to 21x28, times 0.00392157, less (0.485, 0.456, 0.406)" in said.out
    (entry,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["preprocess"]
    assert (entry["input"], entry["height"], entry["width"], entry["std"]) == ("x", 32, 24, [0.229, 0.224, 0.225])
    said = pilot("run", tmp_path / "out", "--input", tmp_path / "a.png", "-o", tmp_path / "y.npy")
    assert said.status == 0
    assert "a.png, 24x32 RGB" in said.err
    assert "resized" not in said.err
    want = reference(network(), image[2:30, 2:23])
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), want, rtol=1e-5, atol=1e-6)
    (tmp_path / "a.raw").write_bytes(image.tobytes())
    assert pilot("run", tmp_path / "out", "--input", tmp_path / "a.raw", "-o", tmp_path / "z.npy").status == 0
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), np.load(tmp_path / "y.npy"))
    assert pilot("verify", tmp_path / "out", "--input", tmp_path / "a.png").status == 0

    Image.fromarray(image).resize((48, 64)).save(tmp_path / "large.png")
    said = pilot("run", tmp_path / "out", "--input", tmp_path / "large.png")
    assert (said.status, "resized to 24x32" in said.err) == (0, True)


def test_bad_words(pilot: Command, tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "m.onnx")
    command = ("compile", tmp_path / "m.onnx", "-o", tmp_path / "out")
    for words, answer in (
        (("--image-size", "32x24"), "an image size goes with preprocessing"),
        (("--preprocess", "imagenet", "--image-size", "32"), "not of the form HEIGHTxWIDTH"),
        (("--preprocess", "imagenet", "--image-size", "0x9"), "not of the form HEIGHTxWIDTH"),
        (("--preprocess", "cifar"), "no file, and no preset (imagenet)"),
    ):
        said = pilot(*command, *words)
        assert said.status == 2
        assert answer in " ".join(said.err.split())
    assert not (tmp_path / "out").exists()


def test_numbers_instead_of_bytes_are_refused(image: Array) -> None:
    bundle = pilotfish.compile(network(), target="host", preprocess="imagenet")
    with pytest.raises(InputError, match=r"expected dtype uint8 \(x: uint8\[1x32x24x3\]\)"):
        bundle.run({"x": image[None].astype(np.float32)})
