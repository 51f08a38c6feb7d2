"""Post-training quantization: a float ONNX model and some of its inputs in, an int8 QDQ model and what it cost out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from pilotfish.bundle import replace_file
from pilotfish.bundle.directory import storing
from pilotfish.errors import UsageError
from pilotfish.measure.quantize import prepare, sources
from pilotfish.measure.quantize.auto import Goal
from pilotfish.measure.quantize.calibration import LARGEST, inputs_of
from pilotfish.measure.quantize.report import LayerNoise, Quantized, Report, advice
from pilotfish.measure.quantize.sources import Source

__all__ = ["LARGEST", "Goal", "LayerNoise", "Quantized", "Report", "Source", "quantize"]


def quantize(
    model: Path | str | onnx.ModelProto,
    calibration: Source,
    *,
    labels: Any = None,
    method: str = "minmax",
    per_channel: bool = True,
    exclude: Sequence[str] = (),
    goal: Goal | None = None,
    output: Path | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    samples: int = LARGEST,
    preprocess: Path | str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Quantized:
    """Quantize a float model; :func:`pilotfish.quantize` says what the arguments mean."""
    from pilotfish.measure.quantize import auto, noise, static  # ONNX Runtime's quantizer takes a second to load

    if method not in static.METHODS:
        raise UsageError(f"unknown calibration method {method!r}; there are {', '.join(static.METHODS)}")
    if goal:
        goal.check()
    if output:
        _check_output(output, model)
    progress("reading the model and the calibration data")
    proto = prepare.read(model)
    dims = prepare.bound(proto, shapes or {})
    inputs = inputs_of(proto, dims)
    data = sources.load(calibration, inputs, labels=labels, most=samples, preprocess=preprocess)
    if goal and goal.accuracy is not None and data.labels is None:
        raise UsageError("an accuracy as goal needs labels: in the .npz under 'labels', or given beside the data")
    prepared = prepare.prepare(proto, data.shapes)
    excluded = [prepared.node(name) for name in exclude]
    ranges = static.calibrate(prepared, data, method, progress)

    def attempt(kept: Sequence[str], layers: bool = False) -> tuple[onnx.ModelProto, noise.Measured]:
        names = [*excluded, *kept]
        made = static.insert(prepared, ranges, per_channel=per_channel, exclude=names)
        return made, noise.measure(prepared, made, data, names, progress, layers=layers)

    made, measured = attempt((), layers=True)
    kept: tuple[str, ...] = ()
    if goal:
        _possible(goal, measured)
        candidates = [layer.node for layer in measured.layers]
        kept, made, _ = auto.keep_in_float(goal, candidates, attempt, (made, measured), progress)
        if kept:
            made, measured = attempt(kept, layers=True)
    content = made.SerializeToString(deterministic=True)
    if output:
        replace_file(output, content)
    weighted = {node.name for node in prepared.graph.nodes if node.op in prepare.WEIGHTED}
    mixed = not weighted.isdisjoint({*excluded, *kept})
    report = Report(
        method=method,
        per_channel=per_channel,
        inferences=len(data),
        layers=measured.layers,
        exact=measured.exact,
        unquantized=measured.unquantized,
        excluded=tuple(dict.fromkeys(excluded)),
        kept=kept,
        snr=measured.snr,
        bytes_before=proto.ByteSize(),
        bytes_after=len(content),
        accuracy_before=measured.accuracy_before,
        accuracy_after=measured.accuracy_after,
        notes=(*data.notes, *advice(measured.layers, per_channel=per_channel, mixed=mixed)),
    )
    return Quantized(made, report)


def _possible(goal: Goal, measured: Any) -> None:
    before = measured.accuracy_before
    if goal.accuracy is not None and before < goal.accuracy:
        raise UsageError(f"the float model itself is right on {before:.2f} % of the calibration data, not on {goal}")


def _check_output(output: Path, model: object) -> None:
    """Before minutes of work: whether the file can be written at their end."""
    if output.is_dir():
        raise UsageError(f"{output} is a directory; name the file of the quantized model")
    if isinstance(model, str | Path) and output.exists() and Path(model).exists() and output.samefile(model):
        raise UsageError(f"{output} is the float model itself; name another file")
    if not output.exists() or output.is_file():
        with storing(output), tempfile.TemporaryFile(dir=output.resolve().parent):
            pass
