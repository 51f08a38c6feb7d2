"""The imported model, kept in the bundle with its shapes bound: what the program is verified against."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx

from pilotfish.bundle.directory import storing
from pilotfish.bundle.manifest import TensorEntry

NAME = "model.onnx"
_LARGEST = 1 << 31  # bytes of a protobuf message


def save(model: onnx.ModelProto, inputs: Iterable[TensorEntry], folder: Path) -> None:
    """Write the model as the user gave it, its inputs' symbolic dimensions replaced."""
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    shapes = {tensor.name: tensor.shape for tensor in inputs}
    for value in bound.graph.input:
        if value.name in shapes:
            value.type.tensor_type.shape.CopyFrom(
                onnx.TensorShapeProto(
                    dim=[onnx.TensorShapeProto.Dimension(dim_value=size) for size in shapes[value.name]]
                )
            )
    large = bound.ByteSize() >= _LARGEST
    with storing(folder / NAME):
        onnx.save(bound, folder / NAME, save_as_external_data=large, location=f"{NAME}.data")
