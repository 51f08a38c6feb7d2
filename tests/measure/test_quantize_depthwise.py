"""A depthwise network that one scale per layer ruins: the default saves it, and the report shows why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

import pilotfish

TESTS = Path(__file__).parents[1]
MODEL = TESTS / "data" / "depthwise.onnx"
DIGITS = TESTS.parent / "examples" / "digits"
DATA = f"{DIGITS / 'scans.py'}:calibration"


@pytest.fixture(scope="module")
def held_out() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Inputs [360, 1, 1, 28, 28] in 0..1 and labels."""
    with np.load(DIGITS / "heldout.npz") as data:
        return (data["images"][:, None, None] / np.float32(255)).astype(np.float32), data["labels"]


def accuracy(model: onnx.ModelProto, held_out: tuple[NDArray[np.float32], NDArray[np.uint8]]) -> float:
    """Percent, in ONNX Runtime; its optimizer must not quantize what is float."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), disabled_optimizers=["WeightBiasQuantization"])
    answers = [session.run(None, {"input": image})[0].argmax() for image in held_out[0]]
    return float(100 * (np.array(answers) == held_out[1]).mean())


def test_the_float_network_is_good(held_out: tuple[NDArray[np.float32], NDArray[np.uint8]]) -> None:
    assert accuracy(onnx.load(MODEL), held_out) >= 98.5
    assert MODEL.stat().st_size < 100_000


def test_per_tensor_collapses(held_out: tuple[NDArray[np.float32], NDArray[np.uint8]]) -> None:
    result = pilotfish.quantize(MODEL, DATA, per_tensor=True)
    assert accuracy(result.model, held_out) < 30
    worst = result.report.layers[:2]
    assert {layer.node for layer in worst} == {"depthwise1", "depthwise2"}
    for layer in worst:
        assert layer.own < 3, "as much noise as signal"
        assert layer.weights == 0, "half of its filters have become zero"
        assert layer.spread is not None and layer.spread > 100
        assert any(note.startswith(f"{layer.node}:") and "per channel" in note for note in result.report.notes)
    assert all(layer.own > 20 for layer in result.report.layers[2:])


def test_the_default_is_within_half_a_point(held_out: tuple[NDArray[np.float32], NDArray[np.uint8]]) -> None:
    result = pilotfish.quantize(MODEL, DATA)
    assert accuracy(onnx.load(MODEL), held_out) - accuracy(result.model, held_out) <= 0.5
    depthwise = [layer for layer in result.report.layers if layer.node.startswith("depthwise")]
    assert all(layer.weights is not None and layer.weights > 40 for layer in depthwise)
    assert result.report.notes == ()


def test_a_goal_keeps_just_the_depthwise_layers_in_float(
    held_out: tuple[NDArray[np.float32], NDArray[np.uint8]],
) -> None:
    result = pilotfish.quantize(MODEL, DATA, per_tensor=True, min_snr=15)
    assert set(result.report.kept) == {"depthwise1", "depthwise2"}
    assert accuracy(onnx.load(MODEL), held_out) - accuracy(result.model, held_out) <= 1
