"""The digits example: real scans, one program, every vector length."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

import pilotfish

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
MODEL = DIGITS / "tinycnn.onnx"


@pytest.fixture(scope="module")
def held_out() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Inputs [360, 1, 1, 28, 28] in 0..1 and labels."""
    with np.load(DIGITS / "heldout.npz") as data:
        return (data["images"][:, None, None] / np.float32(255)).astype(np.float32), data["labels"]


@pytest.fixture(scope="module")
def expected(held_out: tuple[NDArray[np.float32], NDArray[np.uint8]]) -> NDArray[np.float32]:
    """ONNX Runtime's logits [360, 10]."""
    session = onnxruntime.InferenceSession(MODEL)
    return np.concatenate([session.run(["logits"], {"input": image})[0] for image in held_out[0]])


def test_network_is_right_on_at_least_97_percent(
    held_out: tuple[NDArray[np.float32], NDArray[np.uint8]], expected: NDArray[np.float32]
) -> None:
    labels = held_out[1]
    assert np.bincount(labels).min() >= 30, "every digit is among the held-out ones"
    assert (expected.argmax(axis=1) == labels).mean() >= 0.97


@pytest.mark.parametrize(
    ("target", "vlens"),
    [("rv64gcv", (128, 256, 512, 1024)), ("sifive-x280", (128, 512)), ("rv64gc", (None,)), ("host", (None,))],
)
def test_every_held_out_digit_gets_onnx_runtimes_answer(
    target: str,
    vlens: tuple[int | None, ...],
    held_out: tuple[NDArray[np.float32], NDArray[np.uint8]],
    expected: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    bundle = pilotfish.compile(MODEL, target=target, output=tmp_path / "bundle")
    for vlen in vlens:
        got = bundle.run({"input": held_out[0]}, vlen=vlen)["logits"].reshape(-1, 10)
        np.testing.assert_array_equal(got.argmax(axis=1), expected.argmax(axis=1))
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


def test_network_has_the_tutorials_shape_and_no_traces_of_the_machine_that_made_it() -> None:
    model = onnx.load(MODEL)
    shapes = {tuple(i.dims) for i in model.graph.initializer if len(i.dims) > 1}
    assert shapes == {(8, 1, 3, 3), (10, 1568)}
    assert MODEL.stat().st_size < 70_000
    for noted in (model, model.graph, *model.graph.node):
        assert not noted.metadata_props, "the exporter's notes hold paths"


def test_demo_prints_and_draws(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(DIGITS / "demo.py"), str(tmp_path / "digits")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for said in ("accuracy on RISC-V", "same answer", "360 of 360", "instructions per inference", "lower bound"):
        assert said in done.stdout
    assert "in int8" in done.stdout
    with Image.open(tmp_path / "digits.png") as picture:
        assert min(picture.size) > 400
