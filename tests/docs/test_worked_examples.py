"""The worked examples of docs/ do what the pages say: they are taken out of the text, and run."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from pilotfish import pipeline
from pilotfish.compiler import targets
from pilotfish.compiler.kernels import table
from pilotfish.compiler.ops import registry
from pilotfish.compiler.ops.interpreter import interpret
from pilotfish.compiler.passes import PASSES
from pilotfish.compiler.targets import Target
from pilotfish.measure.kernel_harness import check, run_cases

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


def loaded(name: str, source: str) -> types.ModuleType:
    """A module out of its text."""
    module = types.ModuleType(name)
    exec(compile(source, f"<docs: {name}>", "exec"), module.__dict__)
    return module


def test_target_of_the_page_compiles_a_kernel_that_is_right() -> None:
    target = Target(name="kendryte-k230", **tomllib.loads(blocks("add-a-target.md", "toml")[0]))
    kernel = table.kernels()["x32_fill__rvv"]
    cases = list(kernel.cases(np.random.default_rng(0)))
    outputs = run_cases(target, [(kernel, case) for case in cases], target.vlen)
    assert [check(kernel, case, got) for case, got in zip(cases, outputs, strict=True)] == [None] * len(cases)


def test_page_on_the_compiler_has_all_passes_in_their_order() -> None:
    text = (DOCS / "compiler.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [name for name, _ in PASSES]


@pytest.fixture
def axpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, table.Kernel]:
    """The rows of add-a-kernel.md, with their C in a folder of its own."""
    header, source = blocks("add-a-kernel.md", "c")
    for name in table.folder().glob("pf_*.h"):
        (tmp_path / name.name).write_text(name.read_text())
    (tmp_path / "axpy.h").write_text(header)
    (tmp_path / "axpy.c").write_text(source)
    monkeypatch.setattr(table, "folder", lambda: tmp_path)
    structs = table.structs.__wrapped__()
    monkeypatch.setattr(table, "structs", lambda: structs)
    rows = loaded("axpy", blocks("add-a-kernel.md", "python")[0]).KERNELS
    return {row.name: dataclasses.replace(row, source=str(tmp_path / row.source)) for row in rows}


@pytest.mark.parametrize(
    ("name", "target", "vlen"),
    [
        *(("f32_axpy_1x8v__rvv", "rv64gcv", vlen) for vlen in (128, 256, 512, 1024)),
        ("f32_axpy__scalar", "rv64gc", 0),
    ],
)
def test_kernel_of_the_page_passes_parity(name: str, target: str, vlen: int, axpy: dict[str, table.Kernel]) -> None:
    kernel = axpy[name]
    cases = list(kernel.cases(np.random.default_rng(0)))
    outputs = run_cases(targets.load(target), [(kernel, case) for case in cases], vlen)
    for case, got in zip(cases, outputs, strict=True):
        assert check(kernel, case, got) is None
        x, y = case.buffers
        np.testing.assert_allclose(got[1], y + np.float32(0.75) * x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_operator_of_the_page_agrees_with_onnx_runtime(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = next(b for b in blocks("add-an-operator.md", "python") if b.startswith('"""DepthToSpace'))
    (operator,) = loaded("depth_to_space", source).OPERATORS
    monkeypatch.setitem(registry.operators(), "DepthToSpace", operator)

    node = onnx.helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2, mode=mode)
    tensors = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("x", (2, 12, 3, 5)), ("y", (2, 3, 6, 10)))]
    graph = onnx.helper.make_graph([node], "page", tensors[:1], tensors[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    x = np.random.default_rng(0).standard_normal((2, 12, 3, 5)).astype(np.float32)
    (want,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})

    import pilotfish

    got: dict[str, Any] = pilotfish.compile(model, target="host", output=tmp_path / "out").run({"x": x})
    np.testing.assert_array_equal(got["y"], want)
    meant = interpret(pipeline.import_model(model), {"x": x})
    np.testing.assert_array_equal(meant["y"], want)
