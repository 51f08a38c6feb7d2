"""BatchNormalization, InstanceNormalization, LpNormalization: other operators by the time that code is made.

``passes/normalization.py`` rewrites them.
"""

from __future__ import annotations

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, _low: Lowering) -> None:
    """Never: see above."""
    raise AssertionError(f"{node.name}: {node.op} is other operators by now")


def check(node: Node, graph: Graph) -> str | None:
    """Float32, inference."""
    if node.attrs.get("training_mode", 0) or len([o for o in node.outputs if o]) > 1:
        return "training mode is not compiled; export the model for inference"
    for value in node.inputs:
        if graph.type(value).dtype != np.float32:
            return f"only float32 is compiled, not {graph.type(value)}"
    return None


OPERATORS = tuple(
    Operator(op, lower, check) for op in ("BatchNormalization", "InstanceNormalization", "LpNormalization")
)
