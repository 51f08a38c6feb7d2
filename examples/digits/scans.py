"""The scanned digits as the network takes them, and those of them that calibrate its int8 form.

They are scikit-learn's ``load_digits``; ``train.py`` says more, and wrote the files::

    pilotfish quantize examples/digits/tinycnn.onnx --calib examples/digits/scans.py:calibration -o tinycnn.int8.onnx
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HERE = Path(__file__).resolve().parent
SIZE = 28


def scaled(image: NDArray[Any]) -> NDArray[np.uint8]:
    """One 8x8 scan with values 0..16 as a 28x28 picture with values 0..255."""
    small = Image.fromarray(np.rint(image.astype(np.float64) * (255 / 16)).astype(np.uint8))
    return np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def as_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures [n, 28, 28] as the network's input [n, 1, 28, 28] in 0..1."""
    return (images[:, None] / np.float32(255)).astype(np.float32)


def held_out() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images [n, 28, 28] with values 0..255 that were kept from training, and their labels [n]."""
    with np.load(HERE / "heldout.npz") as data:
        return data["images"], data["labels"]


def calibration() -> Iterator[dict[str, NDArray[np.float32]]]:
    """The input for each of 100 training scans, ten of each digit."""
    with np.load(HERE / "calibration.npz") as data:
        scans = data["scans"]
    for scan in scans:
        yield {"input": as_input(scaled(scan)[None])}
