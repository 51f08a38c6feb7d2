"""Bytes of images as a model's input: its first operator, and with a QuantizeLinear after it one pass to int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.graph.preprocessing import Preprocessing


def add_preprocessing(graph: Graph, recipe: Preprocessing) -> Graph:
    """The model with uint8[batch, height, width, channels] in place of one input, under the same name."""
    name = recipe.input
    builder = Builder(graph)
    type_ = graph.type(name)
    shape = (type_.shape[0], recipe.height, recipe.width, recipe.channels)
    made = builder.emit("pf.Preprocess", f"{name}.preprocessed", [name], type_, recipe=recipe)
    builder.types[name] = TensorType(np.dtype(np.uint8), shape)
    for node in graph.nodes:
        builder.add(replace(node, inputs=tuple(made if i == name else i for i in node.inputs)))
    return builder.finish()


def fuse_preprocess(graph: Graph) -> Graph:
    """A ``pf.Quantize`` of what ``pf.Preprocess`` makes becomes one that makes int8 at once."""
    producers = graph.producers()
    builder = Builder(graph)
    for node in graph.nodes:
        maker = producers.get(node.inputs[0]) if node.op == "pf.Quantize" else None
        if maker is not None and maker.op == "pf.Preprocess" and "scale" not in maker.attrs:
            quantization = {"scale": node.attrs["scale"], "zero": node.attrs["zero"]}
            builder.add(Node("pf.Preprocess", node.name, maker.inputs, node.outputs, {**maker.attrs, **quantization}))
        else:
            builder.add(node)
    return builder.finish()
