"""``pilotfish quantize``: what it prints, its JSON, its exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from conftest import Command, dense_model

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
DATA = f"{DIGITS / 'scans.py'}:calibration"
DEPTHWISE = ROOT / "tests" / "data" / "depthwise.onnx"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """The labels of the calibration digits: ten of each, in order."""
    np.save(tmp_path / "labels.npy", np.repeat(np.arange(10), 10))
    return tmp_path / "labels.npy"


def test_help_shows_how(pilot: Command) -> None:
    said = pilot("quantize", "--help")
    assert said.status == 0
    assert "Examples" in said.out
    assert "pilotfish quantize" in said.out
    assert " quantize " in pilot("--help").out


def test_it_says_what_it_made_and_what_that_cost(pilot: Command, tmp_path: Path, labels: Path) -> None:
    out = tmp_path / "small.onnx"
    said = pilot("quantize", DIGITS / "tinycnn.onnx", "--calib", DATA, "-o", out, "--labels", labels)
    assert said.status == 0
    size, before = out.stat().st_size, (DIGITS / "tinycnn.onnx").stat().st_size
    assert f"{out}: {size:,} bytes, {100 * size / before:.0f} % of {before:,}" in said.out
    for words in ("minmax on 100 inferences, weights per channel", "4 nodes, 2 of them without loss",
                  "dB signal to noise", "2 of 2 layers"):  # fmt: skip
        assert words in said.out
    assert "accuracy    100.00 %, in float 100.00 %" in said.out, "the digits that it was trained with"
    rows = [line.split() for line in said.out.splitlines()[-2:]]
    assert [row[0] for row in rows] == ["node_linear", "node_conv2d"]
    assert float(rows[0][2]) < float(rows[1][2])
    assert "calibrating" in said.err
    onnx.checker.check_model(onnx.load(out), full_check=True)


def test_json_is_the_report_and_nothing_else(pilot: Command, tmp_path: Path) -> None:
    out = tmp_path / "small.onnx"
    data = json.loads(pilot("quantize", DIGITS / "tinycnn.onnx", "--calib", DATA, "-o", out, "--json").out)
    assert data["output"] == str(out)
    assert data["bytes_after"] == out.stat().st_size
    assert [layer["op"] for layer in data["layers"]] == ["Gemm", "Conv"]
    assert (data["method"], data["per_channel"], data["inferences"], data["accuracy_before"]) == (
        "minmax", True, 100, None,
    )  # fmt: skip


def test_a_ruined_network_is_told_and_auto_saves_it(pilot: Command, tmp_path: Path, labels: Path) -> None:
    words = ("quantize", DEPTHWISE, "--calib", DATA, "-o", tmp_path / "out.onnx", "--labels", labels, "--per-tensor")
    said = pilot(*words, "--top", 2)
    assert "weights per tensor" in said.out
    assert "depthwise1: the weights of one channel range" in said.out
    rows = [line.split() for line in said.out.splitlines()[-2:]]
    assert {row[0] for row in rows} == {"depthwise1", "depthwise2"}
    accuracy = float(said.out.partition("accuracy")[2].split()[0])
    assert accuracy < 30
    said = pilot(*words, "--auto", "--min-accuracy", 98)
    assert "2 nodes in float: depthwise" in said.out
    assert float(said.out.partition("accuracy")[2].split()[0]) >= 98
    assert "WeightBiasQuantization" in said.out
    assert "keeping 1 of" in said.err
    said = pilot(*words, "--exclude", "depthwise1", "--exclude", "depthwise2.norm", "--method", "percentile")
    assert "excluded    2 nodes in float: depthwise1, depthwise2" in said.out


def test_shapes_and_samples(pilot: Command, tmp_path: Path) -> None:
    onnx.save(dense_model("n"), tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).standard_normal((12, 8)).astype(np.float32))
    said = pilot("quantize", tmp_path / "m.onnx", "--calib", tmp_path / "x.npz", "-o", tmp_path / "q.onnx",
                 "--shape", "x=2x8", "--samples", 4)  # fmt: skip
    assert said.status == 0
    assert "minmax on 4 inferences" in said.out
    assert "4 of the 6 inferences" in said.out


def test_exit_statuses(pilot: Command, tmp_path: Path, dense_file: Path) -> None:
    data, out = tmp_path / "x.npz", tmp_path / "out.onnx"
    np.savez(data, x=np.full((3, 1, 8), np.nan, np.float32))
    np.savez(tmp_path / "good.npz", x=np.random.default_rng(0).standard_normal((3, 1, 8)).astype(np.float32))
    good = ("--calib", tmp_path / "good.npz")
    for status, words in (
        (2, ("quantize", dense_file, *good, "-o", out, "--auto")),
        (2, ("quantize", dense_file, *good, "-o", out, "--min-snr", 30)),
        (2, ("quantize", dense_file, *good, "-o", out, "--exclude", "nothing")),
        (2, ("quantize", dense_file, *good, "-o", dense_file)),
        (2, ("quantize", dense_file, *good)),
        (3, ("quantize", data, *good, "-o", out)),
        (4, ("quantize", dense_file, "--calib", data, "-o", out)),
        (8, ("quantize", dense_file, "--calib", tmp_path / "none.npz", "-o", out)),
        (8, ("quantize", dense_file, *good, "-o", tmp_path / "no" / "out.onnx")),
        (9, ("quantize", dense_file, *good, "-o", out, "--auto", "--min-snr", 400)),
    ):
        said = pilot(*words)
        assert (said.status, said.out) == (status, ""), words
        assert said.err
    assert not out.exists()
    assert pilot("quantize", dense_file, *good, "-o", out).status == 0
    assert pilot("quantize", out, *good, "-o", tmp_path / "again.onnx").status == 3


def test_the_progress_is_not_in_the_way(pilot: Command, tmp_path: Path) -> None:
    said = pilot("quantize", DIGITS / "tinycnn.onnx", "--calib", DATA, "-o", tmp_path / "q.onnx", "--method", "entropy")
    assert "entropy on 100 inferences" in said.out
    assert "Collecting" not in said.out + said.err, "ONNX Runtime's quantizer talks"
    assert "WARNING" not in said.err
