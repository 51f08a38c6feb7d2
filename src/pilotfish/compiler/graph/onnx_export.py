"""A :class:`Graph` of ONNX's own operators back out as an ONNX model, for tools that take only that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pilotfish.compiler.graph.ir import Array, Attribute, Graph, Node

IR_VERSION = 10
"""The first that knows opset 21, to which :mod:`.onnx_import` converts."""


def to_onnx(graph: Graph, opsets: Mapping[str, int]) -> onnx.ModelProto:
    """The model, with the type of every value written down. ``opsets`` are the versions of the domains in use.

    The graph must not have been through passes that make operators or attributes of ours.
    """
    nodes = [_node(node, opsets) for node in graph.nodes]
    written = {*graph.inputs, *graph.outputs, *graph.constants}
    made = helper.make_graph(
        nodes,
        graph.name,
        [_value(graph, name) for name in graph.inputs],
        [_value(graph, name) for name in graph.outputs],
        [numpy_helper.from_array(_contiguous(array), name) for name, array in graph.constants.items()],
        value_info=[_value(graph, name) for name in graph.types if name not in written],
    )
    used = {node.domain for node in nodes} | {""}
    imports = [helper.make_opsetid(domain, version) for domain, version in sorted(opsets.items()) if domain in used]
    return helper.make_model(made, opset_imports=imports, ir_version=IR_VERSION, producer_name="pilotfish")


def _contiguous(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(array.shape)


def _value(graph: Graph, name: str) -> onnx.ValueInfoProto:
    type_ = graph.type(name)
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(type_.dtype), type_.shape)


def _node(node: Node, opsets: Mapping[str, int]) -> onnx.NodeProto:
    domain, _, op = node.op.rpartition(".")
    proto = helper.make_node(op, node.inputs, node.outputs, node.name, domain=domain)
    for name, value in node.attrs.items():
        proto.attribute.append(_attribute(op, domain, opsets.get(domain, 1), name, value))
    return proto


def _attribute(op: str, domain: str, version: int, name: str, value: Attribute) -> onnx.AttributeProto:
    """With the type of the operator's schema: an empty list does not say what it is a list of."""
    if isinstance(value, np.ndarray):
        return helper.make_attribute(name, numpy_helper.from_array(value))
    kind: Any = None
    try:
        known = onnx.defs.get_schema(op, version, domain).attributes
        kind = int(known[name].type.value) if name in known else None  # type: ignore[attr-defined]
    except onnx.defs.SchemaError:
        pass
    return helper.make_attribute(name, list(value) if isinstance(value, tuple) else value, attr_type=kind)
