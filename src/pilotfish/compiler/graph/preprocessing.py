"""From the bytes of an image to the numbers that a network takes: what is done, with its meaning in NumPy.

Three steps. *Resize*: bilinear without antialiasing, half-pixel centres, as ONNX's Resize (``linear``, ``half_pixel``)
and torch's ``interpolate(antialias=False)`` define it, but sample positions are rounded to 1/256 of a source pixel, and
the result to bytes (ties up): integers all the way. *Crop*: the middle. *Normalise*: ``(byte * scale - mean) / std``
for each channel, the real number rounded to float32. If the network quantizes that, its QuantizeLinear follows in
float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Layout = Literal["NCHW", "NHWC"]
Channels = Literal["L", "RGB", "BGR"]

GRID = 256
"""Sample positions lie on this fraction of a source pixel."""


@dataclass(frozen=True)
class Preprocessing:
    """What happens to one image input, everything resolved.

    The program takes uint8[batch, height, width, channels], channels in the order ``source``. The picture is resized to
    ``resized_height`` x ``resized_width`` (which may be its own size) and cropped from (``top``, ``left``) to
    ``model_height`` x ``model_width``; the network gets float32 in ``layout`` with its channels in the order ``model``,
    which is that of ``mean`` and ``std`` too.
    """

    input: str
    layout: Layout
    source: Channels
    model: Channels
    height: int
    width: int
    resized_height: int
    resized_width: int
    top: int
    left: int
    model_height: int
    model_width: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        """1 or 3."""
        return len(self.source)

    @property
    def resizes(self) -> bool:
        """Whether pixels are interpolated."""
        return (self.height, self.width) != (self.resized_height, self.resized_width)

    @property
    def order(self) -> tuple[int, ...]:
        """For each channel of the model, that of the source."""
        return tuple(self.source.index(letter) for letter in self.model)

    def __str__(self) -> str:
        steps = [f"{self.source} bytes {self.width}x{self.height}"]
        if self.resizes:
            steps.append(f"resized to {self.resized_width}x{self.resized_height}")
        if (self.model_height, self.model_width) != (self.resized_height, self.resized_width):
            steps.append(f"cropped to {self.model_width}x{self.model_height}")
        if self.source != self.model:
            steps.append(f"as {self.model}")
        mean, std = (", ".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        return ", ".join([*steps, f"times {self.scale:.6g}, less ({mean}), divided by ({std})"])


def positions(size_in: int, size_out: int) -> tuple[Array, Array]:
    """For each position of a resized axis the source pixel before it and the weight of the next one in 1/256.

    int32[size_out] both; exact integer arithmetic, ties up. A weight above 0 has a next pixel.
    """
    at = np.arange(size_out, dtype=np.int64)
    sample = ((2 * at + 1) * size_in * GRID + size_out) // (2 * size_out) - GRID // 2
    sample = np.clip(sample, 0, (size_in - 1) * GRID)
    return (sample // GRID).astype(np.int32), (sample % GRID).astype(np.int32)


def resized(images: Array, p: Preprocessing) -> Array:
    """uint8[batch, height, width, channels] → uint8[batch, model_height, model_width, channels]: resized, cropped."""
    rows, down = (v[p.top : p.top + p.model_height] for v in positions(p.height, p.resized_height))
    cols, right = (v[p.left : p.left + p.model_width] for v in positions(p.width, p.resized_width))
    down, right = down[:, None, None], right[:, None]
    x = images.astype(np.int64)
    below, beside = np.minimum(rows + 1, p.height - 1), np.minimum(cols + 1, p.width - 1)
    lines = x[:, rows] * (GRID - down) + x[:, below] * down
    sums = lines[:, :, cols] * (GRID - right) + lines[:, :, beside] * right
    return np.asarray((sums + GRID * GRID // 2) // (GRID * GRID)).astype(np.uint8)


def values(p: Preprocessing) -> Array:
    """What each byte becomes, float32[channels, 256], channels as the model has them."""
    mean, std = (np.array(v, np.float64)[:, None] for v in (p.mean, p.std))
    return ((np.arange(256) * p.scale - mean) / std).astype(np.float32)


def apply(p: Preprocessing, images: Array) -> Array:
    """What the network gets for uint8[batch, height, width, channels]: float32 in the model's layout."""
    pixels = resized(images, p)[..., p.order]
    found = values(p)[np.arange(p.channels), pixels]
    return np.ascontiguousarray(np.moveaxis(found, -1, 1) if p.layout == "NCHW" else found)
