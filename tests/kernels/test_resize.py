"""Tables of the resize kernels against ONNX Runtime's Resize."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from pilotfish.compiler.kernels.resize import (
    COORDINATES,
    ROUNDINGS,
    coordinates,
    linear_table,
    nearest_table,
)

Array = np.ndarray[Any, Any]


def reference(x: Array, scale: float, mode: str, coordinate: str, rounding: str) -> Array:
    """What ONNX Runtime makes of a signal, f32[n]."""
    node = helper.make_node(
        "Resize",
        ["x", "", "scales"],
        ["y"],
        mode=mode,
        coordinate_transformation_mode=coordinate,
        nearest_mode=rounding,
    )
    scales = helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, 1, scale])
    graph = helper.make_graph(
        [node],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, x.size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [scales],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x.reshape(1, 1, 1, -1)})[0]).reshape(-1)


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.75, 1.6, 2.0, 3.5])
@pytest.mark.parametrize("coordinate", COORDINATES)
class TestTables:
    x = np.random.default_rng(0).standard_normal(10).astype(np.float32)

    @pytest.mark.parametrize("rounding", ROUNDINGS)
    def test_nearest(self, coordinate: str, rounding: str, scale: float) -> None:
        want = reference(self.x, scale, "nearest", coordinate, rounding)
        at = coordinates(10, want.size, scale, coordinate)
        np.testing.assert_array_equal(self.x[nearest_table(at, 10, rounding)], want)

    def test_linear(self, coordinate: str, scale: float) -> None:
        want = reference(self.x, scale, "linear", coordinate, "floor")
        indices, part = linear_table(coordinates(10, want.size, scale, coordinate), 10)
        pairs = self.x[indices]
        np.testing.assert_allclose(pairs[:, 0] * (1 - part) + pairs[:, 1] * part, want, atol=1e-6)


def test_unknown_modes_are_named() -> None:
    with pytest.raises(ValueError, match="tf_crop_and_resize"):
        coordinates(3, 6, 2.0, "tf_crop_and_resize")
    with pytest.raises(ValueError, match="simple"):
        nearest_table(np.zeros(1), 3, "simple")
