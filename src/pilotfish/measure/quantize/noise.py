"""How far a quantized network is from the float one, value by value, on the calibration data.

One model holds three networks: the float one; every quantized layer alone, reading the float network's values (what the
layer *itself* loses); and the quantized one as it is (what has *accumulated*). So one pass over the data tells all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pilotfish.errors import InputError, ModelError
from pilotfish.measure.quantize import session
from pilotfish.measure.quantize.calibration import Calibration, paced
from pilotfish.measure.quantize.prepare import WEIGHTED, Prepared
from pilotfish.measure.quantize.report import LayerNoise
from pilotfish.measure.quantize.static import MOVERS, OPERATORS

Array = np.ndarray[Any, Any]

_BOUNDARY = "_QuantizeLinear_Input"  # what ONNX Runtime calls a graph output before it is quantized
_OWN, _ALL = "own/", "all/"


@dataclass(frozen=True)
class Measured:
    """The layers that add noise, the worst first, and the outputs: SNR in dB, accuracies in percent."""

    layers: tuple[LayerNoise, ...]
    exact: int
    unquantized: tuple[str, ...]
    snr: dict[str, float]
    accuracy_before: float | None
    accuracy_after: float | None


def measure(
    prepared: Prepared, qdq: onnx.ModelProto, data: Calibration, excluded: Iterable[str],
    progress: Callable[[str], None], *, layers: bool = True,
) -> Measured:  # fmt: skip
    """Compare a QDQ model with the float model that it was made from. ``layers`` False looks at the outputs only."""
    network = _Network(qdq)
    left = set(excluded)
    quantized = [n for n in network.computing if network.is_quantized(n) and n.name not in left]
    rounding = [n for n in quantized if n.op_type not in MOVERS] if layers else []
    outputs = list(prepared.graph.outputs)
    compared = [network.value_of(node) for node in rounding]
    pairs = {(name, _ALL): f"{_ALL}{network.after(name)}" for name in dict.fromkeys([*compared, *outputs])}
    pairs |= {(name, _OWN): f"{_OWN}{network.after(name)}" for name in compared}
    model = _merged(prepared.model, network, list(pairs.values()), own=bool(compared))
    noise, answers = _run(model, pairs, outputs, data, progress)
    seen = left | {node.name for node in quantized}
    found = sorted((_layer(prepared, network, node, noise) for node in rounding), key=lambda layer: layer.own)
    before, after = (_accuracy(a, data.labels, prepared) for a in answers)
    types = prepared.graph.types
    return Measured(
        tuple(found),
        len(quantized) - len(found),
        tuple(n.name for n in network.computing if n.name not in seen and types[_plain(n.output[0])].dtype.kind == "f"),
        {name: noise[name, _ALL].decibel for name in outputs if (name, _ALL) in noise},
        before,
        after,
    )


class _Noise:
    """Sums of squares of a signal and of what was added to it."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0

    def add(self, want: Array, got: Array) -> None:
        signal, difference = want.astype(np.float64).reshape(-1), (got.astype(np.float64) - want).reshape(-1)
        self.signal += float(signal @ signal)
        self.noise += float(difference @ difference)

    @property
    def decibel(self) -> float:
        return decibel(self.signal, self.noise)


def decibel(signal: float, noise: float) -> float:
    """10 log10 of the ratio; infinite without noise, minus infinity where all is noise."""
    if noise == 0:
        return np.inf
    return float(10 * np.log10(signal / noise)) if signal > 0 else -np.inf


class _Network:
    """A QDQ model: which nodes compute, which values lie where."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = {t.name: t for t in model.graph.initializer}
        nodes = model.graph.node
        self.computing = [n for n in nodes if n.op_type not in ("QuantizeLinear", "DequantizeLinear")]
        self.quantizing = {n.input[0]: n for n in nodes if n.op_type == "QuantizeLinear"}
        self.dequantizing = {n.input[0]: n for n in nodes if n.op_type == "DequantizeLinear"}
        self.by_output = {o: n for n in nodes for o in n.output}
        self.outputs = {o.name for o in model.graph.output}

    def dequantized(self, value: str) -> onnx.NodeProto | None:
        """The DequantizeLinear that makes a value."""
        node = self.by_output.get(value)
        return node if node is not None and node.op_type == "DequantizeLinear" else None

    def is_quantized(self, node: onnx.NodeProto) -> bool:
        """Whether the operator was quantized, and not only what it reads."""
        return node.op_type in OPERATORS and any(self.dequantized(i) is not None for i in node.input)

    def value_of(self, node: onnx.NodeProto) -> str:
        """The float model's name of what a node makes."""
        return _plain(node.output[0])

    def before(self, name: str) -> str:
        """The value of the float model as a node makes it here, before it is quantized."""
        boundary = f"{name}{_BOUNDARY}"
        return boundary if boundary in self.by_output else name

    def after(self, name: str) -> str:
        """The value of the float model as its readers see it: after its QuantizeLinear and DequantizeLinear."""
        quantize = self.quantizing.get(self.before(name))
        return self.dequantizing[quantize.output[0]].output[0] if quantize is not None else name


def _plain(name: str) -> str:
    return name.removesuffix(_BOUNDARY)


def _merged(float_model: onnx.ModelProto, network: _Network, added: list[str], *, own: bool) -> onnx.ModelProto:
    """The float network, the network of lone layers if ``own``, and the quantized network, with these outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(float_model)
    graph = model.graph
    known = {t.name for t in graph.initializer}
    graph.initializer.extend(t for t in network.model.graph.initializer if t.name not in known)
    for node in network.model.graph.node if own else ():
        graph.node.append(_alone(node, network))
    for name, quantize in network.quantizing.items() if own else ():
        if network.by_output.get(name) is not None:  # what a lone layer makes is quantized as the network would
            graph.node.extend(_requantized(name, quantize, network))
    for node in network.model.graph.node:
        graph.node.append(_with_prefix(node, network, _ALL))
    del graph.value_info[:]
    graph.output.extend(onnx.ValueInfoProto(name=f"{n}") for n in dict.fromkeys(added))
    return model


def _with_prefix(node: onnx.NodeProto, network: _Network, prefix: str) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.name = f"{prefix}{node.name}"
    for place, name in enumerate(node.input):
        if name in network.by_output:
            made.input[place] = f"{prefix}{name}"
    for place, name in enumerate(node.output):
        made.output[place] = f"{prefix}{name}" if name else ""
    return made


def _alone(node: onnx.NodeProto, network: _Network) -> onnx.NodeProto:
    """A node whose activations come from the float network: quantized there, if the network quantizes them."""
    made = _with_prefix(node, network, _OWN)
    for place, name in enumerate(node.input):
        maker = network.by_output.get(name)
        if maker is not None and maker.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            made.input[place] = _plain(name)
    if node.op_type == "DequantizeLinear" and node.input[0] not in network.constants:
        made.output[0] = f"{_OWN}read/{node.output[0]}"
    for place, name in enumerate(node.input):
        maker = network.dequantized(name)
        if maker is not None and maker.input[0] not in network.constants:
            made.input[place] = f"{_OWN}read/{name}"
    return made


def _requantized(name: str, quantize: onnx.NodeProto, network: _Network) -> list[onnx.NodeProto]:
    dequantize = network.dequantizing[quantize.output[0]]
    middle, scales = f"{_OWN}again/{quantize.output[0]}", list(quantize.input[1:])
    attributes = [{a.name: helper.get_attribute_value(a) for a in n.attribute} for n in (quantize, dequantize)]
    return [
        helper.make_node("QuantizeLinear", [f"{_OWN}{name}", *scales], [middle], **attributes[0]),
        helper.make_node("DequantizeLinear", [middle, *dequantize.input[1:]], [f"{_OWN}{dequantize.output[0]}"],
                         **attributes[1]),
    ]  # fmt: skip


def _run(
    model: onnx.ModelProto, pairs: Mapping[tuple[str, str], str], outputs: list[str], data: Calibration,
    progress: Callable[[str], None],
) -> tuple[dict[tuple[str, str], _Noise], tuple[list[Array], list[Array]]]:  # fmt: skip
    """The noise of each pair; if there are labels, all values of the first output, of both networks."""
    wanted = list(dict.fromkeys([*(name for name, _ in pairs), *pairs.values()]))
    present = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in present)
    runner = session.opened(model)
    noise: dict[tuple[str, str], _Noise] = {}
    before: list[Array] = []
    after: list[Array] = []
    with session.reported():
        for feed in paced(data, len(data), progress, "comparing with float"):
            values = dict(zip(wanted, runner.run(wanted, dict(feed)), strict=True))
            for pair, name in pairs.items():
                want = values[pair[0]]
                if want.dtype.kind == "f":
                    if not np.isfinite(want).all():
                        raise ModelError(
                            f"the float model makes infinities or NaN at {pair[0]!r} on the calibration data"
                        )
                    noise.setdefault(pair, _Noise()).add(want, values[name])
            if data.labels is not None:
                before.append(values[outputs[0]])
                after.append(values[pairs[outputs[0], _ALL]])
    return noise, (before, after)


def _layer(
    prepared: Prepared, network: _Network, node: onnx.NodeProto, noise: Mapping[tuple[str, str], _Noise]
) -> LayerNoise:
    name = network.value_of(node)
    signal, spread = _weights(prepared, network, node)
    own, all_ = (noise[name, kind].decibel if (name, kind) in noise else np.inf for kind in (_OWN, _ALL))
    return LayerNoise(node.name, node.op_type, name, own, all_, signal, spread)


def _weights(prepared: Prepared, network: _Network, node: onnx.NodeProto) -> tuple[float | None, float | None]:
    """SNR of the weights for the median channel, and the spread of the channels' ranges."""
    dequantize = network.dequantized(node.input[1]) if node.op_type in WEIGHTED else None
    if dequantize is None or dequantize.input[0] not in network.constants:
        return None, None
    want = prepared.graph.constants[next(n for n in prepared.graph.nodes if n.name == node.name).inputs[1]]
    values, scale = (numpy_helper.to_array(network.constants[i]) for i in dequantize.input[:2])
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axis = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0 if attributes.get("transB") else 1}.get(
        node.op_type, want.ndim - 1
    )
    if scale.size > 1:
        scale = scale.reshape([-1 if d == axis else 1 for d in range(want.ndim)])
    rows = np.moveaxis(want, axis, 0).reshape(want.shape[axis], -1).astype(np.float64)
    kept = np.moveaxis(values * scale.astype(np.float64), axis, 0).reshape(rows.shape)
    signals = [decibel(float(a @ a), float((a - b) @ (a - b))) for a, b in zip(rows, kept, strict=True) if a.any()]
    ranges = np.abs(rows).max(axis=1)
    ranges = ranges[ranges > 0]
    if not len(ranges):
        return None, None
    return float(np.median(signals)), float(ranges.max() / np.median(ranges))


def _accuracy(answers: list[Array], labels: Array | None, prepared: Prepared) -> float | None:
    """Percent of right answers of the first output: class scores, or classes if it is whole numbers."""
    if labels is None:
        return None
    stacked, truth = np.stack(answers), labels.reshape(-1)
    name = prepared.graph.outputs[0]
    if stacked.dtype.kind in "iu" and stacked.size == truth.size:
        return float(100 * (stacked.reshape(-1) == truth).mean())
    if stacked.size % truth.size or stacked.size // truth.size < 2 or stacked.dtype.kind != "f":
        raise InputError(
            f"accuracy needs class scores for each of the {truth.size} labels; output {name!r} has "
            f"{stacked.size} values in all"
        )
    scores = stacked.reshape(len(truth), -1)
    if not 0 <= truth.min() <= truth.max() < scores.shape[1]:
        raise InputError(
            f"labels go from {truth.min()} to {truth.max()}, output {name!r} has {scores.shape[1]} classes"
        )
    return float(100 * (scores.argmax(axis=1) == truth).mean())
