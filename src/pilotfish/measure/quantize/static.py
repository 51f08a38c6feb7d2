"""Static quantization by ``onnxruntime.quantization``: ranges out of calibration data, then a QDQ model out of ranges.

The two halves are apart so that one calibration serves many attempts. Activations become int8 with a zero point,
weights int8 without one, biases int32 at the product of both scales.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from pilotfish.errors import ModelError
from pilotfish.measure.quantize import session
from pilotfish.measure.quantize.calibration import paced
from pilotfish.measure.quantize.prepare import Prepared

Array = np.ndarray[Any, Any]
Feeds = Sequence[Mapping[str, Array]]
Method = Literal["minmax", "entropy", "percentile"]
METHODS: tuple[Method, ...] = ("minmax", "entropy", "percentile")

MOVERS = (
    "MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Pad",
    "Gather", "DepthToSpace", "SpaceToDepth",
)  # fmt: skip
"""What only chooses or moves values: on int8 it loses nothing."""

OPERATORS = (
    "Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Resize",
    "Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "Selu", "Celu", "Gelu", "Mish",
    "Swish", "Softplus", "Softsign", "ThresholdedRelu", *MOVERS,
)  # fmt: skip
"""What is quantized. Softmax and the normalizations are not: they lose much and weigh nothing."""

_PERCENTILE = 99.99
_BINS = {"percentile": 2048, "entropy": 1024}  # that of entropy takes a second for each tensor at 2048
_LEVELS = 128  # of the entropy method, as TensorRT has them


def calibrate(prepared: Prepared, feeds: Feeds, method: Method, progress: Callable[[str], None]) -> Any:
    """The range of every float tensor on the calibration data, as ONNX Runtime's ``TensorsData``.

    ``minmax`` takes all values in; ``percentile`` leaves out 0.01 % of them; ``entropy`` takes the range whose 128
    levels tell least less than all values do. Raises :class:`ModelError` where the float model makes no numbers.
    """
    from onnxruntime.quantization import calibrate as ort

    with tempfile.TemporaryDirectory(prefix="pilotfish-") as folder, session.quiet(), session.reported():
        model, augmented = Path(folder) / "model.onnx", Path(folder) / "augmented.onnx"
        onnx.save(prepared.model, model)
        calibrater = ort.MinMaxCalibrater(model, list(OPERATORS), str(augmented))
        calibrater.augment_graph()
        calibrater.infer_session = session.opened(onnx.load(augmented))
        calibrater.collect_data(_Reader(paced(feeds, len(feeds), progress, "calibrating")))
        ranges = calibrater.compute_data()
        for name, data in ranges.items():
            if not np.all(np.isfinite(data.range_value)):
                raise ModelError(f"the float model makes infinities or NaN at {name!r} on the calibration data")
        if method == "minmax":
            return _sorted(ort, ort.CalibrationMethod.MinMax, dict(ranges.items()))
        return _from_histograms(ort, prepared, feeds, ranges, method, progress)


def _from_histograms(
    ort: Any, prepared: Prepared, feeds: Feeds, ranges: Any, method: Method, progress: Callable[[str], None]
) -> Any:
    """Ranges by ONNX Runtime's ``HistogramCollector``.

    Its bins grow with the data, without a bound if the first inference is faint. So it is shown the extremes first,
    which fixes the bins, and these two counts are taken back.
    """
    names = sorted(ranges.keys())
    collector = ort.HistogramCollector(
        method=method,
        symmetric=False,
        num_bins=_BINS[method],
        num_quantized_bins=_LEVELS,
        percentile=_PERCENTILE,
        scenario="",
    )
    collector.collect({name: np.array(ranges[name].range_value, np.float32).reshape(-1) for name in names})
    for name, (counts, *rest) in list(collector.histogram_dict.items()):
        collector.histogram_dict[name] = (np.zeros_like(counts), *rest)
    model = onnx.ModelProto()
    model.CopyFrom(prepared.model)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    runner = session.opened(model)
    for feed in paced(feeds, len(feeds), progress, f"counting values for {method}"):
        collector.collect(dict(zip(names, runner.run(None, dict(feed)), strict=True)))
    progress(f"choosing ranges by {method}")
    found = collector.compute_collection_result()
    kind = ort.CalibrationMethod.Entropy if method == "entropy" else ort.CalibrationMethod.Percentile
    return _sorted(ort, kind, {name: tuple(np.float32(v) for v in found[name][:2]) + found[name][2:] for name in names})


def _sorted(ort: Any, kind: Any, data: Mapping[str, Any]) -> Any:
    """ONNX Runtime collects in the order of a set, which changes from run to run, and so would the file."""
    return ort.TensorsData(kind, dict(sorted(data.items())))


class _Reader:
    """An iterator in the form that ONNX Runtime asks for."""

    def __init__(self, feeds: Iterable[Mapping[str, Array]]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        feed = next(self._left, None)
        return None if feed is None else dict(feed)


def insert(prepared: Prepared, ranges: Any, *, per_channel: bool, exclude: Iterable[str]) -> onnx.ModelProto:
    """The QDQ model. Nodes of the names in ``exclude`` keep float weights and a float output."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    copy = onnx.ModelProto()
    copy.CopyFrom(prepared.model)
    with session.quiet():
        quantizer = QDQQuantizer(
            copy,
            per_channel,
            False,  # reduce_range: 7 bits are for instructions that saturate, ours do not
            QuantType.QInt8,
            QuantType.QInt8,
            ranges,
            [],
            sorted({*exclude, *_bent_off_zero(prepared)}),
            list(OPERATORS),
            {"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        quantizer.quantize_model()
    quantizer.model.topological_sort()
    model: onnx.ModelProto = quantizer.model.model
    model.producer_name = "pilotfish"
    del model.metadata_props[:]
    return model


def _bent_off_zero(prepared: Prepared) -> set[str]:
    """Clips whose bounds do not hold 0: an int8 range always does, so it cannot take their place."""
    found = set()
    constants = prepared.graph.constants
    for node in prepared.graph.nodes:
        if node.op == "Clip":
            bounds = [constants.get(i) for i in node.inputs[1:3]]
            low, high = (float(b.reshape(-1)[0]) if b is not None else 0.0 for b in (*bounds, None, None)[:2])
            if low > 0 or high < 0:
                found.add(node.name)
    return found
