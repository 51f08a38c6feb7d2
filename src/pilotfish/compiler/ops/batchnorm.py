"""BatchNormalization at inference that was not folded into a convolution: per-channel scale and shift.

The pass ``passes/batchnorm.py`` turns it into Mul and Add, which then join chains of elementwise operators; it
does not come here to be lowered.
"""

from __future__ import annotations

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import Operator


def lower(node: Node, _low: Lowering) -> None:
    """Never: see above."""
    raise AssertionError(f"{node.name}: BatchNormalization is Mul and Add by now")


def check(node: Node, graph: Graph) -> str | None:
    """Float32, inference."""
    if node.attrs.get("training_mode", 0) or len([o for o in node.outputs if o]) > 1:
        return "training mode is not compiled; export the model for inference"
    for value in node.inputs:
        if graph.type(value).dtype != np.float32:
            return f"only float32 is compiled, not {graph.type(value)}"
    return None


OPERATORS = (Operator("BatchNormalization", lower, check),)
