"""Copy arguments say what NumPy's own views say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotfish.compiler.kernels.copy import KERNELS, RANK, args, collapse
from pilotfish.errors import ModelError

COPY = next(row for row in KERNELS if row.name == "x32_copy__scalar")
HALO = next(row for row in KERNELS if row.name == "x32_halo__scalar")


def copied(view: np.ndarray[Any, Any], flat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``view`` of ``flat`` made contiguous by a copy's arguments."""
    strides = [s // 4 for s in view.strides]
    start = (view.__array_interface__["data"][0] - flat.__array_interface__["data"][0]) // 4
    out = np.zeros(view.shape, np.uint32)
    values = args(view.shape, strides, [s // 4 for s in out.strides], start)
    return COPY.meaning(values, (flat, out.reshape(-1)))[1].reshape(view.shape)


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
)
def test_transposes_slices_and_broadcasts(shape: Sequence[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    flat = np.arange(np.prod(shape), dtype=np.uint32)
    view = flat.reshape(shape).transpose(rng.permutation(len(shape)))
    view = view[tuple(slice(None, None, step) for step in rng.choice([-2, -1, 1, 2], len(shape)))]
    np.testing.assert_array_equal(copied(view, flat), view)
    wide = np.broadcast_to(view, (3, *view.shape))
    np.testing.assert_array_equal(copied(wide, flat), wide)


def test_contiguous_dimensions_merge() -> None:
    assert collapse((2, 3, 4, 5), (60, 20, 5, 1), (60, 20, 5, 1)) == [(120, 1, 1)]
    assert collapse((2, 3, 4, 5), (80, 20, 5, 1), (60, 20, 5, 1)) == [(2, 80, 60), (60, 1, 1)]
    assert collapse((1, 1), (7, 7), (7, 7)) == [(1, 1, 1)]


def test_three_channels_are_not_the_vector() -> None:
    values = args((3, 224 * 224), (224 * 224, 1), (1, 3))
    assert values["dims"] == (1, 1, 1, 1, 3, 224 * 224)


def test_too_many_dimensions() -> None:
    shape = (2,) * (RANK + 1)
    with pytest.raises(ModelError, match="at most 6"):
        args(shape, [2**i for i in range(RANK + 1)], [2 ** (RANK - i) for i in range(RANK + 1)])


def test_halo_is_what_numpy_pads() -> None:
    inside = np.arange(2 * 3 * 4 * 5, dtype=np.uint32).reshape(2, 3, 4, 5) + 1
    want = np.pad(inside, ((0, 0), (1, 2), (3, 0), (0, 0)))
    dirty = np.pad(inside, ((0, 0), (1, 2), (3, 0), (0, 0)), constant_values=9)
    frame = {"top": 1, "left": 3, "bottom": 2, "right": 0, "pitch": 35}
    np.testing.assert_array_equal(
        HALO.meaning({"batch": 2, "rows": 3, "cols": 4, "channels": 5, **frame}, (dirty.reshape(-1),))[0],
        want.reshape(-1),
    )
