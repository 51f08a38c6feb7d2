"""The intermediate representation: a static-shape graph of ONNX-like nodes, and its import from ONNX."""

from pilotfish.compiler.graph.ir import Attribute, Graph, Halo, Node, TensorType

__all__ = ["Attribute", "Graph", "Halo", "Node", "TensorType"]
