"""The comparison with ONNX Runtime: what it calls an error, and that it finds one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from conftest import dense, dense_model
from pilotfish.bundle import TensorEntry
from pilotfish.errors import ModelError
from pilotfish.measure.verify import compare, difference, random_inputs, reference


def relative(got: object, want: object, dtype: str = "float32") -> float:
    return difference("y", np.array(got, dtype), np.array(want, dtype)).relative


def test_the_error_is_relative_to_the_largest_value() -> None:
    assert relative([1, 2, 3], [1, 2, 4]) == 0.25
    assert relative([0, -8], [1, -8]) == 0.125
    found = difference("y", np.float32([1, 2, 3]), np.float32([1, 2, 4]))
    assert (found.name, found.absolute, found.largest) == ("y", 1, 4)


def test_equal_outputs_have_no_error() -> None:
    for values in ([0, 0], [np.nan, 1], [np.inf, -np.inf], []):
        assert relative(values, values) == 0
    assert relative([1, 2**40 + 1], [1, 2**40 + 1], "int64") == 0
    assert relative([True], [True], "bool") == 0


@pytest.mark.parametrize(
    ("got", "want"), [([np.nan], [1]), ([1], [np.nan]), ([np.inf], [1]), ([1], [np.inf]), ([np.inf], [-np.inf])]
)
def test_what_is_not_finite_on_one_side_is_infinitely_wrong(got: object, want: object) -> None:
    assert relative(got, want) == np.inf


def test_any_difference_from_zeros_is_large() -> None:
    assert relative([1e-20], [0]) > 1e-4


def test_another_shape_or_dtype_is_infinitely_wrong() -> None:
    assert difference("y", np.ones((2, 1), np.float32), np.ones(2, np.float32)).relative == np.inf
    assert difference("y", np.ones(2), np.ones(2, np.float32)).relative == np.inf


def test_a_report_takes_the_worst_output() -> None:
    want = [np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32)]
    got = [want[0], want[1] * np.float32(1.001)]
    report = compare(["a", "b"], got, want, place="here", rtol=1e-4)
    assert report.inferences == 2
    assert report.relative == pytest.approx(1e-3, rel=1e-3)
    assert not report.passed
    assert "DIFFERS from ONNX Runtime here" in str(report)
    assert compare(["a", "b"], got, want, place="here", rtol=1e-2).passed
    assert not compare(["a"], [want[0] * np.nan], [want[0]], place="here", rtol=1e9).passed


def test_the_reference_is_onnx_runtime(tmp_path: Path) -> None:
    onnx.save(dense_model(), tmp_path / "m.onnx")
    x = np.random.default_rng(0).standard_normal((4, 1, 8)).astype(np.float32)
    (y,) = reference(tmp_path / "m.onnx", {"x": x})
    assert y.shape == (4, 1, 3)
    np.testing.assert_allclose(y, dense(x), rtol=1e-5, atol=1e-6)
    (tmp_path / "m.onnx").write_bytes(b"no")
    with pytest.raises(ModelError, match="ONNX Runtime cannot load"):
        reference(tmp_path / "m.onnx", {"x": x})


def test_random_inputs_are_seeded_and_of_the_right_kind() -> None:
    tensors = [
        TensorEntry("f", "float32", (50, 50)), TensorEntry("i", "int64", (100,)), TensorEntry("u", "uint8", (9999,)),
        TensorEntry("b", "bool", (100,)), TensorEntry("s", "float32", ()),
    ]  # fmt: skip
    batch = random_inputs(tensors, 3, seed=1)
    assert {k: (v.dtype.name, v.shape) for k, v in batch.items()} == {t.name: (t.dtype, (3, *t.shape)) for t in tensors}
    assert abs(batch["f"].mean()) < 0.05
    assert abs(batch["f"].std() - 1) < 0.05
    assert set(np.unique(batch["i"])) == {0, 1}  # fair as indices, too
    assert (batch["u"].min(), batch["u"].max()) == (0, 255)
    again, other = random_inputs(tensors, 3, seed=1), random_inputs(tensors, 3, seed=2)
    assert all(np.array_equal(batch[k], again[k]) for k in batch)
    assert not np.array_equal(batch["f"], other["f"])
