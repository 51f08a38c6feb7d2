"""The index arithmetic behind generated loops, against brute force."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotfish.compiler.graph import TensorType
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.ops.convtranspose import phases
from pilotfish.compiler.ops.copying import runs
from pilotfish.compiler.ops.einsum import parse
from pilotfish.compiler.ops.loops import Nest
from pilotfish.compiler.ops.lowering import dense_strides, view_of
from pilotfish.compiler.ops.reduce import groups

F32 = np.dtype(np.float32)
SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


def walked(nest: Nest, operand: int) -> list[int]:
    """The offsets that a nest visits, in order."""
    return [
        sum(i * s for i, s in zip(at, nest.strides[operand], strict=True))
        for at in product(*(range(d) for d in nest.dims))
    ]


@given(SIZES, st.data())
def test_a_nest_visits_what_broadcasting_says_in_as_few_loops(shape: tuple[int, ...], data: st.DataObject) -> None:
    narrowed = tuple(1 if data.draw(st.booleans()) else size for size in shape)
    narrowed = narrowed[data.draw(st.integers(0, len(shape))) :]
    nest = Nest.over(shape, [view_of("a", TensorType(F32, narrowed)), view_of("y", TensorType(F32, shape))])
    offsets = np.arange(int(np.prod(narrowed))).reshape(narrowed)
    assert walked(nest, 0) == np.broadcast_to(offsets, shape).ravel().tolist()
    assert walked(nest, 1) == list(range(int(np.prod(shape))))
    if narrowed == shape:
        assert len(nest.dims) == 1


def test_a_nest_heeds_gaps() -> None:
    rows = View("x", TensorType(F32, (3, 4)), (10, 1), 2)
    nest = Nest.over((3, 4), [rows, view_of("y", TensorType(F32, (3, 4)))])
    assert nest == Nest((3, 4), ((10, 1), (4, 1)))


@given(st.lists(st.integers(-3, 9), max_size=12))
def test_runs_say_the_same_as_the_indices(indices: list[int]) -> None:
    found = runs(indices)
    assert [first + step * i for _, first, step, length in found for i in range(length)] == indices
    assert [at for at, *_ in found] == list(np.cumsum([0, *(length for *_, length in found)])[:-1])


@settings(max_examples=200)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 2))
def test_phases_reach_each_output_by_the_taps_that_belong_to_it(
    size: int, kernel: int, stride: int, dilation: int, pad: int, extra: int
) -> None:
    size_out = max((size - 1) * stride + (kernel - 1) * dilation + 1 - 2 * pad + extra, 1)
    wanted = {
        (o, k, (o + pad - k * dilation) // stride)
        for o in range(size_out)
        for k in range(kernel)
        if (o + pad - k * dilation) % stride == 0
    }
    found = [
        (p.first + stride * t, k, p.start + t + j * p.step)
        for p in phases(size_out, kernel, stride, dilation, pad)
        for t in range(p.count)
        for j, k in enumerate(p.taps)
    ]
    assert len(found) == len(set(found))
    assert set(found) == wanted


@given(SIZES, st.data())
def test_groups_of_axes_keep_their_order(shape: tuple[int, ...], data: st.DataObject) -> None:
    reduced = [a for a in range(len(shape)) if data.draw(st.booleans())]
    found = groups(shape, reduced)
    kinds = [kind for kind, _ in found]
    assert all(a != b for a, b in pairwise(kinds))
    expanded = np.arange(int(np.prod(shape))).reshape([size for _, size in found])
    axes = tuple(i for i, (kind, _) in enumerate(found) if kind)
    whole = np.arange(int(np.prod(shape))).reshape(shape)
    assert np.array_equal(expanded.sum(axis=axes).ravel(), whole.sum(axis=tuple(reduced)).ravel())


def test_equations() -> None:
    equation = parse("...ij, ...jk", [(2, 3, 4, 5), (3, 5, 6)])
    assert (len(equation.operands[0]), len(equation.operands[1]), len(equation.result)) == (4, 3, 4)
    assert equation.result.endswith("ik")
    assert dense_strides((2, 3, 4)) == (12, 4, 1)
