"""What preprocessing means, against Pillow, PyTorch, ONNX Runtime and the definition in float64."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from pilotfish import pipeline
from pilotfish.compiler import passes, targets
from pilotfish.compiler.graph import Graph, Node, TensorType, preprocessing, recipes
from pilotfish.compiler.graph.preprocessing import Preprocessing
from pilotfish.compiler.kernels import table
from pilotfish.compiler.kernels.preprocess import line
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.preprocess import quantized
from pilotfish.compiler.passes.preprocess import add_preprocessing
from pilotfish.errors import UsageError

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(7)
GRID_ERROR = 2 * 255 / 512  # half of 1/256 pixel on both axes, on the steepest edge there is


def recipe(source: tuple[int, int], resized: tuple[int, int], *, channels: str = "RGB", **more: Any) -> Preprocessing:
    """Resizing alone, unless more is said."""
    count = len(channels)
    settled: dict[str, Any] = {
        "input": "x", "layout": "NHWC", "source": channels, "model": channels, "height": source[0], "width": source[1],
        "resized_height": resized[0], "resized_width": resized[1], "top": 0, "left": 0, "model_height": resized[0],
        "model_width": resized[1], "scale": 1.0, "mean": (0.0,) * count, "std": (1.0,) * count,
    }  # fmt: skip
    return Preprocessing(**settled | more)


def picture(rows: int, cols: int, channels: int = 3) -> Array:
    return RNG.integers(0, 256, (1, rows, cols, channels)).astype(np.uint8)


def bilinear(image: Array, rows: int, cols: int) -> Array:
    """The definition in float64: half-pixel centres, borders repeated."""

    def axis(x: Array, at: int, size: int) -> Array:
        position = np.clip((np.arange(size) + 0.5) * x.shape[at] / size - 0.5, 0, x.shape[at] - 1)
        first = np.floor(position).astype(int)
        part = (position - first).reshape([-1 if i == at else 1 for i in range(x.ndim)])
        return x.take(first, at) * (1 - part) + x.take(np.minimum(first + 1, x.shape[at] - 1), at) * part

    return axis(axis(image.astype(np.float64), 1, rows), 2, cols)


SIZES = [((7, 9), (7, 9)), ((13, 21), (5, 8)), ((9, 4), (31, 17)), ((1, 1), (3, 2)), ((64, 48), (36, 27))]


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_resizing_is_bilinear_to_a_256th_of_a_pixel(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = picture(*source)
    got = preprocessing.resized(image, recipe(source, target))
    assert got.shape == (1, *target, 3)
    assert np.abs(got - bilinear(image, *target)).max() <= 0.5 + GRID_ERROR


@pytest.mark.parametrize(("source", "target"), [((8, 16), (16, 32)), ((32, 24), (16, 12)), ((16, 40), (8, 10))])
def test_ratios_of_powers_of_two_are_exact_and_one_rounding_from_pillow(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    image = picture(*source)
    got = preprocessing.resized(image, recipe(source, target)).astype(int)
    np.testing.assert_array_equal(got, np.floor(bilinear(image, *target) + 0.5))
    # Pillow's transform samples the same positions, and cuts off what lies behind the point.
    scale = [source[1] / target[1], 0, 0, 0, source[0] / target[0], 0]
    pillow = Image.fromarray(image[0]).transform(target[::-1], Image.Transform.AFFINE, scale, Image.Resampling.BILINEAR)
    apart = got[0] - np.asarray(pillow).astype(int)
    assert set(np.unique(apart)) <= {0, 1}


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_pytorch_resizes_the_same_way(source: tuple[int, int], target: tuple[int, int]) -> None:
    import torch

    image = picture(*source)
    planes = torch.from_numpy(np.moveaxis(image, -1, 1).astype(np.float32))
    want = torch.nn.functional.interpolate(planes, target, mode="bilinear", antialias=False).numpy()
    got = preprocessing.resized(image, recipe(source, target))
    assert np.abs(np.moveaxis(got, -1, 1) - want).max() <= 0.5 + GRID_ERROR + 1e-4


@settings(max_examples=200, deadline=None)
@given(size_in=st.integers(1, 5000), size_out=st.integers(1, 5000))
def test_positions_stay_inside_and_on_the_grid(size_in: int, size_out: int) -> None:
    first, part = preprocessing.positions(size_in, size_out)
    assert first.min() >= 0
    assert part.min() >= 0
    assert part.max() < 256
    assert (first + (part > 0)).max() < size_in
    exact = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
    assert np.abs(first + part / 256 - exact).max() <= 1 / 512 + 1e-9


def test_imagenet_is_what_torchvision_documents() -> None:
    graph = pipeline.import_model(model((1, 3, 224, 224)))
    plain = recipes.settle(recipes.load("imagenet"), graph)
    assert (plain.height, plain.width, plain.top, plain.left, plain.resizes) == (256, 256, 16, 16, False)
    wide = recipes.settle(recipes.load("imagenet"), graph, (480, 640))
    assert (wide.resized_height, wide.resized_width, wide.top, wide.left) == (256, 341, 16, 58)
    assert (wide.height, wide.width) == (480, 640)
    tall = recipes.settle(recipes.load("imagenet"), graph, (640, 480))
    assert (tall.resized_height, tall.resized_width, tall.top, tall.left) == (341, 256, 58, 16)
    image = picture(256, 256)
    want = image[0, 16:240, 16:240].astype(np.float64) / 255
    want = ((want - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)
    np.testing.assert_allclose(preprocessing.apply(plain, image)[0], want, rtol=1e-6, atol=1e-6)


def test_channels_are_put_in_the_order_of_the_model() -> None:
    p = recipe((2, 2), (2, 2), model="BGR", layout="NCHW", mean=(1.0, 2.0, 3.0))
    image = picture(2, 2)
    got = preprocessing.apply(p, image)
    np.testing.assert_array_equal(got[0, 0], image[0, ..., 2].astype(np.float32) - 1)
    np.testing.assert_array_equal(got[0, 2], image[0, ..., 0].astype(np.float32) - 3)


@settings(max_examples=100, deadline=None)
@given(factor=st.floats(0.05, 4), offset=st.floats(-300, 300))
def test_factors_that_are_found_are_right_fused_or_not(factor: float, offset: float) -> None:
    real = np.arange(256) * factor + offset
    wanted = np.clip(np.rint(real), -128, 127).astype(np.int8)
    found = line(wanted, factor, offset)
    nearest = np.abs(real - np.floor(real) - 0.5).min()
    if found is None:
        assert nearest < 1e-3  # only where a value nearly is a tie
        return
    a, b = (np.float32(v) for v in found)
    once = np.array([float(a) * i + float(b) for i in range(256)]).astype(np.float32)
    twice = np.arange(256, dtype=np.float32) * a + b
    for v in (once, twice):
        np.testing.assert_array_equal(np.clip(np.rint(v), -128, 127).astype(np.int8), wanted)


def test_no_factors_are_found_for_what_is_no_line() -> None:
    assert line(RNG.integers(-128, 128, 256).astype(np.int8), 1.0, -128.0) is None


def model(shape: tuple[int, ...], **inputs: tuple[int, ...]) -> Any:
    """The mean of each image of input x."""
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in {"x": shape, **inputs}.items()]
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0]])
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "axes")
    graph = helper.make_graph([node], "mean", given, [out], [axes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mean = ", "not TOML"),
        ("means = 1", "unknown key 'means'; the keys are input, height"),
        ("mean = [1, 2]", r"mean must be a number, or one for each channel, not \[1, 2\]"),
        ("mean = nan", "mean must be a number"),
        ("std = [1, 0, 1]", "std must be a number other than 0"),
        ("height = 0", "height must be a number of pixels"),
        ("width = true", "width must be"),
        ("resize = 'fit'", "one of none, cover, stretch"),
        ("resize = [3]", "resize must be"),
        ("crop = 1.5", "a fraction from 0.01 to 1"),
        ("source = 'RGBA'", "one of L, RGB, BGR"),
        ("source = 'L'", r"source = 'L', but the model takes 3 channel\(s\)"),
        ("input = 'y'", "no input is called 'y'; there are x"),
        ("height = 10", "10x24, does not cover the 32x24 of input 'x'"),
        ("height = 64\nwidth = 20000\nresize = 'cover'", "only pictures of up to 10922 pixels a row"),
    ],
)
def test_bad_recipes_are_answered_in_words(text: str, words: str, tmp_path: Path) -> None:
    graph = pipeline.import_model(model((1, 3, 32, 24)))
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        recipes.settle(recipes.load(tmp_path / "r.toml"), graph)


def test_recipe_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "preprocessing.md").read_text("utf-8")
    found = recipes.parse(tomllib.loads(re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0]), "page")
    assert (found.input, found.height, found.resize, found.crop, found.model) == ("images", 480, "cover", 0.875, "BGR")
    assert found.scale == recipes.Recipe("").scale == 1 / 255
    imagenet = recipes.load("imagenet")
    assert (found.crop, found.mean, found.std) == (imagenet.crop, imagenet.mean, imagenet.std)


def test_what_does_not_fit_the_model_is_answered_in_words(tmp_path: Path) -> None:
    imagenet = recipes.load("imagenet")
    with pytest.raises(UsageError, match=r"no file, and no preset \(imagenet\)"):
        recipes.load(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        recipes.load(tmp_path)
    with pytest.raises(UsageError, match="1 or 3 channels, first or last"):
        recipes.settle(imagenet, pipeline.import_model(model((1, 8, 8, 8))))
    with pytest.raises(UsageError, match="mean has 3 numbers, the model takes 1"):
        recipes.settle(imagenet, pipeline.import_model(model((1, 1, 8, 8))))
    with pytest.raises(UsageError, match="name the image input"):
        recipes.settle(imagenet, pipeline.import_model(model((1, 3, 8, 8), z=(1, 3, 8, 8))))
    with pytest.raises(UsageError, match="1 to 65536 pixels a side"):
        recipes.settle(imagenet, pipeline.import_model(model((1, 3, 8, 8))), (0, 8))


@pytest.mark.parametrize("unsigned", [False, True])
def test_quantized_bytes_are_those_of_onnx_runtime(unsigned: bool) -> None:
    p = recipe((1, 256), (1, 256), scale=1 / 255, mean=(0.485, 0.456, 0.5), std=(0.229, 0.224, 0.5))
    scale, zero = np.float32(2 / 255), 117 if unsigned else -11
    dtype = np.uint8 if unsigned else np.int8
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    values = [numpy_helper.from_array(np.array(v), n) for n, v in (("s", scale), ("z", dtype(zero)))]
    kind = TensorProto.UINT8 if unsigned else TensorProto.INT8
    x, y = (helper.make_tensor_value_info(n, t, [3, 256]) for n, t in (("x", TensorProto.FLOAT), ("y", kind)))
    graph = helper.make_graph([node], "q", [x], [y], values)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (want,) = session.run(None, {"x": preprocessing.values(p)})
    got = quantized(Node("pf.Preprocess", "", (), (), {"recipe": p, "scale": scale, "zero": zero - 128 * unsigned}))
    np.testing.assert_array_equal(got.astype(int) + 128 * unsigned, want.astype(int))


@settings(max_examples=60, deadline=None)
@given(
    source=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    target=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    swapped=st.booleans(),
    grey=st.booleans(),
    seed=st.integers(0, 99),
)
def test_lowered_tables_of_any_size_mean_the_same(
    source: tuple[int, int], target: tuple[int, int], cut: tuple[float, float], swapped: bool, grey: bool, seed: int
) -> None:
    """The graph's operator, lowered, its kernel's meaning run on the program's own tables: crops, orders, all sizes."""
    rows, cols = (max(1, round(size * part)) for size, part in zip(target, cut, strict=True))
    channels = "L" if grey else "RGB"
    p = recipe(
        source, target, channels=channels, model="BGR" if swapped and not grey else channels, model_height=rows,
        model_width=cols, top=(target[0] - rows) // 2, left=(target[1] - cols) // 2, layout="NCHW",
    )  # fmt: skip
    images = np.random.default_rng(seed).integers(0, 256, (2, *source, len(channels))).astype(np.uint8)
    bare = Graph("g", ("x",), ("y",), (), {}, {})
    kind = TensorType(np.dtype(np.float32), (2, len(channels), rows, cols))
    types = {"x": kind, "y": kind}
    graph = add_preprocessing(replace(bare, types=types, nodes=(Node("Relu", "relu", ("x",), ("y",)),)), p)
    target_ = targets.load("rv64gcv")
    program = Lowering(passes.optimize(graph, target_), target_).run()
    step = next(s for s in program.steps if s.op == "pf.Preprocess")
    buffers: list[Array] = []
    for name, offset in step.operands:
        buffer = program.buffers[name]
        data = images if buffer.space == "input" else buffer.data
        flat = np.zeros(buffer.nbytes, np.uint8) if data is None else np.ascontiguousarray(data).ravel()
        buffers.append(flat[offset // flat.itemsize :])
    row = table.kernels()[step.kernel]
    at = row.buffers.index("y")
    buffers[at] = buffers[at].view(np.float32)
    assert step.args is not None
    got = row.meaning(step.args[1], buffers)[at][: 2 * rows * cols * len(channels)]
    want = np.moveaxis(preprocessing.apply(p, images), 1, -1)
    np.testing.assert_array_equal(got.astype(np.float32), want.ravel())
