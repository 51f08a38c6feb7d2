"""Small models, many in one program, against ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from batch import Array, Job, run
from onnx import helper, numpy_helper

from pilotfish.compiler.targets import Target
from pilotfish.pipeline import compile_graph, import_model


@dataclass(frozen=True)
class Example:
    """A model and the values of its inputs."""

    label: str
    model: onnx.ModelProto
    feeds: Mapping[str, Array]


def example(
    label: str,
    nodes: Sequence[onnx.NodeProto],
    feeds: Mapping[str, Array],
    outputs: Sequence[str] = ("y",),
    **constants: Any,
) -> Example:
    """A model of these nodes; its inputs have the types of ``feeds``."""
    graph = helper.make_graph(
        list(nodes), "example",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in feeds.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return Example(label, onnx.shape_inference.infer_shapes(model, strict_mode=True), feeds)


def assert_agree(examples: Sequence[Example], target: Target, vlen: int | None = None, relative: float = 2e-5) -> None:
    """Every output of every example is ONNX Runtime's: within ``relative`` of its largest number."""
    jobs = [
        Job(compile_graph(import_model(e.model), target, symbol=f"example_{i}"), e.feeds)
        for i, e in enumerate(examples)
    ]
    with tempfile.TemporaryDirectory() as folder:
        results = run(jobs, target, Path(folder), vlen)
    wrong = []
    for e, outputs in zip(examples, results, strict=True):
        session = onnxruntime.InferenceSession(e.model.SerializeToString(), providers=["CPUExecutionProvider"])
        for value, wanted in zip(session.get_outputs(), session.run(None, dict(e.feeds)), strict=True):
            got = outputs[value.name]
            assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), e.label
            if wanted.dtype.kind != "f":
                bad = int((got != wanted).sum())
            else:
                finite = wanted[np.isfinite(wanted)]
                bound = relative * max(float(np.abs(finite).max(initial=0)), 1e-6)
                bad = int((~np.isclose(got, wanted, rtol=0, atol=bound, equal_nan=True)).sum())
            if bad:
                wrong.append(f"{e.label}: {bad} of {wanted.size} elements of {value.name}")
    assert not wrong, "\n".join(wrong)
