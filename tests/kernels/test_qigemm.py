"""int8 products: groups of products that fit int16, the packed form, and convolutions computed from plain weights."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotfish.compiler import targets
from pilotfish.compiler.kernels import igemm, qconvpool, qgemv, qigemm, qwinograd, table
from pilotfish.compiler.kernels.table import Array, Case, Kernel
from pilotfish.measure.kernel_harness import count_cases, run_cases

TARGET = targets.load("rv64gcv")
WEIGHTS = st.sampled_from([0, 1, -1, 42, 43, 51, 63, 64, 85, 86, 100, 126, 127, -127, -128])


def packed(weights: Array, nb: int, run: int = 0, *, exact: bool = True) -> tuple[Array, dict[str, table.Value]]:
    """Packed weights and their arguments; K is in runs of ``run`` that lie 1000 apart, or in one."""
    depth, n = weights.shape
    args = qigemm.quantized(igemm.product(1, depth, n, nb))
    if run:
        args |= {"taps_y": depth // run, "k": run, "x_tap_y_stride": 1000}
    return qigemm.pack(weights, args, exact=exact), args


def blocks(data: Array, args: dict[str, table.Value]) -> list[tuple[list[int], Array, Array]]:
    """The group sizes, inputs and rows of each block, read from the layout that qigemm.h describes."""
    n, nb = int(args["n"]), int(args["nb"])  # type: ignore[arg-type]
    kinds = [(5, 4), (4, 4), (4, 3), (3, 3), (3, 2), (2, 2), (6,), (5,), (4,), (3,), (2,), (1,)]
    depth = int(args["taps_y"]) * int(args["k"])  # type: ignore[arg-type]
    found = []
    for start in data[: 4 * -(-n // nb)].view("<i4"):
        words = data[start : start + (data.size - start) // 4 * 4].view("<i4")
        rows_at, at = int(words[0]), int(words[1]) // 4
        section, step, place = 2, at, 0
        sizes, inputs = list[int](), list[int]()
        while words[section] != 4 * len(kinds):
            kind = kinds[words[section] // 4]
            while 4 * step < words[section + 1]:
                place += int(words[step])
                inputs += range(place, place + sum(kind))
                sizes += kind
                step += 1
            section += 2
        assert words[step] == 0, "the step after the last item must lead to memory that was read before"
        rows = data[start + rows_at :][: depth * nb].reshape(depth, nb)
        found.append((sizes, np.array(inputs), rows))
    return found


def reach(group: Array) -> tuple[int, int]:
    """The least and the greatest sum of a column of weights times inputs from -128 to 127, over all columns."""
    w = group.astype(int)
    ends = np.stack([-128 * w, 127 * w])
    return int(ends.min(0).sum(0).min()), int(ends.max(0).sum(0).max())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_groups_fit_int16_and_hold_every_weight_once(data: st.DataObject) -> None:
    run = data.draw(st.integers(1, 12))
    depth, n, nb = run * data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9)), data.draw(st.sampled_from([4, 8]))
    weights = np.array(data.draw(st.lists(WEIGHTS, min_size=depth * n, max_size=depth * n)), np.int8).reshape(depth, n)
    content, args = packed(weights, nb, run)
    for block, (sizes, inputs, rows) in enumerate(blocks(content, args)):
        part = weights[:, block * nb : block * nb + nb]
        for group in np.split(rows, np.cumsum(sizes)[:-1]):
            low, high = reach(group)
            assert len(group) == 1 or (low >= -32768 and high <= 32767)
        place = inputs // 1000 * run + inputs % 1000
        assert sorted(place) == list(range(depth))
        assert np.array_equal(rows[:, : part.shape[1]], part[place])
        assert not rows[:, part.shape[1] :].any()
        assert len(content) >= sum(r.size for _, _, r in blocks(content, args)) + 2 * nb, "two rows are read beyond"


@pytest.mark.parametrize(
    ("weight", "share"), [(127, {2: 1.0}), (85, {3: 1.0}), (63, {4: 1.0}), (51, {5: 1.0}), (-128, {1: 1.0})]
)
def test_equal_weights_make_the_largest_groups_that_fit(weight: int, share: dict[int, float]) -> None:
    content, args = packed(np.full((60, 10), weight, np.int8), 8)
    assert qigemm.shares(content, args) == share


def test_two_weights_of_minus_128_do_not_share_a_group_but_others_may() -> None:
    """-128 · -128 twice is 32768, one beyond int16; with 127 instead it fits."""
    assert not qigemm.fits(np.array([[-128], [-128]]))
    assert qigemm.fits(np.array([[-128], [127]]))
    assert qigemm.fits(np.array([[129], [-128]]))
    assert not qigemm.fits(np.array([[130], [-128]]))


def test_order_of_the_rows_is_taken_before_grouping() -> None:
    weights = np.array([[127]] * 8 + [[1]] * 8, np.int8)
    apart = qigemm.grouping(weights, [16])
    mixed = qigemm.grouping(weights, [16], [i // 2 + 8 * (i % 2) for i in range(16)])
    assert [sum(len(sizes) for _, sizes in items) for items in (apart, mixed)] == [5, 4]


def rounded(sums: Array, scale: Array, zero: int, low: int, high: int) -> Array:
    """What is stored for integer sums: one number at a time, in exact arithmetic but for the rounding to float32."""
    out = np.zeros(sums.shape, np.int8)
    for place, total in np.ndenumerate(sums):
        near = round(Fraction(float(np.float32(int(total)) * scale[place[-1]])))  # ties to even
        out[place] = min(max(min(max(near, -32768), 32767) + zero, low), high)
    return out


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_convolutions_equal_sums_over_plain_weights(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    rows, cols, channels, n = (data.draw(st.integers(1, high)) for high in (7, 9, 20, 40))
    taps, stride = data.draw(st.sampled_from([1, 2, 3])), data.draw(st.integers(1, 2))
    zero, low = data.draw(st.integers(-128, 127)), data.draw(st.sampled_from([-128, -20]))
    nb = data.draw(st.sampled_from([8, 16, 32, 64]))
    side_y, side_x = (rows - 1) * stride + taps, (cols - 1) * stride + taps
    x = rng.integers(-128, 128, (side_y, side_x, channels)).astype(np.int8)
    weights = rng.integers(-128, 128, (taps, taps, channels, n)).astype(np.int8)
    weights[rng.random(weights.shape) < data.draw(st.sampled_from([0.0, 0.5, 0.9]))] //= 8
    sums = np.zeros((rows, cols, n), np.int64)
    for ty in range(taps):
        for tx in range(taps):
            seen = x[ty : ty + stride * rows : stride, tx : tx + stride * cols : stride]
            sums += np.einsum("rck,kn->rcn", seen, weights[ty, tx], dtype=np.int64)
    bias = rng.integers(-30000, 30000, n).astype(np.int32)
    scale = rng.uniform(0.0005, 0.02, n).astype(np.float32)
    want = rounded(sums + bias, scale, zero, low, 127)
    made = igemm.convolution((1, side_y, side_x, channels), n, nb, taps=(taps, taps), stride=stride)
    args = qigemm.quantized(made, zero=zero, lo=low)
    work: list[tuple[Kernel, Case]] = []
    for kernel in table.family("qigemm", TARGET):
        if kernel.supports(args, TARGET):
            content = qigemm.pack(weights.reshape(-1, n), args, exact=qigemm.groups_in_int16(kernel))
            buffers = (x.reshape(-1), content, bias, scale, np.zeros(rows * cols * n, np.int8))
            work.append((kernel, Case("", args, buffers, (4,))))
    for vlen in (128, 256):
        for (kernel, _), got in zip(work, run_cases(TARGET, work, vlen), strict=True):
            assert np.array_equal(got[4].reshape(want.shape), want), (kernel.name, vlen)


def test_winograd_equals_the_direct_convolution() -> None:
    rng = np.random.default_rng(3)
    channels, n, rows, cols = 21, 19, 6, 8
    x = rng.integers(-128, 128, (rows + 2, cols + 2, channels)).astype(np.int8)
    weights = rng.integers(-128, 128, (n, channels, 3, 3)).astype(np.int8)
    bias = rng.integers(-(10**6), 10**6, n).astype(np.int32)
    scale = rng.uniform(0.0001, 0.001, n).astype(np.float32)
    sums = np.zeros((rows, cols, n), np.int64) + bias
    for ty in range(3):
        for tx in range(3):
            seen = x[ty : ty + rows, tx : tx + cols]
            sums += np.einsum("rck,nk->rcn", seen, weights[:, :, ty, tx], dtype=np.int64)
    want = rounded(sums, scale, 7, -128, 100)
    assert qwinograd.fits(weights, bias)
    args = qwinograd.arguments((1, rows, cols), channels, n, 16, zero=7, hi=100)
    kernel = next(k for k in table.family("qwinograd", TARGET) if "14x2v" in k.name)
    scratch = np.zeros(qwinograd.scratch_bytes(kernel, args), np.int8)
    buffers = (x.reshape(-1), qwinograd.pack(weights, 16), bias, scale, np.zeros(want.size, np.int8), scratch)
    (got,) = run_cases(TARGET, [(kernel, Case("", args, buffers, (4,)))], 256)
    assert np.array_equal(got[4].reshape(want.shape), want)


def test_winograd_is_refused_where_four_times_a_sum_does_not_fit_int32() -> None:
    weights, bias = np.ones((1, 4, 3, 3), np.int8), np.array([2**29], np.int32)
    assert not qwinograd.fits(weights, bias)
    assert qwinograd.fits(weights, bias - 128 * 36 - 1)


def test_dot_products_are_not_offered_without_the_extension() -> None:
    args = qigemm.quantized(igemm.product(9, 16, 16, 16))
    assert "dot4" not in getattr(table.pick("qigemm", args, TARGET), "name", "")
    with_it = targets.load("rv64gcv", attributes="+zvdot4a8i")
    assert "dot4" in getattr(table.pick("qigemm", args, with_it), "name", "")


LAYERS = {
    "125 pixels 64 -> 64": lambda nb: igemm.product(125, 64, 64, nb),
    "784 pixels 16 -> 96": lambda nb: igemm.product(784, 16, 96, nb),
    "49 pixels 160 -> 160": lambda nb: igemm.product(49, 160, 160, nb),
    "256 pixels 96 -> 24": lambda nb: igemm.product(256, 96, 24, nb),
    "400 pixels 8 -> 16": lambda nb: igemm.product(400, 8, 16, nb),
    "3x3 stride 2 on 20 x 20, 16 -> 32": lambda nb: igemm.convolution((1, 20, 20, 16), 32, nb, halo=1, stride=2),
    "1 pixel 256 -> 100": lambda nb: igemm.product(1, 256, 100, nb),
}


@pytest.fixture(scope="module")
def counted() -> dict[str, list[tuple[float, int]]]:
    """For each layer, the modelled and the counted slots of every kernel with the blocks that fit it."""
    rng = np.random.default_rng(0)
    work: list[tuple[str, float, Kernel, Case]] = []
    for label, made in LAYERS.items():
        for kernel in table.family("qigemm", TARGET):
            lmul = next((lmul for lmul in (8, 4, 2, 1) if f"x{lmul}v" in kernel.name), 0)
            if lmul:
                args = qigemm.quantized(made(lmul * TARGET.lanes), lo=0)
                case = qigemm.random_case(label, args, rng, exact=qigemm.groups_in_int16(kernel))
                work.append((label, qigemm.packed_cost(kernel, case.buffers[1], args, TARGET), kernel, case))
    for label, k, n in (("1568 -> 10", 1568, 10), ("64 -> 12", 64, 12)):
        (kernel,) = table.family("qgemv", TARGET)
        case = qgemv.random_case(label, rng.integers(-127, 128, (k, n)).astype(np.int8), rng)
        work.append((label, kernel.cost(case.args, TARGET), kernel, case))
    for label, (out, channels, n, nb) in {
        "winograd 16x16, 16 -> 16": ((1, 16, 16), 16, 16, 16),
        "winograd 7x7, 64 -> 64": ((1, 7, 7), 64, 64, 64),
    }.items():
        for kernel in table.family("qwinograd", TARGET):
            args = qwinograd.arguments(out, channels, n, nb)
            case = qwinograd.random_case(label, args, kernel, rng)
            work.append((label, kernel.cost(args, TARGET), kernel, case))
    args = qconvpool.args(1, 1, 28, 28, 8)
    for kernel in (k for k in table.family("qconvpool", TARGET) if k.supports(args, TARGET)):
        case = next(iter(kernel.cases(rng)))
        work.append(("convpool 28x28 -> 8", kernel.cost(args, TARGET), kernel, case))
    counts = count_cases(TARGET, [(kernel, case) for _, _, kernel, case in work], 256)
    found: dict[str, list[tuple[float, int]]] = {}
    for (label, cost, _, _), executed in zip(work, counts, strict=True):
        found.setdefault(label, []).append((cost, executed.slots))
    return found


def test_modelled_costs_prefer_the_fastest_kernels_and_are_near_their_counts(
    counted: dict[str, list[tuple[float, int]]],
) -> None:
    for label, found in counted.items():
        cost, slots = min(found)
        assert slots <= 1.05 * min(s for _, s in found), label
        assert cost == pytest.approx(slots, rel=0.1), label
