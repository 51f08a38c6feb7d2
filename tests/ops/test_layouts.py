"""What stands between two convolutions works on channels-last tensors, and gives what ONNX Runtime gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
from against_ort import Example, assert_agree, example
from onnx import NodeProto, helper

from pilotfish.compiler import passes, targets
from pilotfish.compiler.ops.interpreter import interpret
from pilotfish.pipeline import import_model

node = helper.make_node


def between(
    label: str, *nodes: NodeProto, x: tuple[int, ...] = (1, 5, 9, 11), channels: int = 6, pad: int = 1, **constants: Any
) -> Example:
    """conv → nodes from ``a`` to ``b`` → conv, with weights for ``channels`` channels behind; some padded."""
    rng = np.random.default_rng(7)
    taps = (3,) * (len(x) - 2)
    pads = [pad] * (2 * len(taps))
    constants |= {
        "w1": rng.standard_normal((6, x[1], *taps)).astype(np.float32) * 0.3,
        "w2": rng.standard_normal((4, channels, *taps)).astype(np.float32) * 0.3,
        "k": rng.standard_normal(6).astype(np.float32),
    }
    before = node("Conv", ["x", "w1", "k"], ["a"], name="before", pads=pads)
    after = node("Conv", ["b", "w2"], ["y"], name="after", pads=pads)
    feeds = {"x": rng.standard_normal(x).astype(np.float32)}
    return example(label, [before, *nodes, after], feeds, **constants)


def examples() -> Iterator[Example]:
    f32, i64 = np.float32, np.int64
    rng = np.random.default_rng(3)

    def channel(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32)

    yield between("sigmoid", node("Sigmoid", ["a"], ["b"]))
    yield between("signal", node("Tanh", ["a"], ["b"]), x=(2, 5, 17))
    yield between("add a constant per channel", node("Add", ["a", "c"], ["b"]), c=channel(6, 1, 1))
    yield between("a constant per column", node("Mul", ["a", "c"], ["b"]), c=channel(11))
    yield between("a whole constant", node("Sub", ["c", "a"], ["b"]), c=channel(1, 6, 9, 11))
    yield between("prelu", node("PRelu", ["a", "c"], ["b"]), c=channel(6, 1, 1))
    yield between("where", node("Less", ["a", "c"], ["m"]), node("Where", ["m", "a", "c"], ["b"]), c=channel(6, 1, 1))
    yield between("batch normalization", node("Sin", ["a"], ["s"]),
                  node("BatchNormalization", ["s", "c", "d", "d", "e"], ["n"]), node("Relu", ["n"], ["b"]),
                  c=channel(6), d=channel(6), e=np.abs(channel(6)))  # fmt: skip
    yield between("instance normalization", node("InstanceNormalization", ["a", "c", "d"], ["b"]),
                  c=channel(6), d=channel(6))  # fmt: skip
    yield between("lp normalization", node("LpNormalization", ["a"], ["b"], axis=1))
    for mode, value in (("constant", [1.5]), ("edge", [0]), ("reflect", [0])):
        pads = np.array([0, 0, 1, 2, 0, 0, 2, 3], i64)
        yield between(f"pad {mode}", node("Pad", ["a", "p", "v"], ["b"], mode=mode), p=pads, v=np.array(value, f32)[0])
    yield between(
        "pad channels", node("Pad", ["a", "p"], ["b"]), p=np.array([0, 1, 0, 0, 0, 2, 0, -1], i64), channels=9
    )
    yield between("slice channels", node("Slice", ["a", "s", "e", "x1"], ["b"]), channels=3,
                  s=np.array([1], i64), e=np.array([4], i64), x1=np.array([1], i64))  # fmt: skip
    yield between("slice rows backwards", node("Slice", ["a", "s", "e", "x1", "t"], ["b"]), s=np.array([-1], i64),
                  e=np.array([-99], i64), x1=np.array([2], i64), t=np.array([-2], i64))  # fmt: skip
    yield between("concat channels", node("Relu", ["a"], ["r"]), node("Neg", ["a"], ["n"]),
                  node("Concat", ["r", "n", "a"], ["b"], axis=1), channels=18)  # fmt: skip
    yield between("concat rows", node("Concat", ["a", "a"], ["b"], axis=-2))
    yield between("split channels", node("Split", ["a"], ["p", "q"], axis=1, num_outputs=2),
                  node("Mul", ["p", "q"], ["b"]), channels=3)  # fmt: skip
    yield between("max pool", node("MaxPool", ["a"], ["b"], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]))
    yield between("average pool", node("AveragePool", ["a"], ["b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                                       count_include_pad=1))  # fmt: skip
    yield between("pool of a signal", node("MaxPool", ["a"], ["b"], kernel_shape=[2], strides=[2]), x=(1, 5, 18))
    yield between("global pool and gate", node("GlobalAveragePool", ["a"], ["g"]), node("Sigmoid", ["g"], ["h"]),
                  node("Mul", ["a", "h"], ["b"]))  # fmt: skip
    yield between("mean and gate", node("ReduceMean", ["a", "axes"], ["g"], keepdims=1),
                  node("HardSigmoid", ["g"], ["h"]), node("Mul", ["h", "a"], ["b"]),
                  axes=np.array([2, 3], i64))  # fmt: skip
    yield between("mean without dimensions", node("ReduceMax", ["a", "axes"], ["g"], keepdims=0),
                  node("Reshape", ["g", "shape"], ["h"]), node("Add", ["h", "a"], ["b"]),
                  axes=np.array([2, 3], i64), shape=np.array([1, 6, 1, 1], i64))  # fmt: skip
    yield between("reduce channels", node("ReduceSum", ["a", "axes"], ["g"], keepdims=1),
                  node("Sub", ["a", "g"], ["b"]), axes=np.array([1], i64))  # fmt: skip
    yield between("softmax of channels", node("Softmax", ["a"], ["b"], axis=1))
    yield between("softmax of columns", node("LogSoftmax", ["a"], ["b"], axis=-1))
    yield between("lrn", node("LRN", ["a"], ["b"], size=3, alpha=0.01, beta=0.6, bias=1.5))
    for mode in ("nearest", "linear", "cubic"):
        yield between(f"resize {mode}", node("Resize", ["a", "", "s"], ["b"], mode=mode),
                      s=np.array([1, 1, 2, 1.5], f32))  # fmt: skip
    yield between("resize a signal", node("Resize", ["a", "", "s"], ["b"], mode="linear"), x=(1, 5, 17),
                  s=np.array([1, 1, 2], f32))  # fmt: skip
    yield between("depth to space", node("Concat", ["a", "a"], ["c"], axis=1),
                  node("DepthToSpace", ["c"], ["b"], blocksize=2), channels=3)  # fmt: skip
    yield between("crd", node("Concat", ["a", "a"], ["c"], axis=1),
                  node("DepthToSpace", ["c"], ["b"], blocksize=2, mode="CRD"), channels=3)  # fmt: skip
    yield between("space to depth", node("SpaceToDepth", ["a"], ["b"], blocksize=2), x=(1, 5, 8, 12), channels=24)
    yield between("transposed convolution", node("ConvTranspose", ["a", "t", "u"], ["c"], strides=[2, 2],
                  pads=[1, 0, 0, 1], output_padding=[1, 0]), node("Relu", ["c"], ["b"]),
                  t=channel(6, 7, 3, 3), u=channel(7), channels=7)  # fmt: skip
    yield between("grouped, dilated, transposed", node("ConvTranspose", ["a", "t"], ["b"], strides=[3, 2],
                  dilations=[2, 1], group=3), t=channel(6, 2, 2, 3))  # fmt: skip
    yield between("transpose", node("Transpose", ["a"], ["b"], perm=[0, 1, 3, 2]))
    yield between("cast", node("Cast", ["a"], ["c"], to=6), node("Cast", ["c"], ["b"], to=1))
    yield between("shuffle", node("Reshape", ["a", "s1"], ["c"]), node("Transpose", ["c"], ["d"], perm=[0, 2, 1, 3, 4]),
                  node("Reshape", ["d", "s2"], ["b"]), s1=np.array([1, 2, 3, 9, 11], i64),
                  s2=np.array([1, 6, 9, 11], i64))  # fmt: skip


@pytest.mark.parametrize(("target", "vlen"), [("host", None), ("rv64gcv", 128), ("rv64gcv", 512)])
def test_between_convolutions(target: str, vlen: int | None) -> None:
    assert_agree(list(examples()), targets.load(target), vlen)


def test_passes_keep_the_meaning() -> None:
    for e in examples():
        outputs = interpret(passes.optimize(import_model(e.model), targets.load("rv64gcv")), e.feeds)
        session = onnxruntime.InferenceSession(e.model.SerializeToString(), providers=["CPUExecutionProvider"])
        (wanted,) = session.run(None, dict(e.feeds))
        np.testing.assert_allclose(outputs["y"], wanted, rtol=0, atol=2e-5 * np.abs(wanted).max(), err_msg=e.label)


def test_elementwise_chains_and_their_neighbours_need_no_transposes() -> None:
    by_label = {e.label: e for e in examples()}
    free = ("sigmoid", "add a constant per channel", "prelu", "where", "batch normalization", "pad constant", "lrn",
            "slice channels", "concat channels", "split channels", "max pool", "global pool and gate",
            "mean and gate", "mean without dimensions", "softmax of channels", "resize nearest", "resize linear",
            "depth to space", "transposed convolution", "shuffle")  # fmt: skip
    for label in free:
        graph = passes.optimize(import_model(by_label[label].model), targets.load("rv64gcv"))
        transposes = [n.name for n in graph.nodes if n.op == "Transpose"]
        assert len(transposes) <= 2, f"{label}: {transposes}"  # the model's input and output
