"""ONNX's node tests come out as the manifest says; see ``onnx_nodes.py``."""

from __future__ import annotations

import onnx_nodes
import pytest

from pilotfish.compiler import targets


@pytest.mark.parametrize(
    ("target", "vlen"),
    [
        ("host", None),
        ("rv64gcv", 128),
        pytest.param("rv64gcv", 256, marks=pytest.mark.large),
        pytest.param("rv64gcv", 1024, marks=pytest.mark.large),
        pytest.param("rv64gc", None, marks=pytest.mark.large),
    ],
)
def test_outcomes_are_as_recorded(target: str, vlen: int | None) -> None:
    found, recorded = onnx_nodes.outcomes(list(onnx_nodes.load()), targets.load(target), vlen), onnx_nodes.recorded()
    worse = {n: s for n, s in found.items() if recorded.get(n, "").startswith("pass") and s != recorded[n]}
    better = {n: s for n, s in found.items() if s.startswith("pass") and s != recorded.get(n)}
    assert not worse
    assert not [name for name, status in found.items() if "crashes" in status]
    assert not better, "better than recorded: run `python tests/ops/onnx_nodes.py`"
    assert found.keys() == recorded.keys()


def test_most_of_onnx_passes() -> None:
    passed = [status for status in onnx_nodes.recorded().values() if status.startswith("pass")]
    assert len(passed) >= 1350
