"""Depthwise convolutions: agreement with ONNX Runtime, the choice of a kernel, and what it costs."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pilotfish.compiler import targets
from pilotfish.compiler.kernels import dwconv, table
from pilotfish.compiler.kernels.table import Array, Case, Kernel
from pilotfish.measure.kernel_harness import count_cases, run_cases

RVV = targets.load("rv64gcv")
# rows, cols, channels, taps, stride
Layer = tuple[int, int, int, int, int]
LAYERS: dict[str, Layer] = {
    "kws": (25, 5, 64, 3, 1),
    "vww 48": (48, 48, 8, 3, 1),
    "vww 24, stride 2": (24, 24, 16, 3, 2),
    "vww 12": (12, 12, 64, 3, 1),
    "vww 6": (6, 6, 128, 3, 1),
    "vww 3, stride 2": (3, 3, 128, 3, 2),
    "vww 3": (3, 3, 256, 3, 1),
    "mbv2 14": (14, 14, 96, 3, 1),
    "mbv2 7": (7, 7, 160, 3, 1),
    "5x5": (14, 14, 48, 5, 1),
    "5x5, stride 2": (14, 14, 48, 5, 2),
    "7x7": (7, 7, 48, 7, 1),
}


def convolved(x: Array, weights: Array, bias: Array, stride: int) -> Array:
    """Conv of ONNX Runtime, NCHW, groups = channels, no padding."""
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=x.shape[1], strides=[stride, stride])
    graph = helper.make_graph(
        [node],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize(("taps", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (4, 3)])
def test_kernels_agree_with_onnx_runtime(taps: int, stride: int) -> None:
    rng = np.random.default_rng(taps)
    case = dwconv._case(rng, "image", (2, 8, 9, 21), (taps, taps), strides=(stride, stride))
    in_rows, in_cols = (8 - 1) * stride + taps, (9 - 1) * stride + taps
    weights = rng.standard_normal((21, 1, taps, taps)).astype(np.float32)
    x, _, bias, y = case.buffers
    case = Case(case.label, case.args, (x, dwconv.pack(weights), bias, y), case.outputs)
    want = convolved(x.reshape(2, in_rows, in_cols, 21).transpose(0, 3, 1, 2), weights, bias, stride)
    kernels = [k for k in table.family("dwconv", RVV) if k.supports(case.args, RVV)]
    assert len(kernels) > 1 or taps == 4
    for _, _, _, got in run_cases(RVV, [(k, case) for k in kernels], 256):
        np.testing.assert_allclose(got.reshape(2, 8, 9, 21), want.transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-5)


@cache
def counted() -> dict[str, list[tuple[float, int, str]]]:
    """For each layer, the modelled and the counted slots of every kernel that supports it, with its name."""
    rng = np.random.default_rng(0)
    work: dict[str, list[tuple[Kernel, Case]]] = {}
    for label, (rows, cols, channels, taps, stride) in LAYERS.items():
        out = (1, rows, cols, channels)
        case = dwconv._case(rng, label, out, (taps, taps), strides=(stride, stride), clamp=dwconv.RELU)
        work[label] = [(k, case) for k in table.family("dwconv", RVV) if k.supports(case.args, RVV)]
    counts = iter(count_cases(RVV, [each for some in work.values() for each in some], 256))
    return {label: [(k.cost(c.args, RVV), next(counts).slots, k.name) for k, c in some] for label, some in work.items()}


@pytest.mark.parametrize("label", LAYERS)
def test_preferred_kernel_is_the_fastest_and_its_cost_near_the_count(label: str) -> None:
    modelled, slots, _ = min(counted()[label])
    assert slots <= 1.03 * min(s for _, s, _ in counted()[label])
    assert modelled == pytest.approx(slots, rel=0.06)


def test_special_kernels_reach_their_slots_for_each_mac() -> None:
    most = {"kws": 0.24, "vww 48": 0.23, "vww 24, stride 2": 0.32, "vww 6": 0.29, "mbv2 14": 0.27, "5x5": 0.30}
    for label, bound in most.items():
        rows, cols, channels, taps, _ = LAYERS[label]
        _, slots, name = min(counted()[label])
        assert "x" in name, f"{label} went to the general kernel"
        assert slots / (rows * cols * channels * taps * taps) <= bound
