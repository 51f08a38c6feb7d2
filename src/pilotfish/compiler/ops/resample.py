"""Weights of ONNX's Resize along one axis: which input elements make each output element.

Formulas: https://onnx.ai/onnx/operators/onnx__Resize.html. Where an output size is a fraction times the input size
rounded down, ``align_corners`` uses the rounded size, as ONNX Runtime does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pilotfish.compiler.kernels import resize
from pilotfish.compiler.kernels.table import Array


@dataclass(frozen=True)
class Filter:
    """How to interpolate: the attributes of a Resize node."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest_mode: str = "round_prefer_floor"
    cubic: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False


@dataclass(frozen=True)
class Taps:
    """``y[o] = Σ weights[o, k] * x[indices[o, k]]``; where ``outside`` is set, y is the extrapolation value."""

    indices: Array
    weights: Array
    outside: Array


def positions(size_in: int, size_out: int, scale: float, how: Filter, roi: tuple[float, float]) -> Array:
    """Where each output element lies in the input."""
    if how.coordinates == "tf_crop_and_resize":
        start, end = roi
        at = np.arange(size_out, dtype=np.float64)
        if size_out == 1:
            return np.array([0.5 * (start + end) * (size_in - 1)])
        return start * (size_in - 1) + at * (end - start) * (size_in - 1) / (size_out - 1)
    return resize.coordinates(size_in, size_out, scale, how.coordinates)


def taps(size_in: int, size_out: int, scale: float, how: Filter, roi: tuple[float, float] = (0.0, 1.0)) -> Taps:
    """The weights of one axis. ``roi`` is used by ``tf_crop_and_resize`` alone."""
    at = positions(size_in, size_out, scale, how, roi)
    outside = np.zeros(size_out, bool)
    if how.coordinates == "tf_crop_and_resize":
        outside = (at < 0) | (at > size_in - 1)
    if how.mode == "nearest":
        indices = resize.nearest_table(at, size_in, how.nearest_mode).astype(np.int64)[:, None]
        return Taps(indices, np.ones((size_out, 1)), outside)
    rows = [_neighbours(x, size_in, scale, how) for x in at]
    indices = np.array([r[0] for r in rows], np.int64)
    return Taps(indices, np.array([r[1] for r in rows]), outside)


def _neighbours(x: float, size: int, scale: float, how: Filter) -> tuple[Array, Array]:
    """The elements around one position and their weights."""
    whole = float(x).is_integer()
    base, ratio = (int(x) - 1, 1.0) if whole else (math.floor(x), x - math.floor(x))
    weights = _weights(ratio, scale, how)
    indices = base - len(weights) // 2 + 1 + np.arange(len(weights))
    if how.exclude_outside:
        weights = np.where((indices < 0) | (indices >= size), 0.0, weights)
        weights = weights / weights.sum()
    return np.clip(indices, 0, size - 1), weights


def _weights(ratio: float, scale: float, how: Filter) -> Array:
    reach = 1 if how.mode == "linear" else 2
    shrink = min(scale, 1.0) if how.antialias else 1.0
    start = math.floor(-reach / shrink) + 1
    distance = np.abs((np.arange(start, 2 - start) - ratio) * shrink)
    if how.mode == "linear":
        weights = np.clip(1 - distance, 0, 1)
    else:
        a = how.cubic
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    return np.asarray(weights / weights.sum())
