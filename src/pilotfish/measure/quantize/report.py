"""What quantization cost, as immutable data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import onnx


@dataclass(frozen=True)
class LayerNoise:
    """A quantized node, named by the value that it makes after its activation. All figures are in dB of power.

    ``own``: signal to noise at its output where it alone is quantized, fed with the float network's values. What it
    adds; the worst layer has the lowest. ``accumulated``: the same where everything before it is quantized too.
    ``weights``: that of its weights for the median output channel; 0 dB is a channel that has become 0.
    ``spread``: the largest range of an output channel's weights divided by the median one. A wide spread is what one
    scale for all channels cannot follow.
    """

    node: str
    op: str
    output: str
    own: float
    accumulated: float
    weights: float | None
    spread: float | None


@dataclass(frozen=True)
class Report:
    """What a quantized model is worth on its calibration data. *Measured* in ONNX Runtime, in float arithmetic.

    ``layers`` are those that add noise, the worst first. ``exact`` is the number of quantized nodes that add none
    (pools, reshapes). ``unquantized`` are nodes that compute in float because their operator, or what they read, does;
    ``excluded`` those that the user or ``--auto`` left in float; the latter are ``kept``. ``snr`` is that of the
    model's outputs in dB, ``accuracy`` the share of right answers in percent, before and after.
    """

    method: str
    per_channel: bool
    inferences: int
    layers: tuple[LayerNoise, ...]
    exact: int
    unquantized: tuple[str, ...]
    excluded: tuple[str, ...]
    kept: tuple[str, ...]
    snr: dict[str, float]
    bytes_before: int
    bytes_after: int
    accuracy_before: float | None
    accuracy_after: float | None
    notes: tuple[str, ...]

    @property
    def worst_snr(self) -> float:
        """Of the outputs, in dB."""
        return min(self.snr.values(), default=float("inf"))

    def json(self) -> dict[str, Any]:
        """The report as JSON data."""
        return asdict(self)


_WIDE = 16.0  # a median channel keeps at most 3 bits and a sign beside the widest one
_POOR = 15.0  # dB


def advice(layers: Sequence[LayerNoise], *, per_channel: bool, mixed: bool) -> tuple[str, ...]:
    """What the figures tell a user to do. ``mixed`` is a model in which layers with weights stay float."""
    wide = [layer for layer in layers if layer.spread is not None and layer.spread >= _WIDE and not per_channel]
    found = [
        f"{layer.node}: the weights of one channel range {layer.spread:.0f} times wider than those of the median one; "
        "they need a scale per channel, not per tensor"
        for layer in wide
    ]
    poor = [layer for layer in layers if layer.own < _POOR and layer not in wide]
    if poor:
        names = ", ".join(layer.node for layer in poor[:3]) + (", …" if len(poor) > 3 else "")
        found.append(f"{names}: below {_POOR:g} dB; keep in float, or try another method")
    if mixed:
        found.append(
            "ONNX Runtime's optimizer makes int8 of float layers between quantized ones; where accuracy counts, open "
            "its session with disabled_optimizers=['WeightBiasQuantization']"
        )
    return tuple(found)


@dataclass(frozen=True)
class Quantized:
    """A quantized model and what it cost."""

    model: onnx.ModelProto
    report: Report
