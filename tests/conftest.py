"""Small models and bundles that tests of several rooms share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pilotfish
from pilotfish.cli import main as cli

Compiled = Callable[[str, str], Path]


def dense_model(batch: int | str = 1) -> onnx.ModelProto:
    """``y = relu(x·w + b)``, x [batch, 8], y [batch, 3]."""
    rng = np.random.default_rng(5)
    weights = [
        numpy_helper.from_array(rng.standard_normal((8, 3)).astype(np.float32), "w"),
        numpy_helper.from_array(rng.standard_normal(3).astype(np.float32), "b"),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="fc"),
            helper.make_node("Relu", ["h"], ["y"], name="act"),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def dense(x: np.ndarray) -> np.ndarray:
    """What that model computes for x [..., 8], in float64."""
    model = dense_model()
    w, b = (numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer)
    return np.maximum(x.astype(np.float64) @ w + b, 0)


def two_input_model() -> onnx.ModelProto:
    """``sum = left + right``, ``product = left * right``, all [2, 5]."""
    names = ("left", "right")
    graph = helper.make_graph(
        [
            helper.make_node("Add", list(names), ["sum"], name="add"),
            helper.make_node("Mul", list(names), ["product"], name="mul"),
        ],
        "pair",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 5]) for n in names],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 5]) for n in ("sum", "product")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def dense_file(tmp_path: Path) -> Path:
    """The dense model as a file."""
    path = tmp_path / "dense.onnx"
    onnx.save(dense_model(), path)
    return path


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The bundle directory of ``dense`` or ``pair`` for a target, made once. Tests must not change it."""
    root = tmp_path_factory.mktemp("bundles")

    def get(name: str, target: str) -> Path:
        out = root / f"{name}-{target}"
        if not out.exists():
            model = dense_model() if name == "dense" else two_input_model()
            pilotfish.compile(model, target=target, output=out)
        return out

    return get


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def pilot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command `pilotfish`, in this process."""

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["pilotfish", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Said(int(ended.value.code or 0), out, err)

    return run
