"""Template of an operator: copy to ``ops/<name>.py``, keep what applies. Modules with a leading ``_`` are not loaded.

The example is an operator that reverses the last axis. One line here says what the operator does; if a formula or an
algorithm comes from somewhere, its source stands here too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Graph, Node
from pilotfish.compiler.graph.ir import Builder
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.ops import copying
from pilotfish.compiler.ops.lowering import Lowering
from pilotfish.compiler.ops.registry import ChannelsLast, Operator


def lower(node: Node, low: Lowering) -> None:
    """Emit the steps of one node. The docstring says which kernel, and what is special.

    Inputs: ``low.view(value)`` is memory with strides; ``low.constant(value)`` is the array if it is known now, so
    that it can be packed: ``low.weights(array)``. Output: ``low.out(value)`` once for each, or ``low.alias(value,
    view)`` where nothing has to be done. Memory for a step: ``low.scratch(node, nbytes)``.
    Steps: ``low.call(node, family, args, operands)`` takes the cheapest kernel of a family for the target;
    ``low.generated(node, stem, body, operands)`` makes a C function out of text (:mod:`.loops` helps).
    ``inplace`` pairs name operands that may share memory.
    """
    x, y = low.view(node.inputs[0]), low.out(node.outputs[0])
    last = len(x.type.shape) - 1
    starts = [0] * last + [x.type.shape[last] - 1]
    steps = [1] * last + [-1]
    copying.copy_part(node, low, copying.part(x, starts, x.type.shape, steps), y)


def check(node: Node, graph: Graph) -> str | None:
    """Why a node cannot be compiled: half a sentence that says what is wrong and names types; None if it can.

    Whatever passes here must lower; a model is refused before anything is written. Constant operands are in
    ``graph.constants``; nodes whose operands are all constant never come here.
    """
    x = graph.type(node.inputs[0])
    return None if len(x.shape) > 0 else f"a scalar has no axis to reverse, the input is {x}"


def meaning(_node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The outputs in NumPy. Only for operators that ONNX does not have: the default is ONNX's own evaluator."""
    (x,) = inputs
    return [np.asarray(x)[..., ::-1]]


def _channels_last(_node: Node, _builder: Builder) -> tuple[Node, tuple[int, ...]] | None:
    """The node for tensors whose axes are N spatial… C, and which inputs to permute; None: not this node.

    Attributes and constants that name axes are rewritten here (:mod:`.axes`); set ``layout=CHANNELS_LAST`` where
    ``lower`` or ``meaning`` must know. Leave the whole out if the operator never stands between convolutions.
    """
    return None


# `prefers=True` asks for channels last even where the neighbours do not. `strided=True` promises that lower() heeds
# the strides of all views: then tensors with gaps between their rows (halos) need no copy.
OPERATORS = (Operator("pf.Reverse", lower, check, meaning, channels_last=ChannelsLast(_channels_last), strided=True),)
