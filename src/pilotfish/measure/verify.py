"""Is the program right? Its outputs beside those of ONNX Runtime on the CPU, for the model as it was imported."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pilotfish.bundle.manifest import TensorEntry
from pilotfish.errors import ModelError, ToolError

Array = np.ndarray[Any, Any]

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class OutputDifference:
    """How far one output is from the reference, over all inferences.

    ``absolute`` is max |got - want|; ``relative`` that divided by ``largest``, which is max |want|. Infinite where one
    is NaN and the other is not.
    """

    name: str
    absolute: float
    relative: float
    largest: float


@dataclass(frozen=True)
class VerifyReport:
    """The comparison of a bundle with ONNX Runtime. ``place`` says where the program ran."""

    place: str
    inferences: int
    rtol: float
    outputs: tuple[OutputDifference, ...]

    @property
    def relative(self) -> float:
        """The largest relative error of any output."""
        return max((o.relative for o in self.outputs), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether every output is within ``rtol``."""
        return self.relative <= self.rtol

    def __str__(self) -> str:
        lines = [
            f"  {o.name}: relative error {o.relative:.1e} (largest difference {o.absolute:.1e}, "
            f"largest value {o.largest:.3g})"
            for o in self.outputs
        ]
        verdict = "agrees with" if self.passed else "DIFFERS from"
        n = f"{self.inferences} inference{'s' if self.inferences != 1 else ''}"
        return "\n".join([f"{verdict} ONNX Runtime {self.place}, {n}, bound {self.rtol:g}", *lines])


def random_inputs(tensors: Sequence[TensorEntry], runs: int, seed: int) -> dict[str, Array]:
    """A batch of ``runs`` inputs: normal floats; whole numbers 0 and 1, which are fair as indices too; all bytes."""
    rng = np.random.default_rng(seed)
    batch: dict[str, Array] = {}
    for tensor in tensors:
        dtype, shape = np.dtype(tensor.dtype), (runs, *tensor.shape)
        if dtype.kind == "f":
            batch[tensor.name] = rng.standard_normal(shape).astype(dtype)
        elif dtype.itemsize == 1 and dtype.kind != "b":
            info = np.iinfo(dtype)
            batch[tensor.name] = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        else:
            batch[tensor.name] = rng.integers(0, 2, shape).astype(dtype)
    return batch


def reference(model: Path, inputs: Mapping[str, Array]) -> list[Array]:
    """ONNX Runtime's outputs for a batch, stacked, in the model's order."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read on import: nothing is sent anywhere for our user
    import onnxruntime  # a third of a second, and only needed here

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # a model's odd but harmless spots are no news to its user
    count = len(next(iter(inputs.values()), [None]))
    try:  # its exceptions have no base class of their own
        session = onnxruntime.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["WeightBiasQuantization"],  # it makes int8 of layers that a model keeps in float
        )
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot load {model}: {str(error).strip()[-2000:]}") from error
    try:
        results = [session.run(None, {name: array[i, ...] for name, array in inputs.items()}) for i in range(count)]
    except Exception as error:
        raise ToolError(f"ONNX Runtime cannot run {model}: {str(error).strip()[-2000:]}") from error
    return [np.stack([np.asarray(result[i]) for result in results]) for i in range(len(results[0]))]


def difference(name: str, got: Array, want: Array) -> OutputDifference:
    """Compare one output with its reference; same shape and dtype, or the difference is infinite."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return OutputDifference(name, np.inf, np.inf, float(np.abs(want.astype(np.float64)).max(initial=0.0)))
    a, b = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0  # infinities of one sign, and NaN in both
    apart[np.isnan(apart)] = np.inf
    absolute = float(apart.max(initial=0.0))
    largest = float(np.abs(b[np.isfinite(b)]).max(initial=0.0))
    return OutputDifference(name, absolute, absolute / max(largest, _TINY), largest)


def compare(
    names: Sequence[str], got: Sequence[Array], want: Sequence[Array], *, place: str, rtol: float
) -> VerifyReport:
    """The report of a batch: outputs of the program beside those of the reference."""
    pairs = zip(names, got, want, strict=True)
    return VerifyReport(place, len(want[0]), rtol, tuple(difference(name, a, b) for name, a, b in pairs))
