"""Gemm: rewritten by the canonical form into pf.Linear, or into Transpose, MatMul, Mul and Add."""

from __future__ import annotations

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, _low: Lowering) -> None:
    """Never reached: ``passes/canonical.py`` leaves no Gemm."""
    raise AssertionError(f"{node.name}: Gemm is rewritten before lowering")


def check(node: Node, graph: Graph) -> str | None:
    """Float32 only."""
    type_ = graph.type(node.outputs[0])
    return None if type_.dtype == np.float32 else f"only float32 is compiled, the output is {type_}"


OPERATORS = (Operator("Gemm", lower, check),)
