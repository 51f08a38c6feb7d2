"""Whole networks against ONNX Runtime: all as host programs, the small ones (and, with `large`, all) on RISC-V."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import networks
import pilotfish

SMALL = ("tinycnn", "resnet8", "kws", "vww", "autoencoder")
LARGE = ("mbv2", "resnet50", *(f"light_{name}" for name in networks.LIGHT))
VLENS = (128, 256, 512, 1024)


def model(name: str) -> onnx.ModelProto:
    return networks.light(name.removeprefix("light_")) if name.startswith("light_") else networks.NETWORKS[name]()


@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_a_host_program_agrees_with_onnx_runtime(name: str, tmp_path: Path) -> None:
    bundle = pilotfish.compile(model(name), target="host", output=tmp_path / "out")
    assert bundle.verify(runs=1).relative <= 1e-4
    plan = bundle.manifest.plan
    assert plan.arena_bytes <= 1.05 * plan.lower_bound_bytes


@pytest.mark.parametrize("name", SMALL)
def test_a_risc_v_program_agrees_with_onnx_runtime_at_every_vector_length(name: str, tmp_path: Path) -> None:
    bundle = pilotfish.compile(model(name), target="rv64gcv", output=tmp_path / "out")
    for vlen in VLENS:
        assert bundle.verify(runs=1, vlen=vlen).relative <= 1e-4, f"VLEN {vlen}"


@pytest.mark.parametrize("name", ["tinycnn", "kws"])
def test_a_program_without_vectors_agrees_with_onnx_runtime(name: str, tmp_path: Path) -> None:
    bundle = pilotfish.compile(model(name), target="sifive-u74", output=tmp_path / "out")
    assert bundle.verify(runs=1).relative <= 1e-4


@pytest.mark.large
@pytest.mark.parametrize("name", LARGE)
def test_a_large_risc_v_program_agrees_with_onnx_runtime(name: str, tmp_path: Path) -> None:
    bundle = pilotfish.compile(model(name), target="rv64gcv", output=tmp_path / "out")
    assert bundle.verify(runs=1).relative <= 1e-4
