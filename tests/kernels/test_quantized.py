"""Kernels on int8 against ONNX Runtime and brute force: random shapes, scales and zero points, all vector lengths."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from pilotfish.compiler import targets
from pilotfish.compiler.kernels import lut8, qadd, qdwconv, qpool, qrows, quantize, table
from pilotfish.compiler.kernels.table import Array, Case, Kernel
from pilotfish.measure.kernel_harness import count_cases, run_cases

TARGET = targets.load("rv64gcv")
PLACES = [("rv64gcv", 128), ("rv64gcv", 256), ("rv64gcv", 1024), ("host", 0)]
scales = st.floats(2.0**-20, 2.0**12, width=32)
zeros = st.integers(-128, 127)
seeds = st.integers(0, 2**32 - 1)


def on_all_places(family: str, cases: list[Case], output: int) -> list[list[Array]]:
    """The output of each case, by every kernel that takes it, at every place."""
    results: list[list[Array]] = [[] for _ in cases]
    for name, vlen in PLACES:
        target = targets.load(name)
        rows = [k for k in table.kernels().values() if k.family == family and k.isa == target.isa]
        work: list[tuple[Kernel, Case]] = []
        which = []
        for i, case in enumerate(cases):
            for row in rows:
                if row.supports(case.args, target):
                    work.append((row, case))
                    which.append(i)
        for i, buffers in zip(which, run_cases(target, work, vlen), strict=True):
            results[i].append(buffers[output])
    return results


def runtime(nodes: list[onnx.NodeProto], inputs: Mapping[str, Array], constants: Mapping[str, Array]) -> Array:
    """``y`` as ONNX Runtime computes it, operator by operator."""
    values = [
        helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in inputs.items()
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        values,
        [onnx.ValueInfoProto(name="y")],
        [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (y,) = session.run(["y"], dict(inputs))
    return np.asarray(y)


def quantization(name: str, scale: float, zero: int) -> dict[str, Array]:
    return {f"{name}_scale": np.array(scale, np.float32), f"{name}_zero": np.array(zero, np.int8)}


def linear(op: str, source: str, target: str, of: str) -> onnx.NodeProto:
    return helper.make_node(op, [source, f"{of}_scale", f"{of}_zero"], [target])


def rounded(value: Fraction) -> np.float32:
    """The float32 nearest to a fraction within its normal range, ties to even."""
    if value == 0:
        return np.float32(0)
    exponent = 0
    size = abs(value)
    while size >= 2**24:
        size, exponent = size / 2, exponent + 1
    while size < 2**23:
        size, exponent = size * 2, exponent - 1
    return np.float32(np.ldexp(float(round(size)), exponent) * (1 if value > 0 else -1))


numbers = st.floats(-(2.0**20), 2.0**20, width=32).filter(lambda v: v == 0 or abs(v) > 2.0**-30)


@given(numbers, numbers, numbers)
def test_fma_rounds_once(a: float, b: float, c: float) -> None:
    got = qrows.fma(np.array([a], np.float32), np.array([b], np.float32), np.array([c], np.float32))
    assert got[0] == rounded(Fraction(a) * Fraction(b) + Fraction(c))


@given(scales, seeds)
def test_two_multiplications_round_as_the_division(scale: float, seed: int) -> None:
    first, second = qrows.reciprocal(scale)
    assert first > 0, "there is nothing special about such scales"
    rng, s = np.random.default_rng(seed), np.float32(scale)
    anywhere = rng.uniform(-300, 300, 4000).astype(np.float32) * s
    ties = (np.arange(-260, 260) + 0.5).astype(np.float32) * s
    near = (ties.view(np.int32)[:, None] + np.arange(-6, 7, dtype=np.int32)).view(np.float32)
    far = np.array([np.inf, -np.inf, 3e38, -3e38, 0], np.float32)
    x = np.concatenate([anywhere, near.ravel(), far])
    with np.errstate(over="ignore"):
        got, want = qrows.fma(x, np.float32(first), x * np.float32(second)), x / s
    assert np.array_equal(np.rint(np.clip(got, -500, 500)), np.rint(np.clip(want, -500, 500)))


@pytest.mark.parametrize("scale", [2.0**-120, 2.0**100])
def test_scales_of_no_use_are_divided_by(scale: float) -> None:
    assert qrows.reciprocal(scale) == (0.0, 0.0)


@settings(max_examples=5, deadline=None)
@given(scales, zeros, seeds)
def test_quantize_is_that_of_onnx_runtime(scale: float, zero: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.uniform(-300, 300, 1000).astype(np.float32) * np.float32(scale)).astype(np.float32)
    x[::3] = (np.rint(rng.uniform(-200, 200, x[::3].size)) + 0.5).astype(np.float32) * np.float32(scale)
    constants = quantization("y", scale, zero)
    want = runtime([linear("QuantizeLinear", "x", "y", "y")], {"x": x}, constants)
    values = quantize.args(x.shape, y=(scale, zero))
    for got in on_all_places("quantize", [Case("all", values, (x, np.zeros(1000, np.int8)), (1,))], 1)[0]:
        assert np.array_equal(got, want)
    real = runtime([linear("DequantizeLinear", "q", "y", "y")], {"q": want}, constants)
    values = quantize.args(x.shape, x=(scale, zero))
    for got in on_all_places("dequantize", [Case("all", values, (want, np.zeros(1000, np.float32)), (1,))], 1)[0]:
        assert np.array_equal(got, real)


@settings(max_examples=5, deadline=None)
@given(scales, zeros, st.floats(0.05, 20), zeros)
def test_requantize_is_dequantize_and_quantize(scale: float, x_zero: int, ratio: float, y_zero: int) -> None:
    x, y_scale = np.arange(-128, 128).astype(np.int8), float(np.float32(scale * ratio))
    constants = quantization("x", scale, x_zero) | quantization("y", y_scale, y_zero)
    nodes = [linear("DequantizeLinear", "x", "real", "x"), linear("QuantizeLinear", "real", "y", "y")]
    want = runtime(nodes, {"x": x}, constants)
    values = quantize.args((256,), x=(scale, x_zero), y=(y_scale, y_zero))
    exact = values | {"factor": 0.0}
    cases = [Case(label, v, (x, np.zeros(256, np.int8)), (1,)) for label, v in (("factor", values), ("none", exact))]
    for results in on_all_places("requantize", cases, 1):
        for got in results:
            assert np.array_equal(got, want)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@settings(max_examples=4, deadline=None)
@given(scales, st.floats(0.1, 10), st.floats(0.5, 3), st.tuples(zeros, zeros, zeros))
def test_binary_is_that_of_onnx_runtime(op: str, scale: float, ratio: float, spread: float, zero: Any) -> None:
    each = np.arange(-128, 128, dtype=np.int8)
    a, b = np.repeat(each, 256), np.tile(each, 256)
    b_scale = float(np.float32(scale * ratio))
    y_scale = float(np.float32(scale * b_scale * 90 * spread if op == "Mul" else max(scale, b_scale) * spread))
    quantizations = dict(zip("aby", zip((scale, b_scale, y_scale), zero, strict=True), strict=True))
    constants = {k: v for name, q in quantizations.items() for k, v in quantization(name, *q).items()}
    nodes = [linear("DequantizeLinear", n, f"{n}_real", n) for n in "ab"]
    nodes += [helper.make_node(op, ["a_real", "b_real"], ["real"]), linear("QuantizeLinear", "real", "y", "y")]
    want = runtime(nodes, {"a": a, "b": b}, constants)
    values = qadd.args(op.lower(), a.shape, **quantizations)  # type: ignore[arg-type]
    case = Case("every pair", values, (a, b, np.zeros_like(a)), (2,))
    for got in on_all_places("qmul" if op == "Mul" else "qadd", [case], 2)[0]:
        assert np.array_equal(got, want)


def test_table_of_a_function_of_floats() -> None:
    x = np.arange(-128, 128).astype(np.int8)
    sigmoid = lut8.real_table(lambda v: 1 / (1 + np.exp(-v)), (0.05, 10), (1 / 256, -128))
    nodes = [linear("DequantizeLinear", "x", "a", "x"), helper.make_node("Sigmoid", ["a"], ["b"])]
    nodes.append(linear("QuantizeLinear", "b", "y", "y"))
    want = runtime(nodes, {"x": x}, quantization("x", 0.05, 10) | quantization("y", 1 / 256, -128))
    for got in on_all_places("lut8", [Case("all", lut8.args(x.shape), (x, np.zeros_like(x), sigmoid), (1,))], 1)[0]:
        assert np.array_equal(got, want)


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_mean_pool_is_within_rounding_of_onnx_runtime(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cols, channels, zero, y_zero = (
        int(rng.integers(*r)) for r in ((3, 9), (3, 9), (1, 70), (-128, 128), (-9, 9))
    )
    case = qpool._case(
        rng,
        "3x3",
        (1, rows, cols, channels),
        (3, 3),
        pads=(1, 1, 1, 1),
        strides=(2, 1),
        zeros=(zero, y_zero),
        factor=0.8,
    )
    x = case.buffers[0].reshape(1, rows, cols, channels).transpose(0, 3, 1, 2)
    pool = helper.make_node("AveragePool", ["a"], ["b"], kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 1, 1])
    nodes = [linear("DequantizeLinear", "x", "a", "x"), pool, linear("QuantizeLinear", "b", "y", "y")]
    want = runtime(nodes, {"x": x}, quantization("x", 0.4, zero) | quantization("y", 0.5, y_zero))
    for got in on_all_places("qavgpool", [case], 1)[0]:
        difference = got.reshape(want.transpose(0, 2, 3, 1).shape).transpose(0, 3, 1, 2).astype(int) - want
        assert np.abs(difference).max() <= 1
        assert (difference != 0).mean() <= 0.02  # ties, which float sums miss


def convolved(x: Array, weights: Array, bias: Array, strides: tuple[int, int]) -> Array:
    """Exact sums, int64, of x s8[N, H, W, C] without padding and weights s8[C, 1, ty, tx]."""
    taps_y, taps_x = weights.shape[2:]
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.int64), (taps_y, taps_x), (1, 2))
    windows = windows[:, :: strides[0], :: strides[1]]
    return np.asarray((windows * weights[:, 0].astype(np.int64)).sum(axis=(4, 5)) + bias)


@settings(max_examples=6, deadline=None)
@given(seeds)
def test_depthwise_in_every_layout(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cols, channels = (int(rng.integers(1, top)) for top in (9, 9, 80))
    taps = [(3, 3), (3, 3), (5, 5), (1, 3), (4, 2)][int(rng.integers(5))]
    stride = int(rng.integers(1, 3))
    zero = int(rng.integers(-128, 128))
    low, high = sorted(int(v) for v in rng.integers(-128, 128, 2)) if rng.random() < 0.5 else (-128, 127)
    window = qdwconv.window((2, rows, cols, channels), taps, strides=(stride, stride), zero=zero, clamp=(low, high))
    in_rows, in_cols = (rows - 1) * stride + taps[0], (cols - 1) * stride + taps[1]
    x = rng.choice(np.array([-128, 127, 0, 5, -77], np.int8), (2, in_rows, in_cols, channels))
    weights = rng.integers(-128, 128, (channels, 1, *taps)).astype(np.int8) // rng.integers(1, 4, (channels, 1, 1, 1))
    weights = weights.astype(np.int8)
    bias = rng.integers(-50000, 50000, channels).astype(np.int32)
    scale = rng.uniform(1e-4, 5e-3, channels).astype(np.float32)
    sums = convolved(x, weights, bias, (stride, stride)).astype(np.float32) * scale
    want = np.clip(np.rint(sums).astype(np.int64) + zero, low, high)
    cases = []
    for target in (TARGET, targets.load("host")):
        for layout in qdwconv.layouts(window, target):
            packed = qdwconv.pack(weights, bias, scale, layout)
            y = np.zeros(want.size, np.int8)
            buffers = (x.ravel(), packed.w, packed.bias, packed.scale, y)
            cases.append(Case("layout", packed.args, buffers, (4,)))
    for results in on_all_places("qdwconv", cases, 4):
        assert results
        for got in results:
            assert np.array_equal(got.reshape(want.shape), want)


def test_triples_are_claimed_only_where_they_fit() -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(-128, 128, (320, 1, 3, 3)).astype(np.int8)
    weights[:64] //= 2
    for turned in (0, 1):
        layout = next(a for a in qdwconv.layouts(qdwconv.window((1, 8, 8, 320)), TARGET) if a["turned"] == turned)
        packed = qdwconv.pack(weights, np.zeros(320, np.int32), np.ones(320, np.float32), layout)
        along = weights[:, 0].astype(int) if turned else weights[:, 0].astype(int).transpose(0, 2, 1)
        most = np.maximum(along * 127, along * -128).sum(-1).max(-1)
        least = np.minimum(along * 127, along * -128).sum(-1).min(-1)
        fit = (most <= 32767) & (least >= -32768)
        nb = int(layout["nb"])  # type: ignore[arg-type]
        assert packed.w[: 320 // nb].tolist() == fit.reshape(-1, nb).all(1).astype(int).tolist()
        assert packed.args["triples"] == fit.reshape(-1, nb).all(1).sum() > 0


def test_rows_that_are_not_contiguous_are_refused_in_words() -> None:
    with pytest.raises(Exception, match="contiguous"):
        quantize.args((4, 5), (1, 4), (5, 1))
    with pytest.raises(Exception, match="at most 4"):
        quantize.args((2, 2, 2, 2, 2), (100, 40, 15, 6, 1), (16, 8, 4, 2, 1))


LAYERS = {
    "25 x 5 x 64": ((1, 25, 5, 64), 1),
    "24 x 24 x 8": ((1, 24, 24, 8), 1),
    "12 x 12 x 16, stride 2": ((1, 12, 12, 16), 2),
    "6 x 6 x 128": ((1, 6, 6, 128), 1),
    "14 x 14 x 144": ((1, 14, 14, 144), 1),
}


@pytest.mark.parametrize("label", LAYERS)
def test_cost_of_depthwise_prefers_what_takes_fewest_slots(label: str) -> None:
    shape, stride = LAYERS[label]
    rng = np.random.default_rng(3)
    window = qdwconv.window(shape, strides=(stride, stride), halo=1)
    work: list[tuple[Kernel, Case]] = []
    for layout in qdwconv.layouts(window, TARGET):
        case = qdwconv.random_case(label, layout, rng, channels=shape[3])
        work += [(k, case) for k in table.family("qdwconv", TARGET) if k.supports(case.args, TARGET)]
    counted = [executed.slots for executed in count_cases(TARGET, work, 256)]
    modelled = [kernel.cost(case.args, TARGET) for kernel, case in work]
    best = int(np.argmin(modelled))
    assert counted[best] <= 1.03 * min(counted)
    assert modelled[best] == pytest.approx(counted[best], rel=0.1)
