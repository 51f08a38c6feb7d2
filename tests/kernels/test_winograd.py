"""Winograd convolutions: errors against exact convolutions, what they read and write, what they cost."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pilotfish.compiler import targets
from pilotfish.compiler.graph import Halo
from pilotfish.compiler.kernels import table, winograd
from pilotfish.compiler.kernels.table import Array, Case, Kernel, Value
from pilotfish.measure.kernel_harness import count_cases, run_cases

RVV = targets.load("rv64gcv")
HOST = targets.load("host")
CACHED = replace(RVV, l2_bytes=1 << 30)
"""Where weights never come from memory: what the count leaves out, as the model of a target with less does not."""
ROWS = {row.name: row for row in winograd.KERNELS}


def direct(x: Array, weights: Array, bias: Array) -> Array:
    """Exact to float64: x [rows + 2, cols + 2, in] convolved with weights [out, in, 3, 3]."""
    rows, cols = x.shape[0] - 2, x.shape[1] - 2
    sums = np.zeros((rows, cols, weights.shape[0])) + bias
    for r in range(3):
        for c in range(3):
            sums += x[r : r + rows, c : c + cols].astype(np.float64) @ weights[:, :, r, c].T.astype(np.float64)
    return sums


def padded_layer(kernel: Kernel, size: tuple[int, int, int, int], seed: int) -> tuple[Case, Array]:
    """A convolution with padding 1 as the compiler lays it out, and its exact result.

    ``size`` is rows, cols, in, out. The input lies in the halo that the kernel asks for, its content shifted
    away from zero as after a ReLU; y lies in a frame of its own that must stay as it is.
    """
    rows, cols, channels, n = size
    rng = np.random.default_rng(seed)
    image = np.maximum(rng.standard_normal((rows, cols, channels)), 0).astype(np.float32)
    weights = (rng.standard_normal((n, channels, 3, 3)) * np.sqrt(2 / (9 * channels))).astype(np.float32)
    bias = rng.standard_normal(n).astype(np.float32)
    args: dict[str, Value] = {
        "batch": 1, "rows": rows, "cols": cols, "channels": channels, "n": n, "nb": 16,
        "x_batch_stride": 0, "x_col_stride": channels,
        "y_batch_stride": 0, "y_row_stride": (cols + 2) * n, "y_col_stride": n, "lo": -np.inf, "hi": np.inf,
    }  # fmt: skip
    halo = winograd.halo(kernel, args, Halo(1, 1, 1, 1))
    x = np.zeros((rows + halo.top + halo.bottom, cols + halo.left + halo.right, channels), np.float32)
    x[halo.top : halo.top + rows, halo.left : halo.left + cols] = image
    args["x_row_stride"] = x.shape[1] * channels
    y = np.full(rows * (cols + 2) * n, 7, np.float32)
    scratch = np.full(winograd.scratch_bytes(kernel, args) // 4, np.nan, np.float32)
    packed = winograd.pack(kernel, weights, 16)
    want = direct(np.pad(image, ((1, 1), (1, 1), (0, 0))), weights, bias)
    return Case(str(size), args, (x, packed, bias, y, scratch), (3,)), want


SIZES = [
    (32, 32, 16, 16),
    (8, 8, 64, 40),
    (14, 14, 40, 20),
    (7, 7, 96, 17),
    (28, 13, 8, 33),
    (3, 5, 3, 4),
    (1, 1, 5, 1),
]


@pytest.mark.parametrize("name", ROWS)
def test_error_is_within_the_stated_bound(name: str) -> None:
    kernel = ROWS[name]
    target = RVV if kernel.isa == "rvv" else HOST
    layers = [padded_layer(kernel, size, seed) for seed, size in enumerate(SIZES)]
    results = run_cases(target, [(kernel, case) for case, _ in layers], 256)
    for (case, want), buffers in zip(layers, results, strict=True):
        rows, cols, n = want.shape
        got = buffers[3].reshape(rows, cols + 2, n)
        error = np.abs(got[:, :cols] - want).max() / np.abs(want).max()
        assert error <= winograd.ERROR[winograd.tile_of(kernel)], case.label
        assert (got[:, cols:] == 7).all(), "wrote beyond the picture"


def test_transformed_weights_give_the_convolution() -> None:
    """The algorithm in float64, written with matrices: Y = Aᵀ [U ⊙ (Bᵀ d B)] A."""
    b4 = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                   [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])  # fmt: skip
    a4 = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
    b2 = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    a2 = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
    rng = np.random.default_rng(3)
    weights = rng.standard_normal((1, 1, 3, 3)).astype(np.float32)
    for tile, b, a in ((4, b4, a4), (2, b2, a2)):
        d = rng.standard_normal((tile + 2, tile + 2))
        u = winograd.transform_weights(weights, tile).reshape(tile + 2, tile + 2)
        want = direct(d[:, :, None], weights, np.zeros(1))[:, :, 0]
        np.testing.assert_allclose(a @ (u * (b @ d @ b.T)) @ a.T, want, atol=1e-5)


def test_halo_reaches_over_the_last_tiles() -> None:
    args = {"rows": 14, "cols": 7}
    f4, f2 = ROWS["f32_winograd_f4_7x4v__rvv"], ROWS["f32_winograd_f2_7x4v__rvv"]
    assert winograd.halo(f4, args, Halo(1, 1, 1, 1)) == Halo(1, 1, 3, 2)
    assert winograd.halo(f2, args, Halo(0, 0, 0, 0)) == Halo(0, 0, 0, 1)


# channels, size of a square picture, width of a block of weights, most slots for each direct MAC
LAYERS = {
    "resnet8 32": (16, 32, 16, 0.098),
    "resnet8 16": (32, 16, 32, 0.070),
    "resnet8 8": (64, 8, 32, 0.062),
    "28": (64, 28, 32, 0.058),
}


@cache
def counted() -> dict[str, dict[str, tuple[float, float]]]:
    """Modelled and counted slots for each direct MAC, by layer and kernel."""
    rng = np.random.default_rng(0)
    work = []
    for label, (channels, size, nb, _) in LAYERS.items():
        for kernel in table.family("winograd", RVV):
            out = (1, size, size)
            case = winograd._case(rng, label, kernel, out, channels, channels, nb, clamp=(0.0, np.inf))
            work.append((kernel, case))
    found: dict[str, dict[str, tuple[float, float]]] = {label: {} for label in LAYERS}
    for (kernel, case), executed in zip(work, count_cases(RVV, work, 256), strict=True):
        channels, size = LAYERS[case.label][:2]
        macs = 9 * size * size * channels * channels
        found[case.label][kernel.name] = kernel.cost(case.args, CACHED) / macs, executed.slots / macs
    return found


@pytest.mark.parametrize("label", LAYERS)
def test_preferred_kernel_is_fast_and_its_cost_near_the_count(label: str) -> None:
    modelled, slots = min(counted()[label].values())
    assert slots <= 1.02 * min(s for _, s in counted()[label].values())
    assert slots <= LAYERS[label][3]
    assert modelled == pytest.approx(slots, rel=0.06)


def test_weights_beyond_the_cache_are_charged() -> None:
    """512 -> 512 on 7 x 7: four times the weights are not worth it where they come from memory each time."""
    k1 = targets.load("spacemit-k1")
    case, _ = padded_layer(ROWS["f32_winograd_f4_7x4v__rvv"], (7, 7, 8, 8), 0)
    args = case.args | {"channels": 512, "n": 512, "nb": 32}
    f4, f2 = (ROWS[f"f32_winograd_f{tile}_7x4v__rvv"] for tile in (4, 2))
    assert f4.cost(args, CACHED) < f2.cost(args, CACHED)
    assert f4.cost(args, k1) > f2.cost(args, k1)
    assert table.pick("winograd", args, k1) == f2
