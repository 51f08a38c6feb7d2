"""ONNX's own node tests, compiled and run in batches. ``python tests/ops/onnx_nodes.py`` records the outcome anew.

A test passes if the program's outputs are ONNX's vectors within ONNX's tolerances. If a model is refused because
something must be constant, it is tried again with its integer inputs, then with all but its first input, then with all
inputs turned into constants: ``pass, constants``. Anything else is ``no`` with a reason.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from batch import Array, Job, run
from onnx.backend.test.loader import load_model_tests

from pilotfish.compiler import targets
from pilotfish.compiler.targets import Target
from pilotfish.errors import ModelError, UnsupportedOperatorsError
from pilotfish.pipeline import Compiled, compile_graph, import_model

MANIFEST = Path(__file__).with_name("onnx_node_tests.txt")

Keep = Callable[[int, Array], bool]
_KEPT: tuple[tuple[str, Keep], ...] = (
    ("pass", lambda _i, _x: True),
    ("pass, constants", lambda i, x: i == 0 or x.dtype.kind not in "iub"),
    ("pass, constants", lambda i, _x: i == 0),
    ("pass, constants", lambda _i, _x: False),
)


@dataclass(frozen=True)
class NodeTest:
    """One model of the suite, with its inputs and outputs."""

    name: str
    model: onnx.ModelProto
    inputs: tuple[Array | None, ...]
    outputs: tuple[Array | None, ...]
    rtol: float
    atol: float


def load(pattern: str = "") -> Iterator[NodeTest]:
    """The suite as the onnx package makes it, those whose name matches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite's own arithmetic overflows on purpose
        cases = load_model_tests(kind="node")
        for case in cases:
            if re.search(pattern, case.name):
                inputs, outputs = (tuple(_array(v) for v in values) for values in case.data_sets[0])
                yield NodeTest(case.name, case.model, inputs, outputs, case.rtol, case.atol)


def _array(value: object) -> Array | None:
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None


def outcomes(tests: list[NodeTest], target: Target, vlen: int | None = None) -> dict[str, str]:
    """Name → ``pass``, ``pass, constants`` or ``no: reason``."""
    found: dict[str, str] = {}
    jobs: list[tuple[NodeTest, str, Job]] = []
    for test in tests:
        status, compiled = compile_test(test, target)
        if compiled is None:
            found[test.name] = status
        else:
            feeds = {v.name: x for v, x in zip(test.model.graph.input, test.inputs, strict=True)}
            jobs.append((test, status, Job(compiled, feeds)))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        results = run([job for _, _, job in jobs], target, Path(folder), vlen)
    for (test, status, _), outputs in zip(jobs, results, strict=True):
        found[test.name] = status if (wrong := _difference(test, outputs)) is None else f"no: {wrong}"
    return dict(sorted(found.items()))


def compile_test(test: NodeTest, target: Target) -> tuple[str, Compiled | None]:
    """The outcome if the program is right, or why there is none."""
    first: ModelError | None = None
    for status, keep in _KEPT:
        try:
            return status, _compile(test, target, keep)
        except ModelError as error:
            first = first or error
            if isinstance(error, UnsupportedOperatorsError) or any(x is None for x in test.inputs):
                break
        except Exception as error:
            return f"no: crashes with {type(error).__name__}", None
    return f"no: {_reason(first)}", None


def _compile(test: NodeTest, target: Target, keep: Keep) -> Compiled:
    model, shapes = onnx.ModelProto(), {}
    model.CopyFrom(test.model)
    del model.graph.input[:]
    for i, (value, x) in enumerate(zip(test.model.graph.input, test.inputs, strict=True)):
        if x is None or keep(i, x):
            model.graph.input.append(value)
            if x is not None and any(not d.HasField("dim_value") for d in value.type.tensor_type.shape.dim):
                shapes[value.name] = x.shape
        else:
            model.graph.initializer.append(onnx.numpy_helper.from_array(x, value.name))
    return compile_graph(import_model(model, shapes), target, symbol=re.sub(r"\W", "_", test.name))


def _reason(error: ModelError | None) -> str:
    if isinstance(error, UnsupportedOperatorsError):
        return f"does not have {', '.join(sorted(error.nodes_by_operator))}"
    text = getattr(error, "why", str(error)).split("\n")[0]
    return re.sub(r"\s*\(.*|'.*?__1'|, the \w+ (is|are) .*", "", text)[:70].strip()


def _difference(test: NodeTest, outputs: Mapping[str, Array]) -> str | None:
    for value, wanted in zip(test.model.graph.output, test.outputs, strict=True):
        got = outputs[value.name]
        if wanted is None or got.shape != wanted.shape or got.dtype != wanted.dtype:
            return "another type than ONNX's"
        if got.dtype.kind == "f":
            with np.errstate(all="ignore"):
                same = np.allclose(got, wanted, rtol=test.rtol, atol=test.atol, equal_nan=True)
        else:
            same = np.array_equal(got, wanted)
        if not same:
            return "other numbers than ONNX's"
    return None


def recorded() -> dict[str, str]:
    """The outcomes in the manifest."""
    lines = [line for line in MANIFEST.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return {line.split(None, 1)[0]: line.split(None, 1)[1] for line in lines}


def record(found: Mapping[str, str]) -> None:
    """Write the manifest."""
    passed = sum(status.startswith("pass") for status in found.values())
    head = [
        f"# ONNX {onnx.__version__} node tests as compiled by Pilotfish: {passed} of {len(found)} pass.",
        "# Recorded by: python tests/ops/onnx_nodes.py",
        "",
    ]
    width = max(map(len, found))
    lines = [f"{name:<{width}}  {status}" for name, status in sorted(found.items())]
    MANIFEST.write_text("\n".join([*head, *lines, ""]), "utf-8")


if __name__ == "__main__":
    record(outcomes(list(load()), targets.load("host")))
