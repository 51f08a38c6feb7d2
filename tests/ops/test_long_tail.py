"""Operators beyond convolutions, at sizes and with combinations that ONNX's node tests do not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from against_ort import Example, assert_agree, example
from onnx import helper

from pilotfish.compiler import targets
from pilotfish.errors import OperatorError
from pilotfish.pipeline import compile_graph, import_model

node = helper.make_node
RNG = np.random.default_rng(17)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def numbers(*values: int) -> Any:
    return np.array(values, np.int64)


def one(op: str, x: Any, label: str = "", **rest: Any) -> Example:
    """A node that reads ``x``, then the constants given by name in order; lower-case attributes otherwise."""
    constants = {k: v for k, v in rest.items() if k.startswith("in_")}
    attributes = {k: v for k, v in rest.items() if k not in constants}
    return example(label or op, [node(op, ["x", *constants], ["y"], **attributes)], {"x": x}, **constants)


def recurrent() -> Iterator[Example]:
    steps, batch, width, hidden = 7, 2, 5, 9
    for op, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
            weights = {
                "w": floats(count, gates * hidden, width), "r": floats(count, gates * hidden, hidden) * 0.3,
                "b": floats(count, 2 * gates * hidden),
            }  # fmt: skip
            outputs = ["y", "h", "c"] if op == "LSTM" else ["y", "h"]
            attributes = {"linear_before_reset": 1} if op == "GRU" and direction == "forward" else {}
            made = node(op, ["x", "w", "r", "b"], outputs, hidden_size=hidden, direction=direction, **attributes)
            yield example(f"{op} {direction}", [made], {"x": floats(steps, batch, width)}, outputs, **weights)
    made = node("LSTM", ["x", "w", "r", "", "", "h0", "c0"], ["", "y", ""], hidden_size=33)
    feeds = {"x": floats(4, 1, 40), "h0": floats(1, 1, 33), "c0": floats(1, 1, 33)}
    yield example("LSTM, last state of given ones", [made], feeds, w=floats(1, 132, 40), r=floats(1, 132, 33) * 0.1)


def moving() -> Iterator[Example]:
    yield one("Transpose", floats(2, 3, 2, 3, 2, 3, 2), "Transpose of seven", perm=[6, 0, 5, 1, 4, 2, 3])
    yield one("Transpose", floats(37, 50).astype(np.float16), "Transpose of halves", perm=[1, 0])
    yield one("Transpose", RNG.integers(0, 255, (3, 40, 21)).astype(np.uint8), "of bytes", perm=[2, 0, 1])
    yield one("Tile", floats(3, 1, 5), in_r=numbers(2, 7, 3))
    yield one("Expand", floats(4, 1, 9), in_s=numbers(2, 4, 6, 1))
    yield one("Gather", floats(6, 50), "rows", in_i=numbers(3, -1, 0, 5), axis=0)
    yield one("Gather", floats(6, 50), "one column", in_i=np.int64(7), axis=1)
    yield one("Gather", floats(6, 50), "many columns", in_i=RNG.integers(-50, 50, (3, 9)), axis=1)
    picks = [node("Gather", ["x", "i"], ["y"], axis=1)]
    yield example("computed", picks, {"x": floats(3, 8, 40), "i": np.array([1, -8, 7], np.int32)})
    yield one("Slice", floats(5, 40, 9), in_s=numbers(100, 2), in_e=numbers(-100, 30), in_a=numbers(0, 1),
              in_t=numbers(-1, 3))  # fmt: skip
    yield one("Pad", floats(4, 7), "Pad with wrapping", in_p=numbers(3, 2, 4, 6), mode="wrap")
    yield one("Pad", floats(3, 30, 30), in_p=numbers(0, 2, 1, 0, 1, 3), in_v=np.float32(0.5))
    parts = [node("Split", ["x", "s"], ["a", "b", "c"], axis=1), node("Concat", ["c", "a", "b", "c"], ["y"], axis=1)]
    yield example("Split and Concat", parts, {"x": floats(1, 9, 40)}, s=numbers(2, 3, 4))
    halves = [node("Split", ["x"], ["a", "b"], axis=0, num_outputs=2), node("Sub", ["x", "a"], ["y"])]
    yield example("parts of a tensor that stays in use", [*halves, node("Neg", ["b"], ["z"])], {"x": floats(2, 60)},
                  ("y", "z"))  # fmt: skip


def computing() -> Iterator[Example]:
    for op in ("ReduceSum", "ReduceMean", "ReduceL2", "ReduceMax", "ReduceProd", "ReduceLogSumExp", "ReduceSumSquare"):
        for which in ((0,), (1, 3), (2,), (0, 1, 2, 3)):
            yield one(op, floats(3, 4, 5, 33), f"{op} {which}", in_a=numbers(*which), keepdims=len(which) % 2)
    yield one("ReduceSum", RNG.integers(-9, 9, (4, 5, 6)), "ReduceSum of integers", in_a=numbers(0, 2))
    for axis in (0, 1, 2):
        yield one("ArgMax", floats(4, 33, 20), f"ArgMax {axis}", axis=axis, keepdims=0)
        yield one("Softmax", floats(4, 33, 20), f"Softmax {axis}", axis=axis)
    top = [node("TopK", ["x", "k"], ["y", "i"], axis=1, largest=0)]
    yield example("TopK", top, {"x": floats(5, 60)}, ("y", "i"), k=numbers(7))
    yield one("CumSum", floats(3, 20, 9), in_a=np.int64(1), reverse=1, exclusive=1)
    yield one("LayerNormalization", floats(2, 9, 6, 11), in_s=floats(6, 11), in_b=floats(6, 11), axis=-2)
    yield one("LayerNormalization", floats(1, 12, 64), "and a scale for all", in_s=floats(64))
    for equation, shapes in (("bhid,bhjd->bhij", ((2, 3, 5, 8), (2, 3, 7, 8))), ("ij,kj->ki", ((4, 9), (6, 9))),
                             ("bij,bjk->bik", ((3, 4, 5), (3, 5, 6))), ("...ij,j->...i", ((2, 3, 4, 5), (5,))),
                             ("ii->i", ((6, 6),))):  # fmt: skip
        names = [f"x{i}" for i in range(len(shapes))]
        yield example(equation, [node("Einsum", names, ["y"], equation=equation)],
                      {n: floats(*s) for n, s in zip(names, shapes, strict=True)})  # fmt: skip
    yield one("MaxPool", floats(1, 2, 6, 7, 5), "MaxPool of volumes", kernel_shape=[2, 3, 2], strides=[1, 2, 1])
    places = [node("MaxPool", ["x"], ["y", "i"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])]
    yield example("MaxPool and its places", places, {"x": floats(2, 3, 9, 9)}, ("y", "i"))
    for mode, coordinates in (("linear", "align_corners"), ("cubic", "half_pixel"), ("nearest", "asymmetric")):
        yield one("Resize", floats(1, 3, 6, 7), f"Resize {mode}", in_roi=np.zeros(0, np.float32),
                  in_s=np.zeros(0, np.float32), in_z=numbers(1, 3, 13, 5), mode=mode,
                  coordinate_transformation_mode=coordinates)  # fmt: skip
    # Only one tap of a kernel with stride 3 reaches some outputs, and none reaches others.
    yield one("ConvTranspose", floats(1, 4, 5, 6), "gaps", in_w=floats(4, 3, 2, 2), in_b=floats(3), strides=[3, 3])
    yield one("ConvTranspose", floats(2, 4, 30), "of a signal", in_w=floats(4, 6, 4), strides=[2], pads=[1, 1])
    clipped = [node("ConvTranspose", ["x", "w"], ["c"], strides=[2, 2]), node("Relu", ["c"], ["y"])]
    yield example("and a clamp", clipped, {"x": floats(1, 4, 5, 6)}, w=floats(4, 3, 3, 3))


def folding() -> Iterator[Example]:
    """What goes into weights: each with as many rows as columns, so that a wrong axis would fit."""
    after = [node("ConvTranspose", ["x", "w", "b"], ["c"], group=3), node("BatchNormalization", ["c", *"stmv"], ["y"])]
    rest = {n: floats(6) for n in "stm"} | {"v": np.abs(floats(6)), "w": floats(6, 2, 3, 3), "b": floats(6)}
    yield example("into a grouped ConvTranspose", after, {"x": floats(2, 6, 4, 5)}, **rest)
    for label, shape in (("rows", (5, 1)), ("columns", (5,)), ("all", (5, 5))):
        nodes = [node("MatMul", ["x", "w"], ["c"]), node("Mul", ["c", "s"], ["y"])]
        yield example(f"scaled {label} of a product", nodes, {"x": floats(2, 5, 7)}, w=floats(7, 5), s=floats(*shape))
    nodes = [node("MatMul", ["x", "w"], ["c"]), node("BatchNormalization", ["c", *"stmv"], ["y"])]
    rest = {n: floats(5) for n in "stm"} | {"v": np.abs(floats(5)), "w": floats(7, 5)}
    yield example("normalized rows of a product", nodes, {"x": floats(2, 5, 7)}, **rest)
    yield example("normalized product", nodes, {"x": floats(4, 7)}, **rest)


@pytest.mark.parametrize(("target", "vlen"), [("host", None), ("rv64gcv", 128), ("rv64gcv", 512)])
def test_long_tail(target: str, vlen: int | None) -> None:
    assert_agree([*recurrent(), *moving(), *computing(), *folding()], targets.load(target), vlen, relative=1e-4)


@pytest.mark.parametrize(
    ("nodes", "feeds", "words"),
    [
        ([node("TopK", ["x", "k"], ["y", "i"])], {"x": floats(3, 4), "k": numbers(2)}, "depends on run-time values"),
        ([node("Slice", ["x", "s", "s"], ["y"])], {"x": floats(3, 4), "s": numbers(0)}, "depends on run-time values"),
        ([node("CumSum", ["x", "a"], ["y"])], {"x": floats(3, 4), "a": np.int64(0)}, "its axis must be constant"),
        (
            [node("BatchNormalization", ["x", *"abcd"], ["y", "m", "v"], training_mode=1)],
            {"x": floats(1, 2, 3), **{n: floats(2) for n in "abcd"}},
            "training mode is not compiled",
        ),
        (
            [node("Conv", ["x", "w"], ["y"])],
            {"x": floats(1, 2, 5, 5), "w": floats(3, 2, 2, 2)},
            "weights and bias must be constants",
        ),
    ],
)
def test_what_is_not_compiled_is_refused_in_words(
    nodes: list[onnx.NodeProto], feeds: dict[str, Any], words: str
) -> None:
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.asarray(v).dtype), np.shape(v))
         for n, v in feeds.items()],
        [helper.make_tensor_value_info("y", 1, [None] * feeds["x"].ndim)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    with pytest.raises(OperatorError, match=words):
        compile_graph(import_model(model), targets.load("host"))
