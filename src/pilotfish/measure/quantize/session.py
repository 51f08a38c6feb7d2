"""ONNX Runtime as the machine that calibrates and judges: quiet, and computing exactly the nodes that it is given."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import onnx

from pilotfish.errors import ModelError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read on import: nothing is sent anywhere for our user

import onnxruntime

Array = np.ndarray[Any, Any]


def opened(model: onnx.ModelProto) -> Any:
    """A session without graph optimization.

    Optimized, ONNX Runtime fuses quantized nodes into integer kernels of its own, some of which saturate sums on older
    x86 machines: the figures would then tell of this machine and not of the quantized network.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with reported():
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@contextmanager
def reported() -> Iterator[None]:
    """Turns ONNX Runtime's exceptions, which have no base class of their own, into a :class:`ModelError`."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith("onnxruntime"):
            raise ModelError(f"ONNX Runtime cannot run the model: {str(error).strip()[-2000:]}") from error
        raise


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what ONNX Runtime's quantizer prints, and logs by the root logger, from the user's terminal."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)  # without one, logging.warning() would install its own for the whole process
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        root.removeHandler(handler)
