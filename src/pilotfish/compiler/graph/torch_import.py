"""A PyTorch module in, by way of PyTorch's own ONNX export. torch is an extra and is imported only here."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import onnx

from pilotfish.errors import ModelError, ToolMissingError, UsageError


def is_module(model: object) -> bool:
    """Whether it is a ``torch.nn.Module``; imports nothing: if there is one, torch is there already."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def export(module: Any, example_inputs: Any) -> onnx.ModelProto:
    """The ONNX model of a module in evaluation mode, with the shapes of the example inputs.

    ``example_inputs`` is a tensor or array, a sequence of them (positional), or a mapping (by keyword).
    """
    try:
        import onnxscript  # noqa: F401  (what the exporter is built on)
        import torch
    except ImportError as error:
        raise ToolMissingError(
            f"a PyTorch module needs PyTorch's exporter ({error}): pip install 'pilotfish[torch]'"
        ) from error
    if example_inputs is None:
        raise UsageError("a PyTorch module needs example_inputs: a tensor, a tuple of them, or a dict by argument name")
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(example_inputs, Mapping):
        kwargs = {name: torch.as_tensor(value) for name, value in example_inputs.items()}
    elif isinstance(example_inputs, list | tuple):
        args = tuple(torch.as_tensor(value) for value in example_inputs)
    else:
        args = (torch.as_tensor(example_inputs),)
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # the exporter tells of packages that it can do without
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # and of its own deprecations
            program = torch.onnx.export(module, args, kwargs=kwargs, dynamo=True, verbose=False)
    except torch.onnx.errors.OnnxExporterError as error:
        raise ModelError(f"PyTorch cannot export the module to ONNX: {error}") from error
    finally:
        logger.setLevel(level)
        for part, training in modes:
            part.training = training
    if program is None:
        raise ModelError("PyTorch exported nothing")
    model: onnx.ModelProto = program.model_proto
    return model
